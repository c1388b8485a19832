"""The help of the full screen: what the keys do, and how the numbers are to be read.

The trap: whoever opens it is in a hurry and has 24 lines. So the keys come first, and it closes with any key.
"""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from tablefull.views.top_chart import Line
from tablefull.views.top_pane import Pane

KEYS = (
    ("1 2 3 4 5", "Made of, Namespaces, Findings, Kernel log, Per CPU; Tab: next"),
    ("d D", "made of what: the next dimension, the one before"),
    ("/", "filter as you type: 443  tcp/443  10.1.  udp and not assured"),
    ("Up Down Enter", "Made of: only entries like this line; Namespaces: look there"),
    ("Backspace Esc", "the filter before this one; no filter"),
    ("+ -", "a longer, a shorter past in the curve"),
    ("z", "this pane alone, with all the room"),
    ("p Space", "pause: the screen stands still, the curve is kept going"),
    ("r", "sample, count namespaces and diagnose now"),
    ("s", "snapshot: a bundle of this host, as `tablefull collect` makes"),
    ("q", "quit"),
)
MOUSE = "a word, a pane, a line (again: as Enter); the wheel scrolls"
NOTES = (
    ("how full", "HIGH from 85 % of the limit, ALMOST FULL from 95 %"),
    ("x", "below the curve: packets were refused then"),
    ("time to full", "nine times in ten it lies between the two times given"),
    ("!", "behind a rate: packets or entries are lost while it moves"),
    ("~", "estimated; two per cents of a sample are its 95 % interval"),
    ("not counted", "this kernel never moves that counter: its 0 would say nothing"),
    ("not seen", "it could not be looked at, and it says why; that is not none"),
    ("*", "in the log: came while this was on"),
)


def lines() -> list[Line]:
    """The page."""
    found: list[Line] = [((f"  {name:<15}", "key"), (text, "")) for name, text in KEYS]
    found.append(((f"  {'click':<15}", "key"), (MOUSE, "")))
    found.append(())
    found += [((f"  {name:<15}", "strong"), (text, "")) for name, text in NOTES]
    return found


class HelpScreen(ModalScreen[None]):
    """The page over everything."""

    AUTO_FOCUS = None
    CSS = "HelpScreen { background: ansi_default; } HelpScreen Pane { width: 1fr; height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,escape,question_mark,h,f1,enter,space", "dismiss", "close"),
        Binding("down,j,pagedown", "scroll(1)", "down"),
        Binding("up,k,pageup", "scroll(-1)", "up"),
    ]

    def __init__(self, rule: str) -> None:
        super().__init__()
        self._rule = rule

    def compose(self) -> ComposeResult:
        """One pane."""
        yield Pane("help")

    def on_mount(self) -> None:
        """Fill it."""
        pane = self.query_one(Pane)
        pane.rule = self._rule
        pane.show(lines(), "Help", "any of q Esc ? closes it")

    def action_scroll(self, way: int) -> None:
        """For screens on which it does not fit."""
        pane = self.query_one(Pane)
        pane.scroll(way * max(1, pane.room // 2))
