"""Entries as people read them: ``conntrack -L -o extended`` and ``/proc/net/nf_conntrack``.

The trap: the two differ in small ways that scripts rely on. The file spells IPv6 addresses in full, always says a
zone and counts one more user; GRE shows its timeouts there; and a protocol without a tracker is called unknown in
both.

[conntrack-tools 1.4.7 and 6.18.44 beside each other]
"""

from typing import NamedTuple

from tablefull.facts.entry import CtTuple, Entry
from tablefull.facts.origin import Origin
from tablefull.kernel.sctp import STATES as SCTP_STATES
from tablefull.kernel.states import TCP_STATES
from tablefull.twin import state as at
from tablefull.twin.reference_packet import DCCP, GRE, ICMP, ICMPV6, IPV4, SCTP, TCP, UDP, UDPLITE, Words, inverse_ports

NAMES = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMPV6: "icmpv6", SCTP: "sctp", GRE: "gre", UDPLITE: "udplite"}
FORMS = ("extended", "proc")
_ORIGIN = Origin("twin", 0, "")


class Listed(NamedTuple):
    """One entry, whatever engine held it. ``timeouts_s`` are GRE's two; counters are None without accounting."""

    proto: int
    family: int
    src: Words
    dst: Words
    ports: int
    zones: tuple[int, int]
    status: int
    state: int
    remaining_s: int
    counted: tuple[int, int, int, int] | None = None
    timeouts_s: tuple[int, int] = (0, 0)

    def state_name(self) -> str | None:
        """The state as listings print it; None for a protocol without states."""
        if self.proto == TCP:
            return TCP_STATES[self.state]
        return SCTP_STATES[self.state] if self.proto == SCTP else None


def address(family: int, words: Words, full: bool = False) -> str:
    """An address in text; ``full`` spells out IPv6."""
    if family == IPV4:
        return ".".join(str(words[0] >> shift & 0xFF) for shift in (24, 16, 8, 0))
    groups = [f"{word >> 16:04x}:{word & 0xFFFF:04x}" for word in words]
    if full:
        return ":".join(groups)
    import ipaddress

    return str(ipaddress.IPv6Address(":".join(groups)))


def _tuple(entry: Listed, direction: int, full: bool) -> str:
    src, dst, ports = entry.src, entry.dst, entry.ports
    if direction:
        src, dst, ports = dst, src, inverse_ports(entry.proto, ports) or 0
    text = f"src={address(entry.family, src, full)} dst={address(entry.family, dst, full)}"
    if entry.proto in (TCP, UDP, UDPLITE, SCTP):
        return f"{text} sport={ports >> 16} dport={ports & 0xFFFF}"
    if entry.proto in (ICMP, ICMPV6):
        return f"{text} type={ports >> 8 & 0xFF} code={ports & 0xFF} id={ports >> 16}"
    if entry.proto == DCCP and not full:
        return f"{text} sport=0 dport=0"  # conntrack-tools knows the name, a kernel from 6.17 on no ports
    return f"{text} srckey=0x{ports >> 16:x} dstkey=0x{ports & 0xFFFF:x}" if entry.proto == GRE else text


def _name(proto: int, proc: bool) -> str:
    return "dccp" if proto == DCCP and not proc else NAMES.get(proto, "unknown")


def line(entry: Listed, form: str) -> str:
    """One entry as one line of ``form``."""
    proc = form == "proc"
    state = entry.state_name()
    words = [
        f"{'ipv4' if entry.family == IPV4 else 'ipv6':<8} {2 if entry.family == IPV4 else 10}",
        f"{_name(entry.proto, proc):<8} {entry.proto} {entry.remaining_s}",
    ]
    if state is not None:
        words.append(state)
    if proc and entry.proto == GRE:
        words.append(f"timeout={entry.timeouts_s[0]}, stream_timeout={entry.timeouts_s[1]}")
    split = entry.zones[0] != entry.zones[1]
    for direction in (0, 1):
        words.append(_tuple(entry, direction, full=proc))
        if split and entry.zones[direction]:
            words.append(f"zone-{'reply' if direction else 'orig'}={entry.zones[direction]}")
        if entry.counted is not None:
            packets, size = entry.counted[direction * 2 : direction * 2 + 2]
            words.append(f"packets={packets} bytes={size}")
        if direction == 0 and not entry.status & at.SEEN_REPLY:
            words.append("[UNREPLIED]")
    if entry.status & at.ASSURED:
        words.append("[ASSURED]")
    words.append("mark=0")
    if not split and (proc or entry.zones[0]):
        words.append(f"zone={entry.zones[0]}")
    words.append(f"use={2 if proc else 1}")
    return " ".join(words)


def _ct_tuple(entry: Listed, direction: int) -> CtTuple:
    src, dst, ports = entry.src, entry.dst, entry.ports
    if direction:
        src, dst, ports = dst, src, inverse_ports(entry.proto, ports) or 0
    named = (address(entry.family, src), address(entry.family, dst))
    if entry.proto in (TCP, UDP, UDPLITE, SCTP):
        return CtTuple(*named, sport=ports >> 16, dport=ports & 0xFFFF)
    if entry.proto in (ICMP, ICMPV6):
        return CtTuple(*named, icmp_type=ports >> 8 & 0xFF, icmp_code=ports & 0xFF, icmp_id=ports >> 16)
    return CtTuple(*named)


def fact(entry: Listed) -> Entry:
    """One entry as the fact that a listing of it would give."""
    counted = entry.counted or (None, None, None, None)
    return Entry(
        origin=_ORIGIN,
        l4proto=NAMES.get(entry.proto, "unknown"),
        original=_ct_tuple(entry, 0),
        reply=_ct_tuple(entry, 1),
        family="ipv4" if entry.family == IPV4 else "ipv6",
        protonum=entry.proto,
        remaining_s=entry.remaining_s,
        state=entry.state_name(),
        unreplied=not entry.status & at.SEEN_REPLY,
        assured=bool(entry.status & at.ASSURED),
        packets_original=counted[0],
        bytes_original=counted[1],
        packets_reply=counted[2],
        bytes_reply=counted[3],
        mark=0,
        zone=entry.zones[0] or None,
        use=1,
    )
