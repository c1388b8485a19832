"""Sockets by state: ``ss -s``, rows of ``ss`` and ``netstat``, ``sort | uniq -c`` of either, ``/proc/net/sockstat``.

The trap: the same count of states is made of sockets and of entries (``awk '{print $4}' /proc/net/nf_conntrack | sort
| uniq -c``), and the two disagree exactly where it matters. Only the command tells them apart, or a word that only
entries have.
"""

import re
from collections import Counter
from collections.abc import Sequence

from tablefull.facts.counters import EntryStates, NetCounter, SocketStates
from tablefull.facts.origin import Fact
from tablefull.parsers.block import Context, Line, Read
from tablefull.parsers.numeral import whole

# As netstat prints them; ss has its own spelling of the same states.
STATES = {
    "ESTABLISHED": "ESTABLISHED",
    "ESTAB": "ESTABLISHED",
    "SYN_SENT": "SYN_SENT",
    "SYN-SENT": "SYN_SENT",
    "SYN_RECV": "SYN_RECV",
    "SYN-RECV": "SYN_RECV",
    "SYN_RECEIVED": "SYN_RECV",
    "FIN_WAIT1": "FIN_WAIT1",
    "FIN-WAIT-1": "FIN_WAIT1",
    "FIN_WAIT_1": "FIN_WAIT1",
    "FIN_WAIT2": "FIN_WAIT2",
    "FIN-WAIT-2": "FIN_WAIT2",
    "FIN_WAIT_2": "FIN_WAIT2",
    "FIN_WAIT": "FIN_WAIT",
    "TIME_WAIT": "TIME_WAIT",
    "TIME-WAIT": "TIME_WAIT",
    "CLOSE": "CLOSE",
    "CLOSED": "CLOSE",
    "CLOSE_WAIT": "CLOSE_WAIT",
    "CLOSE-WAIT": "CLOSE_WAIT",
    "LAST_ACK": "LAST_ACK",
    "LAST-ACK": "LAST_ACK",
    "LISTEN": "LISTEN",
    "CLOSING": "CLOSING",
    "UNCONN": "UNCONN",
    "SYN_SENT2": "SYN_SENT2",
    "[UNREPLIED]": "UNREPLIED",
    "UNREPLIED": "UNREPLIED",
    "[ASSURED]": "ASSURED",
    "NEW_SYN_RECV": "SYN_RECV",
}
_OF_ENTRIES = frozenset(("SYN_SENT2", "UNREPLIED", "ASSURED", "FIN_WAIT"))
# What `netstat | awk '{print $6}' | sort | uniq -c` counts beside the states: words of the header and unix sockets.
_REMNANTS = frozenset(
    (
        "established)",
        "foreign",
        "address",
        "state",
        "servers)",
        "connected",
        "stream",
        "dgram",
        "[",
        "]",
        "and",
        "i-node",
        "peer",
        "(servers",
        "recv-q",
        "local",
        "netid",
        "state)",
        "seqpacket",
    )
)
_MOST_REMNANTS = 8
_SUMMARY = re.compile(
    r"TCP:\s{1,8}(?P<total>[0-9]{1,12})\s{1,4}\((?P<inside>[^)]{0,300})\)?(?:,\s{1,4}ports\s(?P<ports>[0-9]{1,9}))?"
)
_TOTAL = re.compile(r"Total:\s{1,8}(?P<total>[0-9]{1,12})(?:\s{1,4}\(kernel\s(?P<kernel>[0-9]{1,12})\))?$")
_SS_NAMES = {"estab": "ESTABLISHED", "synrecv": "SYN_RECV", "timewait": "TIME_WAIT"}
_SOCKSTAT = frozenset(("sockets", "TCP", "TCP6", "UDP", "UDP6", "UDPLITE", "UDPLITE6", "RAW", "RAW6", "FRAG", "FRAG6"))


def _summary(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """``ss -s``: totals, the line of TCP, and the table of transports behind it."""
    here = at
    facts: list[Fact] = []
    total = _TOTAL.match(lines[at].text.strip())
    if total:
        facts.append(
            NetCounter(origin=context.origin(lines[at]), group="ss -s", name="total", value=int(total["total"]))
        )
        here += 1
        if here == len(lines):
            return Read(1, facts) if total["kernel"] or "ss" in (context.command or "").split() else None
    line = lines[here]
    tcp = _SUMMARY.match(line.text.strip())
    if tcp is None:
        return Read(1, facts) if total and total["kernel"] else None
    facts.append(NetCounter(origin=context.origin(line), group="ss -s", name="TCP", value=int(tcp["total"])))
    states: dict[str, int] = {}
    for piece in tcp["inside"].split(","):
        words = piece.split()
        value = whole(words[1].partition("/")[0]) if len(words) == 2 else None
        if value is None:
            continue
        facts.append(NetCounter(origin=context.origin(line), group="ss -s", name=words[0], value=value))
        if words[0] in _SS_NAMES:
            states[_SS_NAMES[words[0]]] = value
    if states:
        facts.append(SocketStates(origin=context.origin(line), tool="ss -s", by_state=states))
    here += 1
    after = here + 1 if here < len(lines) and not lines[here].text.strip() else here
    if after < len(lines) and lines[after].text.split()[:2] == ["Transport", "Total"]:
        here = after + 1
        while here < len(lines):
            words = lines[here].text.split()
            if len(words) != 4 or any(whole(word) is None for word in words[1:]):
                break
            here += 1
    return Read(here - at, facts)


def _sockstat(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """``/proc/net/sockstat``: counters named ``TCP orphan``, ``TCP tw``, ``sockets used``."""
    here = at
    facts: list[Fact] = []
    while here < len(lines):
        name, colon, rest = lines[here].text.partition(":")
        words = rest.split()
        if not colon or name.strip() not in _SOCKSTAT or len(words) < 2 or words[0] not in ("inuse", "used"):
            break
        for field, word in zip(words[::2], words[1::2], strict=False):
            value = whole(word)
            if value is not None:
                facts.append(
                    NetCounter(
                        origin=context.origin(lines[here]),
                        group="sockstat",
                        name=f"{name.strip()} {field}",
                        value=value,
                    )
                )
        here += 1
    return Read(here - at, facts) if facts else None


def _tally(text: str) -> tuple[str, int] | None:
    """Word and number of a line that is one of each, in either order; None for another line."""
    words = text.replace("=", " ").replace(":", " ").rstrip(", ").split() if len(text) < 80 else []
    if len(words) == 1:
        number = whole(words[0])
        return None if number is None else ("", number)
    if len(words) != 2:
        return None
    for word, number in ((words[1], whole(words[0])), (words[0], whole(words[1]))):
        if number is not None:
            return word, number
    return None


def _tallies(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Counts of states, one a line."""
    by_state: dict[str, int] = {}
    here = last = at
    while here < len(lines):
        pair = _tally(lines[here].text)
        if pair is None:
            break
        state = STATES.get(pair[0].upper()) or STATES.get(pair[0].upper().strip("[]\"'"))
        if state is not None:
            by_state[state] = by_state.get(state, 0) + pair[1]
            last = here + 1
        elif (pair[0] and pair[0].lower() not in _REMNANTS) or (not by_state and here - at >= _MOST_REMNANTS):
            break
        here += 1
    if not by_state:
        return None
    command = context.command or ""
    origin = context.origin(lines[at])
    if "conntrack" in command or _OF_ENTRIES & by_state.keys():
        return Read(last - at, [EntryStates(origin=origin, by_state=by_state)])
    words = command.replace("|", " ").split()
    tool = "netstat" if "netstat" in words else "ss" if "ss" in words else "unknown"
    return Read(last - at, [SocketStates(origin=origin, tool=tool, by_state=by_state)])


def _row(words: Sequence[str]) -> tuple[str, str | None] | None:
    """(tool, state) of a row; the state is None for a socket that is not TCP. None for a line that is no row."""
    if len(words) < 5:
        return None
    if (
        words[0].startswith(("tcp", "udp", "raw"))
        and len(words[0]) <= 8
        and whole(words[1]) is not None
        and whole(words[2]) is not None
    ):
        if not words[0].startswith("tcp"):
            return "netstat", None
        return ("netstat", STATES[words[5]]) if len(words) > 5 and words[5] in STATES else None
    if words[0] in STATES and whole(words[1]) is not None and whole(words[2]) is not None:
        return "ss", STATES[words[0]]
    if len(words) > 5 and words[1] in STATES and whole(words[2]) is not None and whole(words[3]) is not None:
        return "ss", STATES[words[1]] if words[0].startswith("tcp") else None
    return None


def _headed(text: str) -> bool:
    """True for the header lines of either tool."""
    words = text.split()
    return text.startswith("Active Internet connections") or (
        "Recv-Q" in words and ("State" in words or "Proto" in words or "Local" in words)
    )


def _rows(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Rows of ``ss`` or ``netstat``, counted by state; the second lines of ``ss -i`` and ``-p`` are read past."""
    by_state: Counter[str] = Counter()
    tool: str | None = None
    headed = False
    here = at
    while here < len(lines):
        text = lines[here].text.strip()
        row = _row(text.split())
        if row is None:
            if _headed(text):
                headed = True
            elif not (tool and (text.startswith(("cubic ", "users:(", "bbr ", "reno ", "Active UNIX")))):
                break
        else:
            tool = tool or row[0]
            if row[1] is not None and row[1] != "UNCONN":
                by_state[row[1]] += 1
        here += 1
    if here == at or not (headed or tool):
        return None
    if not by_state:
        return Read(here - at, [])
    return Read(
        here - at, [SocketStates(origin=context.origin(lines[at]), tool=tool or "unknown", by_state=dict(by_state))]
    )


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Socket counts in any of the forms above."""
    text = lines[at].text
    if len(text) > 1000 or not text.strip():
        return None
    return (
        _summary(lines, at, context)
        or _sockstat(lines, at, context)
        or _tallies(lines, at, context)
        or _rows(lines, at, context)
    )
