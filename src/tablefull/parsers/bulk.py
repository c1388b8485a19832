"""A kernel log too long to be read line by line: exact totals of every looked-for message, and some thousand lines in
full.

The trap: a gigabyte holds fifteen million lines, and one Python step for each is half a minute. So phrases are looked
for in whole blocks, a block's lines are cut out only where something is kept, and a phrase that stands in every line
is counted by ``bytes.count`` alone. What is kept of each kind: its first lines, its last lines and a uniform thinning
between, the same on every run. The kept lines then go through the ordinary kernel-log parser with their true numbers.

A total counts *messages*: occurrences of the kind's phrase, which is one a line in anything a kernel printed. A line
longer than ``LONGEST`` bytes is read in pieces, and a phrase across such a cut is missed.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from msgspec import Struct, field

from tablefull.parsers.block import Line

# Phrase → kind; kinds and wordings as in parsers.kernel_log. No two phrases may stand in the same message.
PHRASES: tuple[tuple[bytes, str], ...] = (
    (b"conntrack: table full", "table-full"),
    (b"conntrack:table full", "table-full"),
    (b"conntrack table full", "table-full"),
    (b"expectation table full", "expectation-full"),
    (b" entries exceeded", "ip-conntrack-max"),
    (b" callbacks suppressed", "suppressed"),
    (b" messages suppressed", "suppressed"),
    (b"falling back to vmalloc", "vmalloc"),
    (b"automatic helper assignment", "helper-off"),
    (b"conntrack version", "conntrack-version"),
    (b"nf_ct_tcp: ", "ct-invalid"),
    (b"nf_ct_proto_", "ct-invalid"),
    (b"neighbor table overflow", "neighbour-overflow"),
    (b"eighbour table overflow", "neighbour-overflow"),
    (b"time wait bucket table overflow", "time-wait-overflow"),
    (b"too many orphaned sockets", "orphans"),
    (b"too many of orphaned sockets", "orphans"),
    (b"TCP: out of memory", "tcp-memory"),
    (b"ut of socket memory", "tcp-memory"),
    (b"ossible SYN flooding", "syn-flooding"),
    (b"dst cache overflow", "dst-cache-overflow"),
    (b"page allocation failure", "page-allocation"),
    (b"ut of memory: Kill", "oom-kill"),
    (b"invoked oom-killer", "oom-kill"),
    (b"martian source", "martian"),
    (b"filtering via arp/ip/ip6tables", "bridge-filtering"),
    (b"UDP: bad checksum", "udp-checksum"),
    (b"Linux version ", "linux-version"),
)
REPEATED = b"last message repeated "
NEEDLES: tuple[bytes, ...] = (*(phrase for phrase, _ in PHRASES), REPEATED)
# What is really searched: a piece that several phrases share, or one that begins rarely; every hit is then compared
# with
# the whole phrases. Twenty passes over the text instead of twenty-nine, none of them on a common pair of letters.
PIECES: tuple[bytes, ...] = (
    b"table full", b"s suppressed", b"e overflow", b"orphaned sockets", b"ut of memory", b"nf_ct_", b"o vmalloc",
    b"tic helper assignment", b"ck version", b"cket memory", b"flooding", b"location failure", b"oked oom-killer",
)  # fmt: skip

BLOCK = 512 * 1024  # bytes of one reading: half of a common L2 cache, so that all passes but the first find it there
LONGEST = 1024 * 1024  # bytes of a line that is still read whole
KEPT_TEXT = 2048  # bytes kept of one line
POSITIONS = 500  # a phrase with more hits than this in one block is only counted there
# blocks held back, so that a block's lines are cut out only if they can still be among the last of their kind
PENDING = 12
OPENING = 20  # lines kept from the beginning whatever they say: what the log is
MIDDLES = 5  # lines (for ``suppressed``: windows) kept of one kind between its first and last ones
# bytes before a suppressed-count that its window's printed lines are taken from: ten lines and their neighbours
INSIDE = 8  # the hit of a block that stands for it, counted from its begin: far enough in to have its window before it
WINDOW = 4096

# First and last lines kept of a kind. Those that form rate-limit windows need many; the others only show that they
# are there.
_ENDS = {"table-full": 100, "expectation-full": 30, "suppressed": 100, "linux-version": 10}
_FEW = 12
_REPEATS = re.compile(rb"last message repeated (\d{1,9}) times")
_LOG_LINE = re.compile(
    rb"\s{0,3}(?:<\d{1,3}>\d{0,2}\s?)?"
    rb"(?:\[\s{0,8}\d{1,12}\.\d{1,9}\]"
    rb"|[A-Z][a-z]{2}\s{1,2}\d{1,2},?\s(?:\d{4}\s)?\d\d:\d\d:\d\d"
    rb"|\[?[A-Z][a-z]{2},?\s{1,2}[A-Z][a-z]{2}\s{1,2}\d{1,2}\s\d\d:\d\d"
    rb"|\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d"
    rb"|\{.{0,400}\"MESSAGE\""
    rb"|[a-z]{2,8}\.[a-z]{3,7}\s)"
)


class Hits(NamedTuple):
    """How often (``number``) one phrase stands in a block, and where; ``at`` is None where there are more than
    ``POSITIONS``.
    """

    number: int
    at: list[int] | None


Block = tuple[bytes, int]
Tally = Callable[[bytes, int, Sequence[bytes]], list[Hits]]


class BulkResult(Struct, kw_only=True):
    """``lines`` in order of the log, with true numbers; ``totals`` by kind, exact; kinds that do not occur are
    absent.

    ``suppressed_sum`` adds up the N of every ``N callbacks suppressed`` of the bucket that the table-full message
    shares; it is a size of what was not printed, never a number of conntrack drops. ``thinned`` says that some
    counted lines are not kept.
    """

    lines: list[Line] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)
    suppressed_sum: int = 0
    line_count: int = 0
    bytes: int = 0
    thinned: bool = False


class _Kept(NamedTuple):
    offset: int
    number: int
    text: bytes


class _Kind:
    """What is kept of one kind: ``seen`` messages so far, the first, the last, and a thinning that halves when it
    grows.
    """

    __slots__ = ("ends", "first", "last", "middle", "newer", "seen", "skipped", "stride")

    def __init__(self, kind: str) -> None:
        self.ends = _ENDS.get(kind, _FEW)
        self.first: list[list[_Kept]] = []
        self.last: deque[list[_Kept]] = deque(maxlen=self.ends)
        self.middle: list[list[_Kept]] = []
        self.seen = self.newer = self.skipped = 0
        self.stride = 1

    def offer(self, window: list[_Kept]) -> None:
        self.middle.append(window)
        if len(self.middle) >= 2 * MIDDLES:
            del self.middle[1::2]
            self.stride *= 2


class _Pending(NamedTuple):
    data: bytes
    end: int
    offset: int
    hits: dict[str, list[tuple[bytes, Hits]]]
    counts: dict[str, int]


def tally(data: bytes, end: int, phrases: Sequence[bytes]) -> list[Hits]:
    """Where each phrase begins in ``data[:end]``, non-overlapping: the definition a faster one must equal."""
    found = []
    for phrase in phrases:
        at: list[int] = []
        position = data.find(phrase, 0, end)
        while position >= 0:
            at.append(position)
            if len(at) > POSITIONS:
                break
            position = data.find(phrase, position + len(phrase), end)
        found.append(Hits(len(at), at) if len(at) <= POSITIONS else Hits(data.count(phrase, 0, end), None))
    return found


def _searches() -> list[tuple[bytes, list[tuple[int, int]]]]:
    """Each piece with the phrases that hold it: their number in ``NEEDLES`` and where the piece stands in them."""
    searches: dict[bytes, list[tuple[int, int]]] = {}
    for number, phrase in enumerate(NEEDLES):
        piece = next((one for one in PIECES if one in phrase), phrase)
        searches.setdefault(piece, []).append((number, phrase.index(piece)))
    return list(searches.items())


SEARCHES = _searches()


def found_in(data: bytes, end: int, count: Tally) -> list[Hits]:
    """What ``count`` says of every phrase of ``NEEDLES``, from fewer and faster passes over the text."""
    hits: list[Hits] = [Hits(0, [])] * len(NEEDLES)
    for (piece, phrases), hit in zip(SEARCHES, count(data, end, [piece for piece, _ in SEARCHES]), strict=True):
        if not hit.number:
            continue
        if hit.at is None:
            again = count(data, end, [NEEDLES[number] for number, _ in phrases])
            for (number, _), one in zip(phrases, again, strict=True):
                hits[number] = one
        elif len(phrases) == 1 and NEEDLES[phrases[0][0]] == piece:
            hits[phrases[0][0]] = hit
        else:
            for number, shift in phrases:
                phrase = NEEDLES[number]
                at = [spot - shift for spot in hit.at if spot >= shift and data.startswith(phrase, spot - shift, end)]
                hits[number] = Hits(len(at), at)
    return hits


def blocks(stream: BinaryIO, size: int = BLOCK) -> Iterator[Block]:
    """Blocks of whole lines from any byte stream: the bytes, and how many of them belong to whole lines."""
    carry = b""
    while True:
        piece = stream.read(size)
        if not piece:
            break
        data = carry + piece if carry else piece
        end = data.rfind(b"\n") + 1
        if not end:
            if len(data) < LONGEST:
                carry = data
                continue
            end = len(data)
        yield data, end
        carry = data[end:]
    if carry:
        yield carry, len(carry)


def _kind_of(text: bytes) -> str | None:
    return next((kind for phrase, kind in PHRASES if phrase in text), None)


def _count_before(data: bytes, position: int) -> int | None:
    """N of the ``N callbacks suppressed`` whose words begin at ``position``; None for another limiter's count.

    Only ``net_ratelimit``, ``__ratelimit`` and ``printk`` speak of the bucket shared with the table-full message.
    """
    word, _, digits = data[max(0, position - 64) : position].rpartition(b" ")
    if not digits.isdigit() or len(digits) > 12:
        return None
    if b"\n" in word:
        word = word[word.rfind(b"\n") + 1 :]
    return int(digits) if b"ratelimit" in word or b"printk" in word or b"net" in word else None


class _Fold:
    """The running state of one reading."""

    def __init__(self) -> None:
        self.kinds: dict[str, _Kind] = {}
        self.opening: list[_Kept] = []
        self.pending: deque[_Pending] = deque()
        self.totals: dict[str, int] = {}
        self.suppressed_sum = self.lines = self.offset = 0
        self.last_line = b""
        self.broken = False  # the newest block ends inside a line

    def take(self, data: bytes, end: int, found: list[Hits]) -> None:
        hits: dict[str, list[tuple[bytes, Hits]]] = {}
        counts: dict[str, int] = {}
        for (phrase, kind), hit in zip(PHRASES, found, strict=False):
            if hit.number:
                hits.setdefault(kind, []).append((phrase, hit))
                counts[kind] = counts.get(kind, 0) + hit.number
        for kind, count in counts.items():
            total = self._shared(data, end, hits[kind]) if kind == "suppressed" else count
            if total:
                self.totals[kind] = self.totals.get(kind, 0) + total
            state = self.kinds.get(kind)
            if state is None:
                state = self.kinds[kind] = _Kind(kind)
            state.newer += count
        if found[-1].number:
            self._repeat(data, end)
        self.last_line = data[data.rfind(b"\n", 0, end - 1) + 1 : end][-LONGEST:]
        self.pending.append(_Pending(data, end, self.offset, hits, counts))
        self.offset += end
        if len(self.pending) > PENDING:
            self.leave(self.pending.popleft())

    def _shared(self, data: bytes, end: int, hits: list[tuple[bytes, Hits]]) -> int:
        """How many suppressed-counts here belong to the shared bucket; adds them to the sum."""
        shared = 0
        for phrase, hit in hits:
            if hit.at is not None:
                numbers = [_count_before(data, position) for position in hit.at]
            else:
                numbers = [_count_before(piece, len(piece)) for piece in data[:end].split(phrase)[:-1]]
            for number in numbers:
                if number is not None:
                    shared += 1
                    self.suppressed_sum += number
        return shared

    def _repeat(self, data: bytes, end: int) -> None:
        """Add what syslogd folded into ``last message repeated N times`` to the total of the message before it."""
        position = data.find(REPEATED, 0, end)
        while position >= 0:
            start = data.rfind(b"\n", 0, position) + 1
            match = _REPEATS.match(data, position, end)
            before = data[data.rfind(b"\n", 0, max(0, start - 1)) + 1 : start] if start else self.last_line
            kind = _kind_of(before) if match else None
            if match and kind and _kind_of(data[start:position]) is None:
                self.totals[kind] = self.totals.get(kind, 0) + int(match[1])
            position = data.find(REPEATED, position + len(REPEATED), end)

    def leave(self, block: _Pending) -> None:
        """Cut out of the oldest block what is kept of it, and count its lines."""
        wanted: set[int] = set()
        places: dict[str, tuple[list[int], list[int], int | None]] = {}
        for kind, hits in block.hits.items():
            state = self.kinds[kind]
            state.newer -= block.counts[kind]
            head = _ends(block, hits, state.ends - len(state.first), first=True)
            tail = _ends(block, hits, state.ends - state.newer, first=False)
            middle = None
            state.skipped += 1
            if state.seen >= state.ends and state.skipped >= state.stride:
                state.skipped, middle = 0, _ends(block, hits, INSIDE, first=True)[-1]
                wanted.add(middle)
            state.seen += block.counts[kind]
            places[kind] = head, tail, middle
            wanted.update(head, tail)
        window: dict[int, list[int]] = {}
        found = places.get("suppressed")
        if found and found[2] is not None:
            window[found[2]] = _window(block, found[2])
            wanted.update(window[found[2]])
        cut = self._cut(block, sorted(wanted))
        for kind, (head, tail, middle) in places.items():
            state = self.kinds[kind]
            for position in head:
                state.first.append(cut[position])
            for position in tail:
                state.last.append(cut[position])
            if middle is not None:
                spots = [*window.get(middle, ()), middle] if kind == "suppressed" else [middle]
                state.offer([kept for position in spots for kept in cut[position]])

    def _cut(self, block: _Pending, positions: list[int]) -> dict[int, list[_Kept]]:
        """The lines around ascending positions, numbered; each with the ``repeated`` line that may follow it."""
        data, end = block.data, block.end
        cut: dict[int, list[_Kept]] = {}
        at, number = 0, self.lines + 1
        if not self.lines and not self.opening:
            start = 0
            while start < end and len(self.opening) < OPENING:
                stop = data.find(b"\n", start, end)
                stop = end if stop < 0 else stop
                self.opening.append(
                    _Kept(block.offset + start, len(self.opening) + 1, data[start : min(stop, start + KEPT_TEXT)])
                )
                start = stop + 1
        for position in positions:
            start = data.rfind(b"\n", at, position) + 1 or at
            number += data.count(b"\n", at, start)
            at = start
            stop = data.find(b"\n", position, end)
            stop = end if stop < 0 else stop
            begin = start if position - start < KEPT_TEXT // 2 else position - KEPT_TEXT // 4
            cut[position] = [_Kept(block.offset + start, number, data[begin : min(stop, begin + KEPT_TEXT)])]
            after = data.find(b"\n", stop + 1, end)
            if data.find(REPEATED, stop + 1, end if after < 0 else after) >= 0:
                text = data[stop + 1 : min(end if after < 0 else after, stop + 1 + KEPT_TEXT)]
                cut[position].append(_Kept(block.offset + stop + 1, number + 1, text))
        self.lines = number - 1 + data.count(b"\n", at, end)
        self.broken = data[end - 1 : end] != b"\n"
        return cut

    def result(self) -> BulkResult:
        while self.pending:
            self.leave(self.pending.popleft())
        kept = {line.offset: line for line in self.opening}
        thinned = False
        for state in self.kinds.values():
            thinned |= state.seen > state.ends * 2
            for window in (*state.first, *state.last, *state.middle):
                kept.update((line.offset, line) for line in window)
        lines = []
        for _, line in sorted(kept.items()):
            raw = line.text.replace(b"\0", b"").decode("utf-8", "replace").rstrip("\r")
            lines.append(Line(line.number, raw, raw))
        return BulkResult(
            lines=lines,
            totals=self.totals,
            suppressed_sum=self.suppressed_sum,
            line_count=self.lines + self.broken,
            bytes=self.offset,
            thinned=thinned,
        )


def _ends(block: _Pending, hits: list[tuple[bytes, Hits]], count: int, *, first: bool) -> list[int]:
    """The first or last ``count`` positions of one kind in a block, ascending."""
    if count <= 0:
        return []
    positions: list[int] = []
    for phrase, hit in hits:
        if hit.at is not None:
            positions += hit.at
            continue
        at = block.data.find(phrase, 0, block.end) if first else block.data.rfind(phrase, 0, block.end)
        for _ in range(count):
            if at < 0:
                break
            positions.append(at)
            at = block.data.find(phrase, at + len(phrase), block.end) if first else block.data.rfind(phrase, 0, at)
    positions.sort()
    return positions[:count] if first else positions[-count:]


def _window(block: _Pending, position: int) -> list[int]:
    """Positions of the table-full lines shortly before a suppressed-count: the printed part of the window it closes."""
    positions: list[int] = []
    for phrase, kind in PHRASES:
        if kind in ("table-full", "expectation-full"):
            at = block.data.rfind(phrase, max(0, position - WINDOW), position)
            while at >= 0 and len(positions) < 2 * POSITIONS:
                positions.append(at)
                at = block.data.rfind(phrase, max(0, position - WINDOW), at)
    return sorted(positions)[-OPENING:]


def fold(parts: Iterable[Block], count: Tally = tally) -> BulkResult:
    """Read blocks in order; line numbers begin at 1 with the first of them."""
    state = _Fold()
    for data, end in parts:
        state.take(data, end, found_in(data, end, count))
    return state.result()


def join(results: Sequence[BulkResult]) -> BulkResult:
    """The reading of a whole log from the readings of its consecutive parts, each cut at a line's end."""
    joined = BulkResult()
    for part in results:
        shift = joined.line_count
        # A part's opening says what the log is only for the first of them; later ones keep what carries a message.
        lines = part.lines if not shift else [line for line in part.lines if line.number > OPENING or _hot(line.text)]
        joined.lines += [Line(line.number + shift, line.text, line.raw) for line in lines]
        for kind, total in part.totals.items():
            joined.totals[kind] = joined.totals.get(kind, 0) + total
        joined.suppressed_sum += part.suppressed_sum
        joined.line_count += part.line_count
        joined.bytes += part.bytes
        joined.thinned |= part.thinned
    return joined


def _hot(text: str) -> bool:
    raw = text.encode()
    return REPEATED in raw or _kind_of(raw) is not None


def scan(stream: BinaryIO, count: Tally = tally) -> BulkResult:
    """The reading of one stream, to its end."""
    return fold(blocks(stream), count)


def texts(parts: Iterable[Block]) -> Iterator[str]:
    """The lines of blocks, decoded, without their ends: for ``parsers.conntrack_entries.fold``."""
    for data, end in parts:
        lines = data[:end].decode("utf-8", "replace").split("\n")
        if not lines[-1]:
            lines.pop()
        yield from lines


def _sample(first: bytes) -> list[bytes]:
    lines = [line for line in first[: 64 * 1024].split(b"\n") if line.strip(b"\0\r\t ")]
    return lines[:-1][:400] if len(lines) > 2 else lines


def is_log(first: bytes) -> bool:
    """Whether a file that begins so is a log: most lines begin with a clock. A listing of connection events is not
    one.
    """
    lines = _sample(first)
    logged = sum(
        1 for line in lines if _LOG_LINE.match(line.lstrip(b"\0")) and not (b" src=" in line and b" dst=" in line)
    )
    return bool(lines) and logged >= 0.6 * len(lines)


def is_listing(first: bytes) -> bool:
    """Whether a file that begins so is a listing of the connection-tracking table, one row a line."""
    lines = _sample(first)
    return bool(lines) and sum(1 for line in lines if b"src=" in line and b"dst=" in line) >= 0.6 * len(lines)
