"""Default sizes worked out by hand: memory over 16384 over a pointer, in whole pages of pointers, times 8, 4 or 1."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.kernel import sizing
from tablefull.kernel.identity import parse_release

MIB, GIB = 1024**2, 1024**3
RELEASES = ("2.6.18-194.el5", "2.6.32-431.el6.x86_64", "3.2.0-24-generic", "3.10.0-1160.el7.x86_64", "5.4.0", "6.18.2")


@pytest.mark.parametrize(
    ("release", "ram_bytes", "buckets", "maximum"),
    [
        # 512 MiB / 16384 / 8 = 4096 buckets; / 16 in 2.6.18 = 2048
        ("2.6.18-194.el5", 512 * MIB, 2048, 16384),
        ("2.6.18-194.el5", 2 * GIB, 8192, 65536),
        ("2.6.32-431.el6.x86_64", 512 * MIB, 4096, 16384),
        ("3.2.0-24-generic", 24 * GIB, 16384, 65536),
        ("3.10.0-1160.el7.x86_64", 24 * GIB, 65536, 262144),
        ("5.4.0", 2 * GIB, 16384, 65536),
        ("5.4.0", 4 * GIB, 16384, 65536),
        ("5.4.0", 4 * GIB + 1, 65536, 262144),
        ("5.15.16", 512 * MIB, 4096, 4096),
        ("5.15.16", 2 * GIB, 65536, 65536),
        ("6.18.2", 24 * GIB, 262144, 262144),
        ("6.18.2", 16 * MIB, 1024, 1024),
        # 950 MiB / 131072 = 7600, rounded up to a page of 512 pointers: 7680
        ("6.1.20", 950 * MIB, 7680, 7680),
    ],
)
def test_defaults(release: str, ram_bytes: int, buckets: int, maximum: int) -> None:
    kernel = parse_release(release)
    assert sizing.default_buckets(ram_bytes, kernel).value == buckets
    assert sizing.default_max(ram_bytes, kernel).value == maximum


def test_32_bit_has_no_large_tier_from_5_15() -> None:
    assert sizing.default_max(16 * GIB, parse_release("6.1.20"), bits=32).value == 65536
    assert sizing.default_max(16 * GIB, parse_release("5.4.0"), bits=32).value == 262144


def test_without_a_version() -> None:
    assert sizing.default_max(GIB, None).basis == "unknown"
    assert sizing.entry_bytes(None).basis == "unknown"
    assert sizing.table_bytes(1, 1, None).basis == "unknown"


def test_7680_is_a_1_gb_machine_from_5_15_on() -> None:
    (span,) = sizing.ram_for_default_max(7680, parse_release("6.1.20")).value or ()
    # just past 7168 buckets' worth, up to just under 7681's: 896 to 960 MiB
    assert span.above_bytes == 7169 * 131072 - 1
    assert span.to_bytes == 7681 * 131072 - 1
    assert sizing.ram_for_default_max(7680, parse_release("5.4.0")).value == ()
    assert sizing.max_is_default(7680, 950 * MIB, parse_release("6.1.20")).value is True
    assert sizing.max_is_default(7680, 2 * GIB, parse_release("6.1.20")).value is False


def test_the_whole_tiers() -> None:
    old, new = parse_release("4.15.0-20-generic"), parse_release("6.8.0")
    for kernel in (old, new):
        assert sizing.ram_for_default_max(65536, kernel).value == (sizing.RamRange(GIB, 4 * GIB),)
        assert sizing.ram_for_default_max(262144, kernel).value == (sizing.RamRange(4 * GIB, None),)
    assert sizing.max_is_default(65536, 24 * GIB, parse_release("3.2.0-24-generic")).value is True
    assert sizing.max_is_default(1548576, None, None).value is False
    assert sizing.max_is_default(262144, None, None).value is True


@given(st.integers(8 * MIB, 2**40), st.sampled_from(RELEASES), st.sampled_from((32, 64)))
def test_a_default_is_recognised_as_one(ram_bytes: int, release: str, bits: int) -> None:
    kernel = parse_release(release)
    chosen = sizing.default_max(ram_bytes, kernel, bits).value
    assert chosen is not None
    assert sizing.max_is_default(chosen, ram_bytes, kernel, bits).value is True


@given(st.integers(-5, 2**31), st.sampled_from(RELEASES))
def test_a_span_gives_back_its_limit(maximum: int, release: str) -> None:
    kernel = parse_release(release)
    for span in sizing.ram_for_default_max(maximum, kernel).value or ():
        assert sizing.default_max(span.above_bytes + 1, kernel).value == maximum
        assert sizing.default_max(span.to_bytes or 2**40, kernel).value == maximum


def test_hashsize_at_load_is_times_eight() -> None:
    assert sizing.max_by_hashsize(65536) == 524288
    assert sizing.max_by_hashsize(1000) == 8192
    assert sizing.round_up_buckets(513) == 1024
    assert sizing.round_up_buckets(513, bits=32) == 1024


@pytest.mark.parametrize(
    ("release", "extension", "size"),
    [
        ("6.18.44", None, 256),
        ("6.18.44", True, 384),
        ("5.15.16", None, 448),
        ("5.15.16", False, 320),
        ("4.14.177", None, 448),
        ("4.4.217", False, 288),
        ("2.6.32-5-amd64", False, 280),
        ("2.6.18-194.el5", None, 384),
    ],
)
def test_bytes_an_entry(release: str, extension: bool | None, size: int) -> None:
    assert sizing.entry_bytes(parse_release(release), extension=extension).value == size


def test_bytes_a_table() -> None:
    # 262144 entries of 256 bytes are 64 MiB, their buckets 2 MiB.
    assert sizing.table_bytes(262144, 262144, parse_release("6.18.2")).value == 66 * MIB
    assert sizing.bucket_bytes(parse_release("2.6.18-194.el5")) == 16


def test_chains() -> None:
    assert sizing.chain_mean(65536, 16384) == 8.0
    assert sizing.chain_mean(5, 0) == 0.0
    assert sizing.chain_limit(parse_release("6.18.2")).value == (50, 79)
    assert sizing.chain_limit(parse_release("5.17.1")).value == (8, 31)
    assert sizing.chain_limit(parse_release("6.1.20")).value == (50, 79)
    assert sizing.chain_limit(parse_release("5.4.0")).basis == "unknown"


def test_buckets_to_go_with_a_limit() -> None:
    assert sizing.recommended_buckets(1048576, parse_release("6.1.20")).value == 1048576
    assert sizing.recommended_buckets(1048576, parse_release("5.4.0")).value == 262144
    assert sizing.recommended_buckets(65536, parse_release("2.6.18-194.el5")).value == 16384
    assert sizing.recommended_buckets(1048576, None).value == 1048576


def test_expectations() -> None:
    assert sizing.expect_max_default(262144) == 4096
    assert sizing.expect_max_default(100) == 4


@pytest.mark.realkernel
def test_the_running_kernel_where_nobody_changed_it() -> None:
    root = Path("/proc/sys/net/netfilter")
    if not (root / "nf_conntrack_max").exists():
        pytest.skip("connection tracking is not in this kernel")
    maximum, buckets = (int((root / f"nf_conntrack_{n}").read_text()) for n in ("max", "buckets"))
    kernel = parse_release(Path("/proc/sys/kernel/osrelease").read_text())
    total = next(ln for ln in Path("/proc/meminfo").read_text().splitlines() if ln.startswith("MemTotal"))
    ram_bytes = int(total.split()[1]) * 1024
    if maximum != buckets:
        pytest.skip("somebody set max or buckets on this machine")
    assert sizing.default_max(ram_bytes, kernel).value == maximum
    assert sizing.default_buckets(ram_bytes, kernel).value == buckets
    expect_max = int((root / "nf_conntrack_expect_max").read_text())
    assert sizing.expect_max_default(buckets) == expect_max
