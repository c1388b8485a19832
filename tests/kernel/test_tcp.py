"""The TCP table, typed out again from KERNEL.md 8.3 in another form: by state instead of by segment."""

import pytest

from tablefull.kernel import tcp
from tablefull.kernel.identity import parse_release

STATES = "NO SS SR ES FW CW LA TW CL S2".split()
NUMBER = {name: number for number, name in enumerate(STATES)} | {"ig": tcp.IGNORE, "iv": tcp.INVALID}
# state -> syn synack fin ack rst none
ORIGINAL = {
    "NO": "SS iv iv ES iv iv",
    "SS": "SS iv iv iv CL iv",
    "SR": "ig SR FW ES CL iv",
    "ES": "ig iv FW ES CL iv",
    "FW": "ig iv LA CW CL iv",
    "CW": "ig iv LA CW CL iv",
    "LA": "ig iv LA TW CL iv",
    "TW": "SS iv TW TW CL iv",
    "CL": "SS iv CL CL CL iv",
    "S2": "S2 SR iv iv CL iv",
}
REPLY = {
    "NO": "iv iv iv iv iv iv",
    "SS": "S2 SR iv ig CL iv",
    "SR": "iv ig FW SR CL iv",
    "ES": "iv ig FW ES CL iv",
    "FW": "iv ig LA CW CL iv",
    "CW": "iv ig LA CW CL iv",
    "LA": "iv ig LA TW CL iv",
    "TW": "SS ig TW TW CL iv",
    "CL": "iv ig CL CL CL iv",
    "S2": "S2 SR iv ig CL iv",
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("direction", "expected"), [(tcp.ORIGINAL, ORIGINAL), (tcp.REPLY, REPLY)])
def test_the_table(direction: int, expected: dict[str, str], state: str) -> None:
    column = [row[NUMBER[state]] for row in tcp.TABLE[direction]]
    assert column == [NUMBER[word] for word in expected[state].split()]


def test_older_tables_differ_where_the_sheet_says() -> None:
    old, older = (tcp.table(parse_release(release)) for release in ("3.10.4", "3.5.0"))
    differ = [
        (direction, segment, state)
        for direction in (0, 1)
        for segment in range(6)
        for state in range(10)
        if old[direction][segment][state] != tcp.TABLE[direction][segment][state]
    ]
    assert differ == [(tcp.REPLY, tcp.SYN, tcp.TIME_WAIT)]
    assert old[tcp.REPLY][tcp.SYN][tcp.TIME_WAIT] == tcp.INVALID
    let_through = [state for state in range(10) if older[tcp.ORIGINAL][tcp.SYNACK][state] == tcp.IGNORE]
    assert [STATES[state] for state in let_through] == "SR ES FW CW LA TW CL".split()
    assert tcp.table(parse_release("3.2.71")) == old
    assert tcp.table(parse_release("3.18.20")) == tcp.table(None) == tcp.TABLE
    assert tcp.table(parse_release("2.6.32"))[tcp.REPLY][tcp.SYNACK][tcp.SYN_RECV] == tcp.SYN_RECV


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        (tcp.FLAG_SYN, tcp.SYN),
        (tcp.FLAG_SYN | tcp.FLAG_ACK, tcp.SYNACK),
        (tcp.FLAG_FIN | tcp.FLAG_ACK, tcp.FIN),
        (tcp.FLAG_ACK | tcp.FLAG_PSH, tcp.ACK),
        (tcp.FLAG_RST | tcp.FLAG_SYN | tcp.FLAG_ACK, tcp.RST),
        (tcp.FLAG_PSH, tcp.NO_FLAG),
    ],
)
def test_the_kind_of_a_segment(flags: int, kind: int) -> None:
    assert tcp.segment_kind(flags) == kind


def test_nine_combinations_of_flags_are_believed() -> None:
    assert sorted(tcp.VALID_FLAGS) == [0x02, 0x04, 0x10, 0x11, 0x12, 0x14, 0x22, 0x30, 0x31]
    assert [tcp.cell_name(value) for value in (tcp.CLOSE, tcp.IGNORE, tcp.INVALID)] == ["CLOSE", "IGNORE", "INVALID"]
