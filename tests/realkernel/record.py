"""A run kept in one file: the packets, what the kernel said of each, and what its table held at the end.

A ``.tar.xz`` of files any tool reads: ``packets.pcap`` (bare IP, nanoseconds of the kernel's monotonic clock, in whole
ticks), ``verdicts.csv`` (index, state, direction), ``entries.txt`` (conntrack -L -o extended), ``proc.txt``
(/proc/net/nf_conntrack) and ``run.json`` (kernel, settings, counters).

The trap: what cannot be seen from outside (a repeated fragment) has the state ``unknown``; it is no verdict.
"""

import io
import json
import os
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

FORMAT = "tablefull/verdicts/1"
STATES = ("new", "established", "related", "invalid", "untracked", "dropped")
DIRECTIONS = ("original", "reply")
NO_DIRECTION = 255
UNKNOWN = "unknown"
NANOSECOND_MAGIC = 0xA1B23C4D
LINKTYPE_RAW = 101
SECOND_NS = 1_000_000_000
PCAP_HEADER, PACKET_HEADER = struct.Struct("<IHHiIII"), struct.Struct("<IIII")


class Recorded(NamedTuple):
    """A run as it was kept. ``state`` and ``direction`` as numbers, ``determined`` False where nobody knows."""

    about: dict[str, Any]
    data: npt.NDArray[np.uint8]
    start: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    time_ns: npt.NDArray[np.int64]
    state: npt.NDArray[np.uint8]
    direction: npt.NDArray[np.uint8]
    determined: npt.NDArray[np.bool_]
    entries: list[str]
    proc: list[str]


def keep(path: Path, recorded: Recorded) -> None:
    """Write the file; the same run gives the same bytes."""
    files = {
        "run.json": json.dumps(recorded.about | {"format": FORMAT}, indent=1, sort_keys=True) + "\n",
        "verdicts.csv": _verdicts(recorded),
        "entries.txt": "".join(f"{line}\n" for line in recorded.entries),
        "proc.txt": "".join(f"{line}\n" for line in recorded.proc),
        "packets.pcap": _pcap(recorded),
    }
    with tarfile.open(path, "w:xz", preset=9) as archive:
        for name, text in files.items():
            content = text.encode() if isinstance(text, str) else text
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def read(path: Path) -> Recorded:
    """The file as it was written."""
    with tarfile.open(path, "r:xz") as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    about = json.loads(files["run.json"])
    if about["format"] != FORMAT:
        raise ValueError(f"{path.name}: format {about['format']}")
    rows = [line.split(",") for line in files["verdicts.csv"].decode().splitlines()[1:]]
    known = {name: number for number, name in enumerate(STATES)}
    ways = {name: number for number, name in enumerate(DIRECTIONS)}
    start, length, time_ns = _places(files["packets.pcap"])
    return Recorded(
        about,
        np.frombuffer(files["packets.pcap"], np.uint8),
        start,
        length,
        time_ns,
        np.array([known.get(row[1], known["dropped"]) for row in rows], np.uint8),
        np.array([ways.get(row[2], NO_DIRECTION) for row in rows], np.uint8),
        np.array([row[1] != UNKNOWN for row in rows], np.bool_),
        files["entries.txt"].decode().splitlines(),
        files["proc.txt"].decode().splitlines(),
    )


def about(settings: Mapping[str, object], traffic: str, host: Mapping[str, int]) -> dict[str, Any]:
    """What is to be known of a run beside its packets."""
    return {"kernel": os.uname().release, "settings": dict(settings), "traffic": traffic, "host": dict(host)}


def _verdicts(recorded: Recorded) -> str:
    lines = ["index,state,direction"]
    rows = zip(recorded.state.tolist(), recorded.direction.tolist(), recorded.determined.tolist(), strict=True)
    for index, (state, direction, determined) in enumerate(rows):
        way = DIRECTIONS[direction] if direction != NO_DIRECTION else ""
        lines.append(f"{index},{STATES[state]},{way}" if determined else f"{index},{UNKNOWN},")
    return "\n".join(lines) + "\n"


def _pcap(recorded: Recorded) -> bytes:
    parts = [PCAP_HEADER.pack(NANOSECOND_MAGIC, 2, 4, 0, 0, 65535, LINKTYPE_RAW)]
    whole = recorded.data.tobytes()
    rows = zip(recorded.start.tolist(), recorded.length.tolist(), recorded.time_ns.tolist(), strict=True)
    for start, length, time_ns in rows:
        seconds, nanoseconds = divmod(time_ns, SECOND_NS)
        parts.append(PACKET_HEADER.pack(seconds, nanoseconds, length, length))
        parts.append(whole[start : start + length])
    return b"".join(parts)


def _places(pcap: bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    magic, *_, linktype = PCAP_HEADER.unpack_from(pcap)
    if (magic, linktype) != (NANOSECOND_MAGIC, LINKTYPE_RAW):
        raise ValueError("not a capture that this module wrote")
    start, length, time_ns = [], [], []
    at = PCAP_HEADER.size
    while at < len(pcap):
        seconds, nanoseconds, captured, _ = PACKET_HEADER.unpack_from(pcap, at)
        at += PACKET_HEADER.size
        start.append(at)
        length.append(captured)
        time_ns.append(seconds * SECOND_NS + nanoseconds)
        at += captured
    return np.array(start, np.int64), np.array(length, np.int64), np.array(time_ns, np.int64)
