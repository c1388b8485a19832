"""Who changes a rule set, told as it happens: nftables by its own notifications, iptables by a tracepoint.

The trap: neither tells all. nftables names the process and the namespace and nothing of iptables-legacy; the tracepoint
names a process that asks for a table to be replaced, before it is. And both name a process that may be gone before it
is looked at, so what it was called is taken from the kernel's message and the rest is best effort.
"""

import errno
import select
from collections.abc import Mapping
from typing import Self

from msgspec import Struct

from tablefull.errors import KernelRefused, ParseError, Unreadable
from tablefull.facts.origin import Hole
from tablefull.live import netns, parts
from tablefull.live.netlink import DATAGRAM_BYTES, Netlink
from tablefull.live.proc import Proc
from tablefull.live.tracepoints import Tracepoint
from tablefull.wire import nftables, nlattr

# IPT_SO_SET_REPLACE and IP6T_SO_SET_REPLACE, both 64, of SOL_IP and SOL_IPV6. [ip_tables.h, ip6_tables.h]
REPLACES = "optname == 64 && (level == 0 || level == 41)"
LEGACY, NFT = "iptables", "nftables"
MOST_COMMAND = 300
ROOM_BYTES = 1 << 20


class Who(Struct, frozen=True):
    """A process. ``command`` and ``parent`` are empty where it had ended before it could be looked at."""

    pid: int
    name: str
    command: str = ""
    parent: str = ""


class RuleNews(Struct, frozen=True):
    """Somebody changes rules. ``space``: the key of the namespace, empty for one that is not listened to, None where
    it is not told.
    """

    how: str
    who: Who | None
    space: str | None
    inode: int | None = None


class RuleWatch:
    """Listens in the namespaces given. ``ways``: what is told as it happens; ``holes``: what is not, and why."""

    def __init__(self, proc: Proc) -> None:
        self.proc = proc
        self.ways: list[str] = []
        self.holes: list[Hole] = []
        self.lost = 0
        self._links: dict[str, Netlink] = {}
        self._inodes: dict[int, str] = {}
        self._refused: set[str] = set()
        self._replaces: Tracepoint | None = None
        try:
            self._replaces = Tracepoint(proc, "syscalls", "sys_enter_setsockopt", REPLACES)
            self.ways.append("iptables-legacy, by the tracepoint sys_enter_setsockopt")
        except Unreadable as error:
            self.holes.append(Hole("who runs iptables-legacy", str(error), "its changes are seen, without their maker"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Listen no longer."""
        for link in self._links.values():
            link.close()
        self._links = {}
        if self._replaces is not None:
            self._replaces.close()
            self._replaces = None

    def listen(self, spaces: Mapping[str, tuple[str | None, int | None]]) -> None:
        """Hear of nftables in these namespaces (key → path and inode), and no longer in others."""
        self._inodes = {inode: key for key, (_, inode) in spaces.items() if inode is not None}
        for key in [key for key in self._links if key not in spaces]:
            self._links.pop(key).close()
        wanted = [key for key in spaces if key not in self._links]
        if wanted and not parts.Parts(self.proc).askable(parts.NFTABLES):
            self._once(NFT, "listening would load nf_tables; it is tried again while this runs", "")
            return
        for key in wanted:
            try:
                link = Netlink(namespace=spaces[key][0])
            except KernelRefused as error:
                self._once(f"{NFT} in {key}", str(error), "")
                continue
            try:
                link.room(ROOM_BYTES)
                link.join(nftables.GROUP)
                link.socket.setblocking(False)
            except KernelRefused as error:
                link.close()
                self._once(f"{NFT} in {key}", str(error), "")
                continue
            self._links[key] = link
        if self._links and not any(way.startswith(NFT) for way in self.ways):
            self.ways.insert(0, f"{NFT} and iptables-nft, by nftables' own notification")

    def _once(self, what: str, why: str, remedy: str) -> None:
        if what not in self._refused:
            self._refused.add(what)
            self.holes.append(Hole(what, why, remedy))

    def wait(self, seconds: float) -> list[RuleNews]:
        """What happens in that time; returns at once when something does, or on a signal."""
        poll = select.poll()
        links = {link.socket.fileno(): key for key, link in self._links.items()}
        for descriptor in (*links, *(self._replaces.descriptors() if self._replaces else ())):
            poll.register(descriptor, select.POLLIN)
        found: list[RuleNews] = []
        for descriptor, _ in poll.poll(max(seconds, 0) * 1000):
            if descriptor in links:
                found += self._of_nft(links[descriptor])
        if self._replaces is not None:
            for reached in self._replaces.read():
                who = self._look(reached.pid, reached.name)
                inode = reached.inode or netns.inode_of(self.proc, f"proc/{reached.pid}/ns/net")
                space = None if inode is None else self._inodes.get(inode, "")
                found.append(RuleNews(LEGACY, who, space, inode))
            self.lost += self._replaces.lost
            self._replaces.lost = 0
        return found

    def _of_nft(self, key: str) -> list[RuleNews]:
        link = self._links[key]
        data = memoryview(bytearray(DATAGRAM_BYTES))
        found: list[RuleNews] = []
        while True:
            try:
                size = link.socket.recv_into(data)
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno == errno.ENOBUFS:  # some were left out: that there was a change is all that is needed
                    self.lost += 1
                    found.append(RuleNews(NFT, None, key))
                    continue
                self._links.pop(key).close()
                return found
            try:
                for message in nlattr.messages(data, size, NFT):
                    if nftables.kind_of(message) == nftables.GEN:
                        made = nftables.generation(data, message)
                        who = self._look(made.pid, made.name) if made.pid is not None else None
                        found.append(RuleNews(NFT, who, key))
            except ParseError:
                found.append(RuleNews(NFT, None, key))

    def _look(self, pid: int, name: str) -> Who:
        """What /proc tells of the process, as long as it is the one: a number may be another's by now."""
        comm = self.proc.text(f"proc/{pid}/comm", 64)
        if not isinstance(comm, str) or (name and comm != name[:15]):
            return Who(pid, name)
        words = self.proc.read(f"proc/{pid}/cmdline", MOST_COMMAND)
        command = (
            words.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace") if isinstance(words, bytes) else ""
        )
        return Who(pid, name or comm, command, self._parent(pid))

    def _parent(self, pid: int) -> str:
        status = self.proc.text(f"proc/{pid}/status", 4096)
        for line in (status if isinstance(status, str) else "").splitlines():
            if line.startswith("PPid:"):
                comm = self.proc.text(f"proc/{line[5:].strip()}/comm", 64)
                return comm if isinstance(comm, str) else ""
        return ""
