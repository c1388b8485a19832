"""Studies of tables whose numbers are made by hand."""

from typing import Any

from tablefull.fixes.capacity import Given
from tablefull.kernel.identity import parse_release
from tablefull.live.plan_values import NOTHING, Change, Idle, Measured, Study
from tablefull.live.replay_holders import Holders

CLIENTS = tuple((f"10.0.0.{number}", 10) for number in range(1, 6))
TIME_WAIT = "nf_conntrack_tcp_timeout_time_wait"
SHORTER = Change(id="shorten-timeouts", label="tcp_time_wait=30", sysctls={TIME_WAIT: "30"})


def held(**said: Any) -> Holders:
    """A thousand entries of many clients of one web server, closed."""
    told = {
        "time_ns": 0, "count": 1000, "sources": CLIENTS, "destinations": (("192.0.2.1", 1000),),
        "ports": (("tcp/80", 1000),), "states": (("tcp TIME_WAIT", 1000),), "assured": 1000, "unreplied": 0,
    } | said  # fmt: skip
    return Holders(**told)


def study(peak: int = 1000, refused: int | None = None, **said: Any) -> Study:
    base = Measured(change=NOTHING, peak=peak, middle=peak, end=peak, births=[10.0] * 64, refused=refused, before=0)
    told = {
        "source": "x", "kind": "events", "first_ns": 0, "last_ns": 3600 * 10**9, "amount": 9, "base": base,
        "held": held(), "idle": [Idle(TIME_WAIT, 120, 1000, tuple(range(120)) * 8)],
    } | said  # fmt: skip
    return Study(**told)


def given(**said: Any) -> Given:
    return Given(**{"kernel": parse_release("6.18.44"), "ram_bytes": 8 << 30} | said)
