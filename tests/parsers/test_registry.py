"""Which parser may begin where; every row names a parser, and the lines it is for pass its filter."""

from importlib import import_module

import pytest

from tablefull.parsers import kernel_log, reader
from tablefull.parsers.registry import ROWS


def test_every_row_names_a_parser_once():
    modules = [row.module for row in ROWS]
    assert len(modules) == len(set(modules))
    for module in modules:
        assert callable(import_module(f"tablefull.parsers.{module}").read)


def test_no_hint_is_empty():
    assert all(hint for row in ROWS for hint in (*row.hints, *row.commands))


@pytest.mark.parametrize("needle", [needle for needle, _ in kernel_log.NEEDLES])
def test_every_kernel_message_passes_the_filter(needle):
    (row,) = [row for row in ROWS if row.module == "kernel_log"]
    assert any(hint in f"[1.5] nf_x: {needle} 7 entries exceeded" for hint in row.hints)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("kernel_log", "nf_conntrack:table full,dropping packet."),
        ("kernel_log", '{"MESSAGE":[110,102]}'),
        ("conntrack_entries", "udp      17 29 src=10.0.0.1 dst=10.0.0.2"),
        ("iptables_list", "Chain INPUT (policy ACCEPT)"),
        ("iptables_save", "-A INPUT -j ACCEPT"),
        ("uname", "Linux MYHOST 3.2.0-24-generic #37-Ubuntu SMP Wed Apr 25 08:43:22 UTC 2012 x86_64 GNU/Linux"),
        ("sysctl", "| net.netfilter.nf_conntrack_max | 65536 |"),
        ("sysctl", "net.netfilter.nf_conntrack_max 65536"),
        ("sockets", "TCP:   1655 (estab 1556, closed 39)"),
    ],
)
def test_hints_let_their_lines_through(module, line):
    (row,) = [row for row in ROWS if row.module == module]
    assert any(hint in line for hint in row.hints)


def test_a_tiny_line_without_a_sign_of_its_own_matches_nothing():
    """The reader passes over such lines without asking: every hint is longer, or holds one of the signs."""
    hints = [hint for row in ROWS for hint in row.hints]
    assert all(len(hint) >= reader._SHORT or set(hint) & set("=: ") for hint in hints)
    assert not any(hint.isdigit() for hint in hints)
