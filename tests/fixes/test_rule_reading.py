"""Rules as their listings print them; what they say to a packet is counted by hand from iptables(8) and nft(8)."""

import pytest
from live_trees import HOSTILE

from tablefull.facts.origin import Origin
from tablefull.facts.ruleset import FwRule
from tablefull.fixes.rule_reading import ESTABLISHED, NEW, UNTRACKED, Packet, Reading, of_iptables, of_nft, read

DNS = Packet("ip", "udp", dport=53)
WEB = Packet("ip", "tcp", dport=443)
ANY = Packet("ip")


@pytest.mark.parametrize(
    ("text", "packet", "state", "answer"),
    [
        ("-A INPUT -p udp -m udp --dport 53 -j ACCEPT", DNS, NEW, Reading(True, "accept")),
        ("-A INPUT -p udp -m udp --dport 53 -j ACCEPT", WEB, NEW, Reading(False, "accept")),
        ("-A INPUT -p udp -m udp ! --dport 53 -j DROP", DNS, NEW, Reading(False, "drop")),
        ("-A INPUT -p udp --dport ! 53 -j DROP", DNS, NEW, Reading(False, "drop")),
        ("-A INPUT -p tcp -m tcp --dport 400:500 -j ACCEPT", WEB, NEW, Reading(True, "accept")),
        ("-A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT", WEB, NEW, Reading(True, "accept")),
        ("-A INPUT -m state --state NEW -m tcp -p tcp --dport 443 -j ACCEPT", WEB, NEW, Reading(True, "accept")),
        ("-A INPUT -m state --state NEW -m tcp -p tcp --dport 443 -j ACCEPT", WEB, UNTRACKED, Reading(False, "accept")),
        ("-A INPUT -m conntrack ! --ctstate ESTABLISHED -j DROP", WEB, UNTRACKED, Reading(True, "drop")),
        ("-A INPUT -m conntrack --ctstate INVALID -j DROP", WEB, UNTRACKED, Reading(False, "drop")),
        ("-A INPUT -m conntrack --ctstate NEW,UNTRACKED -j ACCEPT", WEB, UNTRACKED, Reading(True, "accept")),
        ("-A INPUT -i lo -j ACCEPT", WEB, NEW, Reading(None, "accept")),
        ("-A INPUT -s 10.0.0.0/8 -p tcp -j REJECT --reject-with tcp-reset", DNS, NEW, Reading(False, "drop")),
        ("-A INPUT -j LOG --log-prefix x", WEB, NEW, Reading(True, "jump", "LOG")),
        ("-A INPUT -g RH-Firewall-1-INPUT", WEB, NEW, Reading(True, "goto", "RH-Firewall-1-INPUT")),
        ("-A POSTROUTING -o eth0 -j MASQUERADE", WEB, NEW, Reading(None, "nat")),
        ("-A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 10.0.0.2:80", WEB, NEW, Reading(False, "nat")),
        ("-A INPUT -p 17 --dport 53 -j ACCEPT", DNS, NEW, Reading(True, "accept")),
        ("-A INPUT -p udp -m udp --dport domain -j ACCEPT", DNS, NEW, Reading(True, "accept")),
        ("-A INPUT -p udp -m udp --dport nobodyknows -j ACCEPT", DNS, NEW, Reading(None, "accept")),
        ("-A INPUT -p tcp -j ACCEPT", ANY, NEW, Reading(None, "accept")),
        ("-A INPUT -m comment --comment -j -p tcp -j DROP", WEB, NEW, Reading(True, "drop")),
        ('-A INPUT -m comment --comment "x -j DROP" -j ACCEPT', WEB, NEW, Reading(True, "accept")),
        ("-A INPUT", WEB, NEW, Reading(True)),
        ("-A INPUT -s 127.0.0.0/8 -j ACCEPT", WEB, NEW, Reading(False, "accept")),
        ("-A INPUT ! -s 127.0.0.0/8 -d 127.0.0.0/8 -j DROP", WEB, NEW, Reading(False, "drop")),
        ("", WEB, NEW, Reading(True)),
        ('-A INPUT -m comment --comment "never closed -j DROP', WEB, NEW, None),
    ],
)
def test_of_iptables(text: str, packet: Packet, state: str, answer: Reading | None) -> None:
    said = of_iptables(text, packet, state)
    assert answer is None or said == answer


@pytest.mark.parametrize(
    ("text", "packet", "state", "answer"),
    [
        ("udp dport 53 accept", DNS, NEW, Reading(True, "accept")),
        ("udp dport != 53 drop", DNS, NEW, Reading(False, "drop")),
        ("udp dport { 53, 5353 } counter packets 3 bytes 90 accept", DNS, NEW, Reading(True, "accept")),
        ("tcp dport 1-1024 accept", WEB, NEW, Reading(True, "accept")),
        ("tcp dport @open accept", WEB, NEW, Reading(None, "accept")),
        ("meta l4proto { tcp, udp } th dport 53 accept", DNS, NEW, Reading(True, "accept")),
        ("ip protocol icmp accept", DNS, NEW, Reading(False, "accept")),
        ("ct state established,related accept", WEB, ESTABLISHED, Reading(True, "accept")),
        ("ct state established,related accept", WEB, UNTRACKED, Reading(False, "accept")),
        ("ct state vmap { invalid : drop, established : accept, related : accept }", WEB, UNTRACKED, Reading(False)),
        ("ct state vmap { invalid : drop, established : accept }", WEB, ESTABLISHED, Reading(True, "accept")),
        ("ct state vmap { new : jump first, established : accept }", WEB, NEW, Reading(True, "jump", "first")),
        ("ct state != established drop", WEB, UNTRACKED, Reading(True, "drop")),
        ('iifname "lo" accept', WEB, NEW, Reading(None, "accept")),
        ("ip saddr 10.0.0.0/8 tcp dport 443 accept", WEB, NEW, Reading(None, "accept")),
        ("ip6 saddr fe80::/10 accept", WEB, NEW, Reading(False)),
        ("meta nfproto ipv6 reject with icmpv6 type admin-prohibited", WEB, NEW, Reading(False, "drop")),
        ("reject with icmp type admin-prohibited", WEB, NEW, Reading(True, "drop")),
        ("jump more", WEB, NEW, Reading(True, "jump", "more")),
        ("ip saddr 127.0.0.0/8 accept", WEB, NEW, Reading(False, "accept")),
        ("ip saddr != 127.0.0.1 accept", WEB, NEW, Reading(True, "accept")),
        ("ip daddr { 10.0.0.1, 127.0.0.1 } accept", WEB, NEW, Reading(None, "accept")),
        ("tcp dport 8080 redirect to :80", WEB, NEW, Reading(False, "nat")),
        ('oifname "eth0" masquerade', WEB, NEW, Reading(None, "nat")),
        ('tcp dport 443 log prefix "accept drop" accept comment "drop"', WEB, NEW, Reading(True, "accept")),
        ("limit rate 5/second accept", WEB, NEW, Reading(None, "accept")),
        ("notrack", WEB, NEW, Reading(True)),
    ],
)
def test_of_nft(text: str, packet: Packet, state: str, answer: Reading) -> None:
    said = of_nft(text, packet, state)
    assert said == answer or (answer.match is False and said.match is False)


@pytest.mark.parametrize("tool", ["nft", "iptables"])
def test_hostile_text_is_only_text(tool: str) -> None:
    text = (
        f'-A INPUT -m comment --comment "{HOSTILE}" -j ACCEPT' if tool == "iptables" else f'accept comment "{HOSTILE}"'
    )
    rule = FwRule(
        origin=Origin("x", 1, text), tool=tool, family="ip", table="filter", chain="INPUT", text=text, target="accept"
    )
    assert read(rule, WEB, NEW).verdict == "accept"


@pytest.mark.parametrize(
    ("tool", "text", "by_lo", "unknown"),
    [
        ("iptables", "-A INPUT -i lo -j ACCEPT", True, None),
        ("iptables", "-A INPUT -i eth+ -j ACCEPT", False, None),
        ("iptables", "-A INPUT ! -i lo -j ACCEPT", False, None),
        ("nft", 'iifname "lo" accept', True, None),
        ("nft", 'iifname != "lo" accept', False, None),
        ("nft", 'iif "eth0" accept', False, None),
        ("nft", 'iifname { "eth0", "lo" } accept', True, None),
        ("nft", 'iifname "$(reboot)" accept', None, None),
        ("nft", 'comment "accept" accept', True, True),
        ("nft", 'comment "lo" drop', True, True),
    ],
)
def test_interfaces(tool: str, text: str, by_lo: bool | None, unknown: bool | None) -> None:
    reader = of_nft if tool == "nft" else of_iptables
    assert reader(text, Packet("ip", "tcp", dport=80, iif="lo"), NEW).match is by_lo
    assert reader(text, Packet("ip", "tcp", dport=80), NEW).match is unknown


SYN = Packet("ip", "tcp", 50000, 443, syn=True)
LATER = Packet("ip", "tcp", 50000, 443, syn=False)


@pytest.mark.parametrize(
    ("tool", "text", "of_syn", "of_later"),
    [
        ("iptables", "-A INPUT -p tcp --syn -j ACCEPT", True, False),
        ("iptables", "-A INPUT -p tcp -m tcp ! --syn -j ACCEPT", False, True),
        ("iptables", "-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT", True, False),
        ("iptables", "-A INPUT -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT", False, True),
        ("iptables", "-A INPUT -p tcp -m tcp --tcp-flags ACK ACK -m tcp --dport 443 -j ACCEPT", False, True),
        ("iptables", "-A INPUT -p tcp -m tcp --tcp-flags ALL NONE -j ACCEPT", False, False),
        ("iptables", "-A INPUT -p tcp -m tcp --tcp-flags PSH PSH -j ACCEPT", False, None),
        ("iptables", "-A INPUT -p tcp -m tcp --tcp-flags SYN,ODD SYN -j ACCEPT", None, None),
        ("nft", "tcp flags syn / fin,syn,rst,ack tcp dport 443 accept", True, False),
        ("nft", "tcp flags != syn / fin,syn,rst,ack accept", False, True),
        ("nft", "tcp flags & (fin | syn | rst | ack) == syn accept", True, False),
        ("nft", "tcp flags & (fin|syn|rst|ack) != syn tcp dport 443 accept", False, True),
        ("nft", "tcp flags & syn == syn accept", True, False),
        ("nft", "tcp flags syn accept", True, False),
        ("nft", "tcp flags syn,ack accept", True, True),
        ("nft", "tcp flags { syn, ack } accept", None, None),
        ("nft", "tcp flags syn / fin,syn,rst,ack tcp dport 80 accept", False, False),
    ],
)
def test_flags(tool: str, text: str, of_syn: bool | None, of_later: bool | None) -> None:
    reader = of_nft if tool == "nft" else of_iptables
    assert reader(text, SYN, NEW) == Reading(of_syn, "accept")
    assert reader(text, LATER, NEW) == Reading(of_later, "accept")
    if of_syn is not of_later:
        assert reader(text, WEB, NEW).match is None


@pytest.mark.parametrize(
    ("tool", "text", "tracked", "bare"),
    [
        ("iptables", "-A INPUT -m conntrack --ctdir ORIGINAL --ctorigdstport 443 -j ACCEPT", None, False),
        ("iptables", "-A INPUT -m conntrack ! --ctstatus ASSURED -j ACCEPT", None, False),
        ("iptables", "-A INPUT -m conntrack --ctstate NEW,UNTRACKED --ctproto 6 -j ACCEPT", None, None),
        ("nft", "ct direction original accept", None, False),
        ("nft", "ct original proto-dst != 443 accept", None, False),
        ("nft", "ct count over 10 accept", None, None),
        ("nft", "ct mark set 0x1 accept", None, None),
    ],
)
def test_what_asks_for_an_entry_does_not_match_without_one(
    tool: str, text: str, tracked: bool | None, bare: bool | None
) -> None:
    """conntrack_mt and nft_ct_get_eval; the first one measured: exempted, the session it had let in was cut off."""
    reader = of_nft if tool == "nft" else of_iptables
    assert reader(text, WEB, NEW).match is tracked
    assert reader(text, WEB, UNTRACKED).match is bare
