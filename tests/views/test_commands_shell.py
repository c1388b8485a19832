"""Completion scripts load in their shells; the manual page is printed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from view_texts import ROOT

Tablefull = Callable[..., subprocess.CompletedProcess[str]]


def test_man_prints_roff(tablefull: Tablefull) -> None:
    done = tablefull("man")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(".TH TABLEFULL 1")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_script_names_the_program(tablefull: Tablefull, shell: str) -> None:
    done = tablefull("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert "_TABLEFULL_COMPLETE" in done.stdout


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [("tablefull dia", "diagnose"), ("tablefull explain bridge", "bridge-nf"), ("tablefull diagnose --fo", "--format")],
)
def test_bash_completes(
    tablefull: Tablefull, program: Callable[[str], str], tmp_path: Path, typed: str, wanted: str
) -> None:
    script = tablefull("completion", "bash").stdout
    command = tmp_path / "tablefull"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tablefull "$@"\n')
    command.chmod(0o755)
    words = typed.split()
    probe = script + (
        f"\nCOMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}\n"
        '_tablefull_completion tablefull\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([program("bash"), "-c", probe], capture_output=True, text=True, env=environment, check=False)
    assert wanted in done.stdout.split()
    assert done.stderr == ""
