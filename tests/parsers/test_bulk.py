import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.parsers import bulk, kernel_log
from tablefull.parsers.bulk import BulkResult

MESSAGES = [
    b"nf_conntrack: table full, dropping packet.",
    b"nf_conntrack: nf_conntrack: table full in netns 4026532246, dropping packet",
    b"ip_conntrack: table full, dropping packet.",
    b"nf_conntrack: expectation table full",
    b"net_ratelimit: 321 callbacks suppressed",
    b"__ratelimit: 12 callbacks suppressed",
    b"printk: 7 messages suppressed.",
    b"audit: 99 callbacks suppressed",
    b"neighbour: arp_cache: neighbor table overflow!",
    b"Neighbour table overflow.",
    b"TCP: time wait bucket table overflow",
    b"TCP: too many orphaned sockets",
    b"TCP: out of memory -- consider tuning tcp_mem",
    b"TCP: request_sock_TCP: Possible SYN flooding on port 80. Sending cookies.",
    b"Route cache: dst cache overflow",
    b"swapper: page allocation failure. order:1, mode:0x20",
    b"Out of memory: Killed process 12 (java)",
    b"nf_conntrack: falling back to vmalloc.",
    b"nf_conntrack: default automatic helper assignment has been turned off",
    b"IPv4: martian source 10.0.0.1 from 10.0.0.2, on dev eth0",
    b"bridge: filtering via arp/ip/ip6tables is no longer available by default.",
    b"UDP: bad checksum. From 1.2.3.4:5 to 1.1.1.1:5 ulen 9",
    b"usb 1-1: new high-speed USB device number 7 using xhci_hcd",
    b"last message repeated 4 times",
    b"",
    b"\xff\xfe not text",
    b"zero\0byte",
]
PREFIXES = [b"", b"Nov 23 11:35:13 dom0 kernel: [8701977.815160] ", b"[11458852.811070] "]
logs = st.lists(st.tuples(st.sampled_from(PREFIXES), st.sampled_from(MESSAGES)).map(b"".join), max_size=60)


def plain(lines: list[bytes]) -> tuple[dict[str, int], int]:
    """The same totals, one line at a time."""
    totals: dict[str, int] = {}
    suppressed = 0
    before: str | None = None
    for line in lines:
        kind = next((kind for phrase, kind in bulk.PHRASES if phrase in line), None)
        if kind == "suppressed":
            before = kind
            if b"audit" in line:
                continue
            words = line.split()
            suppressed += int(words[-3])
        elif kind is None:
            if line.endswith(b"last message repeated 4 times") and before:
                totals[before] = totals.get(before, 0) + 4
            before = None
            continue
        before = kind
        totals[kind] = totals.get(kind, 0) + 1
    return totals, suppressed


def scan(data: bytes, size: int) -> BulkResult:
    return bulk.fold(bulk.blocks(io.BytesIO(data), size))


@given(logs, st.integers(1, 400), st.booleans())
def test_equals_the_reading_line_by_line_whatever_the_blocks(lines: list[bytes], size: int, ended: bool) -> None:
    data = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    result = scan(data, size)
    totals, suppressed = plain(lines)
    assert result.totals == totals
    assert result.suppressed_sum == suppressed
    assert result.line_count == len(io.BytesIO(data).readlines())
    assert result.bytes == len(data)
    assert not result.thinned or max(totals.values()) > 24
    texts = [line.replace(b"\0", b"").decode("utf-8", "replace") for line in lines]
    for line in result.lines:
        assert line.text == texts[line.number - 1]
    if not result.thinned:
        kept = {line.number for line in result.lines}
        hot = {n for n, line in enumerate(lines, 1) if any(phrase in line for phrase, _ in bulk.PHRASES)}
        assert hot <= kept


@given(logs, st.integers(0, 60))
def test_two_parts_joined_equal_the_whole(lines: list[bytes], cut: int) -> None:
    head, tail = lines[:cut], [line for line in lines[cut:] if b"repeated" not in line]
    parts = [b"".join(line + b"\n" for line in part) for part in (head, tail)]
    whole = scan(b"".join(parts), 256)
    joined = bulk.join([scan(part, 256) for part in parts])
    assert (joined.totals, joined.suppressed_sum) == (whole.totals, whole.suppressed_sum)
    assert (joined.line_count, joined.bytes) == (whole.line_count, whole.bytes)
    assert {line for line in whole.lines if line.number <= len(head)} >= set()
    assert all(line.text in [t.replace(b"\0", b"").decode("utf-8", "replace") for t in lines] for line in joined.lines)


def test_a_dense_log_is_counted_and_thinned() -> None:
    line = b"Nov 23 11:35:13 dom0 kernel: [%d.815160] nf_conntrack: table full, dropping packet.\n"
    count = 60_000
    data = b"".join(
        line % n if n % 11 else b"[%d.000000] net_ratelimit: 5 callbacks suppressed\n" % n for n in range(count)
    )
    result = scan(data, 64 * 1024)
    suppressed = len(range(0, count, 11))
    assert result.totals == {"table-full": count - suppressed, "suppressed": suppressed}
    assert result.suppressed_sum == 5 * suppressed
    assert result.thinned
    assert 350 < len(result.lines) < 4000
    lines = data.split(b"\n")
    assert all(kept.text.encode() == lines[kept.number - 1] for kept in result.lines)
    numbers = [kept.number for kept in result.lines]
    assert numbers == sorted(set(numbers))
    assert numbers[:100] == list(range(1, 101))
    assert numbers[-100:] == list(range(count - 99, count + 1))
    assert any(count // 3 < number < 2 * count // 3 for number in numbers)


def test_the_middle_keeps_whole_windows() -> None:
    window = b"nf_conntrack: table full, dropping packet\n" * 10 + b"net_ratelimit: 321 callbacks suppressed\n"
    filler = b"usb 1-1: new high-speed USB device number 7 using xhci_hcd\n" * 50
    result = scan((window + filler) * 2000, 32 * 1024)
    middle = [line for line in result.lines if 30_000 < line.number < 90_000]
    counts = [line for line in middle if "suppressed" in line.text]
    assert counts
    for line in counts:
        before = {kept.number for kept in middle if "table full" in kept.text}
        assert set(range(line.number - 10, line.number)) <= before


def test_the_last_lines_are_the_last_however_sparse() -> None:
    random.seed(4)
    lines = []
    for _ in range(40_000):
        hot = random.random() < 0.004
        lines.append(
            b"TCP: too many orphaned sockets" if hot else b"quiet line that says nothing %d" % random.getrandbits(20)
        )
    where = [n for n, line in enumerate(lines, 1) if b"orphaned" in line]
    result = scan(b"\n".join(lines), 2048)
    kept = [line.number for line in result.lines if "orphaned" in line.text]
    assert kept[:12] == where[:12]
    assert kept[-12:] == where[-12:]


def test_a_line_without_end_is_read_in_pieces() -> None:
    data = b"x" * (3 * bulk.LONGEST) + b"\nnf_conntrack: table full, dropping packet\n"
    result = scan(data, bulk.BLOCK)
    assert result.totals == {"table-full": 1}
    assert result.line_count == 2
    assert result.lines[-1].number == 2
    assert all(len(line.text) <= bulk.KEPT_TEXT for line in result.lines)


def test_every_phrase_is_a_kind_of_the_line_parser() -> None:
    kinds = {kind for _, kind in kernel_log.NEEDLES}
    assert {kind for _, kind in bulk.PHRASES} - {"linux-version"} <= kinds
    assert kinds <= {kind for _, kind in bulk.PHRASES}


@pytest.mark.parametrize(
    "text",
    [
        b"[11458852.811070] nf_conntrack: table full\n" * 5,
        b"Nov 23 11:35:13 dom0 kernel: x\n" * 5,
        b"[Mon Nov 23 11:35:13 2015] x\n" * 5,
        b"2015-11-23T11:35:13.123+00:00 dom0 kernel: x\n" * 5,
        b"<4>[    1.000000] x\n" * 5,
        b'{"_HOSTNAME":"a","MESSAGE":"x"}\n' * 5,
    ],
)
def test_logs_are_logs(text: bytes) -> None:
    assert bulk.is_log(text)
    assert not bulk.is_listing(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\0" * 100,
        b"net.netfilter.nf_conntrack_max = 1\n" * 9,
        b"[1.000000]\t[NEW] tcp 6 src=1.1.1.1 dst=2.2.2.2\n" * 9,
    ],
)
def test_other_texts_are_not(text: bytes) -> None:
    assert not bulk.is_log(text)


def test_a_listing_is_fed_line_by_line() -> None:
    row = b"tcp 6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 [ASSURED]"
    data = b"\n".join([row] * 30)
    assert bulk.is_listing(data)
    assert list(bulk.texts(bulk.blocks(io.BytesIO(data), 100))) == [row.decode()] * 30


@given(st.lists(st.sampled_from([*bulk.NEEDLES, *bulk.PIECES, b" ", b"x", b"\n", b"\0", b"conntrack"]), max_size=60))
def test_searching_for_pieces_finds_the_phrases(parts: list[bytes]) -> None:
    data = b"".join(parts)
    end = max(0, len(data) - 3)
    assert bulk.found_in(data, end, bulk.tally) == bulk.tally(data, end, bulk.NEEDLES)


def test_a_piece_that_is_everywhere_is_counted_phrase_by_phrase() -> None:
    data = b"TCP: time wait bucket table overflow\nneighbor table overflow\n" * (bulk.POSITIONS + 1)
    assert bulk.found_in(data, len(data), bulk.tally) == bulk.tally(data, len(data), bulk.NEEDLES)
