"""A line that is typed: by hand."""

from tablefull.views.top_typing import MOST, Typing


def typed(*keys: str, text: str = "") -> Typing:
    line = Typing(text)
    for key in keys:
        line.press(key, key if len(key) == 1 else None)
    return line


def shown(line: Typing, wrong: str = "", width: int = 80) -> str:
    return "".join(text for item in line.items(wrong, width) for text, _ in item.pieces)


def test_letters_and_the_cursor() -> None:
    assert typed(*"443").text == "443"
    assert typed(*"43", "home", "4").text == "443"
    assert typed(*"ab", "left", "x", "right", "y").text == "axby"
    assert typed(*"ab", "left", "left", "left", "delete").text == "b"
    assert typed(*"ab", "backspace", "backspace", "backspace").text == ""
    assert typed("ctrl+w", text="udp and 53").text == "udp and "
    assert typed("ctrl+u", text="udp").text == ""
    assert typed("ctrl+a", "x", "ctrl+e", "y", text="b").text == "xby"


def test_what_is_no_letter_is_refused() -> None:
    assert not Typing().press("f5", None)
    assert not Typing().press("escape", "\x1b")
    assert not Typing().press("backspace", "\x7f")


def test_a_paste_is_one_line_of_letters() -> None:
    line = Typing("a")
    line.paste("udp\nand\x1b[2J\t53")
    assert line.text == "audp and[2J 53"
    line.paste("x" * 10_000)
    assert len(line.text) == MOST


def test_it_fits_and_shows_the_cursor() -> None:
    assert shown(typed(*"udp")).startswith(" / udp ")
    assert "443  tcp/443" in shown(Typing())
    assert "column 3" in shown(typed(*"udp"), "column 3: it cannot be read on")
    for text in ("", "udp", "x" * MOST):
        for wrong in ("", "column 1: " + "y" * 200):
            assert len(shown(Typing(text), wrong)) <= 80
