"""Columns, aliases and meanings on both sides of each change, and the header the running kernel prints."""

import os
import subprocess

import pytest

from tablefull.kernel import uapi
from tablefull.kernel.identity import parse_release

OLD = "entries  searched found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error"
OLD += "  expect_new expect_create expect_delete"
NEW = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error"
NEW += "  expect_new expect_create expect_delete search_restart"


def test_header_eras() -> None:
    assert uapi.header_era(OLD.split()) == "2.6.18"
    assert uapi.header_era([*OLD.split(), "search_restart"]) == "2.6.35"
    assert uapi.header_era(NEW.replace("chainlength", "delete_list").split()) == "5.10"
    assert uapi.header_era(NEW.split()) == "5.15"
    assert uapi.header_era(["entries", "in_hit"]) is None
    assert uapi.header_era(["insert_failed"]) is None
    assert list(uapi.HEADERS["2.6.18"]) == OLD.split()
    assert list(uapi.HEADERS["5.15"]) == NEW.split()


@pytest.mark.parametrize(
    ("release", "era"),
    [
        ("2.6.32-431.el6.x86_64", "2.6.18"),
        ("5.9.2", "2.6.35"),
        ("5.10.89", "5.10"),
        ("5.14.0", "5.10"),
        ("6.1.20", "5.15"),
    ],
)
def test_expected_header(release: str, era: uapi.Era) -> None:
    assert uapi.expected_header(parse_release(release)).value == uapi.HEADERS[era]


def test_one_spelling_for_each_counter() -> None:
    assert uapi.counter("clashres") == "clash_resolve"
    assert uapi.counter("chaintoolong") == uapi.counter("chainlength") == "chain_toolong"
    assert uapi.counter("icmp_error") == "error"
    assert uapi.counter("drop") == "drop"
    for header in uapi.HEADERS.values():
        assert {uapi.counter(column) for column in header} <= set(uapi.COUNTERS)
    assert set(uapi.STATS_ATTRIBUTES.values()) <= set(uapi.COUNTERS)


def test_columns_that_say_nothing() -> None:
    assert uapi.dead_columns(NEW.split()) == ("new", "ignore", "delete")
    assert uapi.dead_columns(OLD.split(), parse_release("4.14.177")) == ("searched", "new", "delete", "delete_list")
    assert uapi.dead_columns(OLD.split(), parse_release("2.6.32-5-amd64")) == ()
    assert uapi.dead_columns(OLD.split()) == ()


def test_meanings_move() -> None:
    old, middle, new = parse_release("4.4.217"), parse_release("4.15.0-20-generic"), parse_release("6.1.20")
    assert "confirmed" in (uapi.meaning("insert", old).value or "")
    assert "conntrack -I" in (uapi.meaning("insert", new).value or "")
    assert "settled" in (uapi.meaning("insert_failed", middle).value or "")
    assert "was dropped" in (uapi.meaning("insert_failed", new).value or "")
    assert "port reuse" in (uapi.meaning("invalid", middle).value or "")
    assert "port reuse" not in (uapi.meaning("invalid", parse_release("5.15.135")).value or "")
    assert uapi.meaning("new", new).value == "always 0 on this kernel"
    assert uapi.meaning("chainlength", parse_release("5.4.0")).basis == "unknown"
    assert uapi.meaning("drop", None).value == uapi.meaning("drop", new).value
    assert uapi.meaning("insert", None).basis == "unknown"
    assert uapi.meaning("banana", new).basis == "unknown"


@pytest.mark.realkernel
def test_the_running_kernels_header() -> None:
    read = subprocess.run(
        ["unshare", "-n", "cat", "/proc/net/stat/nf_conntrack"], capture_output=True, text=True, check=False
    )
    if read.returncode != 0:
        pytest.skip("this kernel has no /proc/net/stat/nf_conntrack")
    header = tuple(read.stdout.splitlines()[0].split())
    assert uapi.expected_header(parse_release(os.uname().release)).value == header
