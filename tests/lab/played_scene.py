"""A scene as it might have been played, by hand: half of the requests fail while the table refuses, none before or after."""

from tablefull.lab.course import Act, Asked, Cause, Counted, Diagnosed, Look, Played, Ran, Request

BEGINS = {"calm": 0.0, "cause": 2.0, "full": 4.0, "diagnose": 6.0, "fix": 6.5, "after": 7.0}
END_S = 10.0
LIMIT, BASE = 1000, 200
LINE = "[  100.000001] nf_conntrack: nf_conntrack: table full in netns 4026532384, dropping packet"


def acts() -> tuple[Act, ...]:
    ends = [*list(BEGINS.values())[1:], END_S]
    return tuple(Act(name, name.title(), begin, end) for (name, begin), end in zip(BEGINS.items(), ends, strict=True))


def looks() -> tuple[Look, ...]:
    """Four a second; full from 4 s on, refusing until 6.5 s, ten packets a look."""
    found, refused = [], 0
    for number in range(int(END_S * 4) + 1):
        at_s = number / 4
        refused += 10 if 4.0 < at_s <= 6.5 else 0
        count = 0 if at_s < 2 else min(LIMIT, BASE + int((at_s - 2) * 400))
        found.append(Look(at_s, count, LIMIT, refused, 0))
    return tuple(found)


def requests() -> tuple[Request, ...]:
    """Ten a second: one of two fails from 4 s to 6.5 s."""
    found = []
    for number in range(int(END_S * 10)):
        at_s = number / 10
        fails = 4.0 <= at_s < 6.5 and number % 2 == 1
        found.append(Request(at_s, 1500.0 if fails else 1.0, not fails))
    return tuple(found)


def played(**changes: object) -> Played:
    given: dict[str, object] = {
        "scene": "xen-dom0", "title": "A <b>host</b>", "machine": "dom0", "kernel": "6.18.44",
        "used": ("nginx serves",), "acts": acts(), "looks": looks(), "requests": requests(), "log": (LINE,),
        "limit": LIMIT, "base": BASE, "room": "lowered", "ran": (Ran("wrk -t1", "0 requests\x1b[2J\n", "before"),),
        "asked": Asked(("IPv4 yes", "IPv6 no"), ("stateful filter (iptables filter old)",)),
        "counted": Counted(998, 1000, False, (("tcp ESTABLISHED", 0.9), ("tcp TIME_WAIT", 0.1))),
        "diagnosed": Diagnosed(
            "yes", "Yes: full.", (Cause("unneeded-tracking", 0.94, "no rule <i>needs</i> it"),), ("disable-bridge-nf",)
        ),
        "fixed": ("tablefull fix disable-bridge-nf --apply",), "expected": ("unneeded-tracking",),
    }  # fmt: skip
    return Played(**(given | changes))  # type: ignore[arg-type]
