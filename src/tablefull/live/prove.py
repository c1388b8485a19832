"""One packet through a namespace, and whether the kernel made an entry of it: the proof that no rule set can give.

The trap: a probe must leave nothing behind, also when it is killed. So one end of the pair of links lies in a namespace
that only this process holds: when the process ends, however that happens, the kernel removes that namespace, and with
one end of a pair the other. No route or rule is added, and an address only where a rule wants one: the packet is sent
bound to its link, which the kernel takes as "the destination is on this link". And a table in use changes all the time,
so the entry itself is looked up, by a tuple that nobody else has.

[ip_route_output_key_hash_rcu (oif without a route), veth_dellink, raw_send_hdrinc]
"""

import errno
import os
import socket
import struct
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Self

from msgspec import Struct

from tablefull.errors import KernelRefused, TablefullError, Unreadable
from tablefull.kernel.tracking_users import IPV4, IPV6
from tablefull.live import parts
from tablefull.live.netlink import NETLINK_ROUTE, Netlink, in_namespace
from tablefull.live.proc import Proc
from tablefull.wire import ctnetlink, nlattr, rtnetlink

CLONE_NEWNET = 0x40000000  # include/uapi/linux/sched.h
# TEST-NET-1 and -2 (RFC 5737); the discard port. IPv6 goes to all nodes of its own link, the one route each link has.
SOURCE4, TARGET4 = "192.0.2.1", "198.51.100.1"
SOURCE6, TARGET6 = "2001:db8::1", "ff02::1"
LINK6 = "fe80::1"
PORT = 9
WAIT_S = 1.0
# A link that comes up has its IPv6 route when its carrier was noticed, once a second. [net/core/link_watch.c]
ROUTE_S = 3.0
_IPV6_FREEBIND = 78
_ALL_FRAMES = 0x0003
_FAMILY = {IPV4: 2, IPV6: 10}


class Proof(Struct, frozen=True):
    """``tracked`` None: the packet told nothing, and why. ``left``: it came out at the other end. ``dropped``: a rule
    took it away.
    """

    family: str
    tracked: bool | None
    told: str
    left: bool = False
    dropped: bool = False


def prove(proc: Proc, path: str | None, zoned: bool = False, exempt: Collection[str] = ()) -> list[Proof]:
    """Send one packet for each family in the namespace behind ``path`` (None: this one) and look for its entry.

    ``zoned``: a rule there may put entries into a zone, so that the lookup by tuple is not enough; ``exempt``: the
    families of which one may keep the packet from being tracked. Never raises what the kernel refuses: that is a proof
    that told nothing.
    """
    try:
        have = parts.Parts(proc)
        asks = have.askable(parts.CONNTRACK)
        if not have.askable("veth"):
            raise Unreadable("veth", "making a link would load it", "load it yourself: modprobe veth")
        with _Pair(path) as pair:
            return [_one(pair, family, path, zoned, family in exempt, asks) for family in (IPV4, IPV6)]
    except (TablefullError, OSError) as error:
        why = str(error) if isinstance(error, TablefullError) else (error.strerror or str(error)).lower()
        if isinstance(error, PermissionError):
            why = "making a pair of links needs root (CAP_NET_ADMIN, CAP_SYS_ADMIN and CAP_NET_RAW)"
        return [Proof(family, None, f"not proved: {why}") for family in (IPV4, IPV6)]


class _Pair:
    """The two links: ``name`` and ``index`` in the namespace asked about, the other end in one of this process only."""

    def __init__(self, path: str | None) -> None:
        self.name = f"tfw{os.getpid() % 0xFFFFFF:06x}a"
        self.index = 0
        self._route: Netlink | None = None
        self._sink: socket.socket | None = None
        self._own = in_namespace("/proc/self/ns/net", _fresh)
        try:
            self._route = Netlink(NETLINK_ROUTE, path)
            peer = self.name[:-1] + "b"
            _ask(self._route, lambda n: rtnetlink.pair_request(n, self.name, peer, self._own))
            self.index = in_namespace(path, lambda: socket.if_nametoindex(self.name))
            other = f"/proc/self/fd/{self._own}"
            with Netlink(NETLINK_ROUTE, other) as there:
                index = in_namespace(other, lambda: socket.if_nametoindex(peer))
                _up(there, index)
            self._sink = in_namespace(
                other, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_FRAMES))
            )
            self._sink.settimeout(WAIT_S)
            _up(self._route, self.index)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(TablefullError, OSError):
            if self._route is not None and self.index:
                _ask(self._route, lambda n: rtnetlink.remove_request(n, self.index))
        for held in (self._route, self._sink):
            if held is not None:
                held.close()
        os.close(self._own)

    def addressed(self, family: str) -> None:
        """The link gets an address of that family, which goes when it goes."""
        assert self._route is not None
        kind, name = (socket.AF_INET, SOURCE4) if family == IPV4 else (socket.AF_INET6, LINK6)
        address = socket.inet_pton(kind, name)
        _ask(self._route, lambda n: rtnetlink.address_request(n, self.index, address))

    def came_out(self, mark: bytes) -> bool:
        """Whether a frame that holds ``mark`` came out at the other end."""
        assert self._sink is not None
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            try:
                if mark in self._sink.recv(2048):
                    return True
            except TimeoutError:
                return False
        return False


def _fresh() -> int:
    """A new network namespace, held by the file returned. Called in a thread that ends."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), "a namespace of its own")
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _ask(link: Netlink, request: Callable[[int], bytes]) -> None:
    for _ in link.answers(request):
        pass


def _up(link: Netlink, index: int) -> None:
    with suppress(KernelRefused):  # a link without IPv6 needs no telling
        _ask(link, lambda n: rtnetlink.quiet_request(n, index))
    _ask(link, lambda n: rtnetlink.up_request(n, index))


def _one(pair: _Pair, family: str, path: str | None, zoned: bool, exempt: bool, askable: bool) -> Proof:
    """Send, look, clean up; where the packet was dropped on its way out, once more with an address on the link: a rule
    that masquerades has dropped it for want of one. [nf_nat_masquerade.c]
    """
    proof = _tried(pair, family, path, zoned, exempt, askable)
    if proof.tracked is None and proof.dropped:
        with suppress(TablefullError, OSError):
            pair.addressed(family)
            proof = _tried(pair, family, path, zoned, exempt, askable)
    return proof


def _tried(pair: _Pair, family: str, path: str | None, zoned: bool, exempt: bool, askable: bool) -> Proof:
    port = 1024 + int.from_bytes(os.urandom(2), "big") % 60000
    mark = b"tablefull why --prove " + os.urandom(8)
    try:
        _sent(pair, family, path, port, mark)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            why = "a rule dropped the packet before it could become an entry: no proof"
            return Proof(family, None, why, dropped=True)
        why = "this namespace has no " + family if error.errno in _NO_FAMILY else (error.strerror or "").lower()
        return Proof(family, None, f"no packet could be sent: {why}")
    left = pair.came_out(mark)
    try:
        entry = _entry(family, path, port, zoned, askable)
    except (TablefullError, OSError) as error:
        return Proof(family, None, f"the packet was sent, and its entry could not be looked up: {error}", left)
    if entry:
        return Proof(family, True, "tracked: the kernel made an entry of the packet (deleted again)", left)
    if left and exempt:
        told = "the packet passed and left no entry, and a notrack rule of this namespace may be why: no proof"
        return Proof(family, None, told, left)
    if left:
        return Proof(family, False, "not tracked: the packet passed and left no entry", left)
    told = "the packet was dropped on its way out, so that it left no entry proves nothing"
    return Proof(family, None, told, left, dropped=True)


def _sent(pair: _Pair, family: str, path: str | None, port: int, mark: bytes) -> None:
    """Send; for a moment again and again where there is no route: a link has one a little after it is up."""
    deadline = time.monotonic() + ROUTE_S
    while True:
        try:
            in_namespace(path, lambda: _send(pair, family, port, mark))
            return
        except OSError as error:
            late = time.monotonic() > deadline or in_namespace(path, lambda: _switched_off(pair.name, family))
            if error.errno not in (errno.ENETUNREACH, errno.EADDRNOTAVAIL) or late:
                raise
            time.sleep(ROUTE_S / 200)


def _switched_off(name: str, family: str) -> bool:
    """Whether a link of the namespace of this thread has no IPv6."""
    if family == IPV4:
        return False
    try:
        with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "rb") as file:  # noqa: PTH123 - beside its neighbours
            return file.read(1) != b"0"
    except OSError:
        return True


_NO_FAMILY = (errno.EAFNOSUPPORT, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


def _send(pair: _Pair, family: str, port: int, mark: bytes) -> None:
    udp = struct.pack(">HHHH", port, PORT, 8 + len(mark), 0) + mark
    kind = socket.AF_INET if family == IPV4 else socket.AF_INET6
    with socket.socket(kind, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, pair.name.encode() + b"\0")
        if family == IPV4:
            # No checksum of UDP is legal over IPv4; that of IP the kernel fills in.
            head = struct.pack(
                ">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 1, socket.IPPROTO_UDP, 0,
                socket.inet_aton(SOURCE4), socket.inet_aton(TARGET4),
            )  # fmt: skip
            out.sendto(head + udp, (TARGET4, 0))
            return
        source, target = (socket.inet_pton(socket.AF_INET6, one) for one in (SOURCE6, TARGET6))
        udp = udp[:6] + struct.pack(">H", _checksum6(source, target, udp)) + udp[8:]
        head = struct.pack(">IHBB16s16s", 0x60000000, len(udp), socket.IPPROTO_UDP, 1, source, target)
        out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        # A source that this link does not have: without one the kernel looks for an address and finds none.
        out.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        out.bind((SOURCE6, 0))
        out.sendto(head + udp, (TARGET6, 0, 0, pair.index))


def _checksum6(source: bytes, target: bytes, udp: bytes) -> int:
    """Over the pseudo-header of RFC 8200, 8.1."""
    data = source + target + struct.pack(">IxxxB", len(udp), socket.IPPROTO_UDP) + udp
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF or 0xFFFF


def _entry(family: str, path: str | None, port: int, zoned: bool, askable: bool) -> bool:
    """Whether the packet's entry is in the table; it is deleted where it is."""
    source, target = (SOURCE4, TARGET4) if family == IPV4 else (SOURCE6, TARGET6)
    kind = socket.AF_INET if family == IPV4 else socket.AF_INET6
    addresses = socket.inet_pton(kind, source), socket.inet_pton(kind, target)
    if not askable:
        return in_namespace(path, lambda: _in_file(source, port))
    with Netlink(namespace=path) as link:
        zones = _zones(link, family, addresses, port) if zoned else [0]
        for zone in zones:
            key = ctnetlink.tuple_attributes(*addresses, socket.IPPROTO_UDP, port, PORT, zone)
            if _answered(link, ctnetlink.GET, key, _FAMILY[family]):
                with suppress(KernelRefused):
                    _answered(link, ctnetlink.DELETE, key, _FAMILY[family])
                return True
    return False


def _in_file(source: str, port: int) -> bool:
    """The same from /proc, where ctnetlink is not loaded; OSError where the kernel shows no table there."""
    address = source if "." in source else "2001:0db8:0000:0000:0000:0000:0000:0001"
    with open("/proc/thread-self/net/nf_conntrack", encoding="utf-8", errors="replace") as rows:  # noqa: PTH123
        return any(f"src={address} " in row and f"sport={port} " in row for row in rows)


def _answered(link: Netlink, kind: int, key: bytes, family: int) -> bool:
    """False where there is no such entry."""
    try:
        flags = nlattr.ACK if kind == ctnetlink.DELETE else 0
        # An entry that was asked for by its tuple is marked as one of many, and is the only one. [ctnetlink_fill_info]
        next(link.answers(lambda n: ctnetlink.one_request(kind, n, family, key, flags)), None)
    except KernelRefused as error:
        if "it is gone" in str(error):
            return False
        raise
    return True


def _zones(link: Netlink, family: str, addresses: tuple[bytes, bytes], port: int) -> list[int]:
    """The zones in which an entry of this tuple is: by a dump, because a lookup needs to know the zone."""
    found = {0}
    words = [struct.unpack(">I" if family == IPV4 else ">IIII", one) for one in addresses]
    for data, message in link.answers(lambda n: ctnetlink.dump_request(n, _FAMILY[family])):
        row = ctnetlink.row(data, message)
        size = len(words[0])
        if (
            row[ctnetlink.R_SPORT] == port
            and row[ctnetlink.R_SRC : ctnetlink.R_SRC + size] == words[0]
            and row[ctnetlink.R_DST : ctnetlink.R_DST + size] == words[1]
        ):
            found |= {row[ctnetlink.R_ZONE], row[ctnetlink.R_ZONE_ORIG], row[ctnetlink.R_ZONE_REPLY]}
    return sorted(found)
