"""Quantities people state in sentences: loads, limits, counts, memory. Read as facts of a lower standing.

The trap: prose is full of numbers. A number becomes a fact only beside a word that says what it counts.
"""

import re
from collections.abc import Iterator

from tablefull.facts.claims import Claim
from tablefull.facts.entry import EntryCount
from tablefull.facts.origin import Fact
from tablefull.facts.settings import Setting
from tablefull.kernel.sysctls import canonical
from tablefull.parsers.block import Context, Line
from tablefull.parsers.pattern import lazy

_SCALE = {
    "": 1.0,
    "k": 1e3,
    "m": 1e6,
    "b": 1e9,
    "g": 1e9,
    "thousand": 1e3,
    "million": 1e6,
    "mln": 1e6,
    "mil": 1e6,
    "billion": 1e9,
}
_PER = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hr": 3600.0,
    "hour": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
    "week": 604800.0,
    "month": 2629800.0,
}
_SHORT = {"qps": "query", "rps": "request", "cps": "connection", "pps": "packet", "tps": "request"}
_NOUNS = {
    "hit": "hit",
    "request": "request",
    "req": "request",
    "reqs": "request",
    "query": "query",
    "querie": "query",
    "connection": "connection",
    "conn": "connection",
    "session": "connection",
    "flow": "connection",
    "socket": "connection",
    "packet": "packet",
    "pkt": "packet",
    "client": "client",
    "user": "user",
    "visitor": "user",
    "player": "client",
    "peer": "client",
    "pod": "pod",
    "container": "container",
    "entry": "entry",
    "entrie": "entry",
    "message": "message",
    "event": "event",
    "core": "core",
    "cpu": "core",
    "visit": "hit",
    "pageview": "hit",
    "lookup": "query",
    "call": "request",
    "msg": "message",
    "vcpu": "core",
}
_DAILY = {"daily": 86400.0, "hourly": 3600.0, "weekly": 604800.0}
# A number that is no part of a date, an address, a version or a name; the upper end of a range.
_NUMBER = (
    r"(?<![\w.,:/-])(?:\d[\d.,]{0,11}[kKmM]?\s?(?:-|–|~|to\s|and\s)\s?)?"
    r"(?P<number>\d{1,3}(?:,\d{3}){1,4}|\d{1,15}(?:[.,]\d{1,3})?)\s?"
)
_SCALED = r"(?P<scale>[kKmMbB](?![a-zA-Z])|thousand|million|mln|billion)?\+?"
_ADJECTIVES = (
    r"(?:(?:concurrent|http|https|dns|tcp|udp|new|active|open|simultaneous|established|parallel|unique"
    r"|conntrack|client|tracked|web"
    r"|api|total|keep-?alive|incoming|outgoing|log|syslog|legitimate|physical|logical|page)\s){0,3}"
)
_STATED = lazy(
    _NUMBER + _SCALED + r"[\s-]{0,2}" + _ADJECTIVES + r"(?P<noun>[a-z]{3,11}?)s?\b"
    r"(?:\s{0,2}(?:/|per\s|a\s|an\s|each\s|every\s|p/)\s{0,2}(?P<per>[a-z]{1,6})\b|\s(?P<daily>daily|hourly"
    r"|weekly)\b)?",
    re.IGNORECASE | re.ASCII,
)
_RATE_WORD = lazy(_NUMBER + r"(?P<scale>[kmg])?\s?(?P<short>qps|rps|cps|pps|tps)\b", re.IGNORECASE | re.ASCII)
_PLACES = (
    "port",
    "ports",
    "version",
    "kernel",
    "linux",
    "ubuntu",
    "debian",
    "centos",
    "rhel",
    "#",
    "issue",
    "pid",
    "line",
    "bug",
    "http",
)
_NAMES = (
    r"(?P<name>(?:net\.[\w.]{3,80}|/proc/sys/[\w./-]{3,100}|(?:nf|ip)_conntrack_(?:max|count|buckets|expect_max"
    r"|tcp_timeout_\w{2,20}"
    r"|udp_timeout\w{0,10}|generic_timeout)|conntrack_max|hashsize))"
)
_FIGURE = r"~?(?P<value>\d{1,3}(?:,\d{3}){1,4}|\d{1,12})(?P<scale>[kKmM])?\b"
_SAID_SETTING = lazy(
    _NAMES + r"[\"'`)]{0,2}\s{1,3}(?:(?:value|setting|limit|it)\s)?"
    r"(?:is|was|=|at|of|to|shows|reads|equals|currently|has|reports|reached|stands"
    r"|from \d{1,12} to)\s(?:(?:currently|only|about|around|just"
    r"|now|the|default,?|set|at|to|by|value|still|already|a|of|up|raised|increased|showing|near|roughly|exactly"
    r"|~)\s){0,4}"
    + _FIGURE,
    re.ASCII,
)  # fmt: skip
_SAID_BRIEFLY = lazy(_NAMES + r"[\"'`)]{0,2}\s{0,3}(?:[=:]|是|为|等于)\s{0,3}" + _FIGURE, re.ASCII)
_TIMEOUT_SAID = lazy(
    r"\b(?P<state>established|time[_ -]?wait|close[_ -]?wait|fin[_ -]?wait|syn[_ -]?sent|syn[_ -]?recv"
    r"|last[_ -]?ack|generic|udp stream|udp)"
    r"\s(?:timeout|ttl)\s(?:is|was|of|=|at|stands at)\s(?:still\s|the default\s|set to\s"
    r"|default\s)?(?P<value>\d{1,9})\s?(?P<unit>s\b|sec|min|hour|day)?",
    re.IGNORECASE,
)
_PAIR = lazy(
    r"(?<![\d./:-])(?P<count>\d{2,3}(?:,\d{3}){1,4}|\d{2,9}|\d{1,4}[kK]\+?)\s?(?P<between>/|of|out of)\s?"
    r"(?P<max>\d{1,3}(?:,\d{3}){1,4}|\d{3,9}|\d{1,4}[kK])(?![\d./:-])"
)
_PAIR_WORDS = ("conntrack", "state used", "table", "connections", "tracked", "entries", "sessions", "nat ", "counter")
_TABLE_WORDS = ("conntrack", "table", "tracked", "entries", "state used")
_UNITS_S = {"s": 1, "sec": 1, "min": 60, "hour": 3600, "day": 86400}
_TIMEOUT_NAMES = {"udp": "udp_timeout", "udp_stream": "udp_timeout_stream", "generic": "generic_timeout"}
MAX_SENTENCE = 4000  # characters; a longer line is not a sentence


def _number(text: str, scale: str | None) -> float:
    head, mark, tail = text.partition(",")
    decimal = bool(mark) and (len(tail) != 3 or len(head) > 3) and "," not in tail
    return float(text.replace(",", "." if decimal else "")) * _SCALE[(scale or "").lower()]


def _whole(text: str) -> int:
    text = text.rstrip("+").replace(",", "")
    return int(text[:-1]) * 1000 if text[-1] in "kK" else int(text)


def claims(line: Line, context: Context) -> list[Fact]:
    """Every stated quantity of one sentence line, as claims, stated settings and counts."""
    text = line.text
    if len(text) > MAX_SENTENCE or not any(letter.isdigit() for letter in text):
        return []
    lowered = text.lower()
    facts: list[Fact] = list(_quantities(text, lowered, line, context))
    if "conntrack" in lowered or "net." in lowered or "hashsize" in lowered or "/proc/sys" in lowered:
        facts += _said(text, line, context)
    if "timeout" in lowered or " ttl" in lowered:
        facts += _timeouts(text, line, context)
    if any(word in lowered for word in _PAIR_WORDS):
        facts += _pair(text, lowered, line, context)
    return facts


def _quantities(text: str, lowered: str, line: Line, context: Context) -> Iterator[Fact]:
    origin = context.origin(line)
    if any(short in lowered for short in _SHORT):
        for match in _RATE_WORD.finditer(text):
            value = _number(match["number"], match["scale"])
            yield Claim(origin=origin, quantity=_SHORT[match["short"].lower()], value=value, per_s=value)
    if not any(noun in lowered for noun in _NOUNS):
        return
    for match in _STATED.finditer(text):
        quantity = _NOUNS.get(match["noun"].lower())
        if quantity is None or lowered[: match.start()].rstrip(" :").endswith(_PLACES):
            continue
        value = _number(match["number"], match["scale"])
        per = _PER.get((match["per"] or "").lower()) or _DAILY.get((match["daily"] or "").lower())
        if per is None and value % 1:
            continue  # "HTTP 1.1 requests": half a thing is not counted
        yield Claim(origin=origin, quantity=quantity, value=value, per_s=value / per if per else None)


def _said(text: str, line: Line, context: Context) -> Iterator[Fact]:
    patterns = [_SAID_SETTING]
    if "sysctl" not in text and ("=" in text or ":" in text or not text.isascii()):
        patterns.append(_SAID_BRIEFLY)
    for pattern in patterns:
        for match in pattern.finditer(text):
            number = int(_number(match["value"], match["scale"]))
            name = match["name"].rstrip(".")
            if name == "conntrack_max":
                name = "nf_conntrack_max"
            yield Setting(
                origin=context.origin(line),
                name=canonical(name),
                spelled=match["name"],
                value=match["value"],
                number=number,
                standing="stated",
            )


def _timeouts(text: str, line: Line, context: Context) -> Iterator[Fact]:
    for match in _TIMEOUT_SAID.finditer(text):
        word = match["state"].lower().replace(" ", "_").replace("-", "_")
        for joined, apart in (
            ("timew", "time_w"),
            ("closew", "close_w"),
            ("finw", "fin_w"),
            ("syns", "syn_s"),
            ("synr", "syn_r"),
            ("lasta", "last_a"),
        ):
            word = word.replace(joined, apart)
        name = "nf_conntrack_" + _TIMEOUT_NAMES.get(word, f"tcp_timeout_{word}")
        seconds = int(match["value"]) * _UNITS_S[(match["unit"] or "s").lower()]
        yield Setting(
            origin=context.origin(line),
            name=name,
            spelled=match[0],
            value=match["value"],
            number=seconds,
            standing="stated",
        )


def _pair(text: str, lowered: str, line: Line, context: Context) -> list[Fact]:
    """A count beside its limit: ``(151335/262144)``, ``15k+/16384``; empty where two numbers mean something else."""
    origin = context.origin(line)
    for match in _PAIR.finditer(text):
        count, maximum = _whole(match["count"]), _whole(match["max"])
        if match["between"] != "/" and not any(word in lowered for word in _TABLE_WORDS):
            continue
        if count <= 31 and 1990 <= maximum < 2100:
            continue  # a month and a year
        if 0 < count <= maximum * 1.02 and maximum >= 256 and (maximum >= 1000 or "conntrack" in lowered):
            return [
                EntryCount(origin=origin, count=count, how="count"),
                Setting(
                    origin=origin,
                    name="nf_conntrack_max",
                    spelled=match[0],
                    value=match["max"],
                    number=maximum,
                    standing="stated",
                ),
            ]
    return []
