"""Slab caches; /proc/slabinfo and slabtop of one capture judge each other, the rest is counted by hand."""

from hypothesis import given
from machine_text import CAPTURE, COMMANDS, LINES, facts_of, holds_for, is_linear, lines_of

from tablefull.parsers.block import Context
from tablefull.parsers.slab import read


def shown(text, command=None, path=None):
    return [(f.name, f.active, f.total, f.object_bytes, f.cache_bytes) for f in facts_of(read, text, command, path)]


def test_one_grepped_row_of_format_1_1():
    assert shown("ip_conntrack 3024 4090 384 409 409 1") == [("ip_conntrack", 3024, 4090, 384, 409 * 4096)]


def test_format_2_0():
    text = """slabinfo - version: 2.0
# name : tunables : slabdata
ip_conntrack_expect 0 0 192 20 1 : tunables 120 60 8 : slabdata 0 0 0
ip_conntrack 34543 34576 384 10 1 : tunables 54 27 8 : slabdata 1612 1612 108
dentry 1 2 3 4 1 : tunables 54 27 8 : slabdata 1 1 1"""
    assert shown(text) == [("ip_conntrack_expect", 0, 0, 192, 0), ("ip_conntrack", 34543, 34576, 384, 34576 * 384)]


def test_this_capture_agrees_with_slabtop():
    (row,) = [
        line.split()
        for line in (CAPTURE / "commands/slabtop").read_text().splitlines()
        if line.endswith("nf_conntrack           ")
    ]
    (top,) = shown((CAPTURE / "commands/slabtop").read_text())
    (info,) = shown((CAPTURE / "proc/slabinfo").read_text())
    assert top == info
    assert top == ("nf_conntrack", int(row[1]), int(row[0]), 256, int(row[6].rstrip("K")) * 1024)


def test_a_cache_of_a_namespace():
    assert shown(
        "nf_conntrack_ffffffff81ce9b80   1404   1716    304   13    1 : tunables    0    0    0 : slabdata    132    132      0"
    ) == [("nf_conntrack_ffffffff81ce9b80", 1404, 1716, 304, 132 * 4096)]


def test_other_rows_are_not_claimed():
    for text in (
        "nf_conntrack 139264 5 xt_conntrack",
        "nf_conntrack_max 65536",
        "nf_conntrack: table full",
        "dentry 1 2 3 4 5",
    ):
        assert read(lines_of(text), 0, Context("-")) is None


@given(LINES, COMMANDS)
def test_any_text_is_answered(texts, command):
    holds_for(read, texts, command)


def test_time_is_linear():
    is_linear(read)
