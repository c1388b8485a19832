"""A part of the full screen: lines of pieces below a title, with a mark on one row where rows can be chosen.

The trap: a screen that is drawn anew every second costs more than the looking. So a pane keeps what is on the screen,
and only rows that differ are handed to the terminal; and text is never markup here, whoever wrote it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tablefull.views.terminal import columns
from tablefull.views.top_chart import Line

# What a state is called stands beside each of these; nothing is told by a colour alone, and none is red against green.
STYLES = {
    name: Style.parse(text)
    for name, text in {
        "": "", "title": "bold reverse", "strong": "bold", "dim": "dim", "good": "bold cyan",
        "worth": "bold cyan", "bad": "bold yellow", "worst": "bold reverse", "curve": "cyan", "limit": "bold magenta",
        "command": "bold cyan", "evidence": "yellow", "key": "bold cyan", "chosen": "bold reverse",
        "rule": "dim",
    }.items()
}  # fmt: skip
_PLAIN, _MARK = Style.null(), Style.parse("reverse")
# A bar is a block of its own colour: reversed, it would show what is not there.
_MARKED_STYLES = {name: style if name == "curve" else style + _MARK for name, style in STYLES.items()}


class Item(NamedTuple):
    """A word of a bar that can be clicked; ``action`` as Textual names it, empty for none."""

    pieces: Line
    action: str = ""


class Pane(Widget):
    """``choosable``: a row is marked, and can be moved to. ``tail``: what is new is at the end, and is shown."""

    class Picked(Message):
        """A row was clicked; ``row`` counts lines of the content, None is the title."""

        def __init__(self, pane: "Pane", row: int | None, column: int) -> None:
            super().__init__()
            self.pane, self.row, self.column = pane, row, column

        @property
        def control(self) -> "Pane":
            """The pane."""
            return self.pane

    class Sized(Message):
        """There is more room, or less."""

    def __init__(self, pane_id: str, *, titled: bool = True, choosable: bool = False, tail: bool = False) -> None:
        super().__init__(id=pane_id)
        self.lines: Sequence[Line] = ()
        self.title, self.note, self.chosen, self.rule = "", "", False, "─"
        self.top, self.row = 0, 0
        self.rows: int | None = None  # how many of the lines can be chosen; None: all
        self._titled, self._choosable, self._tail, self._following = titled, choosable, tail, tail
        self._drawn: list[tuple[Line, bool]] = []

    def show(self, lines: Sequence[Line], title: str = "", note: str = "", rows: int | None = None) -> None:
        """New content; what is the same on the screen is not drawn again."""
        self.lines, self.title, self.note, self.rows = lines, title, note, rows
        self.draw()

    def mark(self, chosen: bool, rule: str) -> None:
        """Whether keys go to this pane, and what its title line is drawn with."""
        self.chosen, self.rule = chosen, rule
        self.draw()

    @property
    def room(self) -> int:
        """Lines of content that fit."""
        return max(0, self.size.height - self._titled)

    def move(self, by: int) -> None:
        """To another row, or scroll where none can be chosen."""
        if self._choosable and self._last_row() >= 0:
            self.row = min(max(0, self.row + by), self._last_row())
        else:
            self._scroll(by)
        self.draw()

    def scroll(self, by: int) -> None:
        """Scroll, and leave the mark where it is."""
        self._scroll(by)
        self.draw(follow_row=False)

    def _scroll(self, by: int) -> None:
        last = max(0, len(self.lines) - self.room)
        self.top = min(max(0, self.top + by), last)
        self._following = self._tail and self.top == last

    def _last_row(self) -> int:
        return (len(self.lines) if self.rows is None else self.rows) - 1

    def draw(self, follow_row: bool = True) -> None:
        """Put on the screen what is new."""
        if not self.size.width or not self.size.height:
            return
        room, last = self.room, max(0, len(self.lines) - self.room)
        self.top = last if self._following else min(self.top, last)
        if self._choosable:
            self.row = min(max(0, self._last_row()), self.row)
            if follow_row and self.lines:
                self.top = min(max(self.top, self.row - room + 1), self.row)
        drawn: list[tuple[Line, bool]] = [(self._heading(), False)] if self._titled else []
        marks = self._choosable and self.chosen and self._last_row() >= 0
        shown = range(self.top, min(self.top + room, len(self.lines)))
        drawn += [(self.lines[at], marks and at == self.row) for at in shown]
        drawn += [((), False)] * (self.size.height - len(drawn))
        before, self._drawn = self._drawn, drawn
        if len(before) != len(drawn):
            self.refresh()
            return
        changed = [at for at, (old, new) in enumerate(zip(before, drawn, strict=True)) if old != new]
        if changed:
            self.refresh(*(Region(0, at, self.size.width, 1) for at in changed))

    def _heading(self) -> Line:
        width, hidden = self.size.width, len(self.lines) - self.room
        where = f" {self.top + 1}-{self.top + self.room} of {len(self.lines)} " if hidden > 0 and self.room else ""
        text = f" {self.title} " if self.title else ""
        room = width - columns(text) - columns(where) - 3
        note = self.note if columns(self.note) < room else self.note[: max(0, room - 3)] + ".." if room > 12 else ""
        note = f"{note} " if note else ""
        fill = max(0, width - columns(text) - columns(note) - columns(where) - 2)
        return (
            (self.rule * 2, "rule"),
            (text, "chosen" if self.chosen else "strong"),
            (f" {note}"[: 1 + len(note)] if note else "", "dim"),
            (self.rule * (fill - bool(note)), "rule"),
            (where, "dim"),
        )

    def render_line(self, y: int) -> Strip:
        """One row of the screen."""
        line, marked = self._drawn[y] if y < len(self._drawn) else ((), False)
        styles = _MARKED_STYLES if marked else STYLES
        segments = [Segment(text, styles.get(style, _PLAIN)) for text, style in line if text]
        return Strip(segments).adjust_cell_length(self.size.width, _MARK if marked else _PLAIN)

    def on_resize(self, _: events.Resize) -> None:
        """Whoever fills it does so again; until then the old lines are cut to size."""
        self._drawn = []
        self.draw()
        self.post_message(self.Sized())

    def on_click(self, event: events.Click) -> None:
        """Say which row it was."""
        at = event.y - self._titled + self.top
        row = None if event.y < self._titled else at
        if row is None or row < len(self.lines):
            event.stop()
            self.post_message(self.Picked(self, row, event.x))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel."""
        event.stop()
        self.scroll(2)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel."""
        event.stop()
        self.scroll(-2)


class Bar(Pane):
    """One line of words that can be clicked."""

    def __init__(self, pane_id: str) -> None:
        super().__init__(pane_id, titled=False)
        self._items: Sequence[Item] = ()

    def items(self, items: Sequence[Item]) -> None:
        """New words."""
        self._items = items
        self.show([tuple(piece for item in items for piece in item.pieces)])

    def action_at(self, column: int) -> str:
        """What a click there means; empty for nothing."""
        at = 0
        for item in self._items:
            at += sum(columns(text) for text, _ in item.pieces)
            if column < at:
                return item.action
        return ""
