"""Work of one organization that fails stops nobody else's; work that is to stop leaves the rest to the next worker."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from bridge.domain.identifiers import OrgId
from bridge.errors import BridgeError, UnavailableError
from bridge.observability import bound_ids
from bridge.runtime import Runtime

log = structlog.get_logger()

#: Asked between two pieces of work: whether to leave the rest to the next worker.
Stopping = Callable[[], bool]


def never() -> bool:
    """Do not stop before the work is done."""
    return False


@contextmanager
def contained(event: str, org_id: OrgId) -> Iterator[None]:
    """Log what one organization's work died of, and go on with the next: the row stays due for the next sweep."""
    try:
        yield
    except UnavailableError as error:
        log.warning(event, org_id=str(org_id), error=error.code, detail=str(error))
    except Exception as error:
        code = error.code if isinstance(error, BridgeError) else type(error).__name__
        log.exception(event, org_id=str(org_id), error=code)


@contextmanager
def on_behalf_of(runtime: Runtime, work: str, request_id: str | None) -> Iterator[None]:
    """Do a piece of work under the id of the request that caused it: log lines, audit entries and the trace carry it.

    Args:
        runtime: The product.
        work: What it is, as traces name it.
        request_id: The request; None of what no request caused.
    """
    with bound_ids(request_id=request_id), runtime.traced(work):
        yield
