"""The words of `tablefull fix`: which go together, and that nothing changes without --apply."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from fix_plans import PLAN
from view_texts import XEN

from tablefull.fixes.act import write
from tablefull.views import cli

Tablefull = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("no-such-fix",), "is no fix and no file"),
        (("raise-maxx",), "did you mean raise-max"),
        (("--confirm", "--undo"), "one at a time"),
        (("--confirm", "--apply"), "one at a time"),
        (("--history", "raise-max"), "goes without"),
        (("--undo", "2", "raise-max"), "goes without"),
        (("--apply",), "one fix at a time"),
        (("raise-max", "notrack", "--apply"), "one fix at a time"),
        (("raise-max", "--apply", "--format", "json"), "goes without --format"),
        (("raise-max", "--apply", "--confirm-within", "soon"), "a time is wanted"),
        (("raise-max", "--apply", "--confirm-within", "3d"), "a day at most"),
        (("raise-max", "--apply", "--probe", "x"), "HOST:PORT"),
        ((str(XEN), "--apply"), "is evidence"),
        ((str(XEN), "raise-max"), "evidence is planned from whole; leave raise-max away"),
        (("web1.tar.gz",), "'web1.tar.gz' is no fix and no file\n"),
        (("./nonsense",), "is no fix and no file\n"),
        (("a" * 5000,), "aaa...' is no fix and no file"),
        (("shorten-timeouts", "--timeout", "x"), "NAME=TIME"),
        (("--confirm", "x"), "named by its number"),
        (("--confirm", "2", "--netns", "x"), "--confirm goes without --netns"),
        (("--undo", "--max", "9"), "--undo goes without --max"),
        (("--status", "--format", "json"), "--status goes without --format"),
        (("--history", "--format", "sh"), "as text or json, not as sh"),
        (("notrack", "--max", "9"), "--max is for raise-max and raise-expect-max, not for notrack"),
        (("notrack", "--max", "9", "--apply"), "--max is for raise-max"),
        (("fix-application", "--where", "udp"), "--where is for flush-entries"),
        ((str(XEN), "--probe", "h:1"), "goes without --probe"),
        (("--plan", str(XEN), "--buckets", "9"), "--plan goes without --buckets"),
        (("--plan", str(XEN), "--i-know"), "--plan goes without --i-know"),
        (("--confirm", ""), "--confirm: an empty word"),
        (("--undo", ""), "--undo: an empty word"),
        (("--state", "", "--history"), "--state: an empty word"),
        (("",), "a fix or a file: an empty word"),
        (("raise-max", ""), "a fix or a file: an empty word"),
        (("raise-max", "--netns", "", "--apply"), "--netns: an empty word"),
        (("notrack", "--port", "udp/53", "--port", ""), "--port: an empty word"),
        (("raise-max", "-o", ""), "--output: an empty word"),
        (("raise-max", "--confirm-within", "soon"), "a time is wanted"),
        (("--history", "--state", "/nowhere/at/all"), "/nowhere/at/all: there is no such folder"),
        (("--undo", "1", "--state", str(XEN)), "is no folder"),
    ],
)
def test_wrong_words(tablefull: Tablefull, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = tablefull("fix", *words, environment={"TABLEFULL_STATE": str(tmp_path / "state")})
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "state").exists()


def test_a_plan_from_a_file_is_shown_in_every_form(tablefull: Tablefull, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(write(PLAN))
    for form in ("text", "json", "markdown", "sh", "ansible"):
        done = tablefull("fix", "--plan", str(path), "--format", form)
        assert done.returncode == 0, done.stderr
        assert "262144" in done.stdout
    done = tablefull("fix", "--plan", str(path), "-o", str(tmp_path / "out.txt"))
    assert "262144" in (tmp_path / "out.txt").read_text()


def test_evidence_from_standard_input(tablefull: Tablefull) -> None:
    done = tablefull("fix", "-", "--format", "sh", stdin=XEN.read_text())
    assert done.returncode == 0
    assert done.stdout.startswith("#!/bin/sh\n")


def test_nothing_was_applied_here(tablefull: Tablefull, tmp_path: Path) -> None:
    environment = {"TABLEFULL_STATE": str(tmp_path / "state")}
    assert "No fix was applied" in tablefull("fix", "--history", environment=environment).stdout
    assert "Nothing waits" in tablefull("fix", "--status", environment=environment).stdout
    assert not (tmp_path / "state").exists()


def test_a_file_where_the_journals_should_lie(tablefull: Tablefull, tmp_path: Path) -> None:
    (tmp_path / "afile").write_text("")
    plan = tmp_path / "plan.json"
    plan.write_bytes(write(PLAN))
    done = tablefull("fix", "--plan", str(plan), "--apply", "--state", str(tmp_path / "afile"))
    assert done.returncode == 4
    assert "there is a file where a folder is needed" in done.stderr
    assert done.stderr.count("\n") == 1


def test_it_has_its_place_among_the_commands(tablefull: Tablefull) -> None:
    assert "fix" in cli.COMMANDS
    done = tablefull("fix", "--help")
    assert done.returncode == 0
    assert "--confirm-within" in done.stdout
