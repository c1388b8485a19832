"""Fixes for another host, from the evidence of the incident."""

import json
import subprocess
from pathlib import Path

import pytest
from view_texts import HOSTILE, XEN

from tablefull.fixes.diagnosis import Diagnosis
from tablefull.views import fix_evidence


def test_a_script_of_the_first_fix_with_the_others_as_comments(xen: Diagnosis) -> None:
    text = fix_evidence.shell(xen)
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    assert xen.fixes[0].id in text
    live = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert live[0] == "set -eu"
    for plan in xen.fixes[1:]:
        assert f"# {plan.id} on " in text


def test_a_playbook_is_yaml_by_being_json(xen: Diagnosis) -> None:
    text = fix_evidence.ansible(xen)
    body = "\n".join(line for line in text.split("\n")[1:] if not line.startswith("#"))
    (play,) = json.loads(body)
    assert play["tasks"]


@pytest.mark.parametrize("form", ["text", "markdown", "json", "sh", "ansible"])
def test_every_form_of_the_incident(capsys: pytest.CaptureFixture[str], form: str) -> None:
    assert fix_evidence.show((str(XEN),), form, None) == 0
    assert "bridge-nf-call" in capsys.readouterr().out


def test_nothing_of_a_stranger_acts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "paste.txt"
    path.write_text(HOSTILE)
    for form in ("text", "markdown", "sh", "ansible"):
        fix_evidence.show((str(path),), form, None)
        assert "\x1b" not in capsys.readouterr().out


def test_nothing_to_fix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "paste.txt"
    path.write_text("hello\n")
    assert fix_evidence.show((str(path),), "text", None) == 3
    assert "nothing to fix" in capsys.readouterr().err
