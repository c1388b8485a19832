"""The fast search for parsers.bulk on this machine: the C library's ``strstr``, and one process for each of two
cores.

The trap: Python's own search holds one core at 0.3 s a gigabyte for every phrase, and thirty are looked for. glibc's
``strstr`` with AVX-512 takes a tenth of that, elsewhere about a third; it stops at a zero byte, so those are blanked
first. Where there is no C library to ask, or no second core, the same reading is done by the plain definition in
parsers.bulk, only slower.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from tablefull.facts.entry import Composition
from tablefull.live.holes import extents
from tablefull.parsers import bulk
from tablefull.parsers.bulk import Block, BulkResult, Hits, Tally

SPLIT_BYTES = 48 * 1024 * 1024  # below this a second process costs more than it saves
WORKERS = 2  # more gain little: a gigabyte already takes about a second


def fastest() -> Tally:
    """The fastest tally of this machine; equal in result to ``parsers.bulk.tally``."""
    try:
        return _strstr_tally()
    except (ImportError, OSError, AttributeError):
        return bulk.tally


def _strstr_tally() -> Tally:
    import ctypes

    strstr: Callable[[int, bytes], int | None] = ctypes.CDLL(None).strstr
    strstr.restype, strstr.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]  # type: ignore[attr-defined]
    cast, address_type = ctypes.cast, ctypes.c_void_p

    def tally(data: bytes, end: int, phrases: Sequence[bytes]) -> list[Hits]:
        if b"\0" in data:
            data = data.replace(b"\0", b" ")
        base = cast(ctypes.c_char_p(data), address_type).value or 0
        limit = base + end
        found = []
        for phrase in phrases:
            at: list[int] = []
            length = len(phrase)
            address = strstr(base, phrase)
            while address is not None and address + length <= limit:
                at.append(address - base)
                if len(at) > bulk.POSITIONS:
                    break
                address = strstr(address + length, phrase)
            found.append(Hits(len(at), at) if len(at) <= bulk.POSITIONS else Hits(data.count(phrase, 0, end), None))
        return found

    return tally


def scan_file(path: str, workers: int | None = None) -> BulkResult:
    """The reading of an uncompressed regular file; its holes are passed over. ``workers`` is 1 or 2, by default what
    helps.

    Refuses nothing of its own: an OSError of opening or reading is the caller's to explain.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        parts = extents(fd, size)
        held = sum(end - start for start, end in parts)
        wanted = workers if workers is not None else _workers(held)
        halves = _halves(fd, parts, held) if wanted > 1 else None
        count = fastest()
        if halves is None:
            return bulk.fold(_read(fd, parts), count)
        return bulk.join(_both(fd, halves, count))
    finally:
        os.close(fd)


def fold_listing(path: str, composition: Composition, source: str) -> int:
    """Count a huge listing of the table into ``composition``, a block at a time, and answer how many rows it held."""
    from tablefull.parsers.conntrack_entries import fold

    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return fold(bulk.texts(_read(fd, extents(fd, os.fstat(fd).st_size))), composition, source)
    finally:
        os.close(fd)


def _workers(held: int) -> int:
    if held < SPLIT_BYTES or not hasattr(os, "fork"):
        return 1
    import threading

    # A fork copies only the calling thread: with others about, a lock one of them holds would stay held in the copy.
    return min(WORKERS, len(os.sched_getaffinity(0))) if threading.active_count() == 1 else 1


def _halves(fd: int, parts: list[tuple[int, int]], held: int) -> list[list[tuple[int, int]]] | None:
    """The extents in two lots of about the same size, parted at a line's end; None where no line ends near the
    middle.
    """
    passed = 0
    for index, (start, end) in enumerate(parts):
        if passed + end - start >= held // 2:
            middle = start + held // 2 - passed
            newline = os.pread(fd, min(bulk.LONGEST, end - middle), middle).find(b"\n")
            if newline < 0:
                return None
            cut = middle + newline + 1
            halves = [[*parts[:index], (start, cut)], [(cut, end), *parts[index + 1 :]]]
            return halves if cut < end or index + 1 < len(parts) else None
        passed += end - start
    return None


def _read(fd: int, parts: list[tuple[int, int]]) -> Iterator[Block]:
    """Blocks of whole lines of some extents; the rest of a cut line is read again instead of copied."""
    for start, end in parts:
        offset, size = start, bulk.BLOCK
        while offset < end:
            data = os.pread(fd, min(size, end - offset), offset)
            if not data:
                return
            stop = len(data) if offset + len(data) >= end else data.rfind(b"\n") + 1
            if not stop:
                if len(data) < bulk.LONGEST:
                    size *= 2
                    continue
                stop = len(data)
            yield data, stop
            offset, size = offset + stop, bulk.BLOCK


def _both(fd: int, halves: list[list[tuple[int, int]]], count: Tally) -> list[BulkResult]:
    """Read the second half in a copy of this process and the first half here; all of it here where the copy fails."""
    from msgspec import DecodeError, msgpack

    receive, send = os.pipe()
    try:
        child = os.fork()
    except OSError:
        os.close(receive)
        os.close(send)
        return [bulk.fold(_read(fd, half), count) for half in halves]
    if not child:
        _answer(fd, halves[1], count, send)
    os.close(send)
    try:
        with os.fdopen(receive, "rb") as pipe:
            first = bulk.fold(_read(fd, halves[0]), count)
            answer = pipe.read()
    except BaseException:
        import signal

        os.kill(child, signal.SIGKILL)
        raise
    finally:
        os.waitpid(child, 0)
    try:
        second = msgpack.decode(answer, type=BulkResult)
    except DecodeError:
        second = bulk.fold(_read(fd, halves[1]), count)
    return [first, second]


def _answer(fd: int, half: list[tuple[int, int]], count: Tally, send: int) -> NoReturn:
    """In the copy: read, write the result into the pipe, and end without running anything the parent has to run."""
    code = 1
    try:
        from msgspec import msgpack

        answer = msgpack.encode(bulk.fold(_read(fd, half), count))
        while answer:
            answer = answer[os.write(send, answer) :]
        code = 0
    finally:
        os._exit(code)
