"""Whether a fix worked: the values as they now read, what the counters do, where the count goes, and a connection.

The trap: a value that reads as it was written says that the kernel took it, not that anybody can reach the host. So a
probe is tried before and after, in the same way: only what worked before and fails after speaks against the fix.
"""

import socket
import time
from collections.abc import Callable

from msgspec import Struct

from tablefull.errors import KernelRefused, UsageError
from tablefull.facts.origin import Hole
from tablefull.fixes import programs
from tablefull.fixes.act import Command, Step
from tablefull.live.netlink import in_namespace
from tablefull.live.occupancy import Occupancy, look, moved
from tablefull.live.proc import Proc

PROBE_S = 3.0
BEFORE_S = 1.0
STEP_S = 0.5
VERIFY_S = 5.0  # of a command: the time to confirm runs meanwhile
# Packets that somebody misses, and entries that had to make room (kernel/uapi.py).
TOLD = ("drop", "early_drop", "insert_failed", "invalid")


class Before(Struct, frozen=True):
    """What was seen before the change. ``probe`` None: none was asked for; else empty, or why it failed.

    ``address``: what the probe's name stood for then, so that afterwards nobody waits for a name service.
    """

    occupancy: Occupancy
    rates: dict[str, float] | None
    probe: str | None
    address: str | None = None


class Verified(Struct):
    """Lines for a person; ``wrong`` are those that speak against the fix."""

    lines: list[str]
    wrong: list[str]


def probe_target(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``, an IPv6 address in brackets. UsageError where it is neither."""
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"--probe {text[:80]!a}: HOST:PORT is wanted, such as 192.0.2.1:443 or [2001:db8::1]:443")
    return host.removeprefix("[").removesuffix("]"), int(port)


def resolved(text: str, space: str | None) -> str:
    """``ADDRESS:PORT`` for ``NAME:PORT``, as the name is known in the namespace; unchanged where it is not."""
    host, port = probe_target(text)
    try:
        found = in_namespace(space, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except OSError:
        return text
    address = str(found[0][4][0])
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def probe(text: str, space: str | None) -> str:
    """Connect from the namespace behind ``space``. Empty, or why it failed."""
    host, port = probe_target(text)

    def connect() -> str:
        try:
            with socket.create_connection((host, port), timeout=PROBE_S):
                return ""
        except TimeoutError:
            return f"no answer within {PROBE_S:g} s"
        except OSError as error:
            return (error.strerror or str(error)).lower()

    try:
        return in_namespace(space, connect)
    except OSError as error:
        return (error.strerror or str(error)).lower()


def before(space: str | None, target: str | None, over_s: float = BEFORE_S) -> Before:
    """Two looks ``over_s`` apart, and the probe."""
    first = look(Proc(), space)
    began = time.monotonic()
    address = None if target is None else resolved(target, space)
    answered = None if address is None else probe(address, space)
    time.sleep(max(0.0, over_s - (time.monotonic() - began)))
    second = look(Proc(), space)
    return Before(second, _rates(first, second, time.monotonic() - began), answered, address)


def after(
    seen: Before,
    space: str | None,
    target: str | None,
    wrong_values: Callable[[], list[str]],
    steps: tuple[Step, ...],
    over_s: float,
    ended: Callable[[], bool] = lambda: False,
) -> Verified:
    """Look for ``over_s``, or until ``ended``; ``wrong_values`` says what does not read as it was left."""
    result = Verified([], [])
    first = look(Proc(), space)
    began = time.monotonic()
    counts = [first.count]
    while (passed := time.monotonic() - began) < over_s and not ended():
        time.sleep(min(STEP_S, over_s - passed))
        counts.append(look(Proc(), space).count)
    last = look(Proc(), space)
    took = time.monotonic() - began
    wrong = wrong_values()
    result.wrong += wrong
    result.lines += wrong or ["every value reads as planned"]
    result.lines.append(_course(seen.occupancy, [*counts, last.count], last, took))
    result.lines += _moved(seen.rates, _rates(first, last, took))
    if target is not None:
        _probed(result, target, seen.probe, probe(seen.address or target, space))
    for step in steps:
        for command in step.verify:
            result.lines.append(_ran(command, space if step.scope == "netns" else None))
    return result


def _course(before_it: Occupancy, counts: list[int | Hole], last: Occupancy, took_s: float) -> str:
    known = [one for one in counts if isinstance(one, int)]
    if not known:
        hole = last.count
        return f"the count could not be seen: {hole.why}" if isinstance(hole, Hole) else "the count could not be seen"
    was = f"{before_it.count} entries before, " if isinstance(before_it.count, int) else ""
    limit = f" of {last.limit}" if isinstance(last.limit, int) else ""
    return f"{was}{known[0]} → {known[-1]}{limit} in {took_s:.1f} s after (highest {max(known)})"


def _rates(first: Occupancy, second: Occupancy, passed_s: float) -> dict[str, float] | None:
    steps = moved(first.counters, second.counters)
    if steps is None or passed_s <= 0:
        return None
    return {name: steps[name] / passed_s for name in TOLD if name in steps}


def _moved(was: dict[str, float] | None, now: dict[str, float] | None) -> list[str]:
    if now is None:
        return ["the counters could not be seen, so whether packets are still refused is unknown"]
    told = []
    for name, rate in now.items():
        old = (was or {}).get(name)
        if rate or old:
            told.append(f"{name}: {'?' if old is None else f'{old:.1f}'} → {rate:.1f} a second")
    return told or ["no counter of refused packets moved, before or after"]


def _probed(result: Verified, target: str, was: str | None, now: str) -> None:
    if not now:
        result.lines.append(f"{target} answers" + (f"; before it did not ({was})" if was else ""))
    elif was == "":
        line = f"{target} answered before and does not now: {now}"
        result.lines.append(line)
        result.wrong.append(line)
    else:
        result.lines.append(f"{target} does not answer ({now}), as before: this says nothing about the fix")


def _ran(command: Command, space: str | None) -> str:
    try:
        status, said = programs.run(command, space, looking=True, limit_s=VERIFY_S)
    except KernelRefused as error:
        return str(error)
    first = said.strip().splitlines()[:1]
    return f"{programs.shown(command)[:200]}: {first[0][:200] if first else 'no output'} (ended with {status})"
