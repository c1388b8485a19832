"""Many datagrams of a socket in one call: ``recvmmsg`` over a block of memory cut into slots.

The trap: Python takes its lock again after every call, and while another thread works under that lock a receiver gets
through two hundred times a second. A dump of 1.5 million entries is eleven thousand datagrams; thirty-two of them a
call, and the lock no longer matters.

[man 2 recvmmsg; sys/socket.h]
"""

import ctypes
import errno
import os
import select
from collections.abc import Iterator
from typing import NamedTuple

from tablefull.live.netlink import TIMEOUT_S, Interrupted, Netlink, refused

MSG_DONTWAIT, MSG_TRUNC = 0x40, 0x20
SLOTS, SLOT_BYTES = 32, 32 * 1024


class _Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Header(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class _Message(ctypes.Structure):
    _fields_ = [("header", _Header), ("length", ctypes.c_uint)]


# Of one header: its size, and where its datagram's length and flags stand.
LAYOUT = (ctypes.sizeof(_Message), _Message.length.offset, _Message.header.offset + _Header.flags.offset)


class Slot(NamedTuple):
    """Where a datagram begins in the block, and its size."""

    begin: int
    size: int


class Block:
    """Memory for some datagrams, to be used again and again. ``data`` holds the bytes; ``slots`` what came last."""

    def __init__(self, slots: int = SLOTS, slot_bytes: int = SLOT_BYTES) -> None:
        self.data = bytearray(slots * slot_bytes)
        self.slots: list[Slot] = []
        self._slot_bytes = slot_bytes
        self._held = (ctypes.c_char * len(self.data)).from_buffer(self.data)
        base = ctypes.addressof(self._held)
        self._vectors = (_Vector * slots)(*(_Vector(base + at * slot_bytes, slot_bytes) for at in range(slots)))
        first = ctypes.addressof(self._vectors)
        size = ctypes.sizeof(_Vector)
        self._messages = (_Message * slots)(
            *(_Message(_Header(None, 0, first + at * size, 1, None, 0, 0), 0) for at in range(slots))
        )

    def datagrams(self) -> Iterator[memoryview]:
        """Each datagram that came last."""
        view = memoryview(self.data)
        return (view[slot.begin : slot.begin + slot.size] for slot in self.slots)

    @property
    def headers(self) -> "ctypes.Array[_Message]":
        """What recvmmsg says of each slot, for compiled code; :data:`LAYOUT` says where what stands."""
        return self._messages

    def receive(self, descriptor: int) -> int:
        """Take what is there without waiting: how many datagrams, or an errno below zero."""
        count = int(_recvmmsg(descriptor, ctypes.addressof(self._messages), len(self._messages), MSG_DONTWAIT, None))
        return count if count >= 0 else -ctypes.get_errno()

    def fill(self, link: Netlink, timeout_s: float = TIMEOUT_S) -> bool:
        """Wait for one datagram and take what else is there; True where one was larger than its slot.

        Interrupted where nothing comes in that time, KernelRefused for what the kernel refuses (ENOBUFS: some were
        lost). The socket must not block by itself.
        """
        descriptor = link.socket.fileno()
        if not select.select([descriptor], [], [], timeout_s)[0]:
            raise Interrupted(f"{link.name}: no answer for {timeout_s:g} s; try again")
        count = self.receive(descriptor)
        if count < 0:
            if -count in (errno.EAGAIN, errno.EINTR):
                self.slots = []
                return False
            raise refused(link.name, OSError(-count, os.strerror(-count)))
        self.slots = [Slot(at * self._slot_bytes, self._messages[at].length) for at in range(count)]
        return any(self._messages[at].header.flags & MSG_TRUNC for at in range(count))


_recvmmsg = ctypes.CDLL(None, use_errno=True).recvmmsg
_recvmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]
_recvmmsg.restype = ctypes.c_int
