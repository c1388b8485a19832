"""A page of lines for a terminal or a pipe: wrapping, colours, and evidence made harmless.

The trap: evidence is written by strangers. A log line may hold an escape sequence that retitles the window, moves the
cursor or hides text, so nothing that is not printable reaches the terminal; it is shown spelled out instead. Commands
are the opposite case: they must arrive exactly as they are, so they are never wrapped, cut or framed.
"""

import os
import re
import sys
from collections.abc import Iterable
from typing import TextIO

NARROWEST, WIDEST = 40, 100  # a sentence longer than 100 columns is hard to read; below 40 nothing helps
LONGEST = 600  # characters of one line of evidence that are shown
# The words carry the meaning; the colour only repeats it.
STYLES = {
    "": "",
    "title": "bold",
    "good": "bold green",
    "worth": "bold cyan",
    "bad": "bold yellow",
    "worst": "bold red",
    "dim": "dim",
    "strong": "bold",
    "command": "bold cyan",
    "evidence": "yellow",
}

_WORDS = re.compile(r"\s*\S+\s*")

Piece = tuple[str, str]


def harmless(text: str) -> str:
    r"""Text on one line in which nothing can act on a terminal: what does not print is spelled ``\x1b``, ``\u202e``."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _spelled(character) for character in text.expandtabs(8))


def _spelled(character: str) -> str:
    import unicodedata

    code = ord(character)
    if unicodedata.category(character) == "Zs":
        return " "
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def harmless_lines(text: str) -> list[str]:
    """A command of one or several lines, each made harmless; its tabs stay, they matter to a shell."""
    return ["\t".join(harmless(part) for part in line.split("\t")) for line in text.split("\n")]


def shortened(text: str) -> str:
    """A line of evidence, harmless; of an absurdly long one the beginning, with what is left out counted."""
    text = harmless(text.strip())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST} more characters)"


def columns(text: str) -> int:
    """How many columns a text takes: East Asian wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    import unicodedata  # most pages have no such line

    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` columns, parted at blanks, which stay inside a line; a longer word is cut."""
    if columns(text) <= width:
        return [text]
    lines: list[str] = []
    line, used = "", 0
    for word in _WORDS.findall(text):
        size = columns(word.rstrip())
        if line and used + size > width:
            lines.append(line.rstrip())
            line, used = "", 0
        while size > width:
            at = width if word.isascii() else max(1, width // 2)
            lines.append(word[:at])
            word = word[at:]
            size = columns(word.rstrip())
        line, used = line + word, used + columns(word)
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


class Page:
    """Lines in the order they are added. ``width`` bounds sentences; ``verbatim`` lines are as long as they are."""

    def __init__(self, width: int) -> None:
        self.width = max(NARROWEST, min(width, WIDEST))
        self.lines: list[tuple[Piece, ...]] = []

    def add(self, *pieces: Piece) -> None:
        """One line as it is."""
        self.lines.append(pieces)

    def blank(self) -> None:
        """An empty line, unless the page begins here or the last one is empty already."""
        if self.lines and self.lines[-1]:
            self.lines.append(())

    def title(self, text: str) -> None:
        """The heading of a section."""
        self.blank()
        self.add((text, "title"))

    def text(self, text: str, style: str = "", *, indent: int = 2, lead: str = "", lead_style: str = "") -> None:
        """A sentence, wrapped; ``lead`` stands before its first line and its further lines hang below its text."""
        hang = indent + columns(lead)
        for number, line in enumerate(wrapped(harmless(text), max(20, self.width - hang))):
            if number == 0 and lead:
                self.add((" " * indent + lead, lead_style), (line, style))
            else:
                self.add((" " * hang + line, style))

    def commands(self, commands: Iterable[str]) -> None:
        """Commands, exactly: never wrapped. One of several lines stands at the margin: a here-document must."""
        shown = [harmless_lines(command) for command in commands]
        indent = "" if any(len(lines) > 1 for lines in shown) else "       "
        for lines in shown:
            for line in lines:
                note = line.lstrip().startswith("#")
                if note and len(lines) == 1:
                    self.text(line.lstrip(" #"), "dim", indent=len(indent), lead="# ", lead_style="dim")
                else:
                    self.add((indent + line, "command"))

    def plain(self) -> str:
        """Without colour: for a pipe, a file, or where NO_COLOR asks for it."""
        return "\n".join("".join(text for text, _ in line).rstrip() for line in self.lines) + "\n"

    def coloured(self) -> str:
        """With the colours that this terminal has."""
        from rich.console import Console
        from rich.text import Text

        console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=True)
        with console.capture() as capture:
            for line in self.lines:
                console.print(Text.assemble(*((text, STYLES[style]) for text, style in line)), soft_wrap=True)
        return capture.get()


def wants_colour(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal that shows colours and nobody asked for none (NO_COLOR, TERM=dumb)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") in ("dumb", "unknown", ""):
        return False
    return stream.isatty()


def width_of(stream: TextIO) -> int:
    """Columns of the terminal, COLUMNS where it is set, 80 where there is neither."""
    stated = os.environ.get("COLUMNS", "")
    if stated.isdigit() and int(stated) > 0:
        return int(stated)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
