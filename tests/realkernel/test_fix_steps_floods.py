"""SYNPROXY, limits and blocks for a live namespace: carried out by their own words, judged by the kernel, undone."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.realkernel.fix_steps_place import HOW, Pair, made, tracked
from tests.realkernel.namespace import Namespace
from tests.realkernel.wired import (
    SYN,
    apply,
    asked_tcp,
    asked_udp,
    counter,
    join,
    listening,
    opened,
    sent,
    state,
    undo,
)

pytestmark = [pytest.mark.realkernel, pytest.mark.usefixtures("programs")]


@contextmanager
def routed(how: str) -> Iterator[tuple[Namespace, Namespace, Namespace]]:
    """A client (10.9.1.1), a router that tracks (10.9.1.2, 10.9.2.1), a server behind it (10.9.2.2)."""
    with Namespace() as client, Namespace() as router, Namespace() as server:
        join(client, router, 1)
        join(router, server, 2)
        router.write({"net.ipv4.ip_forward": 1, "net.ipv4.tcp_syncookies": 1})
        client.run("ip", "route", "add", "10.9.2.0/24", "via", "10.9.1.2")
        server.run("ip", "route", "add", "10.9.1.0/24", "via", "10.9.2.1")
        tracked(router, how)
        yield client, router, server


@HOW
def test_synproxy_before_a_server_behind_this_router(how: str) -> None:
    with routed(how) as (client, router, server):
        before = state(router)
        planned = made(router, "synproxy-or-syncookies", ports=("tcp/8080",), way="passed", mss=1460, wscale=7)
        apply(router, planned)
        with opened(server, socket.AF_INET, socket.SOCK_STREAM) as there:
            there.bind(("10.9.2.2", 8080))
            there.listen(64)
            sent(client, "10.9.1.1", "10.9.2.2", 8080, SYN, range(22000, 22020))
            assert router.count() == 0
            with opened(client, socket.AF_INET, socket.SOCK_STREAM) as here:
                here.connect(("10.9.2.2", 8080))
                here.sendall(b"?" * 100_000)
                accepted, _ = there.accept()
                with accepted:
                    accepted.settimeout(2)
                    got = 0
                    while got < 100_000:
                        got += len(accepted.recv(65536))
        assert router.count() == 1
        undo(router, planned)
        assert state(router) == before


@HOW
def test_synproxy_of_a_gateway_s_own_port_leaves_what_it_forwards_alone(how: str) -> None:
    """Both ways on a gateway: the port of the one server is proxied, the same port of the other is passed as it was."""
    with routed(how) as (client, router, server):
        if how == "nft":
            masquerade = "table ip n {\nchain p {\ntype nat hook postrouting priority 100;\noif w2a masquerade\n}\n}\n"
            router.run("nft", "-f", "-", text=masquerade)
        else:
            router.run("iptables-legacy", "-t", "nat", "-A", "POSTROUTING", "-o", "w2a", "-j", "MASQUERADE")
        before = state(router)
        for way, given in (("", {}), ("passed", {"mss": 1460, "wscale": 7})):
            planned = made(router, "synproxy-or-syncookies", ports=("tcp/8080",), way=way, **given)
            apply(router, planned)
            router.run("conntrack", "-F")
            proxied, passed = ((router, "10.9.1.2"), (server, "10.9.2.2"))[:: -1 if way else 1]
            for (there, address), entries in ((proxied, 0), (passed, 20)):
                with listening(there, 8080, address=address):
                    sent(client, "10.9.1.1", address, 8080, SYN, range(22000, 22020))
                    assert router.count() == entries, (way, address)
                router.run("conntrack", "-F")
            for there, address in (proxied, passed):
                assert asked_tcp(client, there, 8080, address=address), (way, address)
            undo(router, planned)
            assert state(router) == before


@HOW
def test_synproxy_is_refused_where_the_server_is_not_reached_over_loopback(wired: Pair, how: str) -> None:
    """The proxy's own SYN comes in by lo: done all the same, nobody is served."""
    client, server = wired
    server.write({"net.ipv4.tcp_syncookies": 1})
    tracked(server, "legacy")
    if how == "nft":
        server.run(
            "nft", "-f", "-", text="table inet f {\nchain i {\ntype filter hook input priority 0; policy drop\n"
            'iifname "w1b" tcp dport 8080 accept\nct state established accept\n}\n}\n',
        )  # fmt: skip
    else:
        for rule in ("-i w1b -p tcp --dport 8080 -j ACCEPT", "-m conntrack --ctstate ESTABLISHED -j ACCEPT", "-j DROP"):
            server.run("iptables-legacy", "-A", "INPUT", *rule.split())
    before = state(server)
    assert asked_tcp(client, server, 8080)
    assert "over lo" in made(server, "synproxy-or-syncookies", ports=("tcp/8080",)).refused
    forced = made(server, "synproxy-or-syncookies", ports=("tcp/8080",), i_know=True)
    apply(server, forced)
    assert not asked_tcp(client, server, 8080)
    undo(server, forced)
    assert state(server) == before
    assert asked_tcp(client, server, 8080)


@HOW
def test_synproxy_answers_for_the_server_and_a_bare_syn_makes_no_entry(wired: Pair, how: str) -> None:
    client, server = wired
    tracked(server, how)
    for table in ("raw", "filter"):
        client.run("iptables-legacy", "-t", table, "-nL")
    # The client's own kernel would answer the SYN/ACKs to ports it knows nothing of with RST.
    client.run("iptables-legacy", "-t", "raw", "-A", "OUTPUT", "-p", "tcp", "--tcp-flags", "RST", "RST", "-j", "DROP")
    server.write({"net.ipv4.tcp_syncookies": 1})
    before = state(server)
    with listening(server, 8080):
        sent(client, "10.9.1.1", "10.9.1.2", 8080, SYN, range(20000, 20020))
        assert server.count() == 20
    server.run("conntrack", "-F")

    planned = made(server, "synproxy-or-syncookies", ports=("tcp/8080",))
    apply(server, planned)
    with listening(server, 8080):
        sent(client, "10.9.1.1", "10.9.1.2", 8080, SYN, range(21000, 21020))
        assert server.count() == 0
    stat = server.proc("stat/synproxy").splitlines()
    received = stat[0].split().index("syn_received")
    assert sum(int(line.split()[received], 16) for line in stat[1:]) == 20
    assert asked_tcp(client, server, 8080)
    assert server.count() == 1
    assert "1460" in planned.steps[-2].after  # an MTU of 1500 less 40 bytes

    undo(server, planned)
    assert state(server) == before
    assert asked_tcp(client, server, 8080)


@HOW
def test_synproxy_says_what_the_server_would(wired: Pair, how: str) -> None:
    """mss and window scale of the proxy's SYN/ACK are those of the server's own, as the client's kernel sees them."""
    client, server = wired
    tracked(server, how)

    def options() -> tuple[int, int]:
        with listening(server, 8080) as there, opened(client, socket.AF_INET, socket.SOCK_STREAM) as here:
            here.connect(("10.9.1.2", 8080))
            there.accept()[0].close()
            info = here.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
            # struct tcp_info: the byte of both scales (ours sent in the high half), tcpi_snd_mss [include/uapi/linux/tcp.h]
            return info[6] & 0xF, int.from_bytes(info[16:20], "little")

    own = options()
    planned = made(server, "synproxy-or-syncookies", ports=("tcp/8080",))
    apply(server, planned)
    assert options() == own
    undo(server, planned)


@HOW
def test_a_limit_holds_for_each_address_and_counts_what_it_drops(wired: Pair, how: str) -> None:
    client, server = wired
    client.run("ip", "addr", "add", "10.9.1.77/24", "dev", "w1a")
    tracked(server, how)
    before = state(server)
    planned = made(server, "rate-limit-or-block-source", ports=("tcp/8080",), rate_per_s=1, burst=5)
    apply(server, planned)
    with listening(server, 8080):
        sent(client, "10.9.1.1", "10.9.1.2", 8080, SYN, range(30000, 30040))
        dropped = counter(server, "8080")
        assert 30 <= dropped <= 35  # forty in far less than a second: five at once, and at most a few more
        assert server.count() == 40 - dropped
        with opened(client, socket.AF_INET, socket.SOCK_STREAM) as here:
            here.bind(("10.9.1.77", 0))
            here.connect(("10.9.1.2", 8080))  # another address has a limit of its own
        assert counter(server, "8080") == dropped
    assert asked_tcp(client, server, 8081)  # another port has none
    undo(server, planned)
    assert state(server) == before
    server.run("conntrack", "-F")
    with listening(server, 8080):
        sent(client, "10.9.1.1", "10.9.1.2", 8080, SYN, range(31000, 31020))
        assert server.count() == 20


@HOW
def test_a_limit_on_udp_keeps_no_entry_of_what_it_drops(wired: Pair, how: str) -> None:
    client, server = wired
    tracked(server, how)
    before = state(server)
    planned = made(server, "rate-limit-or-block-source", ports=("udp/5353",), rate_per_s=1, burst=5)
    apply(server, planned)
    with opened(server, socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.bind(("10.9.1.2", 5353))
        for _ in range(40):
            with opened(client, socket.AF_INET, socket.SOCK_DGRAM) as here:
                here.sendto(b"?", ("10.9.1.2", 5353))
    dropped = counter(server, "5353")
    assert 30 <= dropped <= 35
    assert server.count() == 40 - dropped
    undo(server, planned)
    assert state(server) == before


@HOW
def test_a_blocked_source_costs_no_entry_and_its_neighbour_is_served(wired: Pair, how: str) -> None:
    client, server = wired
    client.run("ip", "addr", "add", "10.9.1.77/24", "dev", "w1a")
    tracked(server, how)
    before = state(server)
    planned = made(server, "rate-limit-or-block-source", sources=("10.9.1.77", "2001:db8::/32"))
    apply(server, planned)
    assert not asked_udp(client, server, 5353, source="10.9.1.77")
    assert server.count() == 0
    assert counter(server, "10.9.1.77") == 1
    assert asked_udp(client, server, 5353)
    undo(server, planned)
    assert state(server) == before
    assert asked_udp(client, server, 5353, source="10.9.1.77")
