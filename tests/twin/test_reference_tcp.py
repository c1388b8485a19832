"""KERNEL.md 8.4: the consequences that were measured on 6.18.44, each a test; both engines."""

import pytest
from tests.realkernel.headers import ACK, FIN, PSH, RST, SYN
from tests.twin.both import HOSTS, HOSTS6, Both, Talk

IPV = pytest.mark.parametrize("hosts", [HOSTS, HOSTS6], ids=["ipv4", "ipv6"])


@IPV
def test_a_handshake(hosts) -> None:
    talk = Talk(both := Both(), hosts)
    assert talk.client(1, SYN, 0) == "new original"
    assert both.only() == "SYN_SENT 120 [UNREPLIED]"
    assert talk.server(1, SYN | ACK, 0, 1) == "established reply"
    assert both.only() == "SYN_RECV 60"
    assert talk.client(1, ACK, 1, 1) == "established original"
    assert both.only() == "ESTABLISHED 432000 [ASSURED]"
    both.same()


def test_data_that_is_not_acknowledged_waits_five_minutes() -> None:
    talk = Talk(both := Both())
    talk.open()
    talk.client(2, ACK | PSH, 1, 1, payload=b"GET /")
    assert both.only() == "ESTABLISHED 300 [ASSURED]"
    talk.server(3, ACK, 1, 6)
    assert both.only() == "ESTABLISHED 432000 [ASSURED]"


def test_a_proper_end() -> None:
    talk = Talk(both := Both())
    talk.open()
    ends = []
    for side, flags, seq, ack in (
        (talk.client, FIN | ACK, 1, 1),
        (talk.server, ACK, 1, 2),
        (talk.server, FIN | ACK, 1, 2),
        (talk.client, ACK, 2, 2),
    ):
        side(2, flags, seq, ack)
        ends.append(both.only())
    assert [end.rsplit(" ", 1)[0] for end in ends] == ["FIN_WAIT 120", "CLOSE_WAIT 60", "LAST_ACK 30", "TIME_WAIT 120"]


def test_a_repeated_syn_does_not_renew() -> None:
    talk = Talk(both := Both())
    talk.client(1, SYN, 0)
    assert talk.client(3.2, SYN, 0) == "new original"
    assert both.only(3.2) == "SYN_SENT 117 [UNREPLIED]"


def test_a_reset_answers_a_syn() -> None:
    talk = Talk(both := Both())
    talk.client(1, SYN, 0)
    assert talk.server(1, RST | ACK, 0, 7) == "invalid"
    assert both.only() == "SYN_SENT 120 [UNREPLIED]"
    assert talk.server(1, RST | ACK, 0, 1) == "established reply"
    assert both.table() == []
    assert both.same().count == 0


def test_a_reset_after_a_challenge_ack_in_syn_sent() -> None:
    talk = Talk(both := Both())
    talk.client(1, SYN, 0)
    assert talk.server(1, ACK, 900, 77, absolute=True) == "established reply"
    assert talk.client(1, RST, 77, absolute=True) == "established original"
    assert both.only() == "CLOSE 10"


def test_a_connection_seen_in_the_middle() -> None:
    talk = Talk(both := Both())
    assert talk.client(1, ACK, 50, 60) == "new original"
    assert both.only() == "ESTABLISHED 300 [UNREPLIED]"
    assert talk.server(1, ACK, 60, 50) == "established reply"
    assert both.only() == "ESTABLISHED 300"
    assert talk.client(1, ACK, 50, 60) == "established original"
    assert both.only() == "ESTABLISHED 432000 [ASSURED]"


def test_the_first_timeout_of_a_pickup_is_the_smallest_of_three() -> None:
    for retrans, unacked in ((100, 200), (200, 100)):
        talk = Talk(
            both := Both(
                settings={
                    "nf_conntrack_tcp_timeout_max_retrans": retrans,
                    "nf_conntrack_tcp_timeout_unacknowledged": unacked,
                }
            )
        )
        talk.client(1, ACK, 50, 60)
        assert both.only() == "ESTABLISHED 100 [UNREPLIED]"


@pytest.mark.parametrize("flags", [SYN | ACK, FIN | ACK, RST, 0])
def test_nothing_else_is_picked_up(flags: int) -> None:
    both = Both()
    assert Talk(both).client(1, flags, 1, 1) == "invalid"
    assert both.same().counters()["invalid"] == 1
    assert Talk(strict := Both(settings={"nf_conntrack_tcp_loose": 0})).client(1, ACK, 1, 1) == "invalid"
    assert strict.same().count == 0


def test_resets_of_an_open_connection() -> None:
    """Exact closes; inexact in the window leaves ten seconds; below the ACK or beyond the window is INVALID."""
    for seq, verdict, left in (
        (1, "established reply", "CLOSE 10 [ASSURED]"),
        (5, "established reply", "ESTABLISHED 10 [ASSURED]"),
        (0, "invalid", "ESTABLISHED 432000 [ASSURED]"),
        (1 + 70000, "invalid", "ESTABLISHED 432000 [ASSURED]"),
    ):
        talk = Talk(both := Both())
        talk.open()
        assert talk.server(1, RST, seq) == verdict
        assert both.only() == left
    talk = Talk(both := Both())
    talk.open()
    talk.server(1, RST, 5)
    talk.client(1, ACK, 1, 1)
    assert both.only() == "ESTABLISHED 300 [ASSURED]"


def test_a_reset_of_a_connection_seen_in_the_middle_needs_no_exact_number() -> None:
    """Found by comparing with the kernel: only an ASSURED connection is open in the RST rules."""
    talk = Talk(both := Both())
    talk.client(1, ACK, 2147483647, 0, absolute=True)
    talk.server(1, ACK, 0, 2147483647, absolute=True)
    assert talk.client(1, RST, 0, absolute=True) == "established original"
    assert both.only() == "CLOSE 10"


def test_liberal_and_ignored_resets() -> None:
    talk = Talk(both := Both(settings={"nf_conntrack_tcp_be_liberal": 1}))
    talk.open()
    assert talk.client(1, ACK, 900000, 1, payload=b"x") == "established original"
    assert talk.server(1, RST, 900000) == "established reply"
    assert both.only() == "ESTABLISHED 10 [ASSURED]"
    assert talk.server(1, RST, 0) == "invalid"
    talk = Talk(both := Both(settings={"nf_conntrack_tcp_ignore_invalid_rst": 1}))
    talk.open()
    assert talk.server(1, RST, 0) == "established reply"
    assert both.only() == "ESTABLISHED 10 [ASSURED]"


def test_a_syn_in_an_open_connection_is_let_through() -> None:
    talk = Talk(both := Both())
    talk.open()
    assert talk.client(2, SYN, 90000) == "established original"
    assert both.only(1) == "ESTABLISHED 432000 [ASSURED]"
    assert talk.server(2, SYN | ACK, 70000, 90001) == "established reply"
    assert both.only() == "SYN_RECV 60 [ASSURED]"
    assert talk.client(2, ACK, 90001, 70001) == "established original"
    assert both.only() == "ESTABLISHED 432000 [ASSURED]"


def test_a_simultaneous_open() -> None:
    talk = Talk(both := Both())
    states = []
    for side, flags, seq, ack in (
        (talk.client, SYN, 0, 0),
        (talk.server, SYN, 0, 0),
        (talk.client, SYN | ACK, 0, 1),
        (talk.server, SYN | ACK, 0, 1),
        (talk.server, ACK, 1, 1),
    ):
        side(1, flags, seq, ack)
        states.append(both.only().split()[0])
    assert states[:3] == ["SYN_SENT", "SYN_SENT2", "SYN_RECV"]
    assert states[-1] == "ESTABLISHED"


def test_a_zero_window() -> None:
    talk = Talk(both := Both())
    talk.open()
    talk.server(1, ACK, 1, 1, window=0)
    assert both.only() == "ESTABLISHED 300 [ASSURED]"
    talk.server(1, ACK, 1, 1, window=500)
    assert both.only() == "ESTABLISHED 432000 [ASSURED]"


def test_three_repeats_of_a_segment() -> None:
    talk = Talk(both := Both(settings={"nf_conntrack_tcp_timeout_max_retrans": 77}))
    talk.open()
    talk.server(1, ACK, 1, 1)
    for left in ("432000", "432000", "77"):
        talk.server(1, ACK, 1, 1)
        assert both.only() == f"ESTABLISHED {left} [ASSURED]"


def test_reuse_of_a_closed_tuple() -> None:
    """By the client after its own RST: new. After the server's: let through, the closed entry stays."""
    talk = Talk(both := Both())
    talk.open()
    talk.client(1, RST, 1)
    assert talk.client(2, SYN, 5000) == "new original"
    assert both.only() == "SYN_SENT 120 [UNREPLIED]"
    talk = Talk(both := Both())
    talk.open()
    talk.server(1, RST, 1)
    assert talk.client(2, SYN, 5000) == "established original"
    assert both.only(1) == "CLOSE 10 [ASSURED]"
    assert both.same().counters()["invalid"] == 0


def test_time_wait_and_a_syn_of_the_server_swap_the_roles() -> None:
    talk = Talk(both := Both())
    talk.open()
    for side, flags, seq, ack in (
        (talk.client, FIN | ACK, 1, 1),
        (talk.server, FIN | ACK, 1, 2),
        (talk.client, ACK, 2, 2),
    ):
        side(1, flags, seq, ack)
    assert both.only().startswith("TIME_WAIT")
    assert talk.server(2, SYN, 9000) == "new original"
    (line,) = both.table()
    assert "sport=80 dport=1000" in line.split("src=")[1]


@pytest.mark.parametrize(
    ("seq", "size", "verdict"),
    [(2000, 10, "established original"), (2001, 10, "established original"), (6000, 1, "invalid")],
)
def test_the_edge_of_the_window(seq: int, size: int, verdict: str) -> None:
    """Window 1000, acknowledged to 1001: 2001 passes, 2002 is let through without a trace, 6001 is INVALID."""
    talk = Talk(Both())
    talk.open()
    talk.client(1, ACK, 1, 1, payload=b"x" * 1000)
    talk.server(1, ACK, 1, 1001)
    assert talk.client(5, ACK, seq, 1, payload=b"x" * size) == verdict


def test_old_kernels_call_old_data_invalid_and_renew_on_a_repeated_syn() -> None:
    talk = Talk(both := Both("5.10"))
    talk.client(1, SYN, 0)
    talk.client(3, SYN, 0)
    assert both.only(3) == "SYN_SENT 120 [UNREPLIED]"
    for kernel, verdict in (("6.18", "established original"), ("4.19", "invalid")):
        talk = Talk(Both(kernel))
        talk.open()
        talk.client(1, ACK, 1, 1, payload=b"x" * 900)
        talk.server(1, ACK, 1, 901)
        talk.client(1, ACK, 901, 1, payload=b"x" * 900)
        talk.server(1, ACK, 1, 1801)
        assert talk.client(1, ACK, 1, 1, payload=b"x" * 10) == verdict
