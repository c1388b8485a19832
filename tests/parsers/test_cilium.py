"""Cilium; expected values are read off the text."""

from hypothesis import given
from machine_text import COMMANDS, LINES, facts_of, holds_for, is_linear, line_of, lines_of

from tablefull.facts.counters import NetCounter
from tablefull.parsers.block import Context
from tablefull.parsers.cilium import mentions, read


def shown(text, command=None):
    return [
        (f.name, f.value) if isinstance(f, NetCounter) else (f.field, f.value) for f in facts_of(read, text, command)
    ]


def test_map_sizes():
    text = (
        """BPF Maps:                dynamic sizing: on (ratio: 0.002500)
  Name                          Size
  Auth                          524288""".rsplit("\n", 1)[0]
        + """
  Non-TCP connection tracking   73343
  TCP connection tracking       146687
  NAT                           146687"""
    )
    assert shown(text)[1:] == [
        ("Non-TCP connection tracking max", 73343),
        ("TCP connection tracking max", 146687),
        ("NAT max", 146687),
    ]


def test_drop_reasons():
    assert shown("CT: Map insertion failed") == [("drop reason", "CT: Map insertion failed")]
    assert shown("No mapping for NAT masquerade") == [("drop reason", "No mapping for NAT masquerade")]
    assert shown("CT: Map insertion failed    EGRESS    1234    567890") == [("drop CT: Map insertion failed", 1234)]
    assert shown("xx drop (CT: Map insertion failed) flow 0x0 to endpoint 0, 10.0.0.1:1 -> 10.0.0.2:2 tcp SYN") == [
        ("drop reason", "CT: Map insertion failed")
    ]


def test_metrics():
    assert shown('cilium_bpf_map_pressure{map_name="ct4_global"} 0.98') == [("map pressure % ct4_global", 98)]
    assert shown('cilium_drop_count_total{direction="EGRESS",reason="CT: Map insertion failed"} 12') == [
        ("drop CT: Map insertion failed", 12)
    ]


def test_configuration_and_status():
    assert shown('  bpf-ct-global-tcp-max: "524288"') == [("bpf-ct-global-tcp-max", "524288")]
    assert shown("--bpf-ct-global-any-max=262144") == [("bpf-ct-global-any-max", "262144")]
    assert shown("Cilium:                  Ok   1.12.4 (v1.12.4-6eaecaf)") == [("version", "1.12.4")]


def test_listing_and_log():
    rows = "\n".join(f"TCP OUT 10.0.0.1:{port} -> 10.0.0.2:80 expires=17 RxPackets=1" for port in range(3))
    assert shown(rows) == [("ct entries listed", 3)]
    assert shown('level=warning msg="Unable to insert into ct map: map is full" subsys=map-ct') == [
        ("log", "Unable to insert into ct map: map is full")
    ]
    assert shown('level=info msg="Initializing daemon" subsys=daemon') == []


def test_alerts_and_mentions():
    assert shown("CiliumAgentConntrackTableFull") == [("alert", "CiliumAgentConntrackTableFull")]
    text = "Clusters with heavier workloads raise CiliumAgentConntrackTableFull and CiliumAgentNatTableFull. Drop reasons seen:"
    assert read(lines_of(text), 0, Context("-")) is None
    assert [f.value for f in mentions(line_of(text), Context("-"))] == [
        "CiliumAgentConntrackTableFull",
        "CiliumAgentNatTableFull",
    ]
    (version,) = mentions(line_of("Cilium 1.12.4, kernel 5.14.0-162.12.1.el9_1.0.2.x86_64"), Context("-"))
    assert (version.field, version.value) == ("version", "1.12.4")


@given(LINES, COMMANDS)
def test_any_text_is_answered(texts, command):
    holds_for(read, texts, command)


def test_time_is_linear():
    is_linear(read)
