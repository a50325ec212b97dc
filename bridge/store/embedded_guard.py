"""Parent process of the embedded PostgreSQL: stops it when the service that wanted it is gone.

Run as a script with nothing but the standard library (``python -I -S embedded_guard.py``). Standard input is
a pipe whose other end only the service holds: it closes with the service's last breath, SIGKILL included, on
every POSIX system. The guard lives in its own session, so Ctrl-C in a terminal does not reach PostgreSQL
before the service has finished its requests.

Arguments: uid and gid to run as (-1: our own), the inherited descriptor of the lock, then the command line.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

_PR_SET_PDEATHSIG = 1
_FAST_SHUTDOWN_SECONDS = 30
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def main(arguments: list[str]) -> int:
    """Run the server until it ends by itself or standard input closes; return its exit status."""
    uid, gid, lock, *command = arguments
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if int(uid) >= 0:
        os.setgroups([])
    server = subprocess.Popen(  # noqa: S603 (the command line is the service's own)
        command,
        stdin=subprocess.DEVNULL,
        env=_ENVIRONMENT,
        pass_fds=(int(lock),),
        user=int(uid) if int(uid) >= 0 else None,
        group=int(gid) if int(gid) >= 0 else None,
        preexec_fn=_before_exec,  # noqa: PLW1509 (no thread has been started yet)
    )
    # From here on only PostgreSQL's processes hold the lock: it is free exactly when the last of them has
    # ended.
    os.close(int(lock))
    threading.Thread(target=_stop_with_service, args=(server,), daemon=True).start()
    return server.wait()


def _before_exec() -> None:
    """Undo the ignored signals, and on Linux follow the guard into death should it be killed itself."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _stop_with_service(server: "subprocess.Popen[bytes]") -> None:
    """Wait for the pipe, then shut down fast (SIGINT), and the harder way when that takes too long."""
    os.read(0, 1)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        server.send_signal(number)
        try:
            server.wait(_FAST_SHUTDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return


if __name__ == "__main__":
    sys.exit(abs(main(sys.argv[1:])))
