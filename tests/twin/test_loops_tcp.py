"""The compiled TCP tracker against the plain one, on segments near every edge of every window; and by hand where
RFC 9293 or KERNEL.md 8.5 says what must come of it.
"""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.realkernel.headers import ACK, FIN, PSH, RST, SYN, URG
from tests.twin.both import Both, Talk

KERNELS = ["6.18", "6.12", "6.1", "5.15", "5.4", "4.19", "4.4", "3.10", "3.2", "2.6.32"]
FLAGS = [SYN, SYN | ACK, ACK, ACK, ACK, PSH | ACK, FIN | ACK, FIN, RST, RST | ACK, 0, SYN | FIN, URG | ACK, SYN | RST]
OPTIONS = [
    b"",
    b"\x02\x04\x05\xb4",
    b"\x02\x04\x05\xb4\x01\x03\x03\x07",
    b"\x04\x02\x01\x01\x01\x03\x03\x0e",
    b"\x01\x01\x05\x0a\x00\x00\x00\x10\x00\x00\x20\x00",
]
# Distances from what the sender last sent: the edges of small windows, of 64 KB, of a scaled one, of half the circle.
OFFSETS = [-0x80000000, -66000, -2001, -1001, -1, 0, 0, 0, 1, 999, 1000, 1001, 65535, 66001, 1 << 23, 0x7FFFFFFF]


class Edge:
    """A conversation that goes mostly on and sometimes off the edge."""

    def __init__(self, both: Both, first: tuple[int, int]) -> None:
        self.talk = Talk(both, first=(0, 0))
        self.next = list(first)
        self.both = both

    def send(
        self, now_s: float, side: int, flags: int, move: int, ack_move: int, size: int, window: int, options: bytes
    ) -> None:
        seq = (self.next[side] + move) & 0xFFFFFFFF
        ack = (self.next[1 - side] + ack_move) & 0xFFFFFFFF
        send = self.talk.server if side else self.talk.client
        send(now_s, flags, seq, ack if flags & ACK else 0, window=window, payload=bytes(size), options=options)
        if move == 0:
            grown = size + bool(flags & SYN) + bool(flags & FIN)
            self.next[side] = (seq + grown) & 0xFFFFFFFF


STEP = st.tuples(
    st.integers(0, 1),
    st.sampled_from(FLAGS),
    st.sampled_from(OFFSETS),
    st.sampled_from([0, 0, 0, 0, *OFFSETS]),
    st.sampled_from([0, 0, 1, 1000]),
    st.sampled_from([0, 1, 1000, 65535]),
    st.sampled_from(OPTIONS),
    st.sampled_from([0, 0.01, 0.5, 40, 400]),
)


@settings(max_examples=500)
@given(
    steps=st.lists(STEP, min_size=1, max_size=30),
    kernel=st.sampled_from(KERNELS),
    switches=st.tuples(st.booleans(), st.booleans(), st.sampled_from([0, 1, 3])),
    first=st.sampled_from([(100, 500), (0xFFFFFFF0, 0), (0x7FFFFFFF, 0x80000000)]),
    opened=st.booleans(),
)
def test_every_edge(
    steps: list[tuple[int, int, int, int, int, int, bytes, float]],
    kernel: str,
    switches: tuple[bool, bool, int],
    first: tuple[int, int],
    opened: bool,
) -> None:
    loose, liberal, retrans = switches
    given_settings = {
        "nf_conntrack_tcp_loose": int(loose),
        "nf_conntrack_tcp_be_liberal": int(liberal),
        "nf_conntrack_tcp_max_retrans": retrans,
        "nf_conntrack_acct": 1,
    }
    both = Both(kernel, given_settings)
    edge, now_s = Edge(both, first), 1.0
    if opened:
        for side, flags in ((0, SYN), (1, SYN | ACK), (0, ACK)):
            edge.send(now_s, side, flags, 0, 0, 0, 65535, OPTIONS[2] if flags & SYN else b"")
    for side, flags, move, ack_move, size, window, options, gap_s in steps:
        now_s += gap_s
        edge.send(now_s, side, flags, move, ack_move, size, window, options)
        both.table()
    both.same()


def test_the_states_of_a_connection_and_their_seconds() -> None:
    """KERNEL.md 2.1: from SYN_SENT to TIME_WAIT, with the default timeouts of each."""
    both = Both()
    talk = Talk(both)
    steps = [
        (talk.client, SYN, 0, 0, "SYN_SENT 120 [UNREPLIED]"),
        (talk.server, SYN | ACK, 0, 1, "SYN_RECV 60"),
        (talk.client, ACK, 1, 1, "ESTABLISHED 432000 [ASSURED]"),
        (talk.client, FIN | ACK, 1, 1, "FIN_WAIT 120 [ASSURED]"),
        (talk.server, ACK, 1, 2, "CLOSE_WAIT 60 [ASSURED]"),
        (talk.server, FIN | ACK, 1, 2, "LAST_ACK 30 [ASSURED]"),
        (talk.client, ACK, 2, 2, "TIME_WAIT 120 [ASSURED]"),
    ]
    for send, flags, seq, ack, expected in steps:
        assert send(1, flags, seq, ack) != "invalid"
        assert both.only() == expected


def test_a_window_is_scaled_only_where_both_scale() -> None:
    """RFC 7323: 1000 << 7 bytes are let through in one flight, and one more is not; without the option 1000 are."""
    for options, room in ((b"\x03\x03\x07\x00", 1000 << 7), (b"", 1000)):
        both = Both()
        talk = Talk(both)
        talk.client(1, SYN, 0, options=options)
        talk.server(1, SYN | ACK, 0, 1, options=options)
        talk.client(1, ACK, 1, 1)
        talk.server(1, ACK, 1, 1)
        assert talk.client(1, ACK, 1 + room - 100, 1, payload=bytes(100)) == "established original"
        assert talk.client(1, ACK, 1 + 2 * room + 70000, 1, payload=bytes(100)) == "invalid"


def test_liberal_lets_all_through_but_old_resets() -> None:
    """nf_conntrack_tcp_be_liberal: a RST older than what was acknowledged stays INVALID. [nf_conntrack-sysctl]"""
    for liberal, verdict in ((0, "invalid"), (1, "established original")):
        both = Both(settings={"nf_conntrack_tcp_be_liberal": liberal})
        talk = Talk(both)
        talk.open()
        assert talk.client(2, ACK, 9_000_000, 1, payload=b"x") == verdict
        assert talk.client(2, RST, -50, 0) == "invalid"
