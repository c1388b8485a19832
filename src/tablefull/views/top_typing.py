"""The line in which a filter is typed.

The trap: over a slow line keys come in bursts, and what follows the slash must not be taken for commands: a ``q`` would
quit. So the line is not a widget that gets its focus some time later; each key is taken the moment it comes.
"""

from tablefull.views.terminal import harmless
from tablefull.views.top_pane import Item

MOST = 300
HINT = "443  tcp/443  10.1.  udp and not assured   Enter keeps, Esc removes"


class Typing:
    """``text`` with a cursor before its character ``at``."""

    def __init__(self, text: str = "") -> None:
        self.text, self.at = text, len(text)

    def press(self, key: str, character: str | None) -> bool:
        """Take a key, as Textual names it; False for one that means nothing here."""
        if key == "backspace" and self.at:
            self._put("", self.at - 1, self.at)
        elif key == "delete":
            self._put("", self.at, self.at + 1)
        elif key == "ctrl+u":
            self._put("", 0, self.at)
        elif key == "ctrl+w":
            self._put("", self.text.rstrip().rfind(" ", 0, self.at) + 1, self.at)
        elif key in ("left", "right"):
            self.at = min(max(0, self.at + (1 if key == "right" else -1)), len(self.text))
        elif key in ("home", "ctrl+a"):
            self.at = 0
        elif key in ("end", "ctrl+e"):
            self.at = len(self.text)
        elif character is not None and character.isprintable():
            self.paste(character)
        else:
            return False
        return True

    def paste(self, text: str) -> None:
        """Put text where the cursor is; of several lines, one."""
        clean = "".join(" " if one.isspace() else one for one in text if one.isspace() or one.isprintable())
        self._put(clean[: MOST - len(self.text)], self.at, self.at)

    def _put(self, text: str, begin: int, end: int) -> None:
        self.text = self.text[:begin] + text + self.text[end:]
        self.at = begin + len(text)

    def items(self, wrong: str, width: int) -> list[Item]:
        """As it is shown: the part around the cursor, and what is wrong or what it is good for."""
        room = width - 12
        first = max(0, self.at - room)
        before, under, after = self.text[first : self.at], self.text[self.at : self.at + 1], self.text[self.at + 1 :]
        pieces = [(" / ", "key"), (before, "strong"), (under or " ", "chosen"), (after[: room - len(before)], "strong")]
        told, style = (harmless(wrong), "bad") if wrong else (HINT if not self.text else "", "dim")
        left = width - sum(len(text) for text, _ in pieces) - 3
        if told and left > 10:
            pieces.append((f"  {told[:left]}", style))
        return [Item(tuple(pieces))]
