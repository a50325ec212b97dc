"""A process that previews and applies other mappings over a database, and prints as JSON what that cost.

``python -m tests.bench.remapping SMALL LARGE KEY``: two databases' URLs and the service's key. The preview over the
small one loads what Python loads once, so that the memory of the next is what the people cost.
"""

import json
import resource
import sys
import time
from statistics import median

from sqlalchemy import URL, make_url

from bridge.domain.actors import OPERATOR
from bridge.runtime import Runtime
from bridge.store.gate import list_organizations
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.preview_mappings import preview_mappings
from tests.bench.people import mapping_document
from tests.bench.worlds import open_runtime

_PREVIEWS = 3
_APPLIES = 3
_BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024


def preview(runtime: Runtime, *, movers: bool) -> float:
    """Return the seconds that a preview takes, its transaction included."""
    ((org_id, _, _),) = runtime.ask_gate(list_organizations)
    started = time.perf_counter()
    with runtime.unit(org_id, OPERATOR) as unit:
        preview_mappings(unit, mapping_document(movers=movers))
    return time.perf_counter() - started


def apply(runtime: Runtime, *, movers: bool) -> tuple[float, int]:
    """Return the seconds that applying takes, its transaction included but not the preview's, and how many it moved."""
    ((org_id, _, _),) = runtime.ask_gate(list_organizations)
    with runtime.unit(org_id, OPERATOR) as unit:
        shown = preview_mappings(unit, mapping_document(movers=movers))
    started = time.perf_counter()
    with runtime.unit(org_id, OPERATOR) as unit:
        applied = apply_mappings(unit, shown.id, acknowledged=True)
    return time.perf_counter() - started, applied.moved


def main(small: URL, large: URL, key: str) -> None:
    """Measure and print."""
    with open_runtime(small, key) as runtime:
        preview(runtime, movers=True)
    with open_runtime(large, key) as runtime:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seconds = [preview(runtime, movers=True)]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seconds += [preview(runtime, movers=True) for _ in range(_PREVIEWS - 1)]
        # There and back: either way everybody of the group moves.
        applied = [apply(runtime, movers=number % 2 == 0) for number in range(_APPLIES)]
    found = {
        "preview_seconds": median(seconds),
        "preview_megabytes": (peak - before) * _BYTES_PER_UNIT / 1e6,
        "apply_seconds": median(taken for taken, _ in applied),
        "moved": min(moved for _, moved in applied),
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(make_url(sys.argv[1]), make_url(sys.argv[2]), sys.argv[3])
