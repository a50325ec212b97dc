"""The one dialogue of commands that cost: preview, show, ask, confirm; the same options, answers and exit codes.

What is confirmed is what was shown, or nothing. A script answers ahead: it accepts any cost, or names the sum that it
accepts, so that another sum is refused and nothing is charged.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from bridge.cli.showing import json_option, print_json

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from bridge.ports import Bill
    from bridge.store.unit import Unit
    from bridge.usecases.charges import CostCheck

PreviewT = TypeVar("PreviewT")
DoneT = TypeVar("DoneT")
CommandT = TypeVar("CommandT", bound=Callable[..., Any])

ACCEPT_COST = click.option(
    "--accept-cost",
    metavar="AMOUNT",
    help="Accept exactly this total of today, tax included, as 120.00, without being asked; another one is refused.",
)

_KEY: Any = click.option("--key", help="Idempotency key: a repeat with it does nothing again and answers the same.")
_YES: Any = click.option("--yes", is_flag=True, help="Accept whatever it costs without being asked.")
_ONLY_PREVIEW: Any = click.option(
    "--preview", "only_preview", is_flag=True, help="Show what it would do and cost, and stop."
)


def dialogue_options(command: CommandT) -> CommandT:
    """Add the options of the dialogue to a command; it hands them on as :class:`Said`."""
    return _with(command, json_option, _KEY, ACCEPT_COST, _YES, _ONLY_PREVIEW)


def repeatable_options(command: CommandT) -> CommandT:
    """Add the options of the dialogue to a command that does nothing again by itself, and so needs no key."""
    return _with(command, json_option, ACCEPT_COST, _YES, _ONLY_PREVIEW)


def _with(command: CommandT, *options: Callable[[CommandT], CommandT]) -> CommandT:
    for option in options:
        command = option(command)
    return command


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the caller answered ahead, by options of these names."""

    only_preview: bool = False
    yes: bool = False
    accept_cost: str | None = None
    key: str | None = None
    as_json: bool = False

    @property
    def is_decided(self) -> bool:
        """Whether nothing has to be asked."""
        return self.yes or self.accept_cost is not None


@dataclass(frozen=True, slots=True)
class Cost:
    """What is charged today, in minor units, tax included."""

    amount: int
    currency: str

    def __str__(self) -> str:
        """Write it as money."""
        from bridge.billing.rules.money import Currency, format_money

        return format_money(self.amount, Currency(self.currency))

    @property
    def sentence(self) -> str:
        """Say it before the question."""
        if self.amount < 0:
            return f"It adds {Cost(-self.amount, self.currency)} to the account's balance."
        return f"It costs {self} today, tax included." if self.amount else "It costs nothing today."


def cost_of(bill: "Bill | None", currency: str) -> Cost:
    """Return what a bill charges; nothing without one."""
    return Cost(bill.total if bill else 0, currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue(Generic[PreviewT, DoneT]):
    """One change that costs.

    Attributes:
        preview: Computes what it would do.
        show: Shows it to people; in the preview's own unit of work.
        cost: Says what it charges today; in the preview's own unit of work.
        question: Asks whether to do it.
        confirm: Does what the preview shows, under the key if there is one.
        at_once: Does it without a preview under a key, for a repeat must answer as the first time, when a preview of it
            is not possible any more; None where a confirmation repeats by itself.
        tell: Says what was done.
        document: What ``--json`` prints of a preview.
        further: What else has to be accepted by itself: questions by the option that answers them ahead.
    """

    preview: "Callable[[Unit], PreviewT]"
    show: "Callable[[Unit, PreviewT], None]"
    cost: "Callable[[Unit, PreviewT], Cost]"
    question: str
    confirm: "Callable[[Unit, PreviewT, str | None], DoneT]"
    tell: Callable[[DoneT], None]
    at_once: "Callable[[Unit, str, CostCheck], DoneT] | None" = None
    document: Callable[[PreviewT], Any] = lambda preview: preview
    further: Callable[[PreviewT], Mapping[str, str]] = lambda _: {}


def hold_dialogue(org: str, dialogue: Dialogue[PreviewT, DoneT], said: Said) -> None:
    """Go through a dialogue.

    Raises:
        CostDiffersError: It costs another sum than the one that was accepted; nothing is done.
        click.Abort: Somebody said no.
    """
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR

    if said.as_json and not (said.is_decided or said.only_preview):
        known = {option for one in click.get_current_context().command.params for option in one.opts}
        ways = [option for option in ("--accept-cost", "--yes", "--preview") if option in known]
        raise click.UsageError(f"--json asks nothing: add {' or '.join(ways)}")
    with open_runtime() as runtime:
        org_id = find_organization(runtime, org)

        def opened() -> "AbstractContextManager[Unit]":
            return runtime.unit(org_id, OPERATOR)

        if said.is_decided and not said.only_preview and said.key is not None and dialogue.at_once is not None:
            with opened() as unit:
                done = dialogue.at_once(unit, said.key, _check(said))
        else:
            with opened() as unit:
                preview = dialogue.preview(unit)
                cost = dialogue.cost(unit, preview)
                if not said.as_json:
                    dialogue.show(unit, preview)
            if said.only_preview:
                if said.as_json:
                    print_json(dialogue.document(preview))
                return
            _ask(dialogue, preview, cost, said)
            with opened() as unit:
                done = dialogue.confirm(unit, preview, said.key)
    if said.as_json:
        print_json(done)
    else:
        dialogue.tell(done)


def _ask(dialogue: Dialogue[PreviewT, Any], preview: PreviewT, cost: Cost, said: Said) -> None:
    if said.accept_cost is not None:
        _refuse_other_cost(said.accept_cost, cost)
    elif not said.yes:
        click.confirm(f"{cost.sentence} {dialogue.question}", abort=True)
    for option, question in dialogue.further(preview).items():
        if said.as_json:
            raise click.UsageError(f"--json asks nothing, and this asks for more than its cost: add {option}")
        click.confirm(question, abort=True)


def _check(said: Said) -> "CostCheck":
    def check(bill: "Bill | None", currency: str) -> None:
        if said.accept_cost is not None:
            _refuse_other_cost(said.accept_cost, cost_of(bill, currency))

    return check


def _refuse_other_cost(accepted: str, cost: Cost) -> None:
    from bridge.billing.rules.money import Currency, to_minor
    from bridge.errors import CostDiffersError, InvalidInputError

    try:
        amount = to_minor(accepted, Currency(cost.currency))
    except ValueError as error:
        raise InvalidInputError("accept-cost", str(error)) from None
    if amount != cost.amount:
        raise CostDiffersError(costs=str(cost), accepted=str(Cost(amount, cost.currency)))
