"""Modules as lsmod and /proc/modules list them; expected values are counted by hand."""

from hypothesis import given
from machine_text import COMMANDS, LINES, facts_of, holds_for, is_linear, lines_of

from tablefull.facts.modules import Module
from tablefull.parsers.block import Context
from tablefull.parsers.module_list import read

LSMOD = """Module                  Size  Used by
xt_conntrack           16384  3
nf_nat                 49152  2 nft_chain_nat,xt_MASQUERADE
nf_conntrack          139264  4 xt_conntrack,nf_nat,xt_MASQUERADE,nf_conntrack_netlink
br_netfilter           32768  0
8021q                  40960  0"""


def test_lsmod_with_its_header():
    modules = facts_of(read, LSMOD)
    assert [m.name for m in modules] == ["xt_conntrack", "nf_nat", "nf_conntrack", "br_netfilter", "8021q"]
    assert modules[2].used_by == ("xt_conntrack", "nf_nat", "xt_MASQUERADE", "nf_conntrack_netlink")
    assert (modules[2].size_bytes, modules[2].references, modules[2].origin.line) == (139264, 4, 4)


def test_grepped_rows_without_a_header():
    modules = facts_of(
        read, "nf_conntrack_ipv4      19716  2\nnf_conntrack           73966  3 nf_conntrack_ipv4,nf_nat,xt_state"
    )
    assert [m.name for m in modules] == ["nf_conntrack_ipv4", "nf_conntrack"]


def test_proc_modules():
    (module,) = facts_of(read, "nf_conntrack 139264 2 nf_nat,xt_conntrack, Live 0x0000000000000000 (E)")
    assert module.used_by == ("nf_nat", "xt_conntrack")
    (alone,) = facts_of(read, "ip_tables 27115 0 - Live 0xffffffffa0000000")
    assert alone.used_by == ()


def test_a_kernel_of_the_2_4_era():
    (module,) = facts_of(read, "ip_conntrack           21224   1 (autoclean) [ipt_state iptable_nat]")
    assert module.used_by == ("ipt_state", "iptable_nat")


def test_a_wrapped_list_of_users():
    first, second = facts_of(
        read, "Module Size Used by\nnf_conntrack 139264 3 xt_conntrack,nf_nat,\nxt_MASQUERADE\nbridge 90112 0"
    )
    assert first.used_by == ("xt_conntrack", "nf_nat", "xt_MASQUERADE")
    assert second.name == "bridge"


def test_a_slab_row_and_a_sentence_are_no_modules():
    for text in (
        "ip_conntrack 3024 4090 384 409 409 1",
        "nf_conntrack 65536 0 entries now",
        "bridge 3 4",
        "nf_conntrack_max 65536",
    ):
        assert read(lines_of(text), 0, Context("-")) is None
    assert isinstance(facts_of(read, "dm_mod 1234 0", "lsmod | head -1")[0], Module)


@given(LINES, COMMANDS)
def test_any_text_is_answered(texts, command):
    holds_for(read, texts, command)


def test_time_is_linear():
    is_linear(read)
