"""What connection tracking reads from a packet: its tuple, what TCP and SCTP need, and whether it is believed.

The trap: what refuses a packet matters as much as that it is refused. One that yields no tuple costs nothing; one
with a bad checksum or impossible flags is refused only after an entry was found or allocated, so that at a full table
it is dropped, not merely INVALID; a bad ICMP message never reaches the table at all. The kind says which.

This is the definition; ``loops_packet.py`` does the same for arrays. [core, tcp, udp, icmp, icmpv6, sctp, gre 6.12;
measured on 6.18.44]
"""

from typing import NamedTuple

from tablefull.kernel import sctp, tcp
from tablefull.twin import state as at

Words = tuple[int, int, int, int]
NO_WORDS: Words = (0, 0, 0, 0)

ICMP, TCP, UDP, DCCP, GRE, ICMPV6, SCTP, UDPLITE = 1, 6, 17, 33, 47, 58, 132, 136
IPV4, IPV6 = 4, 6

# Queries and their answers, both ways. [icmp, icmpv6 6.18]
ICMP_ANSWER = {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17}
ICMP_QUERIES = frozenset((8, 13, 15, 17))
ICMP_ERRORS = frozenset((3, 4, 5, 11, 12))
ICMP_HIGHEST_TYPE = 18
ICMPV6_ANSWER = {128: 129, 129: 128, 139: 140, 140: 139}
ICMPV6_QUERIES = frozenset((128, 139))
# Multicast listener and neighbour discovery messages are never tracked. [icmpv6 6.18]
ICMPV6_UNTRACKED = frozenset((130, 131, 132, 133, 134, 135, 136, 143, 151, 152))
ICMPV6_REDIRECT = 137
REDIRECT_BYTES = 40
REDIRECTED_HEADER = 4  # the neighbour discovery option that holds the packet

GRE_PPP = 0x880B
EXTENSIONS = frozenset((0, 43, 44, 51, 59, 60))
EXT_FRAGMENT, EXT_AUTH, EXT_NONE = 44, 51, 59


class Packet(NamedTuple):
    """A packet as tracking sees it. ``kind`` is one of KIND_* with BAD and CUT; addresses are four words each."""

    kind: int
    proto: int = 0
    family: int = 0
    src: Words = NO_WORDS
    dst: Words = NO_WORDS
    ports: int = 0
    length: int = 0
    l4: int = 0
    seq: int = 0
    ack: int = 0
    end: int = 0
    sack: int = 0
    window: int = 0
    segment: int = 0
    flags: int = 0
    scale: int = 0
    options: int = 0
    chunks: int = 0
    tag: int = 0
    ip: bytes = b""


class Reading(NamedTuple):
    """How packets are read: the checksum sysctl, offloaded checksums, ICMPv6 redirects as errors (from 6.1)."""

    checksum: bool = True
    offloaded: bool = False
    redirects: bool = True


def _u16(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 2], "big")


def _u32(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 4], "big")


def ones_sum(data: bytes, start: int = 0) -> int:
    """The one's complement sum of 16 bit words, folded. [RFC 1071]"""
    padded = data + b"\0" if len(data) % 2 else data
    total = start + sum(int.from_bytes(padded[i : i + 2], "big") for i in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _crc_table() -> tuple[int, ...]:
    """CRC-32C, reflected polynomial 0x82f63b78. [RFC 9260, appendix A]"""
    rows = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
        rows.append(number)
    return tuple(rows)


CRC32C = _crc_table()


def crc32c(data: bytes) -> int:
    """The checksum of an SCTP packet whose checksum field reads zero."""
    crc = at.M32
    for byte in data:
        crc = CRC32C[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ at.M32


def invert(packet: Packet) -> Packet | None:
    """The tuple of the other direction; None where a type has no answer. [core 6.18: nf_ct_invert_tuple]"""
    ports = inverse_ports(packet.proto, packet.ports)
    return None if ports is None else packet._replace(src=packet.dst, dst=packet.src, ports=ports)


def inverse_ports(proto: int, ports: int) -> int | None:
    """Ports (or ICMP numbers) of the other direction; None where a type has no answer."""
    if proto in (ICMP, ICMPV6):
        answer = (ICMP_ANSWER if proto == ICMP else ICMPV6_ANSWER).get(ports >> 8 & 0xFF)
        return None if answer is None else ports & 0xFFFF00FF | answer << 8
    return (ports & 0xFFFF) << 16 | ports >> 16


def decode(ip: bytes, wire: int, reading: Reading, whole: bool = False) -> Packet:
    """Read the packet that begins with its IP header; ``wire`` bytes of it were sent, ``ip`` holds what was captured.

    What the stack refuses before netfilter (versions, lengths, the header's checksum) is KIND_DROPPED, a fragment
    KIND_HELD, unless reassembly handed it on as ``whole``. [ip_input, ip6_input 6.12]
    """
    if not ip:
        return Packet(at.KIND_DROPPED)
    version = ip[0] >> 4
    if version == IPV4:
        return _ipv4(ip, wire, reading)
    return _ipv6(ip, wire, reading, whole) if version == IPV6 else Packet(at.KIND_DROPPED)


def _ipv4(ip: bytes, wire: int, reading: Reading) -> Packet:
    if len(ip) < 20:
        return Packet(at.KIND_DROPPED)
    header, total = (ip[0] & 0xF) * 4, _u16(ip, 2)
    if header < 20 or wire < header:
        return Packet(at.KIND_DROPPED)
    if total == 0 and reading.offloaded:
        total = wire  # a segment larger than 64 KB, before it was cut for the wire
    if total < header or total > wire:
        return Packet(at.KIND_DROPPED)
    if len(ip) >= header and ones_sum(ip[:header]) != 0xFFFF and not (reading.offloaded and _u16(ip, 10) == 0):
        return Packet(at.KIND_DROPPED)
    found = Packet(
        at.KIND_TRACK, ip[9], IPV4, (_u32(ip, 12), 0, 0, 0), (_u32(ip, 16), 0, 0, 0), 0, total, header, ip=ip[:total]
    )
    if _u16(ip, 6) & 0x3FFF:
        return found._replace(kind=at.KIND_HELD)
    return _transport(found, reading)


def _ipv6(ip: bytes, wire: int, reading: Reading, whole: bool) -> Packet:
    if len(ip) < 40:
        return Packet(at.KIND_DROPPED)
    payload = _u16(ip, 4)
    total = wire if payload == 0 and ip[6] == 0 else payload + 40
    if total > wire or ip[8] == 0xFF:
        return Packet(at.KIND_DROPPED)
    ip = ip[:total]
    src = (_u32(ip, 8), _u32(ip, 12), _u32(ip, 16), _u32(ip, 20))
    dst = (_u32(ip, 24), _u32(ip, 28), _u32(ip, 32), _u32(ip, 36))
    found = Packet(at.KIND_TRACK, 0, IPV6, src, dst, 0, total, 40, ip=ip)
    proto, l4, fragment = skip_extensions(ip, 40, ip[6], total)
    found = found._replace(proto=max(proto, 0), l4=l4)
    if fragment and not whole:
        return found._replace(kind=at.KIND_HELD)
    if proto < 0:
        return found._replace(kind=at.KIND_INVALID)
    return _transport(found, reading)


def skip_extensions(ip: bytes, offset: int, following: int, total: int) -> tuple[int, int, bool]:
    """Protocol (-1: none to be found), its offset, whether a fragment header was met. [exthdrs_core 6.12]"""
    fragment = False
    while following in EXTENSIONS:
        if following == EXT_NONE or offset + 2 > len(ip):
            return -1, offset, fragment
        if following == EXT_FRAGMENT:
            fragment = True
            if offset + 4 > len(ip) or _u16(ip, offset + 2) & 0xFFF8:
                return -1, offset, fragment
            size = 8
        else:
            size = (ip[offset + 1] + 2) * 4 if following == EXT_AUTH else (ip[offset + 1] + 1) * 8
        following = ip[offset]
        offset += size
    return following, offset, fragment


def _transport(packet: Packet, reading: Reading) -> Packet:
    """The tuple and the checks of the protocol. ``packet`` has addresses, protocol, length and offset."""
    if packet.proto == ICMP and packet.family == IPV4:
        return _icmp(packet, reading)
    if packet.proto == ICMPV6 and packet.family == IPV6:
        return _icmpv6(packet, reading)
    ports = tuple_ports(packet.ip, packet.l4, packet.proto, packet.length)
    if ports is None or inverse_ports(packet.proto, ports) is None:
        return packet._replace(kind=at.KIND_INVALID)
    packet = packet._replace(ports=ports)
    if packet.proto == TCP:
        return _tcp(packet, reading)
    if packet.proto == UDP:
        return _udp(packet, reading)
    if packet.proto == UDPLITE:
        return _udplite(packet, reading)
    if packet.proto == SCTP:
        return _sctp(packet, reading)
    if packet.proto in (ICMP, ICMPV6):
        return packet._replace(kind=at.KIND_TRACK | at.BAD)  # the ICMP of the other family
    return packet


def tuple_ports(ip: bytes, l4: int, proto: int, total: int) -> int | None:
    """The protocol's part of the tuple as one 32 bit word; None where the packet is too short for it or refused.

    [core 6.18: nf_ct_get_tuple, gre_pkt_to_tuple, icmp_pkt_to_tuple]
    """
    held = min(total, len(ip)) - l4
    if proto in (TCP, UDP, UDPLITE, SCTP):
        return _u32(ip, l4) if held >= 4 else None
    if proto in (ICMP, ICMPV6):
        return _u16(ip, l4 + 4) << 16 | _u16(ip, l4) if held >= 8 else None
    if proto == GRE and held >= 4 and ip[l4 + 1] & 7 == 1 and held >= 8:
        return _u16(ip, l4 + 6) if _u16(ip, l4 + 2) == GRE_PPP else None
    return 0


def _bad(packet: Packet) -> Packet:
    return packet._replace(kind=packet.kind | at.BAD)


def _cut(packet: Packet) -> bool:
    """Whether less was captured than was sent: the checksum cannot be computed."""
    return len(packet.ip) < packet.length


def _pseudo(packet: Packet, proto: int, length: int) -> int:
    words = (*packet.src, *packet.dst)
    return sum((word >> 16) + (word & 0xFFFF) for word in words) + proto + (length >> 16) + (length & 0xFFFF)


def _checksum_wrong(packet: Packet, reading: Reading, field: int, proto: int, covered: int | None = None) -> bool:
    """Whether the Internet checksum of the transport part fails; ``field`` is the checksum's offset in it.

    The pseudo header carries the length of all that follows the IP header, whatever a length field inside says.
    """
    if not reading.checksum or _cut(packet):
        return False
    body = packet.ip[packet.l4 : packet.length]
    pseudo = _pseudo(packet, proto, len(body)) if proto != ICMP else 0
    # Nothing but zeros is good too: the kernel sums the IP header along, which adds 0xffff. [measured on 6.18.44]
    if ones_sum(body[:covered], pseudo) in (0xFFFF, 0):
        return False
    return not (reading.offloaded and _u16(body, field) == ones_sum(b"", pseudo))


def _tcp(packet: Packet, reading: Reading) -> Packet:
    ip, l4, room = packet.ip, packet.l4, packet.length - packet.l4
    if room < 20:
        return _bad(packet)
    if len(ip) - l4 < 20:
        return _bad(packet)._replace(kind=packet.kind | at.BAD | at.CUT)
    header, flags = (ip[l4 + 12] >> 4) * 4, ip[l4 + 13]
    free = tcp.FLAG_PSH | tcp.FLAG_ECE | tcp.FLAG_CWR
    if header < 20 or room < header or flags & ~free not in tcp.VALID_FLAGS:
        return _bad(packet)
    if _checksum_wrong(packet, reading, 16, TCP):
        return _bad(packet)
    seq, ack = _u32(ip, l4 + 4), _u32(ip, l4 + 8)
    grows = (1 if flags & tcp.FLAG_SYN else 0) + (1 if flags & tcp.FLAG_FIN else 0)
    scale, options, sack = 0, 0, ack
    if header > 20 and len(ip) - l4 >= header:
        scale, options, sack = tcp_options(ip[l4 + 20 : l4 + header], ack)
    return packet._replace(
        seq=seq,
        ack=ack,
        end=(seq + room - header + grows) & at.M32,
        sack=sack,
        window=_u16(ip, l4 + 14),
        segment=tcp.segment_kind(flags),
        flags=flags,
        scale=scale,
        options=options,
    )


def after(a: int, b: int) -> bool:
    """Whether sequence number a lies behind b, modulo 2^32."""
    return (b - a) & 0x80000000 != 0


def tcp_options(options: bytes, ack: int) -> tuple[int, int, int]:
    """Window scale, OPTION_* bits, and the highest right edge of the first SACK option (or the ack).

    A length of 0 or 1, or one beyond the end, ends the reading; what was read before counts. [tcp 6.12: tcp_options,
    tcp_sack]
    """
    scale, seen, sack, sacked, offset = 0, at.OPTION_SEEN, ack, False, 0
    while offset < len(options):
        kind = options[offset]
        if kind == 0:
            break
        if kind == 1:
            offset += 1
            continue
        if offset + 2 > len(options):
            break
        size = options[offset + 1]
        if size < 2 or offset + size > len(options):
            break
        if kind == 4 and size == 2:
            seen |= at.OPTION_SACK
        elif kind == 3 and size == 3:
            scale, seen = min(options[offset + 2], tcp.MAX_SCALE), seen | at.OPTION_SCALE
        elif kind == 5 and size >= 10 and (size - 2) % 8 == 0 and not sacked:
            sacked = True
            for edge in range(offset + 6, offset + size, 8):
                right = _u32(options, edge)
                sack = right if after(right, sack) else sack
        offset += size
    return scale, seen, sack


def _udp(packet: Packet, reading: Reading) -> Packet:
    ip, l4, room = packet.ip, packet.l4, packet.length - packet.l4
    if room < 8:
        return _bad(packet)
    if len(ip) - l4 < 8:
        return packet._replace(kind=packet.kind | at.CUT)
    if not 8 <= _u16(ip, l4 + 4) <= room:
        return _bad(packet)
    if _u16(ip, l4 + 6) and _checksum_wrong(packet, reading, 6, UDP):
        return _bad(packet)
    return packet


def _udplite(packet: Packet, reading: Reading) -> Packet:
    ip, l4, room = packet.ip, packet.l4, packet.length - packet.l4
    if room < 8:
        return _bad(packet)
    if len(ip) - l4 < 8:
        return packet._replace(kind=packet.kind | at.CUT)
    covered = _u16(ip, l4 + 4) or room
    if not 8 <= covered <= room or not _u16(ip, l4 + 6):
        return _bad(packet)
    # The kernel sums UDP's protocol number into the pseudo header here. [udp 6.12: udplite_error]
    return _bad(packet) if _checksum_wrong(packet, reading, 6, UDP, covered) else packet


def _sctp(packet: Packet, reading: Reading) -> Packet:
    ip, l4 = packet.ip, packet.l4
    if packet.length - l4 < 12:
        return _bad(packet)
    if len(ip) - l4 < 12:
        return packet._replace(kind=packet.kind | at.BAD | at.CUT)
    if reading.checksum and not _cut(packet):
        body = ip[l4 : packet.length]
        stored = int.from_bytes(body[8:12], "little")
        if crc32c(body[:8] + bytes(4) + body[12:]) != stored and not (reading.offloaded and stored == 0):
            return _bad(packet)
    chunks, count, alone = 0, 0, False
    for kind, _, offset in sctp_chunks(packet):
        alone = alone or kind in (sctp.CHUNK_INIT, sctp.CHUNK_INIT_ACK, sctp.CHUNK_SHUTDOWN_COMPLETE)
        first_only = alone or kind in (sctp.CHUNK_COOKIE_ACK, sctp.CHUNK_COOKIE_ECHO)
        if (first_only and count) or _u16(ip, offset + 2) == 0:
            return _bad(packet)
        chunks |= 1 << kind if kind < 32 else 0
        count += 1
    return packet._replace(chunks=chunks, tag=_u32(ip, l4 + 4)) if count else _bad(packet)


def sctp_chunks(packet: Packet) -> list[tuple[int, int, int]]:
    """Type, flags and offset of each chunk; a chunk of length 0 is the last one given."""
    ip, offset, found = packet.ip, packet.l4 + 12, []
    while offset + 4 <= min(packet.length, len(ip)):
        found.append((ip[offset], ip[offset + 1], offset))
        size = _u16(ip, offset + 2)
        if size == 0:
            break
        offset += (size + 3) & ~3
    return found


def _icmp(packet: Packet, reading: Reading) -> Packet:
    ip, l4 = packet.ip, packet.l4
    refused = packet._replace(kind=at.KIND_ICMP_INVALID)
    if min(packet.length, len(ip)) - l4 < 8 or _checksum_wrong(packet, reading, 2, ICMP):
        return refused
    kind = ip[l4]
    if kind > ICMP_HIGHEST_TYPE:
        return refused
    if kind in ICMP_ERRORS:
        return _about(packet, l4 + 8) or refused
    if kind not in ICMP_ANSWER:
        return packet._replace(kind=at.KIND_INVALID)
    return packet._replace(ports=_u16(ip, l4 + 4) << 16 | _u16(ip, l4))


def _icmpv6(packet: Packet, reading: Reading) -> Packet:
    ip, l4 = packet.ip, packet.l4
    refused = packet._replace(kind=at.KIND_ICMP_INVALID)
    if min(packet.length, len(ip)) - l4 < 8 or _checksum_wrong(packet, reading, 2, ICMPV6):
        return refused
    kind = ip[l4]
    if kind in ICMPV6_UNTRACKED:
        return packet._replace(kind=at.KIND_UNTRACKED)
    if kind == ICMPV6_REDIRECT and reading.redirects:
        return _redirect(packet) or refused
    if kind < 128:
        return _about(packet, l4 + 8) or refused
    if kind not in ICMPV6_ANSWER:
        return packet._replace(kind=at.KIND_INVALID)
    return packet._replace(ports=_u16(ip, l4 + 4) << 16 | _u16(ip, l4))


def _redirect(packet: Packet) -> Packet | None:
    """A redirect is believed only from a neighbour, and is about the packet in its option. [icmpv6 6.12]"""
    ip, l4 = packet.ip, packet.l4
    held = min(packet.length, len(ip)) - l4
    if held < REDIRECT_BYTES:
        return None
    if ip[l4 + 1] != 0:
        return packet._replace(kind=at.KIND_INVALID)
    if ip[7] != 255 or packet.src[0] >> 22 != 0xFE80 >> 6:
        return None
    if held < REDIRECT_BYTES + 2 or ip[l4 + REDIRECT_BYTES + 1] == 0:
        return None
    if ip[l4 + REDIRECT_BYTES] != REDIRECTED_HEADER:
        return packet._replace(kind=at.KIND_INVALID)
    return _about(packet, l4 + REDIRECT_BYTES + 8)


def _about(packet: Packet, offset: int) -> Packet | None:
    """The tuple under which the entry is found that an ICMP error speaks of; None where it speaks of none.

    That is the inverse of the packet inside, and the message must have been sent to where the inverse goes.
    [icmp 6.12: nf_conntrack_inet_error]
    """
    ip, total = packet.ip, min(packet.length, len(packet.ip))
    if packet.family == IPV4:
        if total - offset < 20 or _u16(ip, offset + 6) & 0x1FFF:
            return None
        proto, l4 = ip[offset + 9], offset + (ip[offset] & 0xF) * 4
        if l4 > packet.length:
            return None
        src, dst = (_u32(ip, offset + 12), 0, 0, 0), (_u32(ip, offset + 16), 0, 0, 0)
    else:
        if total - offset < 40:
            return None
        proto, l4, _ = skip_extensions(ip, offset + 40, ip[offset + 6], total)
        if proto < 0:
            return None
        src = (_u32(ip, offset + 8), _u32(ip, offset + 12), _u32(ip, offset + 16), _u32(ip, offset + 20))
        dst = (_u32(ip, offset + 24), _u32(ip, offset + 28), _u32(ip, offset + 32), _u32(ip, offset + 36))
    ports = tuple_ports(ip, l4, proto, total)
    inside = packet._replace(kind=at.KIND_ICMP_ERROR, proto=proto, src=src, dst=dst, ports=ports or 0)
    found = None if ports is None else invert(inside)
    return found if found is not None and found.dst == packet.dst else None
