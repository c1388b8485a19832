"""The loop with looks and news given; beside the kernel: tests/views/test_commands_why.py."""

from collections.abc import Mapping
from threading import Event

from tablefull.facts.origin import Hole
from tablefull.live.collection import Namespace
from tablefull.live.rule_news import RuleNews, Who
from tablefull.live.why import Space
from tablefull.rules.holds import Hold, State, Verdict
from tablefull.watch.tracking import Appeared, Missed, News, Reasons, TrackingWatch, Turned

NFT = Who(7, "nft", "nft -f x", "bash")
HOLD = Hold(
    what="stateful filter", by=("ct state",), families=("IPv4", "IPv6"), without="w", weight=9, basis="shown", source="s"
)  # fmt: skip


def space(key: str, state: State, *holds: Hold) -> Space:
    verdicts = [Verdict(family, state, "w", "shown") for family in ("IPv4", "IPv6")]
    return Space(key=key, verdicts=verdicts, holds=list(holds))


def named(key: str) -> Namespace:
    return Namespace(key=key, inode=hash(key), name=key, pid=None, processes=0, command="", cgroup="", role="namespace")


class World:
    """Time that passes while something is waited for, what is heard then, and what a look shows from then on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lost = 0
        self.shows: dict[str, Space] = {"this one": space("this one", "no")}
        self.script: list[tuple[float, RuleNews | None, dict[str, Space]]] = []
        self.looks: list[tuple[float, str]] = []
        self.listened: list[set[str]] = []

    def clock(self) -> float:
        return self.now

    def space(self, one: Namespace | None) -> Space:
        key = "this one" if one is None else one.key
        self.looks.append((round(self.now, 2), key))
        return self.shows[key]

    def address(self, one: Namespace | None) -> tuple[str | None, int | None]:
        return (None, 1) if one is None else ("path", one.inode)

    def refresh(self) -> None:
        pass

    def listen(self, spaces: Mapping[str, tuple[str | None, int | None]]) -> None:
        self.listened.append(set(spaces))

    def wait(self, seconds: float) -> list[RuleNews]:
        before, self.now = self.now, self.now + max(seconds, 0.001)
        found = []
        for at, news, shows in self.script:
            if before <= at < self.now:
                self.shows |= shows
                found += [news] if news else []
        return found


def run(world: World, until: float = 30, **how: object) -> tuple[list[News], TrackingWatch]:
    told: list[News] = []
    held = TrackingWatch(world, [None], world, told.append, world.clock, **how)  # type: ignore[arg-type]
    held.run(10, Event(), until)
    return told, held


def test_nothing_happens_and_all_is_looked_at_now_and_then() -> None:
    world = World()
    told, held = run(world)
    assert told == []
    assert not held.turned_on
    assert 3 <= len(world.looks) <= 4


def test_who_is_heard_is_named_with_what_became_different() -> None:
    world = World()
    world.script = [(3.0, RuleNews("nftables", NFT, "this one"), {"this one": space("this one", "yes", HOLD)})]
    told, held = run(world)
    assert told == [
        Turned(space="this one", families=("IPv4", "IPv6"), before="no", after="yes", who=(NFT,), came=(HOLD,))
    ]
    assert held.turned_on
    times = [at for at, _ in world.looks]
    assert any(3 <= at < 3.7 for at in times)


def test_a_table_that_is_replaced_a_while_later_is_seen_by_a_later_look() -> None:
    world = World()
    world.script = [
        (3.0, RuleNews("iptables", NFT, "this one"), {}),
        (4.2, None, {"this one": space("this one", "yes", HOLD)}),
    ]
    (turned,), _ = run(world)
    assert isinstance(turned, Turned)
    assert turned.who == (NFT,)


def test_nobody_heard_is_nobody_blamed() -> None:
    world = World()
    world.script = [
        (1.0, RuleNews("nftables", NFT, "this one"), {}),
        (15.0, None, {"this one": space("this one", "yes", HOLD)}),
    ]
    (turned,), _ = run(world)
    assert isinstance(turned, Turned)
    assert turned.who == ()


def test_reasons_that_change_without_a_change_of_state() -> None:
    world = World()
    world.shows = {"this one": space("this one", "yes", HOLD)}
    other = Hold(what="NAT", by=("masquerade",), families=("IPv4",), without="w", weight=8, basis="shown", source="s")
    world.script = [(3.0, RuleNews("nftables", NFT, "this one"), {"this one": space("this one", "yes", other)})]
    told, held = run(world)
    assert told == [Reasons(space="this one", who=(NFT,), came=(other,), went=(HOLD,))]
    assert not held.turned_on


def test_namespaces_come_and_go() -> None:
    world = World()
    web = named("web")
    world.shows["web"] = space("web", "yes", HOLD)
    chosen: list[Namespace | None] = [None, web]
    heard = RuleNews("iptables", NFT, "", web.inode)
    world.script = [(3.0, heard, {})]

    def find() -> list[Namespace | None]:
        return [None] if world.now > 20 else list(chosen)

    told, held = run(world, find=find)
    assert told == [Appeared(world.shows["web"], who=(NFT,)), Appeared(world.shows["web"], gone=True)]
    assert held.turned_on
    assert world.listened[-1] == {"this one"}


def test_the_one_asked_for_dies() -> None:
    world = World()
    dead = space("this one", "unknown")
    dead.holes.append(Hole("network namespace this one", "there is no such file"))
    world.script = [(3.0, None, {"this one": dead})]
    told, held = run(world)
    assert [type(one) for one in told] == [Appeared]
    assert held.blind()
    assert world.now < 30


def test_lost_notices_make_it_look_at_all() -> None:
    world = World()
    held: list[News] = []
    watch = TrackingWatch(world, [None], world, held.append, world.clock)  # type: ignore[arg-type]
    world.lost = 5
    watch.run(10, Event(), 2)
    assert held == [Missed(5)]
    assert len(world.looks) == 2
