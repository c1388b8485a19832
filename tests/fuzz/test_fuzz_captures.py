"""Captures cut at every byte and mutilated: what is whole is given, damage is told, and nothing else happens.

Run as a program, it walks mutilated captures that end at a page which nobody may read: a look behind that kills it.
"""

import bz2
import ctypes
import gzip
import io
import lzma
import mmap
import os
import random
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.wire import capture_bytes as made
from tests.wire.capture_bytes import Seen, ethernet, ip4, ip6, seen, sll, sll2, tcp, udp

from tablefull.errors import ParseError, TablefullError
from tablefull.live.captures import open_capture
from tablefull.wire.pcap import Damage, Frames, Reader
from tablefull.wire.twice import Twice

ROOT = Path(__file__).resolve().parents[2]
FUZZ_INPUTS = int(os.environ.get("FUZZ_INPUTS", "300"))
MOST_NS = (1 << 62) + (1 << 61)  # the latest moment and the largest offset that the walk gives
AT = 1_700_000_000_123_456_789
FOUR, SIX, SYN = ip4(udp(b"four")), ip6(udp(b"sixteen")), ip4(tcp(flags=2, options=b"\2\4\5\xb4"), protocol=6)
BEHIND = ip4(udp(b"again"), hops=63)
VLAN = ethernet(struct.pack(">HH", 7, 0x0800) + FOUR, 0x8100)
PPPOE = ethernet(struct.pack(">BBHHH", 0x11, 0, 1, 2 + len(SIX), 0x57) + SIX, 0x8864)
COOKED = [sll2(FOUR, 0, 2), sll2(ip4(udp(b"again")), 0, 2), sll2(BEHIND, 4, 3), sll2(SIX, 3, 2), sll2(SYN, 1, 2)]

Pieces = tuple[bytes, list[bytes]]  # a header, and records or blocks of which each is one packet or none


def pcap(frames: list[bytes], link: int, order: str = "<", nano: bool = False) -> Pieces:
    stamped = [(AT + number * 1000, frame) for number, frame in enumerate(frames)]
    return made.header(link, order, nano), [made.record(at, frame, order, nano) for at, frame in stamped]


def pcapng(order: str) -> Pieces:
    other = {"<": ">", ">": "<"}[order]
    clock = made.option(9, b"\x09", order) + made.option(14, struct.pack(order + "q", 3600), order)
    return made.section(order), [
        made.interface(1, order, options=clock + made.option(0, b"", order)),
        made.enhanced(0, AT, VLAN, order, options=made.option(1, b"a comment", order)),
        made.interface(276, order),
        made.enhanced(1, AT // 1000, COOKED[0], order),
        made.block(4, bytes(9), order),
        made.old(0, AT, PPPOE, order, length=1500),
        made.simple(ethernet(SIX), order),
        made.section(other),
        made.interface(101, other, snaplen=40),
        made.enhanced(0, 7, SYN, other),
        made.simple(FOUR, other),
    ]


FORMATS: dict[str, Pieces] = {
    "micro-little": pcap([ethernet(FOUR), VLAN, PPPOE, made.MACS, ethernet(SYN)], 1),
    "micro-big": pcap([sll(FOUR), sll(SIX, 4), sll(SYN, 3)], 113, ">"),
    "nano-little": pcap(COOKED, 276, nano=True),
    "nano-big": pcap([struct.pack(">I", 2) + FOUR, struct.pack("<I", 10) + SIX], 0, ">", nano=True),
    "ppp": pcap([b"\xff\x03\0\x21" + FOUR, b"\x57" + SIX], 9),
    "pcapng-little": pcapng("<"),
    "pcapng-big": pcapng(">"),
}
WHOLE = {name: header + b"".join(pieces) for name, (header, pieces) in FORMATS.items()}
LARGE = {path.name: path.read_bytes() for path in sorted((ROOT / "tests/captures/debian-12-any").glob("*.pcap"))}


def judged(blocks: Iterable[Frames]) -> list[Seen]:
    """The packets, each of which lies within its block and has a moment that can be reckoned with."""
    twice, found = Twice(), []
    for frames in blocks:
        marks = twice.mark(frames)
        assert len(marks) == len(frames.time_ns) > 0
        assert int(frames.time_ns.min()) >= -MOST_NS
        assert int(frames.time_ns.max()) <= MOST_NS
        assert bool((frames.wire >= frames.captured).all())
        found += seen(frames)
    return found


def walked(data: bytes, cuts: Iterable[int] = (), fill: int = 0) -> tuple[list[Seen], Damage | None, str]:
    """What a walk gives, with ``fill`` before and behind the bytes; the error it ended with, if any."""
    around = bytes([fill]) * 64
    array = np.frombuffer(bytearray(around + data + around), np.uint8)[64 : 64 + len(data)]
    reader, found = Reader("x"), []
    ends = [*sorted(cut for cut in set(cuts) if 0 <= cut < len(data)), len(data)]
    try:
        for end in ends:
            if reader.damage is None and end >= reader.offset:
                for frames in reader.walk(array[reader.offset : end], last=end == len(data)):
                    found += judged([frames])
                assert 0 <= reader.offset <= end
                assert reader.damage is not None or reader.wants > end - reader.offset
    except ParseError as error:
        return found, reader.damage, str(error)
    assert reader.damage is not None or reader.offset == len(data)
    assert reader.damage is None or reader.damage.offset == reader.offset
    return found, reader.damage, ""


def opened(target: str, stdin: io.BytesIO | None = None) -> tuple[list[Seen], Damage | None, str]:
    """As ``walked``, through a file or a stream."""
    found: list[Seen] = []
    damage = None
    try:
        with open_capture(target, stdin) as capture:  # type: ignore[arg-type]
            for frames in capture:
                found += judged([frames])
            damage = capture.damage
    except TablefullError as error:
        return found, damage, str(error)
    return found, damage, ""


def is_packet(name: str, piece: bytes) -> bool:
    """Records all are; of blocks those of type 2, 3 and 6."""
    return not name.startswith("pcapng") or {piece[0], piece[3]} in ({0, 2}, {0, 3}, {0, 6})


def what_is_whole(name: str, size: int) -> tuple[int, int]:
    """Where the last whole record within so many bytes ends, and how many packets there are up to there."""
    header, pieces = FORMATS[name]
    end, packets = len(header), 0
    for piece in pieces:
        if end + len(piece) > size:
            break
        end += len(piece)
        packets += is_packet(name, piece)
    return end, packets


@pytest.mark.parametrize("name", FORMATS)
def test_every_packet_of_the_whole_is_given(name: str) -> None:
    """Counted by the pieces that were put together, so that what is compared below is not nothing."""
    packets = 6 if name.startswith("pcapng") else len(FORMATS[name][1])
    assert what_is_whole(name, len(WHOLE[name])) == (len(WHOLE[name]), packets)
    found, damage, error = walked(WHOLE[name])
    assert (len(found), damage, error) == (packets, None, "")
    with_ip = {"micro-little": 4}.get(name, packets)  # one is nothing but an Ethernet header
    assert sum(each.ip is not None for each in found) == with_ip


@pytest.mark.parametrize("name", FORMATS)
def test_cut_at_every_byte(name: str, tmp_path: Path) -> None:
    data, path = WHOLE[name], tmp_path / "x"
    header = len(FORMATS[name][0])
    everything, _, _ = walked(data)
    for size in range(len(data) + 1):
        cut = data[:size]
        path.write_bytes(cut)
        answers = [walked(cut), walked(cut, range(size)), opened(str(path)), opened("-", io.BytesIO(cut))]
        for found, damage, error in answers:
            if size < 4:
                assert (found, damage) == ([], None)
                assert "neither pcap nor pcapng" in error
                continue
            assert error == ""
            if size < header:
                assert found == []
                assert damage is not None
                assert damage.offset == 0
                continue
            end, packets = what_is_whole(name, size)
            assert found == everything[:packets], size
            assert (None if damage is None else damage.offset) == (None if end == size else end), size


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_packed_capture_cut_at_every_byte(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    data = WHOLE["nano-little"]
    packed, path = pack(data), tmp_path / "x"
    whole, _, _ = walked(data)
    for size in range(len(packed)):
        path.write_bytes(packed[:size])
        found, damage, error = opened(str(path))
        assert found == whole[: len(found)]
        assert error or (damage is not None and damage.offset <= len(data)) or found == whole, size


def mutilated(data: bytes, chance: random.Random) -> bytes:
    """Bits turned, bytes and words replaced by ones that lengths and numbers stumble over, pieces lost or doubled."""
    some = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(some)) if some else 0
        match chance.randrange(6):
            case 0 if some:
                some[at] ^= 1 << chance.randrange(8)
            case 1 if some:
                some[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                number = chance.choice(
                    (0, 1, 11, 12, 13, 16, 1 << 18, (1 << 18) + 1, 1 << 24, (1 << 31) - 1, 0xFFFFFFFF)
                )
                some[at & ~3 : (at & ~3) + 4] = number.to_bytes(4, chance.choice(("little", "big")))
            case 3:
                del some[at : at + chance.randrange(1, 40)]
            case 4:
                some[at:at] = some[at : at + chance.randrange(1, 80)]
            case _:
                some[chance.randrange(len(some) + 1) :] = b""
    return bytes(some)


def all_alike(data: bytes, cuts: Iterable[int]) -> None:
    """In pieces or whole, among zeros or ones, as a file or a stream: the same packets and the same damage."""
    answer = walked(data)
    assert walked(data, fill=0xFF) == answer
    assert walked(data, cuts, 0x0A) == answer
    found, damage, error = opened("-", io.BytesIO(data))
    if not answer[2]:
        assert (found, damage, error) == answer
    else:
        assert error
        assert (found, damage) == (answer[0], None)


@settings(max_examples=FUZZ_INPUTS)
@given(
    name=st.sampled_from(sorted(WHOLE)),
    seed=st.integers(0, 1 << 62),
    cuts=st.sets(st.integers(0, 600), max_size=12),
)
def test_mutilated_captures(name: str, seed: int, cuts: set[int]) -> None:
    all_alike(mutilated(WHOLE[name], random.Random(seed)), cuts)


@settings(max_examples=max(10, FUZZ_INPUTS // 10))
@given(name=st.sampled_from(sorted(LARGE)), seed=st.integers(0, 1 << 62), cuts=st.sets(st.integers(0, 12000)))
def test_mutilated_captures_of_a_router(name: str, seed: int, cuts: set[int]) -> None:
    all_alike(mutilated(LARGE[name], random.Random(seed)), cuts)


HEADS = sorted({data[:24] for data in WHOLE.values()} | {made.section() + made.interface(276), b""})


@settings(max_examples=FUZZ_INPUTS)
@given(head=st.sampled_from(HEADS), rest=st.binary(max_size=300), cuts=st.sets(st.integers(0, 350), max_size=5))
@example(head=made.section() + made.interface(101), rest=b"\6\0\0\0\x20\0\0\0" + bytes(20) + b"\x20\0\0\0", cuts=set())
def test_any_bytes_behind_a_header(head: bytes, rest: bytes, cuts: set[int]) -> None:
    all_alike(head + rest, cuts)


@settings(max_examples=FUZZ_INPUTS)
@given(link=st.sampled_from([0, 1, 9, 12, 14, 51, 101, 108, 113, 228, 229, 276]), frame=st.binary(max_size=90))
def test_any_frame_of_any_link_type(link: int, frame: bytes) -> None:
    found, damage, error = walked(made.header(link) + made.record(AT, frame, length=1500))
    assert (len(found), damage, error) == (1, None, "")
    ip = found[0].ip
    assert ip is None or (frame.endswith(ip) and found[0].wire == 1500 - (len(frame) - len(ip)))
    for fill in (0x00, 0x45, 0xFF):
        assert walked(made.header(link) + made.record(AT, frame, length=1500), fill=fill) == (found, None, "")


@settings(max_examples=max(10, FUZZ_INPUTS // 10))
@given(seed=st.integers(0, 1 << 62), pack=st.sampled_from([gzip.compress, bz2.compress, lzma.compress]))
def test_mutilated_packed_captures(seed: int, pack: Callable[[bytes], bytes]) -> None:
    opened("-", io.BytesIO(mutilated(pack(LARGE["plain-v1.pcap"]), random.Random(seed))))


def test_nothing_is_read_behind_the_end() -> None:
    world = {"PYTHONPATH": ":".join([str(ROOT), *sys.path]), "PATH": "/usr/bin:/bin"}
    words = [sys.executable, __file__, str(max(300, FUZZ_INPUTS))]
    child = subprocess.run(words, capture_output=True, text=True, check=False, env=world)
    assert (child.returncode, child.stdout) == (0, "walked\n"), child.stderr


class Fenced:
    """Bytes whose end is the end of a page, behind which is one that nobody may read."""

    def __init__(self) -> None:
        self.pages = mmap.mmap(-1, 16 * mmap.PAGESIZE)
        self.room = len(self.pages) - mmap.PAGESIZE
        fence = ctypes.addressof(ctypes.c_char.from_buffer(self.pages, self.room))
        if ctypes.CDLL(None, use_errno=True).mprotect(ctypes.c_void_p(fence), mmap.PAGESIZE, 0):
            raise OSError(ctypes.get_errno(), "mprotect")

    def put(self, data: bytes) -> np.ndarray:
        self.pages[self.room - len(data) : self.room] = data
        return np.frombuffer(self.pages, np.uint8, len(data), self.room - len(data))


LAYERS = [
    *((1, frame) for frame in (ethernet(FOUR), VLAN, PPPOE, ethernet(VLAN[10:], 0x88A8))),
    *((9, ppp) for ppp in (b"\xff\x03\0\x21" + FOUR, b"\xff\x03\x57" + SIX, b"\0\x57" + SIX)),
    *((link, struct.pack(">I", 2) + FOUR) for link in (0, 108)),
    *((link, FOUR) for link in (12, 14, 101, 228, 229)),
    *((276, frame) for frame in COOKED),
    *((113, sll(packet)) for packet in (FOUR, SIX, SYN)),
    (51, PPPOE[14:]),
]


def walk_at_the_fence(inputs: int) -> None:
    fenced = Fenced()
    for link, frame in LAYERS:
        for size in range(len(frame) + 1):
            record = made.record(AT, frame[:size], length=1500)
            found = judged(Reader("x").walk(fenced.put(made.header(link) + record), last=True))
            assert len(found) == 1
    everything = list(WHOLE.values())
    for seed in range(inputs):
        chance = random.Random(seed)
        data = chance.choice(everything)
        data = mutilated(data, chance) if seed % 3 else data[: chance.randrange(len(data) + 1)]
        # Not said to be the last, so that what breaks off is no damage but waits at the fence.
        for last in (False, True):
            try:
                judged(Reader("x").walk(fenced.put(data), last=last))
            except ParseError:
                continue


def test_the_fence_is_one() -> None:
    script = (
        f"import runpy; fenced = runpy.run_path({__file__!r})['Fenced'](); fenced.put(b'x'); fenced.pages[fenced.room]"
    )
    world = {"PYTHONPATH": ":".join([str(ROOT), *sys.path]), "PATH": "/usr/bin:/bin"}
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, env=world)
    assert child.returncode == -11  # SIGSEGV


if __name__ == "__main__":
    walk_at_the_fence(int(sys.argv[1]))
    print("walked")
