"""A real HTTP server over the SCIM blueprint, for checkers that bring their own client and for races."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from flask import Flask
from werkzeug.serving import make_server

from scim.edge import scim_blueprint
from tests.factories import Customer


@contextmanager
def live_server(customer: Customer) -> Iterator[str]:
    """Serve SCIM on a free port of the loopback and yield the organization's SCIM root."""
    server = make_server("127.0.0.1", 0, Flask(__name__), threaded=True)
    url = f"http://127.0.0.1:{server.port}"
    settings = customer.runtime.settings
    # This server has a thread for every request, and no limit is to be seen here.
    server_settings = settings.server.model_copy(update={"public_url": url, "threads": 256})
    scim_settings = settings.scim.model_copy(update={"concurrent_requests": 256})
    public = settings.model_copy(update={"server": server_settings, "scim": scim_settings})
    app = Flask(__name__)
    app.register_blueprint(scim_blueprint(replace(customer.runtime, settings=public)))
    server.app = app
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{url}/scim/v2/{customer.slug}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
