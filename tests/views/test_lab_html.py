"""The report: it stands alone, nothing in it can act, and its curves are those of the scene."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from tests.lab.played_scene import played

from tablefull.lab.claims import claims
from tablefull.views import lab_html


def page(**changes: object) -> str:
    scene = played(**changes)
    return lab_html.render(scene, claims(scene))


class Tags(HTMLParser):
    """Every element and its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_nothing_comes_from_elsewhere_and_nothing_runs() -> None:
    for tag, attributes in Tags(page()).found:
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "b", "i"}
        assert not {name for name in attributes if name.startswith("on") or name in {"src", "href", "style"}}


def test_the_policy_lets_its_own_style_in_and_nothing_else() -> None:
    text = page()
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in text
    assert "prefers-color-scheme: dark" in style[1]


def test_strangers_words_are_text() -> None:
    text = page()
    assert "A &lt;b&gt;host&lt;/b&gt;" in text
    assert "no rule &lt;i&gt;needs&lt;/i&gt; it" in text
    assert "\\x1b[2J" in text
    assert "\x1b" not in text


def test_the_figures_are_there() -> None:
    text = page()
    assert "Requests that were answered: 100 % before, 52.0 % while full, 100 % after the fix" in text
    assert "All of it was seen" in text
    assert "Not all of it was seen" in page(log=())
    assert ">13<" in text


def test_the_curves() -> None:
    """The table: at its ground until 2 s, at its top from 4 s on; 900 wide, from 90 to 888."""
    fill, answered, wait = lab_html.curves(played())
    points = [tuple(map(float, one.split(","))) for one in fill.paths[0][1:].split(" L")]
    ground, top = 150.0 - 24, 12.0
    assert all(y == ground for x, y in points if x <= 90 + 798 * 0.2)
    assert all(y == top for x, y in points if x >= 90 + 798 * 0.4 + 0.1)
    assert all(12 <= y <= 126 and 90 <= x <= 888 for x, y in points)
    assert "100 packets were refused" in fill.words
    assert answered.words == "At worst 33.3 % of a moment's requests."
    assert "1.5 s" in wait.words


@pytest.mark.parametrize(
    "changes", [{"looks": (), "requests": ()}, {"acts": ()}, {"diagnosed": None, "ran": (), "fixed": ()}]
)
def test_a_scene_that_broke_off_early_is_a_page_too(changes: dict[str, object]) -> None:
    assert "</html>" in page(**changes, broken_off=True)
