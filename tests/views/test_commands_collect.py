"""A bundle from this host, and the script for others."""

import json
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

Tablefull = Callable[..., subprocess.CompletedProcess[str]]


def test_a_bundle_is_written_and_can_be_diagnosed(tablefull: Tablefull, tmp_path: Path) -> None:
    file = tmp_path / "b.tar.gz"
    done = tablefull("collect", "-o", str(file))
    assert (done.returncode, done.stdout) == (0, "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with tarfile.open(file) as archive:
        assert any(name.endswith("/MANIFEST.json") for name in archive.getnames())
    answer = tablefull("diagnose", str(file), "--format", "json")
    assert answer.returncode in (0, 1, 3)
    assert json.loads(answer.stdout)["hosts"][0]["name"] in (os.uname().nodename, "localhost")


def test_nothing_is_written_over_unless_forced(tablefull: Tablefull, tmp_path: Path) -> None:
    file = tmp_path / "b.tar.gz"
    file.write_text("precious")
    done = tablefull("collect", "-o", str(file))
    assert done.returncode == 2
    assert file.read_text() == "precious"
    assert tablefull("collect", "-o", str(file), "--force").returncode == 0
    assert file.stat().st_size > 100


def test_the_script_is_sh(tablefull: Tablefull) -> None:
    done = tablefull("collect", "--script")
    assert done.returncode == 0
    assert done.stdout.startswith("#!/bin/sh\n")
    assert subprocess.run(["sh", "-n"], input=done.stdout, text=True, check=False).returncode == 0
