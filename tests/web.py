"""Browsers for tests: an app over the test's runtime, and clients that are signed in through a real link."""

import re
from collections.abc import Mapping

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Role
from bridge.store.directory import get_member
from bridge.store.models import Group, Member
from bridge.usecases.sign_in_links import create_sign_in_link
from bridge.usecases.sync_groups import GroupDraft, change_members, create_group
from tests.factories import Customer

CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')


def csrf_token(page: str) -> str:
    """Return the token of a page's first form."""
    found = CSRF.search(page)
    assert found is not None, "the page has no form with a token"
    return found.group(1)


class Browser:
    """A test client that follows forms as a browser does: every POST carries the token of the page before."""

    def __init__(self, client: FlaskClient, csrf: str = "") -> None:
        self.client, self._csrf = client, csrf

    def get(self, path: str, **options: object) -> "Page":
        """Open a page."""
        return self._page(self.client.get(path, **options))

    def post(self, path: str, data: Mapping[str, object] | None = None) -> "Page":
        """Send a form."""
        if not self._csrf:
            self.get("/sign-in")
        return self._page(self.client.post(path, data={**(data or {}), "csrf_token": self._csrf}))

    def _page(self, response: object) -> "Page":
        page = Page(response)
        found = CSRF.search(page.text)
        if found is not None:
            self._csrf = found.group(1)
        return page


class Page:
    """What came back."""

    def __init__(self, response: object) -> None:
        self.status: int = response.status_code  # type: ignore[attr-defined] # werkzeug's TestResponse
        self.headers: dict[str, str] = dict(response.headers)  # type: ignore[attr-defined]
        self.text: str = response.get_data(as_text=True)  # type: ignore[attr-defined]

    @property
    def location(self) -> str:
        """Where a redirect leads."""
        return self.headers.get("Location", "")


def sign_in(app: Flask, customer: Customer, member_id: MemberId | None = None) -> Browser:
    """Sign a member in through a one-time link; the owner by default."""
    with customer.unit() as unit:
        credential = create_sign_in_link(unit, member_id or customer.owner_id)
    browser = Browser(app.test_client())
    browser.get(f"/sign-in/link/{credential.text}")
    assert browser.post(f"/sign-in/link/{credential.text}").status == 303
    browser.get("/me")
    return browser


def make_admin(customer: Customer, user_name: str = "ada@nordlys.test") -> Member:
    """Add an admin."""
    member = customer.push(user_name, displayName="Ada Admin")
    with customer.unit() as unit:
        get_member(unit, member.id).role = str(Role.ADMIN)
    return member


def push_group(customer: Customer, name: str, members: list[Member]) -> None:
    """Push a group with its members."""
    with customer.unit(customer.directory) as unit:
        create_group(unit, customer.connection_id, GroupDraft(name), [str(member.id) for member in members])


def add_to_group(customer: Customer, name: str, member: Member) -> None:
    """Push one membership."""
    with customer.unit(customer.directory) as unit:
        group = unit.session.scalars(select(Group).where(Group.org_id == unit.org_id, Group.display_name == name)).one()
        change_members(unit, group, add=[str(member.id)])
