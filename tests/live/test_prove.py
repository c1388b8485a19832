"""One packet: what the kernel did with it, and that nothing of it stays, also when the prover is killed."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.realkernel.table_space import TableSpace, table_space

from tablefull.live.proc import Proc
from tablefull.live.prove import Proof, prove

STATE = "add table inet t; add chain inet t c; add rule inet t c ct state new"


@pytest.fixture
def space(program: Callable[[str], str]) -> Iterator[TableSpace]:
    program("nft")
    with table_space() as made:
        yield made


def nft(space: TableSpace, text: str) -> None:
    space.run("nft", "-f", "-", text=text)


def tracked(proofs: list[Proof]) -> list[bool | None]:
    return [one.tracked for one in proofs]


@pytest.mark.realkernel
def test_by_rules_and_without(space: TableSpace) -> None:
    assert tracked(prove(Proc(), space.path)) == [False, False]
    nft(space, STATE)
    assert tracked(prove(Proc(), space.path)) == [True, True]
    assert space.run("conntrack", "-L", check=False) == ""


@pytest.mark.realkernel
def test_nothing_stays(space: TableSpace) -> None:
    nft(space, STATE)
    looks = (("ip", "-o", "link"), ("ip", "-o", "addr"), ("ip", "route", "show", "table", "all"), ("ip", "rule"))
    before = [space.run(*words) for words in looks]
    prove(Proc(), space.path)
    assert [space.run(*words) for words in looks] == before


@pytest.mark.realkernel
def test_a_rule_that_masquerades_finds_an_address(space: TableSpace) -> None:
    """No address anywhere: the first packet is dropped, which proves nothing; the second has one to take."""
    nft(space, "add table inet n; add chain inet n p { type nat hook postrouting priority 100; }")
    nft(space, "add rule inet n p masquerade")
    assert tracked(prove(Proc(), space.path)) == [True, True]
    assert space.run("ip", "-o", "addr") == ""


@pytest.mark.realkernel
@pytest.mark.parametrize("hook", ["output", "postrouting"])
def test_a_dropped_packet_proves_nothing(space: TableSpace, hook: str) -> None:
    nft(space, f"add table inet d; add chain inet d o {{ type filter hook {hook} priority 0; policy drop; }}")
    proofs = prove(Proc(), space.path)
    assert tracked(proofs) == [None, None]
    assert all("drop" in one.told for one in proofs)


@pytest.mark.realkernel
def test_an_entry_in_a_zone_is_found(space: TableSpace) -> None:
    nft(space, "add table inet z; add chain inet z o { type filter hook output priority -300; }")
    nft(space, "add rule inet z o ct zone set 7")
    assert tracked(prove(Proc(), space.path, zoned=True)) == [True, True]
    assert space.run("conntrack", "-L", "-w", "7", check=False) == ""


@pytest.mark.realkernel
def test_a_packet_exempted_by_a_rule_is_no_proof(space: TableSpace) -> None:
    nft(space, STATE + "; add chain inet t o { type filter hook output priority -300; }; add rule inet t o notrack")
    proofs = prove(Proc(), space.path, exempt=("IPv4", "IPv6"))
    assert tracked(proofs) == [None, None]
    assert "notrack" in proofs[0].told


@pytest.mark.realkernel
def test_without_ipv6(space: TableSpace) -> None:
    for name in ("all", "default"):
        space.run("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1")
    proofs = prove(Proc(), space.path)
    assert tracked(proofs) == [False, None]
    assert "no IPv6" in proofs[1].told


@pytest.mark.realkernel
def test_a_namespace_that_is_not_there() -> None:
    proofs = prove(Proc(), "/run/netns/nobody-has-this")
    assert tracked(proofs) == [None, None]
    assert "Traceback" not in proofs[0].told


def test_a_kernel_that_would_have_to_load_veth_is_not_asked(tmp_path: Path) -> None:
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/modules").write_text("")
    (tmp_path / "proc/version").write_text("Linux")
    proofs = prove(Proc(tmp_path), None)
    assert tracked(proofs) == [None, None]
    assert "modprobe veth" in proofs[0].told


@pytest.mark.realkernel
def test_killed_with_its_links_up_it_leaves_nothing(space: TableSpace) -> None:
    code = (
        "import sys\n"
        "from tablefull.live import prove\n"
        f"with prove._Pair({space.path!r}):\n"
        "    print('up', flush=True); sys.stdin.read()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline() == b"up\n"
    assert "tfw" in space.run("ip", "-o", "link")
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdin.close()
    child.stdout.close()
    deadline = time.monotonic() + 30  # a namespace is taken apart by the kernel's own worker, after the process
    while "tfw" in space.run("ip", "-o", "link"):
        assert time.monotonic() < deadline, "the link is left"


def test_who_may_not_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> object:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("tablefull.live.prove._Pair", refused)
    for proof in prove(Proc(), None):
        assert proof.tracked is None
        assert "CAP_NET_ADMIN" in proof.told
