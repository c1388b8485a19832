"""Protocol counters; netstat -s is judged by nstat and /proc of the same moment."""

from hypothesis import given
from machine_text import CAPTURE, COMMANDS, LINES, facts_of, holds_for, is_linear, lines_of

from tablefull.parsers.block import Context
from tablefull.parsers.protocol_counters import read

BEFORE = """TcpExt:
    5 packets pruned from receive queue because of socket buffer overrun
    23450 TCP sockets finished time wait in fast timer
    128105 connections reset due to unexpected data
    TCPTimeWaitOverflow: 27360"""


def counters(text, command=None):
    return {f.name: f.value for f in facts_of(read, text, command)}


def test_both_styles():
    assert counters(BEFORE) == {
        "TcpExtPruneCalled": 5,
        "TcpExtTW": 23450,
        "TcpExtTCPAbortOnData": 128105,
        "TcpExtTCPTimeWaitOverflow": 27360,
    }


def test_listen_queue_in_its_sentences():
    text = "TcpExt:\n    12 times the listen queue of a socket overflowed\n    13 SYNs to LISTEN sockets dropped\n    TCPReqQFullDrop: 7"
    assert counters(text) == {"TcpExtListenOverflows": 12, "TcpExtListenDrops": 13, "TcpExtTCPReqQFullDrop": 7}
    assert counters("TcpExt:\n    9 SYNs to LISTEN sockets ignored") == {"TcpExtListenDrops": 9}
    assert counters("TcpExtListenOverflows           12                 0.0") == {"TcpExtListenOverflows": 12}


def test_an_empty_line_ends_a_section():
    assert read(lines_of("Tcp:\n\n    4 connections established"), 0, Context("-")).used == 1
    assert counters("TcpExt:\n    TCP ran low on memory 5 times") == {"TCP ran low on memory times": 5}


def test_sentences_through_grep():
    text = "    1234 times the listen queue of a socket overflowed\n    1240 SYNs to LISTEN sockets dropped"
    assert counters(text) == {"TcpExtListenOverflows": 1234, "TcpExtListenDrops": 1240}


def test_an_unindented_section_ends_at_prose():
    lines = lines_of("TcpExt:\n    5 delayed acks sent\n7 of 9 hosts are like that")
    assert read(lines, 0, Context("-")).used == 2
    assert counters("Tcp:\n108 active connections openings\n4 connections established") == {
        "TcpActiveOpens": 108,
        "TcpCurrEstab": 4,
    }


def test_netstat_s_agrees_with_nstat_and_proc():
    said = counters((CAPTURE / "commands/netstat-s").read_text())
    nstat = counters((CAPTURE / "commands/nstat").read_text())
    raw = counters((CAPTURE / "proc/net/netstat").read_text())
    named = set(said) & set(nstat)
    assert len(named) > 25
    steady = named & {
        "TcpActiveOpens",
        "TcpPassiveOpens",
        "TcpAttemptFails",
        "TcpExtTW",
        "TcpExtTCPAbortOnData",
        "TcpExtTCPAbortOnClose",
    }
    assert len(steady) >= 5
    assert {name: said[name] for name in steady} == {name: nstat[name] for name in steady}
    assert "TcpExtListenOverflows" in raw
    assert set(raw) >= {name for name in said if name.startswith(("TcpExtTCP", "IpExt"))}


def test_other_lines_are_not_claimed():
    for text in ("Tcp: it hangs", "TcpExt is a section", "Ip: 1.2.3.4"):
        answer = read(lines_of(text), 0, Context("-"))
        assert answer is None or not answer.facts


@given(LINES, COMMANDS)
def test_any_text_is_answered(texts, command):
    holds_for(read, texts, command)


def test_time_is_linear():
    is_linear(read)
