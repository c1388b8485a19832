"""What happens at the limit: which entries make room, when expired ones leave, and how far the count lags behind.

The trap: the count is not the number of live flows. Since 4.9 expired entries stay counted until a worker (or a
listing) collects them, up to a minute or two later; and eviction looks at eight buckets at most, so a table can refuse
a packet while plenty of evictable entries sit elsewhere.
"""

from math import exp

from msgspec import Struct

from tablefull.kernel import changes
from tablefull.kernel.answer import NO_KERNEL, Answer, by_vendor, by_version, unknown
from tablefull.kernel.identity import KernelVersion, at_least, enterprise

# Where early drop looks at most, entries to 4.6 and buckets from 4.7. [early_drop of all trees]
EARLY_DROP_RANGE = 8
# The collector's own eviction works in a namespace at 95 % of max: max // 100 * 95, so it is off below 100. [core
# 4.12..6.18.2]
WORKER_EVICTS_AT_PERCENT = 95


class EarlyDrop(Struct, frozen=True):
    """How one kernel makes room for a new entry.

    ``buckets``: how many it really looks at; None where it walks on until it has seen :data:`EARLY_DROP_RANGE` entries.
    ``whole_bucket``: every unassured entry of the bucket goes, so the counter may grow faster than the packet rate.
    """

    buckets: int | None
    whole_bucket: bool
    sentence: str


_EVICTABLE = "Only entries that are not ASSURED can be evicted"


def early_drop(kernel: KernelVersion | None) -> Answer[EarlyDrop]:
    """What a packet that finds the table at its limit may push out; unknown without a version.

    [early_drop and early_drop_list in all trees; that 4.7..4.18 look at one bucket eight times is computed from the
    scaling of the incremented hash, and 4.14.177 and RHEL 8.1 have the fix]
    """
    if kernel is None:
        return unknown(NO_KERNEL)
    source = "early_drop of every tree read"
    if not at_least(kernel, 2, 6, 22):
        return by_version(
            EarlyDrop(1, False, f"{_EVICTABLE}, and only the oldest one in the new packet's own bucket is tried."),
            "ip_conntrack_core 2.6.18, 2.6.21",
        )
    if not at_least(kernel, 4, 7):
        newest = bool(at_least(kernel, 3, 16)) or enterprise(kernel) == 7
        which = "first (newest)" if newest else "oldest"
        sentence = f"{_EVICTABLE}; from the new packet's bucket on, the {which} of the next eight entries is tried."
        answer = EarlyDrop(None, False, sentence)
        return by_vendor(answer, "RHEL 7.7") if enterprise(kernel) == 7 else by_version(answer, source)
    walk = changes.has("early-drop-walk", kernel)
    whole = bool(at_least(kernel, 4, 8))
    if walk.value is None:
        return unknown(walk.source)
    what = "every such entry of the first bucket that has one goes" if whole else "one of them goes"
    if walk.value:
        sentence = f"{_EVICTABLE}; the new packet's bucket and the next seven are searched and {what}."
        return Answer(EarlyDrop(EARLY_DROP_RANGE, whole, sentence), walk.basis, walk.source)
    sentence = (
        f"{_EVICTABLE}, and by a fault of this kernel the same single bucket is searched eight times instead of eight"
        f" buckets, so it refuses packets much earlier than meant; {what}."
    )
    return by_version(EarlyDrop(1, whole, sentence), source)


def eviction_fails(unassured: int, buckets: int, kernel: KernelVersion | None = None) -> float:
    """Chance, 0 to 1, that a new packet at the limit finds nothing to evict: about exp(-range x 2 x unassured /
    buckets).

    Entries are taken as spread evenly (the hash is keyed); each hangs in two chains. An unknown kernel counts as one
    that searches eight buckets. [computed]
    """
    if buckets <= 0:
        return 1.0
    per_bucket = 2 * unassured / buckets
    answer = early_drop(kernel).value
    if answer is not None and answer.buckets is None:
        return 0.0 if unassured else 1.0
    return exp(-per_bucket * (EARLY_DROP_RANGE if answer is None else answer.buckets or EARLY_DROP_RANGE))


class Collector(Struct, frozen=True):
    """How expired entries leave: ``pass_s`` between passes at least and at most, both 0 with a timer per entry."""

    pass_least_s: float
    pass_most_s: float
    evicts_closing: bool
    sentence: str


def collector(kernel: KernelVersion | None) -> Answer[Collector]:
    """The worker (or the timers) behind expiry; unknown without a version or where a backport decides.

    [gc_worker: 4.9.115, 4.12, 5.10.89, 5.15.16, 5.15.135, 5.17, 5.19, 6.0.19, 6.18.2; mails of 2021-07-27, 2022-02-16,
    2022-09-21; measured on 6.18.44: 2000 one-second entries left the count after 4.7 s, ten after 2.6 and 8.4 s]
    """
    if kernel is None:
        return unknown(NO_KERNEL)
    worker = changes.has("gc-worker", kernel)
    if not worker.value:
        sentence = "Each entry has a timer and leaves the count the moment it expires."
        return by_version(Collector(0.0, 0.0, False, sentence), "core 2.6.18..4.8.15")
    closing = bool(changes.has("early-drop-closing", kernel).value)
    adaptive = changes.has("gc-adaptive", kernel)
    if adaptive.value:
        sentence = (
            "Expired entries stay in the count until a worker collects them; it sleeps 1 to 60 s between passes, by the"
            " mean time the entries have left."
        )
        return Answer(Collector(1.0, 60.0, closing, sentence), adaptive.basis, adaptive.source)
    slow = changes.has("gc-120s", kernel)
    if slow.value:
        sentence = "Expired entries stay in the count until a worker collects them, which sleeps 120 s between passes."
        return Answer(Collector(120.0, 120.0, closing, sentence), slow.basis, slow.source)
    if slow.value is None or adaptive.value is None:
        return unknown(slow.source if slow.value is None else adaptive.source)
    sentence = "Expired entries stay in the count until a worker collects them; one pass takes 1 to 16 s."
    return by_version(Collector(1.0, 16.0, closing, sentence), "core 4.9.115..5.14")


def count_lag_s(kernel: KernelVersion | None) -> Answer[float]:
    """The longest an expired entry stays in nf_conntrack_count, in seconds: 0 to 4.8, then 16, 120 or 60.

    A listing (``conntrack -L``, the /proc file) deletes the expired ones it meets, so looking lowers the count.
    """
    answer = collector(kernel)
    if answer.value is None:
        return unknown(answer.source)
    return Answer(answer.value.pass_most_s, answer.basis, answer.source)


def closing_evicted(kernel: KernelVersion | None) -> Answer[bool]:
    """Whether the worker evicts closing TCP flows (FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSE), ASSURED or not,
    at 95 % of max after a packet was refused. It does so on its next pass, which may be a minute later. [core
    4.12..6.18.2]
    """
    return changes.has("early-drop-closing", kernel)


# TCP states the worker may evict though ASSURED. [tcp can_early_drop 4.12..6.18.2]
EVICTABLE_CLOSING_STATES = ("FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE")


def worker_evicts_above(maximum: int) -> int | None:
    """The count from which the worker evicts, ``max // 100 * 95``; None for a limit below 100, where it never does."""
    return maximum // 100 * WORKER_EVICTS_AT_PERCENT or None
