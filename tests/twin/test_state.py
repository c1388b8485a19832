"""Settings as a row of numbers, and the layout that makes an entry two cache lines."""

import pytest

from tablefull.errors import UsageError
from tablefull.kernel.timeouts import DEFAULTS
from tablefull.twin import eras
from tablefull.twin import state as at

MODERN = eras.era("6.18")


def test_defaults_are_the_kernels() -> None:
    row = at.compile_settings(MODERN, {})
    for name, column in at.TIMEOUTS.items():
        assert row[column] == DEFAULTS[name] * at.SECOND_NS, name
    assert (row[at.S_MAX], row[at.S_BUCKETS]) == (262144, 262144)
    assert (row[at.S_LOOSE], row[at.S_LIBERAL], row[at.S_MAX_RETRANS], row[at.S_CHECKSUM]) == (1, 0, 3, 1)
    assert (row[at.S_COST_NS], row[at.S_BURST]) == (5 * at.SECOND_NS, 10)
    old = at.compile_settings(eras.era("3.2"), {})
    assert (old[at.S_MAX], old[at.S_BUCKETS], old[at.S_UDP_STREAM]) == (65536, 16384, 180 * at.SECOND_NS)


@pytest.mark.parametrize(
    "name", ["nf_conntrack_max", "net.netfilter.nf_conntrack_max", "net/netfilter/nf_conntrack_max", "max"]
)
def test_every_spelling(name: str) -> None:
    assert at.compile_settings(MODERN, {name: "1000"})[at.S_MAX] == 1000


def test_setting_one_size_leaves_the_other() -> None:
    row = at.compile_settings(MODERN, {"nf_conntrack_max": 1000, "nf_conntrack_udp_timeout": 7})
    assert row[at.S_BUCKETS] == 262144
    assert row[at.S_UDPLITE] == row[at.S_UDP] == 7 * at.SECOND_NS  # one value since 4.11


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("nf_conntrack_mx", 1, "did you mean nf_conntrack_max"),
        ("nf_conntrack_max", "many", "not a whole number"),
        ("nf_conntrack_max", -1, "the kernel takes"),
        ("nf_conntrack_checksum", 2, "the kernel takes 0 to 1"),
        ("nf_conntrack_count", 5, "cannot be set"),
        ("net.ipv4.ip_forward", 1, "no setting the twin knows"),
    ],
)
def test_refusals(name: str, value: object, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        at.compile_settings(MODERN, {name: value})


def test_a_setting_that_this_kernel_has_not() -> None:
    with pytest.raises(UsageError, match=r"does not exist on Linux 4\.19"):
        at.compile_settings(eras.era("4.19"), {"nf_conntrack_tcp_ignore_invalid_rst": 1})


def test_no_two_fields_of_an_entry_share_a_byte() -> None:
    words = [at.E_PORTS, at.E_PROTO, at.E_ZONES, at.E_STATUS, at.E_SERIAL, at.E_NEXT_FREE]
    words += [*range(at.E_SRC, at.E_SRC + 4), *range(at.E_DST, at.E_DST + 4)]
    words += [at.E_LAST_SEQ, at.E_LAST_ACK, at.E_LAST_END]
    for side in (0, at.E_SIDE):
        words += [at.E_END + side, at.E_MAXEND + side, at.E_MAXWIN + side, at.E_MAXACK + side]
    taken = [byte for word in words for byte in range(word * 4, word * 4 + 4)]
    taken += range(at.E_DEADLINE * 8, at.E_DEADLINE * 8 + 8)
    taken += [at.B_SCALE, at.B_SCALE + 1, at.B_FLAGS, at.B_FLAGS + 1, at.B_STATE, at.B_LAST_DIR, at.B_LAST_KIND]
    taken += [at.B_RETRANS, at.B_LAST_SCALE, at.B_LAST_FLAGS, at.H_LAST_WIN * 2, at.H_LAST_WIN * 2 + 1]
    assert len(taken) == len(set(taken))
    assert max(taken) < at.ENTRY_BYTES == 128
