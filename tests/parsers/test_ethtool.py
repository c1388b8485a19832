"""Driver counters; the listing is a real one, the allowances are read off the text."""

from hypothesis import given
from machine_text import CAPTURE, COMMANDS, LINES, facts_of, holds_for, is_linear, lines_of

from tablefull.parsers.block import Context
from tablefull.parsers.ethtool import read


def counters(text, command=None):
    return {f.name: f.value for f in facts_of(read, text, command)}


def test_a_whole_listing_keeps_rows_of_loss():
    text = (CAPTURE / "commands/ethtool-S").read_text()
    shown = {line.split(":")[0].strip(): int(line.split(":")[1]) for line in text.splitlines()[1:]}
    assert counters(text) == {
        name: value for name, value in shown.items() if "drop" in name or "err" in name or "timeout" in name
    }


def test_allowances():
    assert counters(
        "     bw_in_allowance_exceeded: 5\n     conntrack_allowance_exceeded: 1,234\n     conntrack_allowance_available: 136812"
    ) == {"bw_in_allowance_exceeded": 5, "conntrack_allowance_exceeded": 1234, "conntrack_allowance_available": 136812}
    assert counters('node_net_ethtool_conntrack_allowance_exceeded{device="eth0",instance="a"} 12') == {
        "conntrack_allowance_exceeded": 12
    }
    assert counters('"conntrack_allowance_exceeded": 3,') == {"conntrack_allowance_exceeded": 3}
    assert counters("ethtool_conntrack_allowance_exceeded 1.2e+06") == {"conntrack_allowance_exceeded": 1200000}


def test_a_sentence_is_not_claimed():
    for text in (
        "we saw that the counter conntrack_allowance_exceeded 12 grew",
        "conntrack_allowance_exceeded: 12 is what I see on both",
    ):
        assert read(lines_of(text), 0, Context("-")) is None


@given(LINES, COMMANDS)
def test_any_text_is_answered(texts, command):
    holds_for(read, texts, command)


def test_time_is_linear():
    is_linear(read)
