"""Guides as text: in a page of the console, and as a page of the documentation."""

import re
from collections.abc import Iterator

from markupsafe import Markup, escape

from bridge.web.guides.model import Entry, Guide, Part, Place

_WORDS = re.compile(r"\*([^*]+)\*")
_CODE = re.compile(r"`([^`]+)`")
#: What the documentation shows for the reader's own values.
_EXAMPLES = {
    Place.SCIM_URL: "https://seats.example.com/scim/v2/your-organization",
    Place.SCIM_TOKEN: "sbscim_…",
    Place.ACS: "https://seats.example.com/sso/saml/your-organization/…/acs",
    Place.ENTITY_ID: "https://seats.example.com/sso/saml/your-organization/…/metadata",
    Place.REDIRECT_URI: "https://seats.example.com/sso/oidc/your-organization/…/callback",
    Place.START: "https://seats.example.com/sso/saml/your-organization/…/start",
}


#: Before the steps and after them, on every page of the documentation.
_BEFORE = (
    "At the end people and groups come from there, and people sign in with their company's account.",
    "",
    "You need: an administrator's account there, and the console: *Connections*, the connection, *Set-up guide*. It",
    "shows these steps with your own values, makes the token, takes the metadata, and says when each step has worked.",
    "Somebody without an account here gets the same by a",
    "[set-up link](connect-in-the-console.md#let-somebody-else-do-it).",
    "",
)
_AFTER = (
    "",
    "When something is refused, [the provisioning log](see-what-the-idp-sent.md) says why, and what helps. How",
    "somebody who signs in is recognised is told in [who is who](../explanation/who-is-who.md).",
)


def as_html(text: str) -> Markup:
    """Return a text of a guide for a page: ``*words*`` and ```code``` marked, everything else escaped."""
    marked = _CODE.sub(r"<code>\1</code>", _WORDS.sub(r"<b>\1</b>", str(escape(text))))
    return Markup(marked)  # noqa: S704 (escaped first; only these two marks were put in)


def as_markdown(guide: Guide) -> str:
    """Return a guide as a page of the documentation."""
    return "\n".join(_lines(guide)).rstrip() + "\n"


def _lines(guide: Guide) -> Iterator[str]:
    yield f"# Connect {guide.name[:1].lower() + guide.name[1:] if guide.key == 'other' else guide.name}"
    yield ""
    yield from _BEFORE
    for part in guide.parts:
        yield from _part_lines(part)
    yield "## Good to know"
    yield ""
    for sentence in guide.good_to_know:
        yield f"- {sentence}"
    yield from _AFTER


def _part_lines(part: Part) -> Iterator[str]:
    yield f"## {part.title}"
    yield ""
    yield part.about
    yield ""
    for number, step in enumerate(part.steps, 1):
        yield f"{number}. {step.text}"
        if step.entries:
            yield ""
            yield "   | field | value |"
            yield "   | --- | --- |"
            for entry in step.entries:
                yield f"   | {entry.label} | {_example(entry)} |"
            yield ""
    yield ""


def _example(entry: Entry) -> str:
    return f"`{_EXAMPLES[entry.value] if isinstance(entry.value, Place) else entry.value}`"
