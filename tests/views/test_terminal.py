"""A page on a terminal: nothing acts, nothing is cut, commands stay whole."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.views.terminal import LONGEST, Page, columns, harmless, shortened, wants_colour, width_of, wrapped


def test_what_does_not_print_is_spelled() -> None:
    assert harmless("a\x1b[31mb") == "a\\x1b[31mb"
    assert harmless("\x9b31m") == "\\x9b31m"
    assert harmless("\u202eevil") == "\\u202eevil"
    assert harmless("a\tb") == "a       b"
    assert harmless("a\u00a0b") == "a b"
    assert harmless("plain äöü 表") == "plain äöü 表"
    assert harmless("\ud800") == "\\ud800"


@given(st.text())
def test_nothing_harmful_gets_through(text: str) -> None:
    assert harmless(text).isprintable()


@given(st.text(alphabet=st.characters(codec="ascii", exclude_characters="\n\r\t"), max_size=300), st.integers(20, 90))
def test_wrapping_keeps_every_word_and_the_width(text: str, width: int) -> None:
    text = harmless(text)
    lines = wrapped(text, width)
    assert all(columns(line) <= max(width, 1) for line in lines) or len(lines) == 1
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_a_line_that_fits_keeps_its_blanks() -> None:
    assert wrapped("pkts bytes   target", 40) == ["pkts bytes   target"]


def test_wide_characters_take_two_columns() -> None:
    assert columns("表") == 2
    assert columns("e\u0301") == 1
    assert all(columns(line) <= 20 for line in wrapped("表" * 40, 20))


def test_commands_are_never_wrapped() -> None:
    page = Page(40)
    command = "sysctl -w " + "x" * 300
    page.commands([command])
    assert command in page.plain()


def test_a_here_document_stands_at_the_margin() -> None:
    page = Page(80)
    page.commands(["cat > f <<'E'\n\tkey = 1\nE"])
    assert page.plain() == "cat > f <<'E'\n\tkey = 1\nE\n"


def test_absurd_lines_are_shortened_and_counted() -> None:
    assert shortened("x" * (LONGEST + 7)).endswith("(7 more characters)")


def test_a_page_without_colour_has_no_escape() -> None:
    page = Page(80)
    page.title("TITLE")
    page.text("[red]text[/red] \x1b[31m", "bad", lead="- ")
    assert "\x1b" not in page.plain()
    assert "[red]text[/red]" in page.plain()


def test_colour_adds_nothing_but_colour() -> None:
    page = Page(80)
    page.text("[red]text[/red] :smile: 10.0.0.1", "bad", lead="- ")
    page.add(("y" * 200, "command"))
    assert re.sub(r"\x1b\[[0-9;]*m", "", page.coloured()) == page.plain()


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert wants_colour(_Terminal())
    assert not wants_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour(_Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_colour(_Terminal())


def test_the_width_is_columns_or_80(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "57")
    assert width_of(io.StringIO()) == 57
    monkeypatch.setenv("COLUMNS", "nonsense")
    assert width_of(io.StringIO()) == 80
