import asyncio
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bridge.adapters.fetch import fetch_https, public_address
from bridge.errors import InvalidInputError


class Handler(BaseHTTPRequestHandler):
    hosts: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        Handler.hosts.append(self.headers["Host"])
        if self.path == "/redirect":
            self._answer(302, b"", Location="http://169.254.169.254/latest")
        elif self.path == "/large":
            self._answer(200, b"x" * 2000)
        elif self.path == "/gzip":
            self._answer(200, b"x", **{"Content-Encoding": "gzip"})
        elif self.path == "/missing":
            self._answer(404, b"no")
        elif self.path == "/drip-headers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
            for _ in range(20):
                self.wfile.write(b"x")
                time.sleep(0.1)
        elif self.path == "/drip":
            self.send_response(200)
            self.end_headers()
            for _ in range(20):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.1)
        else:
            self._answer(200, self.path.encode())

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: Any) -> None:
        """Stay silent."""


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[int]:
    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that gives up is what these tests are about."""

    server = Quiet(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as port:
        yield port


def problem(url: str, **options: Any) -> str:
    settings: dict[str, Any] = {"max_bytes": 1000, "timeout_seconds": 2, "allow_loopback": True}
    with pytest.raises(InvalidInputError) as refusal:
        fetch_https(url, **(settings | options))
    assert refusal.value.field == "url"
    return refusal.value.problem


def test_fetches_path_and_query(port: int) -> None:
    body = fetch_https(f"http://127.0.0.1:{port}/a/b?c=d&e", max_bytes=1000, timeout_seconds=2, allow_loopback=True)

    assert body == b"/a/b?c=d&e"


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example/",
        "ftp://idp.example/",
        "file:///etc/hostname",
        "https://",
        "https://user:secret@idp.example/",
        "https://idp.example /",
        "https://idp.example/\r\nX-Injected: 1",
        "https://[::1",
        "https://idp.example:99999/",
        "idp.example",
        "",
    ],
)
def test_refuses_what_is_not_a_plain_https_url(url: str) -> None:
    assert problem(url, allow_loopback=False, resolve=lambda _host, _port: ["93.184.215.14"])


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - an address to refuse, nothing is bound
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a00:1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:53aa:64c:0:0:0:0",
        "2001:db8::1",
    ],
)
def test_i8_refuses_a_name_that_leads_to_a_private_or_reserved_address(address: str) -> None:
    sentence = problem("https://idp.example/", allow_loopback=False, resolve=lambda _host, _port: [address])

    assert "private or reserved" in sentence


def test_i8_refuses_a_name_with_one_private_address_among_public_ones() -> None:
    with pytest.raises(InvalidInputError, match="private or reserved"):
        public_address("idp.example", 443, resolve=lambda _host, _port: ["93.184.215.14", "10.0.0.1"])


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:220:1::1", "64:ff9b::5db8:d70e"])
def test_accepts_a_public_address(address: str) -> None:
    assert str(public_address("idp.example", 443, resolve=lambda _host, _port: [address])) == address


@pytest.mark.parametrize("host", ["0x7f000001", "2130706433", "127.1", "017700000001"])
def test_i8_refuses_other_ways_to_write_this_machine(host: str) -> None:
    assert problem(f"https://{host}/", allow_loopback=False)


def test_i8_http_is_for_this_machine_only() -> None:
    assert "https://" in problem("http://idp.example/", resolve=lambda _host, _port: ["93.184.215.14"])


def test_refuses_a_name_that_does_not_resolve() -> None:
    def nowhere(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    assert "cannot be resolved" in problem("https://idp.example/", resolve=nowhere)
    assert "no address" in problem("https://idp.example/", resolve=lambda _host, _port: [])


def test_i8_connects_to_the_address_that_was_checked_and_resolves_once(port: int) -> None:
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    body = fetch_https(
        f"http://idp.example:{port}/x", max_bytes=10, timeout_seconds=2, allow_loopback=True, resolve=rebinding
    )

    assert (body, asked, Handler.hosts[-1]) == (b"/x", ["idp.example"], f"idp.example:{port}")


def test_i8_follows_no_redirect(port: int) -> None:
    assert "redirects elsewhere" in problem(f"http://127.0.0.1:{port}/redirect")


def test_refuses_a_body_that_is_too_large_or_compressed_or_missing(port: int) -> None:
    assert "larger than" in problem(f"http://127.0.0.1:{port}/large")
    assert "compressed" in problem(f"http://127.0.0.1:{port}/gzip")
    assert "404" in problem(f"http://127.0.0.1:{port}/missing")


@pytest.mark.parametrize("path", ["drip", "drip-headers"])
def test_gives_up_on_a_server_that_drips(port: int, path: str) -> None:
    started = time.monotonic()

    assert "too long" in problem(f"http://127.0.0.1:{port}/{path}", timeout_seconds=0.3)

    assert time.monotonic() - started < 1


def test_says_so_when_nobody_listens() -> None:
    with serving() as port:
        pass

    assert "could not be read" in problem(f"http://127.0.0.1:{port}/")


def test_checks_the_certificate_against_the_name_not_the_address(tmp_path: Path) -> None:
    server, trust = contexts(tmp_path, "idp.example")
    options: dict[str, Any] = {
        "max_bytes": 100,
        "timeout_seconds": 2,
        "allow_loopback": True,
        "resolve": lambda _host, _port: ["127.0.0.1"],
    }

    with serving(server) as port:
        assert fetch_https(f"https://idp.example:{port}/ok", trust=trust, **options) == b"/ok"
        assert "could not be read" in problem(f"https://other.example:{port}/ok", trust=trust, **options)
        assert "could not be read" in problem(f"https://idp.example:{port}/ok", **options)


def contexts(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's context with a self-signed certificate for ``name``, and one that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    trust = ssl.create_default_context(cafile=str(pem))
    return server, trust


def test_works_inside_an_event_loop_too() -> None:
    async def inside() -> None:
        with pytest.raises(InvalidInputError):
            fetch_https("https://127.0.0.1:1/", max_bytes=10, timeout_seconds=1, allow_loopback=True)

    with ThreadPoolExecutor(1) as own:  # the main thread may have a browser's loop already
        own.submit(lambda: asyncio.run(inside())).result()
