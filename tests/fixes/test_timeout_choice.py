from tablefull.fixes.timeout_choice import Choice, choose, classes, expression, timeout_of
from tablefull.kernel.states import STATUS_BITS, TCP_STATES
from tablefull.wire import ctnetlink as at
from tablefull.wire.selection import parse

ASSURED = 1 << STATUS_BITS.index("assured")
ESTABLISHED, TIME_WAIT = "nf_conntrack_tcp_timeout_established", "nf_conntrack_tcp_timeout_time_wait"
NOW = {ESTABLISHED: 432000, TIME_WAIT: 120, "nf_conntrack_udp_timeout": 30, "nf_conntrack_udp_timeout_stream": 120}


def row(protocol: int, remaining: int, state: str = "", status: int = ASSURED) -> list[int]:
    found = [0] * at.ROW_WORDS
    found[at.R_PROTO], found[at.R_TIMEOUT], found[at.R_STATUS] = protocol, remaining, status
    found[at.R_STATE] = TCP_STATES.index(state) if state else at.ABSENT
    return found


def test_what_is_idle_for_days_gets_the_mildest_timeout_that_frees_it() -> None:
    """Forty silent for 300000 s, ten that spoke now: a day frees all forty, so nothing shorter is chosen."""
    rows = [row(6, 132000, "ESTABLISHED")] * 40 + [row(6, 431999, "ESTABLISHED")] * 10
    assert choose(rows, NOW) == [
        Choice(name=ESTABLISHED, before_s=432000, after_s=86400, entries=50, freed=40, sampled=50)
    ]


def test_what_is_idle_for_hours_needs_the_shortest() -> None:
    rows = [row(6, 432000 - 20000, "ESTABLISHED")] * 50
    (one,) = choose(rows, NOW)
    assert one.after_s == 10800


def test_busy_connections_are_left_alone() -> None:
    assert choose([row(6, 431000, "ESTABLISHED")] * 100, NOW) == []


def test_a_short_deadline_of_an_open_connection_is_not_five_days_of_silence() -> None:
    """300 s are what unacknowledged data leaves: 432000 - 300 would be read as idle for 431700 s."""
    rows = [row(6, 290, "ESTABLISHED")] * 100
    assert choose(rows, NOW) == []
    assert classes(rows, NOW)[0].unclear == 100


def test_an_entry_older_than_the_timeout_in_force_is_not_counted_as_fresh() -> None:
    (one,) = classes([row(6, 400000, "ESTABLISHED")], {ESTABLISHED: 86400})
    assert (one.unclear, one.idle_s) == (1, [])


def test_closed_connections_are_in_their_last_minute_or_not() -> None:
    """TIME_WAIT of 120 s, spread evenly: those with 90 s behind them would be gone at 30 s."""
    rows = [row(6, 120 - idle, "TIME_WAIT") for idle in range(120)]
    (one,) = choose(rows, NOW)
    assert (one.after_s, one.freed) == (30, 90)


def test_what_frees_less_than_a_hundredth_is_not_offered() -> None:
    rows = [row(6, 100, "TIME_WAIT")] * 1000 + [row(17, 5, status=0)] * 9
    assert choose(rows, NOW) == []


def test_each_entry_lives_by_the_timeout_of_its_state() -> None:
    assert timeout_of(row(6, 1, "SYN_SENT")) == "nf_conntrack_tcp_timeout_syn_sent"
    assert timeout_of(row(17, 1)) == "nf_conntrack_udp_timeout_stream"
    assert timeout_of(row(17, 1, status=0)) == "nf_conntrack_udp_timeout"
    assert timeout_of(row(4, 1)) == "nf_conntrack_generic_timeout"
    assert timeout_of(row(1, 1)) is None
    assert timeout_of(row(6, 1, "ESTABLISHED", 1 << STATUS_BITS.index("offload"))) is None


def test_the_idle_ones_can_be_flushed_by_name() -> None:
    """What the expression chooses are the very entries that were counted as freed."""
    rows = [row(6, 432000 - idle, "ESTABLISHED") for idle in range(0, 432000, 1000)] + [row(6, 250, "ESTABLISHED")] * 9
    rows += [row(6, 120 - idle, "TIME_WAIT") for idle in range(120)] + [
        row(17, 30 - idle, status=0) for idle in range(30)
    ]
    rows += [row(17, 120 - idle) for idle in range(120)]
    found = choose(rows, NOW)
    assert len(found) == 4
    for one in found:
        test = parse(expression(one))
        assert sum(bool(test(entry.__getitem__)) for entry in rows) == one.freed, one.name
    other = Choice(name="nf_conntrack_generic_timeout", before_s=600, after_s=60, entries=1, freed=1, sampled=1)
    assert expression(other) == ""
