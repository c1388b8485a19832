"""The page and the object, of answers made by hand."""

import json

import pytest

from tablefull.facts.origin import Hole, Origin
from tablefull.live.prove import Proof
from tablefull.live.why import Space, Why
from tablefull.rules.holds import Hold, Verdict
from tablefull.rules.returns import Return
from tablefull.views.why_text import as_json, render

OFF = [Verdict("IPv4", "no", "no rule asks for it", "version"), Verdict("IPv6", "no", "no rule asks for it", "version")]
ON = [Verdict("IPv4", "yes", "1 rule asks for it", "version"), OFF[1]]
HOLD = Hold(
    what="NAT, outward", by=("MASQUERADE",), families=("IPv4",), without="guests reach nothing outside", weight=8,
    basis="shown", source="a source", rules=5, where=("iptables nat POSTROUTING",), owner="Docker", off="a switch",
    evidence=(Origin("x", 3, "-A POSTROUTING -j MASQUERADE"),),
    shown=("iptables -t nat -A POSTROUTING -j MASQUERADE",),
)  # fmt: skip
PART = Hold(
    what="bridge-nf: frames", by=("bridge-nf",), families=("IPv4",), without="w", weight=1, basis="shown", source="s",
    asks=False,
)  # fmt: skip


def answer(*spaces: Space, **more: object) -> Why:
    return Why(host="h", kernel="6.1.0", rule="A rule must ask.", spaces=list(spaces), **more)  # type: ignore[arg-type]


def page(told: Why, width: int = 80, **proofs: list[Proof]) -> str:
    return render(told, width, proofs).plain()


def test_on_says_why_what_stops_and_whose_it_is() -> None:
    text = page(answer(Space(key="this one", verdicts=ON, holds=[HOLD, PART], count=1)))
    assert text.startswith("Connection tracking is ON for IPv4, off for IPv6 (1 entry now).\n")
    for part in (
        "WHY IT IS ON\n  1. NAT, outward of Docker, for IPv4: 5 rules\n     | iptables -t nat -A POSTROUTING -j MASQUERADE\n",
        "and 4 more; in iptables nat POSTROUTING\n",
        "Without it: guests reach nothing outside.",
        "Docker puts it back",
        "TAKES PART, BUT DOES NOT TURN IT ON",
        "On Linux 6.1.0: A rule must ask.",
    ):
        assert part in text
    assert "Every IPv4 connection here takes an entry as long as the reason below is there." in " ".join(text.split())


def test_off_says_from_what() -> None:
    text = page(answer(Space(key="this one", verdicts=OFF, exempt=2)))
    assert text.startswith("Connection tracking is off for IPv4 and IPv6.\n  IPv4: no rule asks for it\n")
    assert "WHY IT IS ON" not in text
    assert "2 rules exempt packets from tracking" in text
    assert "Nothing was found in its configuration" in text


def test_many_alike_are_told_once() -> None:
    spaces = [Space(key=f"pod{n}", path="p", verdicts=ON, holds=[HOLD], count=0) for n in range(40)]
    blind = [Verdict("IPv4", "unknown", "not seen: iptables", "unknown")]
    text = page(answer(Space(key="this one", verdicts=OFF), *spaces, Space(key="shut", path="p", verdicts=blind)))
    assert text.startswith("Connection tracking is ON in 40 of 42 network namespaces, and not known in 1.\n")
    assert text.count("NAT, outward of Docker") == 1
    assert "WHY IT IS ON IN pod0, pod1, pod2, pod3, pod4, pod5 and 34 more" in text
    assert "shut: not seen: iptables." in text


def test_the_packet_and_what_it_took() -> None:
    proofs = [Proof("IPv4", True, "tracked: yes"), Proof("IPv6", None, "dropped")]
    text = page(answer(Space(key="web", path="p", verdicts=ON, holds=[HOLD])), web=proofs)
    assert "PROVED BY A PACKET\n  IPv4: tracked: yes.\n  IPv6: dropped.\n" in text
    assert "virtual links was made" in text


def test_what_brings_it_back_and_what_was_not_seen() -> None:
    back = Return(
        what="it calls nft", does="hooks", when="at boot", off="x", evidence=Origin("/etc/rc.local", 4, "nft")
    )
    hole = Hole("iptables-save", "there is no such program", "install it")
    text = page(answer(Space(key="a", verdicts=OFF, holes=[hole]), Space(key="b", verdicts=OFF), returns=[back]))
    assert "- It calls nft: turns it on at boot.\n    | /etc/rc.local:4: nft\n" in text
    assert "- iptables-save: there is no such program; install it (in a)\n" in text


@pytest.mark.parametrize("width", [40, 80, 140])
def test_hostile_names_stay_on_their_lines(width: int) -> None:
    evil = "\x1b]0;gone\x07\x1b[2J\nConnection tracking is off\u202e"
    hold = Hold(
        what=evil, by=(evil,), families=("IPv4",), without=evil, weight=1, basis="shown", source=evil, rules=1,
        where=(evil,), owner=evil, off=evil, shown=(evil,),
    )  # fmt: skip
    space = Space(key=evil, path=evil, who=evil, verdicts=ON, holds=[hold], holes=[Hole(evil, evil, evil)])
    back = Return(what=evil, does="loads", when=evil, off=evil, evidence=Origin(evil, 1, evil))
    for told in (answer(space, returns=[back]), answer(space, space, returns=[back])):
        text = page(told, width, **{evil: [Proof("IPv4", True, evil)]})
        assert all(line.isprintable() for line in text.splitlines())
        assert not any(line.startswith("Connection tracking is off") for line in text.splitlines())
        assert "\\x1b" in text


def test_the_object() -> None:
    told = json.loads(
        as_json(answer(Space(key="a", verdicts=ON, holds=[HOLD], count=3, inode=7)), {"a": [Proof("IPv4", True, "t")]})
    )
    (space,) = told["namespaces"]
    assert told["schema"] == "tablefull/why/1"
    assert space["active"]["IPv4"] == {"state": "yes", "why": "1 rule asks for it", "basis": "version"}
    assert (space["entries"], space["inode"], space["proofs"][0]["tracked"]) == (3, 7, True)
    assert space["reasons"][0]["shown"] == ["iptables -t nat -A POSTROUTING -j MASQUERADE"]


def test_what_two_looks_did_not_see_is_one_line() -> None:
    twice = [Hole("/proc/net/x", "permission denied", "run it as root"), Hole("nft", "as root; y", "as root")]
    text = page(
        answer(
            Space(key="this one", verdicts=OFF, holes=twice), holes=[Hole("/proc/net/x", "permission denied", "sudo")]
        )
    )
    assert text.count("/proc/net/x") == 1
    assert "nft: as root; y\n" in text


def test_where_no_packet_could_be_sent_none_is_claimed() -> None:
    space = Space(key="this one", verdicts=OFF)
    assert "was made in the namespace" not in page(
        answer(space), **{"this one": [Proof("IPv4", None, "not proved: x")]}
    )


def test_on_without_a_reason_says_how_it_is_known() -> None:
    full = [Verdict("IPv4", "yes", "the kernel printed that its table is full", "unknown"), OFF[1]]
    assert "IPv4: the kernel printed that its table is full" in page(answer(Space(key="this one", verdicts=full)))
    both = page(answer(Space(key="Dom0", verdicts=full), Space(key="DomU", verdicts=OFF)))
    assert "Dom0: the kernel printed that its table is full" in both


def test_of_evidence_nothing_is_said_of_a_configuration_that_was_not_read() -> None:
    text = page(answer(Space(key="Dom0", verdicts=ON), Space(key="DomU", verdicts=OFF), returns=None))
    assert text.startswith("Connection tracking is ON in 1 of 2 machines and namespaces shown.\n")
    assert "Nothing was found in its configuration" not in text
    assert "Not told: the configuration is read on the host itself" in text
    told = json.loads(as_json(answer(returns=None)))
    assert (told["returns"], told["configuration_read"]) == ([], False)
