"""From names to a snapshot: long files, several files, bundles."""

import gzip
import io
from pathlib import Path

import pytest

from tablefull.errors import Unreadable, UsageError
from tablefull.facts.kernel_log import LogLine
from tablefull.facts.origin import Hole
from tablefull.facts.settings import Setting
from tablefull.fixes.diagnosis import diagnose
from tablefull.live.bundle import write
from tablefull.live.collection import Artefact, Collection, Namespace
from tablefull.views import reading

FULL = "[{:.6f}] nf_conntrack: table full, dropping packet."
ROW = "ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport={} dport=80 src=10.0.0.2 dst=10.0.0.1 sport=80 dport={} [ASSURED] mark=0 use=1"


def long_log() -> str:
    lines = [FULL.format(at) if at % 3 == 0 else f"[{at:.6f}] eth0: link is up, full duplex" for at in range(100_000)]
    return "\n".join(lines) + "\n"


def test_lines_are_numbered_as_grep_numbers_them(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"one\x0btwo\x0cthree\xe2\x80\xa8four\r\n[1.0] nf_conntrack: table full, dropping packet.\n")
    found = reading.read([str(file)], None, keep=True)
    line = next(found.snapshot.hosts[0].of(LogLine))
    assert line.origin.line == 2
    assert len(found.texts[str(file)]) == 2


@pytest.mark.parametrize("packed", [False, True])
def test_a_long_log_keeps_its_totals(tmp_path: Path, packed: bool) -> None:
    text = long_log()
    assert len(text) > reading.WHOLE_BYTES
    file = tmp_path / ("log.gz" if packed else "log")
    file.write_bytes(gzip.compress(text.encode(), 1) if packed else text.encode())
    snapshot = reading.read([str(file)], None).snapshot
    lines = [line for host in snapshot.hosts for line in host.of(LogLine) if line.kind == "table-full"]
    assert sum(line.repeated for line in lines) == text.count("table full")
    assert snapshot.lines == 100_000


def test_a_long_log_keeps_its_loss(tmp_path: Path) -> None:
    windows = 6000
    file = tmp_path / "log"
    with file.open("w") as stream:
        for window in range(windows):
            at = 1000.0 + 5 * window
            stream.write(f"[{at:.6f}] net_ratelimit: 321 callbacks suppressed\n")
            stream.writelines(FULL.format(at + line / 1000) + "\n" for line in range(10))
            stream.writelines(f"[{at + 1:.6f}] eth0: link is up and fine, full duplex\n" for _ in range(10))
    loss = diagnose(reading.read([str(file)], None).snapshot).loss
    assert loss is not None
    assert loss.dropped_packets_min == 10 * windows
    # 10 printed and 321 suppressed in each window of 5 s
    assert loss.dropped_packets_estimate == pytest.approx(331 * windows, rel=0.01)
    assert loss.rate_per_s == pytest.approx(66.2, rel=0.01)


def test_a_long_listing_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "nf_conntrack"
    file.write_text("".join(ROW.format(port, port) + "\n" for port in range(30_000)))
    assert file.stat().st_size > reading.WHOLE_BYTES
    snapshot = reading.read([str(file)], None).snapshot
    assert [host.composition.rows for host in snapshot.hosts if host.composition] == [30_000]
    snapshot = reading.read(["-"], io.BytesIO(file.read_bytes())).snapshot
    assert [host.composition.rows for host in snapshot.hosts if host.composition] == [30_000]


def test_anything_else_that_is_long_is_read_in_part_and_said_so(tmp_path: Path) -> None:
    file = tmp_path / "prose"
    file.write_text("nothing of the kind, and much of it\n" * 200_000)
    snapshot = reading.read([str(file)], None).snapshot
    assert "only its beginning was read" in snapshot.unread[0].why


def test_one_of_several_that_yields_nothing_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    (tmp_path / "log").write_text(FULL.format(1.0))
    snapshot = reading.read([str(tmp_path / "empty"), str(tmp_path / "log")], None).snapshot
    assert snapshot.unread[0].origin.source == str(tmp_path / "empty")
    with pytest.raises(Unreadable):
        reading.read([str(tmp_path / "empty")], None)


def test_one_of_several_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(FULL.format(1.0))
    with pytest.raises(UsageError):
        reading.read([str(tmp_path / "log"), str(tmp_path / "lgo")], None)


@pytest.mark.parametrize("unpacked", [False, True])
def test_a_bundle_keeps_its_hosts_roles_and_holes(tmp_path: Path, unpacked: bool) -> None:
    collection = Collection(
        host="web01",
        artefacts=[
            Artefact("proc/sys/net/netfilter/nf_conntrack_max", b"65536\n"),
            Artefact("commands/conntrack_-S", b"$ conntrack -S\ncpu=0   \tfound=0 invalid=7 insert=0\n"),
            Artefact("proc/cmdline", b"quiet nf_conntrack.hashsize=4\n"),
            Artefact("netns/blue/proc/sys/net/netfilter/nf_conntrack_count", b"12\n"),
        ],
        holes=[Hole("nft list ruleset", "needs root", "run it as root")],
        namespaces=[Namespace(key="blue", inode=4026532000, role="container")],
    )
    target = tmp_path / "bundle.tar.gz"
    write(collection, target, False, taken="2026-01-01T00:00:00Z")
    if unpacked:
        import tarfile

        with tarfile.open(target) as archive:
            archive.extractall(tmp_path / "bundle", filter="data")
        target = tmp_path / "bundle"
    snapshot = reading.read([str(target)], None).snapshot
    assert {host.name: host.role for host in snapshot.hosts} == {"web01": "host", "web01.netns.blue": "container"}
    assert snapshot.holes == collection.holes
    settings = {(host.name, one.name): one.number for host in snapshot.hosts for one in host.of(Setting)}
    assert settings["web01", "nf_conntrack_max"] == 65536
    assert ("web01", "hashsize") not in settings


def test_what_the_script_could_not_ask_is_a_hole(tmp_path: Path) -> None:
    file = tmp_path / "facts.txt"
    file.write_text(
        "=== web1 ===\nuser@web1:~$ # not run: conntrack -S: it needs root\n"
        "user@web1:~$ grep '' /proc/sys/net/netfilter/nf_conntrack_max\n"
        "/proc/sys/net/netfilter/nf_conntrack_max:65536\n"
    )
    snapshot = reading.read([str(file)], None).snapshot
    assert snapshot.holes == [Hole("conntrack -S", "it needs root", "run the script as root")]
    (host,) = snapshot.hosts
    assert [fact.origin.line for fact in host.of(Setting)] == [4]
    assert not any("not run" in origin.text for origin in host.prose + host.typed)


def test_nothing_in_proc_is_a_persons_word() -> None:
    if not Path("/proc/sys/net").exists():
        pytest.skip("there is no /proc here")
    snapshot = reading.read(["/proc"], None).snapshot
    assert [origin for host in snapshot.hosts for origin in host.prose] == []
    assert [one for one in snapshot.unread if "looks like machine output" in one.why] == []
