"""Entries as rows: a listing as ``conntrack -L -o extended`` prints it, CSV, Parquet. Batch by batch, never whole.

The trap: the three have different ideas of what is not there. conntrack leaves words out, CSV leaves fields empty, and
Parquet has nulls; a timeout of an offloaded entry, a state of UDP and counters without accounting are none of them 0.
"""

import csv
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import Struct, field

from tablefull.errors import KernelRefused, TablefullError, Unreadable, UsageError
from tablefull.kernel.states import status_names
from tablefull.live.netlink import Netlink, askable
from tablefull.live.proc import Proc
from tablefull.live.spaces import count_of_files
from tablefull.live.table import can_compile, counts, rows
from tablefull.views.output import emit_pieces
from tablefull.wire import ctnetlink as at
from tablefull.wire.dimensions import OFFLOADED, PORTED, address, proto_name, state_name
from tablefull.wire.selection import Test

BATCH = 8192
COLUMNS = (
    *("family", "proto", "state", "remaining_s", "src", "dst", "sport", "dport", "reply_src", "reply_dst"),
    *("reply_sport", "reply_dport", "icmp_type", "icmp_code", "icmp_id", "status", "zone", "mark", "helper"),
    *("packets", "bytes", "reply_packets", "reply_bytes", "start_ns", "id"),
)
HW_OFFLOAD, ASSURED, SEEN_REPLY = 1 << 15, 1 << 2, 1 << 1
ICMP, ICMPV6, GRE = 1, 58, 47
# What conntrack-tools 1.4.7 calls by name; others are "unknown".
_LISTED = frozenset(("icmp", "icmpv6", "tcp", "udp", "udplite", "sctp", "gre", "dccp"))


class Told(Struct):
    """How the writing went."""

    read: int = 0
    total: int = 0
    failed: bool = False
    notes: list[str] = field(default_factory=list)


def _wide(row: Sequence[int], word: int) -> int:
    return row[word] << 32 | row[word + 1]


def _helper(row: Sequence[int]) -> str:
    raw = b"".join(row[word].to_bytes(4, "big") for word in range(at.R_HELPER, at.R_HELPER + 4))
    return raw.split(b"\0", 1)[0].decode("ascii", "backslashreplace")


def _side(row: Sequence[int], reply: bool) -> str:
    family, base, ports = row[at.R_FAMILY], 8 * reply, at.R_REPLY * reply
    text = f"src={address(family, row[base : base + 4])} dst={address(family, row[base + 4 : base + 8])}"
    proto = row[at.R_PROTO]
    if proto in PORTED:
        text += f" sport={row[at.R_SPORT + ports]} dport={row[at.R_DPORT + ports]}"
    elif proto in (ICMP, ICMPV6):
        text += f" type={row[at.R_TYPE + ports]} code={row[at.R_CODE + ports]} id={row[at.R_SPORT + ports]}"
    elif proto == GRE:
        text += f" srckey={row[at.R_SPORT + ports]:#x} dstkey={row[at.R_DPORT + ports]:#x}"
    zone = row[at.R_ZONE_REPLY if reply else at.R_ZONE_ORIG]
    if zone:
        text += f" zone-{'reply' if reply else 'orig'}={zone}"
    if row[at.R_PRESENT] & at.HAS_COUNTERS:
        first = at.R_REPLY_PACKETS if reply else at.R_PACKETS
        text += f" packets={_wide(row, first)} bytes={_wide(row, first + 2)}"
    return text


def line(row: Sequence[int]) -> str:
    """One entry as ``conntrack -L -o extended`` prints it. [conntrack-tools 1.4.7, libnetfilter_conntrack snprintf]"""
    family, proto, status = row[at.R_FAMILY], row[at.R_PROTO], row[at.R_STATUS]
    name = proto_name(proto)
    words = [f"{f'ipv{family}':<8} {2 if family == 4 else 10}", f"{name if name in _LISTED else 'unknown':<8} {proto}"]
    if row[at.R_TIMEOUT] != at.ABSENT and not status & OFFLOADED:
        words.append(str(row[at.R_TIMEOUT]))
    state = state_name(proto, row[at.R_STATE])
    if state and not status & OFFLOADED:
        words.append(state)
    words.append(_side(row, reply=False))
    if not status & SEEN_REPLY:
        words.append("[UNREPLIED]")
    words.append(_side(row, reply=True))
    if status & HW_OFFLOAD:
        words.append("[HW_OFFLOAD]")
    elif status & OFFLOADED:
        words.append("[OFFLOAD]")
    elif status & ASSURED:
        words.append("[ASSURED]")
    if row[at.R_PRESENT] & at.HAS_MARK:
        words.append(f"mark={row[at.R_MARK]}")
    if row[at.R_ZONE]:
        words.append(f"zone={row[at.R_ZONE]}")
    if row[at.R_PRESENT] & at.HAS_HELPER:
        words.append(f"helper={_helper(row)}")
    words.append(f"use={row[at.R_USE]}")
    return " ".join(words)


def values(row: Sequence[int]) -> tuple[Any, ...]:
    """One entry by :data:`COLUMNS`; None where it does not have it."""
    family, proto, present = row[at.R_FAMILY], row[at.R_PROTO], row[at.R_PRESENT]
    ported, icmp = proto in PORTED, proto in (ICMP, ICMPV6)
    ends = [address(family, row[base : base + 4]) for base in (at.R_SRC, at.R_DST, at.R_REPLY_SRC, at.R_REPLY_DST)]
    ports = [row[at.R_SPORT], row[at.R_DPORT], row[at.R_SPORT + at.R_REPLY], row[at.R_DPORT + at.R_REPLY]]
    counted = [_wide(row, word) for word in (at.R_PACKETS, at.R_BYTES, at.R_REPLY_PACKETS, at.R_REPLY_BYTES)]
    return (
        *(f"ipv{family}", proto_name(proto), state_name(proto, row[at.R_STATE]) or None),
        None if row[at.R_TIMEOUT] == at.ABSENT else row[at.R_TIMEOUT],
        *(ends[0], ends[1], *(ports[:2] if ported else (None, None))),
        *(ends[2], ends[3], *(ports[2:] if ported else (None, None))),
        *((row[at.R_TYPE], row[at.R_CODE], row[at.R_SPORT]) if icmp else (None, None, None)),
        " ".join(status_names(row[at.R_STATUS])),
        *(row[at.R_ZONE] or row[at.R_ZONE_ORIG], row[at.R_MARK], _helper(row) or None),
        *(counted if present & at.HAS_COUNTERS else (None,) * 4),
        _wide(row, at.R_START) if present & at.HAS_TIMESTAMP else None,
        row[at.R_ID],
    )


def _batches(link: Netlink, where: Test | None, size: int | None, told: Told) -> Iterator[list[at.Row]]:
    """Rows that are meant, many at once; by the compiled reader where it is there."""
    if size is None and can_compile():
        import numpy as np

        from tablefull.live.table_bulk import Batches, matching

        source = Batches(link)
        for batch in source:
            told.read += len(batch)
            chosen = batch if where is None else batch[matching(np.asarray(batch), where)]
            yield [tuple(row) for row in chosen.tolist()]
        if source.failed:
            told.failed = True
            told.notes.append(f"it broke off: {source.failed}; what had come by then was written")
        broken = source.broken
    else:
        reader, batch_rows = at.Reader(), []
        try:
            for row in rows(link, reader):
                told.read += 1
                if where is None or where(row.__getitem__):
                    batch_rows.append(row)
                if len(batch_rows) == BATCH:
                    yield batch_rows
                    batch_rows = []
                if size is not None and told.read >= size:
                    break
        except TablefullError as error:
            told.failed = True
            told.notes.append(f"it broke off: {error}; what had come by then was written")
        yield batch_rows
        broken = reader.broken
    if link.interrupted:
        told.notes.append("the table changed its size while it was read: some entries may be missing or twice")
    if broken:
        told.notes.append(f"{broken} messages of the kernel could not be read")


def write(
    path: str | None, where: Test | None, form: str, output: str | None, size: int | None, tick: Callable[[int], None]
) -> Told:
    """Write the entries of a namespace: by netlink, by the file in /proc where that is refused.

    KernelRefused or Unreadable where neither is to be had; nothing was written then.
    """
    told = Told()
    if form == "parquet":
        if output in (None, "-") and sys.stdout.isatty():
            raise UsageError("--format parquet: a terminal shows no Parquet; name a file: -o table.parquet")
        if not _have_polars():
            raise UsageError("--format parquet needs polars: pip install 'tablefull[twin]'; csv needs nothing")
    try:
        askable(Proc())
        told.total, _ = counts(path)
    except (KernelRefused, Unreadable) as refusal:
        _emitted(_pieces(_of_file(path, where, size, told, refusal), form, told, tick), form, output)
    else:
        with Netlink(namespace=path) as link:
            _emitted(_pieces(_batches(link, where, size, told), form, told, tick), form, output)
    return told


def _emitted(pieces: Iterator[Any], form: str, output: str | None) -> None:
    if form == "parquet":
        _parquet(pieces, output)
    else:
        emit_pieces(pieces, output or "-")


def _of_file(
    path: str | None, where: Test | None, size: int | None, told: Told, refusal: TablefullError
) -> Iterator[list[at.Row]]:
    """Rows of /proc/net/nf_conntrack; the refusal of netlink where that is not there either."""
    from tablefull.live import table_proc

    try:
        found = table_proc.listed(path, size)
        told.total, _ = count_of_files(path)
    except (OSError, ValueError):
        raise refusal from None
    told.read = len(found)
    told.notes.append(f"{refusal}; /proc/net/nf_conntrack was read instead")
    return iter([[row for row in found if where is None or where(row.__getitem__)]])


def _pieces(batches: Iterator[list[at.Row]], form: str, told: Told, tick: Callable[[int], None]) -> Iterator[Any]:
    if form == "csv":
        yield (",".join(COLUMNS) + "\n").encode()
    for batch in batches:
        tick(told.read)
        if form == "conntrack":
            yield "".join(f"{line(row)}\n" for row in batch).encode()
        elif form == "csv":
            held = io.StringIO()
            csv.writer(held, lineterminator="\n").writerows(values(row) for row in batch)
            yield held.getvalue().encode()
        else:
            yield [values(row) for row in batch]


def _have_polars() -> bool:
    from importlib.util import find_spec

    return find_spec("polars") is not None


def _parquet(batches: Iterator[list[tuple[Any, ...]]], output: str | None) -> None:
    """Row groups one by one into a file beside the place, which then moves there whole."""
    import tempfile

    import polars as pl

    texts = {"family", "proto", "state", "src", "dst", "reply_src", "reply_dst", "status", "helper"}
    schema = {name: pl.String if name in texts else pl.Int64 for name in COLUMNS}
    frames = [pl.DataFrame(batch, schema=schema, orient="row") for batch in batches if batch]
    frame = pl.concat(frames) if frames else pl.DataFrame(schema=schema)
    with tempfile.SpooledTemporaryFile(64 << 20) as held:
        frame.write_parquet(held)
        held.seek(0)
        emit_pieces(iter(lambda: held.read(1 << 20), b""), output or "-")
