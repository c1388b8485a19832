"""Which packets a NOTRACK rule would exempt: a tcpdump-like expression, parsed once, applied to columns of packets.

The trap: ``and`` and ``or`` bind alike and from the left, as tcpdump's grammar has it and no programming language does:
``port 53 or port 80 and host 10.0.0.1`` leaves nothing but packets of that host. And a name or a number may stand alone
after them and takes the qualifiers of what stood before: ``port 53 or 80``. [pcap-filter(7)]

Beyond tcpdump: protocols and ports are found behind IPv6 extension headers. ``greater`` and ``less`` count the IP
packet without the frame around it, as a firewall's length match does. No names of hosts are looked up.
"""

import ipaddress
import re
from typing import NamedTuple, NoReturn

import numpy as np
from msgspec import Struct

from tablefull.errors import UsageError
from tablefull.twin.headers import SCTP, TCP, UDP, Headers, Mask, Words

MOST_NESTED = 64
_BOTH = (4, 6)
# Words that are a primitive by themselves: the families they occur in, and the protocol.
PROTOCOLS: dict[str, tuple[tuple[int, ...], int]] = {
    "tcp": (_BOTH, TCP),
    "udp": (_BOTH, UDP),
    "sctp": (_BOTH, SCTP),
    "icmp": ((4,), 1),
    "icmp6": ((6,), 58),
    "igmp": ((4,), 2),
    "esp": (_BOTH, 50),
    "ah": (_BOTH, 51),
    "pim": (_BOTH, 103),
    "vrrp": ((4,), 112),
}
# Assigned Internet Protocol Numbers (IANA): what may follow `proto`, beside the words above.
_NUMBERS = {"ipv6-icmp": 58, "icmpv6": 58, "gre": 47, "ospf": 89, "udplite": 136, "dccp": 33}
_FAMILIES = {"ip": (4,), "ip6": (6,)}
_PORTED = {"tcp": (TCP,), "udp": (UDP,), "sctp": (SCTP,)}
# Service Name and Transport Protocol Port Number Registry (IANA); the system's own list is not read.
SERVICES = {
    name: int(number)
    for name, _, number in (
        pair.partition("=")
        for pair in (
            "ftp=21 ssh=22 telnet=23 smtp=25 domain=53 bootps=67 bootpc=68 tftp=69 http=80 kerberos=88 pop3=110 ntp=123"
            " imap=143 snmp=161 bgp=179 ldap=389 https=443 syslog=514 submission=587 ldaps=636 imaps=993 pop3s=995"
            " openvpn=1194 radius=1812 nfs=2049 mysql=3306 sip=5060 postgresql=5432"
        ).split()
    )
}
_KINDS = ("host", "net", "port", "portrange", "proto")
_RESERVED = frozenset((*_KINDS, *PROTOCOLS, *_FAMILIES, "src", "dst", "and", "or", "not", "greater", "less", "mask"))
_NOT_HERE = frozenset(
    "ether link arp rarp wlan vlan mpls pppoed pppoes geneve gateway broadcast multicast inbound outbound ifname rnr"
    " reason len protochain llc type subtype direction byte decnet atalk aarp iso stp ipx netbeui".split()
)
_TOKEN = re.compile(r"\s*(?:(\(|\)|!(?!=)|&&|\|\|)|(\\?[0-9A-Za-z_.:/*\-]+)|(\S))")
_WORD_OF = {"!": "not", "&&": "and", "||": "or"}


class Protocol(Struct, frozen=True):
    """Packets of these families and, where one is named, this protocol."""

    families: tuple[int, ...]
    number: int | None = None


class Address(Struct, frozen=True):
    """Packets from, to, or from or to a network. ``direction``: src, dst, or, and."""

    direction: str
    family: int
    words: tuple[int, ...]
    masks: tuple[int, ...]


class Port(Struct, frozen=True):
    """Packets of these protocols whose port lies in a range, both ends included."""

    direction: str
    protocols: tuple[int, ...]
    low: int
    high: int


class Length(Struct, frozen=True):
    """IP packets of at least, or at most, so many bytes."""

    least: bool
    size_bytes: int


class Not(Struct, frozen=True):
    """What the inner one does not match."""

    inner: "Node"


class Chain(Struct, frozen=True):
    """``first`` and what follows, applied from the left: ("and" or "or", node)."""

    first: "Node"
    rest: tuple[tuple[str, "Node"], ...]


Node = Protocol | Address | Port | Length | Not | Chain


class _Token(NamedTuple):
    text: str
    column: int
    escaped: bool = False


class _Qualifiers(NamedTuple):
    """What stood before a value: a protocol word, a direction and a kind, each "" where none."""

    protocol: str = ""
    direction: str = ""
    kind: str = ""


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(self._split(text))
        self.at = 0
        self.nested = 0
        # Of the value before; None where a value alone would have nothing to take them from.
        self.last: _Qualifiers | None = None

    def fail(self, column: int, what: str) -> NoReturn:
        shown = self.text if len(self.text) <= 80 else self.text[:80] + "..."
        raise UsageError(f"--notrack {shown!r}: column {column}: {what}")

    def _split(self, text: str) -> list[_Token]:
        found = []
        place = 0
        end = len(text.rstrip())
        while place < end:
            match = _TOKEN.match(text, place)
            assert match is not None
            mark, word, strange = match.groups()
            column = match.end() - len(mark or word or strange) + 1
            if strange:
                self.fail(
                    column, f"{strange!r} means nothing here; expected a word, a number, not, and, or, a parenthesis"
                )
            if word and word.startswith("\\"):
                found.append(_Token(word[1:].lower(), column, escaped=True))
            else:
                found.append(_Token(_WORD_OF.get(mark, mark) if mark else word, column))
            place = match.end()
        return found

    def peek(self, ahead: int = 0) -> str:
        """The token ahead, "" at the end or for an escaped word, which is never a keyword."""
        at = self.at + ahead
        return self.tokens[at].text if at < len(self.tokens) and not self.tokens[at].escaped else ""

    def take(self, expected: str) -> _Token:
        if self.at >= len(self.tokens):
            self.fail(len(self.text.rstrip()) + 1, f"it ends here; expected {expected}")
        self.at += 1
        return self.tokens[self.at - 1]

    def whole(self) -> Node:
        if not self.tokens:
            self.fail(1, "an empty expression would exempt everything; expected something such as port 53")
        node = self.chain()
        if self.at < len(self.tokens):
            token = self.tokens[self.at]
            self.fail(token.column, f"expected and, or, or the end, not {token.text!r}")
        return node

    def chain(self) -> Node:
        first = self.term()
        rest = []
        while self.peek() in ("and", "or"):
            rest.append((self.take("").text, self.term()))
        return Chain(first, tuple(rest)) if rest else first

    def term(self) -> Node:
        negative = False
        while self.peek() == "not":
            negative = not negative
            self.take("")
        node = self.group(self.last) if self.peek() == "(" else self.primitive()
        return Not(node) if negative else node

    def group(self, inside: _Qualifiers | None) -> Node:
        """A parenthesis; ``inside`` are the qualifiers that a value alone takes in it."""
        opened = self.take("")
        self.nested += 1
        if self.nested > MOST_NESTED:
            self.fail(opened.column, f"more than {MOST_NESTED} parentheses inside each other")
        before, self.last = self.last, inside
        node = self.chain()
        if self.peek() != ")":
            if self.at < len(self.tokens):
                token = self.tokens[self.at]
                self.fail(token.column, f"expected and, or, or ), not {token.text!r}")
            self.take(f") for the ( in column {opened.column}")
        self.take("")
        self.nested -= 1
        self.last = before
        return node

    def primitive(self) -> Node:
        word = self.peek()
        if word in ("greater", "less"):
            self.take("")
            self.last = None
            return Length(word == "greater", self.number("a length in bytes", 0xFFFFFFFF))
        protocol = word if word in PROTOCOLS or word in _FAMILIES else ""
        begun = self.tokens[self.at].column if self.at < len(self.tokens) else 0
        if protocol:
            self.take("")
        direction = self.direction()
        kind = self.peek() if self.peek() in _KINDS else ""
        if kind:
            self.take("")
        if protocol and not direction and not kind:
            following = self.peek()
            if not following or following in ("and", "or", ")") or self.at >= len(self.tokens):
                self.last = None
                return self.alone(protocol)
        if protocol or direction or kind:
            own = _Qualifiers(protocol, direction, kind)
            self.last = own
            if self.peek() == "(":
                node = self.group(own)
                self.last = own
                return node
            return self.value(own, begun)
        return self.value(self.last, begun)

    @staticmethod
    def alone(protocol: str) -> Node:
        if protocol in _FAMILIES:
            return Protocol(_FAMILIES[protocol])
        return Protocol(*PROTOCOLS[protocol])

    def direction(self) -> str:
        """``src``, ``dst``, ``or`` (src or dst), ``and`` (src and dst), or "" for none."""
        first = self.peek()
        if first not in ("src", "dst"):
            return ""
        self.take("")
        joint, second = self.peek(), self.peek(1)
        if joint in ("and", "or") and second in ("src", "dst") and second != first:
            self.take("")
            self.take("")
            return joint
        return first

    def number(self, what: str, most: int) -> int:
        token = self.take(what)
        value = _numeral(token.text)
        if value is None or value > most:
            self.fail(token.column, f"expected {what} (0 to {most}), not {token.text!r}")
        return value

    def value(self, own: _Qualifiers | None, begun: int) -> Node:
        """The node of a value under its qualifiers."""
        if self.at >= len(self.tokens):
            self.take("host, net, port, a protocol or an address" if own is None else _wanted(own.kind))
        token = self.tokens[self.at]
        unknown = not token.escaped and (token.text in _RESERVED or token.text in ("(", ")"))
        if unknown and not (own is not None and own.kind == "proto" and token.text in PROTOCOLS):
            wanted = "host, net, port, a protocol, an address or (" if own is None else _wanted(own.kind)
            self.fail(token.column, f"expected {wanted}, not {token.text!r}")
        if own is None:
            own = self.by_itself(token)
        kind = own.kind or "host"
        if kind in ("port", "portrange"):
            return self.port(own, kind, begun)
        if kind == "proto":
            return self.proto(own, begun)
        return self.address(own)

    def by_itself(self, token: _Token) -> _Qualifiers:
        if token.text.lower() in _NOT_HERE:
            why = "never tracked" if token.text.lower() in ("arp", "rarp", "stp") else "not understood here"
            self.fail(
                token.column, f"{token.text!r} is {why}; expected host, net, port, portrange, proto or a protocol"
            )
        if "." not in token.text and ":" not in token.text:
            self.fail(token.column, f"expected host, net, port, a protocol or an address, not {token.text!r}")
        self.last = _Qualifiers()
        return self.last

    def port(self, own: _Qualifiers, kind: str, begun: int) -> Node:
        if own.protocol and own.protocol not in _PORTED:
            self.fail(begun, f"{own.protocol!r} has no ports; expected tcp, udp, sctp or nothing before {kind}")
        protocols = _PORTED.get(own.protocol, (TCP, UDP, SCTP))
        token = self.take(_wanted(kind))
        low, dash, high = token.text.partition("-") if kind == "portrange" else (token.text, "", "")
        ends = [_port_number(end) for end in ((low, high) if dash else (low,))]
        if None in ends:
            self.fail(token.column, f"expected {_wanted(kind)}, not {token.text!r}")
        numbers = sorted(end for end in ends if end is not None)
        return Port(own.direction or "or", protocols, numbers[0], numbers[-1])

    def proto(self, own: _Qualifiers, begun: int) -> Node:
        if own.direction or own.protocol not in ("", *_FAMILIES):
            self.fail(begun, f"expected ip, ip6 or nothing before proto, not {own.direction or own.protocol!r}")
        token = self.take(_wanted("proto"))
        named = PROTOCOLS[token.text][1] if token.text in PROTOCOLS else _NUMBERS.get(token.text)
        number = named if named is not None else _numeral(token.text)
        if number is None or number > 255:
            self.fail(token.column, f"expected {_wanted('proto')}, not {token.text!r}")
        return Protocol(_FAMILIES.get(own.protocol, _BOTH), number)

    def address(self, own: _Qualifiers) -> Node:
        kind = own.kind or ("host" if "/" not in self.peek() else "net")
        token = self.take(_wanted(kind))
        if own.protocol and own.protocol not in _FAMILIES:
            self.fail(token.column, f"{own.protocol!r} goes with no address; write {own.protocol} and {kind} ...")
        if kind == "host" and "/" in token.text:
            self.fail(token.column, f"expected one address after host, not {token.text!r}; net takes a mask")
        network = self.network(token, kind)
        families = _FAMILIES.get(own.protocol, _BOTH)
        if network.version not in families:
            self.fail(token.column, f"{token.text!r} is no address of {own.protocol}")
        size = 1 if network.version == 4 else 4
        return Address(
            own.direction or "or",
            network.version,
            _words(int(network.network_address), size),
            _words(int(network.netmask), size),
        )

    def network(self, token: _Token, kind: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        text, slash, mask = token.text.partition("/")
        if kind == "net" and not slash and self.peek() == "mask":
            self.take("")
            slash, mask = "/", self.take("a mask such as 255.255.0.0").text
        try:
            if kind == "net" and ":" not in text and text.count(".") < 3:
                # A net may be named by its first bytes: 10, 10.1, 10.1.2.
                parts = text.split(".")
                bits = 8 * len(parts)
                text = ".".join(parts + ["0"] * (4 - len(parts)))
                slash, mask = "/", mask or str(bits)
            return ipaddress.ip_network(f"{text}/{mask}" if slash else text)
        except ValueError as error:
            why = "bits are set behind its mask" if "host bits" in str(error) else f"expected {_wanted(kind)}"
            self.fail(token.column, f"{why}, not {token.text!r}" if "expected" in why else f"{token.text!r}: {why}")


def _wanted(kind: str) -> str:
    return {
        "port": "a port (0 to 65535, or a name such as domain)",
        "portrange": "a range of ports such as 8000-8080",
        "proto": "a protocol's number (0 to 255) or a name such as \\tcp",
        "net": "a network such as 10.0.0.0/8 or 2001:db8::/32 (no names are looked up)",
    }.get(kind, "an address such as 192.0.2.1 or 2001:db8::1 (no names are looked up)")


def _numeral(text: str) -> int | None:
    if re.fullmatch(r"[0-9]{1,10}", text):
        return int(text)
    return int(text, 16) if re.fullmatch(r"0[xX][0-9A-Fa-f]{1,8}", text) else None


def _port_number(text: str) -> int | None:
    number = SERVICES.get(text.lower(), _numeral(text))
    return number if number is not None and number <= 0xFFFF else None


def _words(value: int, size: int) -> tuple[int, ...]:
    return tuple(value >> 32 * (size - 1 - at) & 0xFFFFFFFF for at in range(size))


def parse(text: str) -> Node:
    """The tree of an expression. UsageError with the column and what was expected there."""
    return _Parser(text).whole()


def matches(node: Node, headers: Headers) -> Mask:
    """Which of the packets the expression matches; what is no IP packet never does."""
    mask: Mask = _matches(node, headers) & (headers.family != 0)
    return mask


def _matches(node: Node, headers: Headers) -> Mask:
    mask: Mask
    if isinstance(node, Chain):
        mask = _matches(node.first, headers)
        for joint, following in node.rest:
            other = _matches(following, headers)
            mask = mask & other if joint == "and" else mask | other
    elif isinstance(node, Not):
        mask = np.logical_not(_matches(node.inner, headers))
    elif isinstance(node, Protocol):
        mask = np.isin(headers.family, node.families)
        if node.number is not None:
            mask &= (headers.protocol == node.number) | (headers.first_protocol == node.number)
    elif isinstance(node, Port):
        src, dst = ((port >= node.low) & (port <= node.high) for port in (headers.sport, headers.dport))
        mask = _either(node.direction, src, dst) & np.isin(headers.protocol, node.protocols)
    elif isinstance(node, Length):
        mask = headers.length >= node.size_bytes if node.least else headers.length <= node.size_bytes
    else:
        mask = _either(node.direction, _inside(headers.src, node), _inside(headers.dst, node))
        mask &= headers.family == node.family
    return mask


def _either(direction: str, src: Mask, dst: Mask) -> Mask:
    if direction in ("src", "dst"):
        return src if direction == "src" else dst
    mask: Mask = src & dst if direction == "and" else src | dst
    return mask


def _inside(addresses: Words, node: Address) -> Mask:
    mask: Mask = np.ones(len(addresses), np.bool_)
    for at, (word, bits) in enumerate(zip(node.words, node.masks, strict=True)):
        mask &= addresses[:, at] & np.uint32(bits) == np.uint32(word)
    return mask
