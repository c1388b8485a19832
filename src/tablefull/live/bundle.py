"""A collection as one archive, ``web01/proc/…`` and ``web01/netns/blue/proc/…``, that reads as the machine it came
from.

The trap: a bundle is written during an outage, on a disk that may be full, perhaps over yesterday's. It is written
beside its place and moved there whole, never over a file unless told to; and the same collection gives the same
bytes.
"""

import errno
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tablefull import __version__
from tablefull.errors import KernelRefused, UsageError
from tablefull.live.collection import Artefact, Collection, for_reader, host_name, host_of, safe

if TYPE_CHECKING:
    from gzip import GzipFile

__all__ = ["MANIFEST", "SCHEMA", "for_reader", "host_of", "is_bundle", "members", "roles", "write"]

MANIFEST = "MANIFEST.json"
SCHEMA = "tablefull/bundle/1"
_NO_PLACE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)


def is_bundle(names: list[str]) -> bool:
    """True where the member names of an archive, or the files of a folder, are those of a bundle."""
    return any(name.removeprefix("./").count("/") == 1 and name.endswith("/" + MANIFEST) for name in names)


def roles(manifest: bytes) -> dict[str, str]:
    """Host → role of every host in a bundle, as its manifest states them; empty for a text that is no manifest."""
    from msgspec import DecodeError, json

    try:
        told = json.decode(manifest)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    hosts = told.get("hosts") if isinstance(told, dict) else None
    rows = [row for row in hosts if isinstance(row, dict)] if isinstance(hosts, list) else []
    return {str(row["name"]): str(row["role"]) for row in rows if "name" in row and "role" in row}


def members(collection: Collection, taken: str) -> list[Artefact]:
    """Every file of the bundle in its order: the manifest, then the artefacts by path, each host with its name's
    file.
    """
    top = safe(collection.host)
    files = {artefact.path: artefact.content for artefact in collection.artefacts}
    files["hostname"] = collection.host.encode() + b"\n"
    for space in collection.namespaces:
        files[f"netns/{space.key}/hostname"] = host_name(collection.host, space.key).encode() + b"\n"
    manifest = Artefact(f"{top}/{MANIFEST}", _manifest(collection, taken, sorted(files)))
    return [manifest, *(Artefact(f"{top}/{path}", files[path]) for path in sorted(files))]


def _manifest(collection: Collection, taken: str, paths: list[str]) -> bytes:
    from msgspec import json

    told: dict[str, Any] = {
        "schema": SCHEMA,
        "tool": __version__,
        "host": collection.host,
        "kernel": collection.kernel,
        "taken": taken,
        "root": collection.root,
        "hosts": [
            {"name": collection.host, "role": "host", "folder": ""},
            *(
                {
                    "name": host_name(collection.host, space.key),
                    "role": space.role,
                    "folder": f"netns/{space.key}",
                    "inode": space.inode,
                    "processes": space.processes,
                    "command": space.command,
                    "container": space.hostname,
                }
                for space in collection.namespaces
            ),
        ],
        "holes": [{"what": hole.what, "why": hole.why, "remedy": hole.remedy} for hole in collection.holes],
        "files": paths,
    }
    return json.format(json.encode(told), indent=1) + b"\n"


def write(
    collection: Collection,
    path: Path,
    redact: bool,
    *,
    taken: str,
    taken_s: int = 0,
    key: bytes | None = None,
    force: bool = False,
) -> None:
    """Write the bundle to ``path`` (``.tar.gz``), readable by its owner alone.

    ``taken`` is the time as shown in the manifest and ``taken_s`` the files' own, in seconds since 1970. ``redact``
    replaces addresses and host names under ``key``, by default a new one that is thrown away. Refuses with UsageError
    what exists, unless ``force``, and what is no place for a file; with KernelRefused a full disk or a forbidden place.
    Either way nothing is left behind.
    """
    if not force and (path.exists() or path.is_symlink()):
        raise UsageError(f"{path}: exists already; name another file, or say --force")
    if redact:
        import secrets

        from tablefull.live.redact import redacted

        collection = redacted(collection, key if key is not None else secrets.token_bytes(16))
    packed = pack(members(collection, taken), taken_s)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "wb") as stream:
                stream.write(packed)
                stream.flush()
                os.fsync(stream.fileno())
            _move(beside, path, force)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except FileExistsError:
        raise UsageError(f"{path}: exists already; name another file, or say --force") from None
    except OSError as error:
        why = (error.strerror or "cannot be written").lower()
        line = f"{path}: cannot be written ({why}); name a place that can be written"
        raise (UsageError if error.errno in _NO_PLACE else KernelRefused)(line) from None


def _move(beside: Path, path: Path, force: bool) -> None:
    """Give the finished file its name: over another only by ``force``, and never over one that appeared meanwhile."""
    if force:
        beside.replace(path)
        return
    try:
        path.hardlink_to(beside)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError from None
        beside.replace(path)
    else:
        beside.unlink()


def pack(files: list[Artefact], taken_s: int) -> bytes:
    """The files as a compressed archive, the same bytes for the same files and time."""
    import gzip

    held = io.BytesIO()
    with gzip.GzipFile(fileobj=held, mode="wb", filename="", mtime=taken_s, compresslevel=6) as stream:
        _tar(files, stream, taken_s)
    return held.getvalue()


def _tar(files: list[Artefact], stream: "GzipFile", taken_s: int) -> None:
    import tarfile

    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for file in files:
            info = tarfile.TarInfo(file.path)
            info.size, info.mtime, info.mode = len(file.content), taken_s, 0o600
            archive.addfile(info, io.BytesIO(file.content))
