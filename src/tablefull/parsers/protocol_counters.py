"""Protocol counters: ``netstat -s``, ``nstat``, and the raw ``/proc/net/netstat`` and ``/proc/net/snmp``.

The trap: ``netstat -s`` says in a sentence what the kernel calls ``ListenOverflows``, and the sentence changed
between versions of net-tools ("ignored", "dropped"). A counter with a known sentence is named as ``nstat`` names it,
so that one rule reads all three; a sentence that is not known keeps its words.
"""

from collections.abc import Sequence
from itertools import pairwise

from tablefull.facts.counters import NetCounter
from tablefull.facts.origin import Fact
from tablefull.parsers.block import Context, Line, Read
from tablefull.parsers.numeral import whole

GROUP = "netstat -s"
SECTIONS = frozenset("Ip IpExt Icmp IcmpMsg Tcp TcpExt Udp UdpLite Ip6 Icmp6 Udp6 UdpLite6 Sctp MPTcpExt".split())
# net-tools, statistics.c: the sentences of the counters that rules or people ask for.
_SENTENCES = {
    "Tcp": {
        "active connection openings": "ActiveOpens",
        "active connections openings": "ActiveOpens",
        "passive connection openings": "PassiveOpens",
        "failed connection attempts": "AttemptFails",
        "connection resets received": "EstabResets",
        "connections established": "CurrEstab",
        "segments received": "InSegs",
        "segments sent out": "OutSegs",
        "segments send out": "OutSegs",
        "segments retransmitted": "RetransSegs",
        "segments retransmited": "RetransSegs",
        "bad segments received": "InErrs",
        "resets sent": "OutRsts",
    },
    "TcpExt": {
        "syn cookies sent": "SyncookiesSent",
        "syn cookies received": "SyncookiesRecv",
        "invalid syn cookies received": "SyncookiesFailed",
        "resets received for embryonic syn_recv sockets": "EmbryonicRsts",
        "packets pruned from receive queue because of socket buffer overrun": "PruneCalled",
        "packets pruned from receive queue": "RcvPruned",
        "packets dropped from out-of-order queue because of socket buffer overrun": "OfoPruned",
        "tcp sockets finished time wait in fast timer": "TW",
        "tcp sockets finished time wait in slow timer": "TWKilled",
        "time wait sockets recycled by time stamp": "TWRecycled",
        "times the listen queue of a socket overflowed": "ListenOverflows",
        "syns to listen sockets dropped": "ListenDrops",
        "syns to listen sockets ignored": "ListenDrops",
        "connections reset due to unexpected data": "TCPAbortOnData",
        "connections reset due to early user close": "TCPAbortOnClose",
        "connections aborted due to memory pressure": "TCPAbortOnMemory",
        "connections aborted due to timeout": "TCPAbortOnTimeout",
        "delayed acks sent": "DelayedACKs",
        "passive connections rejected because of time stamp": "PAWSPassive",
        "packets rejects in established connections because of timestamp": "PAWSEstab",
        "packets rejected in established connections because of timestamp": "PAWSEstab",
    },
    "Ip": {
        "total packets received": "InReceives",
        "forwarded": "ForwDatagrams",
        "incoming packets discarded": "InDiscards",
        "incoming packets delivered": "InDelivers",
        "requests sent out": "OutRequests",
        "outgoing packets dropped": "OutDiscards",
        "dropped because of missing route": "OutNoRoutes",
    },
    "Udp": {
        "packets received": "InDatagrams",
        "packets to unknown port received": "NoPorts",
        "packet receive errors": "InErrors",
        "packets sent": "OutDatagrams",
        "receive buffer errors": "RcvbufErrors",
        "send buffer errors": "SndbufErrors",
    },
}


def _named(section: str, words: str) -> str:
    """``nstat``'s name of a sentence, or the sentence."""
    plain = words.strip().rstrip(".").lower()
    table = _SENTENCES.get(section, {})
    known = table.get(plain) or table.get(
        plain.replace("syn to ", "syns to ").replace("connection ", "connections ", 1)
    )
    if known is None and not plain.startswith("packets"):
        known = table.get(plain.replace("packet ", "packets ", 1))
    return f"{section}{known}" if known else words.strip()


def _counter(section: str, text: str) -> tuple[str, int] | None:
    """Name and value of one line below a section; None for another line."""
    stripped = text.strip()
    head, _, rest = stripped.partition(" ")
    value = whole(head)
    if value is not None and rest.strip():
        return _named(section, rest), value
    name, colon, number = stripped.rpartition(":")
    value = whole(number.strip()) if colon else None
    if value is not None and name:
        bare = name.strip()
        return (f"{section}{bare}" if " " not in bare else bare), value
    words = stripped.split()
    for before, word in pairwise(words[1:16]):
        value = whole(before) if word == "times" else None
        if value is not None:
            return " ".join(w for w in words if w != before), value
    return None


def _sentences(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """``netstat -s`` from a section's title to the first line that is neither a counter nor a title."""
    section = ""
    indented: bool | None = None
    facts: list[Fact] = []
    here = at
    while here < len(lines):
        text = lines[here].text
        title = text.strip().removesuffix(":")
        if title in SECTIONS and text.strip().endswith(":"):
            section, indented = title, None
            here += 1
            continue
        inside = text[:1] in (" ", "\t")
        indented = inside if indented is None else indented
        pair = _counter(section, text) if section and inside >= indented and len(text) < 200 else None
        if pair is None:
            subtitle = inside and text.rstrip().endswith("histogram:")
            if not subtitle:
                break
        else:
            facts.append(NetCounter(origin=context.origin(lines[here]), group=GROUP, name=pair[0], value=pair[1]))
        here += 1
    return Read(here - at, facts) if here > at else None


def _raw(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Pairs of lines of ``/proc/net/netstat``: names, then numbers, under the same title.

    Negative numbers are left out.
    """
    here = at
    facts: list[Fact] = []
    while here + 1 < len(lines):
        title, colon, names = lines[here].text.partition(":")
        second, _, numbers = lines[here + 1].text.partition(":")
        keys = names.split()
        if (
            not colon
            or title not in SECTIONS
            or second != title
            or not keys
            or not keys[0].isalnum()
            or keys[0].isdigit()
        ):
            break
        for key, word in zip(keys, numbers.split(), strict=False):
            value = whole(word)
            if value is not None:
                facts.append(
                    NetCounter(origin=context.origin(lines[here + 1]), group=GROUP, name=f"{title}{key}", value=value)
                )
        if not facts:
            break
        here += 2
    return Read(here - at, facts) if facts else None


def _nstat(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Rows of ``nstat``: name, count, rate."""
    here = at
    facts: list[Fact] = []
    while here < len(lines):
        words = lines[here].text.split()
        if words == ["#kernel"]:
            here += 1
            continue
        value = whole(words[1]) if len(words) == 3 and "." in words[2] else None
        prefix = next(
            (
                s
                for s in ("TcpExt", "IpExt", "MPTcpExt", "Tcp", "Icmp", "Ip", "Udp", "Sctp")
                if words and words[0].startswith(s)
            ),
            None,
        )
        if value is None or prefix is None or not words[2].replace(".", "", 1).isdigit():
            break
        facts.append(NetCounter(origin=context.origin(lines[here]), group=GROUP, name=words[0], value=value))
        here += 1
    return Read(here - at, facts) if here > at else None


def _grepped(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Sentences of TCP without their section, as ``netstat -s | grep`` leaves them; only sentences that are known."""
    here = at
    facts: list[Fact] = []
    while here < len(lines) and len(lines[here].text) < 200:
        head, _, rest = lines[here].text.strip().partition(" ")
        value = whole(head)
        names = [_named(section, rest) for section in ("TcpExt", "Tcp")] if value is not None and rest.strip() else []
        name = next((name for name in names if name.startswith("Tcp") and " " not in name), None)
        if value is None or name is None:
            break
        facts.append(NetCounter(origin=context.origin(lines[here]), group=GROUP, name=name, value=value))
        here += 1
    return Read(here - at, facts) if here > at else None


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Counters in any of the forms above."""
    title, colon, rest = lines[at].text.strip().partition(":")
    if colon and title in SECTIONS:
        return _raw(lines, at, context) if rest.strip() else _sentences(lines, at, context)
    return _nstat(lines, at, context) or _grepped(lines, at, context)
