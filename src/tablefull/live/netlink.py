"""Netlink sockets in any network namespace: what is asked, what comes back, and every way in which that goes wrong.

The trap: a socket belongs to the namespace in which it was made, not to the one that uses it. So a thread enters the
namespace, makes the socket and ends; the process itself never moves, and nothing is forked. And asking may change
the host: to open NETLINK_NETFILTER, or to name a subsystem, makes a modular kernel load it, so whoever asks has to know
that it is there (live/parts.py).
"""

import _socket as socket  # the same calls without the classes around them: 7 ms of every start
import errno
import os
import struct
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Self, TypeVar

from tablefull.errors import KernelRefused, Unreadable
from tablefull.live.parts import CONNTRACK, Parts
from tablefull.live.proc import Proc
from tablefull.wire import ctnetlink, nlattr

NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12
SOL_NETLINK, ADD_MEMBERSHIP, NO_ENOBUFS, BROADCAST_ERROR = 270, 1, 5, 4
SO_RCVBUFFORCE = 33
CLONE_NEWNET = 0x40000000
# A dump's datagrams are as large as the largest read so far, up to this. [af_netlink: netlink_recvmsg, netlink_dump]
DATAGRAM_BYTES = 32 * 1024
TIMEOUT_S = 30
T = TypeVar("T")

_WHY = {
    errno.EPERM: (
        "CAP_NET_ADMIN is missing, in the user namespace that owns this network namespace",
        "run it as root; without it nf_conntrack_count, nf_conntrack_max and /proc/net/stat still tell how full it is",
    ),
    errno.EBUSY: ("another dump runs on this socket", "try again"),
    errno.ENOBUFS: ("the kernel had no room for its answer", "try again"),
    errno.EOPNOTSUPP: ("this kernel does not know the request", "use /proc/net/nf_conntrack"),
    errno.EINVAL: ("this kernel does not know the request", "use /proc/net/nf_conntrack"),
    errno.EPROTONOSUPPORT: ("this kernel has no netfilter netlink", "use /proc/net/nf_conntrack"),
}


class Interrupted(KernelRefused):
    """The answer broke off; what had come by then was used."""


def in_namespace(path: str | None, make: Callable[[], T]) -> T:
    """What ``make`` gives when called in the network namespace behind ``path`` (None: this one), in a thread that ends.

    OSError where the namespace cannot be entered, and whatever ``make`` raises.
    """
    if path is None:
        return make()
    answer: list[T] = []
    failure: list[BaseException] = []

    def go() -> None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _setns(descriptor)
            finally:
                os.close(descriptor)
            answer.append(make())
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that asked
            failure.append(error)

    thread = Thread(target=go, name="namespace")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return answer[0]


def _setns(descriptor: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def askable(proc: Proc) -> None:
    """Unreadable where asking ctnetlink would load a module, or nobody can say that it would not."""
    if not Parts(proc).askable(CONNTRACK):
        raise Unreadable(
            "ctnetlink",
            "asking would make the kernel load nf_conntrack_netlink",
            "use /proc/net/nf_conntrack, or load it yourself: modprobe nf_conntrack_netlink",
        )


class Netlink:
    """One socket. ``interrupted``: a dump was marked as inconsistent by the kernel (NLM_F_DUMP_INTR)."""

    def __init__(self, protocol: int = NETLINK_NETFILTER, namespace: str | None = None) -> None:
        self.name = "netlink" if namespace is None else f"netlink in {namespace}"
        self.interrupted = False
        self._sequence = 0
        try:
            self.socket = in_namespace(
                namespace, lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
            )
            self.socket.bind((0, 0))
        except OSError as error:
            raise refused(self.name, error) from None
        self.socket.settimeout(TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends a dump in progress, too: nothing of it stays in the kernel."""
        self.socket.close()

    def room(self, wanted_bytes: int) -> int:
        """Ask for a receive buffer, past the sysctl's limit where that is allowed; the size it has now."""
        for option in (SO_RCVBUFFORCE, socket.SO_RCVBUF):
            try:
                self.socket.setsockopt(socket.SOL_SOCKET, option, wanted_bytes)
                break
            except OSError:
                continue
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    def join(self, group: int) -> None:
        """Receive what is sent to a group."""
        try:
            self.socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, struct.pack("=I", group))
        except OSError as error:
            raise refused(self.name, error) from None

    def ask(self, request: Callable[[int], bytes]) -> int:
        """Send a request; its sequence number."""
        self._sequence += 1
        try:
            self.socket.send(request(self._sequence))
        except OSError as error:
            raise refused(self.name, error) from None
        return self._sequence

    def receive(self, into: memoryview) -> int:
        """One datagram; its size. KernelRefused where the kernel refuses or says nothing for :data:`TIMEOUT_S`."""
        while True:
            try:
                return self.socket.recv_into(into)
            except InterruptedError:
                continue
            except TimeoutError:
                raise Interrupted(f"{self.name}: no answer for {TIMEOUT_S} s; try again") from None
            except OSError as error:
                raise refused(self.name, error) from None

    def answers(self, request: Callable[[int], bytes]) -> Iterator[tuple[memoryview, nlattr.Message]]:
        """Each message of the answer with the data that it lies in, which is overwritten after it was taken."""
        sequence = self.ask(request)
        for data, size in self._datagrams():
            for message in nlattr.messages(data, size, self.name):
                if message.sequence != sequence:
                    continue
                if message.flags & nlattr.DUMP_INTERRUPTED:
                    self.interrupted = True
                if message.type in (nlattr.DONE, nlattr.ERROR):
                    check_end(self.name, data, message)
                    return
                yield data, message
                if not message.flags & nlattr.MULTI:
                    return

    def entries(self, request: Callable[[int], bytes], reader: ctnetlink.Reader) -> Iterator[ctnetlink.Row]:
        """The entries that a request is answered with, read by ``reader``; faster than message by message."""
        sequence = self.ask(request)
        for data, size in self._datagrams():
            try:
                yield from reader.entries(bytes(data[:size]), sequence, self.name)
            finally:
                self.interrupted |= reader.interrupted
            if reader.end is not None:
                if reader.end.type in (nlattr.DONE, nlattr.ERROR):
                    check_end(self.name, data, reader.end)
                return

    def _datagrams(self) -> Iterator[tuple[memoryview, int]]:
        """Each datagram and its size, in one buffer that is used again."""
        data = memoryview(bytearray(DATAGRAM_BYTES))
        while True:
            yield data, self.receive(data)


def check_end(name: str, data: memoryview, message: nlattr.Message) -> None:
    """KernelRefused where the message that ends an answer carries an error."""
    if message.end - message.begin >= 4:
        code = -struct.unpack_from("=i", data, message.begin)[0]
        if code > 0:
            raise refused(name, OSError(code, os.strerror(code)))


def refused(name: str, error: OSError) -> KernelRefused:
    """An errno as one line: what it means here, and what can be done."""
    code = error.errno or 0
    if code in _WHY:
        why, remedy = _WHY[code]
        return KernelRefused(f"{name}: {why}; {remedy}")
    if code in (errno.ENOENT, errno.ENODEV, errno.ESRCH):
        return KernelRefused(f"{name}: it is gone")
    return KernelRefused(f"{name}: {(error.strerror or str(error)).lower()}")


def statistics(link: Netlink) -> tuple[int, int | None]:
    """Entries of the namespace, and the limit where this kernel tells it (from 4.18)."""
    for data, message in link.answers(ctnetlink.stats_request):
        found = ctnetlink.stats(data, message)
        return found.get(1, 0), found.get(2)
    raise Interrupted(f"{link.name}: no statistics in the answer")


def cpu_statistics(link: Netlink) -> dict[int, dict[str, int]]:
    """The counters by CPU and name (kernel/uapi.py)."""
    from tablefull.kernel.uapi import STATS_ATTRIBUTES

    counters: dict[int, dict[str, int]] = {}
    for data, message in link.answers(ctnetlink.stats_cpu_request):
        found = ctnetlink.stats(data, message)
        counters[ctnetlink.cpu_of(data, message)] = {
            STATS_ATTRIBUTES[kind]: value for kind, value in found.items() if kind in STATS_ATTRIBUTES
        }
    return counters
