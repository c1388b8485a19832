"""Places at which a test may end a fix: heard from the environment, and never on a host's own journal."""

import subprocess
import sys
from pathlib import Path

from tablefull.fixes import faults


def test_nothing_is_heard_where_the_journal_is_the_hosts_own(tmp_path: Path) -> None:
    log = tmp_path / "log"
    own = faults.of("undoer", {faults.KILL: "undoer:1", faults.LOG: str(log)}, own_place=True)
    assert own is faults.never
    own("here")
    assert not log.exists()


def test_places_are_numbered_by_role(tmp_path: Path) -> None:
    log = tmp_path / "log"
    fault = faults.of("keeper", {faults.LOG: str(log)}, own_place=False)
    fault("one")
    fault("two")
    assert log.read_text() == "keeper:1 one\nkeeper:2 two\n"


def test_another_role_is_not_meant() -> None:
    assert faults.of("command", {faults.KILL: "undoer:1"}, own_place=False) is faults.never


def test_the_process_ends_at_the_place_named() -> None:
    code = (
        "from tablefull.fixes.faults import of\n"
        "fault = of('undoer', {'TABLEFULL_FAULT': 'undoer:%s'}, False)\n"
        "fault('first')\nprint('between', flush=True)\nfault('second')\nprint('behind', flush=True)\n"
    )
    for place in ("2", "second"):
        done = subprocess.run([sys.executable, "-c", code % place], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (-9, "between\n")
