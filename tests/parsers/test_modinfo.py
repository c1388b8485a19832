"""modinfo; expected values are read off the text by hand."""

from hypothesis import given
from machine_text import COMMANDS, LINES, facts_of, holds_for, is_linear

from tablefull.facts.host import KernelRelease, Program
from tablefull.parsers.modinfo import read

TEXT = """filename:       /lib/modules/5.15.0-91-generic/kernel/net/netfilter/nf_conntrack.ko
alias:          nf_conntrack-10
license:        GPL
srcversion:     5C1B1A3F5A3D4F4E2D0B5F5
depends:        nf_defrag_ipv6,libcrc32c,nf_defrag_ipv4
retpoline:      Y
name:           nf_conntrack
vermagic:       5.15.0-91-generic SMP mod_unload modversions
signature:      0B:DB:C4:90
		1A:2B:3C:4D
parm:           hashsize:uint"""


def test_a_block():
    facts = facts_of(read, TEXT)
    assert [f.release for f in facts if isinstance(f, KernelRelease)] == ["5.15.0-91-generic"]
    programs = {(f.name, f.field): f.value for f in facts if isinstance(f, Program)}
    assert programs["nf_conntrack", "depends"] == "nf_defrag_ipv6,libcrc32c,nf_defrag_ipv4"
    assert programs["nf_conntrack", "filename"].endswith("nf_conntrack.ko")


def test_builtin():
    (fact,) = facts_of(read, "name:           nf_nat\nfilename:       (builtin)", "modinfo nf_nat")[:1]
    assert (fact.name, fact.value) == ("nf_nat", "(builtin)")


@given(LINES, COMMANDS)
def test_any_text_is_answered(texts, command):
    holds_for(read, texts, command)


def test_time_is_linear():
    is_linear(read)
