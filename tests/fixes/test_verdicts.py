"""Rulesets of distributions, and whether a service survives being exempted; judged by reading them (and, for the cases
that are in tests/realkernel/test_fix_steps.py, by the kernel).
"""

import pytest

from tablefull.facts.origin import Origin
from tablefull.facts.ruleset import FwChain, FwRule
from tablefull.fixes.rule_reading import INVALID, NEW, UNTRACKED, Packet
from tablefull.fixes.verdicts import Walker, cut_off, hook_of, stopped

SSH = Packet("ip", "tcp", dport=22)
SSH_BACK = Packet("ip", "tcp", sport=22)
DNS = Packet("ip", "udp", dport=53)
AT = Origin("x", 1, "")


def chain(
    name: str, policy: str | None = "ACCEPT", table: str = "filter", tool: str = "iptables", **more: str
) -> FwChain:
    return FwChain(
        origin=AT, tool=tool, family=more.pop("family", "ip"), table=table, chain=name, policy=policy, **more
    )


def rule(text: str, table: str = "filter", tool: str = "iptables", name: str = "", family: str = "ip") -> FwRule:
    return FwRule(
        origin=AT, tool=tool, family=family, table=table, chain=name or text.split()[1], text=text, target=None
    )


# The ruleset that CentOS 6 installs.
CENTOS_6 = [
    rule("-A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT"),
    rule("-A INPUT -p icmp -j ACCEPT"),
    rule("-A INPUT -i lo -j ACCEPT"),
    rule("-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT"),
    rule("-A INPUT -j REJECT --reject-with icmp-host-prohibited"),
]
BASE = [chain("INPUT"), chain("FORWARD"), chain("OUTPUT")]


def test_a_service_opened_by_state_new_would_be_cut_off() -> None:
    assert cut_off(Walker(CENTOS_6, BASE), "input", SSH, begins=True) is CENTOS_6[3]


def test_a_service_that_is_not_open_is_not_cut_off_by_anything() -> None:
    assert cut_off(Walker(CENTOS_6, BASE), "input", DNS, begins=True) is None


def test_answers_pass_where_the_policy_lets_them_out() -> None:
    assert cut_off(Walker(CENTOS_6, BASE), "output", SSH_BACK, begins=False) is None


def test_answers_that_only_established_lets_out() -> None:
    out = rule("-A OUTPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT")
    walker = Walker([out], [chain("OUTPUT", "DROP")])
    assert cut_off(walker, "output", SSH_BACK, begins=False) is out


def test_a_plain_accept_needs_no_state() -> None:
    rules = [rule("-A INPUT -p udp -m udp --dport 53 -j ACCEPT"), *CENTOS_6]
    assert cut_off(Walker(rules, BASE), "input", DNS, begins=True) is None


def test_a_drop_of_all_that_is_not_established_is_named() -> None:
    drop = rule("-A INPUT -m conntrack ! --ctstate NEW,ESTABLISHED -j DROP")
    assert cut_off(Walker([drop], [chain("INPUT")]), "input", DNS, begins=True) is drop


def test_chains_are_followed_and_returned_from() -> None:
    rules = [
        rule("-A INPUT -j ufw-before-input"),
        rule("-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
        rule("-A ufw-before-input -p tcp -j RETURN"),
        rule("-A ufw-before-input -j DROP"),
        rule("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"),
    ]
    walker = Walker(rules, [chain("INPUT", "DROP"), chain("ufw-before-input", None)])
    assert [met.verdict for met in walker.walk(walker.chains[0], SSH, UNTRACKED)] == ["accept"]
    assert walker.walk(walker.chains[0], DNS, UNTRACKED)[-1].rule is rules[3]


def test_a_jump_that_goes_in_circles_ends() -> None:
    rules = [rule("-A INPUT -j a"), rule("-A a -j b"), rule("-A b -j a")]
    walker = Walker(rules, [chain("INPUT", "DROP")])
    assert walker.walk(walker.chains[0], SSH, NEW)[-1].verdict == "drop"


NFT_INPUT = chain("input", "drop", "filter", "nft", hook="input", kind="filter", family="inet")


@pytest.mark.parametrize(
    ("texts", "cut"),
    [
        (["ct state established,related accept", "tcp dport 22 ct state new accept"], 1),
        (["ct state established,related accept", "tcp dport 22 accept"], None),
        (["ct state vmap { established : accept, related : accept, invalid : drop }", "tcp dport 22 accept"], None),
        (["ct state { new, established } accept"], 0),
    ],
)
def test_of_nft(texts: list[str], cut: int | None) -> None:
    rules = [rule(text, tool="nft", name="input", family="inet") for text in texts]
    found = cut_off(Walker(rules, [NFT_INPUT]), "input", SSH, begins=True)
    assert found is (None if cut is None else rules[cut])


def test_nat_of_another_port_leaves_this_one_alone() -> None:
    nat = [chain("PREROUTING", table="nat"), chain("POSTROUTING", table="nat"), chain("DOCKER", None, "nat")]
    docker = rule("-A DOCKER -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80", "nat")
    jump = rule("-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER", "nat")
    masquerade = rule("-A POSTROUTING -s 172.17.0.0/16 -o eth0 -j MASQUERADE", "nat")
    walker = Walker([jump, docker, masquerade], nat)
    assert walker.nat(("prerouting",), SSH) is None
    assert walker.nat(("prerouting",), Packet("ip", "tcp", dport=8080)) is docker
    assert walker.nat(("postrouting",), SSH) is masquerade
    assert walker.nat(("prerouting",), Packet("ip6", "tcp", dport=8080)) is None


def test_hooks() -> None:
    assert hook_of(chain("INPUT")) == "input"
    assert hook_of(chain("ufw-before-input", None)) is None
    assert hook_of(NFT_INPUT) == "input"


def test_a_port_opened_on_one_interface_stays_open() -> None:
    """What lets the first packet in has no state, so it lets every packet in that looks like it."""
    rules = [
        rule("-A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT"),
        rule("-A INPUT -i eth0 -p udp -m udp --dport 53 -j ACCEPT"),
        rule("-A INPUT -j DROP"),
    ]
    assert cut_off(Walker(rules, BASE), "input", DNS, begins=True) is None
    back = [
        rule("-A OUTPUT -m state --state ESTABLISHED -j ACCEPT"),
        rule("-A OUTPUT -o lo -j ACCEPT"),
        rule("-A OUTPUT -o eth0 -p tcp -m tcp --sport 22 -j ACCEPT"),
        rule("-A OUTPUT -j DROP"),
    ]
    assert cut_off(Walker(back, BASE), "output", SSH_BACK, begins=False) is None
    assert cut_off(Walker([*back[:2], back[3]], BASE), "output", SSH_BACK, begins=False) is back[0]


def test_the_zones_of_firewalld_open_ports_to_untracked_packets_too() -> None:
    """As firewalld 1.x writes its table: the zone is reached by the interface, and its accepts name no state."""
    texts = [
        ("filter_INPUT", "ct state { established, related } accept"),
        ("filter_INPUT", 'iifname "lo" accept'),
        ("filter_INPUT", "ct state invalid drop"),
        ("filter_INPUT", 'iifname "eth0" goto filter_IN_public'),
        ("filter_INPUT", "reject with icmpx admin-prohibited"),
        ("filter_IN_public", "tcp dport 22 accept"),
        ("filter_IN_public", "tcp dport 2222 ct state { new } accept"),
    ]
    rules = [rule(text, "firewalld", "nft", name, "inet") for name, text in texts]
    base = chain("filter_INPUT", "accept", "firewalld", "nft", hook="input", kind="filter", family="inet")
    walker = Walker(rules, [base])
    assert cut_off(walker, "input", SSH, begins=True) is None
    assert cut_off(walker, "input", Packet("ip", "tcp", dport=2222), begins=True) is rules[-1]


def test_a_drop_that_only_untracked_packets_meet_is_named() -> None:
    """Found by a ruleset made up at random: the answers jump, untracked, into a chain that may drop them."""
    rules = [
        rule("-A OUTPUT -m conntrack ! --ctstate NEW,ESTABLISHED -j more"),
        rule("-A OUTPUT -p tcp -m tcp --sport 22 -j ACCEPT"),
        rule("-A more -d 10.9.1.0/24 -j DROP"),
    ]
    walker = Walker(rules, [chain("OUTPUT", "DROP"), chain("more", None)])
    assert cut_off(walker, "output", SSH_BACK, begins=False) is rules[2]


def test_the_drop_of_forged_loopback_addresses_cuts_nobody_off() -> None:
    """As kube-proxy writes it."""
    firewall = rule(
        "-A INPUT ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"
    )
    assert cut_off(Walker([firewall], BASE), "input", DNS, begins=True) is None


def test_what_is_open_on_one_interface_is_shut_on_loopback() -> None:
    usual = Packet("ip", "tcp", 50000, 80)
    over_lo = Packet("ip", "tcp", 50000, 80, iif="lo")
    opened = [rule("-A INPUT -i eth0 -p tcp -m tcp --dport 80 -j ACCEPT"), rule("-A INPUT -j DROP")]
    assert stopped(Walker(opened, BASE), "input", usual, over_lo) is opened[1]
    by_policy = Walker(opened[:1], [chain("INPUT", "DROP")])
    assert stopped(by_policy, "input", usual, over_lo) is by_policy.chains[0]
    lo = rule("-A INPUT -i lo -j ACCEPT")
    assert stopped(Walker([lo, *opened], BASE), "input", usual, over_lo) is None
    assert stopped(Walker(opened[1:], BASE), "input", usual, over_lo) is None  # nobody was served before either


def test_a_port_that_is_open_to_the_syn_alone_lives_by_the_state_of_the_rest() -> None:
    """Measured in a namespace: a session on such a port ends with the first untracked segment after the SYN."""
    first = Packet("ip", "tcp", 50000, 22, syn=True)
    rules = [
        rule("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
        rule("-A INPUT -p tcp -m tcp --dport 22 --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT"),
    ]
    shut = [chain("INPUT", "DROP")]
    assert cut_off(Walker(rules, shut), "input", first, begins=True) is rules[1]
    opened = [rules[0], rule("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT")]
    assert cut_off(Walker(opened, shut), "input", first, begins=True) is None
    from_inside = [rules[0], rule("-A INPUT -s 10.0.0.0/8 -j ACCEPT")]
    assert cut_off(Walker(from_inside, shut), "input", first, begins=True) is None
    assert cut_off(Walker(rules, BASE), "input", first, begins=True) is None  # the policy lets all in


def test_a_drop_of_what_is_invalid_meets_an_answer_without_an_entry() -> None:
    answer = Packet("ip", "tcp", 22, 50000)
    drop = rule("-A OUTPUT -m conntrack --ctstate INVALID -j DROP")
    walker = Walker([drop], BASE)
    assert cut_off(walker, "output", answer, begins=False, state=INVALID) is drop
    assert cut_off(walker, "output", answer, begins=False) is None
