"""The two limits of tracking that are the host's: changed for a while, and put back whatever happens.

The trap: ``nf_conntrack_max`` is compared with every namespace's own count, so a small one refuses entries of whoever
else tests on this machine. Whoever drives the kernel takes a lock: many may run side by side, a change is alone. What
puts the limits back is a process of its own, which waits for the end of this one.
"""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX = Path("/proc/sys/net/netfilter/nf_conntrack_max")
BUCKETS = Path("/proc/sys/net/netfilter/nf_conntrack_buckets")
LOCK = Path("/run/lock/tablefull-nf_conntrack.lock")

# Reads what to write from its arguments, acts when its input ends; a signal to this process or its group is not for it.
_RESTORER = """
import signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
print("armed", flush=True)
sys.stdin.read()
for pair in sys.argv[1:]:
    path, _, value = pair.partition("=")
    with open(path, "w") as file:
        file.write(value)
"""


@contextmanager
def shared() -> Iterator[None]:
    """Nobody who uses this module changes the limits meanwhile."""
    with _locked(fcntl.LOCK_SH):
        yield


@contextmanager
def limits(maximum: int | None = None, buckets: int | None = None) -> Iterator[None]:
    """``nf_conntrack_max`` and ``nf_conntrack_buckets`` of the whole host, as they were again at the end."""
    wanted = {MAX: maximum, BUCKETS: buckets}
    with _locked(fcntl.LOCK_EX) as lock:
        before = {path: path.read_text().strip() for path in wanted}
        words = [sys.executable, "-c", _RESTORER, *(f"{path}={value}" for path, value in before.items())]
        # The lock is the restorer's too: nobody else changes anything before it has acted.
        restorer = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, pass_fds=(lock,)
        )
        assert restorer.stdin is not None
        assert restorer.stdout is not None
        try:
            if restorer.stdout.readline() != b"armed\n":
                raise OSError("nobody would put the limits back")
            for path in (BUCKETS, MAX):
                if (value := wanted[path]) is not None:
                    path.write_text(str(value))
            yield
        finally:
            restorer.stdin.close()
            restorer.wait()
            restorer.stdout.close()
        after = {path: path.read_text().strip() for path in wanted}
        if after != before:
            raise OSError(f"the limits are {after} and were {before}")


@contextmanager
def _locked(how: int) -> Iterator[int]:
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, how)
        yield descriptor
    finally:
        os.close(descriptor)
