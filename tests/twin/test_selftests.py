"""The kernel's own selftests of connection tracking as scenes for the twin: their outcomes, in both engines.

Each function names the scene it restates (tools/testing/selftests/net/netfilter of Linux 6.12). What needs address
translation there is restated up to the point where the translation would begin, because the twin translates nothing;
the clash scenes are in test_loops_confirm.py, the clamp beside the running kernel in tests/realkernel.
"""

import pytest
from tests.realkernel.headers import ACK, FIN, PSH, RST, SYN, Link, Peers
from tests.twin.both import HOSTS, HOSTS6, Both, Talk
from tests.twin.test_reference_sctp import chunk, init, send

FAMILIES = pytest.mark.parametrize("hosts", [HOSTS, HOSTS6], ids=["ipv4", "ipv6"])
SYN_OPTIONS = b"\x02\x04\x05\xb4\x04\x02\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x01\x03\x03\x08"  # scale 8, SACK
PLAIN_OPTIONS = b"\x02\x04\x05\xb4"
SCALE_0 = b"\x02\x04\x05\xb4\x01\x01\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x01\x01\x03\x03\x00"


def fetched(hosts: Peers, kernel: str = "6.18") -> tuple[Both, Talk]:
    """A connection on which the server has sent 3000 bytes and the client acknowledged them; 1 is the next of each."""
    both = Both(kernel)
    talk = Talk(both, hosts, first=(0, 0))
    assert talk.client(0.1, SYN, 0, window=65535, options=SYN_OPTIONS) == "new original"
    assert talk.server(0.2, SYN | ACK, 1, 1, window=65535, options=PLAIN_OPTIONS) == "established reply"
    # From here on the server's data begin at 2: its SYN took the number 1.
    assert talk.client(0.2, ACK, 1, 2, window=65535) == "established original"
    for at in (2, 1002, 2002):
        assert talk.server(0.2, ACK, at, 1, window=65535, payload=bytes(1000)) == "established reply"
    for at in (1002, 2002, 3002):
        assert talk.client(0.2, ACK, 1, at, window=65535) == "established original"
    return both, talk


@FAMILIES
def test_data_that_were_acknowledged_are_sent_again(hosts: Peers) -> None:
    """packetdrill/conntrack_ack_loss_stall: a whole window later the first segment comes again and is let through."""
    both = Both()
    talk = Talk(both, hosts, first=(0, 0))
    assert talk.client(1, SYN, 0, window=32792, options=PLAIN_OPTIONS) == "new original"
    assert talk.server(1, SYN | ACK, 0, 1, window=65535, options=PLAIN_OPTIONS) == "established reply"
    assert talk.client(1, ACK, 1, 1, window=65535) == "established original"
    for at in range(1, 67161, 1460):
        assert talk.client(1.1, PSH | ACK, at, 1, window=257, payload=bytes(1460)) == "established original"
        assert talk.server(1.1, ACK, 1, at + 1460, window=65535) == "established reply"
    assert talk.client(1.2, PSH | ACK, 1, 1, window=257, payload=bytes(1460)) == "established original"
    assert talk.server(1.2, ACK, 1, 67161, window=65535) == "established reply"
    assert both.counter("invalid") == 0


@FAMILIES
def test_a_reset_that_is_not_exact_closes_what_is_closing(hosts: Peers) -> None:
    """packetdrill/conntrack_inexact_rst: after a FIN the RST of either side passes, and nothing is INVALID."""
    both, talk = fetched(hosts)
    assert talk.client(0.3, PSH | ACK, 1, 3002, window=65535, payload=bytes(1000)) == "established original"
    assert talk.server(0.4, FIN | ACK, 3002, 1001, window=65535) == "established reply"
    assert talk.client(0.4, ACK, 1001, 3003, window=65535) == "established original"
    assert both.only().startswith("CLOSE_WAIT ")
    assert talk.client(1.4, RST | ACK, 1001, 3003) == "established original"
    assert both.only().startswith("CLOSE ")
    assert talk.server(1.5, RST, 2002, 0, window=0) == "established reply"
    assert both.counter("invalid") == 0


@FAMILIES
def test_resets_outside_the_window_leave_the_connection(hosts: Peers) -> None:
    """packetdrill/conntrack_rst_invalid: four wrong ones are INVALID, the exact one closes."""
    both, talk = fetched(hosts)
    for seq in (0, 1000000, 42):
        assert talk.server(0.3, RST, seq, 0, window=0) == "invalid"
        assert both.only().startswith("ESTABLISHED ")
    assert talk.client(0.3, PSH | ACK, 1, 3002, window=65535, payload=bytes(1000)) == "established original"
    assert talk.server(0.4, ACK, 3002, 1001, window=65535) == "established reply"
    assert talk.server(0.4, RST | ACK, 3001, 1001, window=0) == "invalid"
    assert both.only().startswith("ESTABLISHED ")
    assert talk.server(0.4, RST | ACK, 3002, 1001, window=0) == "established reply"
    assert both.only().startswith("CLOSE ")
    assert both.counter("invalid") == 4


@FAMILIES
def test_a_challenge_ack_to_a_syn(hosts: Peers) -> None:
    """packetdrill/conntrack_syn_challenge_ack: an old incarnation answers, is reset, and the SYN opens after all."""
    both = Both()
    talk = Talk(both, hosts, first=(0, 0))
    assert talk.client(0.1, SYN, 0, window=65535, options=SYN_OPTIONS) == "new original"
    assert talk.server(0.2, ACK, 145824453, 643160523, window=240) == "established reply"
    assert talk.client(0.21, RST, 643160523, 0, window=0) == "established original"
    assert talk.client(0.3, SYN, 0, window=65535, options=SYN_OPTIONS) == "new original"
    assert both.only().startswith("SYN_SENT ")
    assert both.only().endswith("[UNREPLIED]")
    assert talk.server(0.4, SYN | ACK, 0, 1, window=250, options=SCALE_0) == "established reply"
    assert talk.client(0.41, ACK, 1, 1, window=256) == "established original"
    assert both.only().startswith("ESTABLISHED ")
    assert both.only().endswith("[ASSURED]")
    assert both.counter("invalid") == 0


@FAMILIES
def test_an_old_answer_to_a_syn(hosts: Peers) -> None:
    """packetdrill/conntrack_synack_old: the stale SYN/ACK is INVALID, the right one after it is believed."""
    both = Both()
    talk = Talk(both, hosts, first=(0, 0))
    assert talk.client(0.1, SYN, 0, window=65535, options=SYN_OPTIONS) == "new original"
    assert talk.server(0.2, SYN | ACK, 145824453, 643160523, window=240, options=SCALE_0) == "invalid"
    assert talk.client(1.2, SYN, 0, window=65535, options=SYN_OPTIONS) == "new original"
    assert both.only().startswith("SYN_SENT ")
    assert both.only().endswith("[UNREPLIED]")
    assert talk.server(1.2, SYN | ACK, 145758918, 1, window=250, options=SCALE_0) == "established reply"
    assert talk.client(1.21, ACK, 1, 145758919, window=256) == "established original"
    assert both.only().startswith("ESTABLISHED ")
    assert both.only().endswith("[ASSURED]")
    assert talk.client(1.3, PSH | ACK, 1, 145758919, window=256, payload=b"x") == "established original"
    assert both.counter("invalid") == 1


@FAMILIES
def test_a_port_is_used_again_while_the_old_connection_stands(hosts: Peers) -> None:
    """packetdrill/conntrack_synack_reuse: challenge ACK, RST, SYN again; a new opening stands in the table."""
    both = Both()
    talk = Talk(both, hosts, first=(0, 0))
    assert talk.client(1, SYN, 0, window=32792, options=SYN_OPTIONS) == "new original"
    assert talk.server(1, SYN | ACK, 0, 1, window=65535, options=SYN_OPTIONS) == "established reply"
    assert talk.client(1.01, ACK, 1, 1, window=257) == "established original"
    assert talk.client(1.01, PSH | ACK, 1, 1, window=257, payload=bytes(100)) == "established original"
    assert talk.server(1.02, ACK, 1, 101, window=256) == "established reply"
    assert talk.client(2, SYN, 2000, window=32792, options=SYN_OPTIONS) == "established original"
    assert talk.server(2, ACK, 1, 101, window=256) == "established reply"
    assert talk.client(2, RST | ACK, 101, 1, window=257) == "established original"
    assert talk.client(3.5, SYN, 2000, window=32792, options=SYN_OPTIONS) == "new original"
    assert talk.server(3.5, SYN | ACK, 0, 2001, window=65535, options=SYN_OPTIONS) == "established reply"
    assert both.only().startswith("SYN_RECV ")
    assert both.counter("invalid") == 0


def test_an_unanswered_opening_is_not_kept_alive_by_its_repeats() -> None:
    """conntrack_tcp_unreplied: SYNs that nobody answers do not renew their entry, so that it ends and a new one begins.

    There the new one meets a redirect that was added meanwhile; here it is counted.
    """
    both = Both(settings={"nf_conntrack_tcp_timeout_syn_sent": 10})
    talk = Talk(both)
    assert talk.client(0, SYN, 0, options=PLAIN_OPTIONS) == "new original"
    for second in (1, 3, 7, 9.9):
        assert talk.client(second, SYN, 0, options=PLAIN_OPTIONS) == "new original"
    assert both.only(9.9).split()[1] == "0"  # from the first SYN, not from the last
    assert talk.client(10.5, SYN, 7, options=PLAIN_OPTIONS) == "new original"
    assert both.only(10.5).split()[1] == "10"


def test_a_packet_too_big_is_related_and_a_redirect_too() -> None:
    """conntrack_icmp_related: the errors a router sends about a ping, both families, and ICMP(v6) redirects."""
    both = Both()
    for hosts, (too_big, redirect) in ((HOSTS, ((3, 4), (5, 1))), (HOSTS6, ((2, 0), (137, 0)))):
        echo = (8, 0) if hosts is HOSTS else (128, 0)
        ping = hosts.link(0).icmp(*echo, 7 << 16 | 1, bytes(1300))
        assert both.packet(1, ping) == "new original"
        assert both.packet(1, hosts.link(1).icmp(*too_big, 1280, ping[:548])) == "related reply"
        from_router = error_to(hosts, "10.1.0.99" if hosts is HOSTS else "fe80::99", *redirect, about=ping)
        assert both.packet(1, from_router) == "related reply"
        unknown = hosts.link(0).icmp(*echo, 9 << 16 | 1, bytes(20))
        assert both.packet(1, hosts.link(1).icmp(*too_big, 1280, unknown)) == "invalid"


def error_to(hosts: Peers, router: str, kind: int, code: int, about: bytes) -> bytes:
    """An ICMP error from a third host to the one that sent ``about``; a redirect of IPv6 carries it in an option."""
    link = Link(router, str(hosts.link(0).src), 1)
    if hosts is HOSTS:
        return link.icmp(kind, code, 0, about[:200])
    cut = about[: 8 * 20]
    option = bytes([4, (len(cut) + 8) // 8]) + bytes(6) + cut
    return link.icmp(kind, code, 0, bytes(32) + option, ttl=255)


@pytest.mark.parametrize("kernel", ["6.18", "6.12"])
def test_two_hosts_open_an_association_at_once(kernel: str) -> None:
    """conntrack_sctp_collision: a late INIT ACK after the other side's own opening; "hello" passes both ways after it.

    Measured on 6.18.44 with these packets: the tags that the late chunk brings do not replace the agreed ones.
    """
    both = Both(kernel)
    assert send(both, 0.3, 0, 0, init(1, 0x11)) == "new original"
    assert send(both, 1.0, 1, 0, init(1, 0x22)) == "established reply"
    assert send(both, 1.0, 0, 0x22, init(2, 0x11)) == "established original"
    assert send(both, 1.0, 1, 0x11, chunk(10, b"cookie")) == "established reply"
    assert send(both, 1.0, 0, 0x22, chunk(11)) == "established original"
    assert send(both, 1.5, 1, 0x11, init(2, 0x33)) == "invalid"  # the answer to the first INIT, 1.2 s late
    assert send(both, 2.3, 0, 0x22, chunk(0, bytes(12) + b"hello")) == "established original"
    assert send(both, 2.3, 1, 0x11, chunk(0, bytes(12) + b"hello")) == "established reply"
    assert both.counter("invalid") == 1


def test_zones_are_counted_apart() -> None:
    """conntrack_dump_flush: three flows in zones 123, 124, 125, in both families and one in none."""
    both = Both()
    for hosts in (HOSTS, HOSTS6):
        for zone in (123, 124, 125):
            for port in (1, 2):
                data = hosts.link(0).udp(port, 53, b"x")
                assert both.packet(1, data, zone=zone) == "new original"
    assert both.packet(1, HOSTS.link(0).udp(1, 53, b"x")) == "new original"
    for twin in both.twins:
        zones = twin.columns()["zone"].tolist()
        assert [zones.count(zone) for zone in (0, 123, 124, 125)] == [1, 4, 4, 4]


@pytest.mark.parametrize("limit", [1, 100])
def test_the_limit_clamps(limit: int) -> None:
    """conntrack_resize, its clamp: no more entries than nf_conntrack_max, however many come."""
    both = Both(settings={"nf_conntrack_max": limit})
    for port in range(1000, 1000 + 3 * limit):
        Talk(both, port=port).client(1, SYN, 0)
    assert both.count() <= limit
    assert len(both.table()) <= limit
    both = Both(settings={"nf_conntrack_max": limit})
    for port in range(1000, 1000 + limit):
        Talk(both, port=port).open()
    for port in range(9000, 9020):
        assert Talk(both, port=port).client(1, SYN, 0) == "dropped"
    assert both.count() == limit
