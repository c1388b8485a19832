"""A watch beside the running kernel: entries in a namespace of its own, a full disk, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.realkernel import host_limits
from tests.realkernel.table_space import table_space

pytestmark = pytest.mark.realkernel
ROOT = Path(__file__).resolve().parents[2]
WATCH = [sys.executable, "-m", "tablefull", "watch", "--every", "1", "--format", "json"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "src")}


def objects(child: "subprocess.Popen[str]", wanted: int, kind: str = "sample") -> list[dict[str, object]]:
    """So many lines of a kind, in order."""
    assert child.stdout is not None
    found: list[dict[str, object]] = []
    while len(found) < wanted:
        line = child.stdout.readline()
        assert line, child.communicate()
        told = json.loads(line)
        if told["type"] == kind:
            found.append(told)
    return found


def end(child: "subprocess.Popen[str]") -> None:
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=30)
    assert (child.returncode, errors) == (0, "")


def test_a_namespace_is_counted_as_the_kernel_counts_it(tmp_path: Path) -> None:
    with table_space() as space:
        words = [*WATCH, "--netns", space.name, "--history", str(tmp_path / "h.db")]
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
        ) as child:
            assert objects(child, 1)[0]["count"] == 0
            space.fill(500)
            counts = [one["count"] for one in objects(child, 2)]
            assert counts[-1] == int(space.run("cat", "/proc/sys/net/netfilter/nf_conntrack_count"))
            assert counts[-1] == 500
            end(child)


def test_the_limit_of_the_host_is_an_alarm_in_the_namespace(tmp_path: Path) -> None:
    with table_space(limit=520) as space:
        space.fill(500)
        words = [*WATCH, "--netns", space.name, "--history", str(tmp_path / "h.db")]
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
        ) as child:
            alarm = objects(child, 1, "alarm")[0]
            assert (alarm["alarm"], alarm["level"], alarm["max"]) == ("full", "critical", 520)
            end(child)
        once = subprocess.run([*words, "--once"], capture_output=True, text=True, env=ENVIRONMENT, check=False)
        assert once.returncode == 1


def test_all_namespaces_and_one_that_is_gone(tmp_path: Path) -> None:
    with table_space() as space:
        words = [*WATCH, "--netns", "all", "--once", "--history", str(tmp_path / "h.db")]
        done = subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT, check=False)
        told = {one["space"]: one for one in map(json.loads, done.stdout.splitlines())}
        assert told[space.name]["count"] == 0
        assert "this one" in told


def test_a_full_disk_is_told_once_and_the_watch_goes_on(tmp_path: Path) -> None:
    """In a mount namespace of its own, on a file system of 64 kB that somebody fills."""
    script = (
        f"mount --make-rprivate / && mount -t tmpfs -o size=64k none {tmp_path} || exit 9; "
        f"(sleep 3; head -c 200k /dev/zero > {tmp_path}/filler; sleep 4; rm {tmp_path}/filler) 2>/dev/null & "
        f"exec timeout -s TERM 14 {' '.join(WATCH)} --history {tmp_path}/h.db"
    )
    with host_limits.shared():
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, env=ENVIRONMENT, check=False
        )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    notes = [one["text"] for one in told if one["type"] == "note"]
    assert done.stderr == ""
    assert len([one for one in told if one["type"] == "sample"]) >= 8
    assert len(notes) == 2, notes
    assert "the disk is full" in notes[0]
    assert notes[1].endswith("is written again")


def test_nothing_of_the_kernel_is_changed(tmp_path: Path) -> None:
    def state() -> list[str]:
        return [
            Path("/proc/modules").read_text() if Path("/proc/modules").exists() else "",
            Path("/proc/sys/net/netfilter/nf_conntrack_buckets").read_text(),
            Path("/proc/sys/net/netfilter/nf_conntrack_events").read_text(),
        ]

    with table_space() as space:
        before = [*state(), space.run("nft", "list", "ruleset")]
        words = [*WATCH, "--netns", space.name, "--history", str(tmp_path / "h.db")]
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
        ) as child:
            objects(child, 2)
            end(child)
        assert [*state(), space.run("nft", "list", "ruleset")] == before
