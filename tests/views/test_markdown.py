"""A ticket: evidence stays in its fence, whatever it holds."""

import re

import pytest

from tablefull.fixes.diagnosis import Diagnosis
from tablefull.views import markdown


def test_sections_and_commands(xen: Diagnosis) -> None:
    page = markdown.render(xen)
    for heading in ("# Connection tracking: table full", "## Why", "## What to do", "## What was not seen"):
        assert f"\n{heading}\n" in "\n" + page
    assert xen.fixes[0].commands[0] in page


@pytest.mark.parametrize("held", ["```", "a ```` b", "`", "~~~", ""])
def test_a_fence_is_longer_than_any_in_the_text(held: str) -> None:
    block = markdown.fenced([held, "x"])
    fence = block.split("\n")[0]
    assert set(fence) == {"`"}
    assert block.split("\n")[-1] == fence
    assert fence not in held


def _outside_fences(page: str) -> str:
    kept, fence = [], ""
    for line in page.split("\n"):
        opening = re.match(r"`{3,}", line)
        if not fence and opening:
            fence = opening[0]
        elif fence and line == fence:
            fence = ""
        elif not fence:
            kept.append(line)
    assert not fence
    return "\n".join(kept)


def test_hostile_evidence_is_no_markup(hostile: Diagnosis) -> None:
    outside = _outside_fences(markdown.render(hostile, rules=True, all_fixes=True))
    assert not re.search(r"(?<!\\)<(script|img|b)\b", outside)
    assert "@everyone" not in outside
    assert "\x1b" not in outside


def test_inline_takes_markup_away() -> None:
    assert markdown.inline("a*b_c`d<e>[f]|#1") == r"a\*b\_c\`d\<e\>\[f\]\|\#1"
    assert markdown.inline("- item") == r"\- item"
    assert "@all" not in markdown.inline("hello @all")
    assert markdown.inline("3 h; 5.14") == "3 h; 5.14"
