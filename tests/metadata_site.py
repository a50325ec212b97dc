"""An address that gives an identity provider's metadata, on this machine, and whatever else a test wants."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class MetadataSite:
    """A running site; what it answers can be changed at any time."""

    def __init__(self, port: int, document: bytes) -> None:
        self.url = f"http://127.0.0.1:{port}/metadata"
        self.document = document
        self.status = 200
        self.location: str | None = None
        self.while_reading: Callable[[], None] = lambda: None


@contextmanager
def metadata_site(document: bytes) -> Iterator[MetadataSite]:
    """Serve a document until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.while_reading()
            self.send_response(site.status)
            if site.location is not None:
                self.send_header("Location", site.location)
            self.end_headers()
            self.wfile.write(site.document)

        def log_message(self, *_: Any) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = MetadataSite(server.server_port, document)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
