from firewall_text import assert_linear, broken, capture, facts
from hypothesis import given

from tablefull.facts.ruleset import NoBridgePorts
from tablefull.parsers.bridge import read
from tablefull.parsers.reader import Reader

# By hand, from the commands that made the capture.
PORTS = {"xenbr0": ("vif1.0", "vif2.0", "vnet0"), "docker0": ("veth1234567",)}


def shown(found):
    return {fact.name: fact.interfaces for fact in found}


def test_brctl_whole_and_squeezed():
    text = capture("brctl-show")
    for listing in (text, "\n".join(" ".join(line.split()) for line in text.split("\n"))):
        assert shown(facts(read, listing)) == {**PORTS, "virbr0": ()}


def test_bridge_link_and_ip_link():
    assert shown(facts(read, capture("bridge-link"))) == PORTS
    assert shown(facts(read, capture("ip-d-link"))) == {"xenbr0": ("vif1.0",)}


def test_a_listing_of_bridges_does_not_show_their_ports():
    found = facts(read, capture("ip-link-show-type-bridge"), "ip link show type bridge")
    assert shown(found) == {"xenbr0": None, "docker0": None, "virbr0": None}


def says_none(text, path=None):
    reader = Reader()
    reader.document("a", text.splitlines(), path=path)
    return any(any(host.of(NoBridgePorts)) for host in reader.snapshot.hosts)


def test_no_port_is_said_only_where_the_listing_surely_ended_empty():
    assert says_none("web1# bridge link\nweb1# uptime\n")
    assert says_none("web1# sudo bridge link show\n\nweb1# uptime\n")
    assert not says_none("web1# bridge link\n")
    assert not says_none("web1# bridge link show dev eth0\nweb1# uptime\n")
    assert not says_none("web1# bridge vlan\nweb1# uptime\n")
    assert not says_none("web1# bridge link\nbash: bridge: command not found\nweb1# uptime\n")
    assert says_none("$ bridge link\n", path="commands/bridge_link")
    assert not says_none("$ bridge link\n" + capture("bridge-link"), path="commands/bridge_link")


def test_a_bond_and_open_vswitch_are_no_bridges():
    text = "2: eth0: <BROADCAST,SLAVE,UP> mtu 1500 master bond0 state UP\n3: tap1: <UP> mtu 1500 master ovs-system state UP"
    assert facts(read, text) == []


@given(broken(capture("brctl-show"), capture("bridge-link"), capture("ip-d-link")))
def test_any_text_is_an_answer(text):
    facts(read, text)
    facts(read, text, "ip link show type bridge")


def test_time_is_linear():
    assert_linear(
        read,
        " master ",
        "2: a: <> master ovs-system\n",
        "bridge name bridge id STP enabled\n",
        "a 8000.000000000000 no x\nb\n",
        " ",
    )
