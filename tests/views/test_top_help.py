"""The page of help: every key that there is, none that there is not."""

import re

from tablefull.views.top_app import TopApp
from tablefull.views.top_help import KEYS, lines
from tablefull.views.top_screen import PANES

SPELLED = {
    "question_mark": "?", "slash": "/", "plus": "+", "minus": "-", "escape": "Esc", "backspace": "Backspace",
    "enter": "Enter", "space": "Space", "up": "Up", "down": "Down",
}  # fmt: skip


def test_the_keys_of_the_page_are_keys_of_the_program() -> None:
    bound = {key for binding in TopApp.BINDINGS for key in binding.key.split(",")}  # type: ignore[union-attr]
    known = {SPELLED.get(key, key) for key in bound}
    for keys, _ in KEYS:
        for key in keys.split():
            assert key in known, key
    assert {str(number) for number in range(1, len(PANES) + 1)} <= known


def test_it_fits_the_smallest_screen() -> None:
    found = ["".join(text for text, _ in line) for line in lines()]
    assert len(found) <= 23
    assert max(map(len, found)) <= 80
    assert all(re.fullmatch(r"[\x20-\x7e]*", line) for line in found)
