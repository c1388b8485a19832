"""The looker in namespaces and on evidence; what it says beside the kernel: tests/realkernel/test_why.py."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.realkernel.table_space import table_space

from tablefull.live import netns
from tablefull.live.proc import Proc
from tablefull.live.why import Looker, Space, of_snapshot
from tablefull.parsers.reader import read_text


def states(space: Space) -> dict[str, str]:
    return {one.family: one.state for one in space.verdicts}


def look(name: str, **how: object) -> Space:
    proc = Proc()
    spaces, _ = netns.found(proc, lambda: True)
    return Looker(proc, **how).space(next(one for one in spaces if one.name == name))  # type: ignore[arg-type]


@pytest.mark.realkernel
def test_both_rule_sets_of_a_namespace(program: Callable[[str], str]) -> None:
    for name in ("nft", "iptables-legacy"):
        program(name)
    with table_space() as space:
        space.run("iptables-legacy", "-A", "INPUT", "-m", "state", "--state", "NEW", "-j", "ACCEPT")
        space.run(
            "nft",
            "-f",
            "-",
            text="add table ip6 t; add chain ip6 t c; add rule ip6 t c masquerade\n".replace("masquerade", "ct mark 1"),
        )
        found = look(space.name)
    assert states(found) == {"IPv4": "yes", "IPv6": "yes"}
    assert [(one.by, one.families) for one in found.holds if one.asks] == [
        (("state",), ("IPv4",)),
        (("ct mark",), ("IPv6",)),
    ]
    assert "-m state --state NEW" in found.holds[0].evidence[0].text
    assert "ct mark 0x00000001" in found.holds[1].evidence[0].text
    assert (found.count, found.exempt) == (0, 0)


@pytest.mark.realkernel
def test_without_programs_nft_is_read_and_legacy_tables_are_told_missing(program: Callable[[str], str]) -> None:
    """No nft, no iptables-save: the kernel's own netlink still tells the nft rules; a legacy table is a hole."""
    program("iptables-legacy")
    with table_space() as space:
        space.run("nft", "-f", "-", text="add table ip t; add chain ip t c; add rule ip t c ct state new\n")
        found = look(space.name, run=None)
        assert states(found) == {"IPv4": "yes", "IPv6": "no"}
        space.run("nft", "flush", "ruleset")
        space.run("iptables-legacy", "-L")
        found = look(space.name, run=None)
        assert states(found) == {"IPv4": "unknown", "IPv6": "no"}
        assert found.holes


@pytest.mark.realkernel
def test_a_namespace_that_is_gone_is_not_called_off() -> None:
    proc = Proc()
    gone = netns.described(proc, 1, "nobody-has-this", [], False)
    found = Looker(proc).space(gone)
    assert states(found) == {"IPv4": "unknown", "IPv6": "unknown"}
    assert found.holes


def test_a_machine_of_which_nothing_is_shown(tmp_path: Path) -> None:
    found = Looker(Proc(tmp_path), run=None).why([None])
    assert states(found.spaces[0]) == {"IPv4": "unknown", "IPv6": "unknown"}
    assert found.returns == []


PASTE = """$ uname -r
3.2.0-24-generic
$ iptables-save
*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 192.168.122.0/24 ! -d 192.168.122.0/24 -j MASQUERADE
COMMIT
$ lsmod
Module                  Size  Used by
nf_conntrack_ipv4      19716  3 nf_nat
"""


def test_a_paste() -> None:
    (found,) = of_snapshot(read_text(PASTE)).spaces
    assert states(found)["IPv4"] == "yes"
    assert {one.owner for one in found.holds} == {"libvirt", ""}
    assert {one.what for one in found.holds} == {"NAT, outward", "tracker module"}
    assert of_snapshot(read_text(PASTE)).returns is None


def test_a_full_table_in_the_log_of_a_kernel_where_modules_decide() -> None:
    line = "[12.5] nf_conntrack: table full, dropping packet."
    (found,) = of_snapshot(read_text(f"Linux xen1 3.2.0-54-virtual #82 SMP x86_64 GNU/Linux\n{line}\n")).spaces
    assert states(found) == {"IPv4": "yes", "IPv6": "unknown"}
