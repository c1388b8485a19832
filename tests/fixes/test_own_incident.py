"""What of a whole host's snapshot is one namespace's own: which lines of the kernel's log count, and which do not."""

import pytest

from tablefull.facts.counters import CpuCounters
from tablefull.facts.kernel_log import LogLine
from tablefull.facts.modules import Module
from tablefull.facts.origin import Origin
from tablefull.facts.settings import Setting
from tablefull.facts.snapshot import HostFacts, Snapshot
from tablefull.fixes.own_incident import of_namespace, refused
from tablefull.kernel.identity import parse_release

ORIGIN = Origin("dmesg", 1, "text")
LIMIT = Setting(origin=ORIGIN, name="nf_conntrack_max", spelled="nf_conntrack_max", value="9", number=9)
OURS, THEIRS = 4026532200, 4026532300
NEW = parse_release("6.18.2")


def line(netns: int | None, kind: str = "table-full") -> LogLine:
    return LogLine(origin=ORIGIN, kind=kind, netns=netns)


def counted(**values: int) -> CpuCounters:
    return CpuCounters(origin=ORIGIN, cpu=0, values=values, layout="conntrack -S")


def kept(lines: list[LogLine], own: HostFacts, *, kernel: str = "6.18.2", first: bool | None = False) -> list[LogLine]:
    machine = HostFacts(name="web", facts=[*lines, LIMIT])
    other = HostFacts(name="web.netns.other", facts=[counted(drop=900)])
    whole = Snapshot(hosts=[machine, own, other])
    seen = of_namespace(whole, machine, own, OURS, first=first, kernel=parse_release(kernel))
    (host,) = seen.hosts
    assert not list(host.of(Setting)), "the limit of another namespace is not this one's"
    return list(host.of(LogLine))


def test_the_line_of_another_namespace_is_not_ours() -> None:
    own = HostFacts(name="web.netns.a", facts=[counted(drop=5, early_drop=0)])
    assert kept([line(THEIRS), line(OURS)], own) == [line(OURS)]


@pytest.mark.parametrize("netns", [OURS, None])
def test_a_namespace_that_never_refused_a_packet_has_no_line_of_its_own(netns: int | None) -> None:
    # The number of a namespace that is gone is given to the next one; its counters begin at nothing.
    own = HostFacts(name="web.netns.a", facts=[counted(drop=0, early_drop=0), counted(drop=0, early_drop=0)])
    assert kept([line(netns)], own, kernel="5.10.0") == []


@pytest.mark.parametrize("moved", [{"drop": 1, "early_drop": 0}, {"drop": 0, "early_drop": 7}])
def test_one_that_refused_or_made_room_keeps_it(moved: dict[str, int]) -> None:
    assert kept([line(OURS)], HostFacts(name="web.netns.a", facts=[counted(**moved)])) == [line(OURS)]


@pytest.mark.parametrize(
    ("kernel", "first", "counts"),
    [("6.18.2", False, False), ("6.18.2", True, True), ("6.18.2", None, True), ("5.10.0", False, True)],
)
def test_a_line_without_a_number_is_the_first_namespaces_from_617_on(
    kernel: str, first: bool | None, counts: bool
) -> None:
    assert bool(kept([line(None)], HostFacts(name="web.netns.a"), kernel=kernel, first=first)) is counts


def test_other_lines_and_modules_are_the_whole_machines() -> None:
    other, module = line(None, "ct-invalid"), Module(origin=ORIGIN, name="nf_conntrack")
    machine = HostFacts(name="web", facts=[other, module])
    own = HostFacts(name="web.netns.a", role="container", facts=[counted(drop=0)])
    (host,) = of_namespace(Snapshot(hosts=[machine, own]), machine, own, OURS, first=False, kernel=NEW).hosts
    assert (host.name, host.role, host.facts) == ("web.netns.a", "container", [other, module, *own.facts])


def test_counters_that_were_not_seen_are_unknown() -> None:
    assert refused(HostFacts(name="a")) is None
    assert refused(HostFacts(name="a", facts=[counted(found=3)])) is None
    assert refused(HostFacts(name="a", facts=[counted(drop=2), counted(drop=3, early_drop=1)])) == 6
