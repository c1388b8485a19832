import stat
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from tablefull.errors import KernelRefused, UsageError
from tablefull.facts.origin import Hole
from tablefull.facts.snapshot import Snapshot
from tablefull.live import bundle
from tablefull.live.collect import snapshot
from tablefull.live.collection import Artefact, Collection, Namespace, for_reader
from tablefull.live.evidence import documents
from tablefull.parsers.reader import Reader

TAKEN = "2026-01-02T03:04:05Z"
ROW = b"ipv4     2 udp      17 29 src=10.0.0.%d dst=10.0.0.9 sport=5000 dport=53 [UNREPLIED] src=10.0.0.9 dst=10.0.0.%d sport=53 dport=5000 mark=0 use=2\n"


def collection(namespaces: int = 1) -> Collection:
    found = Collection(
        host="web01",
        kernel="6.1.0",
        artefacts=[
            Artefact("proc/version", b"Linux version 6.1.0-9-amd64 (debian) #1 SMP\n"),
            Artefact("proc/sys/kernel/hostname", b"web01\n"),
            Artefact("proc/sys/net/netfilter/nf_conntrack_max", b"262144\n"),
            Artefact("proc/sys/net/netfilter/nf_conntrack_count", b"262144\n"),
            Artefact("proc/uptime", b"11458852.81 1.0\n"),
            Artefact("proc/net/nf_conntrack", b"".join(ROW % (n, n) for n in range(1, 8))),
            Artefact("commands/dmesg", b"$ dmesg\n[   12.5] nf_conntrack: nf_conntrack: table full, dropping packet\n"),
        ],
        holes=[Hole("nft list ruleset", "needs root", "run it as root: sudo tablefull")],
    )
    for number in range(namespaces):
        key = f"blue{number}"
        found.namespaces.append(Namespace(key=key, inode=4026532177 + number, role="container", hostname=key))
        for path in ("nf_conntrack_count", "nf_conntrack_buckets", "nf_conntrack_acct", "nf_conntrack_checksum"):
            found.artefacts.append(Artefact(f"netns/{key}/proc/sys/net/netfilter/{path}", b"%d\n" % number))
        found.artefacts.append(
            Artefact(f"netns/{key}/commands/conntrack_-S", b"$ conntrack -S\ncpu=0 found=0 drop=3\n")
        )
    return found


def read_back(path: Path) -> Snapshot:
    reader = Reader()
    for document in documents(str(path), None):
        if document.path is None or for_reader(document.path):
            with document.open() as stream:
                text = stream.read().decode()
            reader.document(
                document.name, text.splitlines(), host=document.host, path=document.path and f"/{document.path}"
            )
    return reader.snapshot


def facts(seen: Snapshot) -> dict[str, Counter[str]]:
    """Every fact by its kind and content, host by host, without where it stood."""
    told = {}
    for host in seen.hosts:
        told[host.name] = Counter(
            repr([type(fact).__name__, *(getattr(fact, name) for name in fact.__struct_fields__ if name != "origin")])
            for fact in host.facts
        )
        if host.composition is not None:
            told[host.name][repr((host.composition.rows, host.composition.by_source, host.composition.by_dport))] = 1
    return told


@pytest.mark.parametrize("namespaces", [0, 1, 120])
def test_a_bundle_reads_back_as_what_was_collected(tmp_path: Path, namespaces: int) -> None:
    found = collection(namespaces)
    path = tmp_path / "web01.tar.gz"
    bundle.write(found, path, redact=False, taken=TAKEN)
    assert facts(read_back(path)) == facts(snapshot(found))


def test_so_does_an_unpacked_one(tmp_path: Path) -> None:
    bundle.write(collection(2), tmp_path / "b.tar.gz", redact=False, taken=TAKEN)
    with tarfile.open(tmp_path / "b.tar.gz") as archive:
        archive.extractall(tmp_path / "x", filter="data")
    assert facts(read_back(tmp_path / "x")) == facts(snapshot(collection(2)))


def test_a_redacted_one_tells_the_same_about_the_table(tmp_path: Path) -> None:
    bundle.write(collection(), tmp_path / "b.tar.gz", redact=True, taken=TAKEN, key=b"k")
    host = next(host for host in read_back(tmp_path / "b.tar.gz").hosts if host.composition is not None)
    before = snapshot(collection()).hosts[0].composition
    assert host.composition is not None
    assert before is not None
    assert host.composition.by_dport == before.by_dport
    assert sorted(host.composition.by_source.values()) == sorted(before.by_source.values())
    assert not host.composition.by_source.keys() & before.by_source.keys()
    assert b"web01" not in (tmp_path / "b.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "b.tar.gz") as archive:
        for member in archive:
            held = archive.extractfile(member)
            assert "web01" not in member.name
            assert held is not None
            content = held.read()
            assert b"web01" not in content
            assert b"blue0" not in content


def test_the_same_collection_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        bundle.write(collection(), tmp_path / name, redact=True, taken=TAKEN, taken_s=5, key=b"k")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_manifest_says_what_when_and_what_not() -> None:
    manifest, *files = bundle.members(collection(), TAKEN)
    assert manifest.path == "web01/MANIFEST.json"
    for word in ("tablefull/bundle/1", TAKEN, "6.1.0", "nft list ruleset", "needs root"):
        assert word.encode() in manifest.content
    assert bundle.roles(manifest.content) == {"web01": "host", "web01.netns.blue0": "container"}
    assert bundle.is_bundle([manifest.path, *(file.path for file in files)])
    assert not bundle.is_bundle(["sos/proc/meminfo", "manifest.json"])
    assert [file.path for file in files] == sorted(file.path for file in files)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"hosts": 3}', b'{"hosts": [3, {}]}', b"\xff"])
def test_another_manifest_names_no_role(text: bytes) -> None:
    assert bundle.roles(text) == {}


def test_nothing_is_written_over_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(b"yesterday's")
    with pytest.raises(UsageError, match="exists already"):
        bundle.write(collection(), path, redact=False, taken=TAKEN)
    assert path.read_bytes() == b"yesterday's"
    bundle.write(collection(), path, redact=False, taken=TAKEN, force=True)
    assert tarfile.is_tarfile(path)
    assert [file.name for file in tmp_path.iterdir()] == ["b.tar.gz"]


def test_a_file_that_appears_meanwhile_is_kept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "b.tar.gz"
    pack = bundle.pack

    def slow(files: list[Artefact], taken_s: int) -> bytes:
        path.write_bytes(b"another's")
        return pack(files, taken_s)

    monkeypatch.setattr(bundle, "pack", slow)
    with pytest.raises(UsageError, match="exists already"):
        bundle.write(collection(), path, redact=False, taken=TAKEN)
    assert path.read_bytes() == b"another's"
    assert [file.name for file in tmp_path.iterdir()] == ["b.tar.gz"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or directory"):
        bundle.write(collection(), tmp_path / "no" / "b.tar.gz", redact=False, taken=TAKEN)


def test_a_full_disk_is_a_refusal_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(KernelRefused, match="no space left on device"):
        bundle.write(collection(), tmp_path / "b.tar.gz", redact=False, taken=TAKEN)
    assert list(tmp_path.iterdir()) == []


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    bundle.write(collection(), tmp_path / "b", redact=False, taken=TAKEN)
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o600
