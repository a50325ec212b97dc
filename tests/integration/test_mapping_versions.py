"""Versions of the rules: who, when, what; going back to one; what a document asserts is so, or nothing is applied."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import func, select

from bridge.errors import AssertionFailedError, InvalidInputError, NotFoundError
from bridge.store.journal import verify
from bridge.store.models import Group, Invoice, Member
from bridge.usecases.edit_mappings import MappingsApplied, apply_mappings
from bridge.usecases.mapping_effect import MappingsPreview
from bridge.usecases.mapping_versions import VersionReason, list_versions
from bridge.usecases.preview_mappings import preview_mappings, preview_rollback
from bridge.usecases.read_mappings import read_mappings
from bridge.usecases.sync_groups import GroupDraft, create_group, remove_group
from tests.factories import Customer


def document(*rules: dict[str, Any], asserted: Sequence[object] | None = None) -> dict[str, Any]:
    return {"schema": 2, "default": "unassigned", "rules": list(rules), "assert": asserted}


def preview(customer: Customer, wanted: dict[str, Any]) -> MappingsPreview:
    with customer.unit(customer.owner) as unit:
        return preview_mappings(unit, wanted)


def apply(customer: Customer, shown: MappingsPreview, *, buy: bool = False) -> MappingsApplied:
    with customer.unit(customer.owner) as unit:
        return apply_mappings(unit, shown.id, acknowledged=True, buy=buy)


def engineers(customer: Customer, number: int) -> list[Member]:
    people = [customer.push(f"e{index}@nordlys.test") for index in range(number)]
    with customer.unit(customer.directory) as unit:
        create_group(unit, customer.connection_id, GroupDraft("Engineering"), [str(one.id) for one in people])
    return people


def tiers(customer: Customer, people: list[Member]) -> list[str | None]:
    with customer.unit() as unit:
        return [unit.session.get_one(Member, (unit.org_id, one.id)).tier for one in people]


TO_STANDARD = {"group": "Engineering", "tier": "standard"}
TO_PREMIUM = {"group": "Engineering", "tier": "premium"}


def test_history_says_who_changed_what_and_going_back_is_one_more_version(customer: Customer) -> None:
    people = engineers(customer, 2)
    apply(customer, preview(customer, document(TO_STANDARD)))
    apply(customer, preview(customer, document(TO_PREMIUM)))
    assert tiers(customer, people) == ["premium", "premium"]

    with customer.unit(customer.owner) as unit:
        back = preview_rollback(unit, 1)
    assert [change.sentence for change in back.changes] == ["Engineering: Premium → Standard"]
    assert tiers(customer, people) == ["premium", "premium"]
    apply(customer, back)

    assert tiers(customer, people) == ["standard", "standard"]
    with customer.unit(customer.owner) as unit:
        versions = list_versions(unit)
        assert [(one.version, one.reason, one.restores) for one in versions] == [
            (3, VersionReason.ROLLED_BACK, 1),
            (2, VersionReason.EDITED, None),
            (1, VersionReason.EDITED, None),
        ]
        assert versions[0].changes == ("Engineering: Premium → Standard",)
        assert versions[0].by == versions[1].by
        assert versions[2].changes == ("Engineering: Standard", "everyone else: highest free seat → No seat")
        assert verify(unit) is None


def test_going_back_to_what_is_in_force_or_never_was_is_refused(customer: Customer) -> None:
    apply(customer, preview(customer, document()))

    with customer.unit(customer.owner) as unit:
        with pytest.raises(InvalidInputError, match="in force already"):
            preview_rollback(unit, 1)
        for version in (0, 2, -1):
            with pytest.raises(NotFoundError):
                preview_rollback(unit, version)


def test_going_back_expects_a_group_that_is_gone(customer: Customer) -> None:
    engineers(customer, 1)
    apply(customer, preview(customer, document(TO_STANDARD)))
    apply(customer, preview(customer, document()))
    with customer.unit(customer.directory) as unit:
        remove_group(unit, unit.session.scalars(select(Group)).one())

    with customer.unit(customer.owner) as unit:
        back = preview_rollback(unit, 1)
    apply(customer, back)

    with customer.unit(customer.owner) as unit:
        [rule] = read_mappings(unit).document["rules"]
    assert rule["expected"] is True
    assert rule["group"] == "Engineering"


def test_a_failed_assertion_blocks_the_change_and_names_what_was_found(customer: Customer) -> None:
    people = engineers(customer, 3)
    apply(customer, preview(customer, document(TO_STANDARD)))
    asserted = ["nobody_loses_seat", {"people": {"tier": "premium"}, "at_most": 1}]

    shown = preview(customer, document(TO_PREMIUM, asserted=asserted))

    # 2 Premium seats for 3 people: 2 move.
    assert [(str(one), one.holds) for one in shown.findings] == [
        ("nobody loses their seat: 0 people do", True),
        ("at most 1 person with Premium: there are 2", False),
    ]
    with pytest.raises(AssertionFailedError) as refusal:
        apply(customer, shown)
    assert refusal.value.failed == ("at most 1 person with Premium: there are 2",)
    assert tiers(customer, people) == ["standard"] * 3
    with customer.unit() as unit:
        assert unit.state().mapping_version == 1


def test_a_cost_is_asserted_of_what_is_bought(customer: Customer) -> None:
    engineers(customer, 3)
    apply(customer, preview(customer, document()))
    person = {"person": "e2@nordlys.test", "tier": "premium"}

    shown = preview(customer, document(TO_PREMIUM, asserted=[{"cost_at_most": "0.01"}, person]))

    assert [one.holds for one in shown.findings] == [True, False]
    assert [one.holds for one in shown.findings_if_bought] == [False, True]
    with pytest.raises(AssertionFailedError, match=r"the cost is at most 0\.01: it is "):
        apply(customer, shown, buy=True)
    with customer.unit() as unit:
        assert unit.session.scalar(select(func.count()).select_from(Invoice)) == 1  # the first period's
