"""The compiled SCTP tracker against the plain one: any chunks, any tags, in any order, on every kernel."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.twin.both import Both
from tests.twin.test_reference_sctp import chunk, init, send

TAGS = (0, 11, 22, 99)
PLAIN = [chunk(kind, bytes(4), flags) for kind in (0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 64, 255) for flags in (0, 1)]
CHUNKS = [*PLAIN, *(init(kind, tag) for kind in (1, 2) for tag in TAGS), b"\x01\x00\x00\x00", b"\x0a\x00\x00\x03"]


@settings(max_examples=400)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),
            st.sampled_from(TAGS),
            st.lists(st.sampled_from(CHUNKS), min_size=0, max_size=3),
            st.sampled_from([0, 0.1, 2.9, 31, 220]),
        ),
        max_size=25,
    ),
    st.sampled_from(["6.18", "6.1", "5.15", "4.19", "3.10"]),
    st.booleans(),
)
def test_any_association(steps: list[tuple[int, int, list[bytes], float]], kernel: str, opened: bool) -> None:
    both, now_s = Both(kernel, {"nf_conntrack_acct": 1}), 1.0
    if opened:
        for side, tag, part in ((0, 0, init(1, 11)), (1, 11, init(2, 22)), (0, 22, chunk(10)), (1, 11, chunk(11))):
            send(both, now_s, side, tag, part)
        assert both.only().startswith("ESTABLISHED ")
    for side, tag, chunks, gap_s in steps:
        now_s += gap_s
        send(both, now_s, side, tag, *chunks)
        both.table()
    both.same()


def test_the_seconds_of_each_state() -> None:
    """The states that 6.18.44 listed after each of these packets, and the defaults of KERNEL.md 2.4."""
    both = Both()
    for side, tag, part, expected in (
        (0, 0, init(1, 11), "CLOSED 10 [UNREPLIED]"),
        (1, 11, init(2, 22), "COOKIE_WAIT 3"),
        (0, 22, chunk(10, b"c"), "COOKIE_ECHOED 3"),
        (1, 11, chunk(11), "ESTABLISHED 210 [ASSURED]"),
        (1, 11, chunk(7, bytes(4)), "SHUTDOWN_RECD 3 [ASSURED]"),
    ):
        assert send(both, 1, side, tag, part) != "invalid"
        assert both.only() == expected
