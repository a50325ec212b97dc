"""The service's processes on one machine: started, restarted after a crash, ended with their work done."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType

import structlog

from bridge.cli import child

log = structlog.get_logger()

_WATCH_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 10.0
_STEADY_SECONDS = 30.0
#: How long a child may take to finish what is under way: a little more than it allows itself.
STOP_SECONDS = 40.0


@dataclass(slots=True)
class Child:
    """One process of the service, by the command line that starts it."""

    name: str
    command: Sequence[str]
    keeps: tuple[int, ...] = ()
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    failures: int = 0
    due_at: float = 0.0

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it, in a session of its own: a Ctrl-C in the terminal reaches the service only."""
        self.process = subprocess.Popen(  # noqa: S603 (the service's own command lines)
            [sys.executable, "-I", "-S", child.__file__, str(os.getpid()), *self.command],
            stdin=subprocess.DEVNULL,
            env=dict(environment),
            pass_fds=self.keeps,
            start_new_session=True,
        )
        self.started_at = time.monotonic()

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None


@dataclass(slots=True)
class Processes:
    """Children that run until TERM or INT.

    Args:
        children: In the order in which they are started and asked to stop.
        environment: What they run in.
        is_ready: Asked until it says yes; then ``announce`` is called, once.
        announce: Tells people that the service is ready.
    """

    children: Sequence[Child]
    environment: Mapping[str, str]
    is_ready: Callable[[], bool]
    announce: Callable[[], None]
    _stopping: threading.Event = field(default_factory=threading.Event)
    _hurry: bool = False

    def run(self) -> int:
        """Start everything, watch it, and return an exit status once everything has ended.

        A child that ends by itself is started again after 0.5, 1, 2 ... at most 10 seconds; one that ends before the
        service was ever ready ends the service, because nobody is there to wait.
        """
        previous = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            for one in self.children:
                one.start(self.environment)
            return self._watch()
        finally:
            self._stop()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._hurry = self._stopping.is_set()
        self._stopping.set()

    def _watch(self) -> int:
        ready = False
        while not self._stopping.wait(_WATCH_SECONDS):
            if not ready and all(one.is_running for one in self.children) and self.is_ready():
                ready = True
                self.announce()
            for one in self.children:
                if one.is_running:
                    continue
                if not ready:
                    status = one.process.returncode if one.process else None
                    log.error("process.did_not_start", process=one.name, status=status)
                    return 1
                self._restart_when_due(one)
        return 0

    def _restart_when_due(self, one: Child) -> None:
        now = time.monotonic()
        if one.due_at == 0.0:
            if now - one.started_at > _STEADY_SECONDS:
                one.failures = 0
            pause = min(_LONGEST_BACKOFF_SECONDS, 0.5 * 2**one.failures)
            one.failures += 1
            one.due_at = now + pause
            status = one.process.returncode if one.process else None
            log.error("process.ended", process=one.name, status=status, restart_seconds=pause)
        elif now >= one.due_at:
            one.due_at = 0.0
            one.start(self.environment)
            log.warning("process.restarted", process=one.name)

    def _stop(self) -> None:
        """Ask every child to finish what is under way, wait for it, and kill what takes too long (or is told to)."""
        for one in self.children:
            if one.process is not None and one.is_running:
                one.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while any(one.is_running for one in self.children):
            if self._hurry or time.monotonic() > deadline:
                for one in self.children:
                    if one.process is not None and one.is_running:
                        log.warning("process.killed", process=one.name)
                        os.killpg(one.process.pid, signal.SIGKILL)
                        one.process.wait()
                return
            time.sleep(_WATCH_SECONDS / 2)
