import bz2
import gzip
import io
import lzma
import os
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.errors import TablefullError, Unreadable, UsageError
from tablefull.facts.snapshot import Unread
from tablefull.live import archive, evidence, streams
from tablefull.live.evidence import Document, documents, relevant, split

LOG = b"[11458852.811070] nf_conntrack: table full, dropping packet.\n" * 40


def read(target: str | Path, stdin: bytes | None = None, notes: list[Unread] | None = None) -> dict[str, bytes]:
    found = {}
    for document in documents(str(target), io.BytesIO(stdin) if stdin is not None else None, notes):
        with document.open() as stream:
            found[document.name] = stream.read()
    return found


def the_only(target: str | Path) -> Document:
    (document,) = documents(str(target), None)
    return document


def make_tar(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode=mode) as tar:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return held.getvalue()


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, bz2.compress, lzma.compress, lambda b: gzip.compress(lzma.compress(b))]
)
@pytest.mark.parametrize("name", ["paste.txt", "messages.gz"])
def test_a_file_is_what_its_bytes_say(tmp_path: Path, pack: Callable[[bytes], bytes], name: str) -> None:
    path = tmp_path / name
    path.write_bytes(pack(LOG))
    assert read(path) == {str(path): LOG}
    document = the_only(path)
    assert document.path is None
    assert (document.plain, document.size) == ((str(path), len(LOG)) if pack is bytes else (None, None))
    assert document.open().read() == document.open().read()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_standard_input_is_streamed(pack: Callable[[bytes], bytes]) -> None:
    assert read("-", pack(LOG)) == {"-": LOG}


def test_a_pipe_that_gives_little_at_a_time() -> None:
    class Slow(io.RawIOBase):
        at = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            data = LOG[self.at : self.at + 7]
            self.at += len(data)
            buffer[: len(data)] = data
            return len(data)

    (document,) = documents("-", Slow())  # type: ignore[arg-type]
    assert document.open().read() == LOG


def test_zstd_is_read_or_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = bytes.fromhex("28b52ffd") + b"rest"
    path = tmp_path / "kern.log.zst"
    path.write_bytes(packed)
    for module in ("compression.zstd", "backports.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Unreadable, match=r"zstd -dc .*kern.log.zst \| tablefull diagnose -.*tablefull\[zst\]"):
        read(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_decoded(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "paste.txt"
    path.write_bytes((LOG * 500).decode().encode(encoding))
    assert read(path) == {str(path): LOG * 500}


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_truncated_archive_gives_what_it_has_and_a_note(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "kern.log.x"
    text = b"".join(b"[%d.000000] nf_conntrack: table full, dropping packet\n" % (n * n) for n in range(60_000))
    packed = pack(text)
    path.write_bytes(packed[: len(packed) * 2 // 3])
    notes: list[Unread] = []
    if pack is bz2.compress or pack is lzma.compress:
        path.write_bytes(pack(text[: 1 << 20]) + packed[: len(packed) // 2])
    got = read(path, notes=notes)[str(path)]
    assert len(got) > 100_000
    assert any("break off" in note.why for note in notes)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_an_archive_of_which_nothing_is_left(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "x"
    path.write_bytes(pack(LOG)[:12])
    with pytest.raises(Unreadable, match="break off"):
        read(path)


def test_a_bomb_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "FREE_BYTES", 1 << 20)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(LOG + b" " * (64 << 20)))
    notes: list[Unread] = []
    assert len(read(path, notes=notes)[str(path)]) < 4 << 20
    assert "unfolds" in notes[0].why


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda p: None, UsageError, "no such file"),
        (lambda p: p.mkdir(), Unreadable, "no evidence"),
        (lambda p: p.write_bytes(b""), Unreadable, "nothing in it"),
        (lambda p: p.write_bytes(b"\x7fELF" + bytes(range(256)) * 9), UsageError, "ELF"),
        (lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9), UsageError, "PNG"),
        (lambda p: p.write_bytes(bytes(range(256)) * 90), UsageError, "binary"),
        (lambda p: p.write_bytes(gzip.compress(b"\x7fELF" + bytes(99))), UsageError, "ELF"),
        (lambda p: p.write_bytes(b"\0" * 5000), Unreadable, "zero bytes"),
        (lambda p: os.truncate(os.open(p, os.O_CREAT | os.O_RDWR), 10 << 30), Unreadable, "hole of 10737418240 bytes"),
        (lambda p: p.write_bytes(b"PK\x03\x04 not a zip"), Unreadable, "zip"),
        (lambda p: p.symlink_to(p), Unreadable, "too many levels"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, make: Callable[[Path], None], error: type[TablefullError], words: str
) -> None:
    path = tmp_path / "named"
    make(path)
    with pytest.raises(error, match=words) as raised:
        read(path)
    assert raised.value.exit_code in (2, 3)
    assert "\n" not in str(raised.value)


def test_a_device_is_refused() -> None:
    with pytest.raises(UsageError, match="device"):
        read("/dev/zero")


@pytest.mark.parametrize("name", ["nul\0byte", "x" * 5000, "line\nbreak", "-"])
def test_odd_names(name: str) -> None:
    with pytest.raises(UsageError) as raised:
        read(name)
    assert "\n" not in str(raised.value)


def test_nothing_on_standard_input() -> None:
    with pytest.raises(Unreadable, match="nothing came in"):
        read("-", b"")


def test_a_sparse_file_is_read_where_it_holds_data(tmp_path: Path) -> None:
    path = tmp_path / "sparse.log"
    with path.open("wb") as file:
        file.write(LOG)
        file.seek(10 << 30)
        file.write(LOG)
    got = the_only(path).open().read()
    assert got.replace(b"\0", b"").count(b"table full") == 80
    assert len(got) < 1 << 20


def test_a_log_with_zero_bytes_from_a_crash_is_text(tmp_path: Path) -> None:
    path = tmp_path / "messages"
    path.write_bytes(LOG + bytes(4096) + LOG)
    assert list(read(path)) == [str(path)]


def test_a_permission_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "messages"
    path.write_bytes(LOG)

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(Unreadable, match="run it as root") as raised:
        read(path)
    assert raised.value.exit_code == 3
    notes: list[Unread] = []
    with pytest.raises(Unreadable, match="permission denied"):
        read(tmp_path, notes=notes)
    assert "run it as root" in notes[0].why


SOS = {
    "sos-a/hostname": b"xen17\n",
    "sos-a/proc/sys/net/netfilter/nf_conntrack_max": b"65536\n",
    "sos-a/proc/meminfo": b"MemTotal: 1 kB\n",
    "sos-a/sos_commands/kernel/dmesg": LOG,
    "sos-a/var/log/messages-20151123.gz": gzip.compress(LOG),
    "sos-a/usr/share/doc/readme": b"nothing\n",
}


def check_sos(found: list[Document]) -> None:
    by_path = {document.path: document for document in found}
    assert {document.host for document in found} == {"xen17"}
    assert by_path["proc/sys/net/netfilter/nf_conntrack_max"].open().read() == b"65536\n"
    assert by_path["sos_commands/kernel/dmesg"].open().read() == LOG
    assert by_path["var/log/messages-20151123.gz"].open().read() == LOG
    names = [document.name for document in found]
    assert names == sorted(names)


def test_a_sosreport_tree(tmp_path: Path) -> None:
    for name, data in SOS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    check_sos(list(documents(str(tmp_path), None)))
    check_sos(list(documents(str(tmp_path / "sos-a"), None)))
    (document,) = documents(str(tmp_path / "sos-a/proc/sys/net/netfilter/nf_conntrack_max"), None)
    assert document.path == "proc/sys/net/netfilter/nf_conntrack_max"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("small", [1 << 20, 4])
def test_a_sosreport_archive(tmp_path: Path, mode: str, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "SMALL_BYTES", small)
    path = tmp_path / "sos.tar"
    path.write_bytes(make_tar(SOS, mode))
    before = sorted(tmp_path.rglob("*"))
    check_sos(list(documents(str(path), None)))
    check_sos(list(documents("-", io.BytesIO(path.read_bytes()))))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "evidence.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as held:
        for name, data in {**SOS, "../out": LOG}.items():
            held.writestr(name, data)
    notes: list[Unread] = []
    found = []
    for document in documents(str(path), None, notes):
        assert document.open().read()
        found.append(document.path)
    assert "proc/meminfo" in found
    assert "out" not in " ".join(map(str, found))
    assert "leads out" in notes[0].why


def test_hostile_members_are_refused_not_followed(tmp_path: Path) -> None:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        for name in ("../../etc/passwd", "/etc/shadow", "a/../../b", "dmesg.txt"):
            info = tarfile.TarInfo(name)
            info.size = len(LOG)
            tar.addfile(info, io.BytesIO(LOG))
        for kind, name in (
            (tarfile.SYMTYPE, "link"),
            (tarfile.LNKTYPE, "hard"),
            (tarfile.CHRTYPE, "dev"),
            (tarfile.FIFOTYPE, "pipe"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    path = tmp_path / "bundle.tar"
    path.write_bytes(held.getvalue())
    notes: list[Unread] = []
    assert read(path, notes=notes) == {"dmesg.txt": LOG}
    whys = [note.why for note in notes]
    assert sum("leads out" in why for why in whys) == 2
    assert sum("absolute" in why for why in whys) == 1
    assert sum("special file" in why for why in whys) == 2
    assert "2 links in the archive were not followed" in whys


def test_a_truncated_tar_gives_what_came_before(tmp_path: Path) -> None:
    whole = make_tar({"a/dmesg": LOG, "a/kern.log": os.urandom(200_000).hex().encode()})
    path = tmp_path / "bundle.tar.gz"
    path.write_bytes(whole[: len(whole) // 2])
    notes: list[Unread] = []
    assert read(path, notes=notes)["a/dmesg"] == LOG
    assert notes


def test_links_are_not_followed_out_of_a_tree(tmp_path: Path) -> None:
    (tmp_path / "outside.log").write_bytes(LOG)
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "kern.log").write_bytes(LOG)
    (tree / "out.log").symlink_to(tmp_path / "outside.log")
    (tree / "in.log").symlink_to("kern.log")
    (tree / "loop").symlink_to(tree)
    (tree / "gone").symlink_to("nowhere")
    os.mkfifo(tree / "fifo")
    (tree / "picture.png").write_bytes(b"\x89PNG\r\n" + bytes(range(256)))
    assert list(read(tree)) == [f"{tree}/in.log", f"{tree}/kern.log"]


def test_of_a_large_tree_only_what_is_relevant(tmp_path: Path) -> None:
    for n in range(450):
        (tmp_path / f"host/opt/{n % 7}").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"host/opt/{n % 7}/{n}.txt").write_bytes(b"text\n")
    for name, data in SOS.items():
        (tmp_path / name.replace("sos-a", "host")).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name.replace("sos-a", "host")).write_bytes(data)
    found = [document.path for document in documents(str(tmp_path), None)]
    assert set(found) == {split(name)[1] for name in SOS} - {"usr/share/doc/readme"}


def test_several_hosts_in_one_tree(tmp_path: Path) -> None:
    for host in ("node-1", "node-2"):
        (tmp_path / host / "proc").mkdir(parents=True)
        (tmp_path / host / "proc/meminfo").write_bytes(b"MemTotal: 1 kB\n")
    (tmp_path / "node-2/manifest.json").write_text('{"host": "db-2"}')
    hosts = {document.host for document in documents(str(tmp_path), None) if document.path == "proc/meminfo"}
    assert hosts == {"node-1", "db-2"}


def test_proc_itself() -> None:
    found = {document.path for document in documents("/proc/sys/kernel", None)}
    assert "proc/sys/kernel/osrelease" in found
    (document,) = documents("/proc/version", None)
    assert document.path == "proc/version"
    assert document.open().read().startswith(b"Linux version")


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("proc/net/stat/nf_conntrack", True), ("proc/sys/net/netfilter/nf_conntrack_max", True), ("etc/sysctl.d/9.conf", True),
        ("etc/os-release", True), ("sos_commands/networking/ethtool_-S_eth0", True), ("var/log/kern.log.1.gz", True),
        ("sys/module/nf_conntrack/parameters/hashsize", True), ("proc/kmsg", False), ("proc/1/maps", False),
        ("etc/shadow", False), ("sys/kernel/debug/tracing/trace_pipe", False), ("var/log/wtmp", False),
    ],
)  # fmt: skip
def test_relevant(path: str, answer: bool) -> None:
    assert relevant(path) is answer


magics = st.sampled_from(
    [b"", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"PK\x03\x04", b"\xff\xfe", make_tar({"a": LOG}, "w")[:700]]
)


@given(magics, st.binary(max_size=2000))
def test_any_bytes_give_texts_or_one_line(magic: bytes, rest: bytes) -> None:
    said = ""
    try:
        read("-", magic + rest)
    except TablefullError as error:
        said = str(error)
    assert "\n" not in said


@pytest.mark.parametrize("name", ["/proc/kmsg", "/proc/self/mem", "/proc/sysrq-trigger", "link"])
def test_what_takes_events_from_others_is_refused_by_name_too(tmp_path: Path, name: str) -> None:
    target = Path(name) if name != "link" else tmp_path / "link"
    if name == "link":
        target.symlink_to("/proc/kmsg")
    if not target.exists():
        pytest.skip(f"there is no {target} here")
    with pytest.raises(UsageError, match="use dmesg" if "sys" not in name and "mem" not in name else "another file"):
        read(target)


def test_a_copy_of_such_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "kmsg").write_bytes(LOG)
    assert read(tmp_path / "proc" / "kmsg") == {str(tmp_path / "proc" / "kmsg"): LOG}


def test_an_empty_name() -> None:
    with pytest.raises(UsageError, match="an empty name"):
        read("")


def test_a_pipe_that_nobody_writes_to_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "WRITER_S", 0.01)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unreadable, match="nobody writes to"):
        read(tmp_path / "pipe")


@pytest.mark.parametrize("wait_s", [0, 30])
def test_a_pipe_with_a_writer_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_s: int) -> None:
    """Also one that opened it and has not written yet when the patience ends."""
    monkeypatch.setattr(evidence, "WRITER_S", wait_s)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    if wait_s:
        writer = threading.Thread(target=lambda: pipe.write_bytes(LOG))
        writer.start()
    else:
        # Both ends, so that opening waits for nobody.
        fd = os.open(pipe, os.O_RDWR)
        writer = threading.Thread(target=lambda: (os.write(fd, LOG), os.close(fd)))
        begin = evidence._pipe(str(pipe))
        monkeypatch.setattr(evidence, "_pipe", lambda _: begin)
        writer.start()
    assert read(pipe) == {str(pipe): LOG}
    writer.join()


def test_the_own_net_folder_is_read_where_its_link_leads() -> None:
    if not Path("/proc/net/netstat").exists():
        pytest.skip("there is no /proc/net here")
    paths = {document.path for document in documents("/proc/net", None)}
    assert "proc/net/netstat" in paths


def test_this_system_has_no_file_that_would_be_taken_for_prose() -> None:
    if not Path("/proc/sys/net").exists():
        pytest.skip("there is no /proc here")
    for path in ("proc/sys/net/netfilter/nf_log/0", "proc/sys/kernel/seccomp/actions_logged", "proc/config.gz"):
        assert not relevant(path)
    assert relevant("proc/sys/net/netfilter/nf_conntrack_log_invalid")
