"""kube-proxy; expected values are read off the text."""

from hypothesis import given
from machine_text import COMMANDS, LINES, facts_of, holds_for, is_linear, line_of, lines_of

from tablefull.facts.host import Program
from tablefull.facts.settings import Refusal, Setting
from tablefull.kernel.sysctls import canonical
from tablefull.parsers.block import Context
from tablefull.parsers.kube_proxy import mentions, read, seconds

HASHSIZE = canonical("/sys/module/nf_conntrack/parameters/hashsize")


def parts(facts):
    settings = [(f.name, f.number, f.standing) for f in facts if isinstance(f, Setting)]
    refusals = [(f.name, f.error) for f in facts if isinstance(f, Refusal)]
    return settings, refusals, [(f.field, f.value) for f in facts if isinstance(f, Program)]


def shown(text, command=None):
    return parts(facts_of(read, text, command))


def test_structured_log():
    settings, _, programs = shown(
        'I0823 17:40:52.932417       1 conntrack.go:59] "Setting nf_conntrack_max" nfConntrackMax=786432'
    )
    assert settings == [("nf_conntrack_max", 786432, "commanded")]
    assert programs == [("log", '"Setting nf_conntrack_max" nfConntrackMax=786432')]
    assert shown(
        'I0823 17:40:52.933129       1 conntrack.go:90] "Setting conntrack hashsize" conntrackHashsize=196608'
    )[0] == [(HASHSIZE, 196608, "commanded")]
    _, refusals, programs = shown(
        'E0823 17:40:52.933169       1 server.go:558] "Error running ProxyServer" err="write /sys/module/nf_conntrack/parameters/hashsize: operation not supported"'
    )
    assert refusals == [(HASHSIZE, "operation not supported")]
    assert programs[0][0] == "error"


def test_older_log():
    line = "I0101 10:00:00.000000       1 conntrack.go:100] Set sysctl 'net/netfilter/nf_conntrack_tcp_timeout_close_wait' to 3600"
    assert shown(line)[0] == [("nf_conntrack_tcp_timeout_close_wait", 3600, "commanded")]
    assert shown("Set sysctl 'net/netfilter/nf_conntrack_max' to 524288")[0] == [
        ("nf_conntrack_max", 524288, "commanded")
    ]
    assert shown("open /proc/sys/net/netfilter/nf_conntrack_max: permission denied")[1] == [
        ("nf_conntrack_max", "permission denied")
    ]


def test_flags():
    settings, _, programs = shown("  - --conntrack-max-per-core=0")
    assert (settings, programs) == ([], [("conntrack-max-per-core", "0")])
    assert shown("--conntrack-tcp-timeout-established=24h0m0s")[0] == [
        ("nf_conntrack_tcp_timeout_established", 86400, "commanded")
    ]
    assert shown("kube-proxy --conntrack-max=65536 --conntrack-min=1")[0] == [("nf_conntrack_max", 65536, "commanded")]
    assert shown("--conntrack-max-per-core int32 | Default: 32768") == (
        [],
        [],
        [("conntrack-max-per-core (default)", "32768")],
    )


def test_yaml():
    text = "conntrack:\n  max: 0\n  maxPerCore: 32768\n  min: 131072\n  tcpCloseWaitTimeout: 1h0m0s\n  tcpEstablishedTimeout: 24h0m0s"
    settings, _, programs = shown(text)
    assert settings == [
        ("nf_conntrack_tcp_timeout_close_wait", 3600, "configured"),
        ("nf_conntrack_tcp_timeout_established", 86400, "configured"),
    ]
    assert ("maxPerCore", "32768") not in programs
    assert ("conntrack-max-per-core", "32768") in programs
    assert shown("    tcpEstablishedTimeout: 0s")[0] == []


def test_durations():
    assert [seconds(text) for text in ("24h0m0s", "1h30m", "90s", "500ms", "", "1x", "1h x")] == [
        86400,
        5400,
        90,
        0,
        None,
        None,
        None,
    ]


def test_other_lines_are_not_claimed():
    for text in (
        "min: 5",
        "nf_conntrack: table full, dropping packet",
        "net.netfilter.nf_conntrack_max = 131072",
        "conntrack:",
        "kube-proxy defaults: MaxPerCore is 32K, so getConntrackMax returns 3145728",
    ):
        assert read(lines_of(text), 0, Context("-")) is None, text


def test_mentions():
    facts = mentions(line_of("kube-proxy defaults: MaxPerCore is 32K, with --conntrack-min=131072"), Context("-"))
    assert parts(facts)[2] == [("conntrack-min", "131072"), ("named", "kube-proxy")]


@given(LINES, COMMANDS)
def test_any_text_is_answered(texts, command):
    holds_for(read, texts, command)


def test_time_is_linear():
    is_linear(read)
