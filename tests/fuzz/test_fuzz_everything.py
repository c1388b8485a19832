"""Any text at all gives a result: what the long campaign (scripts/fuzz) looks for, in small, and what it ever found."""

import os
import time
from pathlib import Path

import inputs
import judge
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

FUZZ_INPUTS = int(os.environ.get("FUZZ_INPUTS", "300"))
SEEDS = sorted((Path(__file__).parent / "seeds").glob("*.txt"))
HANG_S = 120  # a guard against an endless loop, not a measurement


@settings(max_examples=FUZZ_INPUTS)
@given(seed=st.integers(1, 1 << 62))
def test_mixed_and_mutilated_formats(seed):
    judge.judge(inputs.made(seed))


@settings(max_examples=FUZZ_INPUTS)
@given(text=st.text(max_size=400))
def test_any_text(text):
    judge.judge(text)


@settings(max_examples=FUZZ_INPUTS)
@given(raw=st.binary(max_size=400), encoding=st.sampled_from(inputs.ENCODINGS))
@example(raw=b"\xff\xfe\x00", encoding="utf-8")
def test_any_bytes(raw, encoding):
    judge.judge(raw.decode(encoding, "replace"))


@settings(max_examples=max(10, FUZZ_INPUTS // 10))
@given(lines=st.lists(st.sampled_from(inputs.LINES), min_size=1, max_size=60))
def test_whole_pastes_of_every_format(lines):
    judge.judge("\n".join(lines))


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.stem)
def test_what_once_broke_something(path):
    judge.judge(path.read_text("utf-8", "surrogatepass"))


def test_one_seed_is_one_input():
    assert [inputs.made(seed) for seed in range(1, 30)] == [inputs.made(seed) for seed in range(1, 30)]


def test_a_judge_that_sees(monkeypatch):
    """The judge reports a broken rule instead of passing over it."""
    from tablefull.rules import rule

    judge.judge("nf_conntrack: table full, dropping packet")  # loads the rules

    def breaks(case):
        raise KeyError(case)

    broken = type(rule.BOOK[0])
    fields = {name: getattr(rule.BOOK[0], name) for name in broken.__struct_fields__}
    monkeypatch.setattr(rule, "BOOK", [broken(**(fields | {"check": breaks, "needs": ("text",)}))])
    monkeypatch.setattr("tablefull.rules.engine.BOOK", rule.BOOK)
    with pytest.raises(AssertionError, match="KeyError"):
        judge.judge("nf_conntrack: table full, dropping packet")


@pytest.mark.parametrize("line", [*inputs.LINES, "a" * 40, "1 " * 20, "[" * 40, "a@b" * 9, "<br>" * 9, "&amp;" * 9])
def test_a_megabyte_of_one_kind_is_linear(line):
    """Eight times the text takes about eight times as long; a quadratic reader would take sixty-four times."""

    def seconds(count):
        lines = [line] * count
        began = time.thread_time()
        from tablefull.parsers.reader import Reader

        Reader().document("-", lines)
        return time.thread_time() - began

    count = 40_000 // (len(line) + 1) + 2
    seconds(count)
    small = min(seconds(count) for _ in range(3))
    # A machine that stands still for a moment is no reader that is slow: it would have to do so three times.
    assert any(seconds(count * 8) < 8 * 4 * small + 0.5 for _ in range(3))
    assert small < HANG_S
