"""The lines and objects of news made by hand."""

import json

from msgspec import structs

from tablefull.facts.origin import Hole
from tablefull.live.rule_news import Who
from tablefull.live.why import Space
from tablefull.rules.holds import Hold, Verdict
from tablefull.views import why_watch
from tablefull.views.terminal import Page
from tablefull.watch.tracking import Appeared, Missed, News, Reasons, Turned

HOLD = Hold(
    what="NAT", by=("masquerade",), families=("IPv4",), without="w", weight=8, basis="shown", source="s",
    shown=("nft ip t c: masquerade",),
)  # fmt: skip
WHO = Who(12, "iptables", "iptables -A x", "dockerd")
ON = Turned(space="web", families=("IPv4", "IPv6"), before="no", after="yes", who=(WHO,), came=(HOLD,))


def text(news: News) -> str:
    page = Page(100)
    why_watch.line(page, news, 0)
    return page.plain()


def test_turned_on_by_somebody() -> None:
    told = text(ON)
    assert "web: IPv4 and IPv6 tracking turned ON, by iptables -A x (process 12, started by dockerd)\n" in told
    assert told.endswith("          | nft ip t c: masquerade\n")


def test_nobody_heard() -> None:
    off = Turned(space="web", families=("IPv4",), before="yes", after="no", who=(), went=(HOLD,))
    assert "turned off, by whom was not heard\n" in text(off)
    assert "gone: | nft ip t c" in text(off)


def test_a_process_that_had_ended_has_its_name() -> None:
    assert why_watch.by([Who(9, "nft")]) == "by nft (process 9)"
    assert why_watch.by([Who(n, "nft") for n in range(5)]).endswith("or 2 more")


def test_the_others() -> None:
    space = Space(key="web", verdicts=[Verdict("IPv4", "no", "w", "shown")])
    assert "web: the namespace appeared: tracking is off for IPv4" in text(Appeared(space))
    assert "web: the namespace is gone" in text(Appeared(space, gone=True))
    assert "new: | nft ip t c" in text(Reasons(space="web", who=(WHO,), came=(HOLD,)))
    both = structs.replace(HOLD, by=("masquerade", "snat"), shown=(*HOLD.shown, "nft ip t c: snat to 192.0.2.1"))
    left = text(Reasons(space="web", who=(WHO,), came=(HOLD,), went=(both,)))
    assert "gone: | nft ip t c: snat to 192.0.2.1" in left
    assert "c: masquerade" not in left
    assert "3 notices were lost" in text(Missed(3))


def test_a_hostile_process_name_stays_on_its_line() -> None:
    evil = Who(1, "x", "\x1b[2J\nweb: tracking is off", "\x07")
    told = text(Turned(space="\x1b[1m", families=("IPv4",), before="no", after="yes", who=(evil,)))
    assert all(line.isprintable() for line in told.splitlines())
    assert told.count("\n") <= 2


def test_objects() -> None:
    made = json.loads(json.dumps(why_watch.as_object(ON, 0)))
    assert (made["time"], made["event"], made["families"]) == ("1970-01-01T00:00:00Z", "turned", ["IPv4", "IPv6"])
    assert made["by"] == [{"pid": 12, "name": "iptables", "command": "iptables -A x", "parent": "dockerd"}]
    assert why_watch.as_object(Missed(2), 0)["event"] == "lost"


def test_the_beginning_says_what_is_not_told() -> None:
    class Heard:
        ways = ("nftables",)
        holes = (Hole("who runs iptables-legacy", "no tracepoint", ""),)

    page = Page(100)
    why_watch.begin(page, [Space(key="a", verdicts=[Verdict("IPv4", "yes", "w", "shown")])], Heard(), 10)  # type: ignore[arg-type]
    assert page.plain() == (
        "a: tracking is ON for IPv4\nTold as it happens: nftables. All is looked at again every 10 s. Ctrl-C ends it.\n"
        "not told: who runs iptables-legacy: no tracepoint\n"
    )
