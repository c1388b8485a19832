"""One firewall rule, as its listing prints it, read as a question to a packet: does it match, and what then?

The trap: a rule says more than can be judged here (interfaces, addresses, sets, rates). What is not understood may
match and may not: it is None, never False, and never True.
"""

import re
import shlex
from collections.abc import Sequence

from msgspec import Struct

from tablefull.facts.ruleset import FwRule

UNTRACKED, NEW, ESTABLISHED, INVALID = "UNTRACKED", "NEW", "ESTABLISHED", "INVALID"
_NUMBERS = {"6": "tcp", "17": "udp", "1": "icmp", "47": "gre", "50": "esp", "51": "ah", "132": "sctp", "33": "dccp"}
_PORTS = {
    "ssh": 22, "domain": 53, "http": 80, "https": 443, "ntp": 123, "smtp": 25, "imap": 143, "imaps": 993, "snmp": 161,
    "ldap": 389, "mysql": 3306, "postgresql": 5432, "sip": 5060, "submission": 587, "bootps": 67, "bootpc": 68,
    "http-alt": 8080, "mdns": 5353, "syslog": 514, "radius": 1812, "openvpn": 1194,
}  # fmt: skip
_STOPS = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "drop", "accept": "accept", "drop": "drop", "reject": "drop"}
NAT_TARGETS = frozenset(("DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP", "BALANCE", "SAME", "CLUSTERIP"))
NAT_WORDS = frozenset(("dnat", "snat", "masquerade", "redirect"))


_FLAGS = frozenset(("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECN", "ECE", "CWR"))
# ``tcp flags`` of nft, as 1.0.1 and later print a mask, as earlier ones do, and without one.
_NFT_FLAGS = re.compile(
    r"tcp flags (?:(?P<not>!= )?(?P<set>[a-z]+(?: [,|] [a-z]+)*) / (?P<of>[a-z]+(?: [,|] [a-z]+)*)"
    r"|& \(? ?(?P<mask>[a-z]+(?: ?[,|] ?[a-z]+)*) ?\)? (?P<op>==|!=) (?P<is>[a-z]+(?: ?[,|] ?[a-z]+)*)"
    r"|(?P<any>[a-z]+(?: [,|] [a-z]+)*))(?= |$)"
)
_INTERFACE = re.compile(r"[\w.@-]{1,15}[*+]?", re.ASCII)
# Statements of nft that decide nothing, and the words of their arguments.
_SILENT = frozenset("comment log prefix level group flags all  ;".split())


class Packet(Struct, frozen=True):
    """``protocol`` None: any; a port None: any; an interface None: not known. ``family`` is ip or ip6.

    ``syn`` True: the first segment of a connection, the bare SYN; False: a later one, with ACK; None: not known.
    """

    family: str
    protocol: str | None = None
    sport: int | None = None
    dport: int | None = None
    iif: str | None = None
    oif: str | None = None
    syn: bool | None = None


class Reading(Struct, frozen=True):
    """A rule's answer to a packet: whether it matches, and what it then does (``jump``/``goto`` with ``to``)."""

    match: bool | None
    verdict: str = ""
    to: str = ""


def _both(one: bool | None, other: bool | None) -> bool | None:
    if one is False or other is False:
        return False
    return True if one and other else None


def _turned(found: bool | None, negated: bool) -> bool | None:
    return found if found is None or not negated else not found


def _number(text: str) -> int | None:
    if text.isascii() and text.isdecimal():
        return int(text)
    return _PORTS.get(text)


def _in_ports(wanted: int | None, texts: Sequence[str]) -> bool | None:
    if wanted is None:
        return None
    unknown = False
    for text in texts:
        low, mark, high = text.replace("-", ":").partition(":") if text[:1].isdecimal() else (text, "", "")
        first = _number(low) if low else 0
        last = (_number(high) if high else 65535) if mark else first
        if first is None or last is None:
            unknown = True
        elif first <= wanted <= last:
            return True
    return None if unknown else False


def _has_flags(syn: bool | None, mask: set[str], wanted: set[str]) -> bool | None:
    """Whether of the flags in ``mask`` these are set; None where that is not known, or a word is none of them."""
    if syn is None or not mask | wanted <= _FLAGS:
        return None
    bits = {"SYN"} if syn else {"ACK"}
    found = bits & mask == wanted
    pushed = found if syn else (bits | {"PSH"}) & mask == wanted
    return found if found == pushed else None


def _flag_names(text: str) -> set[str]:
    names = {name for name in re.split(r"[,|()\s]+", text.upper()) if name}
    return (names - {"ALL", "NONE"}) | (_FLAGS if "ALL" in names else set())


def _is_interface(wanted: str | None, names: Sequence[str]) -> bool | None:
    """By name; ``+`` and ``*`` at the end stand for any rest."""
    if wanted is None:
        return None
    return any(
        wanted.startswith(name[:-1]) if name.endswith(("+", "*")) else wanted == name for name in names if name != ","
    )


def _is_loopback(text: str) -> bool:
    """Whether an address is one that no packet from outside has, from or to."""
    return text.startswith("127.") or text in ("::1", "::1/128")


def _is_protocol(wanted: str | None, texts: Sequence[str]) -> bool | None:
    if wanted is None:
        return None
    names = {_NUMBERS.get(text.lower(), text.lower()).removeprefix("ipv6-") for text in texts}
    return wanted in names or "all" in names


def of_iptables(text: str, packet: Packet, state: str) -> Reading:
    """A rule as ``iptables-save`` prints it."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    match: bool | None = True
    negated = False
    at = 0
    while at < len(words):
        word = words[at]
        value = words[at + 1] if at + 1 < len(words) else ""
        at += 1
        if word == "!":
            negated = True
            continue
        if value == "!":  # before 1.4.3 the mark stood behind the option
            negated, value = True, words[at + 1] if at + 1 < len(words) else ""
            at += 1
        if word in ("-j", "--jump", "-g", "--goto"):
            verdict = _STOPS.get(value, "return" if value == "RETURN" else "")
            if not verdict and value.isupper() and value in NAT_TARGETS:
                verdict = "nat"
            goes = "goto" if word in ("-g", "--goto") else "jump"
            return Reading(match, verdict or goes, "" if verdict else value)
        if not word.startswith("-"):
            continue
        if word == "--tcp-flags":
            value, at = " ".join(words[at : at + 2]), at + 1
        found, takes = _option(word, value, packet, state)
        if word in _OF_ENTRY and state in (UNTRACKED, INVALID):
            # Without an entry these match nothing, negated or not, unless a state was asked too [conntrack_mt].
            found, negated = None if "--ctstate" in words else False, False
        match = _both(match, found if word in _NEUTRAL else _turned(found, negated))
        negated = False
        at += takes
    return Reading(match)


_OF_ENTRY = frozenset(
    ("--ctproto", "--ctorigsrc", "--ctorigdst", "--ctreplsrc", "--ctrepldst", "--ctorigsrcport", "--ctorigdstport",
     "--ctreplsrcport", "--ctrepldstport", "--ctstatus", "--ctexpire", "--ctdir")
)  # fmt: skip
_NEUTRAL = frozenset(("-A", "-I", "-m", "--match", "--comment"))


def _option(word: str, value: str, packet: Packet, state: str) -> tuple[bool | None, bool]:
    """One option with its value: whether it holds (None: may, or not), and whether it takes the value at all."""
    found: bool | None = None
    if word in _NEUTRAL:
        found = True
    elif word in ("-p", "--protocol"):
        found = _is_protocol(packet.protocol, (value,))
    elif word in ("--dport", "--dports", "--destination-port", "--destination-ports"):
        found = _in_ports(packet.dport, value.split(","))
    elif word in ("--sport", "--sports", "--source-port", "--source-ports"):
        found = _in_ports(packet.sport, value.split(","))
    elif word in ("-i", "--in-interface", "-o", "--out-interface"):
        through = packet.iif if word in ("-i", "--in-interface") else packet.oif
        found = _is_interface(through, (value,))
    elif word == "--syn":
        return packet.syn, False
    elif word == "--tcp-flags":
        mask, _, wanted = value.partition(" ")
        found = _has_flags(packet.syn, _flag_names(mask), _flag_names(wanted))
    elif word in ("-s", "-d", "--source", "--destination") and _is_loopback(value):
        found = False
    elif word in ("--state", "--ctstate"):
        found = state in value.split(",")
    else:
        return None, not value.startswith("-")
    return found, True


def _braced(words: Sequence[str], at: int) -> tuple[list[str], int]:
    """The elements at ``at``: those of a set in braces, or a list by commas; and where what follows begins."""
    if at < len(words) and words[at] == "{":
        end = next((place for place in range(at, len(words)) if words[place] == "}"), len(words))
        return [word for word in words[at + 1 : end] if word != ","], end + 1
    found = [words[at]] if at < len(words) else []
    at += 1
    while at + 1 < len(words) and words[at] == ",":
        found.append(words[at + 1])
        at += 2
    return found, at


def of_nft(text: str, packet: Packet, state: str) -> Reading:
    """A rule as ``nft list ruleset`` prints it."""
    bare = "".join(part if number % 2 == 0 else f" {_unquoted(part)} " for number, part in enumerate(text.split('"')))
    for mark in "{},":
        bare = bare.replace(mark, f" {mark} ")
    words = bare.split()
    match: bool | None = True
    at = 0
    while at < len(words):
        word = words[at]
        following = words[at + 1] if at + 1 < len(words) else ""
        if word in _STOPS:
            return Reading(match, _STOPS[word])
        if word in NAT_WORDS:
            return Reading(match, "nat")
        if word in ("jump", "goto"):
            return Reading(match, word, following)
        if word in ("return", "notrack", "continue"):
            return Reading(match, "return" if word == "return" else "")
        if (word, following) == ("ct", "state") and words[at + 2 : at + 3] == ["vmap"]:
            elements, at = _braced(words, at + 3)
            return _by_map(elements, match, state)
        found, at = _matched(words, at, packet, state)
        match = _both(match, found)
    return Reading(match)


def _unquoted(text: str) -> str:
    """A quoted word as one that no statement is called; the name of an interface stays readable."""
    return f"_quoted_{text}" if _INTERFACE.fullmatch(text) else "_quoted_"


def _matched(words: Sequence[str], at: int, packet: Packet, state: str) -> tuple[bool | None, int]:
    """One match or statement of nft at ``at``: whether it holds, and where the next one begins."""
    word, following = words[at], words[at + 1] if at + 1 < len(words) else ""
    negated = words[at + 2 : at + 3] == ["!="]
    if (word, following) == ("ct", "state"):
        elements, at = _braced(words, at + 2 + negated)
        return None if "&" in elements else _turned(state.lower() in elements, negated), at
    if word == "ct" and state in (UNTRACKED, INVALID) and following != "count" and "set" not in words[at + 2 : at + 4]:
        return False, at + 2  # without an entry the rule ends here, negated or not [nft_ct_get_eval]
    if (word, following) == ("tcp", "flags"):
        return _by_flags(words, at, packet)
    if word in ("tcp", "udp", "sctp", "dccp", "th") and following in ("dport", "sport"):
        elements, at = _braced(words, at + 2 + negated)
        port = packet.dport if following == "dport" else packet.sport
        of_protocol = True if word == "th" else _is_protocol(packet.protocol, (word,))
        return _both(of_protocol, _turned(_in_ports(port, elements), negated)), at
    if (word, following) in (("meta", "l4proto"), ("ip", "protocol"), ("ip6", "nexthdr")):
        elements, at = _braced(words, at + 2 + negated)
        return _turned(_is_protocol(packet.protocol, elements), negated), at
    if (word, following) == ("meta", "nfproto"):
        return words[at + 2 : at + 3] == ["ipv4" if packet.family == "ip" else "ipv6"], at + 3
    if word == "counter":
        return True, at + (5 if following == "packets" else 1)
    if word in _SILENT or word.startswith("_quoted_"):
        return True, at + 1
    if word in ("iif", "iifname", "oif", "oifname"):
        negated = following == "!="
        elements, after = _braced(words, at + 1 + negated)
        names = [name.removeprefix("_quoted_") for name in elements]
        through = packet.iif if word.startswith("iif") else packet.oif
        return (None if "" in names else _turned(_is_interface(through, names), negated)), after
    if word in ("ip", "ip6") and word != packet.family:
        return False, at + 1
    if word in ("ip", "ip6") and following in ("saddr", "daddr"):
        elements, after = _braced(words, at + 2 + negated)
        return (negated if all(map(_is_loopback, elements)) else None), after
    return None, at + 1


def _by_flags(words: Sequence[str], at: int, packet: Packet) -> tuple[bool | None, int]:
    """``tcp flags syn / fin,syn,rst,ack``; a list without a mask asks for any of them."""
    said = _NFT_FLAGS.match(" ".join(words[at:]))
    if said is None:
        return None, at + 2
    after = at + len(said[0].split())
    if said["any"]:
        names = _flag_names(said["any"])
        known = names <= _FLAGS and packet.syn is not None
        found = ("SYN" if packet.syn else "ACK") in names if known else None
        found = None if found is False and "PSH" in names else found
    else:
        mask, wanted = (said["of"], said["set"]) if said["of"] else (said["mask"], said["is"])
        found = _has_flags(packet.syn, _flag_names(mask), _flag_names(wanted))
    return _both(
        _is_protocol(packet.protocol, ("tcp",)), _turned(found, bool(said["not"]) or said["op"] == "!=")
    ), after


def _by_map(elements: Sequence[str], match: bool | None, state: str) -> Reading:
    """``ct state vmap { established : accept, invalid : drop }``"""
    for place, word in enumerate(elements):
        if word == state.lower() and elements[place + 1 : place + 2] == [":"]:
            verdict = elements[place + 2] if place + 2 < len(elements) else ""
            if verdict in ("jump", "goto"):
                return Reading(match, verdict, elements[place + 3] if place + 3 < len(elements) else "")
            return Reading(match, _STOPS.get(verdict, "return" if verdict == "return" else ""))
    return Reading(False)


def read(rule: FwRule, packet: Packet, state: str) -> Reading:
    """What one rule says to a packet in this state."""
    return (of_nft if rule.tool == "nft" else of_iptables)(rule.text, packet, state)
