"""Verdicts in the order of the capture: late ones change earlier rows, second sightings have their first's."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.live.replay_captures import BEGAN, THERE, at, played, query, written
from tests.realkernel.headers import UDP
from tests.wire.capture_bytes import ETHERNET, SLL, ethernet, pcap, sll

from tablefull.live.replay_verdicts import Verdicts, rows
from tablefull.twin.state import DIRECTIONS, STATES


def table(kept: Verdicts) -> list[tuple[str, ...]]:
    text = b"".join(kept.lines()).decode()
    header, *found = csv.reader(io.StringIO(text))
    assert header == ["index", "state", "direction"]
    assert [int(each[0]) for each in found] == list(range(len(found)))
    return [tuple(each[1:]) for each in found]


def verdicts(path: Path, **how) -> list[tuple[str, ...]]:
    with Verdicts() as kept:
        played(path, verdicts=kept, **how)
        return table(kept)


def test_one_row_a_packet(tmp_path: Path) -> None:
    path = written(tmp_path / "x.pcap", at((0, query(1)), (1, query(1)), (2, THERE.icmp(42, 0)), (3, b"\x45")))
    assert verdicts(path) == [("new", "original"), ("new", "original"), ("invalid", ""), ("dropped", "")]


def test_a_late_verdict_overwrites_the_first(tmp_path: Path) -> None:
    body = THERE.datagram(UDP, 4000, 53, bytes(24))
    pieces = [THERE.packet(UDP, body[a:b], place=a // 8 | (0x2000 if b < 32 else 0)) for a, b in ((0, 16), (16, 32))]
    path = written(tmp_path / "x.pcap", at((0, pieces[0]), (1, query(9)), (2, pieces[1]), (3, pieces[0])))
    assert verdicts(path) == [("new", "original"), ("new", "original"), ("new", "original"), ("dropped", "")]


def test_a_second_sighting_has_the_verdict_of_its_first(tmp_path: Path) -> None:
    went = bytearray(query(1))
    came = bytes(went)
    went[8] -= 1
    went[10:12] = (int.from_bytes(went[10:12], "big") + 0x100).to_bytes(2, "big")
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap([(BEGAN, sll(came, 0)), (BEGAN + 1000, sll(bytes(went), 4))], SLL))
    assert verdicts(path) == [("new", "original")] * 2


@pytest.mark.parametrize("first", [0, 9, 99, 12345])
def test_rows_as_csv_would_write_them(first: int) -> None:
    codes = [state | (way if way < 2 else 0xF) << 4 for state in range(6) for way in (0, 1, 2)]
    expected = "".join(
        f"{first + at_},{STATES[code & 15]},{DIRECTIONS[code >> 4] if code >> 4 < 2 else ''}\n"
        for at_, code in enumerate(codes)
    )
    assert rows(first, np.array(codes, np.uint8)).decode() == expected


@given(st.integers(0, 10**7), st.integers(1, 300))
def test_numbers_never_lose_a_digit(first: int, count: int) -> None:
    lines = rows(first, np.zeros(count, np.uint8)).decode().splitlines()
    assert [int(line.split(",")[0]) for line in lines] == list(range(first, first + count))


def test_more_than_memory_is_meant_to_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The codes go to a file beyond a bound; a late one is still put in its place."""
    monkeypatch.setattr("tablefull.live.replay_verdicts.IN_MEMORY_BYTES", 10)
    test_a_late_verdict_overwrites_the_first(tmp_path)


def one_hop_less(packet: bytes) -> bytes:
    """As a router sends it on: TTL less by one, and the checksum that belongs to it (RFC 1141)."""
    sent = bytearray(packet)
    sent[8] -= 1
    sent[10:12] = (int.from_bytes(sent[10:12], "big") + 0x100).to_bytes(2, "big")
    return bytes(sent)


def test_fragments_seen_twice_get_the_late_verdict_twice(tmp_path: Path) -> None:
    """Each fragment comes in and goes out; the verdict of all four is known with the third."""
    body = THERE.datagram(UDP, 4000, 53, bytes(24))
    first, last = (
        THERE.packet(UDP, body[a:b], place=a // 8 | (0x2000 if b < 32 else 0)) for a, b in ((0, 16), (16, 32))
    )
    frames = [sll(first, 0), sll(one_hop_less(first), 4), sll(last, 0), sll(one_hop_less(last), 4)]
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap([(BEGAN + number * 1000, frame) for number, frame in enumerate(frames)], SLL))
    assert verdicts(path) == [("new", "original")] * 4


def test_a_frame_without_ip_has_a_row_of_its_own(tmp_path: Path) -> None:
    """So that a row is found by the number of its packet, as in tshark."""
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap([(BEGAN, ethernet(bytes(28), 0x0806)), (BEGAN, ethernet(query(1)))], ETHERNET))
    assert verdicts(path) == [("untracked", ""), ("new", "original")]


def test_verdicts_are_those_of_the_first_setting(tmp_path: Path) -> None:
    from tablefull.live.replay import Setting

    path = written(tmp_path / "x.pcap", at((0, query(1)), (1, query(2))))
    with Verdicts() as kept:
        played(path, Setting("none", notrack="udp"), Setting("all"), verdicts=kept)
        assert table(kept) == [("untracked", "")] * 2
