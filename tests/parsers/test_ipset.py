from firewall_text import assert_linear, broken, capture, facts
from hypothesis import given

from tablefull.facts.ruleset import IpSet, IpSetRefusal
from tablefull.parsers.ipset import read

# By hand, from the commands that made the capture.
SETS = [
    ("f2b", "hash:ip", 4, 4),
    ("nets", "hash:net", 1, 65536),
    ("empty", "bitmap:port", 0, None),
    ("all", "list:set", 1, None),
]


def test_list_save_and_terse_show_the_same_sets():
    for name in ("ipset-list", "ipset-save", "ipset-list-t"):
        assert [(s.name, s.kind, s.entries, s.maxelem) for s in facts(read, capture(name))] == SETS, name
    assert [s.name for s in facts(read, capture("ipset-list-n"), "ipset list -n")] == [name for name, *_ in SETS]


def test_without_members_the_number_is_unknown():
    (found,) = facts(read, "Name: x\nType: hash:ip\nHeader: family inet hashsize 1024 maxelem 65536\n")
    assert (found.entries, found.maxelem) == (None, 65536)


def test_members_are_counted_where_an_old_ipset_does_not():
    (found,) = facts(read, "Name: x\nType: hash:ip\nMembers:\n192.0.2.1\n192.0.2.2 timeout 5\nThank you all")
    assert found.entries == 2


def test_a_full_set_is_a_refusal():
    (plain,) = facts(read, capture("ipset-full"))
    assert isinstance(plain, IpSetRefusal)
    assert plain.error == "Hash is full, cannot add more elements"
    text = "exec: ipset -exist add f2b-manual 192.0.2.0/24 timeout 0\nERROR stderr: 'ipset v7.17: Hash is full, cannot add more elements'"
    (named,) = facts(read, text)
    assert (named.name, named.error) == ("f2b-manual", plain.error)


def test_prose_is_no_set():
    assert facts(read, "Name: Bob\nhow to create a hash table\n") == []
    assert isinstance(facts(read, "ipset create x hash:ip maxelem 9")[0], IpSet)


@given(broken(capture("ipset-list"), capture("ipset-save")))
def test_any_text_is_an_answer(text):
    facts(read, text)


def test_time_is_linear():
    assert_linear(
        read,
        "Name: x\n",
        "Name: x\nMembers:\n1\n",
        "create x hash:ip ",
        "create x hash:ip\n",
        "add x 1\n",
        "ipset v1: ",
        " ",
    )
