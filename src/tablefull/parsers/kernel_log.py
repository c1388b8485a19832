"""Lines of the kernel's log under any prefix: dmesg, syslog, journal, logread, container and JSON wrappings.

The trap: the same words stand in sentences ("we see table full, dropping packet in dmesg"). What is left of a line
after the prefixes it is known to have decides whether the message was printed here or is cited; both are kept, told
apart.
"""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import structs

from tablefull.facts.kernel_log import LogLine, Stamp
from tablefull.parsers.block import Context, Line, Read
from tablefull.parsers.pattern import lazy

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
_UPTIME = lazy(r"\[\s{0,8}(\d{1,12}\.\d{1,9})(?:\s{1,2}<\s{0,8}\d{1,12}\.\d{1,9}>)?\]")
_ISO = lazy(r"(\d{4})[-/](\d\d)[-/](\d\d)[T ]" + _CLOCK + r"\s?(?:Z\b|UTC\b|([+-])(\d\d):?(\d\d)\b|[A-Z]{3,4}\b)?")
_BSD = lazy(
    r"(?:[A-Z][a-z]{2},?\s{1,2})?([A-Z][a-z]{2})\s{1,2}(\d{1,2}),?\s(?:(\d{4})\s)?" + _CLOCK
    + r"(?:\s(?:(\d{4})(?=[\s\]])|[A-Z]{3,4}\s(\d{4})))?"
)  # fmt: skip
# ``dmesg -H``: a minute, then seconds since the line before; ``journalctl -o short-unix``.
_RELATIVE = lazy(r"\[(?:([A-Z][a-z]{2}\s?\d{1,2}\s\d\d:\d\d)|\s{0,8}[+<]\s{0,8}\d{1,9}\.\d{1,9}>?)\]")
_UNIX = lazy(r"(\d{9,10}\.\d{1,9})(?=\s)")
# Prefix tokens that say nothing more: priority, facility, caller, brackets, list marks, file names of grep, container
# wrappings.
_NOISE = lazy(
    r"(?:(?:[\s\]|:*-]|\[(?!\w[\w@.-]{0,40}\s\w{1,32}=)){1,8}|<\d{1,3}>\d?|[a-z0-9]{1,8}\.(?:emerg|alert|crit|err|error|warn|warning|notice|info"
    r"|debug)\b:?"
    r"|\[?\s{0,8}[TC]\d{1,7}\]|(?:stdout|stderr)\s[FP]\b|\d{1,9}(?=\s)|\(?\s?\d{1,9}\s?\)?[:-](?=[\s\[<A-Z12])"
    r"|\d{1,4}[.)](?=\s)"
    r"|/?(?:[\w.-]{1,64}/){0,12}(?:messages|syslog|kern|kern\.log|dmesg|daemon\.log)[\w.-]{0,40}:"
    r"|/?(?:[\w.-]{1,64}/){0,12}[\w.-]{1,60}\.(?:log|txt|gz)[\w.-]{0,12}:|/(?:[\w.-]{1,64}/){1,12}[\w.-]{1,60}:"
    r"|\[?(?:pod|node|container)/[\w./-]{1,200}\]?|(?:kernel|printk|klogd|vmkernel|vmunix|dmesg"
    r"|kmsg)\b(?:\[\d{1,7}\])?:?"
    r"|\"(?:msg|MESSAGE|message|log)\"\s?:\s?\"?|MESSAGE=|msg=\"?"
    r"|\[\w[\w@.-]{0,40}(?:\s[\w.-]{1,32}=\"[^\"]{0,80}\"){1,5}\]"
    r"|(?:last )?message repeated \d{1,9} times:|\[\s{0,2}(?=[ni][fp]_)|Message from syslogd@[\w.-]{1,64}"
    r"|(?:W|I|E|N|KERN|WARNING|WARN|ERROR|INFO|warn|warning|notice|info|err|daemon|user|kern)\b\s{0,3}:?"
    r"|(?:__ratelimit|net_ratelimit|nf_conntrack|ip_conntrack|TCP|UDP|IPv4|IPv6|neighbour|neighbor|arp_cache"
    r"|ipv4|bridge|"
    r"request_sock_TCP|request_sock_TCPv6|Neighbour|ndisc_cache|nf_ct|route|Route)\b:?\s?)"
)
_HOST = lazy(
    r"([A-Za-z0-9][\w.-]{0,62})(?=\s(?:kernel|printk|klogd|vmkernel|kern\.|(?:last )?message repeated)"
    r"|\s\[\s{0,8}\d{1,12}\.\d)"
)
_SUPPRESSED = lazy(r"(\d{1,12})\s(?:output\s)?(?:callbacks|messages) suppressed")
_NETNS = lazy(r"table full in netns (\d{1,12})")
_REPEATED = lazy(r"(?:last )?message repeated (\d{1,9}) times")
_REPEATED_HERE = lazy(r"message repeated (\d{1,9}) times:")
_COUNTED = lazy(r"\s{2,12}(\d{1,7})\s")
_LIMIT_OF = lazy(r"maximum limit of (\d{1,12}|\S{1,12}) entries exceeded")
_VPS = lazy(r"(?:conntrack:? ?)?(?:VPS|VE|CT|CTID)\s?:?\s?(\d{1,10}):?\s(?:nf_conntrack:? )?(?=table full)")
_NEGATIONS = (
    " no ", "not ", "n't ", "without ", "never ", "neither ", "nor ", " any ", "absent", "instead of ",
    "search for ", "grep ",
    "nothing ", "zero ",
)  # fmt: skip
# The same said after the message.
_DENIED_AFTER = (
    "not appear", "n't appear", "never appear", "is absent", "not found", "is not there", "n't there", "nowhere",
    "no longer appear",
    "not logged", "not printed", "not in dmesg", "not in the log", "is missing", "n't in dmesg", "n't in the log",
    "no match", "finds nothing",
    "found nothing", "returns nothing", "shows nothing", "not present",
)  # fmt: skip
_ORDINALS = (0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)


def kind_of(text: str) -> tuple[str, int] | None:
    """The kind of message in a line and where it begins; None where none of the looked-for messages stands in it."""
    for needle, kind in NEEDLES:
        at = text.find(needle)
        if at >= 0 and (kind != "ip-conntrack-max" or _LIMIT_OF.search(text, at)):
            return kind, at
    if "table full" in text:
        container = _VPS.search(text)
        if container:
            return "table-full", container.start()
    return None


def _epoch_s(year: int, month: int, day: int, hour: str, minute: str, second: str, fraction: str | None) -> float:
    """Seconds on the proleptic calendar from year 0; only differences are meant."""
    years = year - 1
    days = 365 * years + years // 4 - years // 100 + years // 400 + _ORDINALS[month] + day
    if month > 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
        days += 1
    seconds = days * 86400 + int(hour) * 3600 + int(minute) * 60 + int(second)
    return seconds + (float("0." + fraction) if fraction else 0.0)


class Prefix(NamedTuple):
    """What stands before a message: its clocks, the host that printed it, and what is left unexplained."""

    stamp: Stamp | None
    host: str | None
    rest: str


def _clock(text: str, at: int, end: int) -> tuple[str, float, int] | None:
    """The wall clock that begins at ``at``: as printed, in seconds, and where it ends; None where none does."""
    if text[at : at + 1].isdigit():
        iso = _ISO.match(text, at, end)
        if iso and 1 <= int(iso[2]) <= 12:
            epoch = _epoch_s(int(iso[1]), int(iso[2]), int(iso[3]), *iso.group(4, 5, 6, 7))
            if iso[8]:
                epoch -= (60 * int(iso[9]) + int(iso[10])) * (60 if iso[8] == "+" else -60)
            return iso[0].rstrip(), epoch, iso.end()
        unix = _UNIX.match(text, at, end)
        return (unix[1], float(unix[1]), unix.end()) if unix else None
    if text[at : at + 1].isupper():
        bsd = _BSD.match(text, at, end)
        if bsd and bsd[1] in _MONTHS:
            year = bsd[3] or bsd[8] or bsd[9]
            epoch = _epoch_s(int(year or 2001), _MONTHS[bsd[1]], int(bsd[2]), *bsd.group(4, 5, 6, 7))
            return bsd[0], epoch, bsd.end()
    return None


def prefix(text: str, end: int) -> Prefix:
    """The clocks and the host name in what stands before ``end``, and what is left unexplained there."""
    uptime = wall = epoch = host = None
    at = 0
    while at < end:
        letter = text[at]
        if letter in " \t":
            at += 1
            continue
        opened = at + 1 if letter == "[" else at
        if letter == "[":
            stamp = _UPTIME.match(text, at, end)
            if stamp:
                uptime, at = float(stamp[1]), stamp.end()
                continue
            relative = _RELATIVE.match(text, at, end)
            if relative:
                wall, at = relative[1] or wall, relative.end()
                continue
        clock = _clock(text, opened, end)
        if clock is not None:
            wall, epoch, at = clock
            continue
        if text[opened : opened + 3] in _DAYS and text[opened + 3 : opened + 4] == " ":
            at = opened + 4
            continue
        if text.startswith(_SENDERS, at):
            at = text.index(":", at) + 1
            continue
        named = _HOST.match(text, at) if host is None else None
        if named and named.end() <= end and _is_host(named[1]):
            host, at = named[1], named.end()
            continue
        noise = _NOISE.match(text, at, end)
        if noise and noise.end() > at:
            at = noise.end()
            continue
        break
    stamp_fact = Stamp(uptime, wall, epoch) if uptime is not None or wall is not None else None
    return Prefix(stamp_fact, host, text[at:end])


# Who speaks in most lines: known without a regular expression.
_SENDERS = ("net_ratelimit:", "kernel:", "nf_conntrack:", "ip_conntrack:", "printk:", "__ratelimit:", "TCP:", "IPv4:")
_DAYS = frozenset("Mon Tue Wed Thu Fri Sat Sun".split())
_NOT_HOSTS = frozenset(
    "kernel printk klogd the in from linux Linux my of and says log daemon user kern warn info err F P warning "
    "notice".split()
)
_FACILITY = lazy(r"[a-z0-9]{1,8}\.(?:emerg|alert|crit|err|error|warn|warning|notice|info|debug)$")


def _is_host(name: str) -> bool:
    return name not in _NOT_HOSTS and not name.isdigit() and not ("." in name and _FACILITY.match(name))


def log_line(line: Line, context: Context) -> LogLine | None:
    """The looked-for message in one line, or None; also None where the sentence around it denies it."""
    text, wrapped_stamp, wrapped_host = line.text, None, None
    if text.startswith("{") or (text[:1].isspace() and text.lstrip().startswith("{")):
        unwrapped = _from_json(text)
        if unwrapped is not None:
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
        if not any(name in text[:begin] for name in ("ratelimit", "printk:", "net")):
            return None  # another limiter's count (audit, a driver) does not share the bucket
    elif kind == "ip-conntrack-max":
        match = _LIMIT_OF.search(text)
        number = int(match[1]) if match and match[1].isdecimal() else None
    if begin and text[begin - 1].isalpha():
        begin = text.rfind(" ", 0, begin) + 1  # a needle without its first letter, which may be a capital
    if kind in ("table-full", "expectation-full", "ip-conntrack-max", "conntrack-version"):
        name = text.rfind("conntrack", 0, at + 10)
        begin = text.rfind(" ", 0, name + 1) + 1 if name >= 0 and at - name < 40 else at
    stamp, host, rest = prefix(text, begin)
    rest = rest.strip(" \t:\"'`([{-*>“”,.")
    quoted = bool(rest) and (kind == "table-full" or stamp is None)
    if quoted:
        before = " " + rest.lower() + " "
        if any(word in before[-60:] for word in _NEGATIONS):
            return None
    elif len(text) - at > 120 and kind in ("table-full", "expectation-full"):
        quoted = True
    after = text[at : at + 120].lower() if quoted or stamp is None else ""
    if after and any(word in after for word in _DENIED_AFTER):
        return None
    netns = _NETNS.search(text) if "netns" in text else None
    return LogLine(
        origin=context.origin(line),
        kind=kind,
        stamp=stamp or wrapped_stamp,
        number=number,
        netns=int(netns[1]) if netns else None,
        host_name=host or wrapped_host,
        repeated=_times(text, begin, context),
        quoted=quoted,
    )


def _times(text: str, begin: int, context: Context) -> int:
    """How many messages the line stands for: ``uniq -c`` and syslogd write a number before it."""
    here = _REPEATED_HERE.search(text, 0, begin) if "repeated" in text else None
    if here is None and (text.startswith("  ") or (text[:1] == " " and "uniq -c" in (context.command or ""))):
        here = _COUNTED.match(" " + text, 0, begin + 1)
    return max(1, int(here[1])) if here else 1


def _from_json(text: str) -> tuple[str, Stamp | None, str | None] | None:
    """The message, stamp and host of one object of ``journalctl -o json``, ``dmesg -J`` or a container's log file.

    None where it is no such object. A message that is not UTF-8 comes from the journal as an array of bytes.
    """
    from msgspec import DecodeError, json

    try:
        record = json.decode(text.strip().rstrip(","))
    except (DecodeError, RecursionError, UnicodeError):
        return None
    if not isinstance(record, dict):
        return None
    message = next((record[key] for key in ("MESSAGE", "msg", "log", "message") if key in record), None)
    if isinstance(message, list) and all(isinstance(one, int) and 0 <= one < 256 for one in message):
        message = bytes(message).decode("utf-8", "replace")
    if not isinstance(message, str):
        return None
    uptime = _microseconds(record.get("_SOURCE_MONOTONIC_TIMESTAMP")) or _microseconds(
        record.get("__MONOTONIC_TIMESTAMP")
    )
    if "msg" in record and isinstance(record.get("time"), float):
        uptime = record["time"]
    epoch = _microseconds(record.get("__REALTIME_TIMESTAMP"))
    host = record.get("_HOSTNAME")
    stamp = Stamp(uptime, None, epoch) if uptime is not None or epoch is not None else None
    if stamp is None and isinstance(record.get("time"), str):
        stamp = prefix(record["time"] + " ", len(record["time"])).stamp
    return message.strip(), stamp, host if isinstance(host, str) and _is_host(host) else None


def _microseconds(value: object) -> float | None:
    return (
        int(value) / 1e6 if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20 else None
    )


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """One message, with the ``last message repeated N times`` line that may follow it."""
    first = log_line(lines[at], context)
    if first is None:
        return None
    if at + 1 < len(lines):
        following = lines[at + 1].text
        repeated = _REPEATED.search(following) if "repeated" in following and not first.quoted else None
        if repeated and kind_of(following) is None:
            return Read(2, [structs.replace(first, repeated=first.repeated + int(repeated[1]))])
    return Read(1, [first])
