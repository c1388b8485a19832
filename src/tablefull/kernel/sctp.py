"""The SCTP state machine of connection tracking: rows (direction, chunk), columns the states, and what is printed.

The trap: a chunk that is not in the table (DATA, SACK, anything unknown) leaves the state alone, and the table is not
the whole story: verification tags are checked chunk by chunk, and INITs of both sides may collide.

[sctp 6.1.20..6.18; 4.3..6.0 had HEARTBEAT_ACKED beside these, to 4.2 no heartbeat state]
"""

from tablefull.kernel.tcp import ORIGINAL, REPLY

NONE, CLOSED, COOKIE_WAIT, COOKIE_ECHOED, ESTABLISHED, SHUTDOWN_SENT, SHUTDOWN_RECD, SHUTDOWN_ACK_SENT = range(8)
HEARTBEAT_SENT = 8
INVALID = 9
STATES = (
    *("NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED"),
    *("SHUTDOWN_SENT", "SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT"),
)

# Chunk types. [RFC 9260]
CHUNK_DATA, CHUNK_INIT, CHUNK_INIT_ACK, CHUNK_HEARTBEAT, CHUNK_HEARTBEAT_ACK, CHUNK_ABORT = 0, 1, 2, 4, 5, 6
CHUNK_SHUTDOWN, CHUNK_SHUTDOWN_ACK, CHUNK_ERROR, CHUNK_COOKIE_ECHO, CHUNK_COOKIE_ACK = 7, 8, 9, 10, 11
CHUNK_SHUTDOWN_COMPLETE = 14
# The T bit: the sender had no state of its own and shows the other side's tag. [RFC 9260, 3.3.7 and 3.3.13]
CHUNK_T = 0x01

# Chunk type -> row of the table; any other chunk moves nothing.
ROWS = {
    CHUNK_INIT: 0,
    CHUNK_INIT_ACK: 1,
    CHUNK_ABORT: 2,
    CHUNK_SHUTDOWN: 3,
    CHUNK_SHUTDOWN_ACK: 4,
    CHUNK_ERROR: 5,
    CHUNK_COOKIE_ECHO: 6,
    CHUNK_COOKIE_ACK: 7,
    CHUNK_SHUTDOWN_COMPLETE: 8,
    CHUNK_HEARTBEAT: 9,
    CHUNK_HEARTBEAT_ACK: 10,
}

# States in which an entry may be evicted by the collector although ASSURED. [sctp 4.12..6.18]
CLOSING = frozenset((SHUTDOWN_SENT, SHUTDOWN_RECD, SHUTDOWN_ACK_SENT))

_NAMES = {"NO": 0, "CL": 1, "CW": 2, "CE": 3, "ES": 4, "SS": 5, "SR": 6, "SA": 7, "HS": 8, "iv": INVALID}


def _side(text: str) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(_NAMES[word] for word in line.split()) for line in text.strip().splitlines())


# Columns: NO CL CW CE ES SS SR SA HS; rows in the order of ROWS.
TABLE = (
    _side(
        """
        CL CL CW CE ES CL CL SA CW
        CL CL CW CE ES SS SR SA CL
        CL CL CL CL CL CL CL CL CL
        CL CL CW CE SS SS SR SA CL
        SA CL CW CE ES SA SA SA SA
        CL CL CW CE ES SS SR SA CL
        CL CL CE CE ES SS SR SA CL
        CL CL CW ES ES SS SR SA CL
        CL CL CW CE ES SS SR CL CL
        HS CL CW CE ES SS SR SA HS
        CL CL CW CE ES SS SR SA HS
        """
    ),
    _side(
        """
        iv CL CW CE ES SS SR SA iv
        iv CW CW CE ES SS SR SA iv
        iv CL CL CL CL CL CL CL iv
        iv CL CW CE SR SS SR SA iv
        iv CL CW CE ES SA SA SA iv
        iv CL CW CL ES SS SR SA iv
        iv CL CE CE ES SS SR SA iv
        iv CL CW ES ES SS SR SA iv
        iv CL CW CE ES SS SR CL iv
        iv CL CW CE ES SS SR SA HS
        iv CL CW CE ES SS SR SA ES
        """
    ),
)


def next_state(direction: int, state: int, chunk: int) -> int:
    """The state after this chunk type; :data:`INVALID` where the table refuses it."""
    if direction not in (ORIGINAL, REPLY):
        raise ValueError(direction)
    row = ROWS.get(chunk)
    return state if row is None else TABLE[direction][row][state]
