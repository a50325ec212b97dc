"""A process that is killed at a named point of an order's way: started by the tests of orders at a billing core."""

import json
import os
import re
import signal
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import SecretStr
from sqlalchemy import event, make_url

from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.core import BillingService, CoreOrder, OrderRequest
from bridge.domain.actors import OPERATOR
from bridge.domain.identifiers import OrgId
from bridge.jobs.work import place_orders_due
from bridge.runtime import Runtime, build_runtime, open_core
from bridge.usecases.buy_seats import confirm_seats

#: Before which statement, of those that write an order and settle it.
STATEMENTS = {
    "confirmation.before_the_order_is_written": r"INSERT INTO billing_order",
    "settlement.between_mark_and_invoice": r"INSERT INTO invoice ",
    "settlement.between_invoice_and_pools": r"UPDATE seat_pool",
}
#: Before the commit of the transaction that ran this statement.
COMMITS = {
    "confirmation.before_commit": r"INSERT INTO billing_order",
    "claim.before_commit": r"UPDATE billing_order SET attempts",
    "settlement.before_commit": r"UPDATE seat_pool",
}
#: Around what is asked of the core.
CALLS = ("call.before_reserve", "call.after_reserve", "call.after_confirm")
#: After everything: the answer is lost to whoever waits for it.
ENDS = ("confirmation.after_commit", "settlement.after_commit")
POINTS = (*STATEMENTS, *COMMITS, *CALLS, *ENDS)


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


@dataclass
class DeadlyService:
    """The way to the core, with death beside it."""

    service: BillingService
    point: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.service, name)

    def reserve(self, order: OrderRequest) -> CoreOrder:
        if self.point == "call.before_reserve":
            die()
        found = self.service.reserve(order)
        if self.point == "call.after_reserve":
            die()
        return found

    def confirm(self, key: str) -> CoreOrder:
        found = self.service.confirm(key)
        if self.point == "call.after_confirm":
            die()
        return found


def arm(runtime: Runtime, point: str) -> None:
    """Have the process die at a statement or a commit."""
    seen = []

    def before(_c: object, _r: object, statement: str, *_more: object) -> None:
        if point in STATEMENTS and re.match(STATEMENTS[point], statement):
            die()
        if point in COMMITS and re.match(COMMITS[point], statement):
            seen.append(statement)

    def committing(_connection: object) -> None:
        if seen:
            die()

    event.listen(runtime.engine, "before_cursor_execute", before)
    event.listen(runtime.engine, "commit", committing)


def deadly_factory(point: str) -> Callable[[Settings, str, str, str], Any]:
    return lambda settings, url, token, secret: DeadlyService(open_core(settings, url, token, secret), point)


def main() -> None:
    facts = json.loads(sys.argv[1])
    point = facts["point"]
    settings = Settings.model_validate(
        {
            "database": {"url": SecretStr(facts["url"])},
            "secrets": {"keys": (facts["key"],)},
            "billing": {"internal_hosts": ("127.0.0.1",)},
        }
    )
    runtime = build_runtime(settings, make_url(facts["url"]), payments=BuiltinPayments())
    runtime.core_factory = deadly_factory(point)
    arm(runtime, point)
    if point.startswith("confirmation"):
        with runtime.unit(OrgId(uuid.UUID(facts["org"])), OPERATOR) as unit:
            confirm_seats(unit, uuid.UUID(facts["preview"]), acknowledged=True)
    else:
        place_orders_due(runtime)
    die()


if __name__ == "__main__":
    main()
