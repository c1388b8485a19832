"""The full screen, driven by keys and clicks."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.views.top_gauge import StillGauge, entry, reading
from textual import events
from textual.pilot import Pilot

from tablefull.facts.origin import Hole
from tablefull.live.export_spaces import Counted, Counts, Place
from tablefull.live.kmsg_tail import KernelLine
from tablefull.views.top_app import SPANS_S, TopApp
from tablefull.views.top_chart import BLOCKS
from tablefull.views.top_help import HelpScreen
from tablefull.views.top_pane import Pane
from tablefull.watch.gauge import Part, SpaceSeen
from tablefull.watch.judge import Answer, Cause, Judged

SIZES = [(80, 24), (140, 50)]
ROWS = [
    *(entry(0x0A000001, 443, sport=at) for at in range(6)),
    *(entry(0x0A000002, 80, sport=at) for at in range(3)),
    *(entry(0x0A000003, 53, proto=17, sport=at) for at in range(1)),
]
FULL = "[1.0] nf_conntrack: nf_conntrack: table full, dropping packet"
Scene = Callable[[TopApp, StillGauge, Pilot[None]], Awaitable[None]]


def play(tmp_path: Path, scene: Scene, size: tuple[int, int] = (80, 24), **options: str) -> None:
    """Run a scene on a screen of that size, with a table of ten entries."""
    app = TopApp(BLOCKS, folder=tmp_path, **options)  # type: ignore[arg-type]
    gauge = StillGauge(tmp_path)
    app.use(gauge)
    now = gauge.now_s()
    gauge.beat_with(now - 1, 900)
    gauge.beat_with(now, 950, drop=7)
    gauge.reading = reading(list(ROWS))
    gauge.read_s = now
    places = [Place("init", 1, own=True, role="host"), Place("web", 2, path="/run/netns/web", command="nginx")]
    gauge.spaces = [SpaceSeen(Counted(places[0], 950), 0.0), SpaceSeen(Counted(places[1], 10), 3.0)]
    gauge.counts = Counts(shown=[one.counted for one in gauge.spaces], limit=1000)
    gauge.judged = Judged(
        headline="Yes: the table is full", full="yes", severity="outage",
        causes=(Cause("table-undersized", 0.9, "web1", "too small"),),
    )  # fmt: skip
    gauge.lines.append(KernelLine(FULL, "full", True))

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await scene(app, gauge, pilot)

    asyncio.run(run())


def screen(app: TopApp) -> str:
    """The letters on the screen."""
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())


async def new(app: TopApp, pilot: Pilot[None], *parts: Part) -> None:
    for part in parts:
        app.told(part)
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
def test_everything_has_its_place(tmp_path: Path, size: tuple[int, int]) -> None:
    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        text = screen(app)
        for part in (
            "950 of 1,000",
            "ALMOST FULL",
            "time to full",
            "OUTAGE",
            "Entries, last",
            "early_drop",
            "10.0.0.1",
        ):
            assert part in text, part
        assert "7.0!" in text
        assert max(map(len, text.split("\n"))) <= size[0]
        assert ("Kernel log  * came" in text) == (size[0] > 100)
        assert gauge.asked[-1] == "start" or "start" in gauge.asked

    play(tmp_path, scene, size)


@pytest.mark.parametrize("size", SIZES)
def test_keys_choose_panes(tmp_path: Path, size: tuple[int, int]) -> None:
    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        for key, part in (
            ("2", "nginx"),
            ("3", "table-undersized"),
            ("4", "* [1.0] nf"),
            ("5", "CPU 1"),
            ("1", "10.0.0.2"),
        ):
            await pilot.press(key)
            await pilot.pause()
            assert part in screen(app), key
        await pilot.press("tab")
        assert app.pane == "spaces"
        await pilot.press("shift+tab", "shift+tab")
        assert app.pane == "cpus"

    play(tmp_path, scene, size)


def test_a_key_switches_the_dimension(tmp_path: Path) -> None:
    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        await pilot.press("d", "d")
        assert "tcp/443" in screen(app)
        assert "by dport" in screen(app)
        await pilot.press("D", "D")
        assert "10.0.0.1" in screen(app)

    play(tmp_path, scene)


def test_a_filter_narrows_with_each_letter(tmp_path: Path) -> None:
    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"udp")
        await pilot.pause()
        assert "10.0.0.3" in screen(app)
        assert "10.0.0.1" not in screen(app)
        assert "1 of 10 match" in screen(app)
        await pilot.press("space", *"and q")  # q is a letter here, and half a word is no filter
        await pilot.pause()
        assert "10.0.0.3" in screen(app)
        assert "column" in screen(app)
        await pilot.press("enter")
        assert app._typing is None
        await pilot.press("escape")
        await pilot.pause()
        assert "10.0.0.1" in screen(app)

    play(tmp_path, scene)


def test_keys_that_come_in_a_burst_are_in_their_order(tmp_path: Path) -> None:
    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        for key in ("slash", *"tcp", "slash", *"80q", "backspace", "enter", "2"):
            name, letter = ("slash", "/") if key == "slash" else (key, key if len(key) == 1 else None)
            app.post_message(events.Key(name, letter))
        await pilot.pause()
        await pilot.pause()
        assert app.pane == "spaces"
        assert app._filter == "tcp/80"
        assert app.is_running
        app.post_message(events.Key("slash", "/"))
        app.post_message(events.Paste(" and\nnot udp"))
        app.post_message(events.Key("enter", None))
        await pilot.pause()
        assert app._filter == "tcp/80 and not udp"

    play(tmp_path, scene)


def test_enter_takes_a_line_and_backspace_gives_it_back(tmp_path: Path) -> None:
    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        await pilot.press("down", "enter")
        assert "src=10.0.0.2" in screen(app)
        assert "3 of 10 match" in screen(app)
        await pilot.press("backspace")
        assert "src=10.0.0.2" not in screen(app)

    play(tmp_path, scene)


def test_a_filter_from_the_command_line(tmp_path: Path) -> None:
    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        assert "tcp/80" in screen(app)
        assert "tcp/443" not in screen(app)

    play(tmp_path, scene, dimension="dport", where="80")


def test_a_pause_holds_the_screen(tmp_path: Path) -> None:
    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        await pilot.press("p")
        assert "PAUSED" in screen(app)
        gauge.beat_with(gauge.now_s(), 123)
        await new(app, pilot, "frame")
        assert "950 of 1,000" in screen(app)
        await pilot.press("space")
        assert "PAUSED" not in screen(app)
        assert "123 of 1,000" in screen(app)

    play(tmp_path, scene)


def test_help_opens_and_closes(tmp_path: Path) -> None:
    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        assert "snapshot: a bundle" in screen(app)
        await new(app, pilot, "frame", "composition", "judged")
        await pilot.press("q")
        assert not isinstance(app.screen, HelpScreen)
        assert app.is_running

    play(tmp_path, scene)


def test_a_snapshot_is_asked_for_and_its_end_is_told(tmp_path: Path) -> None:
    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        await pilot.press("s")
        assert gauge.asked[-1].startswith(f"bundle {tmp_path}/tablefull-web1-")
        gauge.wrote = Answer(wrote="/tmp/x.tar.gz", wrote_bytes=10240)
        await new(app, pilot, "wrote")
        assert "wrote x.tar.gz (10 KiB) in /tmp" in screen(app)
        gauge.wrote = Answer(failed="no space left on device")
        await new(app, pilot, "wrote")
        assert "no bundle was written: no space left on device" in screen(app)

    play(tmp_path, scene)


def test_look_again(tmp_path: Path) -> None:
    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        gauge.asked.clear()
        await pilot.press("r")
        assert gauge.asked == ["compose", "spaces", "judge"]

    play(tmp_path, scene)


def test_another_namespace_is_moved_to_and_back(tmp_path: Path) -> None:
    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        await pilot.press("2", "down", "enter")
        assert gauge.asked[-1] == "move web /run/netns/web"
        assert "netns web" in screen(app)
        assert "950" not in screen(app).split("\n")[1]  # what was another table's is gone
        await pilot.press("up", "enter")
        assert gauge.asked[-1] == "move init None"

    play(tmp_path, scene)


def test_the_mouse(tmp_path: Path) -> None:
    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        await pilot.click("#tabs", offset=(15, 0))
        await pilot.pause()
        assert app.pane == "spaces"
        await pilot.click("#tabs", offset=(2, 0))
        await pilot.pause()
        await pilot.click("#made", offset=(3, 3))
        assert app._pane("made").row == 2
        await pilot.click("#made", offset=(3, 3))
        assert "src=10.0.0.3" in screen(app)
        await pilot.click("#made", offset=(3, 0))
        assert "by destination" in screen(app)
        keys = screen(app).split("\n")[-1]
        await pilot.click("#keys", offset=(keys.index("pause"), 0))
        await pilot.pause()
        assert gauge.paused
        before = SPANS_S.index(app._span_s())
        await pilot.click("#chart", offset=(20, 4))
        assert app._span == before + 1

    play(tmp_path, scene)


@pytest.mark.parametrize("size", [(79, 24), (80, 23), (40, 10), (10, 3), (1, 1)])
def test_a_tiny_terminal_says_so(tmp_path: Path, size: tuple[int, int]) -> None:
    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        await new(app, pilot, "frame", "composition", "judged", "kernel", "spaces")
        if size[0] >= 40:
            assert "80x24 is wanted" in screen(app).replace("\n", " ") or "too small" in screen(app)
        for key in ("2", "d", "slash", "x", "escape", "z", "question_mark", "escape", "down", "p"):
            await pilot.press(key)
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert "ALMOST FULL" in screen(app)
        await pilot.resize_terminal(*size)
        await pilot.resize_terminal(140, 50)
        await pilot.pause()

    play(tmp_path, scene, size)


def test_a_zoomed_pane_has_the_room(tmp_path: Path) -> None:
    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        before = app._pane("made").size.height
        await pilot.press("z")
        await pilot.pause()
        assert app._pane("made").size.height == before + 10
        await pilot.press("z")
        await pilot.pause()
        assert "early_drop" in screen(app)

    play(tmp_path, scene)


def test_nothing_can_be_seen(tmp_path: Path) -> None:
    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        why = Hole("nf_conntrack_count", "no such file", "load nothing: tracking is off here")
        gauge.beat_with(gauge.now_s(), why, why)
        gauge.reading, gauge.reading_hole = None, Hole("entries", "CAP_NET_ADMIN is missing", "run it as root")
        gauge.spaces, gauge.counts = [], Counts(holes=[Hole("network namespaces", "hidden", "run it as root")])
        gauge.lines.clear()
        gauge.kernel_hole = Hole("dev/kmsg", "operation not permitted", "run it as root")
        gauge.judged, gauge.judge_failed = None, "it ended"
        await new(app, pilot, "frame", "composition", "spaces", "kernel", "judged")
        text = screen(app)
        assert "the count cannot be seen: nf_conntrack_count: no such file" in text
        assert "CAP_NET_ADMIN is missing" in text
        assert "failed: it ended" in text
        assert " 0 of" not in text
        for key, part in (("2", "not seen: network namespaces"), ("4", "not permitted"), ("3", "no diagnosis")):
            await pilot.press(key)
            await pilot.pause()
            assert part in screen(app)
        await pilot.press("enter", "down", "up", "pagedown")

    play(tmp_path, scene)


def test_what_is_chosen_disappears(tmp_path: Path) -> None:
    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        await pilot.press("down", "down")
        gauge.reading = reading([])
        await new(app, pilot, "composition")
        assert "the table is empty" in screen(app)
        await pilot.press("enter", "down")
        gauge.reading = None
        await new(app, pilot, "composition")
        await pilot.press("2", "down", "enter")
        gauge.spaces = []
        await new(app, pilot, "spaces")
        await pilot.press("enter")
        assert app.is_running

    play(tmp_path, scene)


def test_words_of_strangers_do_nothing(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07[@click=app.leave]table full[/] \x1b[2J\u202e"

    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        gauge.host = gauge.note = evil
        gauge.lines.append(KernelLine(evil, None, True))
        gauge.judged = Judged(headline=evil, full="yes", severity="outage", causes=(Cause(evil, 1, evil, evil, evil),))
        await new(app, pilot, "note", "kernel", "judged", "frame")
        for key in ("3", "4"):
            await pilot.press(key)
            await pilot.pause()
            text = screen(app)
            assert text.replace("\n", "").isprintable()
            assert "[@click=app.leave]" in text
        await pilot.click("#log", offset=(20, 2))
        assert app.is_running

    play(tmp_path, scene)


def test_nothing_new_draws_nothing(tmp_path: Path) -> None:
    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        drawn: list[object] = []
        for pane in app.query(Pane):
            pane.refresh = lambda *regions, **_: drawn.append(regions)  # type: ignore[assignment,return-value,misc]
        for name in app.query(Pane):
            if name.id != "head":
                name.draw()
        await new(app, pilot, "composition", "spaces", "kernel")
        assert drawn == []

    play(tmp_path, scene, (140, 50))


def test_quit(tmp_path: Path) -> None:
    async def scene(app: TopApp, gauge: StillGauge, pilot: Pilot[None]) -> None:
        await pilot.press("q")
        assert app._exit

    play(tmp_path, scene)
