"""The first page: where seats, money, connections and people stand now, and what needs a decision."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from bridge.domain.identifiers import MemberId
from bridge.domain.provisioning import ProvisioningMode
from bridge.domain.roles import Permission
from bridge.ports import Bill
from bridge.store.agreed import is_followed
from bridge.store.models import Alert, Contract, Decision
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.alerts import ABOUT_MONEY, SENTENCES, open_alerts
from bridge.usecases.evaluations import EvaluationView, read_evaluation
from bridge.usecases.explain import ExplainedDecision, explain_decisions
from bridge.usecases.licences import LicencesNow, licences_if_any
from bridge.usecases.people import HeadCounts, count_people, name_people
from bridge.usecases.provisioning_mode import mode_of
from bridge.usecases.read_connections import ConnectionHealth, read_connections
from bridge.usecases.seats import FeeView, PoolView, pool_views, read_contract, read_fee_view
from mappings.tiers import TierLadder

LATEST = 8
PEOPLE_NAMED = 5


@dataclass(frozen=True, slots=True)
class AlertGroup:
    """Open alerts of one kind: ``people`` are the first few they concern, ``count`` how many alerts there are."""

    code: str
    tier: str | None
    tier_name: str | None
    detail: str
    at: datetime
    people: tuple[tuple[MemberId, str], ...]
    count: int


@dataclass(frozen=True, slots=True)
class LatestDecision:
    """A decision of the last days, with whom it is about; the name is None when the person has left."""

    member_id: MemberId
    member_name: str | None
    decision: ExplainedDecision


@dataclass(frozen=True, slots=True)
class Overview:
    """What the first page shows; ``renewal`` is None for who may not see prices, and when the plan ends.

    ``fee`` is None for a plan that is sold by seats.
    """

    ladder: TierLadder
    counts: HeadCounts
    contract: Contract
    pools: tuple[PoolView, ...]
    waiting_for_any: int
    renewal: Bill | None
    following: Bill | None
    connections: tuple[ConnectionHealth, ...]
    mode: ProvisioningMode
    alerts: tuple[AlertGroup, ...]
    latest: tuple[LatestDecision, ...]
    fee: FeeView | None = None
    licences: LicencesNow | None = None
    evaluation: EvaluationView | None = None
    followed: bool = False


def read_overview(unit: Unit) -> Overview:
    """Read the first page.

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    pools = read_pools(unit)
    ladder = ladder_of(pools)
    views, waiting_for_any = pool_views(unit, pools)
    contract = read_contract(unit)
    alerts = open_alerts(unit)
    decisions = unit.session.scalars(
        select(Decision)
        .where(Decision.org_id == unit.org_id)
        .order_by(Decision.at.desc(), Decision.seq.desc())
        .limit(LATEST)
    ).all()
    concerned = {alert.member_id for alert in alerts if alert.member_id is not None}
    names = name_people(unit, concerned | {one.member_id for one in decisions})
    sees_money = unit.actor.may(Permission.SEE_BILLING)
    return Overview(
        ladder=ladder,
        counts=count_people(unit),
        contract=contract,
        pools=views,
        waiting_for_any=waiting_for_any,
        renewal=unit.billing.next_renewal() if sees_money and contract.status == "active" else None,
        following=unit.billing.following_bill() if sees_money and contract.status == "active" else None,
        connections=read_connections(unit, counts_people=False),
        mode=mode_of(unit),
        alerts=_grouped(alerts, ladder, names, sees_money=sees_money),
        latest=tuple(
            LatestDecision(stored.member_id, names.get(stored.member_id), decision)
            for stored, decision in zip(decisions, explain_decisions(unit, decisions, ladder), strict=True)
        ),
        licences=licences_if_any(unit),
        fee=read_fee_view(unit, contract),
        evaluation=read_evaluation(unit),
        followed=is_followed(unit),
    )


def _grouped(
    alerts: list[Alert], ladder: TierLadder, names: dict[MemberId, str], *, sees_money: bool
) -> tuple[AlertGroup, ...]:
    """Gather alerts of one kind and tier, the newest first; sums and invoices are for who may see them (rule Z1)."""
    kinds: dict[tuple[str, str | None], list[Alert]] = {}
    for alert in alerts:
        kinds.setdefault((alert.code, alert.tier), []).append(alert)
    return tuple(
        AlertGroup(
            code=code,
            tier=tier if tier in ladder else None,
            tier_name=ladder.name_of(tier) if tier in ladder else None,
            detail=same[0].detail if sees_money or code not in ABOUT_MONEY else SENTENCES[code],
            at=same[0].at,
            people=tuple(
                (alert.member_id, names[alert.member_id])
                for alert in reversed(same)
                if alert.member_id is not None and alert.member_id in names
            )[:PEOPLE_NAMED],
            count=len(same),
        )
        for (code, tier), same in kinds.items()
    )
