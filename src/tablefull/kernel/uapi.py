"""The kernel's counters: names, aliases, columns and what each means by version. TCP states are in kernel/states.py.

The trap: /proc/net/stat/nf_conntrack kept its seventeen columns while the kernel reused and abandoned them, so a
column is read by name, and what the name means depends on the version. ``insert`` counts no packets since 4.9,
``new=0`` on a newer kernel means nothing, and ``insert_failed`` meant settled races from 4.7 to 5.9 and lost packets
since.

Spelling is that of the netlink attributes: ``clash_resolve`` (column ``clashres``), ``chain_toolong`` (``chainlength``,
``chaintoolong`` in conntrack -S), ``error`` (``icmp_error``).
"""

from collections.abc import Sequence
from typing import Literal

from tablefull.kernel import changes
from tablefull.kernel.answer import NO_KERNEL, Answer, by_version, unknown
from tablefull.kernel.identity import KernelVersion, at_least

# 32 bits, printed as eight hexadecimal digits; they wrap. [standalone all trees; measured]
COUNTER_BITS = 32

_MIDDLE = (
    "insert",
    "insert_failed",
    "drop",
    "early_drop",
    "icmp_error",
    "expect_new",
    "expect_create",
    "expect_delete",
)

Era = Literal["2.6.18", "2.6.35", "5.10", "5.15"]

# Header of /proc/net/stat/nf_conntrack by its first version. [standalone, all trees; search_restart first in 2.6.35.6]
HEADERS: dict[Era, tuple[str, ...]] = {
    "2.6.18": ("entries", "searched", "found", "new", "invalid", "ignore", "delete", "delete_list", *_MIDDLE),
    "2.6.35": (
        *("entries", "searched", "found", "new", "invalid", "ignore", "delete", "delete_list"),
        *_MIDDLE,
        "search_restart",
    ),
    "5.10": (
        *("entries", "clashres", "found", "new", "invalid", "ignore", "delete", "delete_list"),
        *_MIDDLE,
        "search_restart",
    ),
    "5.15": (
        *("entries", "clashres", "found", "new", "invalid", "ignore", "delete", "chainlength"),
        *_MIDDLE,
        "search_restart",
    ),
}

# Every spelling met in a file, in conntrack -S or in an exporter -> the netlink name.
ALIASES: dict[str, str] = {
    "clashres": "clash_resolve",
    "clash_resolve": "clash_resolve",
    "clashresolve": "clash_resolve",
    "chainlength": "chain_toolong",
    "chaintoolong": "chain_toolong",
    "chain_toolong": "chain_toolong",
    "chain_too_long": "chain_toolong",
    "icmp_error": "error",
    "error": "error",
    "earlydrop": "early_drop",
    "insertfailed": "insert_failed",
    "searchrestart": "search_restart",
    "search_restart": "search_restart",
    "deletelist": "delete_list",
}

# CTA_STATS_* attribute numbers. [netlink 6.18.2; measured on 6.18.44]
STATS_ATTRIBUTES: dict[int, str] = {
    1: "searched",
    2: "found",
    3: "new",
    4: "invalid",
    5: "ignore",
    6: "delete",
    7: "delete_list",
    8: "insert",
    9: "insert_failed",
    10: "drop",
    11: "early_drop",
    12: "error",
    13: "search_restart",
    14: "clash_resolve",
    15: "chain_toolong",
}


def counter(name: str) -> str:
    """The netlink spelling of a counter, whoever printed it; a name that is not known comes back in lower case."""
    low = name.strip().lower()
    return ALIASES.get(low, low)


def header_era(columns: Sequence[str]) -> Era | None:
    """Which kernels print this header line; None when the columns are no connection tracking statistics."""
    seen = {column.lower() for column in columns}
    if "insert_failed" not in seen:
        return None
    if "chainlength" in seen or "chaintoolong" in seen:
        return "5.15"
    if "clashres" in seen:
        return "5.10"
    if "searched" not in seen:
        return None
    return "2.6.35" if "search_restart" in seen else "2.6.18"


def expected_header(kernel: KernelVersion | None) -> Answer[tuple[str, ...]]:
    """The columns this kernel prints. A vendor's tree may be ahead of its number: the line itself beats this."""
    if kernel is None:
        return unknown(NO_KERNEL)
    era: Era = "2.6.18"
    if changes.has("chain-column", kernel).value:
        era = "5.15"
    elif changes.has("clash-column", kernel).value:
        era = "5.10"
    elif at_least(kernel, 2, 6, 35):
        era = "2.6.35"
    return by_version(HEADERS[era], "nf_conntrack_standalone, all trees")


def dead_columns(columns: Sequence[str], kernel: KernelVersion | None = None) -> tuple[str, ...]:
    """Columns of this header that are always 0, by their netlink names: a 0 in them is no observation.

    ``new``, ``ignore``, ``delete`` (and ``delete_list``) once ``clashres`` is there; with a kernel of 4.9 or later also
    ``searched``. [core 4.8.15 against 4.9.115; standalone 5.9.2 against 5.10.89]
    """
    era = header_era(columns)
    if era in ("5.10", "5.15"):
        dead = ["new", "ignore", "delete", *(["delete_list"] if era == "5.10" else [])]
    elif changes.has("insert-netlink-only", kernel).value:
        dead = ["searched", "new", "delete", "delete_list"]
    else:
        dead = []
    seen = {counter(column) for column in columns}
    return tuple(name for name in dead if name in seen)


_DROP = (
    "a packet was dropped: no entry could be allocated (table full with nothing to evict, or no memory), an"
    " insertion race"
    " could not be settled (4.7 on), or the tracker demanded it"
)


def _is(change_id: str, kernel: KernelVersion | None) -> bool:
    return bool(changes.has(change_id, kernel).value)


def meaning(name: str, kernel: KernelVersion | None) -> Answer[str]:
    """When this counter moves on this kernel, in one sentence; unknown for a name that is no counter.

    Without a version only counters whose meaning never moved are answered. [NF_CT_STAT sites of 2.6.18, 2.6.32, 3.2,
    3.10, 4.4, 4.8, 4.9, 4.14, 4.19, 5.4, 5.9, 5.10, 5.15, 6.1, 6.12, 6.18; insert, icmp_error and drop measured on
    6.18.44]
    """
    word = counter(name)
    source = "all NF_CT_STAT sites of the trees read"
    if word in _CONSTANT:
        return by_version(_CONSTANT[word], source)
    if word not in _MOVED:
        return unknown(f"{name} is not a connection tracking counter")
    if kernel is None:
        return unknown(f"{NO_KERNEL}, and {word} changed its meaning")
    for change_id, sentence in _MOVED[word]:
        if not change_id or _is(change_id, kernel):
            return by_version(sentence, source)
    return unknown(f"{word} is not read for {kernel.release}")


# Counters that mean one thing from 2.6.18 to 6.19.
_CONSTANT: dict[str, str] = {
    "entries": "entries of the namespace now, repeated on every line: not to be summed over CPUs",
    "drop": _DROP,
    "search_restart": "a lookup met an entry that moved and began again; a performance note, not a loss",
    "expect_new": "an expected connection (of a helper) arrived",
    "expect_create": "a helper announced a connection to come",
    "expect_delete": "an announced connection was withdrawn or used up",
}

# Counters that moved: (change, meaning with it), newest first; "" is what held before.
_MOVED: dict[str, tuple[tuple[str, str], ...]] = {
    "found": (
        ("insert-netlink-only", "NAT found a wished source port taken and searched for another; usually 0 without NAT"),
        ("", "a packet's entry was found"),
    ),
    "searched": (
        ("insert-netlink-only", "always 0 on this kernel"),
        ("", "nodes walked in hash chains: divided by found it is the chain length"),
    ),
    "new": (("insert-netlink-only", "always 0 on this kernel"), ("", "a packet created an entry")),
    "delete": (("insert-netlink-only", "always 0 on this kernel"), ("", "an entry was destroyed")),
    "delete_list": (
        ("insert-netlink-only", "always 0 on this kernel"),
        ("", "an entry was destroyed before it counted"),
    ),
    "insert": (
        (
            "insert-netlink-only",
            "an entry was inserted by a program (conntrack -I, conntrackd); packets do not move it",
        ),
        ("", "an entry was confirmed, by a packet or a program"),
    ),
    "ignore": (
        ("clash-column", "always 0 on this kernel"),
        ("", "a packet already had an entry (second pass through loopback or a tunnel) or was exempt by NOTRACK"),
    ),
    "invalid": (
        (
            "invalid-not-reuse",
            (
                "a packet could not be tracked: bad header, out of the TCP window, not a possible beginning of a"
                " connection"
            ),
        ),
        ("", "a packet could not be tracked; ordinary TCP port reuse counts here too on this kernel"),
    ),
    "error": (
        ("error-icmp-only", "an ICMP packet was malformed or an ICMP error spoke of no known connection"),
        ("", "a packet failed a check of its protocol's header or checksum"),
    ),
    "early_drop": (
        ("early-drop-bucket", "entries evicted to make room, several per packet; the new packet went through"),
        ("", "an entry was evicted to make room; the new packet went through"),
    ),
    "insert_failed": (
        (
            "clash-column",
            (
                "an entry could not be inserted and its packet was dropped: an insertion race that could not be"
                " settled, or a chain that was too long"
            ),
        ),
        (
            "clash-resolve-udp",
            "an insertion race happened; counted even when it was settled and the packet went through, so drop decides",
        ),
        ("", "two packets raced to insert the same entry and one was dropped; drop does not move with it"),
    ),
    "clash_resolve": (("clash-column", "an insertion race (mostly DNS) was settled without loss"),),
    "chain_toolong": (
        (
            "chain-column",
            (
                "a hash chain was too long at insertion and the packet was dropped: too few buckets for the entries,"
                " or an attack on the hash; insert_failed moves too, drop does not"
            ),
        ),
    ),
}
COUNTERS: tuple[str, ...] = (*_CONSTANT, *_MOVED)
