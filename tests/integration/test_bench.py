"""``./dev bench scim`` with tiny numbers: both services run, every workload is answered, and the data adds up."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bridge.domain.actors import OPERATOR
from bridge.store.gate import list_organizations
from bridge.store.journal import verify
from bridge.usecases.reconcile import reconcile_pools
from tests.bench.plan import QUICK, TITLES, Sync
from tests.bench.rounds import Pace
from tests.bench.run import Run
from tests.bench.worlds import open_runtime, world
from tests.postgres import quickest_folder

pytestmark = pytest.mark.slow

#: All but the second worker, which would only start more processes.
NAMES = tuple(name for name in TITLES if name != "workers")
TINY = replace(QUICK, sizes=(100,), pace=Pace(rounds=1, seconds=0.02), only=NAMES, syncs=(Sync(2, 8, 2),))


@pytest.fixture(scope="module")
def finished() -> Iterator[Run]:
    with world(quickest_folder(), durable=False) as built:
        run = Run(built, TINY, lambda _: None)
        run.all()
        yield run


def test_every_workload_is_measured(finished: Run) -> None:
    results = finished.results
    found = {one.key for one in results.comparisons} | {one.key for one in results.facts}

    assert results.failures == []
    assert found == set(NAMES)


def test_the_seats_and_the_audit_chain_of_a_filled_database_add_up(finished: Run) -> None:
    with open_runtime(finished.world.url(finished.ours[100].database), finished.world.key) as runtime:
        ((org_id, _, _),) = runtime.ask_gate(list_organizations)
        with runtime.unit(org_id, OPERATOR) as unit:
            found = reconcile_pools(unit), verify(unit)

    assert found == ([], None)
