"""The commands of the namespace-safe plans, typed as printed into a fresh network namespace, verified, and taken back."""

import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tablefull.fixes import catalog, removal
from tablefull.fixes.plan import Plan, Situation
from tablefull.kernel.identity import parse_release

pytestmark = pytest.mark.realkernel

RUNNING = parse_release(os.uname().release)
Type = Callable[[str], str]


@pytest.fixture
def typing() -> Iterator[Type]:
    """Types one command as root in a fresh namespace with loopback up; a command that fails fails the test."""
    for name in ("ip", "iptables", "ip6tables", "nft", "conntrack"):
        if shutil.which(name) is None:
            pytest.skip(f"needs {name} (scripts/test-packages names its package)")
    name = f"fix{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)

    def type_in(command: str) -> str:
        done = subprocess.run(
            ["ip", "netns", "exec", name, "sh", "-c", command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        return done.stdout

    try:
        type_in("ip link set lo up")
        yield type_in
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def plan(fix: str, **fields: object) -> Plan:
    """This fix for the running kernel."""
    return catalog.make(fix, Situation(kernel=RUNNING, front_end=str(fields.pop("front_end", "none")), **fields), ())


def runtime_undo(made: Plan) -> tuple[str, ...]:
    """The undo of what was typed, without the removal of files, which belong to the whole host."""
    return made.undo[: made.undo.index(removal.HEADER)] if removal.HEADER in made.undo else made.undo


def rules(typing: Type) -> str:
    """All rules of the namespace, without counters; empty where no table holds any."""
    text = "".join(typing(f"{tool}-save") for tool in ("iptables", "ip6tables")) + typing("nft list ruleset")
    return "\n".join(
        line
        for line in text.splitlines()
        if re.match(r"-A |table inet tablefull|\s+(tcp|udp|ip|ip6|ct|meta|iif|oif) ", line)
    )


def send_udp(typing: Type, port: int) -> None:
    """A question and its answer over loopback."""
    code = (
        "import socket as s; a=s.socket(2,2); a.bind(('127.0.0.1',%d)); b=s.socket(2,2); b.sendto(b'?',('127.0.0.1',%d));"
        "m,w=a.recvfrom(9); a.sendto(b'!',w); b.recv(9)"
    )
    typing(f'python3 -c "{code % (port, port)}"')


WITH_RULES = [
    pytest.param("notrack", {"ports": ("udp/5353", "tcp/80", "gre", "lo")}, id="notrack"),
    pytest.param("notrack", {"cause": "bridge-nf"}, id="notrack-bridged"),
    pytest.param("notrack", {"cause": "unneeded-tracking"}, id="notrack-everything"),
    pytest.param("synproxy-or-syncookies", {"ports": ("tcp/80", "tcp/443")}, id="synproxy"),
    pytest.param(
        "rate-limit-or-block-source", {"sources": ("192.0.2.7", "2001:db8::1", "198.51.100.0/24")}, id="block"
    ),
    pytest.param("rate-limit-or-block-source", {"ports": ("tcp/80",)}, id="limit"),
    pytest.param("rate-limit-or-block-source", {"cause": "scan-or-p2p"}, id="limit-udp"),
    pytest.param("notrack", {"ports": ("udp/53",), "role": "router"}, id="notrack-router"),
    pytest.param("drop-invalid-or-be-liberal", {"nat_in_use": True}, id="drop-invalid"),
]


@pytest.mark.parametrize("front_end", ["none", "nftables"])
@pytest.mark.parametrize(("fix", "fields"), WITH_RULES)
def test_rules_go_in_and_come_out(typing: Type, fix: str, fields: dict[str, object], front_end: str) -> None:
    """The kernel takes every rule as printed, and undo leaves none of them."""
    before = rules(typing)
    made = plan(fix, front_end=front_end, **fields)
    for command in made.commands:
        typing(command)
    assert rules(typing) != before
    for command in runtime_undo(made):
        typing(command)
    assert rules(typing) == before


@pytest.mark.parametrize(("front_end", "own"), [("none", 0), ("nftables", 1)])
def test_untracked_traffic_makes_no_entry_in_either_direction(typing: Type, front_end: str, own: int) -> None:
    """With tracking on, the exempted port leaves no entry, another one does; after undo both do.

    Behind a filter the question keeps its entry, for it is this host's own.
    """
    typing("nft add table inet on")
    typing("nft add chain inet on input '{ type filter hook input priority 0 ; }'")
    typing("nft add rule inet on input ct state new counter")
    made = plan("notrack", ports=("udp/5353",), front_end=front_end)
    for command in made.commands:
        typing(command)
    send_udp(typing, 5353)
    assert int(typing("sysctl -n net.netfilter.nf_conntrack_count")) == own
    send_udp(typing, 5354)
    assert int(typing("sysctl -n net.netfilter.nf_conntrack_count")) == own + 1
    for command in runtime_undo(made):
        typing(command)
    send_udp(typing, 5353)
    assert int(typing("sysctl -n net.netfilter.nf_conntrack_count")) == own + 2


@pytest.mark.parametrize("cause", ["", "time-wait-churn", "udp-dns-churn", "half-open-or-asymmetric", "scan-or-p2p"])
def test_timeouts_change_and_come_back(typing: Type, cause: str) -> None:
    keys = re.findall(r"net\.\S+(?==)", "\n".join(plan("shorten-timeouts", cause=cause).commands))
    seen = {key.rpartition(".")[2]: int(typing(f"sysctl -n {key}")) for key in keys}
    made = plan("shorten-timeouts", cause=cause, settings=seen)
    assert len(made.commands) == len(keys)
    for command in made.commands:
        typing(command)
        key, _, value = command.removeprefix("sysctl -w ").partition("=")
        assert typing(f"sysctl -n {key}").strip() == value
    for command in runtime_undo(made):
        typing(command)
    assert {key.rpartition(".")[2]: int(typing(f"sysctl -n {key}")) for key in keys} == seen


def test_only_the_named_entries_go(typing: Type) -> None:
    typing("nft add table inet on")
    typing("nft add chain inet on input '{ type filter hook input priority 0 ; }'")
    typing("nft add rule inet on input ct state new counter")
    send_udp(typing, 5353)
    send_udp(typing, 5354)
    for command in plan("flush-entries", ports=("udp/5353",)).commands:
        typing(command)
    left = typing("conntrack -L")
    assert "dport=5354" in left
    assert "dport=5353" not in left


def test_loose_and_liberal_change_and_come_back(typing: Type) -> None:
    for fix, name, wanted in (
        ("disable-tcp-loose", "nf_conntrack_tcp_loose", "0"),
        ("drop-invalid-or-be-liberal", "nf_conntrack_tcp_be_liberal", "1"),
    ):
        before = typing(f"sysctl -n net.netfilter.{name}").strip()
        made = plan(fix, settings={name: int(before)})
        for command in made.commands:
            typing(command)
        assert typing(f"sysctl -n net.netfilter.{name}").strip() == wanted
        for command in runtime_undo(made):
            typing(command)
        assert typing(f"sysctl -n net.netfilter.{name}").strip() == before


def test_nft_accepts_every_table_as_a_file(typing: Type, tmp_path: Path) -> None:
    """``nft -c -f`` reads what is kept, so that the boot can; helpers need their module and are checked by syntax alone."""
    for at, (fix, fields) in enumerate((param.values[0], param.values[1]) for param in WITH_RULES):
        made = plan(fix, front_end="nftables", **fields)  # type: ignore[arg-type]
        script = [line.removeprefix("nft ").replace("'", "") for line in made.commands if line.startswith("nft ")]
        path = tmp_path / f"{at}.nft"
        path.write_text("\n".join(script) + "\n")
        typing(f"nft -c -f {path}")


def test_openwrt_s_file_is_read_inside_its_own_table(typing: Type, tmp_path: Path) -> None:
    """fw4 includes /etc/nftables.d/*.nft in table inet fw4: each file as kept is read there."""
    for at, (fix, fields) in enumerate((param.values[0], param.values[1]) for param in WITH_RULES):
        made = plan(fix, front_end="uci", distribution="openwrt", version="23.05", **fields)  # type: ignore[arg-type]
        for line in made.persist:
            if "/etc/nftables.d/" not in line:
                continue
            path = tmp_path / f"{at}.nft"
            subprocess.run(["sh", "-c", re.sub(r"/etc/nftables\.d/\S+", str(path), line)], check=True)
            (tmp_path / "all").write_text(f"table inet fw4 {{\n{path.read_text()}}}\n")
            typing(f"nft -c -f {tmp_path / 'all'}")


def test_behind_a_filter_a_server_s_own_questions_are_tracked(typing: Type) -> None:
    """A question of this host has its entry, by which the filter knows the answer."""
    typing("iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT")
    made = plan("notrack", ports=("udp/5353",), front_end="ufw", distribution="ubuntu", version="24.04")
    for command in made.commands:
        typing(command)
    send_udp(typing, 5353)
    assert int(typing("sysctl -n net.netfilter.nf_conntrack_count")) == 1
    for command in runtime_undo(made):
        typing(command)
    assert "--notrack" not in typing("iptables -t raw -S")
