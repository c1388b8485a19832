"""Namespaces joined by veth pairs, sockets in them, and the acts of a step carried out there by hand.

The trap: the engine that applies a fix is not its judge. What a maker says is done here by its own words, with nothing
of the engine, so that a test of a maker fails where the maker is wrong.
"""

import re
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.realkernel.namespace import Namespace

from tablefull.fixes.act import Command, Commanded, HostPlan, SetValue

_COUNTS = re.compile(r"\[\d+:\d+\]|packets \d+ bytes \d+|expires \d+\w+")


def join(one: Namespace, other: Namespace, number: int) -> None:
    """A veth pair: ``10.9.N.1`` and ``fd09:N::1`` in the first, ``.2`` and ``::2`` in the second."""
    names = f"w{number}a", f"w{number}b"
    one.run("ip", "link", "add", names[0], "type", "veth", "peer", "name", names[1], "netns", str(other.pid))
    for space, name, last in ((one, names[0], 1), (other, names[1], 2)):
        space.run("ip", "addr", "add", f"10.9.{number}.{last}/24", "dev", name)
        space.run("ip", "addr", "add", f"fd09:{number}::{last}/64", "dev", name, "nodad")
        space.run("ip", "link", "set", name, "up")
        space.run("ip", "link", "set", "lo", "up")


@contextmanager
def pair() -> Iterator[tuple[Namespace, Namespace]]:
    """A client (.1) and a server (.2), with nothing between them."""
    with Namespace() as client, Namespace() as server:
        join(client, server, 1)
        yield client, server


def opened(space: Namespace, family: int, kind: int) -> socket.socket:
    """A socket of this namespace, which waits two seconds at most."""
    with space.inside():
        made = socket.socket(family, kind)
    made.settimeout(2)
    return made


def asked_udp(client: Namespace, server: Namespace, port: int, *, six: bool = False, source: str = "") -> bool:
    """One question and its answer; whether the answer came."""
    family = socket.AF_INET6 if six else socket.AF_INET
    address = "fd09:1::2" if six else "10.9.1.2"
    with opened(server, family, socket.SOCK_DGRAM) as there, opened(client, family, socket.SOCK_DGRAM) as here:
        there.bind((address, port))
        if source:
            here.bind((source, 0))
        try:
            here.sendto(b"?", (address, port))
            _, back = there.recvfrom(9)
            there.sendto(b"!", back)
            return here.recv(9) == b"!"
        except (TimeoutError, OSError):
            return False


@contextmanager
def listening(server: Namespace, port: int, *, six: bool = False, address: str = "") -> Iterator[socket.socket]:
    """A TCP listener of the server, at its own address of the pair unless another is given."""
    with opened(server, socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM) as there:
        there.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        there.bind((address or ("fd09:1::2" if six else "10.9.1.2"), port))
        there.listen(64)
        yield there


def asked_tcp(client: Namespace, server: Namespace, port: int, *, six: bool = False, address: str = "") -> bool:
    """A connection with a question and its answer; whether all of it went well."""
    with (
        listening(server, port, six=six, address=address) as there,
        opened(client, there.family, socket.SOCK_STREAM) as here,
    ):
        try:
            here.connect(there.getsockname()[:2])
            accepted, _ = there.accept()
            with accepted:
                accepted.settimeout(2)
                here.sendall(b"?")
                asked = accepted.recv(9)
                accepted.sendall(b"!")
                return asked == b"?" and here.recv(9) == b"!"
        except (TimeoutError, OSError):
            return False


def segment(source: str, target: str, sport: int, dport: int, flags: int, sequence: int = 1, ack: int = 0) -> bytes:
    """A bare TCP segment with its checksum (RFC 9293), for a raw socket that writes the IP header."""
    head = struct.pack(">HHIIBBHHH", sport, dport, sequence, ack, 5 << 4, flags, 64240, 0, 0)
    pseudo = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack(">BBH", 0, 6, len(head))
    total = sum(struct.unpack(f">{(len(pseudo) + len(head)) // 2}H", pseudo + head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return head[:16] + struct.pack(">H", ~total & 0xFFFF) + head[18:]


SYN, RST, ACK = 0x02, 0x04, 0x10


def sent(space: Namespace, source: str, target: str, dport: int, flags: int, sports: range) -> None:
    """Bare segments, one from each port."""
    with space.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    with raw:
        for sport in sports:
            raw.sendto(segment(source, target, sport, dport, flags, ack=1 if flags & ACK else 0), (target, 0))


def counter(space: Namespace, words: str) -> int:
    """Packets that the nft rules with these words, or the old iptables' ones, have met."""
    text = space.run("nft", "list", "ruleset")
    found = [int(count) for line in text.splitlines() if words in line for count in re.findall(r"packets (\d+)", line)]
    for tool in ("iptables-legacy-save", "ip6tables-legacy-save"):
        text = space.run(tool, "-c")
        found += [int(count) for line in text.splitlines() if words in line for count in re.findall(r"\[(\d+):", line)]
    return sum(found)


def state(space: Namespace) -> dict[str, str]:
    """Rules of all kinds without their counters, and every setting of the network: what an undo has to bring back."""
    rules = "".join(space.run(tool) for tool in ("iptables-legacy-save", "ip6tables-legacy-save"))
    rules = "\n".join(line for line in rules.splitlines() if not line.startswith("#"))
    told = subprocess.run(
        ["nsenter", f"--net=/proc/{space.pid}/ns/net", "--", "sysctl", "-a"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    settings = [line for line in told.splitlines() if line.startswith("net.") and not _LIVES.search(line)]
    return {
        "iptables": _COUNTS.sub("", rules),
        "nft": _COUNTS.sub("", space.run("nft", "list", "ruleset")),
        "sysctl": "\n".join(settings),
    }


# They change by themselves (counts, what is drawn at random), or are the whole host's and a neighbour's to change.
_LIVES = re.compile(
    r"nf_conntrack_(count|max|buckets|expect_max)|\.stable_secret|tcp_fastopen_key|route\.|fib_multipath_hash_seed"
)


def commanded(space: Namespace | None, command: Command) -> int:
    """The exit status of a command run in the namespace, without a shell."""
    into = [] if space is None else ["nsenter", f"--net=/proc/{space.pid}/ns/net", "--"]
    words = [*into, *command.argv]
    done = subprocess.run(words, input=command.stdin, capture_output=True, text=True, check=False)
    return done.returncode


def is_done(space: Namespace | None, act: Commanded) -> bool:
    """Whether a look says that the state is that after the act."""
    if any(commanded(space, command) for command in act.first):
        return False
    return (commanded(space, act.done) == 0) != act.turned


def _write(space: Namespace | None, path: str, before: str, after: str) -> None:
    def write() -> None:
        assert Path(path).read_text().strip() == before
        Path(path).write_text(after)
        assert Path(path).read_text().strip() == after

    if space is None:
        write()
        return
    with space.inside():
        write()


def apply(space: Namespace | None, plan: HostPlan) -> None:
    """Every act in order; each is looked at before and after."""
    assert plan.steps, plan.refused
    for step in plan.steps:
        for act in step.acts:
            if isinstance(act, SetValue):
                _write(space, act.path, act.before, act.after)
            elif isinstance(act, Commanded):
                assert not is_done(space, act), act.what
                for command in act.do:
                    assert commanded(space, command) == 0, command
                assert is_done(space, act), act.what


def undo(space: Namespace | None, plan: HostPlan) -> None:
    """Every act undone in the opposite order."""
    for step in reversed(plan.steps):
        for act in reversed(step.acts):
            if isinstance(act, SetValue):
                _write(space, act.path, act.after, act.before)
            elif isinstance(act, Commanded):
                for command in act.undo:
                    assert commanded(space, command) == 0, command
                assert not is_done(space, act), act.what
