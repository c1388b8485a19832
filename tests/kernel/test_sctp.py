"""The SCTP machine along the lives of associations. [RFC 9260; KERNEL.md 2.4; the table of sctp 6.12]"""

import pytest

from tablefull.kernel import sctp

ORIGINAL, REPLY = 0, 1


def walk(*chunks: tuple[int, int]) -> str:
    state = sctp.NONE
    for direction, chunk in chunks:
        state = sctp.next_state(direction, state, chunk)
        if state == sctp.INVALID:
            return "INVALID"
    return sctp.STATES[state]


OPEN = (
    (ORIGINAL, sctp.CHUNK_INIT),
    (REPLY, sctp.CHUNK_INIT_ACK),
    (ORIGINAL, sctp.CHUNK_COOKIE_ECHO),
    (REPLY, sctp.CHUNK_COOKIE_ACK),
)


@pytest.mark.parametrize(
    ("chunks", "state"),
    [
        (OPEN[:1], "CLOSED"),
        (OPEN[:2], "COOKIE_WAIT"),
        (OPEN[:3], "COOKIE_ECHOED"),
        (OPEN, "ESTABLISHED"),
        ((*OPEN, (ORIGINAL, sctp.CHUNK_DATA), (REPLY, 3)), "ESTABLISHED"),
        ((*OPEN, (ORIGINAL, sctp.CHUNK_SHUTDOWN)), "SHUTDOWN_SENT"),
        ((*OPEN, (REPLY, sctp.CHUNK_SHUTDOWN)), "SHUTDOWN_RECD"),
        ((*OPEN, (ORIGINAL, sctp.CHUNK_SHUTDOWN), (REPLY, sctp.CHUNK_SHUTDOWN_ACK)), "SHUTDOWN_ACK_SENT"),
        ((*OPEN, (REPLY, sctp.CHUNK_ABORT)), "CLOSED"),
        (((ORIGINAL, sctp.CHUNK_HEARTBEAT),), "HEARTBEAT_SENT"),
        (((ORIGINAL, sctp.CHUNK_HEARTBEAT), (REPLY, sctp.CHUNK_HEARTBEAT_ACK)), "ESTABLISHED"),
        (((ORIGINAL, sctp.CHUNK_HEARTBEAT), (REPLY, sctp.CHUNK_INIT)), "INVALID"),
        (((REPLY, sctp.CHUNK_INIT),), "INVALID"),
    ],
)
def test_associations(chunks: tuple[tuple[int, int], ...], state: str) -> None:
    assert walk(*chunks) == state


def test_the_table_is_whole() -> None:
    assert len(sctp.STATES) == 9
    assert all(len(side) == len(sctp.ROWS) == 11 and all(len(row) == 9 for row in side) for side in sctp.TABLE)
    with pytest.raises(ValueError, match="2"):
        sctp.next_state(2, sctp.NONE, sctp.CHUNK_INIT)
