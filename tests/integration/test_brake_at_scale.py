"""A release is one transaction: whole after a kill, and quick for thousands of people."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import URL, func, select

from bridge.domain.identifiers import MemberId
from bridge.store.directory import get_group
from bridge.store.models import Member
from bridge.usecases.decide_holds import release_hold
from bridge.usecases.preview_holds import preview_release
from bridge.usecases.provision_many import Newcomer, provision_many
from bridge.usecases.provision_member import PersonDraft, Source
from bridge.usecases.read_holds import open_holds
from bridge.usecases.sync_groups import GroupDraft, change_members, create_group
from tests.conftest import KEY
from tests.factories import Customer
from tests.integration.test_brake import RULES, active, say_active, seated
from tests.integration.test_memberships import put_in_force

CHILD = Path(__file__).with_name("killed_releaser.py")
MANY = 2000


def release_and_be_killed(customer: Customer, url: URL, moment: str) -> None:
    facts = {
        "url": url.render_as_string(hide_password=False),
        "key": KEY,
        "org": str(customer.org_id),
        "moment": moment,
        "at": customer.runtime.clock.now().isoformat(),
    }
    done = subprocess.run(
        [sys.executable, str(CHILD), json.dumps(facts)],
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("moment", "left"), [("before", 0), ("after", 3)])
def test_case_x1_a_killed_release_has_done_nothing_or_everything_and_a_retry_completes(
    customer: Customer, database_url: URL, moment: str, left: int
) -> None:
    people = [customer.push(f"p{index}@nordlys.test").id for index in range(8)]
    for member_id in people:
        say_active(customer, member_id, active=False)
    assert active(customer) == 3

    release_and_be_killed(customer, database_url, moment)

    assert active(customer) == 3 - left
    with customer.unit(customer.owner) as unit:
        for hold in open_holds(unit):
            release_hold(unit, hold.id, revision=hold.revision, reason="They left", key="release-2")
    assert active(customer) == 0
    assert seated(customer) == 0


def test_thousands_are_held_and_released_by_a_handful_of_statements(make_customer: Callable[..., Customer]) -> None:
    customer = make_customer(premium=0, standard=MANY)
    put_in_force(customer, RULES)
    with customer.unit(customer.directory) as unit:
        newcomers = [Newcomer(PersonDraft(f"p{index}@nordlys.test")) for index in range(MANY)]
        ids = provision_many(unit, customer.connection_id, newcomers, Source.SCIM).member_ids.values()
        members = [str(member_id) for member_id in ids]
        staff = create_group(unit, customer.connection_id, GroupDraft("Staff"), members).id
    assert seated(customer) == MANY

    began = time.process_time()
    with customer.unit(customer.directory) as unit:
        change_members(unit, get_group(unit, staff), replace=())
    with customer.unit(customer.owner) as unit:
        hold = open_holds(unit)[0]
        preview = preview_release(unit, hold.id)
    with customer.unit(customer.owner) as unit:
        done = release_hold(unit, hold.id, revision=hold.revision, reason="They left")
    took = time.process_time() - began

    assert len(preview.people) == done.resettled == MANY
    assert seated(customer) == 0
    # Some 2 seconds of this process where nothing else runs; one statement for each person would take ten times that.
    assert took < 15


def test_thousands_of_leavers_are_turned_off_together(make_customer: Callable[..., Customer]) -> None:
    """Held one by one beyond the budget, here written by the test, and released at once."""
    customer = make_customer(premium=0, standard=50)
    people = [customer.push(f"p{index}@nordlys.test").id for index in range(30)]
    for member_id in people:
        say_active(customer, MemberId(member_id), active=False)
    with customer.unit(customer.owner) as unit:
        hold = open_holds(unit)[0]
        done = release_hold(unit, hold.id, revision=hold.revision, reason="They left")

    with customer.unit() as unit:
        on = unit.session.scalar(select(func.count()).select_from(Member).where(Member.active))
    assert done.turned_off == 24  # 31 active people: 6 may go at once
    assert on == 1
