"""Hosts hand out their facts by kind, in the order they were read."""

from tablefull.facts.modules import Module
from tablefull.facts.origin import Origin
from tablefull.facts.settings import Setting
from tablefull.facts.snapshot import HostFacts, Snapshot


def module(name: str, line: int) -> Module:
    return Module(origin=Origin("-", line, name), name=name)


def test_facts_of_one_kind_in_order() -> None:
    limit = Setting(origin=Origin("-", 2, "x = 1"), name="nf_conntrack_max", spelled="x", value="1", number=1)
    host = HostFacts(name="gw", facts=[module("nf_nat", 1), limit, module("nf_conntrack", 3)])
    assert [one.name for one in host.of(Module)] == ["nf_nat", "nf_conntrack"]
    assert list(host.of(Setting)) == [limit]


def test_two_snapshots_share_nothing() -> None:
    one, other = Snapshot(), Snapshot()
    one.hosts.append(HostFacts(name="a"))
    one.hosts[0].facts.append(module("nf_nat", 1))
    assert other.hosts == []
    assert HostFacts(name="b").facts == []


def test_a_new_host_is_of_unknown_role() -> None:
    assert HostFacts(name="a").role == "unknown"
    assert not Snapshot().live
