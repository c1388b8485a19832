"""Each wording to its kernels, and each look-alike to its kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.kernel import messages


@pytest.mark.parametrize(
    ("text", "era"),
    [
        ("ip_conntrack: table full, dropping packet.", ((2, 4), (2, 6, 21))),
        ("[11458852.811075] nf_conntrack: table full, dropping packet.", ((2, 6, 18), (3, 4))),
        ("nf_conntrack: table full, dropping packet", ((3, 5), (4, 6))),
        ("kernel: nf_conntrack: nf_conntrack: table full, dropping packet", ((4, 7), None)),
        ("nf_conntrack: nf_conntrack: table full in netns 4026532246, dropping packet", ((6, 17), None)),
        ("the conntrack table is full", None),
        ("nf_conntrack: expectation table full", None),
    ],
)
def test_wording_dates_the_kernel(text: str, era: object) -> None:
    assert messages.wording_eras(text) == era


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("nf_conntrack: nf_conntrack: table full in netns 4026532246, dropping packet", "table-full"),
        ("nf_conntrack: expectation table full", "expectation-full"),
        ("net_ratelimit: 321 callbacks suppressed", "suppressed"),
        ("printk: 2758 messages suppressed.", "suppressed"),
        ("ip_conntrack: maximum limit of 16384 entries exceeded", "ip-conntrack-max"),
        ("nf_conntrack version 0.5.0 (16384 buckets, 65536 max)", "conntrack-version"),
        ("nf_conntrack: falling back to vmalloc.", "vmalloc"),
        ("neighbour: arp_cache: neighbor table overflow!", "neighbour-overflow"),
        ("ipv6: Neighbour table overflow", "neighbour-overflow"),
        ("TCP: time wait bucket table overflow", "time-wait-overflow"),
        ("TCP: too many orphaned sockets", "orphans"),
        ("TCP: out of memory -- consider tuning tcp_mem", "tcp-memory"),
        ("Out of socket memory", "socket-memory"),
        ("TCP: request_sock_TCP: Possible SYN flooding on port 25565. Sending cookies.", "syn-flooding"),
        ("swapper/0: page allocation failure: order:0, mode:0x480020", "page-allocation"),
        ("Out of memory: Killed process 812 (java)", "oom-kill"),
        ("IN=eth0 OUT= MAC=aa SRC=192.0.2.1 DST=192.0.2.2 LEN=40", "firewall-log"),
        ("EXT4-fs (sda1): mounted filesystem", None),
    ],
)
def test_kinds(line: str, kind: str | None) -> None:
    assert messages.classify(line) == kind


def test_every_sign_has_its_sentence() -> None:
    named = {kind for _, kind in messages.SIGNS} | messages.TABLE_FULL_KINDS | messages.TRACKING_KINDS
    assert named | messages.SHARES_RATE_LIMIT <= set(messages.KINDS)
    assert all(sentence.endswith(".") for sentence in messages.KINDS.values())


def test_stack_and_namespace() -> None:
    assert messages.nf_or_ip("ip_conntrack: table full, dropping packet.") == "ip"
    assert messages.nf_or_ip("nf_conntrack: table full") == "nf"
    assert messages.nf_or_ip("table full") is None
    line = "nf_conntrack: nf_conntrack: table full in netns 4026532246, dropping packet"
    assert messages.netns_inode(line) == 4026532246
    assert messages.netns_inode("nf_conntrack: table full, dropping packet") is None


@given(st.text())
def test_any_text_is_a_line(text: str) -> None:
    messages.classify(text)
    messages.wording_eras(text)
    messages.netns_inode(text + "table full in netns " + text)
