"""Who holds a table, tallied by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tablefull.live.replay_holders import holders, tallied

SEEN_REPLY, ASSURED = 2, 4


def words(*addresses: tuple[int, ...]) -> np.ndarray:
    return np.array([[*each, *[0] * (4 - len(each))] for each in addresses], np.uint32)


def columns(rows: list[tuple[int, int, int, int, int, int]]) -> dict[str, np.ndarray]:
    """Source, destination, protocol, port, state, status; IPv4."""
    table = np.array(rows, np.int64).reshape(-1, 6)
    return {
        "family": np.full(len(table), 4, np.uint32),
        "src": words(*((int(each),) for each in table[:, 0])) if rows else np.zeros((0, 4), np.uint32),
        "dst": words(*((int(each),) for each in table[:, 1])) if rows else np.zeros((0, 4), np.uint32),
        "l4proto": table[:, 2].astype(np.uint32),
        "dport": table[:, 3].astype(np.uint32),
        "tcp_state": table[:, 4].astype(np.uint32),
        "status": table[:, 5].astype(np.uint32),
    }


def test_shares_by_hand() -> None:
    rows = [
        (1, 9, 6, 80, 3, SEEN_REPLY | ASSURED),
        (1, 9, 6, 80, 7, SEEN_REPLY | ASSURED),
        (2, 9, 6, 443, 1, 0),
        (2, 8, 17, 53, 0, SEEN_REPLY),
        (3, 8, 1, 0, 0, 0),
    ]
    held = holders(columns(rows), 77)
    assert (held.time_ns, held.count, held.assured, held.unreplied) == (77, 5, 2, 2)
    assert held.sources == (("0.0.0.1", 2), ("0.0.0.2", 2), ("0.0.0.3", 1))
    assert held.destinations == (("0.0.0.9", 3), ("0.0.0.8", 2))
    assert held.ports[0] == ("tcp/80", 2)
    assert set(held.ports) == {("tcp/80", 2), ("tcp/443", 1), ("udp/53", 1), ("icmp", 1)}
    assert dict(held.states) == {"tcp ESTABLISHED": 1, "tcp TIME_WAIT": 1, "tcp SYN_SENT": 1, "udp": 1, "icmp": 1}


def test_an_address_in_more_than_half_of_the_entries_is_the_hosts_own() -> None:
    rows = [(each, 9, 17, 53, 0, 0) for each in range(10, 14)] + [(9, 77, 17, 53, 0, 0)]
    assert holders(columns(rows), 0).own == ("0.0.0.9",)
    assert holders(columns(rows), 0, ["0.0.0.11"]).own == ("0.0.0.11",)  # who is known beats who is guessed
    assert holders(columns(rows[:1]), 0).own == ()  # of a single entry nothing can be said
    assert holders(columns([]), 0).count == 0


@given(st.lists(st.tuples(st.sampled_from([4, 6]), st.integers(0, 3), st.integers(0, 2)), max_size=60))
def test_a_tally_is_a_count(keys: list[tuple[int, int, int]]) -> None:
    from collections import Counter

    from tablefull.twin.listing import address

    rows = words(*((one, other if family == 6 else 0, 0, 0) for family, one, other in keys)) if keys else words()
    family = np.array([each[0] for each in keys], np.uint32)
    expected = Counter(address(each[0], (each[1], each[2] if each[0] == 6 else 0, 0, 0)) for each in keys)
    assert dict(tallied(rows.reshape(-1, 4), family, 100)) == dict(expected)


def test_of_two_that_are_there_as_often_neither_is_called_own() -> None:
    """A client and its only server: which of them the capture was taken on cannot be told."""
    rows = [(1, 2, 17, 53, 0, 0)] * 3
    assert holders(columns(rows), 0).own == ()
    assert holders(columns([*rows, (9, 2, 17, 53, 0, 0)]), 0).own == ("0.0.0.2",)


def test_states_and_ports_by_their_names() -> None:
    """SCTP has states of its own (include/uapi/linux/netfilter/nf_conntrack_sctp.h: 4 is ESTABLISHED)."""
    held = holders(columns([(1, 2, 132, 36412, 4, 0), (1, 2, 47, 0, 0, 0), (1, 2, 253, 0, 9, 0)]), 0)
    assert dict(held.states) == {"sctp ESTABLISHED": 1, "gre": 1, "protocol 253": 1}
    assert dict(held.ports) == {"sctp/36412": 1, "gre": 1, "protocol 253": 1}
