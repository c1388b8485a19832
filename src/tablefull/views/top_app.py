"""The full screen of ``tablefull top``: panes that show what a gauge saw, and the keys and clicks that steer it.

The trap: the gauge looks in threads and the screen is drawn in one. What is new is sent over as a word (which part),
read where it is drawn, and a part whose lines are the same costs nothing; a pause freezes what is shown, not the look.
"""

import gc
import select
import time
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.geometry import Size
from textual.message import Message

from tablefull.errors import UsageError
from tablefull.live.table import Made, Reading, composed
from tablefull.views import top_filter, top_screen
from tablefull.views.terminal import harmless
from tablefull.views.top_chart import Glyphs
from tablefull.views.top_driver import TopDriver
from tablefull.views.top_help import HelpScreen
from tablefull.views.top_pane import Bar, Pane
from tablefull.views.top_screen import PANES
from tablefull.views.top_typing import Typing
from tablefull.watch.gauge import Gauge, Part, bundle_path
from tablefull.watch.loop import Place
from tablefull.wire.dimensions import named
from tablefull.wire.selection import Test

WIDTH, HEIGHT = 80, 24  # the smallest screen that holds all of it
WIDE_WIDTH, WIDE_HEIGHT = 120, 40  # from here on four panes stand beside each other
SPANS_S = (60, 300, 900, 3600, 6 * 3600, 86400)
MOST_SPAN_S = 3600  # unless a longer one is asked for
CHECK_S = 5.0
NOTE_S = 30.0
CSS = """
Screen { layout: vertical; overflow: hidden; background: ansi_default; color: ansi_default; }
Pane { width: 1fr; height: 1fr; }
#head { height: 4; }
#upper { height: 10; }
#rates { width: 42; margin-left: 1; }
#tabs, #keys { height: 1; }
#body { height: 1fr; layout: vertical; }
#tiny { display: none; }
.wide #upper { height: 14; }
.wide #rates { width: 60; }
.wide #body { layout: grid; grid-size: 2 2; grid-gutter: 0 1; }
.zoom #upper { display: none; }
.zoom #body, .alone #body { layout: vertical; }
.tiny #head, .tiny #upper, .tiny #tabs, .tiny #body, .tiny #keys { display: none; }
.tiny #tiny { display: block; }
"""


def hung_up(descriptor: int) -> bool:
    """Whether nobody holds the other end of this terminal: without SIGHUP its input would be read for ever."""
    watched = select.poll()
    watched.register(descriptor, 0)
    return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in watched.poll(0))


class Told(Message):
    """The gauge has something new."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.part = part


class TopApp(App[None]):
    """The gauge is made with :meth:`told` and given by :meth:`use`; the screen starts it and stops it."""

    CSS = CSS
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", "quit"),
        Binding("ctrl+c", "leave", "quit", priority=True),
        Binding("question_mark,h,f1", "help", "help"),
        Binding("p,space", "hold", "pause"),
        Binding("d", "dimension(1)", "dimension"),
        Binding("D", "dimension(-1)", "dimension"),
        Binding("slash", "filter", "filter"),
        Binding("enter", "take", "take"),
        Binding("backspace", "widen", "filter before"),
        Binding("escape", "clear", "clear"),
        Binding("s", "snapshot", "snapshot"),
        Binding("r", "again", "look now"),
        Binding("plus,equals_sign", "span(1)", "longer"),
        Binding("minus", "span(-1)", "shorter"),
        Binding("z", "zoom", "zoom"),
        Binding("tab", "next(1)", "next pane", priority=True),
        Binding("shift+tab", "next(-1)", "pane before", priority=True),
        Binding("down,j", "move(1)", "down"),
        Binding("up,k", "move(-1)", "up"),
        Binding("pagedown", "page(1)", "page down"),
        Binding("pageup", "page(-1)", "page up"),
        Binding("home", "move(-100000)", "first"),
        Binding("end", "move(100000)", "last"),
        *(Binding(str(number), f"choose('{name}')", name) for number, name in enumerate(PANES, 1)),
    ]

    def __init__(
        self, glyphs: Glyphs, *, dimension: str = "source", where: str = "", folder: Path | None = None
    ) -> None:
        super().__init__(driver_class=TopDriver, ansi_color=True)
        self.animation_level = "none"
        self.glyphs, self._folder = glyphs, folder
        order = top_filter.ORDER
        self._dimensions = order if dimension in order else (dimension, *order)
        self._at = self._dimensions.index(dimension)
        self._filter, self._filters_before, self._wrong = "", list[str](), ""
        self._test: Test | None = None
        self._typing: Typing | None = None
        if where.strip():
            self._filter, self._test = where, top_filter.understood(where)[1]
        self._span: int | None = None  # none chosen: as far back as there is something
        self.pane, self._zoomed = "made", False
        self._note, self._note_until_s = "", 0.0
        self._parts: tuple[object, Reading, Made] | None = None
        self._room: Size | None = None
        self.failure: Exception | None = None

    def use(self, gauge: Gauge) -> None:
        """What it shows."""
        self.gauge = gauge

    def told(self, part: Part) -> None:
        """The gauge calls it from its threads."""
        if self.is_running:
            self.post_message(Told(part))

    def leave_soon(self) -> None:
        """End it, from a handler of signals."""
        if self._loop is not None and self.is_running:
            self._loop.call_soon_threadsafe(self.exit)

    # -- begin and end

    def compose(self) -> ComposeResult:
        """The parts of the screen."""
        yield Pane("tiny", titled=False)
        yield Pane("head", titled=False)
        with Horizontal(id="upper"):
            yield Pane("chart")
            yield Pane("rates")
        yield Bar("tabs")
        with Container(id="body"):
            yield Pane("made", choosable=True)
            yield Pane("spaces", choosable=True)
            yield Pane("findings")
            yield Pane("log", tail=True)
            yield Pane("cpus")
        yield Bar("keys")

    def on_mount(self) -> None:
        """Begin to look."""
        self._arrange()
        if self.gauge.note:
            self._say(harmless(self.gauge.note))
        self.gauge.start()
        self.set_interval(CHECK_S, self._check)
        # What was loaded stays: the collector need not go through it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)

    def _handle_exception(self, error: Exception) -> None:
        """A defect ends it with one line, not with a page of Textual's; tests see it as they are used to."""
        self.failure = self.failure or error
        if self.is_headless:
            super()._handle_exception(error)
        else:
            self.exit()

    # -- what is shown

    def on_resize(self, event: events.Resize) -> None:
        """Another size, perhaps another arrangement; the parts learn of it later, and :attr:`size` too."""
        self._room = event.size
        if self.is_running and self.screen_stack and self._has_parts():
            self._arrange()

    def on_pane_sized(self) -> None:
        """A part has its new size: it is filled anew."""
        if self._has_parts():
            self.paint()

    def _has_parts(self) -> bool:
        return bool(self.screen_stack) and len(self.screen_stack[0].query(Pane)) >= len(PANES)

    def _arrange(self) -> None:
        width, height = self._room or self.size
        base = self.screen_stack[0]
        tiny = width < WIDTH or height < HEIGHT
        wide = not tiny and width >= WIDE_WIDTH and height >= WIDE_HEIGHT
        one = self._zoomed or self.pane == "cpus" or not wide
        base.set_class(tiny, "tiny")
        base.set_class(wide, "wide")
        base.set_class(wide and one, "alone")
        base.set_class(self._zoomed, "zoom")
        for name in PANES:
            shown = name == self.pane if one else name != "cpus"
            self._pane(name).display = shown
            self._pane(name).mark(name == self.pane and not tiny, self.glyphs.axis)
        for name in ("chart", "rates"):
            self._pane(name).mark(False, self.glyphs.axis)
        seen = self._pane("spaces").display
        if seen and not self.gauge.wants_spaces:
            self.gauge.look_around_soon()
        self.gauge.wants_spaces = seen
        self.call_after_refresh(self.paint)

    def _pane(self, name: str) -> Pane:
        return self.screen_stack[0].query_one(f"#{name}", Pane)

    def on_told(self, message: Told) -> None:
        """Show what is new."""
        part = message.part
        if part == "wrote":
            self._say(top_screen.wrote(self.gauge.wrote))
        elif part == "note":
            self._say(harmless(self.gauge.note))
        elif not self.gauge.paused:
            self.paint(part)

    def paint(self, part: Part | None = None) -> None:
        """Show one part, or (None) all."""
        if "tiny" in self.screen_stack[0].classes:
            self._pane("tiny").show(top_screen.tiny(self.gauge, self._room or self.size, (WIDTH, HEIGHT), self.glyphs))
            return
        if part in (None, "frame", "forecast", "judged"):
            head = self._pane("head")
            head.show(top_screen.head(self.gauge, head.size.width or WIDTH, self.glyphs))
        if part in (None, "frame"):
            self._paint_curve()
        for name, parts in top_screen.SHOWS.items():
            if part is None or part in parts:
                self._paint_pane(name)
        if part is None or part in ("judged", "kernel", "spaces"):
            self._paint_bars()

    def _paint_curve(self) -> None:
        pane = self._pane("chart")
        if pane.display and pane.room:
            pane.show(*top_screen.curve(self.gauge, self._span_s(), pane.size.width, pane.room, self.glyphs))
        pane = self._pane("rates")
        if pane.display and pane.room:
            pane.show(top_screen.rates(self.gauge, pane.size.width, self.glyphs), "Per second")

    def _span_s(self) -> int:
        if self._span is not None:
            return SPANS_S[self._span]
        past = self.gauge.past
        reach = self.gauge.now_s() - past[0].time_s if past else 0.0
        return next((span for span in SPANS_S if span >= min(reach, MOST_SPAN_S)), MOST_SPAN_S)

    def _paint_pane(self, name: str) -> None:
        pane = self._pane(name)
        if not pane.display or not pane.size.width:
            return
        if name == "made":
            self._paint_made(pane)
        else:
            pane.show(*top_screen.pane(name, self.gauge, pane.size.width))

    def _paint_made(self, pane: Pane) -> None:
        reading, shown, made = self._made()
        told = top_screen.Chosen(self._dimensions[self._at], self._filter)
        pane.show(*top_screen.made(self.gauge, reading, shown, made, told, pane.size.width, self.glyphs))

    def _made(self) -> tuple[Reading | None, Reading | None, Made | None]:
        """The last sample, what the filter lets through, and what that is made of."""
        reading, name = self.gauge.reading, self._dimensions[self._at]
        if reading is None:
            return None, None, None
        key = (id(reading), reading.read, name, self._filter)
        if self._parts is None or self._parts[0] != key:
            shown = composed(reading.rows, reading.total if reading.sampled else None, (named(name),), self._test)
            self._parts = key, shown, shown.made[0]
        return reading, self._parts[1], self._parts[2]

    def _paint_bars(self) -> None:
        base, width = self.screen_stack[0], (self._room or self.size).width
        tabs, keys = base.query_one("#tabs", Bar), base.query_one("#keys", Bar)
        if self._typing is None:
            tabs.items(top_screen.tabs(self.gauge, self.pane))
        else:
            tabs.items(self._typing.items(self._wrong, width))
        if self._note:
            keys.items(top_screen.said(self._note, width))
        else:
            keys.items(top_screen.keys(self.pane, self.gauge.paused, bool(self._filter), width))

    def _say(self, text: str) -> None:
        self._note, self._note_until_s = text, time.monotonic() + NOTE_S
        self._paint_bars()

    def _check(self) -> None:
        """A look that does not come back is told, a note does not stay for ever, a terminal that is gone ends it."""
        if not self.is_headless and hung_up(0):
            self.exit()
            return
        if self._note and time.monotonic() > self._note_until_s:
            self._note = ""
            self._paint_bars()
        if not self.gauge.paused and top_screen.stale_s(self.gauge):
            self.paint("frame")

    # -- keys

    def action_leave(self) -> None:
        """End it."""
        self.exit()

    def action_help(self) -> None:
        """The page of help."""
        self.push_screen(HelpScreen(self.glyphs.axis))

    def action_hold(self) -> None:
        """Pause, or go on."""
        if self.gauge.paused:
            self.gauge.go_on()
        else:
            self.gauge.paused = True
        self.paint()

    def action_dimension(self, by: int) -> None:
        """By what the table is told apart."""
        self._at = (self._at + by) % len(self._dimensions)
        self._pane("made").row = 0
        if self.pane != "made" and not self._pane("made").display:
            self.action_choose("made")
        self._paint_pane("made")

    def action_choose(self, name: str) -> None:
        """The pane that keys go to."""
        self.pane = name
        self._note = ""
        self._arrange()

    def action_next(self, by: int) -> None:
        """The pane after, or before."""
        if len(self.screen_stack) > 1:
            return
        self.action_choose(PANES[(PANES.index(self.pane) + by) % len(PANES)])

    def action_zoom(self) -> None:
        """This pane alone, with all the room."""
        self._zoomed = not self._zoomed
        self._arrange()

    def action_move(self, by: int) -> None:
        """Another row."""
        self._pane(self.pane).move(by)

    def action_page(self, way: int) -> None:
        """As far as is shown."""
        pane = self._pane(self.pane)
        pane.move(way * max(1, pane.room - 1))

    def action_span(self, by: int) -> None:
        """How far back the curve goes."""
        self._span = min(max(0, SPANS_S.index(self._span_s()) + by), len(SPANS_S) - 1)
        self._paint_curve()

    def action_again(self) -> None:
        """Look now."""
        self.gauge.compose_soon()
        self.gauge.look_around_soon()
        self.gauge.judge_soon()
        self._say("looking again: entries, namespaces, diagnosis")

    def action_snapshot(self) -> None:
        """Write a bundle."""
        path = bundle_path(self.gauge.host, time.time(), None if self._folder is None else str(self._folder))
        self.gauge.write_bundle(path)
        self._say(f"writing {harmless(path)} ...")

    # -- the filter, and what Enter takes

    async def on_event(self, event: events.Event) -> None:
        """Keys of the filter are taken here, in the order in which they come."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded and len(self.screen_stack) == 1:
            if self._typing is not None and self._typed(event):
                return
            if isinstance(event, events.Key) and event.key == "slash" and self._typing is None:
                self.action_filter()
                return
        await super().on_event(event)

    def action_filter(self) -> None:
        """Type a filter."""
        if not self._pane("made").display:
            self.action_choose("made")
        self._filters_before.append(self._filter)
        self._typing = Typing(self._filter)
        self._paint_bars()

    def _typed(self, event: events.Key | events.Paste) -> bool:
        """Whether that key belongs to the filter."""
        field = self._typing
        if field is None or (isinstance(event, events.Key) and event.key in ("ctrl+c", "ctrl+z")):
            return False
        if isinstance(event, events.Paste):
            field.paste(event.text)
        elif event.key == "enter":
            self._typing, self._wrong = None, ""
        elif event.key == "escape":
            self.action_clear()
            return True
        elif not field.press(event.key, event.character):
            return True
        if self._typing is not None:
            self._narrow_to(field.text, remember=False)
        self._paint_bars()
        return True

    def _narrow_to(self, text: str, *, remember: bool = True) -> None:
        if remember and self._filter != text:
            self._filters_before.append(self._filter)
        self._wrong = ""
        try:
            test = top_filter.understood(text)[1] if text.strip() else None
        except UsageError as error:
            # Half a word is no filter: what was shown stays, and it is said what is wrong.
            self._wrong = top_filter.why_not(error)
        else:
            self._filter, self._test = text, test
        self._paint_pane("made")

    def action_clear(self) -> None:
        """No filter, no zoom, no note."""
        self._typing = None
        if self._zoomed:
            self.action_zoom()
        self._note = ""
        self._narrow_to("")
        self._paint_bars()

    def action_widen(self) -> None:
        """The filter before this one."""
        self._narrow_to(self._filters_before.pop() if self._filters_before else "", remember=False)
        self._paint_bars()

    def action_take(self) -> None:
        """What the marked row means: only these entries, or that namespace."""
        row = self._pane(self.pane).row
        if self.pane == "made":
            made = self._made()[2]
            if made is None or row >= len(made.shares):
                return
            more = top_filter.expression(made.dimension, made.shares[row].key)
            if more is None:
                self._say(f"the filter has no words for {harmless(made.shares[row].label)[:40]}")
                return
            self._narrow_to(top_filter.narrowed(self._filter, more))
            self._paint_bars()
        elif self.pane == "spaces" and row < len(self.gauge.spaces):
            place = self.gauge.spaces[row].counted.place
            path = place.path or (self.gauge.proc.path(f"{place.folder}/ns/net") if place.folder else None)
            self.gauge.move(Place(place.key, None if place.own else path))
            self._parts = None
            self._say(f"now looking at the namespace {harmless(place.key)}")
            self.paint()

    def on_pane_picked(self, event: Pane.Picked) -> None:
        """A click: on a word, a title, a row."""
        pane = event.pane
        name = pane.id or ""
        if isinstance(pane, Bar):
            action = pane.action_at(event.column)
            if action:
                self.call_later(self.run_action, action)
        elif name == "made" and event.row is None and self.pane == "made":
            self.action_dimension(1)
        elif name == "chart":
            self._span = (SPANS_S.index(self._span_s()) + 1) % len(SPANS_S)
            self._paint_curve()
        elif name in PANES:
            again = self.pane == name and event.row is not None and event.row == pane.row
            if event.row is not None:
                pane.row = event.row
            if self.pane != name:
                self.action_choose(name)
            elif again:
                self.action_take()
            pane.draw()
