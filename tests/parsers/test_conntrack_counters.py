"""``conntrack -S`` of every era, and bare numbers that only their command explains."""

import pytest
from conntrack_text import ACCOUNTED, COMMANDS, LINES, PLAIN, captured, facts_of, holds_for, is_linear, refuses
from hypothesis import given

from tablefull.facts.counters import CpuCounters
from tablefull.facts.entry import EntryCount
from tablefull.parsers.block import Context
from tablefull.parsers.conntrack_counters import read

# An incident's line of conntrack 1.4.4 on an older kernel.
OLDER = (
    "cpu=0           searched=9849898 found=47461941 new=10678283 invalid=152 ignore=312 delete=12242313 delete_list=12242174 "
    "insert=10678145 insert_failed=139 drop=0 early_drop=0 error=0 search_restart=0"
)
COLUMN = (
    "entries   \t\t12345   \nsearched  \t\t678     \nfound     \t\t90      \nnew       \t\t5       \ninvalid   \t\t4       \n"
    "ignore    \t\t3       \ndelete    \t\t2       \ndelete_list\t\t1       \ninsert    \t\t11      \ninsert_failed\t\t12      \n"
    "drop      \t\t13      \nearly_drop\t\t14      \nicmp_error\t\t15      \nexpect_new\t\t16      \nexpect_create\t\t17      \n"
    "expect_delete\t\t18      "
)


def count(text, command) -> tuple[int, str]:
    (fact,) = facts_of(read, text, command)
    assert isinstance(fact, EntryCount)
    return fact.count, fact.how


def test_captures():
    rows = facts_of(read, captured(ACCOUNTED, "commands/conntrack-S"))
    assert [row.cpu for row in rows] == [0, 1]
    expected = dict.fromkeys(
        ("found", "invalid", "insert", "insert_failed", "drop", "early_drop", "error", "search_restart", "clash_resolve",
         "chain_toolong"), 0
    ) | {"insert": 1, "error": 2}  # fmt: skip
    assert [row.values for row in rows] == [expected, expected]
    assert rows[0].layout == "conntrack -S"
    assert count((PLAIN / "commands/conntrack-C").read_text(), "conntrack -C") == (13, "count")


def test_older():
    (row,) = facts_of(read, OLDER)
    assert row.values == {
        "searched": 9849898, "found": 47461941, "new": 10678283, "invalid": 152, "ignore": 312, "delete": 12242313,
        "delete_list": 12242174, "insert": 10678145, "insert_failed": 139, "drop": 0, "early_drop": 0, "error": 0,
        "search_restart": 0,
    }  # fmt: skip


def test_wrapped():
    (plain,) = facts_of(read, OLDER)
    for word in ("insert=", "early_drop=", "found="):
        first, second = facts_of(read, "\n".join([OLDER.replace(" " + word, "\n" + word)] * 2))
        assert first.values == second.values == plain.values
        assert (first.cpu, first.origin.line, second.origin.line) == (0, 1, 3)


def test_by_way_of_proc():
    text = "cpu=0   \tentries=99 clashres=3 found=1 chainlength=2 icmp_error=7 \ncpu=1   \tentries=99 clashres=4 found=0 chainlength=0 icmp_error=0 "
    first, entries, second = facts_of(read, text)
    assert first.values == {"clash_resolve": 3, "found": 1, "chain_toolong": 2, "error": 7}
    assert (entries.count, second.cpu, second.values["clash_resolve"]) == (99, 1, 4)


def test_one_column():
    entries, row = facts_of(read, COLUMN)
    assert (entries.count, entries.how) == (12345, "count")
    assert row.cpu is None
    assert (row.values["searched"], row.values["drop"], row.values["error"], row.values["insert_failed"]) == (
        678,
        13,
        15,
        12,
    )
    assert "entries" not in row.values


def test_a_cut_first_line():
    row, whole = facts_of(read, "insert_failed=139 drop=5 early_drop=0 error=0 search_restart=0\n" + OLDER)
    assert (row.cpu, row.values["drop"], whole.cpu) == (None, 5, 0)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("conntrack -C", (77, "count")),
        ("sudo conntrack --count", (77, "count")),
        ("watch -n1 conntrack -C", (77, "count")),
        ("conntrack -L | wc -l", (77, "listed")),
        ("conntrack -L 2>/dev/null | wc -l", (77, "listed")),
        ("cat /proc/net/nf_conntrack | wc -l", (77, "listed")),
        ("wc -l < /proc/net/ip_conntrack", (77, "listed")),
    ],
)
def test_a_bare_number(command, expected):
    assert count("77", command) == expected


def test_numbers_of_others():
    for command in (
        None, "conntrack -C expect", "conntrack -L -p tcp | wc -l", "grep tcp /proc/net/nf_conntrack | wc -l", "nproc",
        "cat /proc/sys/net/netfilter/nf_conntrack_max", "cat /proc/net/nf_conntrack | grep ESTABLISHED | wc -l",
    ):  # fmt: skip
        assert refuses(read, "77", command), command


def test_two_numbers_of_two_commands():
    command = "conntrack -C; sysctl -n net.netfilter.nf_conntrack_max"
    lines = captured(PLAIN, "commands/conntrack-C")
    lines.append(lines[0]._replace(number=2, text="262144"))
    first = read(lines, 0, Context("-", command))
    assert first is not None
    assert (first.used, first.facts[0].count) == (1, 13)
    assert read(lines, 1, Context("-", command)) is None
    turned = "sysctl -n net.netfilter.nf_conntrack_max; conntrack -C"
    assert read(lines, 0, Context("-", turned)) is None
    assert read(lines, 1, Context("-", turned)) is not None


def test_wc_with_a_name():
    assert count("65536 /proc/net/nf_conntrack", "wc -l /proc/net/nf_conntrack") == (65536, "listed")


def test_sentences_are_not_claimed():
    for text in (
        "cpu=100m memory=2",
        "limits: cpu=2 memory=4",
        "cpu=0",
        "the insert_failed= column",
        "entries are 5",
        "entries 5",
    ):
        assert refuses(read, text), text
    assert all(isinstance(fact, CpuCounters) for fact in facts_of(read, "cpu=3 found=1"))


@given(LINES, COMMANDS)
def test_any_text(texts, command):
    holds_for(read, texts, command)


def test_no_text_is_slow():
    is_linear(read, "conntrack -C")
