"""Sockets by state; the capture made sockets of known states, and netstat, ss and uniq have to agree on them."""

from hypothesis import given
from machine_text import CAPTURE, COMMANDS, LINES, facts_of, holds_for, is_linear, lines_of

from tablefull.facts.counters import EntryStates, SocketStates
from tablefull.parsers.block import Context
from tablefull.parsers.sockets import read

# Five connections to one listener: two half closed, one closed, two open (CAPTURE.toml).
MADE = {"LISTEN": 1, "ESTABLISHED": 4, "CLOSE_WAIT": 2, "FIN_WAIT2": 2, "TIME_WAIT": 1}


def states(text, command=None):
    (fact,) = [f for f in facts_of(read, text, command) if isinstance(f, SocketStates)]
    return fact.tool, fact.by_state


def test_the_same_sockets_three_ways():
    commands = CAPTURE / "commands"
    assert states((commands / "netstat-ant").read_text()) == ("netstat", MADE)
    assert states((commands / "ss-ant").read_text()) == ("ss", MADE)
    assert states((commands / "uniq-c").read_text(), "netstat -ant | awk '{print $6}' | sort | uniq -c") == (
        "netstat",
        MADE,
    )


def test_ss_s():
    facts = facts_of(
        read,
        "Total: 1663 (kernel 1689)\nTCP:   1655 (estab 1556, closed 39, orphaned 40, synrecv 0, timewait 39/0), ports 0",
    )
    counters = {f.name: f.value for f in facts if not isinstance(f, SocketStates)}
    assert counters == {
        "total": 1663,
        "TCP": 1655,
        "estab": 1556,
        "closed": 39,
        "orphaned": 40,
        "synrecv": 0,
        "timewait": 39,
    }
    assert facts[-1].by_state == {"ESTABLISHED": 1556, "SYN_RECV": 0, "TIME_WAIT": 39}
    whole = facts_of(read, (CAPTURE / "commands/ss-s").read_text().rstrip())
    assert {f.name: f.value for f in whole if not isinstance(f, SocketStates)}["total"] > 0


def test_either_order_and_remnants():
    assert states("   1 established)\n   1 Foreign\n 123 TIME_WAIT\n  45 ESTABLISHED") == (
        "unknown",
        {"TIME_WAIT": 123, "ESTABLISHED": 45},
    )
    assert states("ESTABLISHED 200\nTIME_WAIT 1,548")[1] == {"ESTABLISHED": 200, "TIME_WAIT": 1548}


def test_counts_of_entries_are_no_sockets():
    command = "cat /proc/net/nf_conntrack | awk '{print $6}' | sort | uniq -c"
    (fact,) = facts_of(read, " 123 TIME_WAIT\n  45 ESTABLISHED", command)
    assert isinstance(fact, EntryStates)
    assert fact.by_state == {"TIME_WAIT": 123, "ESTABLISHED": 45}
    assert isinstance(facts_of(read, "12 SYN_SENT\n7 [UNREPLIED]")[0], EntryStates)


def test_sockstat():
    text = (CAPTURE / "proc/net/sockstat").read_text()
    counters = {f.name: f.value for f in facts_of(read, text)}
    words = text.split()
    assert counters["sockets used"] == int(words[2])
    assert counters["TCP mem"] == int(words[words.index("mem") + 1])


def test_sentences_are_not_claimed():
    for text in (
        "netstat shows no CLOSE_WAIT sockets at all",
        "tcp 6 363312 ESTABLISHED src=1.2.3.4 dst=5.6.7.8",
        "Total: 5 apples",
        "443",
    ):
        assert read(lines_of(text), 0, Context("-")) is None


@given(LINES, COMMANDS)
def test_any_text_is_answered(texts, command):
    holds_for(read, texts, command)


def test_time_is_linear():
    is_linear(read)
