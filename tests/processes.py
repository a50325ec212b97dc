"""The product's own processes for tests: started as an operator would, in files one can read afterwards."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Product:
    """One running ``seatbridge`` command."""

    process: "subprocess.Popen[bytes]"
    output: Path

    @property
    def text(self) -> str:
        return self.output.read_text()

    def kill(self) -> None:
        """End it as the kernel does when memory is short."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to stop and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def seatbridge(*arguments: str, environment: Mapping[str, str], folder: Path) -> Iterator[Product]:
    """Run ``seatbridge ...`` until the block ends; killed if it is still there then."""
    output = folder / f"{arguments[0]}-{time.monotonic_ns()}.log"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "bridge.cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=ROOT,
            env={**_clean_environment(), **environment},
        )
        try:
            yield Product(process, output)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(PATIENCE_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def run_seatbridge(*arguments: str, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "bridge.cli", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**_clean_environment(), **environment},
        timeout=PATIENCE_SECONDS * 2,
    )


def eventually(holds: Callable[[], bool], *, within_seconds: float = PATIENCE_SECONDS) -> bool:
    """Wait until something holds, and say whether it came to that."""
    deadline = time.monotonic() + within_seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SEATBRIDGE")}
