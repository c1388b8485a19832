"""Every number by hand, from the lines that are its inputs."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.parsers.reader import read_text
from tablefull.rules.arithmetic import Loss, Reckoning, duration, loss, mebibytes, quantity, rate_of_last_burst, reckon
from tablefull.rules.case import Case

XEN = (Path(__file__).parents[2] / "examples" / "xen-dom0.txt").read_text(encoding="utf-8")


def lost(text: str) -> Loss | None:
    return loss(Case(read_text(text)))


def numbers(text: str) -> dict[tuple[str, str], Reckoning]:
    return {(one.what, one.host): one for one in reckon(Case(read_text(text)))}


def one(text: str, what: str) -> Reckoning:
    found = [number for (name, _), number in numbers(text).items() if name == what]
    assert len(found) == 1, (what, list(numbers(text)))
    return found[0]


def test_xen_loss() -> None:
    # Ten lines printed; the 321 hidden ones belong to the window before, which printed its ten as well: 331 in 5 s.
    told = lost(XEN)
    assert told is not None
    assert told.dropped_packets_min == 10
    assert told.dropped_packets_estimate == 331
    assert told.window_s == 5
    assert told.rate_per_s == pytest.approx(66.2)
    assert len(told.evidence) == 6


def test_the_rate_is_that_of_the_last_incident() -> None:
    # XEN's window holds 331 in 5 s whatever happened an hour before it; over both the rate would be that of neither.
    line = "[11455000.0] nf_conntrack: nf_conntrack: table full, dropping packet\n"
    later = "[11455006.0] net_ratelimit: 40 callbacks suppressed\n" + line.replace("000.0", "006.0")
    assert XEN.count("[11458852.8") > 5
    earlier = line * 10 + later + XEN
    assert rate_of_last_burst(Case(read_text(earlier))) == pytest.approx(66.2)
    told = lost(earlier)
    assert told is not None
    assert told.rate_per_s == pytest.approx((331 + 50) / 10)
    assert rate_of_last_burst(Case(read_text("nothing"))) is None


def test_loss_shared_with_another_message() -> None:
    # Half of the lines are the neighbour table's: half of (10 + 90) hidden and printed messages are ours.
    told = lost(
        "[100.0] nf_conntrack: table full, dropping packet\n[100.1] neighbour: arp_cache: neighbor table overflow!\n"
        "[106.0] net_ratelimit: 90 callbacks suppressed\n[106.0] nf_conntrack: table full, dropping packet\n"
    )
    assert told is not None
    assert told.dropped_packets_min == 2
    assert told.dropped_packets_estimate == 50
    assert told.rate_per_s == pytest.approx(10.0)


def test_few_lines_and_no_suppressed_one_are_the_count() -> None:
    line = "nf_conntrack: table full, dropping packet"
    told = lost("\n".join(f"[{second}.0] {line}" for second in (100, 102, 104)))
    assert told is not None
    assert (told.dropped_packets_min, told.dropped_packets_estimate, told.basis) == (3, 3, "shown")


@pytest.mark.parametrize("command", ["", "$ dmesg | tail -n 4\n", "$ dmesg | grep conntrack\n"])
def test_an_excerpt_shows_at_least_its_lines(command: str) -> None:
    line = "nf_conntrack: table full, dropping packet"
    told = lost(command + "\n".join(f"[{second}.0] {line}" for second in ((100, 102, 104) if command else (100, 102))))
    assert told is not None
    assert told.basis == "unknown"
    assert told.rate_per_s is None
    assert "excerpt" in told.how


def test_no_line_no_loss() -> None:
    assert lost("net_ratelimit: 321 callbacks suppressed\nneighbour: arp_cache: neighbor table overflow!") is None
    assert lost("") is None


def test_a_cited_line_is_not_counted() -> None:
    assert lost("We see 'nf_conntrack: table full, dropping packet' in the logs now and then.") is None


def test_drop_counter_where_no_line_was_seen() -> None:
    told = lost(
        "net.netfilter.nf_conntrack_count = 65536\nnet.netfilter.nf_conntrack_max = 65536\n"
        "cpu=0 found=1 invalid=2 insert_failed=0 drop=400 early_drop=9\ncpu=1 found=1 invalid=2 insert_failed=0 drop=20 early_drop=1"
    )
    assert told is not None
    assert (told.dropped_packets_min, told.rate_per_s) == (420, None)


def test_uptime() -> None:
    assert one(XEN, "uptime").value == pytest.approx(11458852.826814 / 86400)  # 132.6 days
    assert "133 days" in one(XEN, "uptime").how


def test_limit_as_a_sum() -> None:
    limit = one(XEN, "limit")
    assert limit.value == 1548576 == 1048576 + 500000
    assert "1048576 + 500000" in limit.how


def test_limit_against_the_default_of_this_memory() -> None:
    # 4 GiB on 4.15: 65536 buckets, four entries each.
    told = one(
        "Linux a 4.15.0-20-generic x86_64\nMemTotal:  8388608 kB\nnet.netfilter.nf_conntrack_max = 524288",
        "limit against default",
    )
    assert told.value == pytest.approx(2.0)
    assert "262,144" in told.how


def test_littles_law_both_ways() -> None:
    # 10,000,000 / 86,400 = 115.74 a second; 1,548,576 / 115.74 = 13,379.7 s = 3.72 h; 115.74 x 120 = 13,889.
    need = one(XEN, "lifetime needed")
    assert need.value == pytest.approx(1548576 / (10_000_000 / 86400))
    assert need.value / 3600 == pytest.approx(3.72, abs=0.005)
    assert "116 a second" in need.how
    assert "TIME_WAIT 2 min" in need.how.split("cannot")[0]
    assert "ESTABLISHED 5 days can" in need.how
    steady = one(XEN, "entries from that load in TIME_WAIT")
    assert steady.value == pytest.approx(13888.9, abs=0.1)
    assert steady.basis == "unknown"


def test_a_load_that_time_wait_explains() -> None:
    # 65,536 entries at 1,000 a second need 65.5 s; TIME_WAIT lives 120 s.
    need = one("net.netfilter.nf_conntrack_max = 65536\nWe serve 1000 requests per second.", "lifetime needed")
    assert need.value == pytest.approx(65.536)
    assert "TIME_WAIT 2 min" in need.how.split(" can")[-2]
    assert "second source" not in need.how


def test_no_law_without_a_rate_or_a_limit() -> None:
    assert not numbers("We serve 1000 requests per second.")
    assert ("lifetime needed", "this host") not in numbers("net.netfilter.nf_conntrack_max = 65536")


def test_memory_of_a_full_table() -> None:
    # 1,548,576 entries and 387,144 buckets of 8 bytes; an entry of the 3.2 era takes some 400 bytes: about 600 MiB.
    told = one(XEN, "memory when full")
    assert 550 < told.value < 650
    assert "Dom0" in told.how


def test_slab() -> None:
    text = (
        "slabinfo - version: 2.1\n# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>\n"
        "nf_conntrack      61000  64000    320   25    2 : tunables    0    0    0 : slabdata   2560   2560      0\n"
    )
    told = one(text, "entries in the slab")
    assert told.value == 61000
    assert "20 MiB" in told.how  # 64,000 x 320 = 20,480,000 bytes = 19.5 MiB


def test_mean_chain() -> None:
    # Each entry hangs in two chains: 2 x 1,000,000 / 8,192 = 244.1.
    told = one(
        "net.netfilter.nf_conntrack_max = 1000000\nnet.netfilter.nf_conntrack_buckets = 8192", "mean chain when full"
    )
    assert told.value == pytest.approx(244.14, abs=0.01)


def test_occupancy() -> None:
    told = one("net.netfilter.nf_conntrack_max = 1000\nnet.netfilter.nf_conntrack_count = 250", "occupancy")
    assert told.value == pytest.approx(25.0)


def test_listing_counters_of_dom0() -> None:
    have = numbers(XEN)
    first = have["mean first packet", "Dom0"]
    assert first.value == pytest.approx(1_390_000 / 23_155)  # 60.03: a SYN with its options
    assert "handshake" in first.how
    assert have["packets an entry", "Dom0"].value == pytest.approx(241_000 / 23_155)  # 10.4
    share = have["forwarded share", "Dom0"]
    assert share.value == pytest.approx(100 * 241_000 / (241_000 + 13_976 + 13_946))  # 89.6 %
    assert "forwards or bridges" in share.how
    since = have["first packets since the table exists", "Dom0"]
    assert since.value == 23155
    assert "3.33 min ago" in since.how  # 23,155 / 115.74 = 200 s


def test_listing_counters_of_the_guest() -> None:
    have = numbers(XEN)
    assert have["mean first packet", "DomU"].value == pytest.approx(2_825_000 / 53_465)  # 52.8
    assert have["forwarded share", "DomU"].value == 0
    assert "forwards nothing" in have["forwarded share", "DomU"].how


def test_composition_shares() -> None:
    row = "ipv4     2 tcp      6 {left} {state} src=10.0.0.{n} dst=10.0.1.1 sport=4000 dport=80 {mark}src=10.0.1.1 dst=10.0.0.{n} sport=80 dport=4000 mark=0 use=1"
    rows = [row.format(left=60, state="SYN_SENT", n=n, mark="[UNREPLIED] ") for n in range(1, 4)]
    rows += [row.format(left=90000, state="ESTABLISHED", n=n, mark="") for n in range(4, 11)]
    have = {name: number for (name, _), number in numbers("\n".join(rows)).items()}
    assert have["largest state"].value == pytest.approx(70.0)
    assert "ESTABLISHED" in have["largest state"].how
    assert have["unreplied"].value == pytest.approx(30.0)
    assert have["more than an hour left"].value == pytest.approx(70.0)
    assert have["largest port"].value == pytest.approx(100.0)
    assert have["largest source"].value == pytest.approx(10.0)


def test_every_number_names_its_lines_and_its_working() -> None:
    for number in numbers(XEN).values():
        assert number.how
        assert number.evidence
        assert all(XEN.splitlines()[origin.line - 1] == origin.text for origin in number.evidence)


def test_nothing_from_nothing() -> None:
    assert not numbers("")


@pytest.mark.parametrize(
    ("number", "shown"),
    [(1548576, "1,548,576"), (115.74, "116"), (66.2, "66.2"), (0.5, "0.5"), (7, "7"), (999.6, "1000"), (1000, "1,000")],
)
def test_quantity(number: float, shown: str) -> None:
    assert quantity(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(5, "5 s"), (120, "2 min"), (13379.7, "3.72 h"), (432000, "5 days"), (0.25, "0.25 s")]
)
def test_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_mebibytes() -> None:
    assert mebibytes(512 << 20) == "512 MiB"
    assert mebibytes(3 << 29) == "1.5 GiB"


@given(st.floats(min_value=0, max_value=1e15, allow_nan=False))
def test_a_duration_keeps_three_figures(seconds: float) -> None:
    value, unit = duration(seconds).split()
    size = {"s": 1, "min": 60, "h": 3600, "days": 86400}[unit]
    assert float(value) * size == pytest.approx(seconds, rel=0.006)
