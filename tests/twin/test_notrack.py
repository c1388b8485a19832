"""The expression: what it matches (judged packet by packet, and by tcpdump), and where it is wrong."""

import struct
import subprocess
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefull.errors import UsageError
from tablefull.twin.headers import Headers
from tablefull.twin.notrack import matches, parse

V4 = ("10.0.0.1", "10.0.1.2", "192.0.2.9", "203.0.113.77")
V6 = ("2001:db8::1", "2001:db8:1::2", "fe80::3")
PORTS = (53, 80, 443, 8080, 65535)
PROTOS = (1, 6, 17, 47, 58, 132)
Judge = Callable[["Packet"], bool]


class Packet(NamedTuple):
    """One packet as its own header says."""

    family: int
    proto: int
    src: str
    dst: str
    sport: int
    dport: int
    later: bool
    extra: int

    def raw(self) -> bytes:
        body = struct.pack(">HH", self.sport, self.dport) + bytes(20 + self.extra)
        ends = ip_address(self.src).packed + ip_address(self.dst).packed
        if self.family == 4:
            place = 0x2003 if self.later else 0x4000
            return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 7, place, 64, self.proto, 0) + ends + body
        return struct.pack(">IHBB", 6 << 28, len(body), self.proto, 64) + ends + body

    @property
    def length(self) -> int:
        return len(self.raw())

    def has_ports(self, protocols: tuple[int, ...] = (6, 17, 132)) -> bool:
        return self.proto in protocols and not self.later


def _packets() -> st.SearchStrategy[Packet]:
    four = st.builds(
        Packet, st.just(4), st.sampled_from(PROTOS), st.sampled_from(V4), st.sampled_from(V4),
        st.sampled_from(PORTS), st.sampled_from(PORTS), st.booleans(), st.integers(0, 60),
    )  # fmt: skip
    six = st.builds(
        Packet, st.just(6), st.sampled_from(PROTOS), st.sampled_from(V6), st.sampled_from(V6),
        st.sampled_from(PORTS), st.sampled_from(PORTS), st.just(False), st.integers(0, 60),
    )  # fmt: skip
    return st.one_of(four, six)


def _ends(direction: str, src: bool, dst: bool) -> bool:
    return {"src": src, "dst": dst, "src and dst": src and dst, "dst and src": src and dst}.get(direction, src or dst)


DIRECTIONS = ("", "src", "dst", "src or dst", "dst or src", "src and dst", "dst and src")


@st.composite
def _primitives(draw: st.DrawFn) -> tuple[str, Judge]:
    kind = draw(st.sampled_from(("host", "bare", "net", "port", "portrange", "proto", "word", "length")))
    direction = draw(st.sampled_from(DIRECTIONS))
    if kind in ("host", "bare", "net"):
        network = ip_network(draw(st.sampled_from(V4 + V6)))
        family = network.version
        if kind == "net":
            network = network.supernet(new_prefix=draw(st.integers(0, network.max_prefixlen)))
        word = draw(st.sampled_from(("", "ip" if family == 4 else "ip6")))
        shown = str(network) if kind == "net" else str(network.network_address)
        # Only a direction makes an address a term by itself: alone it takes the qualifiers of the term before it.
        text = f"{word} {direction} {'' if kind == 'bare' and direction else kind.replace('bare', 'host')}"
        return (
            f"{text} {shown}",
            lambda p: (
                p.family == family and _ends(direction, ip_address(p.src) in network, ip_address(p.dst) in network)
            ),
        )
    if kind in ("port", "portrange"):
        word = draw(st.sampled_from(("", "tcp", "udp", "sctp")))
        protocols = {"tcp": (6,), "udp": (17,), "sctp": (132,)}.get(word, (6, 17, 132))
        low = draw(st.sampled_from(PORTS))
        high = draw(st.sampled_from([port for port in PORTS if port >= low])) if kind == "portrange" else low
        value = f"{low}-{high}" if kind == "portrange" else str(low)
        return (
            f"{word} {direction} {kind} {value}",
            lambda p: p.has_ports(protocols) and _ends(direction, low <= p.sport <= high, low <= p.dport <= high),
        )
    if kind == "proto":
        word = draw(st.sampled_from(("", "ip", "ip6")))
        name, number = draw(st.sampled_from((("6", 6), ("\\tcp", 6), ("\\udp", 17), ("47", 47), ("0x3a", 58))))
        families = {"ip": (4,), "ip6": (6,)}.get(word, (4, 6))
        return f"{word} proto {name}", lambda p: p.family in families and p.proto == number
    if kind == "word":
        word, families, numbers = draw(
            st.sampled_from(
                (
                    ("tcp", (4, 6), (6,)),
                    ("udp", (4, 6), (17,)),
                    ("sctp", (4, 6), (132,)),
                    ("icmp", (4,), (1,)),
                    ("icmp6", (6,), (58,)),
                    ("ip", (4,), PROTOS),
                    ("ip6", (6,), PROTOS),
                )
            )
        )
        return word, lambda p: p.family in families and p.proto in numbers
    size = draw(st.integers(40, 130))
    if draw(st.booleans()):
        return f"greater {size}", lambda p: p.length >= size
    return f"less {size}", lambda p: p.length <= size


def _both(one: Judge, other: Judge) -> Judge:
    return lambda p: one(p) and other(p)


def _one(one: Judge, other: Judge) -> Judge:
    return lambda p: one(p) or other(p)


def _joined(parts: list[tuple[str, Judge]], joints: list[str], brackets: bool) -> tuple[str, Judge]:
    """From the left, whatever the joint."""
    text, judge = parts[0]
    for joint, (more, other) in zip(joints, parts[1:], strict=False):
        text = f"{text} {joint} {more}"
        judge = _both(judge, other) if joint in ("and", "&&") else _one(judge, other)
    return (f"( {text} )" if brackets else text), judge


def _negated(part: tuple[str, Judge], mark: str) -> tuple[str, Judge]:
    # What is negated must be one term: a parenthesis or a primitive.
    return (f"{mark} {part[0]}", lambda p: not part[1](p)) if mark else part


def _expressions() -> st.SearchStrategy[tuple[str, Judge]]:
    def more(inner: st.SearchStrategy[tuple[str, Judge]]) -> st.SearchStrategy[tuple[str, Judge]]:
        term = st.builds(_negated, inner, st.sampled_from(("", "", "not", "!")))
        joint = st.sampled_from(("and", "or", "&&", "||"))
        return st.builds(
            _joined, st.lists(term, min_size=1, max_size=4), st.lists(joint, min_size=3, max_size=3), st.just(True)
        )

    return st.recursive(_primitives(), more, max_leaves=8)


def mask_of(text: str, packets: list[Packet]) -> list[bool]:
    raw = [packet.raw() for packet in packets]
    start = np.cumsum([0, *map(len, raw)])[:-1].astype(np.int64)
    headers = Headers(np.frombuffer(b"".join(raw), np.uint8), start, np.array([len(one) for one in raw], np.int64))
    found: list[bool] = matches(parse(text), headers).tolist()
    return found


@given(_expressions(), st.lists(_packets(), min_size=1, max_size=12))
def test_columns_say_what_each_packet_says(expression: tuple[str, Judge], packets: list[Packet]) -> None:
    text, judge = expression
    assert mask_of(text, packets) == [judge(packet) for packet in packets]


def _every_packet() -> list[Packet]:
    packets = []
    for number in range(400):
        family = 4 if number % 3 else 6
        hosts = V4 if family == 4 else V6
        packets.append(
            Packet(
                family, PROTOS[number // 3 % 6], hosts[number // 2 % len(hosts)], hosts[number // 5 % len(hosts)],
                PORTS[number // 7 % 5], PORTS[number // 11 % 5], family == 4 and number % 13 == 0, number % 61,
            )
        )  # fmt: skip
    return packets


def _pcap(packets: list[Packet]) -> bytes:
    """A capture of raw IP packets (link type 101), the second of each its number."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)]
    for number, packet in enumerate(packets):
        raw = packet.raw()
        parts += [struct.pack("<IIII", number, 0, len(raw), len(raw)), raw]
    return b"".join(parts)


def _kept_by_tcpdump(tcpdump: str, capture: bytes, expression: str) -> list[int]:
    """Which packets it keeps. Without its optimizer (-O), which makes two networks of one mask into one test (1.10.3)."""
    done = subprocess.run(
        [tcpdump, "-O", "-n", "-r", "-", "-w", "-", expression], input=capture, capture_output=True, check=False
    )
    if b"expression rejects all packets" in done.stderr:
        return []
    assert done.returncode == 0, done.stderr.decode()
    seconds, at = [], 24
    while at < len(done.stdout):
        second, _, size, _ = struct.unpack_from("<IIII", done.stdout, at)
        seconds.append(second)
        at += 16 + size
    return seconds


AS_TCPDUMP = (
    "port 53",
    "port 53 or 80",
    "port 53 or 80 and 443",
    "port (53 or 80)",
    "not port 53 and not 80",
    "port 53 or port 80 and host 10.0.0.1",
    "host 10.0.0.1 and (port 53 or 80) or 10.0.1.2",
    "udp dst port 53",
    "tcp src or dst port 80",
    "src and dst port 80",
    "src host 10.0.0.1 or 10.0.1.2",
    "src or dst net 10.0.0.0/16",
    "net 10",
    "net 10.0.1",
    "net 192.0.2.0 mask 255.255.255.0",
    "net 2001:db8::/32 and not ip6 host 2001:db8::1",
    "src 10.0.0.1 && dst 192.0.2.9",
    "dst or src 203.0.113.77",
    "ip proto \\udp or \\tcp",
    "ip6 proto 58",
    "proto 47",
    "icmp or icmp6",
    "! ( tcp || udp )",
    "!tcp",
    "not not tcp",
    "sctp portrange 80-8080",
    "portrange 8080-53",
    "portrange 443",
    "greater 80",
    "less 80 and ip6",
    "port domain",
    "port 0x35",
    "ip host 192.0.2.9 or src 10.0.0.1",
    "tcp and not (dst port 443 or 80)",
    "(port 53) or port 80",
)


@pytest.mark.parametrize("expression", AS_TCPDUMP)
def test_tcpdump_keeps_the_same_packets(program: Callable[[str], str], expression: str) -> None:
    packets = _every_packet()
    wanted = _kept_by_tcpdump(program("tcpdump"), _pcap(packets), expression)
    assert [number for number, kept in enumerate(mask_of(expression, packets)) if kept] == wanted
    assert 0 < len(wanted) < len(packets)


def test_tcpdump_and_generated_expressions(program: Callable[[str], str]) -> None:
    packets = _every_packet()
    capture, tcpdump = _pcap(packets), program("tcpdump")

    @settings(max_examples=100)
    @given(_expressions())
    def agree(expression: tuple[str, Judge]) -> None:
        wanted = _kept_by_tcpdump(tcpdump, capture, expression[0])
        assert [number for number, kept in enumerate(mask_of(expression[0], packets)) if kept] == wanted

    agree()


@pytest.mark.parametrize(
    ("expression", "column", "expected"),
    [
        ("", 1, "port 53"),
        ("   ", 1, "port 53"),
        ("port", 5, "a port"),
        ("port foo", 6, "a port"),
        ("port 65536", 6, "a port"),
        ("port 53 80", 9, "expected and, or, or the end"),
        ("port 53 or", 11, "it ends here"),
        ("(port 53", 9, "expected ) for the ( in column 1"),
        ("port 53)", 8, "expected and, or, or the end"),
        ("host example.org", 6, "no names are looked up"),
        ("host 10.0.0.1/8", 6, "net takes a mask"),
        ("net 10.0.0.1/8", 5, "behind its mask"),
        ("net 10.0.0.0/33", 5, "expected a network"),
        ("udp host 10.0.0.1", 10, "udp and host"),
        ("icmp port 5", 1, "no ports"),
        ("ip port 5", 1, "no ports"),
        ("tcp proto 5", 1, "ip, ip6 or nothing"),
        ("ip6 host 10.0.0.1", 10, "no address of ip6"),
        ("ip proto 256", 10, "0 to 255"),
        ("tcp or 80", 8, "expected host, net, port"),
        ("53", 1, "expected host, net, port"),
        ("arp", 1, "never tracked"),
        ("tcp[13] & 2 != 0", 4, "means nothing here"),
        ("ether host 00:11:22:33:44:55", 1, "not understood here"),
        ("greater", 8, "a length"),
        ("less many", 6, "a length"),
        ("portrange 1-x", 11, "a range"),
        ("not", 4, "it ends here"),
        ("and port 5", 1, "not 'and'"),
        ("src port or dst port 5", 10, "a port"),
        ("\\tcp", 1, "expected host, net, port"),
        ("(" * 100 + "port 5" + ")" * 100, 65, "inside each other"),
    ],
)
def test_a_mistake_is_named_with_its_column(expression: str, column: int, expected: str) -> None:
    with pytest.raises(UsageError) as told:
        parse(expression)
    assert f"column {column}: " in str(told.value)
    assert expected in str(told.value)
    assert "\n" not in str(told.value)


@given(st.text(st.sampled_from("()!&|\\ .:/-0123456789abcdefghiklmnoprstuvx"), max_size=60))
def test_any_text_is_an_expression_or_a_usage_error(text: str) -> None:
    try:
        node = parse(text)
    except UsageError:
        return
    matches(node, Headers(np.zeros(40, np.uint8), np.array([0]), np.array([40])))


def test_an_address_alone_is_a_host() -> None:
    packets = [Packet(4, 6, V4[0], V4[1], 1, 2, False, 0), Packet(4, 6, V4[2], V4[1], 1, 2, False, 0)]
    assert mask_of("10.0.0.1", packets) == [True, False]
    assert mask_of("10.0.0.0/24", packets) == [True, False]
    assert mask_of("port http", [packets[0]._replace(dport=80)]) == [True]


def test_a_long_chain_is_no_deep_one() -> None:
    text = " or ".join(f"port {number % 65536}" for number in range(5000))
    packet = Packet(4, 17, V4[0], V4[1], 4999, 9, False, 0)
    assert mask_of(text, [packet]) == [True]


def test_what_is_no_ip_packet_never_matches() -> None:
    headers = Headers(np.zeros(0, np.uint8), np.array([-1]), np.array([0]))
    assert matches(parse("not port 53"), headers).tolist() == [False]


def test_ports_behind_extension_headers_match() -> None:
    inner = Packet(6, 17, V6[0], V6[1], 53, 9, False, 0).raw()
    raw = inner[:4] + struct.pack(">HB", len(inner) - 32, 0) + inner[7:40] + bytes([17, 0]) + bytes(6) + inner[40:]
    headers = Headers(np.frombuffer(raw, np.uint8), np.array([0]), np.array([len(raw)]))
    for expression in ("udp port 53", "ip6 proto 0", "ip6 proto 17"):
        assert matches(parse(expression), headers).tolist() == [True]
