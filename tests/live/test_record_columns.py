"""Rows of numbers as columns: what is there in words, what is not there as null."""

import ipaddress

import numpy as np
import polars as pl

from tablefull.live import record_columns as columns
from tablefull.wire import ctnetlink as at

ASSURED, SEEN_REPLY, CONFIRMED = 1 << 2, 1 << 1, 1 << 3


def words(text: str) -> list[int]:
    packed = ipaddress.ip_address(text).packed
    return [int.from_bytes(packed[place : place + 4], "big") for place in range(0, len(packed), 4)] + [0] * (
        0 if len(packed) == 16 else 3
    )


def row(**given: object) -> list[int]:
    """A row of these words; addresses as text, the reply the original turned round unless it is given."""
    found = [0] * at.ROW_WORDS
    src, dst = str(given.get("src", "10.0.0.1")), str(given.get("dst", "192.168.0.9"))
    back = (str(given.get("reply_src", dst)), str(given.get("reply_dst", src)))
    for place, text in ((at.R_SRC, src), (at.R_DST, dst), (at.R_REPLY_SRC, back[0]), (at.R_REPLY_DST, back[1])):
        found[place : place + 4] = words(text)
    sport, dport = int(given.get("sport", 1000)), int(given.get("dport", 80))  # type: ignore[call-overload]
    found[at.R_SPORT], found[at.R_DPORT] = sport, dport
    found[at.R_SPORT + at.R_REPLY] = int(given.get("reply_sport", dport))  # type: ignore[call-overload]
    found[at.R_DPORT + at.R_REPLY] = int(given.get("reply_dport", sport))  # type: ignore[call-overload]
    found[at.R_FAMILY] = 6 if ":" in src else 4
    found[at.R_PROTO], found[at.R_EVENT], found[at.R_STATE], found[at.R_TIMEOUT] = (
        17,
        at.EVENT_NEW,
        at.ABSENT,
        at.ABSENT,
    )
    for name, value in given.items():
        if name.startswith("R_"):
            found[getattr(at, name)] = int(value)  # type: ignore[call-overload]
    return found


def frame(*rows: list[int], received_ns: int = 77, names: tuple[str, ...] = ("web",)) -> pl.DataFrame:
    held = np.array(rows, np.uint32)
    times, numbers = np.full(len(rows), received_ns, np.int64), np.zeros(len(rows), np.int64)
    return columns.Columns().frame(held, times, numbers, names)


def test_the_columns_are_those_of_the_schema() -> None:
    found = frame(row())
    assert dict(found.schema) == columns.schema()
    assert dict(columns.control(columns.GAP, "web", 1, 2, 3).schema) == columns.schema()


def test_what_is_there_in_words_and_what_is_not_as_null() -> None:
    tcp = row(R_PROTO=6, R_STATE=3, R_TIMEOUT=300, R_STATUS=ASSURED | SEEN_REPLY | CONFIRMED, R_EVENT=at.EVENT_UPDATE)
    first, second = frame(tcp, row()).to_dicts()
    assert (first["kind"], first["proto"], first["state"], first["remaining_s"]) == (
        "UPDATE",
        "tcp",
        "ESTABLISHED",
        300,
    )
    assert (first["src"], first["dst"], first["sport"], first["dport"]) == ("10.0.0.1", "192.168.0.9", 1000, 80)
    assert first["status"] == "seen_reply assured confirmed"
    assert (first["netns"], first["time_ns"], first["time_from"]) == ("web", 77, "received")
    assert (second["kind"], second["proto"], second["state"], second["remaining_s"]) == ("NEW", "udp", None, None)
    assert second["packets"] is second["mark"] is second["helper"] is second["start_ns"] is second["lost"] is None
    # Without NAT the reply says nothing new.
    assert first["reply_src"] is first["reply_dst"] is first["reply_sport"] is first["reply_dport"] is None


def test_nat_shows_in_the_reply() -> None:
    there, plain = frame(row(reply_dst="203.0.113.5", reply_dport=61000), row()).to_dicts()
    assert (there["reply_src"], there["reply_dst"], there["reply_sport"], there["reply_dport"]) == (
        *("192.168.0.9", "203.0.113.5", 80, 61000),
    )
    assert plain["reply_dst"] is None


def test_icmp_has_no_ports() -> None:
    given = row(R_PROTO=1, sport=4711, dport=0, R_TYPE=8, reply_sport=4711, reply_dport=0)
    (found,) = frame(given).to_dicts()
    assert (found["icmp_type"], found["icmp_code"], found["icmp_id"]) == (8, 0, 4711)
    assert found["sport"] is found["dport"] is found["reply_src"] is found["reply_sport"] is None


def test_counters_zones_marks_and_helpers() -> None:
    name = int.from_bytes(b"ftp\0", "big")
    present = at.HAS_COUNTERS | at.HAS_MARK | at.HAS_HELPER
    given = row(R_PRESENT=present, R_PACKETS=1, R_REPLY_BYTES=2, R_MARK=7, R_HELPER=name, R_ZONE_ORIG=5, R_ID=9)
    first, second = frame(given, row()).to_dicts()
    assert (first["packets"], first["reply_bytes"], first["mark"], first["helper"]) == (1 << 32, 2 << 32, 7, "ftp")
    assert (first["zone"], first["zone_orig"], first["zone_reply"], first["id"]) == (0, 5, None, 9)
    assert second["helper"] is second["packets"] is None


def test_the_time_is_the_kernels_where_it_told_one() -> None:
    stamped = {"R_PRESENT": at.HAS_TIMESTAMP, "R_START": 1, "R_STOP": 2}
    given = [
        row(**stamped),
        row(**stamped, R_EVENT=at.EVENT_DESTROY),
        row(**stamped, R_EVENT=at.EVENT_UPDATE),
        row(**{**stamped, "R_PRESENT": at.HAS_TIMESTAMP | at.HAS_WHEN}, R_WHEN=3, R_EVENT=at.EVENT_UPDATE),
        row(**stamped, R_EVENT=0),
    ]
    found = frame(*given)
    assert found["time_ns"].to_list() == [1 << 32, 2 << 32, 77, 3 << 32, 77]
    assert found["time_from"].to_list() == ["start", "stop", "received", "event", "received"]
    assert found["kind"].to_list() == ["NEW", "DESTROY", "UPDATE", "UPDATE", "resync"]


def test_many_addresses_of_both_families_are_spelled_as_the_library_spells_them() -> None:
    chance = np.random.default_rng(3)
    texts = [str(ipaddress.IPv4Address(int(one))) for one in chance.integers(0, 1 << 32, 600)]
    texts += [str(ipaddress.IPv6Address(int.from_bytes(chance.bytes(16), "big"))) for _ in range(60)]
    chance.shuffle(texts)
    found = frame(*(row(src=text, dst=text) for text in texts))
    assert found["src"].to_list() == found["dst"].to_list() == texts


def test_it_counts_kinds_and_clocks() -> None:
    made = columns.Columns()
    rows = np.array([row(), row(R_EVENT=0), row(R_EVENT=at.EVENT_DESTROY)], np.uint32)
    for _ in range(2):
        made.frame(rows, np.zeros(3, np.int64), np.zeros(3, np.int64), ["web"])
    assert made.kinds.tolist() == [2, 2, 0, 2]
    assert made.clocks.tolist() == [0, 0, 0, 4]  # a dump's row is no event
