"""A file of somebody with more rights: what passes, and that nothing else does."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.views.exporter_include import MOST_BYTES, MOST_SERIES, TOO_OLD_S, Included, parsed

GOOD = """\
# TYPE tablefull_composition_ratio gauge
tablefull_composition_ratio{netns="init",by="state",key="tcp \\"x\\\\y\\n"} 0.25
tablefull_composition_ratio{netns="init",by="state",key="other"} 0.75
# TYPE tablefull_composition_read_entries gauge
tablefull_composition_read_entries{netns="init",by="state"} 2000
# TYPE tablefull_unseen gauge
tablefull_unseen{what="composition of blue",why="gone"} 1
tablefull_unseen{what="netns",why="not for us"} 1
# TYPE node_nf_conntrack_entries gauge
node_nf_conntrack_entries 9
# TYPE up gauge
up 1
"""


def test_the_composition_and_nothing_else() -> None:
    found, holes = parsed(GOOD)
    assert [family.name for family in found] == ["tablefull_composition_ratio", "tablefull_composition_read_entries"]
    assert [(sample.labels["key"], sample.value) for sample in found[0].samples] == [
        ('tcp "x\\y\n', 0.25),
        ("other", 0.75),
    ]
    assert [(hole.what, hole.why) for hole in holes] == [("composition of blue", "gone")]


@pytest.mark.parametrize(
    "line",
    [
        'tablefull_composition_ratio{netns="a",by="b",key="c"} NaN',
        'tablefull_composition_ratio{netns="a",by="b",key="c"} +Inf',
        'tablefull_composition_ratio{netns="a",by="b",key="c"} 1.5',
        'tablefull_composition_ratio{netns="a",by="b",key="c"} -1',
        'tablefull_composition_ratio{netns="a",by="b",key="c",job="evil"} 1',
        'tablefull_composition_ratio{netns="a",by="b",key="c"} 0.5 1700000000000',
    ],
)
def test_samples_that_we_would_not_have_written(line: str) -> None:
    found, _ = parsed("# TYPE tablefull_composition_ratio gauge\n" + line + "\n")
    assert [sample for family in found for sample in family.samples] == []


@pytest.mark.parametrize("text", ["", "{", "tablefull_composition_ratio{", "a b c d\n", "\x00", 'x{a="\n'])
def test_damage_is_a_hole(text: str) -> None:
    found, holes = parsed(text)
    assert found == []
    assert [hole.what for hole in holes] == ["composition"]


@given(st.text(max_size=200), st.integers(0, len(GOOD)))
def test_no_text_ends_the_exporter(text: str, at: int) -> None:
    found, _ = parsed(GOOD[:at] + text + GOOD[at:])
    assert all(family.name.startswith("tablefull_composition_") for family in found)


def test_too_many() -> None:
    line = 'tablefull_composition_ratio{{netns="a",by="b",key="{}"}} 0\n'
    text = "# TYPE tablefull_composition_ratio gauge\n" + "".join(line.format(n) for n in range(MOST_SERIES + 1))
    assert parsed(text)[0] == []


def test_a_file_is_read_again_when_it_changed_and_is_not_shown_when_old(tmp_path: Path) -> None:
    path = tmp_path / "c.prom"
    one = Included(str(path))
    now = time.time()
    assert "no such file" in one.families(now)[1][0].why
    path.write_text(GOOD)
    first, _ = one.families(now)
    assert [family.name for family in first][-1] == "tablefull_included_age_seconds"
    assert one.families(now)[0][0] is first[0]  # nothing is read twice
    path.write_text(GOOD.replace("0.25", "0.5").replace("0.75", "0.50"))
    os.utime(path, (now + 1, now + 1))
    assert one.families(now)[0][0].samples[0].value == 0.5
    late, holes = one.families(now + TOO_OLD_S + 10)
    assert (late, "too old" in holes[0].why) == ([], True)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"#" * (MOST_BYTES + 1))
    for name in ("pipe", "large", "."):
        found, holes = Included(str(tmp_path / name)).families(time.time())
        assert found == []
        assert "no file of tablefull export" in holes[0].why
