"""The library as its users call it: one packet, many packets, time, counts, lines, columns; and what it refuses."""

import numpy as np
import pytest
from tests.realkernel.headers import ACK, SYN
from tests.twin.both import HOSTS, HOSTS6, SECOND, Both, Talk

from tablefull.errors import UsageError
from tablefull.twin import Twin
from tablefull.twin import state as at

THERE, BACK = HOSTS.link(0), HOSTS.link(1)
QUERY, ANSWER = THERE.udp(4000, 53, b"q"), BACK.udp(53, 4000, b"a")
ENGINES = pytest.mark.parametrize("engine", ["reference", "loops"])


def columns(packets: list[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Data, start and captured of packets one behind the other."""
    sizes = np.array([len(each) for each in packets], np.int64)
    return np.frombuffer(b"".join(packets), np.uint8), np.cumsum(sizes) - sizes, sizes


@ENGINES
def test_as_the_readme_says(engine: str) -> None:
    twin = Twin("6.18", {"nf_conntrack_max": 65536, "nf_conntrack_tcp_timeout_established": 86400}, engine=engine)  # type: ignore[arg-type]
    assert twin.packet(SECOND, QUERY) == ("new", "original")
    assert twin.packet(SECOND, ANSWER) == ("established", "reply")
    assert twin.packet(SECOND, THERE.icmp(42, 0)) == ("invalid", None)
    assert (twin.count, twin.peak, twin.max) == (1, 1, 65536)
    (entry,) = twin.entries()
    assert (entry.l4proto, entry.original.dport, entry.remaining_s, entry.unreplied) == ("udp", 53, 30, False)
    assert twin.counters()["error"] == 1
    assert twin.log() == []
    assert list(twin.lines()) == [
        (
            "ipv4     2 udp      17 30 src=10.1.0.1 dst=10.2.0.2 sport=4000 dport=53 "
            "src=10.2.0.2 dst=10.1.0.1 sport=53 dport=4000 mark=0 use=1"
        )
    ]


def test_the_counters_as_conntrack_prints_them() -> None:
    """The line of conntrack-tools 1.4.7, ``conntrack -S``, on 6.18.44."""
    twin = Twin()
    twin.packet(1, THERE.tcp(1, 2, 3, 4, 0, 5))
    assert twin.counters_text() == (
        "cpu=0   \tfound=0 invalid=1 insert=0 insert_failed=0 drop=0 early_drop=0 error=0 search_restart=0 "
        "clash_resolve=0 chaintoolong=0 "
    )


@ENGINES
def test_many_are_as_one_by_one(engine: str) -> None:
    packets = [QUERY, ANSWER, THERE.tcp(1, 80, 5, 0, SYN, 9), b"", b"\x45", HOSTS6.link(0).udp(1, 2, b"")]
    one, many = (Twin(engine=engine, settings={"nf_conntrack_acct": 1}) for _ in range(2))  # type: ignore[arg-type]
    singly = [one.packet(SECOND, each) for each in packets]
    found = many.packets(np.full(len(packets), SECOND), *columns(packets))
    assert [at.STATES[state] for state in found.state] == [each.state for each in singly]
    assert [each.direction for each in singly] == [
        None if way == at.NO_DIRECTION else at.DIRECTIONS[way] for way in found.direction
    ]
    assert list(one.lines()) == list(many.lines())
    assert found.late == []


@ENGINES
def test_masks(engine: str) -> None:
    """Refused by a rule, exempted, seen already, no IP packet at all: none leaves an entry."""
    twin = Twin(engine=engine)  # type: ignore[arg-type]
    data, start, captured = columns([THERE.udp(port, 53, b"") for port in range(5)])
    start[4] = -1

    def only(which: int) -> np.ndarray:
        return np.arange(5) == which

    found = twin.packets(np.full(5, SECOND), data, start, captured, accept=~only(0), untracked=only(1), skip=only(2))
    assert [at.STATES[state] for state in found.state] == ["dropped", "untracked", "untracked", "new", "untracked"]
    assert twin.count == 1


@ENGINES
def test_an_invalid_packet_that_a_rule_drops_is_dropped(engine: str) -> None:
    twin = Twin(engine=engine)  # type: ignore[arg-type]
    assert twin.packet(1, THERE.icmp(42, 0), accept=False).state == "dropped"
    assert twin.packet(1, QUERY, untracked=True, accept=False).state == "dropped"
    assert twin.counters()["error"] == 1


@ENGINES
def test_no_packets_at_all(engine: str) -> None:
    twin = Twin(engine=engine)  # type: ignore[arg-type]
    none = np.zeros(0, np.int64)
    assert len(twin.packets(none, np.zeros(0, np.uint8), none, none).state) == 0
    assert (twin.count, list(twin.lines()), twin.entries()) == (0, [], [])
    assert all(len(column) == 0 for column in twin.columns().values())
    twin.advance(5 * SECOND)
    assert twin.peak == 0


@ENGINES
def test_two_zones_one_a_direction(engine: str) -> None:
    """``ct zone original`` and ``reply`` set apart: the answer is looked for in the other's zone."""
    twin = Twin(engine=engine)  # type: ignore[arg-type]
    twin.packets(np.array([SECOND]), *columns([QUERY]), zone=(3, 0))
    found = twin.packets(np.array([SECOND]), *columns([ANSWER]), zone=(3, 0))
    assert at.STATES[found.state[0]] == "established"
    assert "zone-orig=3" in next(iter(twin.lines()))


def test_columns() -> None:
    both = Both()
    Talk(both, port=1234).open(1)
    both.packet(1, HOSTS6.link(0).udp(4000, 53, b""), zone=9)
    both.packet(1, THERE.icmp(8, 0, 7 << 16))
    for twin in both.twins:
        found = twin.columns(2 * SECOND)
        assert found["l4proto"].tolist() == [6, 17, 1]
        assert found["family"].tolist() == [4, 6, 4]
        assert found["sport"].tolist() == [1234, 4000, 0]
        assert found["dport"].tolist() == [80, 53, 0]
        assert found["zone"].tolist() == [0, 9, 0]
        assert found["tcp_state"].tolist()[0] == 3
        assert found["remaining_s"].tolist() == [431999, 29, 29]
        assert found["src"][0].tolist() == [0x0A010001, 0, 0, 0]
        assert found["dst"][1].tolist() == [0x20010DB8, 0x000B0000, 0, 2]
        assert [bool(status & at.ASSURED) for status in found["status"]] == [True, False, False]


@ENGINES
def test_memory_is_told(engine: str) -> None:
    twin = Twin(engine=engine)  # type: ignore[arg-type]
    for port in range(3000):
        twin.packet(1, THERE.udp(port, 53, b""))
    assert 3000 * at.ENTRY_BYTES <= twin.bytes_used <= 3000 * 160 * 2


def test_refusals() -> None:
    with pytest.raises(UsageError, match="no kernel release"):
        Twin("six")
    with pytest.raises(UsageError, match=r"from 2\.6\.32 on"):
        Twin("2.4.20")
    with pytest.raises(UsageError, match="did you mean nf_conntrack_max"):
        Twin(settings={"nf_conntrack_maxx": 5})
    with pytest.raises(UsageError, match="there is no engine"):
        Twin(engine="gpu")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="there is no form"):
        Twin().lines(form="xml")


def test_a_namespace_that_is_not_the_first_is_named_in_the_log() -> None:
    """KERNEL.md 1.1: from 6.16 on the line says ``in netns N`` there."""
    for engine in ("reference", "loops"):
        twin = Twin(settings={"nf_conntrack_max": 1}, netns=4026532000, engine=engine)
        for flags, link, numbers in ((SYN, THERE, (1, 0)), (SYN | ACK, BACK, (5, 2)), (ACK, THERE, (2, 6))):
            ports = (1000, 80) if link is THERE else (80, 1000)
            twin.packet(SECOND, link.tcp(*ports, *numbers, flags, 1000))
        assert twin.first_refusal_ns is None
        twin.packet(SECOND, QUERY)
        assert twin.first_refusal_ns == SECOND
        assert twin.log() == [
            "[    1.000000] nf_conntrack: nf_conntrack: table full in netns 4026532000, dropping packet"
        ]
