"""A preview of group mappings for programs: the command line and the programming interface answer the same."""

from typing import Any

from bridge.usecases.mapping_effect import MappingsPreview, Outlay


def preview_document(preview: MappingsPreview, *, buy: bool) -> dict[str, Any]:
    """Return a preview for programs."""
    effect = preview.effect(buy=buy)
    names = {str(member_id): name for member_id, name in preview.names.items()}
    quote, outlay = preview.quote, preview.outlay_of(buy=buy)
    return {
        "preview": preview.id,
        "expires_at": preview.expires_at,
        "changes": [change.sentence for change in preview.changes],
        "moves": [
            {
                "member_id": move.member_id,
                "name": names.get(str(move.member_id)),
                "from": move.from_tier,
                "to": move.to_tier,
                "waiting_for": move.waiting_for,
                "because": preview.because(move),
            }
            for move in effect.moves
        ],
        "waiting": [
            {
                "member_id": change.member_id,
                "name": names.get(str(change.member_id)),
                "tier": change.tier,
                "before": change.before,
                "after": change.after,
            }
            for change in effect.line_changes
        ],
        "roles": preview.role_changes,
        "seats": effect.seats,
        "bought_within_budgets": preview.budget_uses,
        "bought_within_budgets_if_bought": preview.budget_uses_if_bought,
        "shortage": preview.shortage,
        "bill": quote.bill if quote else None,
        "total_today": outlay.total if outlay else 0,
        "renewal": _renewal(preview.outlay_if_bought or outlay),
        "assertions": preview.findings_of(buy=buy),
    }


def _renewal(outlay: Outlay | None) -> dict[str, Any] | None:
    if outlay is None:
        return None
    quote = outlay.together
    return {"at": quote.renewal_at, "before": quote.renewal_before, "after": quote.renewal_after}
