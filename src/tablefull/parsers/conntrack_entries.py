"""Rows of the table: ``/proc/net/nf_conntrack`` and ``ip_conntrack``, ``conntrack -L``, and events (``conntrack -E``).

The trap: nearly every column may be missing (an offloaded entry has no timeout, UDP no state, ``conntrack -L`` no
family) and the two directions use the same names, so a row is found by the words just before its first ``src=`` and the
second ``src=`` begins the reply. Expectations print ``proto=6`` in that place and are not rows.

The columns: Linux net/netfilter/nf_conntrack_standalone.c, ct_seq_show(), and libnetfilter_conntrack's default output.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tablefull.facts.entry import LONG_S, Composition, CtTuple, Entry, EntryCount, Shape, port_key
from tablefull.facts.origin import Fact, Origin
from tablefull.kernel.states import TCP_STATE_ALIASES
from tablefull.parsers.block import Context, Line, Read

# Assigned Internet Protocol Numbers (IANA); the words are those of l4proto_name() in nf_conntrack_standalone.c.
NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "gre": 47, "sctp": 132, "dccp": 33, "udplite": 136}
_L4 = frozenset((*NUMBERS, "unknown"))
_FAMILIES = frozenset(("ipv4", "ipv6"))
_EVENTS = {"[NEW]": "NEW", "[UPDATE]": "UPDATE", "[DESTROY]": "DESTROY"}
_KEYS = frozenset(
    "src dst sport dport type code id srckey dstkey packets bytes mark secmark secctx zone zone-orig zone-reply use"
    " helper labels delta-time timeout stream_timeout".split()
)
_STATE = re.compile(r"[A-Z][A-Z0-9_]{1,30}")
_STAMP = re.compile(r"\[(\d{1,12}\.\d{1,9})\]?")
_STATUS = re.compile(r"(\d{1,12}) flow entries have been shown")
_FILTERED = re.compile(
    r"\s(?:-[sdrqpumcgnj]\b|--(?:orig|reply|proto|state|status|mark|zone|src|dst|sport|dport|any|label)"
    r"|(?:-f|--family)\s?ipv)"
)
# The row of a port protocol as kernels and tools have printed it since 2.6.15, with single spaces: nine rows in ten.
# The same answer as the general way, several times sooner; anything else, one column more or less, goes the general
# way.
_COMMON = re.compile(
    r"(?:(ipv[46]) +(?:2|10) )?(tcp|udp|sctp|dccp|udplite) +([0-9]{1,3}) ([0-9]{1,9}) (?:([A-Z][A-Z0-9_]{1,30}) )?"
    r"src=([^\s=]+) dst=([^\s=]+) sport=([0-9]{1,5}) dport=([0-9]{1,5}) (?:packets=([0-9]{1,20}) bytes=([0-9]{1,20}) )?"
    r"(\[UNREPLIED\] )?src=([^\s=]+) dst=([^\s=]+) sport=([0-9]{1,5}) dport=([0-9]{1,5}) "
    r"(?:packets=([0-9]{1,20}) bytes=([0-9]{1,20}) )?(\[ASSURED\] )?"
    r"mark=([0-9]{1,20}) (?:zone=([0-9]{1,5}) )?use=([0-9]{1,9})\n?",
)
# The same for counting: what a tally needs, and nothing after the mark that could be a flag.
_COUNTED = re.compile(
    r"(?:ipv[46] +(?:2|10) )?(tcp|udp|sctp|dccp|udplite) +[0-9]{1,3} ([0-9]{1,9}) (?:([A-Z][A-Z0-9_]{1,30}) )?"
    r"src=([^\s=]+) dst=([^\s=]+) sport=[0-9]{1,5} dport=([0-9]{1,5}) (?:packets=[0-9]{1,20} bytes=[0-9]{1,20} )?"
    r"(\[UNREPLIED\] )?src=[^\s=]+ dst=[^\s=]+ sport=[0-9]{1,5} dport=[0-9]{1,5} "
    r"(?:packets=[0-9]{1,20} bytes=[0-9]{1,20} )?(\[ASSURED\] )?mark=[^\[]*",
)
BLOCK = 1000  # rows one call hands out, so that nobody holds a whole listing as facts
_WRAPPED = 4  # lines an entry may be spread over


class _Head(NamedTuple):
    l4proto: str
    protonum: int | None
    remaining_s: int | None
    state: str | None
    family: str | None
    event: str | None
    timestamp_s: float | None


def _number(word: str | None) -> int | None:
    """A whole number in ASCII digits, else None: anonymised, cut, or absent."""
    return int(word) if word and word.isascii() and word.isdigit() and len(word) < 21 else None


def _head(text: str) -> _Head | None:
    """What stands before the first ``src=``, read from its end; None where it is not the head of a row.

    Before the protocol anything may stand (a family, an event, a clock, a count, a file name of grep).
    """
    words = text.split()
    at = len(words)
    while at and words[at - 1].startswith(("timeout=", "stream_timeout=")):  # /proc prints both for gre
        at -= 1
    state = None
    if at and _STATE.fullmatch(words[at - 1]):
        at -= 1
        state = TCP_STATE_ALIASES.get(words[at], words[at])
    numbers: list[int] = []
    while at and len(numbers) < 2 and (number := _number(words[at - 1])) is not None:
        at -= 1
        numbers.append(number)
    if not at or not numbers:
        return None
    at -= 1
    l4proto = words[at] if words[at] in _L4 else words[at].rpartition(":")[2]
    if l4proto not in _L4:
        return None
    protonum: int | None = numbers[-1]
    remaining = numbers[0] if len(numbers) == 2 else None
    if remaining is None and protonum != NUMBERS.get(l4proto, protonum):
        protonum, remaining = NUMBERS[l4proto], protonum
    family = None
    if at > 1 and words[at - 1].isdigit():
        name = words[at - 2].rpartition(":")[2]
        family = name if name in _FAMILIES else None
    event = stamp = None
    for word in words[max(at - 8, 0) : at]:
        if word[0] == "[":
            event = _EVENTS.get(word, event)
            clock = _STAMP.match(word)
            stamp = float(clock[1]) if clock else stamp
    return _Head(l4proto, protonum, remaining, state, family, event, stamp)


def _direction(values: dict[str, str]) -> CtTuple:
    get = values.get
    if "sport" in values or "dport" in values:
        return CtTuple(get("src", ""), get("dst", ""), _number(get("sport")), _number(get("dport")))
    if "type" in values:
        return CtTuple(
            get("src", ""), get("dst", ""), None, None, _number(get("type")), _number(get("code")), _number(get("id"))
        )
    return CtTuple(get("src", ""), get("dst", ""))


def decode(text: str, origin: Origin) -> Entry | None:
    """The row in ``text``, None where it is none. A row that is cut keeps what stands before the cut.

    A zone of one direction (``zone-orig=``, ``zone-reply=``) counts as the zone.
    """
    common = _COMMON.fullmatch(text)
    return _common(common, origin) if common is not None else _general(text, origin)


def _common(match: re.Match[str], origin: Origin) -> Entry:
    (
        family, l4proto, protonum, remaining, state, src, dst, sport, dport, packets, octets, unreplied,
        reply_src, reply_dst, reply_sport, reply_dport, reply_packets, reply_octets, assured, mark, zone, use,
    ) = match.groups()  # fmt: skip
    return Entry(
        origin=origin,
        l4proto=l4proto,
        original=CtTuple(src, dst, int(sport), int(dport)),
        family=family,
        protonum=int(protonum),
        reply=CtTuple(reply_src, reply_dst, int(reply_sport), int(reply_dport)),
        remaining_s=int(remaining),
        state=TCP_STATE_ALIASES.get(state, state),
        unreplied=unreplied is not None,
        assured=assured is not None,
        packets_original=int(packets) if packets else None,
        bytes_original=int(octets) if octets else None,
        packets_reply=int(reply_packets) if reply_packets else None,
        bytes_reply=int(reply_octets) if reply_octets else None,
        mark=int(mark),
        zone=int(zone) if zone else None,
        use=int(use),
    )


def _general(text: str, origin: Origin) -> Entry | None:
    start = text.find("src=")
    if start < 1:
        return None
    head = _head(text[:start])
    if head is None:
        return None
    first: dict[str, str] = {}
    second: dict[str, str] | None = None
    values = first
    flags: list[str] = []
    for word in text[start:].split():
        key, equals, value = word.partition("=")
        if not equals:
            flags.append(word)
        elif key == "src" and "src" in values:
            if second is not None:
                break
            values = second = {"src": value}
        elif key not in values:
            values[key] = value
    last = values.get
    reply = second or {}
    return Entry(
        origin=origin,
        l4proto=head.l4proto,
        original=_direction(first),
        family=head.family,
        protonum=head.protonum,
        reply=_direction(second) if second is not None else None,
        remaining_s=head.remaining_s,
        state=head.state,
        unreplied="[UNREPLIED]" in flags,
        assured="[ASSURED]" in flags,
        offload="[OFFLOAD]" in flags,
        hw_offload="[HW_OFFLOAD]" in flags,
        packets_original=_number(first.get("packets")),
        bytes_original=_number(first.get("bytes")),
        packets_reply=_number(reply.get("packets")),
        bytes_reply=_number(reply.get("bytes")),
        mark=_number(last("mark")),
        zone=_number(last("zone") or first.get("zone-orig") or last("zone-reply")),
        use=_number(last("use")),
        helper=last("helper"),
        event=head.event,
        timestamp_s=head.timestamp_s,
    )


def _is_expectation(text: str) -> bool:
    head = text[: max(text.find("src="), 0)]
    return " proto=" in head and (
        "l3proto = " in head or "EXPECTING" in head or "master-src=" in text or "mask-src=" in text
    )


def _glue(text: str, following: str) -> str | None:
    """``text`` with the line it was wrapped onto; None where ``following`` is not the rest of it.

    A mail client breaks at a space, a terminal inside a word: half a word is told by its not being a column of its own.
    """
    words = following.split()
    if not words or "src=" not in text + following:
        return None
    columns = 0
    for number, word in enumerate(words):
        key, equals, _ = word.partition("=")
        known = key in _KEYS if equals else word in ("[UNREPLIED]", "[ASSURED]", "[OFFLOAD]", "[HW_OFFLOAD]")
        if not known and (number or "src=" not in text):
            return None
        columns += known
    if not columns:
        return None
    key, equals, _ = words[0].partition("=")
    whole = key in _KEYS if equals else words[0][0] == "["
    return f"{text} {following.strip()}" if whole else text + following.strip()


def _unwrapped(lines: Sequence[Line], at: int) -> tuple[str, int]:
    """The text of the row that begins at ``lines[at]``, and how many lines it takes."""
    text = lines[at].text
    used = 1
    while used < _WRAPPED and at + used < len(lines):
        following = lines[at + used].text
        if following.find("src=") > 0 and _head(following[: following.find("src=")]) is not None:
            break
        joined = _glue(text, following)
        if joined is None:
            break
        text = joined
        used += 1
    return text, used


def _is_whole(text: str) -> bool:
    """Whether a row ends the way rows do, so that the next line need not be looked at."""
    return " use=" in text or text.endswith("...")


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Rows and the closing sentence of ``conntrack -L``, at most ``BLOCK`` of them; expectations are passed over.

    The sentence becomes an :class:`EntryCount` only where the command that was seen, if any, asked for the whole table.
    """
    facts: list[Fact] = []
    unread: list[tuple[Line, str]] = []
    end = len(lines)
    here = at
    while here < end and len(facts) < BLOCK:
        line = lines[here]
        text = line.text
        used = 1
        if not _is_whole(text) and here + 1 < end:
            text, used = _unwrapped(lines, here)
        entry = decode(text, context.origin(line))
        if entry is not None:
            if entry.original.dst or " dst=" in text:
                facts.append(entry)
            else:
                unread.append((line, "a row of the table, cut before its destination"))
        elif (status := _STATUS.search(text)) is not None:
            if not (context.command and _FILTERED.search(context.command)):
                facts.append(EntryCount(origin=context.origin(line), count=int(status[1]), how="listed"))
        elif not _is_expectation(text):
            break
        here += used
    return Read(here - at, facts, unread) if here > at else None


def compose(rows: Iterable[Entry]) -> Composition | None:
    """The composition of rows already read; None for no row at all."""
    composition: Composition | None = None
    for entry in rows:
        if composition is None:
            composition = Composition(first=entry.origin)
        composition.add(entry)
    return composition


class _Tally:
    """Rows that passed and are not yet in the composition: lists, because counting a list at once is what is fast."""

    __slots__ = ("destinations", "ports", "shapes", "sources")

    def __init__(self) -> None:
        self.shapes: list[tuple[str, str | None, bool, bool, bool, bool]] = []
        self.sources: list[str] = []
        self.destinations: list[str] = []
        self.ports: list[str] = []

    def add(self, entry: Entry) -> None:
        remaining = entry.remaining_s
        long = remaining is not None and remaining > LONG_S
        offload = entry.offload or entry.hw_offload
        self.shapes.append((entry.l4proto, entry.state, entry.unreplied, entry.assured, offload, long))
        self.sources.append(entry.original.src)
        self.destinations.append(entry.original.dst)
        self.ports.append(port_key(entry.l4proto, entry.original.dport))

    def move(self, composition: Composition) -> None:
        for shape, rows in Counter(self.shapes).items():
            l4proto, state, *rest = shape
            composition.tally(Shape(l4proto, TCP_STATE_ALIASES.get(state or "", state), *rest), rows)
        for counter, keys in (
            (composition.by_source, self.sources),
            (composition.by_destination, self.destinations),
            (composition.by_dport, self.ports),
        ):
            counter.update(keys)
            counter.pop("", None)
            keys.clear()
        self.shapes.clear()


_BATCH = 1024  # rows between two moves: the lists stay in the cache


def fold(lines: Iterable[str], composition: Composition, source: str, first_line: int = 1) -> int:
    """Count the rows among ``lines`` into ``composition`` and answer how many they were; other lines are passed over.

    The same tallies as ``composition.add`` of every row, for a listing too long to become facts: only the first
    ``Composition.KEEP`` are built in full. Rows wrapped over two lines are not joined here.
    """
    tally = _Tally()
    shape, source_of = tally.shapes.append, tally.sources.append
    destination_of, port_of = tally.destinations.append, tally.ports.append
    counted = _COUNTED.fullmatch
    waiting = 0
    before = composition.rows
    missing = composition.KEEP - len(composition.kept)
    for number, text in enumerate(lines, first_line):
        if missing > 0:
            entry = decode(text, Origin(source, number, text.rstrip("\n")))
            if entry is not None:
                composition.add(entry)
                missing -= entry.event is None
            continue
        match = counted(text)
        if match is not None:
            l4proto, remaining, state, src, dst, port, unreplied, assured = match.groups()
            long = len(remaining) > 3 and int(remaining) > LONG_S
            shape((l4proto, state, unreplied is not None, assured is not None, False, long))
            source_of(src)
            destination_of(dst)
            port_of(f"{l4proto}/{port}")
            waiting += 1
            if waiting == _BATCH:
                tally.move(composition)
                waiting = 0
            continue
        entry = decode(text, composition.first)
        if entry is None:
            continue
        if entry.event is None:
            tally.add(entry)
        else:
            composition.events += 1
    tally.move(composition)
    return composition.rows - before
