from firewall_text import assert_linear, broken, capture, facts
from hypothesis import given

from tablefull.parsers.netns import read


def test_ip_netns_only_behind_its_command():
    found = facts(read, capture("ip-netns"), "sudo ip netns list")
    assert [fact.name for fact in found] == ["t-fw-p2b", "t-fw-p2"]
    assert facts(read, capture("ip-netns")) == []
    assert facts(read, capture("ip-netns"), "ip netns exec t-fw-p2 ls") == []


def test_lsns():
    found = facts(read, capture("lsns-t-net"))
    assert [(fact.name, fact.inode) for fact in found] == [
        ("net:[4026531833]", 4026531833),
        ("t-fw-p2b", 4026532246),
    ]


@given(broken(capture("ip-netns"), capture("lsns-t-net")))
def test_any_text_is_an_answer(text):
    facts(read, text, "ip netns")


def test_time_is_linear():
    assert_linear(read, "a\n", "4026531840 net 1 1 root x /", " ", "NS TYPE NPROCS\n", command="ip netns")
