"""An entry as the plain twin holds it, and what a tracker may say of a packet.

The trap: an entry begins with a *relative* deadline. Only when its packet leaves the host (or reaches a socket) does
the entry enter the table, and the deadline becomes absolute; a packet that a rule drops leaves nothing behind.
"""

from typing import NamedTuple

from tablefull.twin import state as at
from tablefull.twin.reference_packet import NO_WORDS, Words, inverse_ports

# What a tracker says: refresh the entry and count; let through without a trace; cut from the entry; look up again after
# the entry was deleted; let through and delete.
ACCEPT, KEEP, INVALID, REPEAT, KILL = range(5)


class Result(NamedTuple):
    """``timeout_ns`` belongs to ACCEPT. ``shorten``: an INVALID that may cut the entry's remaining time."""

    action: int
    timeout_ns: int = 0
    shorten: bool = False


class Side:
    """One direction of a TCP connection, by the names of KERNEL.md 8.5. All are sequence numbers or windows."""

    __slots__ = ("end", "flags", "maxack", "maxend", "maxwin", "scale")

    def __init__(self) -> None:
        self.end = self.maxend = self.maxwin = self.maxack = self.scale = self.flags = 0


class Key(NamedTuple):
    """One direction's tuple with its zone."""

    proto: int
    family: int
    src: Words
    dst: Words
    ports: int
    zone: int


class Entry:
    """One entry. ``keys`` are the original and the reply tuple; sides and ``last_*`` belong to TCP."""

    __slots__ = (
        *("keys", "status", "deadline_ns", "serial", "row", "packets", "bytes", "state", "sides"),
        *("last_dir", "last_kind", "retrans", "last_scale", "last_flags", "last_win", "last_seq", "last_ack"),
        *("last_end", "stream_ns", "timeouts_ns", "tags", "inits", "sctp_flags", "fake"),
    )

    def __init__(self, original: Key, reply_zone: int, serial: int) -> None:
        answer = inverse_ports(original.proto, original.ports)
        if answer is None:
            raise ValueError("a tuple without an inverse has no entry")
        reply = Key(original.proto, original.family, original.dst, original.src, answer, reply_zone)
        self.keys = (original, reply)
        self.status = self.deadline_ns = self.state = 0
        self.serial, self.row = serial, at.NOTHING
        self.packets, self.bytes = [0, 0], [0, 0]
        self.sides = (Side(), Side())
        self.last_dir = self.last_kind = self.retrans = self.last_scale = self.last_flags = self.last_win = 0
        self.last_seq = self.last_ack = self.last_end = self.stream_ns = self.sctp_flags = 0
        self.timeouts_ns = (0, 0)
        self.tags, self.inits = [0, 0], [0, 0]
        self.fake = False  # lost a race: hangs in the table by its reply tuple only

    def expired(self, now_ns: int) -> bool:
        """Whether its time is up; it may still be counted."""
        return self.deadline_ns <= now_ns


EMPTY_KEY = Key(0, 0, NO_WORDS, NO_WORDS, 0, 0)
