"""``tablefull explain``."""

import subprocess
from collections.abc import Callable

from tablefull.fixes.meanings import MEANINGS
from tablefull.rules.meanings import CAUSES

Tablefull = Callable[..., subprocess.CompletedProcess[str]]


def test_without_an_id_all_are_listed(tablefull: Tablefull) -> None:
    done = tablefull("explain")
    assert done.returncode == 0
    assert all(name in done.stdout for name in (*CAUSES, *MEANINGS))


def test_a_cause_and_a_fix(tablefull: Tablefull) -> None:
    assert "(a cause)" in tablefull("explain", "bridge-nf").stdout
    assert "(a fix)" in tablefull("explain", "notrack").stdout


def test_an_unknown_id_is_one_line(tablefull: Tablefull) -> None:
    done = tablefull("explain", "\x1b[2Jzzz")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "\x1b" not in done.stderr


def test_a_long_id_is_cut_and_no_cause_is_suggested_for_no_word(tablefull: Tablefull) -> None:
    done = tablefull("explain", "x" * 3000)
    assert done.returncode == 2
    assert len(done.stderr) < 300
    assert "none" not in tablefull("explain", "nope").stderr
