import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.facts.entry import Composition
from tablefull.facts.origin import Origin
from tablefull.live import bulk as live_bulk
from tablefull.parsers import bulk

pieces = st.sampled_from(
    [b"conntrack: table full", b" suppressed", b"\0", b"\n", b"conntrack: ", b"table full", b"x" * 40]
)


@given(st.lists(pieces, max_size=300).map(b"".join), st.integers(0, 5000))
def test_the_fast_tally_equals_the_plain_one(data: bytes, end: int) -> None:
    end = min(end, len(data))
    assert live_bulk.fastest()(data, end, bulk.NEEDLES) == bulk.tally(data, end, bulk.NEEDLES)


def test_a_phrase_in_every_line_is_counted_alike() -> None:
    data = b"nf_conntrack: table full, dropping packet\n" * 3000
    assert live_bulk.fastest()(data, len(data), bulk.NEEDLES) == bulk.tally(data, len(data), bulk.NEEDLES)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    chance = random.Random(7)
    path = tmp_path / "big.log"
    with path.open("wb") as file:
        for n in range(60_000):
            hot = chance.random() < 0.01
            file.write(
                b"[%d.000000] " % n + (b"nf_conntrack: table full, dropping packet\n" if hot else b"audit: quiet\n")
            )
    return path


def test_two_processes_read_what_one_reads(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BLOCK", 16 * 1024)
    one, two = live_bulk.scan_file(str(log), 1), live_bulk.scan_file(str(log), 2)
    with log.open("rb") as file:
        plain = bulk.scan(file)
    assert one.totals == two.totals == plain.totals
    assert one.line_count == two.line_count == 60_000
    assert one.bytes == two.bytes == log.stat().st_size
    lines = log.read_text().split("\n")
    assert all(line.text == lines[line.number - 1] for line in two.lines)


def test_a_copy_that_dies_is_read_again_here(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_bulk, "_answer", lambda *_: os._exit(1))
    assert live_bulk.scan_file(str(log), 2).totals == live_bulk.scan_file(str(log), 1).totals


def test_a_hole_of_ten_gigabytes_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sparse.log"
    with path.open("wb") as file:
        file.write(b"[1.000000] nf_conntrack: table full, dropping packet\n")
        file.seek(10 << 30)
        file.write(b"[2.000000] nf_conntrack: table full, dropping packet\n")
    assert live_bulk.scan_file(str(path), 1).totals == {"table-full": 2}


def test_a_listing_is_folded_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "nf_conntrack"
    row = "ipv4 2 udp 17 {} src=10.0.0.{} dst=10.0.0.2 sport=1 dport=53 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=53 dport=1 mark=0 use=2\n"
    path.write_text("".join(row.format(n % 30, n % 5) for n in range(5000)))
    composition = Composition(first=Origin("nf_conntrack", 1, ""))
    assert live_bulk.fold_listing(str(path), composition, "nf_conntrack") == 5000
    assert composition.rows == composition.unreplied == 5000
