"""The page and the object of a replay: what is said of which number, and that nothing of a stranger acts."""

from tablefull.live.replay import Outcome, Replay, Sample, Setting
from tablefull.live.replay_holders import Holders
from tablefull.views.replay_text import NOTHING, as_object, headline, notes, render, timeline, when

S = 10**9
DATE = 1_700_000_000 * S  # 2023-11-14 22:13:20 UTC


def full(label: str = "x") -> Outcome:
    return Outcome(
        Setting(label, sysctls={"max": "10"}),
        limit=10,
        buckets=1024,
        verdicts=(12, 30, 0, 1, 0, 7),
        counters={"drop": 5, "early_drop": 2, "insert_failed": 0, "invalid": 1, "error": 0},
        count=9,
        peak=10,
        peak_ns=DATE + 2 * S,
        refused=5,
        refused_openings=3,
        refused_from_ns=DATE + S,
        refused_to_ns=DATE + 3 * S,
        log=[f"line {number}" for number in range(30)],
        kernel_bytes=3 << 20,
        samples=[Sample(DATE + at * S, at, at + 1, (at,) * 6, (at, 0, 0, 0)) for at in range(4)],
        held=Holders(DATE, 4, (("10.0.0.1", 3), ("10.0.0.2", 1)), (), (("tcp/80", 4),), (), 1, 3, ("10.0.0.1",)),
    )


def found(*outcomes: Outcome, **more) -> Replay:
    return Replay(list(outcomes), DATE, DATE + 4 * S, S, packets=50, **more)


def words(page) -> str:
    return " ".join(page.plain().split())


def test_headlines() -> None:
    assert headline(full()) == (
        "Full: 5 packets were refused, 3 of them the first of a TCP connection; 10 entries at most, the limit is 10."
    )
    events = Outcome(Setting("x"), limit=2, peak=2, refused=3, refused_openings=3)
    assert headline(events) == "Full: 3 new entries would have found no room; 2 entries at most, the limit is 2."
    calm = Outcome(Setting("x"), limit=200, peak=50)
    assert headline(calm) == "Not full: 50 entries at most, 25.0% of the limit of 200."
    assert headline(Outcome(Setting("x"), limit=0, peak=50)).endswith("and there is no limit.")


def test_a_record_in_which_nothing_happened_holds_what_was_there() -> None:
    quiet = Replay([Outcome(Setting("x"), limit=200, count=50, peak=50)], DATE, DATE + S, S)
    text = words(render(quiet, (), 80))
    assert text.startswith("Not full: 50 entries at most, 25.0% of the limit of 200. 0 events in 1.000 s")
    assert as_object(quiet, ())["outcomes"][0]["full"] is False
    empty = Replay([Outcome(Setting("x"), limit=200)], DATE, DATE + S, S)
    assert words(render(empty, (), 80)).startswith(NOTHING)
    assert as_object(empty, ())["outcomes"][0]["full"] is None


def test_moments() -> None:
    assert when(DATE + 1_500_000_000, DATE) == "1.500 s (2023-11-14 22:13:21 UTC)"
    assert when(3 * S, S) == "2.000 s"  # a clock that began with the run is no date


def test_the_page() -> None:
    text = words(render(found(full()), (), 80))
    for part in (
        "50 packets in 4.000 s, Linux 6.18.",
        "peak 10, reached by 2.000 s",
        "refused 5, between 1.000 s and 3.000 s",
        "packets new 12, established 30, invalid 1, dropped 7",
        "counters early_drop 2, invalid 1",
        "about 3.0 MiB in the kernel",
        "10.0.0.1 (own) 3 (75%)",
        "line 23 and 6 more lines",
        "2 packets never reached tracking",  # seven dropped, five of them refused by the table
    ):
        assert part in text, part


def test_what_is_to_be_known_is_said() -> None:
    said = " ".join(notes(found(full(), not_ip=3, second_sightings=4, backwards=5, cut_short=6)))
    for part in (
        "3 frames hold no IP",
        "4 packets were seen twice",
        "5 packets are out of order",
        "6 packets were cut",
    ):
        assert part in said
    offload = notes(found(full(), offloaded=True, offloaded_packets=7, looked_at=9))
    assert "7 of the first 9 TCP and UDP packets" in offload[0]


def test_side_by_side_at_every_width() -> None:
    long = "nf_conntrack_tcp_timeout_established=3600,nf_conntrack_udp_timeout=5"
    for width in (40, 80, 100):
        page = render(found(full("as given"), full(long)), (), width)
        assert all(len(line) <= max(width, 62) for line in page.plain().splitlines())
        text = page.plain()
        assert "SIDE BY SIDE" in text
        assert long.split(",", maxsplit=1)[0] in "".join(text.split())


def test_text_of_strangers_is_harmless() -> None:
    outcome = full("\x1b]0;owned\x07[red]")
    text = render(found(outcome, outcome), ["\x1b[2J"], 80).coloured()
    assert "\x1b]0" not in text
    assert "\x1b[2J" not in text
    assert "[red]" in text


def test_the_object() -> None:
    told = as_object(found(full()), ["x"])
    assert (told["schema"], told["packets"], told["notes"][0]) == ("tablefull/replay/1", 50, "x")
    (outcome,) = told["outcomes"]
    assert outcome["verdicts"] == {
        "new": 12, "established": 30, "related": 0, "invalid": 1, "untracked": 0, "dropped": 7,
    }  # fmt: skip
    assert (outcome["full"], outcome["refused"], outcome["limit"], outcome["holders"]["own"]) == (
        True,
        5,
        10,
        ["10.0.0.1"],
    )
    unknown = as_object(found(Outcome(Setting("x"), limit=None)), ())["outcomes"][0]
    assert (unknown["limit"], unknown["verdicts"], unknown["kernel_bytes"]) == (None, None, None)


def test_the_timeline_has_a_row_an_interval_and_setting() -> None:
    table = timeline(found(full("a"), full("b")))
    assert table["setting"] == ["a"] * 4 + ["b"] * 4
    assert table["count"][:4] == [0, 1, 2, 3]
    assert table["high"][:4] == [1, 2, 3, 4]
    assert table["drop"][:4] == [0, 1, 2, 3]
    assert table["time_s"][0] == 1_700_000_000


def of_events() -> Outcome:
    return Outcome(Setting("x"), limit=2, peak=2, refused=1, samples=[Sample(DATE, 2, 2, (0,) * 6, (1, 0, 0, 0))])


def test_what_events_cannot_tell_is_absent() -> None:
    table = timeline(found(full("packets"), of_events()))
    assert table["drop"] == [0, 1, 2, 3, 1]
    for name in ("new", "dropped", "early_drop", "insert_failed", "chain_toolong"):
        assert table[name][4] is None
        assert None not in table[name][:4]
    assert {len(column) for column in table.values()} == {5}
    side_by_side = render(found(of_events(), of_events()), (), 80).plain().split("SIDE BY SIDE")[1].splitlines()[2]
    assert side_by_side.split() == ["x", "2", "2", "1", "?", "?", "0"]
    assert "50 events in 4.000 s" in words(render(found(of_events()), (), 80))


def test_of_nothing_nothing_is_said() -> None:
    nothing = Replay([Outcome(Setting("x"), None)])
    text = words(render(nothing, ["why"], 80))
    assert text.startswith(NOTHING)
    assert "Not full" not in text
    assert "- why" in text
    (outcome,) = as_object(nothing, ())["outcomes"]
    assert (outcome["full"], outcome["headline"]) == (None, NOTHING)


def test_nothing_outside_of_the_table_is_said_where_the_table_refused_all() -> None:
    """Two refused and one whose insertion failed are three dropped: the stack dropped none by itself."""
    outcome = Outcome(Setting("x"), 1, verdicts=(1, 0, 0, 0, 0, 3), counters={"drop": 2, "insert_failed": 1})
    assert notes(found(outcome)) == []


def test_a_kernel_that_nobody_has_read_is_said_once() -> None:
    one = Outcome(Setting("one", kernel="7.99"), limit=10)
    two = Outcome(Setting("two", kernel="7.99"), limit=20)
    assert sum("7.99" in note for note in notes(found(one, two))) == 1
