"""Quantities people state in sentences: loads, limits, counts, memory. Read as facts of a lower standing.

The trap: prose is full of numbers. A number becomes a fact only beside a word that says what it counts.
"""

import re

from tablefull.facts.claims import Claim
from tablefull.facts.entry import EntryCount
from tablefull.facts.origin import Fact
from tablefull.facts.settings import Setting
from tablefull.kernel.sysctls import canonical
from tablefull.parsers.block import Context, Line

_SCALE = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "thousand": 1e3, "million": 1e6, "mln": 1e6, "mil": 1e6, "billion": 1e9}
_PER = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hr": 3600.0, "hour": 3600.0,
    "d": 86400.0, "day": 86400.0, "week": 604800.0, "month": 2629800.0,
}
_SHORT = {"qps": "query", "rps": "request", "cps": "connection", "pps": "packet", "tps": "request"}
_NOUNS = {
    "hit": "hit", "request": "request", "req": "request", "reqs": "request", "query": "query", "querie": "query", "connection": "connection",
    "conn": "connection", "session": "connection", "flow": "connection", "socket": "connection", "packet": "packet", "pkt": "packet",
    "client": "client", "user": "user", "visitor": "user", "player": "client", "peer": "client", "pod": "pod", "container": "container",
    "entry": "entry", "entrie": "entry", "message": "message", "event": "event", "core": "core", "cpu": "core", "visit": "hit", "pageview": "hit",
    "lookup": "query", "call": "request",
}
_NUMBER = r"(?P<number>\d{1,3}(?:,\d{3})+|\d{1,15}(?:\.\d{1,3})?)\s?(?P<scale>[kKmMbB](?![a-zA-Z])|thousand|million|mln|billion)?\+?"
_STATED = re.compile(
    _NUMBER + r"[\s-]{0,2}(?P<adjectives>(?:(?:concurrent|http|https|dns|tcp|udp|new|active|open|simultaneous|established|parallel|unique|"
    r"conntrack|client|tracked|web|api|total|keep-?alive|incoming|outgoing|log|syslog)\s){0,3})"
    r"(?P<noun>[a-zA-Z]{3,11}?)s?\b(?:\s{0,2}(?:/|per\s|a\s|an\s|each\s|every\s|p/)\s{0,2}(?P<per>[a-zA-Z]{1,6})\b)?",
    re.IGNORECASE,
)
_RATE_WORD = re.compile(_NUMBER + r"\s?(?P<short>qps|rps|cps|pps|tps)\b", re.IGNORECASE)
_SAID_SETTING = re.compile(
    r"(?P<name>(?:net\.[\w.]{3,80}|/proc/sys/[\w./-]{3,100}|(?:nf|ip)_conntrack_(?:max|count|buckets|expect_max|tcp_timeout_\w{2,20}|udp_timeout\w{0,10}"
    r"|generic_timeout)|conntrack_max|hashsize))[\"'`)]{0,2}\s{1,3}(?:(?:value|setting|limit|it)\s)?"
    r"(?:is|was|=|at|of|to|shows|reads|equals|currently|has|reports|reached|stands|from \d+ to)\s(?:(?:currently|only|about|around|just|now|the|default,?|set|"
    r"at|to|by|value|still|already|a|of|up|raised|increased|showing|near|roughly|exactly|~)\s){0,4}~?(?P<value>\d{1,3}(?:,\d{3})+|\d{1,12})(?P<scale>[kKmM])?\b"
)
_TIMEOUT_SAID = re.compile(
    r"\b(?P<state>established|time[_ -]?wait|close[_ -]?wait|fin[_ -]?wait|syn[_ -]?sent|syn[_ -]?recv|last[_ -]?ack|generic|udp stream|udp)\s(?:timeout|ttl)\s"
    r"(?:is|was|of|=|at|stands at)\s(?:still\s|the default\s|set to\s|default\s)?(?P<value>\d{1,9})\s?(?P<unit>s\b|sec|min|hour|day)?", re.IGNORECASE
)
_PAIR = re.compile(r"(?<![\d./:-])(?P<count>\d{2,3}(?:,\d{3})+|\d{2,9}|\d{1,4}[kK]\+?)\s?(?:/|of|out of)\s?(?P<max>\d{1,3}(?:,\d{3})+|\d{3,9}|\d{1,4}[kK])(?![\d./:-])")
_PAIR_WORDS = ("conntrack", "state used", "table", "connections", "tracked", "entries", "sessions", "nat ", "counter")
_UNITS_S = {"s": 1, "sec": 1, "min": 60, "hour": 3600, "day": 86400}


def _number(text: str, scale: str | None) -> float:
    return float(text.replace(",", "")) * _SCALE[(scale or "").lower()]


def _whole(text: str) -> int:
    text = text.rstrip("+").replace(",", "")
    return int(float(text[:-1]) * 1000) if text[-1] in "kK" else int(text)


def claims(line: Line, context: Context) -> list[Fact]:
    """Every stated quantity of one sentence line, as claims, stated settings and counts."""
    text = line.text
    if len(text) > 4000 or not any(letter.isdigit() for letter in text):
        return []
    facts: list[Fact] = []
    origin = context.origin(line)
    for match in _RATE_WORD.finditer(text):
        value = _number(match["number"], match["scale"])
        facts.append(Claim(origin=origin, quantity=_SHORT[match["short"].lower()], value=value, per_s=value))
    for match in _STATED.finditer(text):
        quantity = _NOUNS.get(match["noun"].lower())
        if quantity is None:
            continue
        value = _number(match["number"], match["scale"])
        per = _PER.get((match["per"] or "").lower())
        facts.append(Claim(origin=origin, quantity=quantity, value=value, per_s=value / per if per else None))
    for match in _SAID_SETTING.finditer(text):
        number = int(_number(match["value"], match["scale"]))
        name = match["name"].rstrip(".")
        if name == "conntrack_max":
            name = "nf_conntrack_max"
        facts.append(Setting(origin=origin, name=canonical(name), spelled=match["name"], value=match["value"], number=number, standing="stated"))
    for match in _TIMEOUT_SAID.finditer(text):
        word = match["state"].lower().replace(" ", "_").replace("-", "_").replace("timewait", "time_wait")
        plain = word.replace("closewait", "close_wait").replace("finwait", "fin_wait").replace("synsent", "syn_sent").replace("synrecv", "syn_recv")
        name = {"udp": "nf_conntrack_udp_timeout", "udp_stream": "nf_conntrack_udp_timeout_stream", "generic": "nf_conntrack_generic_timeout"}.get(
            plain, f"nf_conntrack_tcp_timeout_{plain}")
        seconds = int(match["value"]) * _UNITS_S[(match["unit"] or "s").lower()]
        facts.append(Setting(origin=origin, name=name, spelled=match[0], value=match["value"], number=seconds, standing="stated"))
    lowered = text.lower()
    if any(word in lowered for word in _PAIR_WORDS):
        for match in _PAIR.finditer(text):
            count, maximum = _whole(match["count"]), _whole(match["max"])
            if 0 < count <= maximum * 1.02 and maximum >= 256 and (maximum >= 1000 or "conntrack" in lowered):
                facts.append(EntryCount(origin=origin, count=count, how="count"))
                facts.append(Setting(origin=origin, name="nf_conntrack_max", spelled=match[0], value=match["max"], number=maximum, standing="stated"))
                break
    return facts
