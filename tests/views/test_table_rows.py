"""Rows of a table in words: as conntrack prints them, and as columns in which nothing is not zero."""

import csv
import io

import pytest
from tests.realkernel.filled import Kind
from tests.realkernel.table_space import table_space
from tests.wire.ctnetlink_bytes import FULL, PING, SIX, WHOLE, A, B, ends, nest, number, ports
from tests.wire.test_ctnetlink import read

from tablefull.errors import KernelRefused, UsageError
from tablefull.views import table_rows
from tablefull.views.table_rows import COLUMNS, line, values, write
from tablefull.wire import ctnetlink as at


def told(*parts: bytes) -> dict[str, object]:
    return dict(zip(COLUMNS, values(read(*parts)), strict=True))


def test_a_line_as_conntrack_prints_it() -> None:
    assert line(read(*WHOLE)) == (
        "ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=4000 dport=443 "
        "src=10.0.0.2 dst=10.0.0.1 sport=443 dport=4000 [ASSURED] mark=7 use=1"
    )
    assert line(read(*SIX)) == (
        "ipv6     10 udp      17 29 src=2001:db8::1 dst=2001:db8::2 sport=4000 dport=53 [UNREPLIED] "
        "src=2001:db8::2 dst=2001:db8::1 sport=53 dport=4000 use=0"
    )
    assert " type=8 code=0 id=77 zone-orig=3 src=10.0.0.2 dst=10.0.0.1 type=0 code=0 id=77 " in line(read(*PING))
    full = line(read(*FULL))
    assert " packets=10 bytes=1099511627776 src=" in full
    assert full.endswith("mark=7 zone=5 helper=ftp use=1")


def test_an_offloaded_entry_has_neither_time_nor_state() -> None:
    parts = (
        nest(at.TUPLE_ORIG, *ends(A, B, *ports(6, 1, 2))),
        nest(at.TUPLE_REPLY, *ends(B, A, *ports(6, 2, 1))),
        number(at.STATUS, 0x0E | 1 << 14),
        number(at.MARK, 0),
    )
    assert line(read(*parts)) == (
        "ipv4     2 tcp      6 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 "
        "src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 [OFFLOAD] mark=0 use=0"
    )
    assert told(*parts)["remaining_s"] is None


def test_what_is_not_there_is_none() -> None:
    found = told(*SIX)
    assert (found["state"], found["packets"], found["start_ns"], found["icmp_id"], found["helper"]) == (None,) * 5
    ping = told(*PING)
    assert (ping["sport"], ping["icmp_id"], ping["icmp_type"]) == (None, 77, 8)
    full = told(*FULL)
    assert (full["bytes"], full["helper"], full["start_ns"]) == (1 << 40, "ftp", 1_700_000_000_000_000_000)


@pytest.mark.realkernel
def test_csv_parquet_and_lines_hold_the_same(capfdbinary: pytest.CaptureFixture[bytes], tmp_path) -> None:
    polars = pytest.importorskip("polars")
    kinds = (Kind(0.6, 6, 443, 3, 9000), Kind(0.4, 17, 53, 0, 9000, 0, six=True))
    with table_space() as space:
        space.fill(1500, kinds)
        for form in ("csv", "conntrack"):
            result = write(space.path, None, form, None, None, lambda _: None)
            assert (result.read, result.failed, result.notes) == (1500, False, [])
            out = capfdbinary.readouterr().out.decode()
            if form == "csv":
                rows = list(csv.DictReader(io.StringIO(out)))
            else:
                lines = out.splitlines()
        write(space.path, None, "parquet", str(tmp_path / "t.parquet"), None, lambda _: None)
        theirs = space.run("conntrack", "-L", "-o", "extended").splitlines()
    frame = polars.read_parquet(tmp_path / "t.parquet")
    assert frame.columns == list(COLUMNS) == list(rows[0])
    assert sorted(frame["id"].to_list()) == sorted(int(row["id"]) for row in rows)
    assert len(lines) == len(rows) == len(frame) == 1500
    four = sorted(each.split(" src=", 1)[1] for each in lines if each.startswith("ipv4"))
    assert four == sorted(each.split(" src=", 1)[1].rstrip() for each in theirs if each.startswith("ipv4"))
    assert frame.filter(polars.col("family") == "ipv6")["state"].null_count() == sum("ipv6" in each for each in lines)


@pytest.mark.realkernel
def test_where_netlink_is_refused_the_file_is_written(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise KernelRefused("netlink: no")

    with table_space() as space:
        space.fill(20, (Kind(1, 17, 53, 0, 900, 0),))
        monkeypatch.setattr(table_rows, "counts", refuse)
        told = write(space.path, None, "csv", None, None, lambda _: None)
    assert capfdbinary.readouterr().out.count(b"\nipv4,udp,") == 20
    assert (told.read, told.total) == (20, 20)
    assert told.notes == ["netlink: no; /proc/net/nf_conntrack was read instead"]
    with pytest.raises(KernelRefused):
        write("/nonexistent", None, "csv", None, None, lambda _: None)
    assert capfdbinary.readouterr().out == b""


def test_parquet_is_not_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with pytest.raises(UsageError, match="name a file"):
        write(None, None, "parquet", None, None, lambda _: None)
