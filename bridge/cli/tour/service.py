"""The service of the tour: the same processes as in production, started beside the tour and ended with it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import click
import httpx

from bridge.cli import child
from bridge.simulator.wire import tls_context

THREADS = 8
_READY_SECONDS = 60.0
_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.03
_BACKLOG = 128
_TAIL_LINES = 15


def listen(wanted: int, *, host: str = "127.0.0.1") -> socket.socket:
    """Listen on the wanted port where it is free, else on another one.

    The socket is handed to the service, so that nobody else can take the port in between.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, wanted))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if wanted == 0:
            raise click.ClickException(f"No port of {host} is free: {error.strerror}") from error
        return listen(0, host=host)
    return listener


def web_command(listener: socket.socket) -> list[str]:
    """Return the command line of the web process."""
    options = {
        "bind": f"fd://{listener.fileno()}",
        "workers": 1,
        "worker-class": "gthread",
        "threads": THREADS,
        "graceful-timeout": 5,
        "log-level": "warning",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "gunicorn", "--no-control-socket", *flags, "wsgi:create_app()"]


def worker_command() -> list[str]:
    """Return the command line of the worker process."""
    return [sys.executable, "-m", "bridge.cli", "worker"]


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], log: Path, *, keeps: tuple[int, ...] = ()
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process meanwhile; it ends with the block, and with this process even if that is killed.

    It has a session of its own: Ctrl-C in the terminal reaches the tour, which then ends everything in order.

    Args:
        command: Its command line.
        environment: All of its environment.
        log: Gets what it prints.
        keeps: Open files that it inherits.
    """
    with ExitStack() as stack:
        output = stack.enter_context(log.open("ab"))
        process = subprocess.Popen(  # noqa: S603 (the service's own command lines)
            [sys.executable, "-I", "-S", child.__file__, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            pass_fds=keeps,
            start_new_session=True,
        )
        stack.callback(_end, process)
        yield process


def wait_until_ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    """Wait until the service answers that it can serve.

    Raises:
        click.ClickException: It ended, or took too long; the message has the end of its log.
    """
    deadline = time.monotonic() + _READY_SECONDS
    with httpx.Client(timeout=5, verify=tls_context(url)) as client:
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if client.get(f"{url}/readyz").is_success:
                    return
            time.sleep(_POLL_SECONDS)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
    raise click.ClickException(f"The service did not start. The end of its log, {log}:\n{tail}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask the process to stop; end it and all that it started when it does not."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
