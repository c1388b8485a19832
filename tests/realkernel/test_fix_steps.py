"""Each fix that a namespace can take, made for a live one, carried out by its own words, judged by the kernel, undone."""

import os
import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.realkernel.fix_steps_place import HOW, Pair, made, tracked
from tests.realkernel.namespace import Namespace
from tests.realkernel.wired import (
    ACK,
    SYN,
    apply,
    asked_tcp,
    asked_udp,
    commanded,
    counter,
    is_done,
    join,
    listening,
    opened,
    sent,
    state,
    undo,
)

from tablefull.fixes import flush
from tablefull.fixes.act import Commanded, Flush, SetValue
from tablefull.fixes.live_host import LiveHost
from tablefull.fixes.steps import MAKERS

pytestmark = [pytest.mark.realkernel, pytest.mark.usefixtures("programs")]


@HOW
@pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize(("service", "ask"), [("udp/5353", asked_udp), ("tcp/8053", asked_tcp)], ids=["udp", "tcp"])
def test_an_exempted_port_makes_no_entry_and_another_one_does(
    wired: Pair, how: str, six: bool, service: str, ask: Callable[..., bool]
) -> None:
    client, server = wired
    port = int(service.partition("/")[2])
    tracked(server, how)
    before = state(server)
    assert ask(client, server, port, six=six)
    assert server.count() == 1
    server.run("conntrack", "-F")

    planned = made(server, "notrack", ports=(service,))
    apply(server, planned)
    tool = {act.do[0].argv[0].rpartition("/")[2] for step in planned.steps for act in step.acts}  # type: ignore[union-attr]
    assert tool == ({"nft"} if how == "nft" else {"iptables-legacy-restore", "ip6tables-legacy-restore"})
    assert ask(client, server, port, six=six)
    assert server.count() == 0
    words = ("dport {} ", "sport {} ") if how == "nft" else ("--dport {} ", "--sport {} ")
    for word in words:
        assert counter(server, word.format(port)) >= 1, "both directions are met"
    assert ask(client, server, port + 1, six=six)
    assert server.count() == 1

    undo(server, planned)
    assert state(server) == before
    assert ask(client, server, port, six=six)
    assert server.count() == 2


@HOW
def test_a_router_exempts_what_it_forwards_and_its_own_service(how: str) -> None:
    with Namespace() as client, Namespace() as router, Namespace() as server:
        join(client, router, 1)
        join(router, server, 2)
        router.write({"net.ipv4.ip_forward": 1})
        client.run("ip", "route", "add", "10.9.2.0/24", "via", "10.9.1.2")
        server.run("ip", "route", "add", "10.9.1.0/24", "via", "10.9.2.1")
        tracked(router, how)
        before = state(router)

        def forwarded(port: int) -> bool:
            with opened(server, 2, 2) as there, opened(client, 2, 2) as here:
                there.bind(("10.9.2.2", port))
                here.sendto(b"?", ("10.9.2.2", port))
                _, back = there.recvfrom(9)
                there.sendto(b"!", back)
                return here.recv(9) == b"!"

        planned = made(router, "notrack", ports=("udp/5353",))
        apply(router, planned)
        assert forwarded(5353)
        assert asked_udp(client, router, 5353)
        assert router.count() == 0
        assert forwarded(5354)
        assert router.count() == 1
        undo(router, planned)
        assert state(router) == before


def test_loopback_is_left_out_whole(wired: Pair) -> None:
    _, server = wired
    tracked(server, "nft")
    before = state(server)
    planned = made(server, "notrack", ports=("lo",))

    def asked_itself() -> bool:
        with opened(server, 2, 2) as there, opened(server, 2, 2) as here:
            there.bind(("127.0.0.1", 5353))
            here.sendto(b"?", ("127.0.0.1", 5353))
            _, back = there.recvfrom(9)
            there.sendto(b"!", back)
            return here.recv(9) == b"!"

    assert asked_itself()
    assert server.count() == 1
    server.run("conntrack", "-F")
    apply(server, planned)
    assert asked_itself()
    assert server.count() == 0
    undo(server, planned)
    assert state(server) == before


def test_only_the_server_that_is_named_is_exempted(wired: Pair) -> None:
    client, server = wired
    server.run("ip", "addr", "add", "10.9.1.3/24", "dev", "w1b")
    tracked(server, "nft")
    planned = made(server, "notrack", ports=("udp/5353",), addresses=("10.9.1.3", "fd09:1::2"))
    apply(server, planned)
    assert asked_udp(client, server, 5353)
    assert server.count() == 1
    assert asked_udp(client, server, 5353, six=True)
    with opened(server, 2, 2) as there, opened(client, 2, 2) as here:
        there.bind(("10.9.1.3", 5353))
        here.sendto(b"?", ("10.9.1.3", 5353))
        there.sendto(b"!", there.recvfrom(9)[1])
        assert here.recv(9) == b"!"
    assert server.count() == 1
    undo(server, planned)


def test_a_table_that_the_rules_were_the_first_to_ask_for_is_told_to_stay(wired: Pair) -> None:
    """The old iptables never takes a table away; what is left is empty, and said before."""
    client, server = wired
    for tool in ("iptables-legacy", "ip6tables-legacy"):
        server.run(tool, "-A", "INPUT", "-m", "conntrack", "--ctstate", "NEW")
    before = state(server)
    planned = made(server, "notrack", ports=("udp/5353",))
    assert any("ip raw, ip6 raw" in line for line in planned.told)
    for step in planned.steps:
        for act in step.acts:
            assert isinstance(act, Commanded)
            assert not is_done(server, act)
    assert state(server) == before, "a look makes no table"
    apply(server, planned)
    assert asked_udp(client, server, 5353)
    assert server.count() == 0
    undo(server, planned)
    after = state(server)
    assert after["nft"] == before["nft"]
    assert after["sysctl"] == before["sysctl"]
    left = [line for line in after["iptables"].splitlines() if line not in before["iptables"].splitlines()]
    assert sorted(set(left)) == ["*raw", ":PREROUTING ACCEPT "]
    assert set(before["iptables"].splitlines()) <= set(after["iptables"].splitlines())


def test_iptables_that_writes_to_nftables_where_there_is_no_nft(wired: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    client, server = wired
    if shutil.which("iptables-nft") is None or not LiveHost().speaks_nft("iptables"):
        pytest.skip("needs an iptables that is iptables-nft")
    tracked(server, "nft")
    there = LiveHost.program
    monkeypatch.setattr(LiveHost, "program", lambda self, name: name != "nft" and there(self, name))
    planned = made(server, "notrack", ports=("udp/5353",))
    assert {act.do[0].argv[0] for step in planned.steps for act in step.acts if isinstance(act, Commanded)} == {
        "iptables-restore", "ip6tables-restore"
    }  # fmt: skip
    apply(server, planned)
    assert asked_udp(client, server, 5353)
    assert asked_udp(client, server, 5353, six=True)
    assert server.count() == 0
    undo(server, planned)
    assert asked_udp(client, server, 5353)
    assert server.count() == 1
    assert "notrack" not in server.run("nft", "list", "ruleset")
    assert any("ip raw, ip6 raw" in line for line in planned.told)


def test_rules_of_one_name_stand_once(wired: Pair) -> None:
    _, server = wired
    tracked(server, "nft")
    apply(server, made(server, "notrack", ports=("udp/5353",)))
    assert "undo that fix first" in made(server, "notrack", ports=("udp/53",)).refused


def test_an_interface_with_a_hostile_name_is_in_no_command(wired: Pair) -> None:
    _, server = wired
    tracked(server, "nft")
    server.run("ip", "link", "add", "$(reboot)`id`;", "mtu", "1300", "type", "veth", "peer", "name", "x9")
    server.run("ip", "link", "set", "$(reboot)`id`;", "up")
    server.run("ip", "route", "add", "default", "dev", "$(reboot)`id`;")
    planned = made(server, "synproxy-or-syncookies", ports=("tcp/8080",))
    assert "mss 1260" in planned.steps[-2].after
    assert "reboot" not in str([step.acts for step in planned.steps])
    apply(server, planned)
    undo(server, planned)


HOSTILE = '$(reboot) `id` "; rm -rf / #'


@HOW
def test_it_is_refused_where_answers_pass_by_their_state_and_the_kernel_agrees(wired: Pair, how: str) -> None:
    """The refusal names the rule; carried out all the same, the service is cut off, and it comes back."""
    client, server = wired
    if how == "nft":
        text = (
            "table inet f { chain input { type filter hook input priority 0; policy drop; "
            'tcp dport 8080 ct state new accept comment "$(reboot) `id`"; ct state established accept; } }\n'
        )
        server.run("nft", "-f", "-", text=text.replace("; } }", "\n}\n}"))
    else:
        tracked(server, "legacy")
        new = (
            "-p",
            "tcp",
            "--dport",
            "8080",
            "-m",
            "conntrack",
            "--ctstate",
            "NEW",
            "-m",
            "comment",
            "--comment",
            HOSTILE,
        )
        server.run("iptables-legacy", "-A", "INPUT", *new, "-j", "ACCEPT")
        server.run("iptables-legacy", "-A", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT")
        server.run("iptables-legacy", "-P", "INPUT", "DROP")
    before = state(server)
    assert asked_tcp(client, server, 8080)
    refusal = made(server, "notrack", ports=("tcp/8080",))
    assert not refusal.steps
    assert "8080" in refusal.refused
    assert "state" in refusal.refused
    assert state(server) == before

    forced = made(server, "notrack", ports=("tcp/8080",), i_know=True)
    words = [word for step in forced.steps for act in step.acts for command in act.do for word in command.argv]  # type: ignore[union-attr]
    assert not any("reboot" in word for word in words)
    apply(server, forced)
    assert not asked_tcp(client, server, 8080)
    undo(server, forced)
    assert state(server) == before
    assert asked_tcp(client, server, 8080)


@HOW
def test_it_is_refused_where_nat_needs_the_packets(wired: Pair, how: str) -> None:
    _, server = wired
    if how == "nft":
        server.run(
            "nft", "-f", "-", text="table ip n {\nchain p {\ntype nat hook prerouting priority -100\n"
            "tcp dport 8081 redirect to :8082\n}\n}\n",
        )  # fmt: skip
    else:
        rule = "-t nat -A PREROUTING -p tcp --dport 8081 -j REDIRECT --to-ports 8082"
        server.run("iptables-legacy", *rule.split())
    refusal = made(server, "notrack", ports=("tcp/8081",))
    assert not refusal.steps
    assert "8082" in refusal.refused
    assert made(server, "notrack", ports=("tcp/8083",)).steps


@HOW
def test_what_is_invalid_is_not_forwarded_any_more(how: str) -> None:
    with Namespace() as client, Namespace() as router, Namespace() as server:
        join(client, router, 1)
        join(router, server, 2)
        router.write({"net.ipv4.ip_forward": 1})
        client.run("ip", "route", "add", "10.9.2.0/24", "via", "10.9.1.2")
        server.run("ip", "route", "add", "10.9.1.0/24", "via", "10.9.2.1")
        server.run(
            "nft", "-f", "-",
            text="table inet seen {\nchain i {\ntype filter hook input priority -400\ntcp dport 8080 counter\n}\n}\n",
        )  # fmt: skip
        tracked(router, how)
        before = state(router)
        # A SYN/ACK without a SYN is INVALID in every version [nf_conntrack_proto_tcp.c, tcp_new].
        sent(client, "10.9.1.1", "10.9.2.2", 8080, SYN | ACK, range(40000, 40010))
        assert counter(server, "8080") == 10
        planned = made(router, "drop-invalid-or-be-liberal")
        apply(router, planned)
        sent(client, "10.9.1.1", "10.9.2.2", 8080, SYN | ACK, range(41000, 41010))
        assert counter(server, "8080") == 10
        assert counter(router, "invalid" if how == "nft" else "INVALID") >= 10
        undo(router, planned)
        assert state(router) == before
        sent(client, "10.9.1.1", "10.9.2.2", 8080, SYN | ACK, range(42000, 42010))
        assert counter(server, "8080") == 20


def test_liberal_is_a_switch_of_the_namespace(wired: Pair) -> None:
    _, server = wired
    tracked(server, "nft")
    before = state(server)
    planned = made(server, "drop-invalid-or-be-liberal", invalid="liberal")
    apply(server, planned)
    assert server.read("nf_conntrack_tcp_be_liberal") == "1"
    undo(server, planned)
    assert state(server) == before


def test_without_loose_a_lone_ack_makes_no_entry(wired: Pair) -> None:
    client, server = wired
    tracked(server, "nft")
    # The server's own RST would take the entry away at once.
    quiet = "table inet quiet {\nchain o {\ntype filter hook output priority -400\ntcp flags rst drop\n}\n}\n"
    server.run("nft", "-f", "-", text=quiet)
    before = state(server)
    sent(client, "10.9.1.1", "10.9.1.2", 8080, ACK, range(50000, 50005))
    assert server.count() == 5
    planned = made(server, "disable-tcp-loose")
    apply(server, planned)
    server.run("conntrack", "-F")
    sent(client, "10.9.1.1", "10.9.1.2", 8080, ACK, range(51000, 51005))
    assert server.count() == 0
    undo(server, planned)
    assert state(server) == before


def test_timeouts_are_chosen_by_what_is_idle_and_new_entries_live_by_them(wired: Pair) -> None:
    """Forty connections whose end was never seen, an hour idle by the table's own word, among ten that are fresh."""
    client, server = wired
    tracked(server, "nft")
    before = state(server)
    make = "-I -p tcp -s 10.9.1.1 -d 10.9.1.2 --sport {} --dport 80 --state ESTABLISHED -u SEEN_REPLY,ASSURED -t {}"
    for number in range(50):
        idle = 200_000 if number < 40 else 10
        server.run("conntrack", *make.format(10000 + number, 432_000 - idle).split())
    planned = made(server, "shorten-timeouts")
    (step,) = planned.steps
    (act,) = step.acts
    assert isinstance(act, SetValue)
    assert act.path.endswith("tcp_timeout_established")
    assert (act.before, act.after) == ("432000", "86400")  # what is idle for 200000 s is idle for longer than a day
    assert step.predicted is not None
    assert (step.predicted.entries_before, step.predicted.entries_after) == (50, 10)
    apply(server, planned)
    with listening(server, 8080) as there, opened(client, socket.AF_INET, socket.SOCK_STREAM) as here:
        here.connect(("10.9.1.2", 8080))
        with there.accept()[0]:
            (entry,) = [line for line in server.entries() if "dport=8080" in line]
            remaining = int(entry.split()[4])
    assert 86300 <= remaining <= 86400
    undo(server, planned)
    assert state(server) == before


def test_a_flush_is_told_how_many_entries_it_will_take(wired: Pair) -> None:
    client, server = wired
    tracked(server, "nft")
    for port in (5353, 5353, 5354):
        assert asked_udp(client, server, port)
    planned = made(server, "flush-entries", where="proto=udp and dport=5353")
    (act,) = planned.steps[0].acts
    assert isinstance(act, Flush)
    assert act.expected == 2
    listed = server.run("conntrack", "-L", "-p", "udp", "--orig-port-dst", "5353")
    assert len(listed.splitlines()) == act.expected
    refused = made(server, "flush-entries", where="proto=udp")
    assert "whole table" in refused.refused


def test_some_entry_is_found_in_the_whole_table(wired: Pair) -> None:
    client, server = wired
    tracked(server, "nft")
    assert asked_udp(client, server, 5353)
    assert flush.some("proto=udp and dport=5353", LiveHost(netns=str(server.pid)).space)
    assert not flush.some("proto=udp and dport=5354", LiveHost(netns=str(server.pid)).space)


def test_bridged_frames_are_tracked_and_then_are_not() -> None:
    """A host that only bridges: two guests on its bridge, its own rules asking for state."""
    with Namespace() as host, Namespace() as one, Namespace() as other:
        host.run("ip", "link", "add", "br0", "type", "bridge")
        host.run("ip", "link", "set", "br0", "up")
        for number, guest in enumerate((one, other), 1):
            host.run("ip", "link", "add", f"p{number}", "type", "veth", "peer", "name", "eth0", "netns", str(guest.pid))
            host.run("ip", "link", "set", f"p{number}", "master", "br0", "up")
            guest.run("ip", "addr", "add", f"10.9.1.{number}/24", "dev", "eth0")
            guest.run("ip", "link", "set", "eth0", "up")
        try:
            host.write({"net.bridge.bridge-nf-call-iptables": 1})
        except OSError:
            pytest.skip("this kernel has no br_netfilter")
        tracked(host, "nft")
        before = state(host)

        def entries() -> int:
            return sum("dport=5353" in line for line in host.entries())  # IPv6 of the guests makes others

        assert asked_udp(one, other, 5353)
        assert entries() == 1
        planned = made(host, "disable-bridge-nf")
        apply(host, planned)
        host.run("conntrack", "-F")
        assert asked_udp(one, other, 5353)
        assert entries() == 0
        undo(host, planned)
        assert state(host) == before
        assert asked_udp(one, other, 5353)
        assert entries() == 1


@pytest.mark.parametrize("fix", ["raise-max", "raise-hashsize", "raise-expect-max"])
def test_what_is_the_hosts_is_refused_in_a_namespace_and_the_kernel_refuses_too(wired: Pair, fix: str) -> None:
    _, server = wired
    now = int(server.read("nf_conntrack_max"))
    planned = made(server, fix, limit=now * 2 if fix == "raise-max" else None, buckets=now * 2)
    assert not planned.steps
    assert "first network namespace" in planned.refused
    name = {"raise-max": "max", "raise-hashsize": "buckets", "raise-expect-max": "expect_max"}[fix]
    path = Path(f"/proc/sys/net/netfilter/nf_conntrack_{name}")
    with server.inside(), pytest.raises(OSError, match=r"Permission denied|not supported"):
        os.write(os.open(path, os.O_WRONLY), b"1000000\n")
    assert commanded(server, planned.steps[0].verify[0]) == 0 if planned.steps else True
    assert re.fullmatch(r"\d+", server.read(f"nf_conntrack_{name}"))


@pytest.mark.slow
@pytest.mark.parametrize(("how", "touched"), [("nft", False), ("nft", True), ("legacy", True)])
def test_planning_changes_nothing(wired: Pair, how: str, touched: bool) -> None:
    """No table, no chain, no setting: of every fix there is, in a namespace where nothing stands and in one in use."""
    client, server = wired
    if touched:
        tracked(server, how)
        assert asked_udp(client, server, 5353)
    before = state(server), server.proc("ip_tables_names"), server.proc("ip6_tables_names"), server.count()
    for fix in MAKERS:
        planned = made(server, fix, ports=("tcp/80",), where="proto=udp", i_know=True)
        for step in planned.steps:
            for act in step.acts:
                assert not isinstance(act, Commanded) or not is_done(server, act)
    assert (state(server), server.proc("ip_tables_names"), server.proc("ip6_tables_names"), server.count()) == before
