"""A mail server of our own on 127.0.0.1: it keeps what it is given, and can be slow, or away."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message


@dataclass
class MailServer:
    """Mails taken so far; while ``gate`` is closed, a mail is read and left without an answer."""

    port: int = 0
    mails: list[Message] = field(default_factory=list)
    refuses: bool = False
    gate: threading.Event = field(default_factory=threading.Event)
    holding: threading.Event = field(default_factory=threading.Event)

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
        while line := await reader.readline():
            verb = line.split()[0].upper() if line.split() else b""
            if verb == b"DATA" and not self.refuses:
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


@contextmanager
def mail_server(port: int = 0) -> Iterator[MailServer]:
    """Run a mail server in a thread."""
    sink = MailServer()
    sink.gate.set()
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        server = await asyncio.start_server(sink.serve, "127.0.0.1", port)
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
