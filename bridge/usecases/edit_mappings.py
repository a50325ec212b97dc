"""Putting previewed group mappings in force: exactly what was shown, or nothing."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission
from bridge.errors import (
    AcknowledgementMissingError,
    AssertionFailedError,
    IdempotencyConflictError,
    InvalidChangeError,
    PreviewStaleError,
)
from bridge.ports import InvoiceReference
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import read_placement
from bridge.usecases.buy_for_line import serve_line
from bridge.usecases.charges import execute_change
from bridge.usecases.mapping_effect import MappingsPreview
from bridge.usecases.mapping_versions import VersionReason, store_version
from bridge.usecases.preview_mappings import KIND, as_shown, usable_preview
from bridge.usecases.previews import stored_preview
from bridge.usecases.settle_many import SeatPurchase, settle_many
from mappings.allocation import Occasion
from mappings.checks import Finding


@dataclass(frozen=True, slots=True)
class MappingsApplied:
    """What an applied preview did.

    Attributes:
        version: The version in force.
        moved: How many people's seats changed.
        invoice: For the missing seats that were bought, if any.
        roles: How many people got each role.
        teams: How many people joined or left a team.
        invoices: Every invoice that was issued by it: that one, and those for what was bought within budgets.
    """

    version: int
    moved: int
    invoice: InvoiceReference | None
    roles: Mapping[str, int] = field(default_factory=dict)
    teams: int = 0
    invoices: tuple[InvoiceReference, ...] = ()


def applied_preview(unit: Unit, preview_id: uuid.UUID) -> MappingsApplied | None:
    """Return what a preview did that was applied; None while it was not.

    Raises:
        NotFoundError: There is no such preview here.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    result = stored_preview(unit, preview_id, KIND).result
    return None if result is None else _read_result(result)


def apply_mappings(
    unit: Unit,
    preview_id: uuid.UUID,
    *,
    acknowledged: bool,
    buy: bool = False,
    roles_acknowledged: bool | None = None,
    budgets_acknowledged: bool | None = None,
) -> MappingsApplied:
    """Put previewed mappings in force and move everybody they move (rule A8).

    Repeating an apply that succeeded answers the same and does nothing (rule Q5).

    Args:
        unit: The unit; the organization is locked here.
        preview_id: What the actor looked at.
        acknowledged: Whether the cost was ticked; needed only for buying (rule Q1).
        buy: Buy the missing seats at the price the preview showed; needs an owner. Otherwise people wait.
        roles_acknowledged: Whether it was ticked that people may do more; as ``acknowledged`` by default.
        budgets_acknowledged: Whether it was ticked what is bought within budgets; as ``acknowledged`` by default.

    Raises:
        AcknowledgementMissingError: Buying, also within budgets, or giving somebody a higher role, without the tick.
        AssertionFailedError: Something that the document asserts would not be so.
        ForbiddenError: The actor may not edit mappings, or not buy.
        IdempotencyConflictError: It was applied before, the missing seats bought otherwise than now (rule Q5).
        InvalidChangeError: Missing seats are to be bought, which are ordered from another system.
        NotFoundError: There is no such preview here.
        PaymentFailedError: A payment was declined, also one within a budget; the unit must roll back.
        PreviewExpiredError: It is older than its 15 minutes.
        PreviewStaleError: People, seats, rules or what budgets pay for changed since it was made.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    if buy:
        unit.require(Permission.MANAGE_BILLING)
        if not acknowledged:
            raise AcknowledgementMissingError
    unit.lock()
    stored = stored_preview(unit, preview_id, KIND)
    if stored.confirmed_at is not None and stored.result is not None:
        if stored.result.get("buy", buy) != buy:
            raise IdempotencyConflictError(str(preview_id))
        return _read_result(stored.result)
    preview = as_shown(unit, usable_preview(unit, preview_id), named=False)
    if buy:
        refuse_bought_elsewhere(unit, preview)
    is_bought = buy and preview.quote is not None
    uses = preview.budget_uses_if_bought if is_bought else preview.budget_uses
    _refuse_unticked(uses, acknowledged if budgets_acknowledged is None else budgets_acknowledged)
    _refuse_unticked(preview.gives_roles, acknowledged if roles_acknowledged is None else roles_acknowledged)
    _refuse_failed(preview.findings_if_bought if is_bought else preview.findings)
    invoice = None
    if buy and preview.quote is not None:
        invoice = execute_change(unit, preview.quote, key=f"mappings:{stored.id}")
    reason = VersionReason.EDITED if preview.restores is None else VersionReason.ROLLED_BACK
    paid = invoice.id if invoice else None
    version = store_version(unit, preview.new, reason, restores=preview.restores, invoice=paid)
    with_purchase = buy and preview.moves_if_bought is not None
    effect = preview.settled[with_purchase]
    assert effect is not None, "what happens with a purchase is known wherever one is possible"
    settle_many(
        unit,
        effect,
        read_placement(unit),
        Occasion.REMAPPED,
        purchases={} if invoice is None else _paid_by(invoice, preview),
    )
    # Whom the rules let buy is served at the preview's price, whether they have begun to wait now or long ago.
    served = serve_line(unit, priced_at=stored.at)
    served.refuse_partial()
    if served.uses != uses:
        raise PreviewStaleError
    unit.line_grew = False
    shown = preview.moves_if_bought if with_purchase and preview.moves_if_bought else preview.moves
    invoices = (*([invoice] if invoice else []), *served.invoices)
    applied = MappingsApplied(version, len(shown.moves), invoice, preview.roles, len(preview.team_changes), invoices)
    stored.confirmed_at = unit.at
    stored.result = _write_result(applied) | {"buy": buy}
    return applied


def refuse_bought_elsewhere(unit: Unit, preview: MappingsPreview) -> None:
    """Refuse to buy missing seats together with rules where another system sells them, and answers later.

    Raises:
        InvalidChangeError: It does, and seats are missing.
    """
    if preview.shortage and not unit.billing.sells_at_once:
        raise InvalidChangeError(
            "the missing seats are ordered from the organization's own billing core, which answers later: order them"
            " by themselves, and apply the rules without buying; people move up when the seats come"
        )


def _refuse_unticked(what: object, ticked: bool) -> None:  # noqa: FBT001 (as it was said)
    if what and not ticked:
        raise AcknowledgementMissingError


def _refuse_failed(findings: Iterable[Finding]) -> None:
    failed = [str(finding) for finding in findings if not finding.holds]
    if failed:
        raise AssertionFailedError(failed)


def _paid_by(invoice: InvoiceReference, preview: MappingsPreview) -> dict[MemberId, SeatPurchase]:
    """Say whose seats the missing ones are that were bought: who gets one only because of it."""
    without, with_purchase = preview.settled
    assert with_purchase is not None, "there is an invoice only where seats were bought"
    anyway = {move.member_id: move.to_tier for move in without.moves}
    left = dict(preview.shortage)
    paid: dict[MemberId, SeatPurchase] = {}
    for move in with_purchase.moves:
        tier = move.to_tier
        if tier is not None and left.get(tier) and anyway.get(move.member_id, move.from_tier) != tier:
            left[tier] -= 1
            paid[MemberId(uuid.UUID(str(move.member_id)))] = SeatPurchase(uuid.UUID(invoice.id), None)
    return paid


def _write_result(applied: MappingsApplied) -> dict[str, Any]:
    invoice = applied.invoice
    return {
        "version": applied.version,
        "moved": applied.moved,
        "roles": dict(applied.roles),
        "teams": applied.teams,
        "invoice": None if invoice is None else asdict(invoice),
        "invoices": [asdict(each) for each in applied.invoices],
    }


def _read_result(result: Mapping[str, Any]) -> MappingsApplied:
    invoice = result["invoice"]
    return MappingsApplied(
        version=result["version"],
        moved=result["moved"],
        invoice=InvoiceReference(**invoice) if invoice else None,
        roles=result.get("roles", {}),
        teams=result.get("teams", 0),
        invoices=tuple(InvoiceReference(**each) for each in result.get("invoices", [])),
    )
