"""``tablefull why`` beside the kernel: what it says of a rule set, what its packet shows, and what a ping leaves.

Three ways that know nothing of each other: the answer from the rules, ``--prove``'s packet, and the entries that
``conntrack -L`` lists after a ping over lo.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.realkernel import host_limits
from tests.realkernel.namespace import Namespace
from tests.realkernel.table_space import TableSpace, table_space

pytestmark = pytest.mark.realkernel

NONE, V4, V6, BOTH = (), ("IPv4",), ("IPv6",), ("IPv4", "IPv6")
MASQUERADE = ("-t", "nat", "-A", "POSTROUTING", "-s", "172.17.0.0/16", "-j", "MASQUERADE")
LEGACY, LEGACY6, OVER_NFT = "iptables-legacy", "ip6tables-legacy", "iptables-nft"


def chain(family: str, rule: str, hook: str = "type filter hook output priority 0;") -> str:
    return f"add table {family} t; add chain {family} t c {{ {hook} }}; add rule {family} t c {rule}"


# name → what is done, the families that are tracked by it (KERNEL.md 5.2 and 5.3), words of which the reason has one
CASES: dict[str, tuple[list[tuple[str, ...] | str], tuple[str, ...], str]] = {
    "nothing": ([], NONE, ""),
    "nat listed, legacy": ([(LEGACY, "-t", "nat", "-L"), (LEGACY6, "-t", "nat", "-L")], NONE, ""),
    "nat listed, nft": ([(OVER_NFT, "-t", "nat", "-L")], NONE, ""),
    "empty nat chain": (["add table ip t; add chain ip t c { type nat hook postrouting priority 100; }"], NONE, ""),
    "a plain rule": ([(LEGACY, "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT")], NONE, ""),
    "-m state": ([(LEGACY, "-A", "INPUT", "-m", "state", "--state", "ESTABLISHED", "-j", "ACCEPT")], V4, "state"),
    "-m conntrack, IPv6": ([(LEGACY6, "-A", "INPUT", "-m", "conntrack", "--ctstate", "NEW")], V6, "conntrack"),
    "-m state over nft": ([(OVER_NFT, "-A", "INPUT", "-m", "state", "--state", "NEW")], V4, "conntrack"),
    "-m connmark": ([(LEGACY, "-A", "INPUT", "-m", "connmark", "--mark", "1")], V4, "connmark"),
    "-j CONNMARK": (
        [(LEGACY, "-t", "mangle", "-A", "OUTPUT", "-j", "CONNMARK", "--save-mark")], V4, "CONNMARK"
    ),
    "-m connlimit": (
        [(LEGACY, "-A", "INPUT", "-p", "tcp", "-m", "connlimit", "--connlimit-above", "9", "-j", "DROP")],
        V4,
        "connlimit",
    ),
    "MASQUERADE": ([(LEGACY, *MASQUERADE)], V4, "MASQUERADE"),
    "MASQUERADE over nft": ([(OVER_NFT, *MASQUERADE)], V4, "MASQUERADE"),
    "DNAT": ([(LEGACY, "-t", "nat", "-A", "PREROUTING", "-d", "192.0.2.9", "-j", "DNAT", "--to", "10.0.0.1")], V4, "DNAT"),
    "a rule in a chain that nothing calls, legacy": (
        [(LEGACY, "-N", "idle"), (LEGACY, "-A", "idle", "-m", "state", "--state", "NEW")], V4, "state",
    ),
    "NOTRACK": ([(LEGACY, "-t", "raw", "-A", "OUTPUT", "-j", "NOTRACK")], NONE, ""),
    "CT --notrack": ([(LEGACY, "-t", "raw", "-A", "OUTPUT", "-j", "CT", "--notrack")], NONE, ""),
    "CT --notrack over nft": ([(OVER_NFT, "-t", "raw", "-A", "OUTPUT", "-j", "CT", "--notrack")], NONE, ""),
    "CT --zone": ([(LEGACY, "-t", "raw", "-A", "OUTPUT", "-j", "CT", "--zone", "7")], V4, "CT"),
    "CT --zone over nft": ([(OVER_NFT, "-t", "raw", "-A", "OUTPUT", "-j", "CT", "--zone", "7")], V4, "ct zone"),
    "nft notrack": ([chain("inet", "notrack")], NONE, ""),
    "nft ct state, ip": ([chain("ip", "ct state new accept")], V4, "ct state"),
    "nft ct state, ip6": ([chain("ip6", "ct state new accept")], V6, "ct state"),
    "nft ct state, inet": ([chain("inet", "ct state new accept")], BOTH, "ct state"),
    "nft ct mark set": ([chain("inet", "ct mark set 1")], BOTH, "ct mark"),
    "nft ct in a chain without a hook": ([chain("ip", "ct state new", hook="")], V4, "ct state"),
    "nft ct zone set": ([chain("ip", "ct zone set 7", "type filter hook output priority -300;")], V4, "ct zone"),
    "nft masquerade, ip": (
        [chain("ip", "masquerade", "type nat hook postrouting priority 100;")], V4, "masquerade"
    ),
    "nft masquerade, inet": (
        [chain("inet", "masquerade", "type nat hook postrouting priority 100;")], BOTH, "masquerade"
    ),
    "nft dnat ip to, inet": (
        [chain("inet", "meta l4proto tcp dnat ip to 10.0.0.1", "type nat hook prerouting priority -100;")], V4, "dnat",
    ),
    "nft redirect, ip6": (
        [chain("ip6", "tcp dport 80 redirect to :81", "type nat hook prerouting priority -100;")], V6, "redirect",
    ),
    "nft ct count": ([chain("ip", "ct count over 9 drop")], V4, "ct count"),
    "nft synproxy": ([chain("ip", "tcp dport 80 synproxy mss 1460", "type filter hook input priority 0;")], V4, "synproxy"),
    "a ct helper nobody uses": (['add table inet t; add ct helper inet t f { type "ftp" protocol tcp; }'], BOTH, "ct helper"),
    "a ct timeout nobody uses": (
        ["add table ip t; add ct timeout ip t s { protocol tcp; policy = { established : 600 }; }"], V4, "ct timeout",
    ),
    "a dormant table": (["add table ip t { flags dormant; }; add chain ip t c; add rule ip t c ct state new"], V4, "ct state"),
    "an interface called ct": ([chain("ip", 'oifname "ct" accept')], NONE, ""),
    "a comment that is a rule": ([chain("ip", 'accept comment "ct state new masquerade"')], NONE, ""),
    "a chain called conntrack": ([(LEGACY, "-N", "conntrack"), (LEGACY, "-A", "INPUT", "-j", "conntrack")], NONE, ""),
    "a rule that was there and is gone": (
        [(LEGACY, *MASQUERADE), (LEGACY, "-t", "nat", "-F"), chain("ip", "ct state new"), "flush chain ip t c"], NONE, "",
    ),
    "bridge-nf with rules for IPv4": (
        [("ip", "link", "add", "br0", "type", "bridge"), (LEGACY, *MASQUERADE)], V4, "MASQUERADE"
    ),
    "bridge-nf without rules": ([("ip", "link", "add", "br0", "type", "bridge")], NONE, ""),
}  # fmt: skip


@pytest.fixture(autouse=True)
def programs(program: Callable[[str], str]) -> Iterator[None]:
    for name in ("ip", "nft", LEGACY, LEGACY6, OVER_NFT, "conntrack", "ping"):
        program(name)
    with host_limits.shared():
        yield


def why(*words: str) -> tuple[int, Any]:
    call = [sys.executable, "-m", "tablefull", "why", "--format", "json", *words]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def prepare(space: TableSpace, deeds: list[tuple[str, ...] | str]) -> None:
    space.run("ip", "link", "set", "lo", "up")
    space.run("ip", "addr", "add", "10.9.9.9/32", "dev", "lo")  # masquerading drops where there is no address to take
    for deed in deeds:
        if isinstance(deed, str):
            space.run("nft", "-f", "-", text=deed.replace("; ", "\n") if "{" not in deed else deed)
        else:
            space.run(*deed)


def pinged(space: TableSpace) -> tuple[str, ...]:
    """The families of which a ping leaves an entry; the table is empty afterwards."""
    found = []
    for family, address in (("IPv4", "127.0.0.1"), ("IPv6", "::1")):
        space.run("conntrack", "-F", check=False)
        space.run("ping", "-c", "1", "-W", "1", address, check=False)
        if "icmp" in space.run("conntrack", "-L", "-f", family.lower(), check=False):
            found.append(family)
    space.run("conntrack", "-F", check=False)
    return tuple(found)


def state(space: TableSpace) -> list[str]:
    """Everything in the namespace that looking could change."""
    return [
        space.run(*words, check=False)
        for words in (
            ("nft", "-s", "list", "ruleset"), ("cat", "/proc/net/ip_tables_names"), ("cat", "/proc/net/ip6_tables_names"),
            ("ip", "-o", "link"), ("ip", "-o", "addr"), ("ip", "route", "show", "table", "all"),
            ("ip", "-6", "route", "show", "table", "all"), ("ip", "rule"), ("conntrack", "-L"),
            ("sysctl", "-a", "--pattern", r"^net\.(netfilter|ipv4\.conf|bridge)"), ("cat", "/proc/modules"),
        )
    ]  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_answer_is_the_kernels(name: str) -> None:
    deeds, tracked, word = CASES[name]
    with table_space() as space:
        prepare(space, deeds)
        before = state(space)
        code, told = why("--netns", space.name)
        assert state(space) == before, "looking changed something"
        proved_code, with_packet = why("--netns", space.name, "--prove")
        assert state(space) == before, "the packet left something"
        truth = pinged(space)
    (found,) = told["namespaces"]
    said = tuple(family for family, one in found["active"].items() if one["state"] == "yes")
    assert found["proofs"] == []
    (found,) = with_packet["namespaces"]
    proved = {one["family"]: one["tracked"] for one in found["proofs"]}
    assert truth == tracked, "the kernel differs from KERNEL.md"
    assert said == truth
    assert proved == {"IPv4": "IPv4" in truth, "IPv6": "IPv6" in truth}, found["proofs"]
    assert (code, proved_code) == (0, 0)
    assert {family: one["state"] for family, one in found["active"].items()} == {
        family: "yes" if family in truth else "no" for family in BOTH
    }
    reasons = [by for one in found["reasons"] if one["asks"] for by in one["by"]]
    assert bool(reasons) == bool(tracked)
    assert not word or word in reasons


def test_the_last_rule_gone_and_entries_left_is_not_called_on() -> None:
    """The entries stay, the hooks go: without a packet it cannot be told; with one it can."""
    with table_space() as space:
        prepare(space, [chain("inet", "ct state new")])
        space.run("ping", "-c", "1", "127.0.0.1")
        space.run("nft", "flush", "ruleset")
        code, told = why("--netns", space.name)
        assert code == 3
        (found,) = told["namespaces"]
        assert found["entries"] > 0
        assert {one["state"] for one in found["active"].values()} == {"unknown"}
        code, told = why("--netns", space.name, "--prove")
        assert code == 0
        assert [one["tracked"] for one in told["namespaces"][0]["proofs"]] == [False, False]


def test_a_namespace_without_a_name_is_asked_by_a_process_in_it() -> None:
    with Namespace() as space:
        space.run("nft", "add table ip6 t; add chain ip6 t c; add rule ip6 t c ct state new")
        _, told = why("--netns", str(space.pid), "--prove")
    (found,) = told["namespaces"]
    assert {family: one["state"] for family, one in found["active"].items()} == {"IPv4": "no", "IPv6": "yes"}
    assert {one["family"]: one["tracked"] for one in found["proofs"]} == {"IPv4": False, "IPv6": True}
