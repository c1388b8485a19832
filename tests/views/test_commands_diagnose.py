"""``tablefull diagnose`` of this host, and what its options add."""

import json
import subprocess
from collections.abc import Callable

from view_texts import XEN

Tablefull = Callable[..., subprocess.CompletedProcess[str]]


def test_this_host(tablefull: Tablefull) -> None:
    done = tablefull("diagnose", "--format", "json")
    assert done.returncode in (0, 1, 3)
    found = json.loads(done.stdout)
    assert found["live"] is True
    assert found["hosts"]


def test_this_host_as_a_page(tablefull: Tablefull) -> None:
    done = tablefull("diagnose", "--format", "html")
    assert done.stdout.startswith("<!DOCTYPE html>")


def test_rules_in_every_format(tablefull: Tablefull) -> None:
    for form in ("text", "json", "markdown", "html"):
        done = tablefull("diagnose", str(XEN), "--explain-rules", "--format", form)
        assert done.returncode == 1
        assert "bridged_traffic_is_tracked" in done.stdout.replace("\\_", "_")


def test_json_is_alone_on_standard_output(tablefull: Tablefull) -> None:
    done = tablefull("diagnose", "-", "--format", "json", stdin=XEN.read_bytes())
    assert json.loads(done.stdout)["schema"] == "tablefull/diagnosis/1"
    assert done.stderr == ""
