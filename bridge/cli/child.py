"""Becoming a child process that does not outlive the service: run as a script, with the standard library only.

Arguments: the process id of the service, then the command line. On Linux the kernel sends TERM when the service dies,
killed or not; elsewhere the child ends with the signals that the service sends.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Follow the parent into death, then become the command."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before we could ask
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 (the service's own command line, no shell wanted)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
