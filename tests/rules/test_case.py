"""What ``said`` finds and passes over, and the answers a case gives about its facts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.parsers.reader import read_text
from tablefull.rules.case import Case


def case(text: str) -> Case:
    return Case(read_text(text))


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("The proxy makes a new connection for every request.", "new connection*request"),
        ("Clients RECONNECT all the time", "reconnect"),
        ("it`s a `reconnect` *loop*", "reconnect loop"),
        ("hosts reconnect in a\ntight\n\n   loop since noon", "tight loop"),
        ("we saw a port-scan", "torrent|scan"),
        ("don’t know, but a DDoS", "ddos"),
    ],
)
def test_said(text: str, phrase: str) -> None:
    assert case(text).said(phrase) is not None


@pytest.mark.parametrize(
    ("text", "phrase", "why"),
    [
        ("request first, then a connection", "connection*request", "b must follow a"),
        ("connection " + "x " * 80 + "request", "connection*request", "b must stand within reach"),
        ("the odds are good", "dds", "a phrase begins at the start of a word"),
        ("the supernatural gateway", "nat", "not inside a word"),
        ("There is no DDoS.", "ddos", "denied"),
        ("We never saw a scan", "scan", "denied"),
        ("it doesn't leak", "leak", "denied"),
        ("tcpdump rules out a flood", "flood", "denied"),
        ("without any torrent", "torrent", "denied"),
    ],
)
def test_passed_over(text: str, phrase: str, why: str) -> None:
    assert case(text).said(phrase) is None, why


def test_a_denial_ends_with_its_clause() -> None:
    assert case("It is no leak, but a flood.").said("flood") is not None
    assert case("There was no alarm. A flood came in.").said("flood") is not None


def test_a_denied_phrase_may_stand_later_undenied() -> None:
    found = case("There is no flood on eth0.\nOn eth1 we watched a flood of SYN packets all night.").said("flood")
    assert found is not None
    assert found.line == 2


def test_denied_asks_for_the_words_as_they_stand() -> None:
    assert case("There are no iptables rules here.").said("no iptables rules", denied=True) is not None


def test_the_origin_is_the_line_where_the_phrase_begins() -> None:
    found = case("first\nsecond begins here\nand goes on").said("begins*goes on")
    assert found is not None
    assert (found.line, found.text) == (2, "second begins here")


@given(st.text(max_size=300), st.from_regex(r"[a-c][a-c ']{0,5}([*|][a-c][a-c ']{0,5}){0,3}", fullmatch=True))
def test_said_never_raises(text: str, phrase: str) -> None:
    found = case(text).said(phrase)
    assert found is None or found.line >= 1


def test_what_the_kernel_shows_beats_what_a_file_wants() -> None:
    one = case(
        "$ cat /etc/sysctl.conf\nnet.netfilter.nf_conntrack_max = 500000\n"
        "$ sysctl net.netfilter.nf_conntrack_max\nnet.netfilter.nf_conntrack_max = 65536"
    )
    assert one.max is not None
    assert one.max.number == 65536
    assert one.number("nf_conntrack_max", "configured") == 500000


def test_a_file_alone_is_no_limit_in_force() -> None:
    assert case("$ cat /etc/sysctl.conf\nnet.netfilter.nf_conntrack_max = 500000").max is None


def test_occupancy_is_the_highest_count_over_the_limit() -> None:
    one = case(
        "net.netfilter.nf_conntrack_max = 1000\nnet.netfilter.nf_conntrack_count = 250\n"
        "later:\nnet.netfilter.nf_conntrack_count = 900"
    )
    assert one.occupancy == pytest.approx(0.9)


@pytest.mark.parametrize("text", ["net.netfilter.nf_conntrack_max = 1000", "net.netfilter.nf_conntrack_count = 5", ""])
def test_no_occupancy_from_one_number(text: str) -> None:
    assert case(text).occupancy is None


def test_counters_are_summed_over_cpus_and_absent_stays_absent() -> None:
    one = case(
        "cpu=0 found=1 invalid=2 insert=0 insert_failed=3 drop=4 early_drop=0\n"
        "cpu=1 found=1 invalid=5 insert=0 insert_failed=7 drop=11 early_drop=0"
    )
    assert (one.counters["invalid"], one.counters["insert_failed"], one.counters["drop"]) == (7, 10, 15)
    assert "chain_toolong" not in one.counters


def test_a_second_listing_replaces_the_first() -> None:
    one = case("cpu=0 found=0 invalid=2 drop=4\n10 s later\ncpu=0 found=0 invalid=9 drop=6")
    assert (one.counters["invalid"], one.counters["drop"]) == (9, 6)


def test_counted_states_are_a_composition_without_rows_of_their_own() -> None:
    one = case("$ awk '{print $6}' /proc/net/nf_conntrack | sort | uniq -c\n  700 TIME_WAIT\n  300 ESTABLISHED")
    ((_, table),) = one.compositions
    assert (table.rows, table.by_state["TIME_WAIT"], table.kept) == (1000, 700, [])


def test_shown_memory_beats_stated() -> None:
    one = case("A machine with 8 GB RAM.\nMemTotal:        4046372 kB")
    assert one.memory_bytes == 4046372 * 1024


@pytest.mark.parametrize(
    "need", ["text", "log", "settings", "counters", "counts", "rules", "modules", "sockets", "slab", "entries"]
)
def test_an_empty_case_has_nothing(need: str) -> None:
    assert not case("").has(need)


def test_a_count_is_compared_with_the_limit_of_its_own_host() -> None:
    case = Case(
        read_text(
            "root@lb1:~# sysctl net.netfilter\nnet.netfilter.nf_conntrack_count = 41022\n"
            "net.netfilter.nf_conntrack_max = 1048576\nroot@lb2:~# sysctl net.netfilter\n"
            "net.netfilter.nf_conntrack_count = 65536\nnet.netfilter.nf_conntrack_max = 65536\n"
        )
    )
    assert [(host.name, count, limit) for host, count, limit in case.readings] == [
        ("lb1", 41022, 1048576),
        ("lb2", 65536, 65536),
    ]
    assert case.occupancy == 1.0
    assert case.max is not None
    assert case.max.number == 65536


def test_a_boot_log_says_nothing_about_dns_or_disks() -> None:
    case = Case(
        read_text(
            "[    1.100000] Key type dns_resolver registered\n[    0.200000] pci: [mem 0x4000000000-0x400007ffff]\n"
            "[    0.300000] Speculative Return Stack Overflow: IBPB-extending microcode not applied!\n"
            "fs.epoll.max_user_watches = 5491511\n"
        )
    )
    assert case.said("dns|not applied|max_user_watches|overflow") is None
