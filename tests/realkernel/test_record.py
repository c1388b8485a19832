"""``tablefull record`` on the running kernel: what ``conntrack -E`` sees, gaps with their number, and the table again."""

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.realkernel import filled, host_limits
from tests.realkernel.namespace import Namespace

from tablefull.live.netlink import Netlink
from tablefull.wire import ctnetlink, nlattr

pytestmark = pytest.mark.realkernel

PATIENCE_S = 60
FLUSH = nlattr.message(ctnetlink.SUBSYSTEM << 8 | ctnetlink.DELETE, nlattr.REQUEST, 9, struct.pack(">BBH", 0, 0, 0))
TUPLE = ("proto", "src", "dst", "sport", "dport")
RULES = "table ip t { chain o { type filter hook output priority 0; ct state new; }; }\n"


@pytest.fixture
def space() -> Iterator[Namespace]:
    with host_limits.shared(), Namespace() as found:
        found.run("ip", "link", "set", "lo", "up")
        found.run("nft", "-f", "-", text=RULES)
        yield found


class Recording:
    """The command as a process."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        call = [sys.executable, "-m", "tablefull", "record", "-o", str(folder), "--format", "json", *words]
        self.process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.said: list[str] = []
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if "recording into" in line:
                break

    def end(self, number: int = signal.SIGTERM) -> dict[str, Any]:
        """Stop it; what it answered."""
        self.process.send_signal(number)
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """What it answers at its end."""
        out, told = self.process.communicate(timeout=PATIENCE_S)
        self.said += told.splitlines()
        found: dict[str, Any] = json.loads(out)
        return found

    def rows(self) -> pl.DataFrame:
        """Everything that is in the files."""
        return pl.concat([pl.read_parquet(path) for path in sorted(self.folder.glob("*.parquet"))])


def storm(space: Namespace, count: int, seed: int = 1, flush: bool = True) -> None:
    """So many entries, and their end."""
    with Netlink(namespace=f"/proc/{space.pid}/ns/net") as link:
        filled.fill(link, count, seed=seed)
        if flush:
            link.socket.send(FLUSH)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def datagrams(space: Namespace, ports: range) -> None:
    """Each an entry that nobody answers."""
    with space.inside():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender:
        sender.bind(("127.0.0.1", 40000))
        for port in ports:
            try:
                sender.sendto(b"x", ("127.0.0.1", port))
            except ConnectionRefusedError:  # the answer to the one before
                sender.sendto(b"x", ("127.0.0.1", port))


def _waiting(space: Namespace) -> list[int]:
    """What waits in each socket that listens to events."""
    lines = [line.split() for line in space.run("cat", "/proc/net/netlink").splitlines()[1:]]
    return [int(words[4]) for words in lines if words[1] == "12" and int(words[3], 16) & 7 == 7]


def listed(text: str) -> Counter[tuple[str, ...]]:
    """Events of ``conntrack -E``: kind, protocol and the original tuple."""
    found: Counter[tuple[str, ...]] = Counter()
    for line in text.splitlines():
        match = re.search(r"\[(NEW|UPDATE|DESTROY)\]\s+(\w+)\s.*?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)", line)
        assert match is not None, line
        found[match.groups()] += 1
    return found


def table(space: Namespace) -> set[tuple[str, ...]]:
    """The original tuples that ``conntrack -L`` lists."""
    text = space.run("conntrack", "-L") + space.run("conntrack", "-L", "-f", "ipv6")
    pattern = r"^(\w+)\s.*?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)"
    return {match.groups() for match in re.finditer(pattern, text, re.MULTILINE)}


def living(rows: pl.DataFrame) -> set[tuple[str, ...]]:
    """The table that the record adds up to: from the last whole dump on, new ones come and destroyed ones go."""
    synced = rows.filter(pl.col("kind") == "synced")["time_ns"].max()
    there: set[tuple[str, ...]] = set()
    for kind, time_ns, *key in rows.sort("time_ns", maintain_order=True).select("kind", "time_ns", *TUPLE).iter_rows():
        words = tuple(str(word) for word in key)
        if (kind == "resync" and time_ns == synced) or (kind in ("NEW", "UPDATE") and time_ns > synced):
            there.add(words)
        elif kind == "DESTROY" and time_ns > synced:
            there.discard(words)
    return there


def test_it_sees_what_conntrack_sees(space: Namespace, tmp_path: Path, program: Callable[[str], str]) -> None:
    conntrack = program("conntrack")
    with (tmp_path / "peer").open("w") as file, space.inside():  # a pipe nobody reads would make it slow
        peer = subprocess.Popen([conntrack, "-E", "-b", "8000000"], stdout=file, stderr=subprocess.DEVNULL)
    recording = Recording(tmp_path / "r", "--netns", str(space.pid))
    # A hundred at a time: `conntrack -E` 1.4.7 sets the buffer of another socket than the one it listens with.
    for piece in range(15):
        datagrams(space, range(20000 + 100 * piece, 20100 + 100 * piece))
        until(lambda: not any(_waiting(space)))
        storm(space, 50, piece, flush=False)
        until(lambda: not any(_waiting(space)))
        with Netlink(namespace=f"/proc/{space.pid}/ns/net") as link:
            link.socket.send(FLUSH)
        until(lambda: not any(_waiting(space)))
    answer = recording.end()
    peer.send_signal(signal.SIGINT)
    peer.wait(timeout=PATIENCE_S)
    seen = listed((tmp_path / "peer").read_text())
    rows = recording.rows().filter(pl.col("kind").is_in(["NEW", "UPDATE", "DESTROY"]))
    ours = Counter(tuple(str(word) for word in row) for row in rows.select("kind", *TUPLE).iter_rows())
    assert sum(seen.values()) == 2 * 15 * 150 + answer["events"]["UPDATE"]
    assert ours == seen
    assert sum(answer["events"].values()) == sum(seen.values())
    assert (answer["gaps"], answer["lost"], recording.process.returncode) == (0, 0, 0)


def test_the_cost_is_said_before_it_starts(space: Namespace, tmp_path: Path) -> None:
    recording = Recording(tmp_path / "r", "--netns", str(space.pid))
    said = "".join(recording.said)
    recording.end()
    assert said.index("128 bytes more, in every namespace of this host") < said.index("recording into")
    assert "send no events unless somebody listened when they were made" in said
    assert "times are those of receipt" in said


def test_the_kernel_stamps_where_that_is_on(space: Namespace, tmp_path: Path) -> None:
    space.write({"nf_conntrack_timestamp": 1})
    recording = Recording(tmp_path / "r", "--netns", str(space.pid))
    before_ns = time.time_ns()
    datagrams(space, range(20000, 20010))
    space.run("conntrack", "-F")
    after_ns = time.time_ns()
    recording.end()
    rows = recording.rows().filter(pl.col("kind").is_in(["NEW", "DESTROY"]))
    assert len(rows) == 20
    assert set(rows["time_from"]) <= {"event", "start", "stop"}
    assert before_ns <= rows["time_ns"].min() <= rows["time_ns"].max() <= after_ns  # type: ignore[operator]


def test_an_overflow_is_a_gap_with_its_number_and_the_table_is_read_again(space: Namespace, tmp_path: Path) -> None:
    recording = Recording(tmp_path / "r", "--netns", str(space.pid), "--buffer", "4kB", "--most-buffer", "64kB")
    recording.process.send_signal(signal.SIGSTOP)  # it cannot be fast enough
    storm(space, 30000)
    storm(space, 5000, seed=2, flush=False)
    recording.process.send_signal(signal.SIGCONT)
    until(lambda: space.run("conntrack", "-C").strip() == "5000")
    storm_ports = range(21000, 21050)
    datagrams(space, storm_ports)
    answer = recording.end()
    rows = recording.rows()
    gaps = rows.filter(pl.col("kind") == "gap")
    sent = 30000 * 2 + 5000 + len(storm_ports)
    answers = sum(answer["events"].values()) - answer["events"]["UPDATE"]
    assert answer["gaps"] == len(gaps) > 0
    assert answers + answer["lost"] == sent
    assert answer["lost"] == gaps["lost"].sum()
    assert (gaps["until_ns"] >= gaps["time_ns"]).all()
    assert answer["buffers_bytes"][str(space.pid)] >= 8000  # larger, unless the gap was seen in the last moment only
    assert recording.process.returncode == 1
    assert {words for words in living(rows) if words[0] != "icmp"} == table(space)


def test_a_replay_of_the_record_ends_with_the_table_of_the_kernel(space: Namespace, tmp_path: Path) -> None:
    storm(space, 500, flush=False)
    recording = Recording(tmp_path / "r", "--netns", str(space.pid), "--buffer", "4kB", "--most-buffer", "8kB")
    storm(space, 20000, seed=3)
    storm(space, 700, seed=4, flush=False)
    answer = recording.end()
    assert answer["lost"] > 0
    count = int(space.run("conntrack", "-C"))
    call = [sys.executable, "-m", "tablefull", "replay", str(tmp_path / "r"), "--format", "json"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    replayed = json.loads(done.stdout)
    assert count == 700
    assert any("gaps" in note for note in replayed["notes"])
    assert replayed["outcomes"][0]["count"] == count


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_everything_written(space: Namespace, tmp_path: Path, number: int) -> None:
    recording = Recording(tmp_path / "r", "--netns", str(space.pid))
    storm(space, 2000)
    answer = recording.end(number)
    assert recording.process.returncode == 0
    assert answer["events"] == {"NEW": 2000, "UPDATE": 0, "DESTROY": 2000}
    assert not list((tmp_path / "r").glob("*.part"))
    assert len(recording.rows().filter(pl.col("kind").is_in(["NEW", "DESTROY"]))) == 4000


def test_a_kill_loses_the_open_part_and_the_next_start_says_so(space: Namespace, tmp_path: Path) -> None:
    recording = Recording(tmp_path / "r", "--netns", str(space.pid))
    storm(space, 100)
    recording.process.kill()
    recording.process.communicate(timeout=PATIENCE_S)
    assert len(list((tmp_path / "r").glob("*.part"))) == 1
    again = Recording(tmp_path / "r", "--netns", str(space.pid))
    again.end()
    assert "an earlier recording was cut off; its events since " in "".join(again.said)
    assert not list((tmp_path / "r").glob("*.part"))


def test_the_disk_bound_holds(space: Namespace, tmp_path: Path) -> None:
    recording = Recording(tmp_path / "r", "--netns", str(space.pid), "--keep", "1.1MB", "--rotate-size", "100kB")
    most = 0
    for seed in range(12):
        storm(space, 20000, seed)
        most = max(most, sum(path.stat().st_size for path in (tmp_path / "r").glob("*.parquet")))
    answer = recording.end()
    kept = sum(path.stat().st_size for path in (tmp_path / "r").glob("*.parquet"))
    assert 0 < kept <= 1_100_000
    assert most <= 1_100_000
    assert answer["files"]["removed_files"] > 0
    # What is not in the files any more was counted as it went.
    assert len(recording.rows()) + answer["files"]["removed_rows"] >= 2 * 12 * 20000


def test_a_namespace_that_ends_is_let_go(tmp_path: Path) -> None:
    with host_limits.shared():
        ending = Namespace()
        inode = ending.inode
        recording = Recording(tmp_path / "r", "--netns", str(ending.pid))
        storm(ending, 10, flush=False)
        ending.close()
        answer = recording.answer()
        assert any("the namespace has ended" in line for line in recording.said)
        assert recording.rows()["kind"].to_list().count("gone") == 1
        assert list(answer["namespaces"].values()) == [inode]
        assert recording.process.returncode == 0


def test_a_namespace_that_ends_just_before_the_record_does_is_named(tmp_path: Path) -> None:
    with host_limits.shared(), Namespace() as staying:
        ending = Namespace()
        recording = Recording(tmp_path / "r", "--netns", str(ending.pid), "--netns", str(staying.pid))
        storm(ending, 10, flush=False)
        ending.close()
        recording.end()
        assert [line for line in recording.said if "has ended" in line]
        assert recording.rows()["kind"].to_list().count("gone") == 1


def test_namespaces_that_come_later_are_followed(tmp_path: Path) -> None:
    with host_limits.shared():
        recording = Recording(tmp_path / "r", "--netns", "all")
        with Namespace() as later:
            name = f"tablefull-test-{os.getpid()}"
            subprocess.run(["ip", "netns", "attach", name, str(later.pid)], check=True)
            try:
                until(lambda: bool(_waiting(later)))
                storm(later, 50)
                answer = recording.end()
            finally:
                subprocess.run(["ip", "netns", "delete", name], check=True)
    rows = recording.rows().filter(pl.col("netns") == name)
    assert answer["namespaces"][name] == later.inode
    assert rows["kind"].to_list().count("NEW") == 50


def test_only_what_is_meant(space: Namespace, tmp_path: Path) -> None:
    recording = Recording(tmp_path / "r", "--netns", str(space.pid), "--where", "proto=udp and dport=53")
    storm(space, 2000)
    answer = recording.end()
    rows = recording.rows().filter(pl.col("kind").is_in(["NEW", "DESTROY"]))
    assert set(rows.select("proto", "dport").iter_rows()) == {("udp", 53)}
    assert len(rows) + answer["unmatched"] == 4000


def test_no_events_at_all_is_told(space: Namespace, tmp_path: Path) -> None:
    space.write({"nf_conntrack_events": 0})
    call = [sys.executable, "-m", "tablefull", "record", "-o", str(tmp_path / "r"), "--netns", str(space.pid)]
    done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 3
    assert "nf_conntrack_events: is 0" in done.stderr
    assert not (tmp_path / "r").exists()


def test_a_full_disk_ends_it_with_what_it_has(space: Namespace, tmp_path: Path, program: Callable[[str], str]) -> None:
    """In a mount namespace of its own, on a file system of two megabytes."""
    unshare = program("unshare")
    mount = tmp_path / "m"
    mount.mkdir()
    words = f"record -o {mount}/r --netns {space.pid} --rotate-size 300kB --format json"
    script = (
        f"mount -t tmpfs -o size=2m none {mount} && ({sys.executable} -m tablefull {words}; echo code $?; "
        f"cp -r {mount}/r {tmp_path}/kept)"
    )
    process = subprocess.Popen(
        [unshare, "--mount", "sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        said = ""
        while "recording into" not in said:
            said = process.stderr.readline()
        for seed in range(20):
            storm(space, 20000, seed)
            if process.poll() is not None:
                break
        out, told = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    answer, code = out.rsplit("code ", 1)
    assert code.strip() == "4"
    assert "no space left on device" in told
    assert len([line for line in told.splitlines() if "no space" in line]) == 1
    found = json.loads(answer)
    kept = [pl.read_parquet(path) for path in sorted((tmp_path / "kept").glob("*.parquet"))]
    assert sum(len(rows) for rows in kept) > 0
    assert found["unwritten_rows"] > 0
    assert shutil.disk_usage(tmp_path).free > 0
