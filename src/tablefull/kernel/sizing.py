"""How large the table is by default, what it costs in memory, and how large its hash should be.

The trap: the default limit was eight, then four, then one entry per bucket, so "hashsize = max / 4" is history from
5.15 on, where a long chain is refused and the packet dropped while the table is "not full". And 65536 or 262144 is
rarely anyone's decision: it is what the kernel picks for its amount of memory.
"""

from msgspec import Struct

from tablefull.kernel import changes
from tablefull.kernel.answer import NO_KERNEL, Answer, by_version, unknown
from tablefull.kernel.identity import KernelVersion, at_least, between, enterprise

GIB = 1024**3
# One bucket for each 16 KiB of memory divided by the size of a bucket's pointer. [core 2.6.18..6.18.2]
RAM_PER_BUCKET_BYTE = 16384
# hashsize given at load: max is eight times it, in every version. [core 2.6.30.4..6.18.2]
LOAD_FACTOR_OF_PARAMETER = 8


class _Rule(Struct, frozen=True):
    """How one era sizes: bytes a bucket, tiers (more than this much RAM, that many buckets), minimum, entries a
    bucket.
    """

    bucket_bytes: int
    tiers: tuple[tuple[int, int], ...]
    least: int
    factor: int
    page_rounded: bool
    source: str


def _rule(kernel: KernelVersion, bits: int) -> _Rule:
    pointer = bits // 8
    if changes.has("max-equals-buckets", kernel).value:
        big = ((4 * GIB, 262144),) if bits == 64 else ()
        tiers = (*big, (GIB, 65536))
        return _Rule(pointer, tiers, 1024, 1, True, "core 5.15.16..6.18.2; measured 262144 on 24 GB with 6.18.44")
    if changes.has("big-host-tier", kernel).value:
        return _Rule(pointer, ((4 * GIB, 65536), (GIB, 16384)), 32, 4, True, "core 4.0..5.14, RHEL 7.7, RHEL 8.1")
    if at_least(kernel, 2, 6, 22):
        return _Rule(pointer, ((GIB, 16384),), 32, 4, True, "core 2.6.30.4..3.19.8, EL6")
    # A bucket of 2.6.18 is a list head of two pointers, and its table is not rounded up ("4095 buckets, 32760 max").
    return _Rule(2 * pointer, ((GIB, 8192),), 16, 8, False, "ip_conntrack_core 2.6.18, EL5")


def _page_of_pointers(bits: int) -> int:
    return 4096 // (bits // 8)


def round_up_buckets(buckets: int, bits: int = 64) -> int:
    """What the kernel makes of a wished number: whole 4 KiB pages of pointers, 512 on 64 bit, 1024 on 32 bit.

    [core nf_ct_alloc_hashtable, 2.6.30.4..6.18.2]
    """
    page = _page_of_pointers(bits)
    return max(1, -(-buckets // page)) * page


def _buckets(ram_bytes: int, rule: _Rule, bits: int) -> int:
    wished = ram_bytes // RAM_PER_BUCKET_BYTE // rule.bucket_bytes
    for above, buckets in rule.tiers:
        if ram_bytes > above:
            wished = buckets
            break
    wished = max(wished, rule.least)
    return round_up_buckets(wished, bits) if rule.page_rounded else wished


def default_buckets(ram_bytes: int, kernel: KernelVersion | None, bits: int = 64) -> Answer[int]:
    """Buckets the kernel chooses for this much memory (what it manages, MemTotal: less than the machine's nominal
    size).

    Comparisons are strict, so a "4 GB" machine is in the 1 to 4 GB tier. Pages of 4 KiB are assumed. Vendors change the
    divisor (one OpenWrt-style tree uses 2048): a value that was read beats this.
    """
    if kernel is None:
        return unknown(NO_KERNEL)
    rule = _rule(kernel, bits)
    return by_version(_buckets(ram_bytes, rule, bits), rule.source)


def default_max(ram_bytes: int, kernel: KernelVersion | None, bits: int = 64) -> Answer[int]:
    """The limit the kernel chooses for this much memory when no hashsize is given: 8, 4 or (from 5.15) 1 per bucket."""
    if kernel is None:
        return unknown(NO_KERNEL)
    rule = _rule(kernel, bits)
    return by_version(_buckets(ram_bytes, rule, bits) * rule.factor, rule.source)


def default_ratio(kernel: KernelVersion | None) -> Answer[int]:
    """Entries per bucket of the default limit: 8 (2.6.18), 4 (2.6.30 to 5.14), 1 (from 5.15)."""
    if kernel is None:
        return unknown(NO_KERNEL)
    rule = _rule(kernel, 64)
    return by_version(rule.factor, rule.source)


def max_by_hashsize(hashsize: int, bits: int = 64) -> int:
    """The limit after loading the module with ``hashsize=``: eight times the rounded size, in every version."""
    return LOAD_FACTOR_OF_PARAMETER * round_up_buckets(hashsize, bits)


class RamRange(Struct, frozen=True):
    """More than ``above_bytes`` and at most ``to_bytes`` of memory (None: any more)."""

    above_bytes: int
    to_bytes: int | None


def _ram_ranges(maximum: int, rule: _Rule, bits: int) -> list[RamRange]:
    if maximum <= 0 or maximum % rule.factor:
        return []
    buckets = maximum // rule.factor
    found = []
    ceiling: int | None = None
    for above, tier in rule.tiers:
        if (round_up_buckets(tier, bits) if rule.page_rounded else tier) == buckets:
            found.append(RamRange(above, ceiling))
        ceiling = above
    step = RAM_PER_BUCKET_BYTE * rule.bucket_bytes
    page = _page_of_pointers(bits) if rule.page_rounded else 1
    if buckets % page == 0:
        low = 0 if buckets - page < rule.least else (buckets - page + 1) * step - 1
        high = (buckets + 1) * step - 1
        if ceiling is not None:
            high = min(high, ceiling)
        if buckets >= rule.least and low < high:
            found.append(RamRange(low, high))
    found.sort(key=lambda span: span.above_bytes)
    return found


# One release of each sizing era, to try a limit against when the kernel is unknown.
_ERA_RELEASES = ((6, 1), (5, 4), (3, 2), (2, 6))


def _eras() -> tuple[KernelVersion, ...]:
    return tuple(KernelVersion(*pair, 32 if pair == (2, 6) else 0, "") for pair in _ERA_RELEASES)


def ram_for_default_max(maximum: int, kernel: KernelVersion | None, bits: int = 64) -> Answer[tuple[RamRange, ...]]:
    """Memory sizes for which this kernel would choose the limit by itself; an empty tuple when there is none.

    7680, for one, is the default of a 1 GB machine (896 to 960 MiB managed) on 5.15 or later and of nothing before;
    65536 and 262144 are whole tiers. Without a kernel every era is tried.
    """
    kernels = (kernel,) if kernel is not None else _eras()
    spans: list[RamRange] = []
    for one in kernels:
        spans += [span for span in _ram_ranges(maximum, _rule(one, bits), bits) if span not in spans]
    source = _rule(kernels[0], bits).source if kernel is not None else "core 2.6.32..6.18.2, every era tried"
    return by_version(tuple(spans), source)


def max_is_default(maximum: int, ram_bytes: int | None, kernel: KernelVersion | None, bits: int = 64) -> Answer[bool]:
    """Whether nobody chose this limit: the kernel picks it for this memory, or, without ``ram_bytes``, for some
    memory.
    """
    spans = ram_for_default_max(maximum, kernel, bits)
    held = spans.value or ()
    if ram_bytes is None:
        return Answer(bool(held), spans.basis, spans.source)
    fits = any(s.above_bytes < ram_bytes and (s.to_bytes is None or ram_bytes <= s.to_bytes) for s in held)
    return Answer(fits, spans.basis, spans.source)


def chain_mean(entries: int, buckets: int) -> float:
    """Mean nodes in a bucket: each entry hangs in two, by its original and by its reply tuple. 0.0 for no buckets."""
    return 2 * entries / buckets if buckets > 0 else 0.0


# From 5.15 an insert is refused when its chain is longer than a random limit: 8..31, from 6.3 50..79. [core]
def chain_limit(kernel: KernelVersion | None) -> Answer[tuple[int, int]]:
    """Shortest and longest chain at which an insert may be refused; unknown where no such limit exists or no version
    is.
    """
    limited = changes.has("chain-limit", kernel)
    if not limited.value:
        return unknown("no chain limit before 5.15" if limited.value is False else limited.source)
    longer = changes.has("chain-limit-50", kernel)
    if longer.value is None:
        return unknown(longer.source)
    return Answer((50, 79) if longer.value else (8, 31), longer.basis, longer.source)


def recommended_buckets(maximum: int, kernel: KernelVersion | None) -> Answer[int]:
    """Buckets to go with a limit: one per entry from 5.15 (as its own default, and since long chains are refused
    there), one per four before (its own default); one per entry for an unknown kernel, which is right for the new and
    harmless to the old. Whole pages.
    """
    ratio = 1 if kernel is None else min(default_ratio(kernel).value or 1, 4)
    source = (
        f"default ratio {ratio} of this kernel; core 5.14, 5.15.16" if kernel is not None else "safe for every kernel"
    )
    return by_version(round_up_buckets(-(-maximum // ratio)), source)


class EntryCost(Struct, frozen=True):
    """Bytes one entry takes: its slab object and the extension block beside it."""

    object_bytes: int
    extension_bytes: int


def entry_cost(kernel: KernelVersion | None, *, extension: bool | None = None) -> Answer[EntryCost]:
    """The two blocks of an entry on x86-64 with SLUB; ``extension`` None takes the kernel's default settings.

    By default every entry has the block up to 5.18 (events on), none from 5.19 unless someone listens to events,
    counting (acct) or timestamps are on, or a helper is attached. [object: computed, 256 measured on 6.18.44; block:
    extend 4.12..6.18, measured; before 4.12 computed from its structs without NAT: about 128 to 3.16, 64 after. 384
    for ip_conntrack: one published slabinfo]
    """
    if kernel is None:
        return unknown(NO_KERNEL)
    small = changes.has("small-object", kernel).value
    if small:
        size = 256
    elif changes.has("aligned-object", kernel).value:
        size = 320
    elif between(kernel, (3, 10), (4, 8)):
        size = 288
    elif at_least(kernel, 2, 6, 32):
        size = 280
    else:
        size = 304 if at_least(kernel, 2, 6, 22) else 384
    attached = (not small and bool(at_least(kernel, 2, 6, 32))) if extension is None else extension
    if not attached or not at_least(kernel, 2, 6, 22):
        block = 0
    elif between(kernel, (3, 17), (4, 11)):
        block = 64
    else:
        block = 128
    measured = "measured on 6.18.44" if small else "computed from the structs of the trees, not measured"
    if enterprise(kernel) is not None:
        measured += "; a vendor kernel may differ"
    return by_version(EntryCost(size, block), measured)


def entry_bytes(kernel: KernelVersion | None, *, extension: bool | None = None) -> Answer[int]:
    """Object and extension block together: 256 on 6.x by default, 448 on 4.12 to 5.18, 384 with accounting on 6.x."""
    cost = entry_cost(kernel, extension=extension)
    if cost.value is None:
        return unknown(cost.source)
    return Answer(cost.value.object_bytes + cost.value.extension_bytes, cost.basis, cost.source)


def bucket_bytes(kernel: KernelVersion | None, bits: int = 64) -> int:
    """Bytes of one bucket: a pointer, two in the ip_conntrack stack."""
    old = kernel is not None and not at_least(kernel, 2, 6, 22)
    return (bits // 8) * (2 if old else 1)


def table_bytes(
    entries: int, buckets: int, kernel: KernelVersion | None, *, extension: bool | None = None, bits: int = 64
) -> Answer[int]:
    """Memory of a table with this many entries and buckets; not swappable, and not all returned after a peak."""
    each = entry_bytes(kernel, extension=extension)
    if each.value is None:
        return unknown(each.source)
    return Answer(entries * each.value + buckets * bucket_bytes(kernel, bits), each.basis, each.source)


def expect_max_default(buckets: int) -> int:
    """Default of nf_conntrack_expect_max: four times the expectation hash, which is buckets/256, at least 1.

    The kernel's own document says buckets/256, which is a quarter of what runs. [expect 6.18.2; measured 4096 at
    262144]
    """
    return 4 * max(1, buckets // 256)
