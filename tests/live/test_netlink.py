"""Netlink sockets: what comes back, and every way in which that goes wrong, as one line."""

import errno
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.realkernel.table_space import table_space

from tablefull.errors import KernelRefused, ParseError, Unreadable
from tablefull.live import netlink
from tablefull.live.netlink import Interrupted, Netlink, askable, check_end, cpu_statistics, in_namespace, statistics
from tablefull.live.proc import Proc
from tablefull.wire import ctnetlink, nlattr


class Answering(Netlink):
    """A socket whose answers are given beforehand."""

    def __init__(self, *datagrams: bytes | OSError) -> None:
        self.name, self.interrupted, self._sequence = "netlink", False, 0
        self.given = list(datagrams)
        self.socket = self  # type: ignore[assignment]

    def send(self, data: bytes) -> int:
        return len(data)

    def recv_into(self, into: memoryview) -> int:
        data = self.given.pop(0)
        if isinstance(data, OSError):
            raise data
        into[: len(data)] = data
        return len(data)


def entry(sequence: int = 1, flags: int = nlattr.MULTI) -> bytes:
    return nlattr.message(0x100, flags, sequence, bytes(4))


DONE = nlattr.message(nlattr.DONE, nlattr.MULTI, 1, struct.pack("=i", 0))


def one_by_one(link: Netlink) -> int:
    return sum(1 for _ in link.answers(ctnetlink.dump_request))


def at_once(link: Netlink) -> int:
    return sum(1 for _ in link.entries(ctnetlink.dump_request, ctnetlink.Reader()))


Answers = Callable[[Netlink], int]


@pytest.fixture(params=[one_by_one, at_once])
def answers(request: pytest.FixtureRequest) -> Answers:
    """Both ways to read the answer to a request: how many entries it has."""
    way: Answers = request.param
    return way


def test_an_answer_of_several_datagrams(answers: Answers) -> None:
    link = Answering(entry() + entry(), entry(), DONE)
    assert answers(link) == 3
    assert not link.interrupted


def test_what_belongs_to_another_question_is_passed_by(answers: Answers) -> None:
    assert answers(Answering(entry(sequence=9) + entry(), DONE)) == 1


def test_an_inconsistent_dump_is_noticed(answers: Answers) -> None:
    link = Answering(entry(flags=nlattr.MULTI | nlattr.DUMP_INTERRUPTED), DONE)
    assert answers(link) == 1
    assert link.interrupted


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EPERM, "CAP_NET_ADMIN is missing"),
        (errno.EBUSY, "another dump"),
        (errno.ENOBUFS, "no room for its answer"),
        (errno.EOPNOTSUPP, "does not know the request"),
        (errno.EIO, "input/output error"),
    ],
)
def test_every_refusal_is_one_line(code: int, words: str, answers: Answers) -> None:
    refused = nlattr.message(nlattr.ERROR, 0, 1, struct.pack("=i", -code) + bytes(16))
    for given in (refused, OSError(code, os.strerror(code))):
        with pytest.raises(KernelRefused) as told:
            answers(Answering(given))
        assert words in str(told.value)
        assert "\n" not in str(told.value)


def test_silence_and_garbage(answers: Answers) -> None:
    with pytest.raises(Interrupted, match="no answer for"):
        answers(Answering(TimeoutError()))
    with pytest.raises(ParseError):
        answers(Answering(entry() + b"\x05\0\0\0garbagegarbage"))
    check_end("x", memoryview(DONE), next(nlattr.messages(DONE, len(DONE))))


def test_a_namespace_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KernelRefused, match="it is gone"):
        Netlink(namespace=str(tmp_path / "none"))
    plain = tmp_path / "plain"
    plain.write_text("")
    with pytest.raises(KernelRefused):
        Netlink(namespace=str(plain))


@pytest.mark.realkernel
def test_a_thread_enters_and_the_process_stays() -> None:
    def inode() -> str:
        return str(Path("/proc/thread-self/ns/net").readlink())

    with table_space() as space:
        before = inode()
        assert in_namespace(space.path, inode) != before
        assert inode() == before
        with pytest.raises(ZeroDivisionError):
            in_namespace(space.path, lambda: 1 // 0)


@pytest.mark.realkernel
def test_statistics_are_those_of_conntrack() -> None:
    """The counts of conntrack -C and the columns of conntrack -S."""
    with table_space() as space:
        space.fill(300)
        with Netlink(namespace=space.path) as link:
            count, limit = statistics(link)
            counters = cpu_statistics(link)
        assert count == int(space.run("conntrack", "-C")) == 300
        assert limit == int(Path("/proc/sys/net/netfilter/nf_conntrack_max").read_text())
        lines = space.run("conntrack", "-S").splitlines()
        assert len(lines) == len(counters)
        for line in lines:
            words = dict(word.split("=") for word in line.split())
            told = counters[int(words["cpu"])]
            assert {name: int(words[name]) for name in ("insert", "drop", "early_drop", "error")} == {
                name: told[name] for name in ("insert", "drop", "early_drop", "error")
            }
        assert sum(told["insert"] for told in counters.values()) == 300


@pytest.mark.realkernel
def test_without_the_capability_it_is_named() -> None:
    code = (
        "import os\nfrom tablefull.live.table import counts\nos.setgid(65534); os.setuid(65534)\n"
        "try:\n    counts()\nexcept Exception as error:\n    print(type(error).__name__, error)\n"
    )
    world = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=world, check=False)
    assert done.stdout.startswith("KernelRefused netlink: CAP_NET_ADMIN is missing"), done
    assert "nf_conntrack_count" in done.stdout


def test_a_module_that_would_be_loaded_is_not_asked_for(tmp_path: Path) -> None:
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/version").write_text("Linux version 6.1.0\n")
    (tmp_path / "proc/modules").write_text("nf_conntrack 1 0 - Live 0x0\n")
    (tmp_path / "proc/sys/kernel/osrelease").write_text("6.1.0\n")
    with pytest.raises(Unreadable, match="load nf_conntrack_netlink"):
        askable(Proc(tmp_path))
    (tmp_path / "proc/modules").write_text("nf_conntrack_netlink 1 0 - Live 0x0\n")
    askable(Proc(tmp_path))


@pytest.mark.realkernel
def test_room_and_groups() -> None:
    with table_space() as space, Netlink(namespace=space.path) as link:
        assert link.room(4 << 20) >= 4 << 20
        link.join(ctnetlink.GROUP_NEW)
        space.fill(1)
        data = memoryview(bytearray(netlink.DATAGRAM_BYTES))
        (message,) = nlattr.messages(data, link.receive(data))
        assert ctnetlink.row(data, message)[ctnetlink.R_EVENT] == ctnetlink.EVENT_NEW
        assert link.socket.family == socket.AF_NETLINK
