"""What the live view says, by hand: with its holes, its estimates and its hostile strings."""

from pathlib import Path

from tests.views.top_gauge import StillGauge, entry, reading

from tablefull.facts.origin import Hole
from tablefull.kernel.identity import parse_release
from tablefull.live.export_spaces import Counted, Place
from tablefull.live.kmsg_tail import KernelLine
from tablefull.live.table import composed
from tablefull.twin.forecast import Forecast
from tablefull.views import top_text
from tablefull.views.top_chart import ASCII, BLOCKS, Line
from tablefull.watch.gauge import SpaceSeen
from tablefull.watch.judge import Cause, Fix, Judged
from tablefull.wire.dimensions import named

EVIL = "\x1b[2J\x1b]0;owned\x07[bold red]nf_conntrack[/] \u202e"


def plain(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def said(line: Line) -> str:
    return plain([line])[0]


def test_occupancy_says_how_full_in_a_word(tmp_path: Path) -> None:
    gauge = StillGauge(tmp_path)
    assert said(top_text.occupancy(None, 80, BLOCKS)) == " looking ..."
    for count, word in ((100, "ok"), (850, "HIGH"), (950, "ALMOST FULL"), (1000, "FULL")):
        gauge.beat_with(float(count), count)
        text = said(top_text.occupancy(gauge.frame, 80, BLOCKS))
        assert text.startswith(f" {count:,} of 1,000")
        assert word in text
        assert len(text) <= 80


def test_what_is_not_seen_is_no_zero(tmp_path: Path) -> None:
    gauge = StillGauge(tmp_path)
    gauge.beat_with(1.0, Hole("count", "permission denied", "run it as root"))
    text = said(top_text.occupancy(gauge.frame, 80, BLOCKS))
    assert text == " the count cannot be seen: count: permission denied; run it as root"
    gauge.beat_with(2.0, 7, Hole("limit", "no such file"))
    assert "7 entries  the limit cannot be seen" in said(top_text.occupancy(gauge.frame, 80, BLOCKS))
    gauge.beat_with(3.0, 7, 0)
    assert "no limit is set (0)" in said(top_text.occupancy(gauge.frame, 80, BLOCKS))


def test_rates_with_losses_marked_and_what_is_not_counted_estimated(tmp_path: Path) -> None:
    gauge = StillGauge(tmp_path)
    gauge.beat_with(1.0, 10)
    gauge.beat_with(11.0, 20, drop=50, invalid=5)
    lines = plain(top_text.rates(gauge.frame, None, 42, BLOCKS))
    by_name = {line.split()[0]: line for line in lines[1:]}
    assert by_name["drop"].split() == ["drop", "5.0!", "50", "█▁"]
    assert by_name["invalid"].split() == ["invalid", "0.5", "5", "█▁"]  # 5 in 10 s; no entry is lost by it
    assert by_name["new"].strip() == "new           not counted on this kernel"
    told = Forecast(kind="levels", horizon_s=1.0, why="", rate_per_s=4.0, lifetime_s=100.0)
    lines = plain(top_text.rates(gauge.frame, told, 42, BLOCKS))
    # 10 more in 10 s, and 4 a second came: 3 a second went.
    assert [line.split()[:2] for line in lines[1:3]] == [["new", "~4.0"], ["destroyed", "~3.0"]]
    assert all("estimated" in line for line in lines[1:3])
    assert max(len(line) for line in lines) <= 42


def test_per_cpu_rows_are_the_kernels_rows(tmp_path: Path) -> None:
    gauge = StillGauge(tmp_path)
    gauge.beat_with(1.0, 10)
    gauge.beat_with(3.0, 10, drop=8)
    lines = plain(top_text.cpus(gauge.frame, None, parse_release("6.18.44"), 80))
    assert lines[1].split()[:3] == ["CPU", "0", "4.0"]
    assert lines[2].split()[:3] == ["CPU", "1", "0"]
    assert lines[3].split()[:2] == ["all", "4.0"]
    assert any(line.startswith("drop: ") for line in lines)


def test_composition_with_intervals_and_own_address(tmp_path: Path) -> None:
    rows = [entry(0x0A000001, 443, sport=at) for at in range(150)] + [
        entry(0x0A000002, 80, sport=at) for at in range(50)
    ]
    sample = reading(rows, total=10_000)
    shown = composed(sample.rows, 10_000, (named("source"),), None)
    own = frozenset({(0x0A000001, 0, 0, 0, 4)})
    lines = plain(top_text.composition(sample, shown.made[0], shown, None, own, 80, BLOCKS, True))
    assert lines[0].startswith("10.0.0.1 (own)")
    assert "75.0%" in lines[0]
    # Wilson for 150 of 200: 0.686 to 0.805; a sample of 200 of 10,000 narrows it by hardly anything.
    assert "68." in lines[0]
    assert "80." in lines[0]
    assert "~7500" in lines[0]
    assert max(len(line) for line in lines) <= 80


def test_no_entries_says_why() -> None:
    hole = Hole("entries", "CAP_NET_ADMIN is missing", "run it as root")
    assert plain(top_text.composition(None, None, None, hole, frozenset(), 80, ASCII, True)) == [
        "entries: CAP_NET_ADMIN is missing; run it as root"
    ]
    assert plain(top_text.composition(None, None, None, None, frozenset(), 80, ASCII, True)) == ["looking ..."]


def test_strings_of_strangers_are_harmless_everywhere() -> None:
    place = Place(EVIL, 1, command=EVIL, container=EVIL)
    judged = Judged(
        headline=EVIL, full="yes", severity="outage", causes=(Cause(EVIL, 0.9, EVIL, EVIL, EVIL),),
        fixes=(Fix(EVIL, EVIL, EVIL, (EVIL,)),), unseen=(EVIL,),
    )  # fmt: skip
    lines = [
        top_text.head(EVIL, EVIL, EVIL, 1.0, 0.0, True, 0.0),
        top_text.verdict(judged, 0.0, False, EVIL, 80),
        *top_text.spaces([SpaceSeen(Counted(place, 5), 1.0)], 10, [Hole(EVIL, EVIL, EVIL)], 80),
        *top_text.findings(judged, EVIL, 80),
        *top_text.findings(None, EVIL, 80),
        *top_text.kernel_lines([KernelLine(EVIL, None, True)], Hole(EVIL, EVIL, EVIL), 2, 80),
    ]
    for text in plain(lines):
        assert text.isprintable(), text


def test_the_log_marks_what_came() -> None:
    full = "nf_conntrack: nf_conntrack: table full, dropping packet"
    lines = plain(top_text.kernel_lines([KernelLine(full, "full", False), KernelLine(full, "full", True)], None, 1, 80))
    assert lines[:2] == [f"  {full}", f"* {full}"]
    assert "overwrote" in lines[2]
    assert "no line" in plain(top_text.kernel_lines([], None, 0, 80))[0]


def test_lines_that_say_the_same_are_counted_and_long_ones_wrapped() -> None:
    text = "nf_conntrack: nf_conntrack: table full in netns 4026532386, dropping packet"
    seen = [KernelLine(f"[{at}.0] {text}", "full", True) for at in range(3)] + [KernelLine("[9.0] other", None, True)]
    lines = plain(top_text.kernel_lines(seen, None, 0, 60))
    assert lines[0] == "* [2.0] nf_conntrack: nf_conntrack: table full in netns"
    assert lines[1] == "    4026532386, dropping packet  (3 such lines)"
    assert lines[2:] == ["* [9.0] other"]


def test_namespaces_with_losses() -> None:
    one = SpaceSeen(Counted(Place("web", 3, command="nginx"), 900), 12.0)
    other = SpaceSeen(Counted(Place("init", 1, own=True), 1), None)
    lines = plain(top_text.spaces([one, other], 1000, (), 80))
    assert lines[0].split()[:4] == ["web", "900", "90.0%", "12.0/s"]
    assert lines[1].startswith("init (shown)")
    assert "refused" not in lines[1]


def test_nothing_found_is_not_all_seen() -> None:
    blind = Judged(headline="Nothing is known.", full="unknown", severity="none", unseen=("dmesg: refused",))
    text = said(top_text.verdict(blind, 0.0, False, "", 80))
    assert "CANNOT TELL  1 thing not seen" in text
    calm = Judged(headline="No table is full.", full="no", severity="none", unseen=("a: b", "c: d"))
    assert "nothing found  2 things not seen. No table is full." in said(top_text.verdict(calm, 0.0, False, "", 90))


def test_where_the_sentence_does_not_fit_the_cause_is_named() -> None:
    causes = (Cause("bridge-nf", 0.93, "web1", "why"), Cause("other", 0.5, "web1", "why"))
    bad = Judged(headline="Yes: " + "the table is full and " * 5, full="yes", severity="outage", causes=causes)
    text = said(top_text.verdict(bad, 0.0, False, "", 80))
    assert "OUTAGE  bridge-nf: almost certain (0.93), 1 more" in text
    assert len(text) <= 80


def test_no_verdict_yet() -> None:
    assert "has not run" in said(top_text.verdict(None, 0.0, False, "", 80))
    assert "failed: out of luck" in said(top_text.verdict(None, 0.0, False, "out of luck", 80))
