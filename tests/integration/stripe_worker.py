"""Confirms every reserved order at Stripe, with several threads, until none is left or somebody kills it."""

import json
import random
import sys
import threading
import time
from datetime import datetime

from pydantic import SecretStr
from sqlalchemy import make_url, select

from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.domain.actors import SYSTEM
from bridge.domain.identifiers import OrgId, parse_id
from bridge.errors import BillingCoreUnreachableError
from bridge.runtime import Runtime, build_runtime
from bridge.store.models import StripeOrder
from tests.conftest import SettableClock
from tests.fakes.stripe import service_of


def open_keys(runtime: Runtime, org_id: OrgId) -> list[str]:
    """Return the orders that are not settled, in no order."""
    with runtime.unit(org_id, SYSTEM) as unit:
        keys = list(unit.session.scalars(select(StripeOrder.key).where(StripeOrder.state == "reserved")))
    random.shuffle(keys)
    return keys


def work(runtime: Runtime, org_id: OrgId, stripe_url: str) -> None:
    """Take orders in turn until all are settled."""
    service = service_of(runtime, org_id, stripe_url)
    while keys := open_keys(runtime, org_id):
        for key in keys:
            try:
                service.confirm(key)
            except BillingCoreUnreachableError:
                time.sleep(0.05)
                break


def main() -> None:
    """Run the threads and end when they do."""
    facts = json.loads(sys.argv[1])
    settings = Settings.model_validate(
        {"database": {"url": SecretStr(facts["url"]), "pool_size": 8}, "secrets": {"keys": (facts["key"],)}}
    )
    clock = SettableClock(datetime.fromisoformat(facts["at"]))
    runtime = build_runtime(settings, make_url(facts["url"]), payments=BuiltinPayments(), clock=clock)
    identifier = parse_id(facts["org"])
    assert identifier is not None
    threads = [
        threading.Thread(target=work, args=(runtime, OrgId(identifier), facts["stripe"]))
        for _ in range(facts["threads"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runtime.close()


if __name__ == "__main__":
    main()
