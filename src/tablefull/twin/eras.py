"""Which kernel a twin plays: the differences between kernels as a set of switches.

The trap: a bare series such as ``6.1`` names twenty different trackers, because the stable series took backports one by
one. A bare series is therefore played at the point release whose tree was read (:data:`PLAYED_AS`), and a switch whose
answer is not known for a release is off, and named by :func:`doubts`.
"""

from msgspec import Struct

from tablefull.errors import UsageError
from tablefull.kernel import changes, eviction, sizing
from tablefull.kernel.identity import KernelVersion, at_least, parse_release
from tablefull.kernel.tcp import Table, table

# The point release that a bare series stands for: the newest tree of it that was read. [docs/kernel/README.md]
PLAYED_AS = {
    "2.6.32": "2.6.32.69",
    "3.2": "3.2.71",
    "3.10": "3.10.4",
    "4.4": "4.4.155",
    "4.9": "4.9.115",
    "4.14": "4.14.177",
    "4.19": "4.19.78",
    "5.10": "5.10.89",
    "5.15": "5.15.135",
    "6.1": "6.1.192",
    "6.6": "6.6.9",
    "6.12": "6.12.33",
    "6.18": "6.18.44",
}

NEWEST_READ, NEXT_UNREAD = "6.19", (6, 20)  # docs/kernel/README.md, the trees

# One bit a switch. The name of each is the change in kernel/changes.py that carries its source.
SWITCHES = (
    "unack-cap",
    "challenge-ack-last-ack",
    "window-zero-timeout",
    "simultaneous-open-fix",
    "inexact-rst-keeps-state",
    "udp-stream-2s",
    "udp-assured-2s",
    "ignore-invalid-rst",
    "reinit-on-syn",
    "liberal-kept",
    "overshoot",
    "ignore-old-data",
    "rst-after-challenge",
    "wscale-on-reply",
    "rst-other-direction",
    "invalid-not-reuse",
    "error-icmp-only",
    "icmp-related-invalid",
    "chain-limit",
    "early-drop-closing",
    "clash-resolve-udp",
    "clash-reply-only",
    "reverse-clash",
    "insert-netlink-only",
    "clash-column",
    "gc-worker",
)
BIT = {name: 1 << at for at, name in enumerate(SWITCHES)}

FIRST_CHAIN_LIMIT = (8, 31)  # 5.15 to 6.2 [core 5.15.16, 6.2.1]
# How expired entries leave. [kernel/eviction.py, KERNEL.md 4.3]
GC_TIMERS, GC_SLICES, GC_FIXED, GC_ADAPTIVE = range(4)
# How room is made at the limit: the next eight entries, the same bucket again and again, eight buckets.
DROP_ENTRIES_OLDEST, DROP_ENTRIES_NEWEST, DROP_ONE_BUCKET, DROP_EIGHT_BUCKETS = range(4)


class Era(Struct, frozen=True):
    """A kernel as a twin plays it. ``switches`` is a sum of :data:`BIT`; ``unsure`` names those nobody knows."""

    kernel: KernelVersion
    switches: int
    tcp: Table
    gc: int
    early_drop: int
    drop_whole_bucket: bool
    chain_least: int
    chain_span: int
    udplite: bool
    unsure: tuple[str, ...]

    def has(self, switch: str) -> bool:
        """Whether this kernel has that switch on."""
        return bool(self.switches & BIT[switch])


def era(name: str) -> Era:
    """The switches of a kernel given as ``6.18``, ``5.15.0-91-generic`` or any release string.

    UsageError for what is no kernel release, or one before 2.6.32 (no tree of nf_conntrack before it is played).
    """
    text = name.strip()
    kernel = parse_release(PLAYED_AS.get(text, text))
    if kernel is None:
        raise UsageError(f"{text!r} is no kernel release; try --kernel 6.18, 6.1, 5.15, 4.19 or 3.2")
    if not at_least(kernel, 2, 6, 32):
        raise UsageError(f"the twin plays kernels from 2.6.32 on, not {text}")
    switches, unsure = 0, []
    for switch, bit in BIT.items():
        answer = changes.has(switch, kernel)
        if answer.value is None:
            unsure.append(switch)
        elif answer.value:
            switches |= bit
    chain: tuple[int, int] | None = None
    if switches & BIT["chain-limit"]:
        chain = sizing.chain_limit(kernel).value
        if chain is None:  # a stable point between those that were read
            chain = FIRST_CHAIN_LIMIT
            unsure.append("chain-limit-50")
    least, most = chain if chain is not None else (0, 0)
    evicts = eviction.early_drop(kernel).value
    if evicts is None or evicts.buckets == eviction.EARLY_DROP_RANGE:
        early = DROP_EIGHT_BUCKETS
    elif evicts.buckets == 1:
        early = DROP_ONE_BUCKET
    else:
        early = DROP_ENTRIES_NEWEST if at_least(kernel, 3, 16) else DROP_ENTRIES_OLDEST
    return Era(
        kernel,
        switches,
        table(kernel),
        _gc(kernel),
        early,
        evicts is None or evicts.whole_bucket,
        least,
        most - least + 1 if chain is not None else 0,
        True,
        tuple(unsure),
    )


def doubts(name: str) -> list[str]:
    """What is not known of a kernel that :func:`era` plays, a sentence each."""
    played = era(name)
    said = []
    if at_least(played.kernel, *NEXT_UNREAD):
        said.append(
            f"no kernel as new as {name} was read ({NEWEST_READ} is the newest): what changed since is not played"
        )
    if played.unsure:
        said.append(
            f"whether {name} has {', '.join(played.unsure)} is not known: played without (docs/kernel says what)"
        )
    return said


def _gc(kernel: KernelVersion) -> int:
    collector = eviction.collector(kernel).value
    if collector is None:
        return GC_ADAPTIVE
    if collector.pass_most_s == 0:
        return GC_TIMERS
    if collector.pass_least_s == collector.pass_most_s:
        return GC_FIXED
    return GC_SLICES if collector.pass_most_s < 60 else GC_ADAPTIVE
