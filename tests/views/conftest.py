"""The incident, a hostile paste, and the program as a process."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from view_texts import HOSTILE, ROOT, XEN

from tablefull.fixes.diagnosis import Diagnosis, diagnose
from tablefull.parsers.reader import read_text

Tablefull = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def xen() -> Diagnosis:
    return diagnose(read_text(XEN.read_text("utf-8"), "xen-dom0.txt"))


@pytest.fixture(scope="session")
def hostile() -> Diagnosis:
    return diagnose(read_text(HOSTILE, "`evil`<b>.txt"))


@pytest.fixture
def tablefull() -> Tablefull:
    def call(
        *arguments: str, stdin: str | bytes = "", environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        own = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "TERM")}
        own |= {"PYTHONPATH": str(ROOT / "src"), **(environment or {})}
        given = stdin if isinstance(stdin, bytes) else stdin.encode()
        done = subprocess.run(
            [sys.executable, "-m", "tablefull", *arguments],
            input=given, capture_output=True, env=own, timeout=60, check=False,
        )  # fmt: skip
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        )

    return call
