"""What the SCTP tracker does with one packet: chunk by chunk, each with its own rule for the verification tag.

The trap: a packet is judged chunk by chunk and an early chunk's effect stays when a later one is refused; two INITs may
cross; and a heartbeat may belong to another path of the same association.

This is the definition; ``loops_sctp.py`` does the same for arrays. [sctp 6.12 read; measured on 6.18.44]
"""

from tablefull.kernel import sctp
from tablefull.twin import state as at
from tablefull.twin.reference_entry import ACCEPT, INVALID, KEEP, Entry, Result
from tablefull.twin.reference_packet import Packet, sctp_chunks

# Chunks whose tag has a rule of its own; any other packet must carry its side's tag.
_OWN_RULE = (
    *(sctp.CHUNK_INIT, sctp.CHUNK_SHUTDOWN_COMPLETE, sctp.CHUNK_COOKIE_ECHO, sctp.CHUNK_ABORT),
    *(sctp.CHUNK_SHUTDOWN_ACK, sctp.CHUNK_HEARTBEAT, sctp.CHUNK_HEARTBEAT_ACK),
)
OWN_RULE = sum(1 << chunk for chunk in _OWN_RULE)
# Chunks that cannot begin an association. [RFC 9260, 8.4]
NEVER_FIRST = 1 << sctp.CHUNK_ABORT | 1 << sctp.CHUNK_SHUTDOWN_COMPLETE | 1 << sctp.CHUNK_COOKIE_ACK
_HEARTBEATS = (sctp.CHUNK_HEARTBEAT, sctp.CHUNK_HEARTBEAT_ACK)
_INIT_HEADER = 16


def init_tag(packet: Packet, offset: int) -> int | None:
    """The initiate tag of an INIT or INIT ACK chunk; None where its header is cut off."""
    held = min(packet.length, len(packet.ip))
    if offset + 4 + _INIT_HEADER > held:
        return None
    return int.from_bytes(packet.ip[offset + 4 : offset + 8], "big")


def begin(entry: Entry, packet: Packet) -> bool:
    """What a first packet makes of a fresh entry; False where none may begin with it."""
    if packet.chunks & NEVER_FIRST:
        return False
    entry.tags, entry.inits, entry.sctp_flags, entry.state = [0, 0], [0, 0], 0, sctp.NONE
    for kind, _, offset in sctp_chunks(packet):
        if sctp.next_state(0, sctp.NONE, kind) in (sctp.NONE, sctp.INVALID):
            return False
        if kind == sctp.CHUNK_INIT:
            tag = init_tag(packet, offset)
            if packet.tag or tag is None:
                return False
            entry.tags[1] = tag
        elif kind == sctp.CHUNK_HEARTBEAT:
            entry.tags[0] = packet.tag
        elif kind == sctp.CHUNK_SHUTDOWN_ACK:
            entry.tags[1] = packet.tag
    return True


def track(entry: Entry, direction: int, packet: Packet, settings: list[int]) -> Result:
    """One packet: what becomes of it, and the timeout (ns) it gives the entry."""
    if not packet.chunks & OWN_RULE and packet.tag != entry.tags[direction]:
        return Result(INVALID)
    ignore, new = False, sctp.NONE
    for kind, flags, offset in sctp_chunks(packet):
        if kind in _HEARTBEATS:
            believed = _heartbeat(entry, direction, packet, kind, ignore)
            if believed is None:
                return Result(INVALID)
            if not believed:
                ignore = True
                continue
        elif not _tag_fits(entry, direction, packet.tag, kind, flags):
            return Result(INVALID)
        elif kind == sctp.CHUNK_COOKIE_ACK:
            entry.inits = [0, 0]
        old = entry.state
        new = sctp.next_state(direction, old, kind)
        if new == sctp.INVALID:
            return Result(INVALID)
        if kind == sctp.CHUNK_INIT:
            tag = init_tag(packet, offset)
            if tag is None:
                return Result(INVALID)
            _init(entry, direction, old, tag)
            confirmed = bool(entry.status & at.CONFIRMED)
            if new == old == sctp.CLOSED and confirmed:
                ignore = True
        elif kind == sctp.CHUNK_INIT_ACK:
            tag = init_tag(packet, offset)
            if tag is None or not _init_ack(entry, direction, tag):
                return Result(INVALID)
        entry.state = new
        if old != new == sctp.ESTABLISHED:
            entry.status |= at.ASSURED
    return Result(KEEP) if ignore else Result(ACCEPT, settings[at.S_SCTP + new])


def _tag_fits(entry: Entry, direction: int, tag: int, kind: int, flags: int) -> bool:
    """The tag rules of INIT, ABORT, SHUTDOWN COMPLETE and COOKIE ECHO. [RFC 9260, 8.5.1]"""
    if kind == sctp.CHUNK_INIT:
        return tag == 0
    if kind in (sctp.CHUNK_ABORT, sctp.CHUNK_SHUTDOWN_COMPLETE):
        return tag == entry.tags[1 - direction if flags & sctp.CHUNK_T else direction]
    return kind != sctp.CHUNK_COOKIE_ECHO or tag == entry.tags[direction]


def _heartbeat(entry: Entry, direction: int, packet: Packet, kind: int, ignored: bool) -> bool | None:
    """Whether a heartbeat or its answer is believed; False: let through without a trace; None: refused."""
    if entry.tags[direction] == 0:
        entry.tags[direction] = packet.tag
        return True
    if packet.tag == entry.tags[direction]:
        entry.sctp_flags &= ~at.SCTP_HEARTBEAT_FAILED
        return True
    if packet.chunks & 1 << sctp.CHUNK_DATA or ignored:
        return None
    if kind == sctp.CHUNK_HEARTBEAT:
        entry.sctp_flags |= at.SCTP_HEARTBEAT_FAILED
        entry.last_dir = direction
        return False
    if not entry.sctp_flags & at.SCTP_HEARTBEAT_FAILED or entry.last_dir == direction:
        return None
    entry.sctp_flags &= ~at.SCTP_HEARTBEAT_FAILED
    entry.tags[direction], entry.tags[1 - direction] = packet.tag, 0
    return True


def _init(entry: Entry, direction: int, old: int, tag: int) -> None:
    """An INIT announces the tag of the other direction; a repeated one does not count as a crossing."""
    other = 1 - direction
    if old == sctp.NONE or entry.tags[other] != tag:
        if entry.inits[direction] and entry.inits[other]:
            entry.inits[other] = 0
        entry.inits[direction] = 1
    entry.tags[other] = tag


def _init_ack(entry: Entry, direction: int, tag: int) -> bool:
    """Whether an INIT ACK fits the INITs that were seen; takes its tag where it does."""
    other = 1 - direction
    known = entry.tags[other]
    if not entry.inits[other] and known and known != tag:
        return False
    if entry.inits[direction] and entry.inits[other] and known != tag:
        return False
    entry.tags[other] = tag
    return True
