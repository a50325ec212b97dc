"""The worked cases of team and enterprise plans, replayed through the pure billing rules."""

import json
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from bridge.billing.rules.bills import Bill, instant_text
from bridge.billing.rules.charges import SeatQuote, change_seats, upgrade
from bridge.billing.rules.contracts import (
    ContractKind,
    ContractState,
    ContractTerms,
    Reduction,
    RenewalBasis,
    contract_terms,
)
from bridge.billing.rules.money import Currency, to_minor
from bridge.billing.rules.periods import renew, start
from bridge.billing.rules.proration import ProrationMethod
from bridge.billing.rules.refusals import RuleRefusal
from bridge.billing.rules.terms import Cycle

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "billing-cases.json").read_text(encoding="utf-8")
)
UNASSIGNED = "unassigned"


def terms_of(plan: dict[str, Any]) -> ContractTerms:
    return contract_terms(
        ContractKind(plan["kind"]),
        anchor=datetime.fromisoformat(plan["start"]),
        currency=Currency(plan["currency"]),
        cycle=Cycle(plan["cycle"]) if "cycle" in plan else None,
        time_zone=plan.get("timezone", "UTC"),
        tax_rate=Fraction(plan.get("tax_rate", "0")),
        proration=ProrationMethod(plan["proration"]) if "proration" in plan else None,
        reduction=Reduction(plan.get("reduction", "at_renewal")),
        minimum_seats=plan.get("minimum_seats", 0),
        auto_renew=plan.get("auto_renew", True),
        renewal_basis=RenewalBasis(plan["renewal_basis"]) if "renewal_basis" in plan else None,
        contract_minimum=plan.get("contract_minimum"),
    )


class Replay:
    """Plays a case: what the rules decide, and as much of the members as the bills depend on."""

    def __init__(self, case: dict[str, Any]) -> None:
        terms = terms_of(case["plan"])
        prices = {tier: to_minor(price, terms.currency) for tier, price in case["prices"].items()}
        seats = case["plan"]["seats"]
        self.until = datetime.fromisoformat(case["until"])
        self.state = ContractState.opening(terms, seats, prices)
        self.invoices: list[object] = []
        self.errors: list[object] = []
        self.previews: list[SeatQuote] = []
        self.holders: dict[str, str] = {}
        self.issue(start(terms, seats, prices), terms.anchor)
        for number, event in enumerate(case["events"]):
            at = datetime.fromisoformat(event["at"])
            self.renew_until(at)
            code = self.play(event, at)
            if code:
                self.errors.append({"event": number, "code": code})
        self.renew_until(self.until)

    def used(self) -> dict[str, int]:
        held = list(self.holders.values())
        return {tier: held.count(tier) for tier in self.state.seats}

    def renew_until(self, at: datetime) -> None:
        while self.state.term.end <= at:
            boundary = self.state.term.end
            renewal = renew(self.state, self.used())
            self.state = renewal.next_state
            self.issue(renewal.bill, boundary)

    def play(self, event: dict[str, Any], at: datetime) -> str | None:
        try:
            match event["do"]:
                case "change_seats":
                    return self.charge(change_seats(self.state, event["changes"], at, self.used()), event, at)
                case "preview":
                    self.previews.append(change_seats(self.state, event["changes"], at, self.used()))
                case "confirm":
                    return self.charge(self.previews[event["preview"]], event, at)
                case "add_member" if event["via"] == "manual":
                    return self.place(event, at)
                case "assign":
                    return self.place(event, at)
        except RuleRefusal as refusal:
            return refusal.code
        return None

    def place(self, event: dict[str, Any], at: datetime) -> str | None:
        user, tier = event["user"], event["tier"]
        if tier != UNASSIGNED and self.used()[tier] >= self.state.seats[tier].assignable:
            if not event.get("buy_if_needed"):
                return "no_seat_available"
            held = self.holders.get(user)
            declined = self.charge(upgrade(self.state, held, tier, at, self.used()), event, at)
            if declined:
                return declined
        self.holders.pop(user, None)
        if tier != UNASSIGNED:
            self.holders[user] = tier
        return None

    def charge(self, quote: SeatQuote, event: dict[str, Any], at: datetime) -> str | None:
        if event.get("payment") == "declined":
            return "payment_failed"
        self.state = quote.next_state
        self.issue(quote.bill, at)
        return None

    def issue(self, bill: Bill | None, at: datetime) -> None:
        if bill:
            self.invoices.append(bill.to_json(at))


@pytest.mark.parametrize("case", CASES, ids=[f"{'-'.join(case['rules'])} {case['case']}" for case in CASES])
def test_the_worked_case_is_billed_to_the_cent(case: dict[str, Any]) -> None:
    expected = case["expected"]

    replay = Replay(case)

    assert replay.invoices == expected["invoices"]
    assert replay.errors == expected["errors"]
    assert [preview.to_json() for preview in replay.previews] == expected["previews"]
    assert replay.state.status == expected["state"]["status"]
    assert replay.state.credit_balance == expected["state"]["credit_balance"]
    assert {tier: (seats.paid, seats.next) for tier, seats in replay.state.seats.items()} == {
        tier: (seats["paid"], seats["next"]) for tier, seats in expected["state"]["seats"].items()
    }


def test_the_cases_are_those_of_plans_sold_by_seats() -> None:
    kinds = [case["plan"]["kind"] for case in CASES]

    assert (kinds.count("team"), kinds.count("enterprise")) == (15, 4)


def test_an_instant_of_a_case_reads_and_writes_the_same() -> None:
    text = "2026-01-16T12:14:59Z"

    assert instant_text(datetime.fromisoformat(text)) == text
    assert datetime.fromisoformat(text).tzinfo == UTC
