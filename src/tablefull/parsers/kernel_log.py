"""Lines of the kernel's log under any prefix: dmesg, syslog, journal, logread, container and JSON wrappings.

The trap: the same words stand in sentences ("we see table full, dropping packet in dmesg"). What is left of a line after the
prefixes it is known to have decides whether the message was printed here or is cited; both are kept, told apart.
"""

import re
from collections.abc import Sequence

from tablefull.facts.kernel_log import LogLine, Stamp
from tablefull.parsers.block import Context, Line, Read

# Needle → kind, first match wins. Kinds are ids of kernel.messages.KINDS.
NEEDLES: tuple[tuple[str, str], ...] = (
    ("expectation table full", "expectation-full"),
    ("conntrack: table full", "table-full"),
    ("conntrack:table full", "table-full"),
    ("conntrack table full", "table-full"),
    ("table full, dropping packet", "table-full"),
    ("maximum limit of", "ip-conntrack-max"),
    ("callbacks suppressed", "suppressed"),
    ("messages suppressed", "suppressed"),
    ("falling back to vmalloc", "vmalloc"),
    ("automatic helper assignment", "helper-off"),
    ("conntrack version", "conntrack-version"),
    ("nf_ct_tcp: ", "ct-invalid"),
    ("nf_ct_proto_", "ct-invalid"),
    ("neighbor table overflow", "neighbour-overflow"),
    ("neighbour table overflow", "neighbour-overflow"),
    ("eighbour: arp_cache", "neighbour-overflow"),
    ("time wait bucket table overflow", "time-wait-overflow"),
    ("too many orphaned sockets", "orphans"),
    ("too many of orphaned sockets", "orphans"),
    ("TCP: out of memory", "tcp-memory"),
    ("ut of socket memory", "tcp-memory"),
    ("ossible SYN flooding", "syn-flooding"),
    ("dst cache overflow", "dst-cache-overflow"),
    ("page allocation failure", "page-allocation"),
    ("ut of memory: Kill", "oom-kill"),
    ("invoked oom-killer", "oom-kill"),
    ("martian source", "martian"),
    ("filtering via arp/ip/ip6tables", "bridge-filtering"),
    ("UDP: bad checksum", "udp-checksum"),
)

_MONTHS = {name: number for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_CLOCK = r"(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
_UPTIME = re.compile(r"\[\s{0,8}(\d{1,12}\.\d{1,9})\]")
_ISO = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d)[T ]" + _CLOCK + r"\s?(?:Z\b|UTC\b|[+-]\d\d:?\d\d\b)?")
_BSD = re.compile(r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),?\s)?([A-Z][a-z]{2})\s{1,2}(\d{1,2}),?\s(?:(\d{4})\s)?" + _CLOCK
                  + r"(?:\s(?:(\d{4})|[A-Z]{3,4}\s(\d{4})))?")
# Prefix tokens that say nothing more: priority, facility, caller, brackets, list marks, file names of grep, container wrappings.
_NOISE = re.compile(
    r"(?:[\s\[\]|:*-]{1,8}|<\d{1,3}>\d?|[a-z0-9]{1,8}\.(?:emerg|alert|crit|err|error|warn|warning|notice|info|debug)\b"
    r"|\[?[TC]\d{1,7}\]|(?:stdout|stderr)\s[FP]\b|\d{1,9}(?=\s)|\(?\s?\d{1,9}\s?\)?:(?=\s)"
    r"|/?(?:[\w.-]{1,64}/){0,12}(?:messages|syslog|kern|kern\.log|dmesg|daemon\.log)[\w.-]{0,40}:"
    r"|\[?(?:pod|node|container)/[\w./-]{1,200}\]?|(?:kernel|printk|klogd|vmkernel|vmunix|dmesg|kmsg)\b(?:\[\d{1,7}\])?:?"
    r"|(?:W|I|E|KERN|WARNING|WARN|ERROR|INFO|warn|warning|notice|info|err|daemon|user|kern)\b:?"
    r"|(?:__ratelimit|net_ratelimit|nf_conntrack|ip_conntrack|TCP|UDP|IPv4|IPv6|neighbour|neighbor|arp_cache|ipv4|bridge|"
    r"request_sock_TCP|request_sock_TCPv6|Neighbour|ndisc_cache|nf_ct|route|Route)\b:?\s?)"
)
_HOST = re.compile(r"([A-Za-z0-9][\w.-]{0,62})(?=\s(?:kernel|printk|klogd|vmkernel|kern\.)|\s\[\s{0,8}\d{1,12}\.\d)")
_SUPPRESSED = re.compile(r"(\d{1,12})\s(?:output\s)?(?:callbacks|messages) suppressed")
_NETNS = re.compile(r"table full in netns (\d{1,12})")
_REPEATED = re.compile(r"(?:last )?message repeated (\d{1,9}) times")
_LIMIT_OF = re.compile(r"maximum limit of (\d{1,12}|\S{1,12}) entries exceeded")
_NEGATIONS = (" no ", "not ", "n't ", "without ", "never ", "neither ", "nor ", " any ", "absent", "instead of ", "search for ", "grep ")
_ORDINALS = (0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)


def kind_of(text: str) -> tuple[str, int] | None:
    """The kind of message in a line and where it begins; None where none of the looked-for messages stands in it."""
    for needle, kind in NEEDLES:
        at = text.find(needle)
        if at >= 0 and (kind != "ip-conntrack-max" or _LIMIT_OF.search(text, at)):
            return kind, at
    return None


def _epoch_s(year: int, month: int, day: int, hour: str, minute: str, second: str, fraction: str | None) -> float:
    """Seconds on the proleptic calendar from year 0; only differences are meant."""
    years = year - 1
    days = 365 * years + years // 4 - years // 100 + years // 400 + _ORDINALS[month] + day
    if month > 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
        days += 1
    seconds = days * 86400 + int(hour) * 3600 + int(minute) * 60 + int(second)
    return seconds + (float("0." + fraction) if fraction else 0.0)


def prefix(text: str, end: int) -> tuple[Stamp | None, str | None, str]:
    """The clocks and the host name in what stands before ``end``, and what is left unexplained there."""
    uptime = wall = epoch = host = None
    at = 0
    while at < end:
        if text[at] in " \t":
            at += 1
            continue
        stamp = _UPTIME.match(text, at, end)
        if stamp:
            uptime, at = float(stamp[1]), stamp.end()
            continue
        opened = at + 1 if text[at] == "[" else at
        iso = _ISO.match(text, opened, end)
        if iso and 1 <= int(iso[2]) <= 12:
            wall, epoch, at = iso[0], _epoch_s(int(iso[1]), int(iso[2]), int(iso[3]), *iso.group(4, 5, 6, 7)), iso.end()
            continue
        bsd = _BSD.match(text, opened, end)
        if bsd and bsd[1] in _MONTHS:
            year = bsd[3] or bsd[8] or bsd[9]
            wall, at = bsd[0], bsd.end()
            epoch = _epoch_s(int(year or 2001), _MONTHS[bsd[1]], int(bsd[2]), *bsd.group(4, 5, 6, 7))
            continue
        named = _HOST.match(text, at) if host is None else None
        if named and named.end() <= end and named[1] not in _NOT_HOSTS and not named[1].isdigit():
            host, at = named[1], named.end()
            continue
        noise = _NOISE.match(text, at, end)
        if noise and noise.end() > at:
            at = noise.end()
            continue
        break
    stamp_fact = Stamp(uptime, wall, epoch) if uptime is not None or wall is not None else None
    return stamp_fact, host, text[at:end]


_NOT_HOSTS = frozenset("kernel printk klogd the in from linux Linux my of and says log daemon user kern warn info err F P".split())


def log_line(line: Line, context: Context) -> LogLine | None:
    """The looked-for message in one line, or None; also None where the sentence around it denies it."""
    text, wrapped_stamp, wrapped_host = line.text, None, None
    if text.lstrip().startswith("{") and '"MESSAGE"' in text:
        unwrapped = _from_json(text)
        if unwrapped is None:
            return None
        text, wrapped_stamp, wrapped_host = unwrapped
    found = kind_of(text)
    if found is None:
        return None
    kind, at = found
    begin = at
    number: int | None = None
    if kind == "suppressed":
        match = _SUPPRESSED.search(text)
        if not match:
            return None
        number, begin = int(match[1]), match.start()
        if not any(name in text for name in ("ratelimit", "printk")) and "net" not in text:
            return None  # another limiter's count (audit, a driver) does not share the bucket
    elif kind == "ip-conntrack-max":
        match = _LIMIT_OF.search(text)
        number = int(match[1]) if match and match[1].isdigit() else None
    elif kind in ("table-full", "expectation-full"):
        name = text.rfind("conntrack", 0, at + 10)
        begin = text.rfind(" ", 0, name + 1) + 1 if name >= 0 and at - name < 40 else at
    stamp, host, rest = prefix(text, begin)
    rest = rest.strip(" \t:\"'`([{-*>“”,.")
    quoted = bool(rest)
    if quoted:
        before = " " + rest.lower() + " "
        if any(word in before[-60:] for word in _NEGATIONS):
            return None
    elif len(text) - at > 120 and kind in ("table-full", "expectation-full"):
        quoted = True
    netns = _NETNS.search(text)
    return LogLine(
        origin=context.origin(line),
        kind=kind,
        stamp=stamp or wrapped_stamp,
        number=number,
        netns=int(netns[1]) if netns else None,
        host_name=host or wrapped_host,
        quoted=quoted,
    )


def _from_json(text: str) -> tuple[str, Stamp | None, str | None] | None:
    """The message, stamp and host of one object of ``journalctl -o json``; None where it is no such object."""
    from msgspec import DecodeError, json

    try:
        record = json.decode(text)
    except (DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("MESSAGE"), str):
        return None
    uptime = _microseconds(record.get("__MONOTONIC_TIMESTAMP"))
    epoch = _microseconds(record.get("__REALTIME_TIMESTAMP"))
    host = record.get("_HOSTNAME")
    stamp = Stamp(uptime, None, epoch) if uptime is not None or epoch is not None else None
    return record["MESSAGE"], stamp, host if isinstance(host, str) else None


def _microseconds(value: object) -> float | None:
    return int(value) / 1e6 if isinstance(value, str) and value.isdigit() and len(value) < 20 else None


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """One message, with the ``last message repeated N times`` line that may follow and the second half of a broken line."""
    first = log_line(lines[at], context)
    if first is None:
        return None
    used = 1
    if at + 1 < len(lines):
        following = lines[at + 1].text
        repeated = _REPEATED.search(following)
        if repeated and kind_of(following) is None:
            values = {name: getattr(first, name) for name in first.__struct_fields__}
            values["repeated"] = 1 + int(repeated[1])
            return Read(2, [LogLine(**values)])
        tail = following.strip().rstrip(".")
        if lines[at].text.rstrip().endswith("dropping") and tail in ("packet", "packets"):
            used = 2
    return Read(used, [first])
