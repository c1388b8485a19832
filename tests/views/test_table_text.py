"""The page and the object of a look: what is exact, what is about, what was not seen."""

import json

from tablefull.facts.origin import Hole
from tablefull.live.orphans import Orphans
from tablefull.live.spaces import Space
from tablefull.live.table import Made, Reading, Share
from tablefull.live.table_look import OWN, Look
from tablefull.views.table_text import as_json, headline, render

ME = (0x0A000001, 0, 0, 0, 4)


def look(sampled: bool = True, total: int | None = 150_000, limit: int | None = 160_000) -> Look:
    shares = (
        Share(ME, "10.0.0.1", 1500, 0.75, 0.73, 0.77),
        Share((9, 0, 0, 0, 4), "\x1b[31m0.0.0.9[b]", 300, 0.15, 0.13, 0.17),
        Share((8, 0, 0, 0, 4), "0.0.0.8", 100, 0.05, 0.04, 0.06),
    )
    reading = Reading(
        total=total, limit=limit, read=2000, matched=2000, sampled=sampled, took_s=0.02,
        made=[Made("source", 7, shares)],
    )  # fmt: skip
    return Look(namespace=OWN, reading=reading, own=frozenset((ME,)))


def words(seen: Look, top: int = 8, width: int = 80, where: str | None = None) -> str:
    return " ".join(render(seen, top, width, where).plain().split())


def test_headlines() -> None:
    assert headline(look()) == ("150,000 entries, 93.8% of the limit of 160,000.", "bad")
    assert headline(look(total=155_000))[1] == "worst"
    assert headline(look(total=5))[1] == "good"
    assert headline(look(limit=0))[0] == "150,000 entries, without a limit."
    assert headline(look(limit=None))[0] == "150,000 entries, the limit is not told."
    assert headline(Look(namespace="x\x1b"))[0] == "Who fills the table in x\\x1b could not be seen."


def test_a_sample_says_that_it_is_one() -> None:
    text = words(look(), top=2)
    assert "2,000 of them were read in 20 ms: a fair sample" in text
    assert "10.0.0.1 (own address) 75.0% 73.0% to 77.0% about 112,500" in text
    assert "and 5 more in the sample, 10.0% together" in text


def test_a_whole_table_has_counts() -> None:
    text = words(look(sampled=False), top=3)
    assert "All 2,000 were read" in text
    assert "10.0.0.1 (own address) 75.0% 1,500" in text
    assert " to " not in text.split("BY SOURCE")[1]


def test_what_was_asked_for() -> None:
    seen = look()
    assert seen.reading is not None
    seen.reading.matched = 500
    assert "500 match (25.0%, about 37,500 of all); shares are of those." in words(seen, where="proto=tcp")


def test_sockets_and_namespaces() -> None:
    seen = look()
    seen.orphans = Orphans(40, 10, ("10.0.0.1:1 - 10.0.0.2:2 ESTABLISHED, 99 s left",))
    seen.spaces = [
        Space(OWN, None, 1, 100, 160_000),
        Space("web\x1b", "/x", 2, 300, 160_000, 3, "nginx\n", "container"),
        Space("shut", "/y", 3, None, None, why="it is gone"),
    ]
    text = words(seen)
    assert "Of 40 TCP connections of this host's own" in text
    assert "10 (25%) are ESTABLISHED or CLOSE_WAIT" in text
    assert "web\\x1b 300 container, 3 processes, nginx" in text  # no share of a sum that is not known
    assert "shut ? it is gone" in text
    assert "together 400+ what was seen" in text
    seen.spaces.pop()
    text = words(seen)
    assert "web\\x1b 300 75.0% container" in text
    assert text.endswith("together 400")
    seen.orphans = Orphans(40, 0, ())
    assert "each has its socket" in words(seen)


def test_every_namespace_is_what_the_first_line_answers() -> None:
    """A namespace of others that is full is the finding, not the idle one that asks; not seen is not zero."""
    seen = look(total=0)
    seen.spaces = [Space(OWN, None, 1, 0, 1000), Space("web", "/x", 2, 960, 1000), Space("db", "/y", 3, 5, 1000)]
    line = "965 entries in 3 namespaces; the fullest, web, holds 96.0% of the limit of 1,000."
    assert headline(seen) == (line, "worst")
    assert "What follows is this one's alone" in words(seen)
    seen.spaces[1:] = [Space("web", "/x", 2, None, None, why="refused"), Space("db", "/y", 3, None, None)]
    line = "At least 0 entries in 3 namespaces, 2 of them not seen; the fullest seen, this one, holds 0.0% of the limit"
    assert headline(seen) == (f"{line} of 1,000.", "strong")
    seen.namespace = "web"
    assert headline(seen)[0].startswith("0 entries in web")


def test_nothing_in_a_sample_is_not_nothing() -> None:
    """Of 2,000 of 150,000 none: Wilson's upper end is 3.8416 / (size + 3.8416), size = 2000 * 149999 / 148000."""
    seen = look()
    assert seen.reading is not None
    seen.reading.matched, seen.reading.made = 0, [Made("source", 0, ())]
    text = words(seen, where="dport=22")
    assert "None of them matches: at most 284 of all do (95 %); --full counts them." in text
    assert "no entry in the sample" in text


def test_what_was_not_seen_is_said() -> None:
    seen = look()
    assert seen.reading is not None
    seen.reading.interrupted, seen.reading.broken = True, 2
    seen.holes.append(Hole("/proc/net/tcp", "it is not there", "mount it"))
    text = words(seen)
    for part in ("changed its size", "2 messages of the kernel", "/proc/net/tcp: it is not there; mount it"):
        assert part in text


def test_nothing_acts_on_a_terminal_and_no_line_is_too_wide() -> None:
    for width in (60, 80, 140):
        page = render(look(), 8, width).coloured()
        assert "\x1b[31m0.0.0.9" not in page
        assert "0.0.0.9[b]" in page or width < 140
        assert all(len(line) <= width for line in render(look(), 8, width).plain().splitlines())


def test_the_object() -> None:
    seen = look()
    seen.spaces = [Space("web", "/x", 2, None, None, why="it is gone")]
    told = json.loads(as_json(seen, 1))
    assert (told["schema"], told["entries"], told["sampled"]) == ("tablefull/table/1", 150_000, True)
    assert told["by"]["source"]["distinct"] == 7
    assert told["by"]["source"]["top"] == [
        {"key": "10.0.0.1", "count": 1500, "share": 0.75, "low": 0.73, "high": 0.77, "own": True}
    ]
    assert told["namespaces"][0]["count"] is None
    blind = json.loads(as_json(Look(namespace="x", holes=[Hole("a", "b")]), 1))
    assert "entries" not in blind
    assert blind["unseen"][0]["what"] == "a"
