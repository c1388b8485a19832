import pytest
from firewall_text import assert_linear, broken, capture, facts
from hypothesis import given

from tablefull.facts.ruleset import FwChain, FwElsewhere, FwListing, FwRule
from tablefull.parsers.iptables_save import read


def kinds(found, kind):
    return [fact for fact in found if isinstance(fact, kind)]


@pytest.mark.parametrize("name", ["legacy-save", "legacy-save-c", "ipt-nft-save", "legacy6-save", "eb-save"])
def test_as_many_of_each_as_lines_of_their_kind(name):
    lines = capture(name).splitlines()
    found = facts(read, capture(name))
    assert len(kinds(found, FwListing)) == sum(line.startswith("*") for line in lines)
    assert len(kinds(found, FwChain)) == sum(line.startswith(":") for line in lines)
    assert len(kinds(found, FwRule)) == sum(" -A " in f" {line}" for line in lines)
    assert len(kinds(found, FwElsewhere)) == sum("legacy tables present" in line for line in lines)
    family = {"legacy6-save": "ip6", "eb-save": "bridge"}.get(name, "ip")
    assert {fact.family for fact in found if not isinstance(fact, FwElsewhere)} == {family}


def test_counters_are_taken_off_the_text():
    for name, command in (("legacy-save-c", None), ("legacy-S-v", "iptables -S -v")):
        first = next(r for r in kinds(facts(read, capture(name), command), FwRule) if r.table == "filter")
        assert (first.text, first.packets, first.bytes) == ("-A INPUT -i lo -p icmp -j ACCEPT", 3006, 3084504)


def test_zeros_of_iptables_nft_save_are_no_counters():
    assert {chain.packets for chain in kinds(facts(read, capture("ipt-nft-save")), FwChain)} == {None}


def test_lone_rules_amid_prose():
    text = (
        'I see\n-A INPUT -m comment --comment "kubernetes -j DROP" -j KUBE-NODEPORTS\n-A OUTPUT -m conntrack --ctstate\n'
        "NEW -j KUBE-SERVICES\n\nand that is all\n-A good idea\n"
    )
    found = facts(read, text)
    assert [(r.chain, r.target, r.table, r.standing) for r in found] == [
        ("INPUT", "KUBE-NODEPORTS", "filter", "shown"),
        ("OUTPUT", "KUBE-SERVICES", "filter", "shown"),
        ("good", None, None, "shown"),
    ]
    assert found[1].text.endswith("--ctstate NEW -j KUBE-SERVICES")


def test_command_lines_are_commanded():
    text = "sudo iptables -t raw -A PREROUTING -p udp --dport 53 -j NOTRACK && ip6tables -I INPUT 1 -j DROP # now"
    assert [(r.tool, r.table, r.chain, r.text, r.target, r.standing) for r in facts(read, text)] == [
        ("iptables", "raw", "PREROUTING", "-A PREROUTING -p udp --dport 53 -j NOTRACK", "NOTRACK", "commanded"),
        ("ip6tables", "filter", "INPUT", "-I INPUT 1 -j DROP", "DROP", "commanded"),
    ]
    assert facts(read, "iptables -t nat -F\niptables -L -n") == []


def test_a_file_is_configured():
    found = facts(read, capture("legacy-save"), "cat /etc/iptables/rules.v4")
    assert {fact.standing for fact in found} == {"configured"}


@given(broken(capture("legacy-save-c"), capture("legacy-S-v"), "iptables -t raw -A X -j Y \\\n -m z"))
def test_any_text_is_an_answer(text):
    facts(read, text)
    facts(read, text, "iptables -S")


def test_time_is_linear():
    assert_linear(
        read,
        "-A X ",
        "-A X\n",
        "-A X --y\n",
        '-A X "\n',
        "iptables -A X ",
        "iptables -A X\\\n",
        "*nat\n",
        ":A B [1:2]\n",
        "-A X" + " " * 200,
        "# Warning: iptables-legacy tables present\n",
        "-s ::",
    )
