"""A listing's tallies are the rows counted one by one, however many were kept."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tablefull.facts.entry import LONG_S, Composition, CtTuple, Entry, port_key
from tablefull.facts.origin import Origin

ORIGIN = Origin("-", 1, "row")
ports = st.one_of(st.none(), st.integers(1, 65535))


def entry(
    l4proto: str = "tcp",
    state: str | None = "ESTABLISHED",
    *,
    src: str = "10.0.0.1",
    dport: int | None = 80,
    **fields: object,
) -> Entry:
    return Entry(
        origin=ORIGIN, l4proto=l4proto, state=state, original=CtTuple(src, "192.0.2.1", 40000, dport), **fields
    )  # type: ignore[arg-type]


entries = st.lists(
    st.builds(
        entry,
        st.sampled_from(["tcp", "udp", "icmp"]),
        st.sampled_from([None, "ESTABLISHED", "TIME_WAIT", "SYN_SENT"]),
        src=st.sampled_from(["10.0.0.1", "10.0.0.2", "2001:db8::1"]),
        dport=ports,
        unreplied=st.booleans(),
        assured=st.booleans(),
        remaining_s=st.one_of(st.none(), st.integers(0, 500_000)),
        event=st.sampled_from([None, None, None, "NEW", "DESTROY"]),
    ),
    max_size=30,
)


@given(entries)
def test_tallies(some: list[Entry]) -> None:
    table = Composition(first=ORIGIN)
    for one in some:
        table.add(one)
    rows = [one for one in some if one.event is None]
    assert table.rows == len(rows)
    assert table.events == len(some) - len(rows)
    assert table.unreplied == sum(one.unreplied for one in rows)
    assert table.assured == sum(one.assured for one in rows)
    assert table.by_state == Counter(one.state for one in rows if one.state)
    assert table.by_source == Counter(one.original.src for one in rows)
    assert table.by_dport == Counter(port_key(one.l4proto, one.original.dport) for one in rows)
    assert table.remaining_over_3600_s == sum(one.remaining_s is not None and one.remaining_s > LONG_S for one in rows)
    assert table.kept == rows


def test_only_some_rows_are_kept_in_full() -> None:
    table = Composition(first=ORIGIN)
    for _ in range(Composition.KEEP + 50):
        table.add(entry())
    assert table.rows == Composition.KEEP + 50
    assert len(table.kept) == Composition.KEEP


def test_an_offloaded_entry_has_neither_state_nor_time() -> None:
    table = Composition(first=ORIGIN)
    table.add(entry(state=None, offload=True))
    table.add(entry(state=None, hw_offload=True))
    assert (table.offload, table.remaining_over_3600_s, dict(table.by_state)) == (2, 0, {})


def test_exactly_an_hour_is_not_long() -> None:
    table = Composition(first=ORIGIN)
    table.add(entry(remaining_s=LONG_S))
    table.add(entry(remaining_s=LONG_S + 1))
    assert table.remaining_over_3600_s == 1


def test_port_key() -> None:
    assert port_key("tcp", 443) == "tcp/443"
    assert port_key("icmp", None) == "icmp"
    assert port_key("udp", 0) == "udp/0"
