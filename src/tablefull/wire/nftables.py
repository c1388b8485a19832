"""nftables over netlink: requests for rules, objects and sets, and each rule in nft's words, as far as they matter to
connection tracking.

The trap: what a listing prints is not what the kernel holds. ``nft -j`` shows iptables-nft's ``CT --notrack`` and ``CT
--zone`` alike as ``xt target CT``, an interface may be called ``ct``, and a rule's comment may be a rule. The kernel
names each expression, so that is what is read; names that people choose stand in quotes and are no words of a rule.

[include/uapi/linux/netfilter/nf_tables.h, nf_tables_compat.h, xt_CT.h]
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from tablefull.errors import ParseError
from tablefull.wire import nlattr
from tablefull.wire.nlattr import GENERIC_BYTES, attributes

SUBSYSTEM, GROUP = 10, 7  # NFNL_SUBSYS_NFTABLES, NFNLGRP_NFTABLES
TABLE, GET_TABLE, CHAIN, GET_CHAIN, RULE, GET_RULE, DEL_RULE = 0, 1, 3, 4, 6, 7, 8
SET, GET_SET, GEN, GET_GEN, OBJECT, GET_OBJECT, FLOWTABLE, GET_FLOWTABLE = 9, 10, 15, 16, 18, 19, 22, 23
FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
OBJECT_KINDS = {3: "ct helper", 5: "ct count", 7: "ct timeout", 9: "ct expectation", 10: "synproxy"}
_CT_KEYS = (
    "state direction status mark secmark expiration helper l3proto saddr daddr protocol proto-src proto-dst label "
    "packets bytes avgpkt zone event saddr daddr saddr daddr id"
).split()
_GENERIC = struct.Struct(">BBH")
_CT_NOTRACK = 1  # XT_CT_NOTRACK
_MOST_DEPTH = 4
Data = bytes | bytearray | memoryview


class Rule(NamedTuple):
    """One rule. ``text`` is made of nft's words and quoted names, comments left out."""

    family: str
    table: str
    chain: str
    handle: int
    text: str


class Named(NamedTuple):
    """An object, set, chain, table or flowtable. ``kind`` of an object as nft calls it; ``text`` of what a set runs."""

    family: str
    table: str
    name: str
    kind: str = ""
    text: str = ""
    hook: int | None = None


class Generation(NamedTuple):
    """The ruleset's number, and who made it: process id as the first pid namespace counts, and its name (15 bytes)."""

    number: int
    pid: int | None
    name: str


def dump(kind: int, sequence: int) -> bytes:
    """All of one kind, of every family: ``GET_RULE`` and its like."""
    return _ask(kind, nlattr.ROOT | nlattr.MATCH, sequence)


def generation_request(sequence: int) -> bytes:
    """The number of the ruleset as it is now."""
    return _ask(GET_GEN, 0, sequence)


def _ask(kind: int, flags: int, sequence: int) -> bytes:
    return nlattr.message(SUBSYSTEM << 8 | kind, nlattr.REQUEST | flags, sequence, _GENERIC.pack(0, 0, 0))


def kind_of(message: nlattr.Message) -> int | None:
    """Which of this subsystem's messages it is; None for another subsystem's."""
    return message.type & 0xFF if message.type >> 8 == SUBSYSTEM else None


def _open(data: Data, message: nlattr.Message) -> tuple[str, dict[int, tuple[int, int]]]:
    """Family and attributes of a message. ParseError where it is shorter than its own header."""
    begin = message.begin + GENERIC_BYTES
    if begin > message.end:
        raise ParseError("a message without its family", "nftables")
    return FAMILIES.get(data[message.begin], str(data[message.begin])), _within(data, begin, message.end)


def _within(data: Data, begin: int, end: int) -> dict[int, tuple[int, int]]:
    return {kind: (at, until) for kind, at, until in attributes(data, begin, end, "nftables")}


def _word(data: Data, found: dict[int, tuple[int, int]], kind: int) -> str:
    at, until = found.get(kind, (0, 0))
    return bytes(data[at:until]).partition(b"\0")[0].decode("utf-8", "backslashreplace")


def _number(data: Data, found: dict[int, tuple[int, int]], kind: int) -> int | None:
    if kind not in found:
        return None
    at, until = found[kind]
    return int.from_bytes(data[at:until], "big")


def rule(data: Data, message: nlattr.Message) -> Rule:
    """A rule of a dump or a notification."""
    family, found = _open(data, message)
    words = list(_expressions(data, found.get(4), 0))
    return Rule(family, _word(data, found, 1), _word(data, found, 2), _number(data, found, 3) or 0, " ".join(words))


def named(data: Data, message: nlattr.Message) -> Named:
    """A table, chain, set, object or flowtable, by the kind of its message."""
    family, found = _open(data, message)
    kind = kind_of(message)
    if kind == TABLE:
        return Named(family, _word(data, found, 1), "", "dormant" if (_number(data, found, 2) or 0) & 1 else "")
    if kind == CHAIN:
        hook = _within(data, *found[4]) if 4 in found else {}
        chain, use = _word(data, found, 3), _word(data, found, 7)
        return Named(family, _word(data, found, 1), chain, use, "", _number(data, hook, 1))
    if kind == OBJECT:
        use = OBJECT_KINDS.get(_number(data, found, 3) or 0, "")
        return Named(family, _word(data, found, 1), _word(data, found, 2), use)
    runs = ""
    if kind == SET:
        parts = [_expression(data, *found[17], 0)] if 17 in found else []
        runs = " ".join([*parts, *_expressions(data, found.get(18), 0)])
    return Named(family, _word(data, found, 1), _word(data, found, 2), "", runs)


def generation(data: Data, message: nlattr.Message) -> Generation:
    """The number of the ruleset and, in a notification, who made it."""
    _, found = _open(data, message)
    return Generation(_number(data, found, 1) or 0, _number(data, found, 2), _word(data, found, 3))


def _expressions(data: Data, where: tuple[int, int] | None, depth: int) -> Iterator[str]:
    if where is None:
        return
    for _, at, until in attributes(data, *where, "nftables"):
        yield _expression(data, at, until, depth)


def _expression(data: Data, begin: int, end: int, depth: int) -> str:
    """One expression in nft's word, its value left out: ``ct state``, ``masquerade``, ``xt match "limit"``."""
    found = _within(data, begin, end)
    name = _word(data, found, 1)
    inner = _within(data, *found[2]) if 2 in found and depth < _MOST_DEPTH else {}
    if name == "ct":
        key = _number(data, inner, 2) or 0
        words = _CT_KEYS[key] if key < len(_CT_KEYS) else str(key)
        return f"ct {words}" + (" set" if 4 in inner else "")
    if name == "nat":
        family = {2: " ip to", 10: " ip6 to"}.get(_number(data, inner, 2) or 0, "")
        return ("dnat" if _number(data, inner, 1) else "snat") + family
    if name == "target" and _word(data, inner, 1) == "CT":
        return _ct_target(bytes(data[slice(*inner[3])]) if 3 in inner else b"")
    if name in ("match", "target"):
        return f"xt {name} {_quoted(_word(data, inner, 1))}"
    if name == "objref":
        kind = OBJECT_KINDS.get(_number(data, inner, 1) or 0)
        return f"{kind} set {_quoted(_word(data, inner, 2))}" if kind else "object"
    if name == "dynset":
        runs = [_expression(data, *inner[7], depth + 1)] if 7 in inner else []
        runs += _expressions(data, inner.get(10), depth + 1)
        return " ".join((f"update {_quoted('@' + _word(data, inner, 1))}", *runs))
    if name == "flow_offload":
        return f"flow add {_quoted('@' + _word(data, inner, 1))}"
    return _PLAIN.get(name, name)


_PLAIN = {"masq": "masquerade", "redir": "redirect", "connlimit": "ct count", "immediate": "verdict"}


def _ct_target(info: bytes) -> str:
    """What iptables' ``-j CT`` does: struct xt_ct_target_info, whose first fields all revisions share."""
    if len(info) < 12:
        return 'xt target "CT"'
    flags, zone, events, expected = struct.unpack_from("=HHII", info)
    if flags & _CT_NOTRACK:
        return "notrack"
    words = ["ct zone set"] if zone else []
    words += ["ct event set"] if events or expected else []
    words += ["ct helper set"] if info[12:28].strip(b"\0") else []
    return " ".join(words) or "ct zone set"


def _quoted(name: str) -> str:
    """A name that somebody chose, which can end no quotation."""
    return '"' + name.replace('"', "'") + '"'
