"""Whether a verified assertion is meant for us, now: audience, addressee, request and times.

A check that finds its input missing refuses. Nothing is compared with what the HTTP request says about
itself: the entity ID and the assertion consumer service's URL come from the configuration.

Source: SAML profiles §4.1.4 (web browser SSO), SAML core §2.5, SAML bindings §3.5.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from bridge.adapters.refusals import refused, shown
from bridge.adapters.saml.refusals import SamlRefusal
from bridge.adapters.saml.xml import SAML, parse_instant, text_of
from bridge.errors import SignInRefusedError

_BEARER: Final = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_KNOWN_CONDITIONS = {f"{{{SAML}}}{name}" for name in ("AudienceRestriction", "OneTimeUse", "ProxyRestriction")}


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a response has to match.

    ``expected_request`` None leaves ``InResponseTo`` to the caller; ``skew`` is allowed on every time alike.
    """

    sp_entity_id: str
    acs_url: str
    idp_entity_id: str
    expected_request: str | None
    now: datetime
    skew: timedelta


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The bearer confirmation that holds: the signed ``InResponseTo``, and until when any of them may be used."""

    in_response_to: str | None
    not_on_or_after: datetime


def check_conditions(response: Any, assertion: Any, expected: Expectation) -> Confirmation:
    """Check everything about a verified response that is not the person.

    Raises:
        SignInRefusedError: With the code of the first condition that does not hold.
    """
    if assertion.get("Version") != "2.0":
        raise refused(SamlRefusal.VERSION, "The assertion is not of SAML version 2.0")
    _check_issuers(response, assertion, expected)
    if response.get("Destination") != expected.acs_url:
        raise refused(
            SamlRefusal.DESTINATION,
            f"The response is addressed to {shown(response.get('Destination'))}, not to {expected.acs_url}",
        )
    for element in (response, assertion):
        if _instant(element, "IssueInstant", SamlRefusal.SCHEMA) > expected.now + expected.skew:
            raise refused(
                SamlRefusal.ISSUED_IN_FUTURE,
                f"The response was issued in the future, at {element.get('IssueInstant')}: check both clocks",
            )
    _check_validity(assertion, expected)
    confirmation = _confirmation(assertion, expected)
    _check_response_request(response, confirmation)
    return confirmation


def authn_statement(assertion: Any, expected: Expectation) -> tuple[datetime, str | None]:
    """Return when the person authenticated and the session's index at the identity provider.

    Raises:
        SignInRefusedError: When the assertion has no authentication statement, or its session is over.
    """
    statements = assertion.findall(f"{{{SAML}}}AuthnStatement")
    if not statements:
        raise refused(SamlRefusal.AUTHN_STATEMENT, "The assertion does not say that the person authenticated")
    for statement in statements:
        if statement.get("SessionNotOnOrAfter") is not None:
            ends = _instant(statement, "SessionNotOnOrAfter", SamlRefusal.AUTHN_STATEMENT)
            _refuse_after(ends, expected, "The session at the identity provider")
    instant = _instant(statements[0], "AuthnInstant", SamlRefusal.AUTHN_STATEMENT)
    if instant > expected.now + expected.skew:
        raise refused(SamlRefusal.ISSUED_IN_FUTURE, f"The person authenticated in the future, at {instant:%FT%TZ}")
    return instant, statements[0].get("SessionIndex")


def _check_issuers(response: Any, assertion: Any, expected: Expectation) -> None:
    issuers = [text_of(issuer) for element in (response, assertion) for issuer in element.findall(f"{{{SAML}}}Issuer")]
    if assertion.find(f"{{{SAML}}}Issuer") is None or set(issuers) != {expected.idp_entity_id}:
        raise refused(
            SamlRefusal.ISSUER,
            f"The response is issued by {shown(', '.join(issuers))}; this connection trusts {expected.idp_entity_id}",
        )


def _check_validity(assertion: Any, expected: Expectation) -> None:
    found = assertion.findall(f"{{{SAML}}}Conditions")
    if len(found) != 1:
        raise refused(SamlRefusal.CONDITIONS, f"The assertion has {len(found)} Conditions elements, not one")
    conditions = found[0]
    if any(child.tag not in _KNOWN_CONDITIONS for child in conditions):
        raise refused(SamlRefusal.CONDITIONS, "The assertion has a condition that this service does not understand")
    _check_not_before(conditions, expected, SamlRefusal.CONDITIONS)
    if conditions.get("NotOnOrAfter") is not None:
        ends = _instant(conditions, "NotOnOrAfter", SamlRefusal.CONDITIONS)
        _refuse_after(ends, expected, "The assertion")
    restrictions = conditions.findall(f"{{{SAML}}}AudienceRestriction")
    if not restrictions:
        raise refused(SamlRefusal.AUDIENCE, "The assertion names no audience, so it could be meant for anybody")
    for restriction in restrictions:
        audiences = [text_of(audience) for audience in restriction.findall(f"{{{SAML}}}Audience")]
        if expected.sp_entity_id not in audiences:
            raise refused(
                SamlRefusal.AUDIENCE,
                f"The assertion is meant for {shown(', '.join(audiences))}, not for {expected.sp_entity_id}: "
                "set the audience (entity ID) at the identity provider",
            )


def _confirmation(assertion: Any, expected: Expectation) -> Confirmation:
    """Return the first bearer confirmation that holds, or raise what is wrong with the first one."""
    problem = refused(SamlRefusal.SUBJECT_CONFIRMATION, "The assertion has no bearer confirmation with its data")
    for position, data in enumerate(_bearer_data(assertion)):
        try:
            return replace(_checked_confirmation(data, expected), not_on_or_after=_last_use(assertion))
        except SignInRefusedError as refusal:
            problem = refusal if position == 0 else problem
    raise problem


def _last_use(assertion: Any) -> datetime:
    """Return the end of the last confirmation: until then the assertion must be remembered as used."""
    return max(
        _instant(data, "NotOnOrAfter", SamlRefusal.SUBJECT_CONFIRMATION)
        for data in _bearer_data(assertion)
        if data.get("NotOnOrAfter") is not None
    )


def _bearer_data(assertion: Any) -> Iterator[Any]:
    for confirmation in assertion.findall(f"{{{SAML}}}Subject/{{{SAML}}}SubjectConfirmation"):
        data = confirmation.find(f"{{{SAML}}}SubjectConfirmationData")
        if confirmation.get("Method") == _BEARER and data is not None:
            yield data


def _checked_confirmation(data: Any, expected: Expectation) -> Confirmation:
    if data.get("Recipient") != expected.acs_url:
        raise refused(
            SamlRefusal.RECIPIENT,
            f"The confirmation names the recipient {shown(data.get('Recipient'))}, not {expected.acs_url}",
        )
    _check_not_before(data, expected, SamlRefusal.SUBJECT_CONFIRMATION)
    ends = _instant(data, "NotOnOrAfter", SamlRefusal.SUBJECT_CONFIRMATION)
    _refuse_after(ends, expected, "The confirmation")
    request = data.get("InResponseTo")
    if expected.expected_request is not None and request != expected.expected_request:
        raise refused(
            SamlRefusal.IN_RESPONSE_TO,
            f"The assertion answers {shown(request)}, not the request of this sign-in",
        )
    return Confirmation(request, ends)


def _check_response_request(response: Any, confirmation: Confirmation) -> None:
    outer = response.get("InResponseTo")
    if outer != confirmation.in_response_to:
        raise refused(
            SamlRefusal.IN_RESPONSE_TO,
            f"The response answers {shown(outer)}, its signed assertion {shown(confirmation.in_response_to)}",
        )


def _check_not_before(element: Any, expected: Expectation, missing: SamlRefusal) -> None:
    if element.get("NotBefore") is None:
        return
    starts = _instant(element, "NotBefore", missing)
    if starts > expected.now + expected.skew:
        raise refused(SamlRefusal.NOT_YET_VALID, f"The assertion is valid from {starts:%FT%TZ} only: check both clocks")


def _refuse_after(ends: datetime, expected: Expectation, what: str) -> None:
    if ends + expected.skew <= expected.now:
        raise refused(
            SamlRefusal.EXPIRED,
            f"{what} ended at {ends:%FT%TZ}; now it is {expected.now:%FT%TZ}: check both clocks",
        )


def _instant(element: Any, attribute: str, reason: SamlRefusal) -> datetime:
    text = element.get(attribute)
    if text is None:
        raise refused(reason, f"{attribute} is missing")
    try:
        return parse_instant(text)
    except ValueError as problem:
        raise refused(reason, f"{attribute} {shown(text)} is not a date and time") from problem
