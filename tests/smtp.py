"""A mail server of our own on 127.0.0.1: it keeps what it is given, and can be slow, or away.

It can ask for encryption (STARTTLS) and a password before it takes anything.
"""

import asyncio
import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message

LARGEST_MAIL = 16 * 1024 * 1024


@dataclass
class _Caller:
    """Who talks to the server, as far as that is known."""

    known: bool
    encrypted: bool = False


@dataclass
class MailServer:
    """Mails taken so far; while ``gate`` is closed, a mail is read and left without an answer.

    With ``tls`` it offers STARTTLS; with ``login`` ("user:password") it takes mail after that password only, and after
    encryption where it offers one. ``refused_addresses`` are refused among others that are taken.
    """

    port: int = 0
    mails: list[Message] = field(default_factory=list)
    refuses: bool = False
    gate: threading.Event = field(default_factory=threading.Event)
    holding: threading.Event = field(default_factory=threading.Event)
    tls: ssl.SSLContext | None = None
    login: str | None = None
    refused_addresses: frozenset[str] = frozenset()
    said: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def subjects(self) -> list[str]:
        return sorted(str(mail["Subject"]) for mail in self.mails)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._converse(reader, writer)
        writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink\r\n")
        caller = _Caller(known=self.login is None)
        while line := await reader.readline():
            verb = line.split()[0].upper() if line.split() else b""
            self.said.append(verb.decode())
            if await self._introduce(caller, verb, line, writer):
                pass
            elif verb == b"RCPT" and any(address.encode() in line for address in self.refused_addresses):
                writer.write(b"550 no such mailbox\r\n")
            elif verb == b"DATA" and not self.refuses:
                writer.write(b"354 go on\r\n")
                content = await reader.readuntil(b"\r\n.\r\n")
                self.holding.set()
                await asyncio.to_thread(self.gate.wait, 60)
                if reader.at_eof():  # the sender died meanwhile
                    break
                self.mails.append(message_from_bytes(content[:-5]))
                writer.write(b"250 taken\r\n")
            elif verb == b"RCPT" and self.refuses:
                writer.write(b"451 later\r\n")
            elif verb == b"QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 ok\r\n")
            await writer.drain()

    async def _introduce(self, caller: _Caller, verb: bytes, line: bytes, writer: asyncio.StreamWriter) -> bool:
        """Answer what comes before a mail; tell whether it was that."""
        if verb == b"EHLO":
            offers = [b"STARTTLS"] if self.tls and not caller.encrypted else [b"AUTH PLAIN"] if self.login else []
            # The first line names the server, the last one has no dash.
            lines = [b"sink", *offers]
            writer.write(b"".join(b"250-" + one + b"\r\n" for one in lines[:-1]) + b"250 " + lines[-1] + b"\r\n")
        elif verb == b"STARTTLS" and self.tls:
            writer.write(b"220 go on\r\n")
            await writer.drain()
            await writer.start_tls(self.tls)
            caller.encrypted = True
        elif verb == b"AUTH":
            given = base64.b64decode(line.split()[2]).decode().split("\0")
            caller.known = (caller.encrypted or self.tls is None) and ":".join(given[1:]) == self.login
            writer.write(b"235 welcome\r\n" if caller.known else b"535 who are you\r\n")
        elif verb == b"MAIL" and not caller.known:
            writer.write(b"530 sign in first\r\n")
        else:
            return False
        return True


@contextmanager
def mail_server(port: int = 0, *, tls: ssl.SSLContext | None = None, login: str | None = None) -> Iterator[MailServer]:
    """Run a mail server in a thread."""
    sink = MailServer(tls=tls, login=login)
    sink.gate.set()
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        server = await asyncio.start_server(sink.serve, "127.0.0.1", port, limit=LARGEST_MAIL)
        sink.port = server.sockets[0].getsockname()[1]
        started.set()
        await stop.wait()
        server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    started.wait(5)
    try:
        yield sink
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
