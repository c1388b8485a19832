import ipaddress
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.facts.entry import Composition
from tablefull.facts.origin import Hole, Origin
from tablefull.live.collection import Artefact, Collection, Namespace
from tablefull.live.redact import Pseudonyms, redacted
from tablefull.parsers.conntrack_entries import fold

KEY = b"a key of a test."
V4 = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)
V6 = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address)
PRIVATE = [ipaddress.ip_network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")]
KEPT = [ipaddress.ip_network(n) for n in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")]
IN_A_RANGE = st.one_of(*(st.integers(int(net[0]), int(net[-1])).map(ipaddress.IPv4Address) for net in PRIVATE + KEPT))
ANY_V4 = st.one_of(V4, IN_A_RANGE)
ROWS = (
    st.tuples(
        st.sampled_from(["10.0.0.{}", "192.168.7.{}", "8.8.{}.8", "203.0.113.{}", "127.0.0.{}", "2001:db8::{}", "fd00::1:{}"]),
        st.integers(1, 9),
        st.sampled_from(["ESTABLISHED", "TIME_WAIT", "SYN_SENT"]),
        st.integers(1, 65535),
        st.integers(1, 65535),
        st.sampled_from(["[ASSURED] ", ""]),
        st.integers(1, 432000),
    )
)  # fmt: skip


def new(text: str, *names: str) -> str:
    return Pseudonyms(KEY, names).text(text)


def of(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(new(str(address)))


def shared(one: int, other: int, width: int) -> int:
    return width - (one ^ other).bit_length()


@given(ANY_V4, ANY_V4)
def test_two_addresses_share_as_many_leading_bits_after_as_before(
    one: ipaddress.IPv4Address, other: ipaddress.IPv4Address
) -> None:
    assert shared(int(of(one)), int(of(other)), 32) == shared(int(one), int(other), 32)


@given(V6, V6)
def test_so_do_two_of_version_six(one: ipaddress.IPv6Address, other: ipaddress.IPv6Address) -> None:
    if not any(a in ipaddress.ip_network("::/95") or a.ipv4_mapped for a in (one, other)):
        assert shared(int(of(one)), int(of(other)), 128) == shared(int(one), int(other), 128)


@given(ANY_V4)
def test_no_address_leaves_its_range(address: ipaddress.IPv4Address) -> None:
    after = of(address)
    for net in PRIVATE + KEPT:
        assert (address in net) == (after in net)
    if any(address in net for net in KEPT):
        assert after == address


@pytest.mark.parametrize(
    "kept", ["127.0.0.1", "0.0.0.0", "255.255.255.255", "169.254.169.254", "224.0.0.251", "255.255.240.0", "::", "::1", "ff02::1"]
)  # fmt: skip
def test_addresses_that_everybody_has_stay(kept: str) -> None:
    assert new(f"src={kept} x") == f"src={kept} x"


@given(V6)
def test_version_six_keeps_its_kind(address: ipaddress.IPv6Address) -> None:
    after = of(address)
    assert after.is_multicast == address.is_multicast
    assert (int(after) >> 125 == 1) == (int(address) >> 125 == 1)


def test_link_local_keeps_its_prefix_and_loses_the_hardware_address() -> None:
    after = new("fe80::216:3eff:feaa:bbcc%eth0")
    assert after.startswith("fe80::")
    assert after.endswith("%eth0")
    assert "feaa:bbcc" not in after


def test_an_embedded_address_is_the_same_one() -> None:
    plain = new("198.51.100.7")
    assert new("::ffff:198.51.100.7") == f"::ffff:{plain}"
    assert (
        new("64:ff9b::c633:6407")
        == str(ipaddress.IPv6Address((0x64FF9B << 96) | int(ipaddress.ip_address(plain)))).lower()
    )


def test_the_form_of_a_whole_address_is_kept() -> None:
    """/proc/net/nf_conntrack prints all eight groups."""
    whole = ipaddress.IPv6Address("2001:db8::7").exploded
    assert len(new(whole)) == len(whole)
    assert ipaddress.ip_address(new(whole)) == ipaddress.ip_address(new("2001:db8::7"))


@pytest.mark.parametrize(
    "network", ["10.1.0.0/16", "10.1.0.0/255.255.0.0", "203.0.113.0/24", "2001:db8::/32", "0.0.0.0/0"]
)
def test_a_network_stays_one_and_holds_its_members(network: str) -> None:
    after = ipaddress.ip_network(new(network))
    before = ipaddress.ip_network(network)
    assert before.prefixlen == after.prefixlen
    for member in (before[1], before[2], before[-1]):
        assert ipaddress.ip_address(new(str(member))) in after


@pytest.mark.parametrize(
    "text",
    [
        "12:34:56 nf_conntrack",
        "version 1.8.9.1.2",
        "999.1.1.1",
        "1.2.3",
        "std::string::npos",
        "net.ipv4.conf.all.forwarding = 1",
        "dport=53 [ASSURED] mark=0 zone=1 use=1",
        "tcp dport 0-1023 counter packets 12 bytes 345",
        "nf_conntrack 81926 2 iptable_nat,nf_nat, Live 0xffffffffa0000000",
    ],
)
def test_what_is_no_address_stays(text: str) -> None:
    assert new(text) == text


def test_hardware_addresses_are_replaced_group_by_group() -> None:
    after = new("MAC=00:16:3e:aa:bb:cc:00:16:3e:dd:ee:ff:08:00 SRC=1")
    assert re.fullmatch(r"MAC=02(:[0-9a-f]{2}){5}:02(:[0-9a-f]{2}){5}:08:00 SRC=1", after)
    assert new("00:16:3e:aa:bb:cc") in after
    assert new("ff:ff:ff:ff:ff:ff 01:00:5e:00:00:fb") == "ff:ff:ff:ff:ff:ff 01:00:5e:00:00:fb"
    assert "00:1b" not in new("ll header: 00000000: ff ff ff ff ff ff 00:1b 21\nnext")


def test_a_host_is_called_by_its_pseudonym_wherever_its_name_stands() -> None:
    words = Pseudonyms(KEY, ["web01.example.com", "web01", "example.com"])
    after = words.text("Jan  1 00:00:00 web01 kernel: x\nroot@WEB01.example.com web01-eth0 web011 /web01/")
    assert "web01." not in after
    assert after.count(words.host("web01")) == 3
    assert "web011" in after


def test_another_machine_s_name_in_a_log_is_replaced_too() -> None:
    after = new("Jan  1 00:00:00 db7.example.org kernel: nf_conntrack: table full, dropping packet")
    assert "db7" not in after
    assert after.endswith(" kernel: nf_conntrack: table full, dropping packet")


def test_a_name_that_is_a_word_of_the_evidence_stays() -> None:
    assert (
        new("table ip filter vm.swappiness bridge", "bridge", "vm", "filter", "12")
        == "table ip filter vm.swappiness bridge"
    )


def test_another_key_gives_other_pseudonyms() -> None:
    assert Pseudonyms(b"another").text("198.51.100.7") != new("198.51.100.7")


def composition(text: str) -> Composition:
    counted = Composition(first=Origin("-", 1, ""))
    fold(text.splitlines(), counted, "-")
    return counted


@given(st.lists(ROWS, min_size=1, max_size=60))
def test_the_same_diagnosis_before_and_after(rows: list[tuple[str, int, str, int, int, str, int]]) -> None:
    lines = []
    for source, last, state, sport, dport, assured, left in rows:
        src = source.format(last)
        dst = "10.9.9.9" if "." in src else "fd00::9"
        lines.append(
            f"ipv{4 if '.' in src else 6}     2 tcp      6 {left} {state} src={src} dst={dst} sport={sport} dport={dport} "
            f"src={dst} dst={src} sport={dport} dport={sport} {assured}mark=0 use=1"
        )
    before, after = composition("\n".join(lines)), composition(new("\n".join(lines)))
    assert before.rows == after.rows == len(rows)
    for tally in ("by_state", "by_dport", "by_l4proto", "unreplied_by_state"):
        assert getattr(before, tally) == getattr(after, tally)
    assert (before.assured, before.unreplied, before.remaining_over_3600_s) == (
        after.assured, after.unreplied, after.remaining_over_3600_s
    )  # fmt: skip
    for tally in ("by_source", "by_destination"):
        assert sorted(getattr(before, tally).values()) == sorted(getattr(after, tally).values())

    def networks(counted: Composition) -> list[int]:
        return sorted(Counter(source.rsplit(".", 1)[0] for source in counted.by_source if "." in source).values())

    assert networks(before) == networks(after)


@given(st.text(alphabet=st.sampled_from("0123456789abcdef:.-/ \ng%[]"), max_size=200))
def test_any_text_is_redacted_without_complaint_and_with_as_many_lines(text: str) -> None:
    assert new(text).count("\n") == text.count("\n")


def test_a_collection_is_redacted_in_contents_paths_and_holes() -> None:
    before = Collection(
        host="web01",
        kernel="5.4.0.1",
        artefacts=[
            Artefact("proc/version", b"Linux version 5.4.0.1 (gcc 9.4.0.1) \xff web01"),
            Artefact("netns/pod-a1/proc/net/nf_conntrack", b"src=203.0.113.7 dst=10.1.2.3"),
            Artefact("netns/blue/proc/sys/net/ipv4/ip_forward", b"1\n"),
        ],
        holes=[Hole("network namespace pod-a1", "web01 refused 203.0.113.7", "")],
        namespaces=[
            Namespace(key="pod-a1", inode=1, hostname="pod-a1", role="container"),
            Namespace(key="blue", inode=2, name="blue"),
        ],
    )
    after = redacted(before, KEY)
    said = repr([after.host, after.artefacts, after.holes, after.namespaces])
    for secret in ("web01", "203.0.113.7", "pod-a1", "10.1.2.3"):
        assert secret not in said
    assert after.artefacts[0].content.startswith(b"Linux version 5.4.0.1 (gcc 9.4.0.1) \xff host-")
    assert after.artefacts[1].path == f"netns/{after.namespaces[0].key}/proc/net/nf_conntrack"
    assert after.artefacts[2] == before.artefacts[2]
    assert redacted(before, KEY) == after
