"""Running the simulated identity provider's site in a thread."""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from bridge.simulator.company import Company
from bridge.simulator.web import create_site


class _QuietHandler(WSGIRequestHandler):
    """Logs nothing: the tour's own lines are on the same terminal."""

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 (werkzeug's own name)
        del type
        logging.getLogger("bridge.simulator").debug(message, *args)


def bind(port: int = 0) -> BaseWSGIServer:
    """Bind a free port of ``localhost`` (or the given one) before anything is served there."""
    server = make_server("localhost", port, _not_yet, threaded=True, request_handler=_QuietHandler)
    server.daemon_threads = True  # type: ignore[attr-defined] # of the threaded server, which make_server returns
    return server


@contextmanager
def serving(server: BaseWSGIServer, companies: Mapping[str, Company], product_url: str) -> Iterator[None]:
    """Serve the companies' site on a bound server meanwhile."""
    server.app = create_site(companies, product_url)
    thread = threading.Thread(target=server.serve_forever, name="simulated-idp", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
        for company in companies.values():
            company.close()


def _not_yet(_environ: object, start_response: object) -> list[bytes]:
    assert callable(start_response)
    start_response("503 Service Unavailable", [("Retry-After", "1")])
    return []
