"""Per-CPU counters by column name, in each era's header, wrapped and cut."""

import pytest
from conntrack_text import ACCOUNTED, COMMANDS, LINES, PLAIN, captured, facts_of, holds_for, is_linear, refuses
from hypothesis import given
from tests.parsers.statistics_text import COMMON, EL6, OLD, ROW, V26, V510, V515

from tablefull.facts.counters import CpuCounters
from tablefull.facts.entry import EntryCount
from tablefull.parsers.block import Context
from tablefull.parsers.clean import clean
from tablefull.parsers.conntrack_stat import entries, read, totals


def counters(text, path=None):
    count, *rows = facts_of(read, text, None, path)
    assert isinstance(count, EntryCount)
    assert (count.count, count.how) == (15, "count")
    assert all(isinstance(row, CpuCounters) and row.cpu is None for row in rows)
    return [row.values for row in rows]


@pytest.mark.parametrize(
    ("header", "values"),
    [
        (V26, COMMON | OLD),
        (V510, COMMON | {"clash_resolve": 0x11}),
        (V515, COMMON | {"clash_resolve": 0x11, "chain_toolong": 0x17}),
    ],
)
def test_each_era(header, values):
    assert counters(header + "\n" + ROW) == [values]
    assert counters(header + "\n" + ROW + "\n" + ROW) == [values, values]


def test_before_search_restart():
    row = ROW.rsplit(" ", 1)[0]
    values = {name: value for name, value in (COMMON | OLD).items() if name != "search_restart"}
    assert counters(EL6 + "\n" + row) == [values]
    (_, fact) = facts_of(read, EL6 + "\n" + row, None, "proc/net/stat/ip_conntrack")
    assert fact.layout == "/proc/net/stat/ip_conntrack"
    (_, fact) = facts_of(read, EL6 + "\n" + row, "cat /proc/net/stat/ip_conntrack")
    assert fact.layout == "/proc/net/stat/ip_conntrack"


def test_captures():
    count, *rows = facts_of(read, captured(ACCOUNTED, "proc/net/stat/nf_conntrack"))
    assert count.count == 14
    assert [(row.values["insert"], row.values["error"], row.values["expect_new"]) for row in rows] == [
        (1, 2, 0),
        (1, 2, 0),
    ]
    assert [row.values["expect_create"] for row in rows] == [2, 0]
    assert [row.values["expect_delete"] for row in rows] == [1, 0]
    assert rows[0].layout == "/proc/net/stat/nf_conntrack"
    count, *rows = facts_of(read, captured(PLAIN, "proc/net/stat/nf_conntrack"))
    assert (count.count, len(rows)) == (13, 2)
    assert not any(value for row in rows for value in row.values.values())


def test_wrapped():
    words = V515.split()
    header = " ".join(words[:9]) + "\n" + " ".join(words[9:])
    header = header.replace("entries ", "entries  ")
    values = ROW.split()
    row = " ".join(values[:8]) + "\n" + " ".join(values[8:])
    expected = COMMON | {"clash_resolve": 0x11, "chain_toolong": 0x17}
    assert counters(header + "\n" + row + "\n" + row) == [expected, expected]
    broken = V515.replace("insert_failed", "insert_fai\nled")
    assert counters(broken + "\n" + ROW) == [expected]


def test_grep_and_spaces():
    name = "/proc/net/stat/nf_conntrack:"
    assert counters(f"{name}{V510}\n{name}{ROW}") == [COMMON | {"clash_resolve": 0x11}]
    assert counters(" ".join(V510.split()) + "\n" + "\t".join(ROW.split())) == [COMMON | {"clash_resolve": 0x11}]


def test_cut():
    answer = read(clean([V515, ROW, ROW[:60]]), 0, Context("-"))
    assert answer is not None
    assert [line.number for line, _ in answer.unread] == [3]
    whole, cut = [fact for fact in answer.facts if isinstance(fact, CpuCounters)]
    assert cut.values == {"clash_resolve": 0x11, "found": 0x12, "invalid": 0x14}
    assert len(whole.values) == 13
    alone = read(clean([V515]), 0, Context("-"))
    assert alone is not None
    assert (alone.facts, len(alone.unread)) == ([], 1)
    too_wide = read(clean([EL6, ROW]), 0, Context("-"))
    assert too_wide is not None
    assert (too_wide.facts, len(too_wide.unread)) == ([], 1)


def test_sentences_are_not_claimed():
    for text in ("entries searched by hand", "entries", "0000000f  00000000", "entries  clashres of mine"):
        assert refuses(read, text), text


@given(LINES, COMMANDS)
def test_any_text(texts, command):
    holds_for(read, texts, command)


def test_no_text_is_slow():
    is_linear(read)


def test_the_whole_file_at_once_as_the_rows_of_it():
    """totals() sums what read() reads row by row, with the columns beside that this kernel never moves."""
    for header in (V26, V510, V515):
        text = header + "\n" + ROW + "\n" + ROW.replace("0000001a", "ffffffff") + "\n"
        whole = totals(text.encode())
        rows = counters(text)
        assert whole is not None
        assert whole.entries == entries(text.encode()) == 15
        for name in rows[0]:
            assert whole.values[name] == rows[0][name] + rows[1][name]
        assert set(whole.values) - set(rows[0]) == set(whole.dead)
        assert whole.values["drop"] == 0x1A + 0xFFFFFFFF


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"entries\n00000001\n",
        b"entries found\n00000001\n",
        b"entries found\nzz 1\n",
        b"entries nope\n1 2\n",
    ],
)
def test_a_file_that_is_none(text):
    assert totals(text) is None


def test_a_count_that_is_none():
    for text in (b"", b"entries \n", b"entries found\n0000", b"entries found\nzzzzzzzz\n", b"x\n00000001"):
        assert entries(text) is None
