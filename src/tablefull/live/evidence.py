"""What a person names, opened read-only: a file, a directory, an archive, a sosreport, ``/proc`` itself, or ``-``.

The trap: what is named is rarely what it seems. Nothing here trusts a name, follows a link out of a tree, writes, or
gives up on the whole because a part cannot be read: a part that fails becomes a note, and only a call that yields
nothing at all is an error, in one line that says what to do.
"""

import errno
import io
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, cast

from msgspec import Struct

from tablefull.errors import Unreadable, UsageError
from tablefull.facts.origin import Origin
from tablefull.facts.snapshot import Unread
from tablefull.live import archive
from tablefull.live.holes import Segments
from tablefull.live.streams import Content, Joined, content

SMALL_TREE = 400  # files; a tree with more is taken for a whole system, of which only the relevant files are read
ENTRIES = 100_000  # directory entries looked at
DEPTH = 12
# Where a system's own names begin in a path: the rest of the path says what the content is.
MARKERS = frozenset("proc sys etc sos_commands commands var usr run lib".split())
RELEVANT = (
    "proc/net/*conntrack*", "proc/net/stat/*conntrack", "proc/net/netstat", "proc/net/snmp*", "proc/net/sockstat*",
    "proc/net/softnet_stat", "proc/net/ip*_tables_*", "proc/net/dev", "proc/net/arp", "proc/sys/net/*",
    "proc/sys/kernel/*", "proc/sys/fs/file-*", "proc/meminfo", "proc/slabinfo", "proc/modules", "proc/version*",
    "proc/uptime",
    "proc/cmdline", "proc/loadavg", "proc/buddyinfo", "sys/module/*conntrack*",
    "sys/module/br*netfilter*", "etc/sysctl*", "etc/modprobe*", "etc/modules*", "etc/*-release", "etc/*_version",
    "etc/issue", "etc/hostname", "etc/sysconfig/ip*tables*", "etc/sysconfig/nftables*", "etc/iptables*",
    "etc/nftables*", "etc/ufw/*", "etc/default/ufw", "etc/firewalld/*", "etc/docker/*", "etc/kubernetes/*",
    "usr/lib/sysctl.d/*", "usr/lib/modprobe.d/*", "usr/lib/os-release", "run/sysctl.d/*", "lib/modprobe.d/*",
    "lib/sysctl.d/*", "commands/*", "sos_commands/networking/*", "sos_commands/kernel/*", "sos_commands/firewall*/*",
    "sos_commands/netfilter/*", "sos_commands/iptables/*", "sos_commands/nftables/*", "sos_commands/conntrack/*",
    "sos_commands/memory/*", "sos_commands/host/*", "sos_commands/general/*", "sos_commands/logs/*",
    "sos_commands/docker/*", "sos_commands/podman/*", "sos_commands/kubernetes/*", "sos_commands/openvswitch/*",
    "sos_commands/systemd/*", "sos_commands/process/ss*", "var/log/messages*", "var/log/syslog*", "var/log/kern*",
    "var/log/dmesg*",
)  # fmt: skip
# Reading these waits for events, takes them away from another reader, or is the whole memory.
NEVER = ("proc/kmsg", "proc/kcore", "proc/[0-9]*/*", "proc/self/*", "proc/thread-self/*", "*/trace_pipe", "proc/kpage*",
         "proc/sysrq-trigger", "proc/sys/*/stat_refresh")  # fmt: skip
# The same for a path that is named itself: ``/proc/net`` lies below a process's own directory.
NEVER_NAMED = ("proc/kmsg", "proc/kcore", "proc/kpage*", "proc/sysrq-trigger", "*/trace_pipe",
               "proc/sys/*/stat_refresh", "proc/[0-9]*/mem", "proc/[0-9]*/pagemap", "proc/[0-9]*/task/*/mem",
               "proc/[0-9]*/task/*/pagemap")  # fmt: skip
# Nothing in them bears on a table, and their names, words or refusals would be taken for something that does.
IDLE = ("proc/config.gz", "proc/sys/net/netfilter/nf_log/*", "proc/sys/kernel/seccomp/*", "proc/sys/*/stable_secret",
        "proc/sys/net/*/route/flush", "proc/sys/kernel/init_private*")  # fmt: skip
WRITER_S = 5  # waited for somebody to open the other end of a named pipe; once it is open, as long as it takes
HOST_FILES = ("hostname", "sos_commands/host/hostname", "sos_commands/general/hostname", "etc/hostname",
              "proc/sys/kernel/hostname", "manifest.json", "MANIFEST.json")  # fmt: skip
_OWN_NET = re.compile(r"proc/\d+/(?:task/\d+/)?net(?![^/])")  # where the link /proc/net leads
_HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")


class Document(Struct):
    """One text of the evidence.

    ``name`` is what people are shown. ``path`` names the content (``proc/sys/net/netfilter/nf_conntrack_max``), None
    where it says nothing. ``host`` is what a bundle states, None where it states none. ``size`` in bytes where known
    before reading. ``open`` gives the decompressed bytes; a document of standard input can be opened once. ``plain``
    is the file on disk where its bytes are the text as they stand, so that a huge one can be read in parts.
    """

    name: str
    path: str | None
    host: str | None
    size: int | None
    open: Callable[[], BinaryIO]
    plain: str | None = None


class _Found(NamedTuple):
    """A file of a tree or an archive before it is known to be text; ``inside`` is its path there."""

    inside: str
    size: int | None
    raw: Callable[[], IO[bytes]]
    disk: str | None = None


def documents(target: str, stdin: BinaryIO | None, notes: list[Unread] | None = None) -> Iterator[Document]:
    """The texts in what ``target`` names, in a fixed order; ``-`` is ``stdin``.

    ``notes`` takes what could not be read in part (a refused member, a broken archive, a permission), also while the
    documents are being read. Raises UsageError for what is not there or cannot be evidence, Unreadable for what is
    there and yields nothing.
    """
    notes = notes if notes is not None else []
    if target == "-":
        if stdin is None:
            raise UsageError("-: there is no standard input here; name a file or a directory")
        yield from _once(stdin, "-", notes)
        return
    if not target:
        raise UsageError("an empty name; name a log, a directory or an archive, or `-` for standard input")
    try:
        status = Path(target).stat()
        real = os.path.realpath(target)
        if stat.S_ISDIR(status.st_mode):
            os.scandir(target).close()
    except (OSError, ValueError) as error:
        raise _explain(target, error) from None
    mode = status.st_mode
    if status.st_blocks == 0 and any(fnmatch(split(real.lstrip("/"))[1], pattern) for pattern in NEVER_NAMED):
        instead = "use dmesg: `dmesg | tablefull diagnose -`" if real.endswith("/kmsg") else "name another file"
        raise UsageError(f"{target}: reading it takes events from others, or is the machine's memory; {instead}")
    if stat.S_ISDIR(mode):
        yield from _some(target, _texts(list(_walk(target, notes)), target.rstrip("/"), notes), notes)
    elif stat.S_ISREG(mode):
        yield from _file(target, status.st_size, notes)
    elif stat.S_ISFIFO(mode) and Path(real).is_fifo():
        with _pipe(target) as stream:
            yield from _once(stream, target, notes)
    elif stat.S_ISFIFO(mode) or (stat.S_ISCHR(mode) and target.startswith("/dev/fd/")) or target == "/dev/stdin":
        with Path(target).open("rb", buffering=0) as stream:
            yield from _once(cast("BinaryIO", stream), target, notes)
    else:
        raise UsageError(
            f"{target}: a device or a socket, not a file; name a log, a directory or an archive, or use `-`"
        )


def _pipe(path: str) -> BinaryIO:
    """A named pipe to read from; Unreadable where nobody opens its other end within ``WRITER_S``."""
    import select

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _explain(path, error) from None
    stream, head = os.fdopen(fd, "rb", buffering=0), b""
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        if not poll.poll(WRITER_S * 1000):
            # The end of the file while nobody writes, a refusal (EAGAIN, which is None) where a writer is only slow.
            read = stream.read(4096)
            if read == b"":
                raise Unreadable(path, "a pipe that nobody writes to", "start what writes to it first, or use `-`")
            head = read or b""
        os.set_blocking(fd, True)
    except BaseException:
        stream.close()
        raise
    return cast("BinaryIO", Joined(head, cast("IO[bytes]", stream)))


def _explain(name: str, error: OSError | ValueError) -> UsageError | Unreadable:
    """The one line for a path that cannot be opened."""
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.ENOENT and not _somewhere():
        return UsageError(f"{name[:200]!a}: the current directory is gone; go to another one, or name an absolute path")
    if code in (errno.EACCES, errno.EPERM):
        return Unreadable(name, "permission denied", "run it as root, or as the owner of the file", code)
    if code in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, None):
        shown = name if len(name) <= 200 else name[:200] + "…"
        return UsageError(f"{shown!a}: no such file; name a log, a directory or an archive, or `-` for standard input")
    why = (error.strerror if isinstance(error, OSError) else None) or "it cannot be read"
    return Unreadable(name, why.lower(), "copy it elsewhere and name the copy", code)


def _somewhere() -> bool:
    try:
        return bool(Path.cwd())
    except OSError:
        return False


def _some(target: str, found: Iterable[Document], notes: list[Unread]) -> Iterator[Document]:
    """Pass documents on; Unreadable where there is none."""
    any_found = False
    for document in found:
        any_found = True
        yield document
    if not any_found:
        why = f"no evidence in it ({notes[0].why})" if notes else "no evidence in it"
        raise Unreadable(
            target, why, "name a kernel log, a /proc-shaped tree, a sosreport or a bundle of `tablefull collect`"
        )


def _open_disk(path: str) -> IO[bytes]:
    """A regular file from its first byte, holes passed over. ``O_NONBLOCK`` so that nothing waits for a writer."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    status = os.fstat(fd)
    if status.st_size > 1 << 20 and status.st_blocks * 512 < status.st_size // 2:
        return cast("IO[bytes]", Segments(fd, status.st_size))
    return os.fdopen(fd, "rb", buffering=0)


def _file(target: str, size: int, notes: list[Unread]) -> Iterator[Document]:
    """The documents of one named regular file."""
    try:
        told = content(_open_disk(target), target, notes)
    except OSError as error:
        raise _explain(target, error) from None
    if told.kind == "tar":
        again = _again(target)
        members = archive.tar_members(cast("IO[bytes]", told.stream), target, notes, again, _useful)
        yield from _some(target, _texts([*map(_member, members)], "", notes), notes)
        told.stream.close()
        return
    if told.kind == "zip":
        told.stream.close()
        with Path(target).open("rb") as stream:
            members = archive.zip_members(stream, target, notes, _useful)
            yield from _some(target, _texts([*map(_member, members)], "", notes), notes)
        return
    told.stream.close()
    _refuse(target, told, size)
    where = str(Path(target).absolute())
    document = Document(target, _names_content(where), None, None if told.packed else size, _opener(target, notes))
    if not told.packed:
        document.plain = target
    yield document


def _again(target: str) -> Callable[[], IO[bytes]]:
    return lambda: cast("IO[bytes]", content(_open_disk(target), target, []).stream)


def _opener(path: str, notes: list[Unread]) -> Callable[[], BinaryIO]:
    return lambda: content(_open_disk(path), path, notes).stream


def _refuse(name: str, told: Content, size: int | None) -> None:
    """Raise where a content that was named itself is no text."""
    if told.kind == "empty":
        hole = f"nothing but a hole of {size} bytes" if size else "nothing in it"
        raise Unreadable(name, hole, "name a kernel log or the output of `tablefull collect`")
    if told.kind == "binary":
        raise UsageError(f"{name}: {told.why}, not text; name a log, a directory or an archive of them")
    if told.kind == "text" and not told.head.strip(b"\0\r\n\t \xff\xfe"):
        raise Unreadable(
            name, "only blanks or zero bytes at its beginning", "name a kernel log or the output of `tablefull collect`"
        )


def _once(raw: BinaryIO, name: str, notes: list[Unread]) -> Iterator[Document]:
    """The documents of a stream that can be read only once."""
    told = content(raw, name, notes)
    if told.kind == "tar":
        members = archive.tar_members(cast("IO[bytes]", told.stream), name, notes, None, _useful)
        yield from _some(name, _texts([*map(_member, members)], "", notes), notes)
    elif told.kind == "zip":
        held = io.BytesIO(told.stream.read(archive.STREAM_BYTES))
        members = archive.zip_members(held, name, notes, _useful)
        yield from _some(name, _texts([*map(_member, members)], "", notes), notes)
    else:
        if told.kind == "empty":
            raise Unreadable(name, "nothing came in", "pipe a log into it: `dmesg | tablefull diagnose -`")
        _refuse(name, told, None)
        yield Document(name, None, None, None, lambda: told.stream)


def _member(member: archive.Member) -> _Found:
    return _Found(member.name.removeprefix("./"), member.size, lambda: cast("IO[bytes]", member.open()))


def split(inside: str) -> tuple[str, str]:
    """A path inside a tree as (root of its host's tree, path that names the content): ``sos-a/proc/meminfo`` at
    ``proc``.
    """
    parts = inside.split("/")
    for index, part in enumerate(parts[:-1]):
        if part in MARKERS:
            return "/".join(parts[:index]), "/".join(parts[index:])
    return "/".join(parts[:-1]), parts[-1]


def relevant(path: str) -> bool:
    """Whether a path that names content is one that a whole system's tree is read for."""
    return any(fnmatch(path, pattern) for pattern in RELEVANT) and not _never(path)


def _never(path: str) -> bool:
    return any(fnmatch(path, pattern) for pattern in NEVER + IDLE)


def _useful(inside: str) -> bool:
    """Whether a member may be evidence at all: relevant, or not part of a system's tree."""
    root, path = split(inside.removeprefix("./"))
    return relevant(path) or path in HOST_FILES or (path.split("/")[0] not in MARKERS and root.count("/") < 4)


def _names_content(absolute: str) -> str | None:
    """The telling part of a named file's absolute path, also inside a copied tree; None where there is none."""
    _, path = split(absolute.lstrip("/"))
    return path if path.split("/", 1)[0] in MARKERS and relevant(path) else None


def _walk(target: str, notes: list[Unread]) -> Iterator[_Found]:
    """The files of a tree in sorted order: all of a small one, of a large one those that ``relevant`` knows.

    A link is read only where it ends at a regular file inside the tree; links to directories are not entered.
    """
    met: list[Unread] = []
    files = list(_listed(target, met, everything=True))
    if len(files) > SMALL_TREE:
        met.clear()
        files = list(_listed(target, met, everything=False))
    notes += met
    above = _above(target)
    for inside, path in files:
        if not _never(split(above + inside)[1]):
            yield _Found(above + inside, None, _disk_opener(path), path)


def _above(target: str) -> str:
    """What is missing before the names in a tree of this system's own: ``proc/net/`` for ``/proc/net``."""
    real = _OWN_NET.sub("proc/net", os.path.realpath(target).lstrip("/"))
    return real + "/" if real.split("/")[0] in ("proc", "sys", "etc", "var") else ""


def _disk_opener(path: str) -> Callable[[], IO[bytes]]:
    return lambda: _open_disk(path)


def _listed(target: str, notes: list[Unread], *, everything: bool) -> Iterator[tuple[str, str]]:
    """(path inside, path on disk) of regular files, ascending; ends early past ``SMALL_TREE`` where ``everything``."""
    real_root = os.path.realpath(target)
    system = _above(target)
    waiting: list[tuple[str, int]] = [("", 0)]
    seen = yielded = 0
    while waiting:
        inside, depth = waiting.pop()
        where = f"{target.rstrip('/')}/{inside}" if inside else target
        try:
            with os.scandir(where) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            notes.append(Unread(Origin(where, 0, ""), (error.strerror or "cannot be listed").lower()))
            continue
        deeper: list[tuple[str, int]] = []
        for entry in entries:
            seen += 1
            if seen > ENTRIES:
                notes.append(Unread(Origin(target, 0, ""), f"only the first {ENTRIES} entries were looked at"))
                return
            name = f"{inside}/{entry.name}" if inside else entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    if depth < DEPTH and (everything or _leads(system + name, depth)):
                        deeper.append((name, depth + 1))
                elif _regular(entry, real_root) and (everything or _taken(system + name)):
                    yielded += 1
                    yield name, entry.path
                    if everything and yielded > SMALL_TREE:
                        return
            except OSError as error:
                notes.append(Unread(Origin(entry.path, 0, ""), (error.strerror or "cannot be read").lower()))
        waiting.extend(reversed(deeper))


def _regular(entry: "os.DirEntry[str]", real_root: str) -> bool:
    if not entry.is_symlink():
        return entry.is_file(follow_symlinks=False)
    real = os.path.realpath(entry.path)
    return real.startswith(real_root.rstrip("/") + "/") and entry.is_file()


def _taken(inside: str) -> bool:
    root, path = split(inside)
    return relevant(path) or (path in HOST_FILES and root.count("/") < 4)


def _leads(inside: str, depth: int) -> bool:
    """Whether a directory of a large tree may hold something relevant."""
    _, path = split(inside + "/.")
    path = path.removesuffix("/.")
    if path.split("/")[0] not in MARKERS:
        return depth < 2
    if _never(path + "/x"):
        return False
    count = path.count("/") + 1
    return any(
        fnmatch(path, "/".join(pattern.split("/")[:count])) or (pattern.endswith("*") and fnmatch(path, pattern))
        for pattern in RELEVANT
    )


def _texts(found: list[_Found], shown: str, notes: list[Unread]) -> Iterator[Document]:
    """Those of the found files that are text, each with the host that its tree states."""
    if len(found) > SMALL_TREE:
        found = [file for file in found if _taken(file.inside)]
    found.sort(key=lambda file: file.inside)
    hosts = _hosts(found, notes)
    for file in found:
        name = f"{shown}/{file.inside}" if shown and file.disk is None else file.disk or file.inside
        try:
            told = content(file.raw(), name, notes)
            told.stream.close()
        except Unreadable as error:
            notes.append(Unread(Origin(name, 0, ""), f"{error.why}; {error.remedy}"))
            continue
        except OSError as error:
            notes.append(
                Unread(Origin(name, 0, ""), f"{(error.strerror or 'cannot be read').lower()}{_as_root(error)}")
            )
            continue
        if told.kind != "text" or not told.head.strip(b"\0\r\n\t "):
            continue
        root, path = split(file.inside)
        plain = file.disk if not told.packed else None
        size = file.size if not told.packed else None
        if plain is not None:
            size = Path(plain).stat().st_size
        yield Document(name, path, hosts.get(root), size, _content_opener(file.raw, name, notes), plain)


def _as_root(error: OSError) -> str:
    return "; run it as root" if error.errno in (errno.EACCES, errno.EPERM) else ""


def _content_opener(raw: Callable[[], IO[bytes]], name: str, notes: list[Unread]) -> Callable[[], BinaryIO]:
    return lambda: content(raw(), name, notes).stream


def _hosts(found: list[_Found], notes: list[Unread]) -> dict[str, str]:
    """Root of a tree → the host it states; where several trees state nothing, the name of each one's directory."""
    hosts: dict[str, str] = {}
    roots = {split(file.inside)[0] for file in found if split(file.inside)[1].split("/")[0] in MARKERS}
    by_path = {file.inside: file for file in found}
    for root in roots or {split(file.inside)[0] for file in found}:
        for name in HOST_FILES:
            file = by_path.get(f"{root}/{name}" if root else name)
            stated = _stated(file, notes) if file is not None else None
            if stated:
                hosts[root] = stated
                break
        else:
            if len(roots) > 1 and root:
                hosts[root] = root.rsplit("/", 1)[-1]
    return hosts


def _stated(file: _Found, notes: list[Unread]) -> str | None:
    """The host name in one small file, plain or a JSON manifest; None where it holds none."""
    try:
        with content(file.raw(), file.inside, notes).stream as stream:
            text = stream.read(64 * 1024).decode("utf-8", "replace").strip()
    except (OSError, Unreadable):
        return None
    if file.inside.endswith(".json"):
        from msgspec import DecodeError, json

        try:
            manifest = json.decode(text)
        except (DecodeError, RecursionError):
            return None
        values = [manifest.get(key) for key in ("host", "hostname", "name")] if isinstance(manifest, dict) else []
        text = next((value for value in values if isinstance(value, str)), "")
    first = text.split("\n", 1)[0].strip()
    return first if _HOST_NAME.fullmatch(first) and first != "localhost" else None
