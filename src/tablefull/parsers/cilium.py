"""Cilium's own tables: ``cilium status``, ``bpf ct list``, metrics, drop reasons, configuration, log lines and
alerts.

The trap: Cilium keeps connections in eBPF maps beside the kernel's table. ``CT: Map insertion failed`` is that map
being full and says nothing about ``nf_conntrack_max``.
"""

import re
from collections.abc import Sequence

from tablefull.facts.counters import NetCounter
from tablefull.facts.host import Program
from tablefull.facts.origin import Fact
from tablefull.parsers.block import Context, Line, Read
from tablefull.parsers.numeral import decimal, whole

GROUP = "cilium"
REASONS = (
    "CT: Map insertion failed",
    "CT: Truncated or invalid header",
    "CT: Missing TCP ACK flag",
    "CT: Unknown L4 protocol",
    "CT: Can't create entry from packet",
    "No mapping for NAT masquerade",
    "Unsupported protocol for NAT masquerade",
    "FIB lookup failed",
    "Stale or unroutable IP",
    "Service backend not found",
    "Policy denied",
    "Map insertion failed",
)
# Reasons that speak of a table; in a sentence only these are taken.
_OF_TABLES = ("CT: Map insertion failed", "No mapping for NAT masquerade")
_ALERT = re.compile(r"\bCilium(?:Agent|Operator)(?:Conntrack|Nat|Ct|Map|Bpf)\w{2,40}")
_VERSION = re.compile(
    r"\b[Cc]ilium(?:-agent| agent| version| CNI"
    r"|/cilium)?[\s:=]{1,3}v?(?P<version>1\.[0-9]{1,2}(?:\.[0-9]{1,3})?(?:-[\w.]{1,20})?)\b"
)
_IMAGE = re.compile(r"cilium/cilium:v?(?P<version>1\.[0-9]{1,2}(?:\.[0-9]{1,3})?[\w.-]{0,20})")
_CONFIG = re.compile(
    r"(?:--|\"|\b)(?P<key>bpf-(?:ct-[a-z-]{3,60}|nat-global-max|map-dynamic-size-ratio|lb-map-max"
    r"|neigh-global-max)|conntrack-gc-interval"
    r"|kube-proxy-replacement|enable-bpf-masquerade)\"?(?:\s{0,3}[=:]\s{0,3}"
    r"|\s{1,40})[\"']?(?P<value>[\w.]{1,40})[\"']?,?$"
)
_METRIC = re.compile(
    r"(?P<name>cilium_[a-z0-9_]{3,80})(?:\{(?P<labels>[^}]{0,500})\})?\s"
    r"{1,8}(?P<value>[0-9][0-9.e+-]{0,30})(?:\s[0-9]{10,16})?$"
)
_LABEL = re.compile(r"(?P<key>map_name|mapName|reason|family|protocol|status|direction)=\"(?P<value>[^\"]{0,100})\"")
_METRIC_WORDS = ("conntrack", "map_pressure", "drop_count", "nat", "map_ops", "ct_")
_MONITOR = re.compile(r"\bdrop \((?P<reason>[^()]{3,80})\)")
_MESSAGE = re.compile(r"\bmsg=(?:\"(?P<quoted>(?:[^\"\\]|\\.){1,600})\"|(?P<plain>\S{1,200}))")
_LOG_WORDS = (
    "conntrack",
    "ct map",
    "ct-",
    "ctmap",
    " nat ",
    "nat map",
    "map insertion",
    "map pressure",
    "bpf map",
    "garbage",
)
_LISTED = re.compile(r"(?:TCP|UDP|ICMPv?6?|SCTP) (?:IN|OUT|SVC|RELATED|OUT\s?\[\w+\])\s")
_SIZES = (
    "connection tracking",
    "NAT",
    "Neighbor table",
    "IP cache",
    "Service",
    "Policy",
    "Session affinity",
    "Sock",
    "Tunnel",
    "Endpoint policy",
    "Events",
    "Metrics",
    "Global metrics",
    "Per endpoint policy",
    "IPv4 service",
    "IPv6 service",
    "IP masquerading agent",
)
_STATUS = ("KubeProxyReplacement", "Masquerading", "Cilium", "Cluster health")


def _program(line: Line, context: Context, field: str, value: str) -> Program:
    return Program(origin=context.origin(line), name="cilium", field=field, value=value[:300])


def _counter(line: Line, context: Context, name: str, value: int) -> NetCounter:
    return NetCounter(origin=context.origin(line), group=GROUP, name=name, value=value)


def _metric(line: Line, context: Context) -> list[Fact] | None:
    """A Prometheus line. A pressure, which is a share, becomes whole percent."""
    match = _METRIC.match(line.text.strip())
    if match is None or not any(word in line.text for word in _METRIC_WORDS):
        return None
    try:
        value = float(match["value"])
    except ValueError:
        return None
    if not value < 1e18:
        return None
    labels = {m["key"]: m["value"] for m in _LABEL.finditer(match["labels"] or "")}
    if "map_pressure" in match["name"]:
        place = labels.get("map_name") or labels.get("mapName") or "?"
        return [_counter(line, context, f"map pressure % {place}", round(value * 100))]
    if "drop_count" in match["name"]:
        return [_counter(line, context, f"drop {labels.get('reason', '?')}", int(value))]
    suffix = " ".join(labels[key] for key in sorted(labels))
    return [_counter(line, context, f"{match['name']} {suffix}".strip(), int(value))]


def _reason_row(line: Line, context: Context) -> list[Fact] | None:
    """A drop reason alone on its line, or in ``cilium bpf metrics list``, ``cilium monitor``, ``hubble observe``."""
    text = line.text.strip().strip("-*'\"` ").rstrip(".")
    monitor = _MONITOR.search(text)
    if monitor and ("flow" in text or "xx drop" in text):
        return [_program(line, context, "drop reason", monitor["reason"])]
    for reason in REASONS:
        if not text.startswith(reason):
            if reason in text and "DROPPED" in text:
                return [_program(line, context, "drop reason", reason)]
            continue
        words = text[len(reason) :].split()
        if not words or words == ["DROPPED"]:
            return (
                [_program(line, context, "drop reason", reason)] if ":" in reason or "NAT" in reason or words else None
            )
        numbers = [n for word in words if (n := whole(word)) is not None]
        if words[0].upper() in ("EGRESS", "INGRESS", "TOTAL", "UNKNOWN", "SERVICE") and numbers:
            return [_counter(line, context, f"drop {reason}", numbers[0])]
    return None


def _listing(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Rows of ``cilium bpf ct list``: their number alone, because they are eBPF entries and none of the kernel's."""
    here = at
    while here < len(lines) and _LISTED.match(lines[here].text.strip()) and "->" in lines[here].text:
        here += 1
    return Read(here - at, [_counter(lines[at], context, "ct entries listed", here - at)]) if here > at else None


def _sizes(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """The table of map sizes in ``cilium status --verbose``."""
    text = lines[at].text.strip()
    if not text.startswith("BPF Maps:"):
        return None
    facts: list[Fact] = [_program(lines[at], context, "BPF Maps", text.partition(":")[2].strip())]
    here = at + 1
    while here < len(lines):
        name, _, number = lines[here].text.strip().rpartition(" ")
        value = whole(number)
        name = name.strip()
        if value is None and lines[here].text.split() != ["Name", "Size"]:
            break
        if value is not None:
            if not name.startswith(_SIZES) and "tracking" not in name:
                break
            facts.append(_counter(lines[here], context, f"{name} max", value))
        here += 1
    return Read(here - at, facts)


def _status(line: Line, context: Context) -> list[Fact] | None:
    """One line of ``cilium status``."""
    name, colon, value = line.text.partition(":")
    value = value.strip()
    if not colon or name.strip() not in _STATUS or not value:
        return None
    facts: list[Fact] = []
    if name.strip() == "Cilium":
        words = value.split()
        if words[0] not in ("Ok", "OK", "Warning", "Failure", "Disabled"):
            return None
        version = words[1].lstrip("v") if len(words) > 1 else ""
        return [_program(line, context, "version", version)] if version[:1].isdigit() else []
    facts.append(_program(line, context, name.strip(), value))
    return facts


def _log(line: Line, context: Context) -> list[Fact] | None:
    """An agent's log line: kept where its message speaks of a table, read past otherwise."""
    if "level=" not in line.text or "subsys=" not in line.text:
        return None
    match = _MESSAGE.search(line.text)
    message = (match["quoted"] or match["plain"]) if match else ""
    lowered = f" {message} ".lower()
    return [_program(line, context, "log", message)] if any(word in lowered for word in _LOG_WORDS) else []


def _config(line: Line, context: Context) -> list[Fact] | None:
    """A key of ``cilium-config`` or a flag of the agent."""
    text = line.text.strip()
    match = _CONFIG.search(text)
    if match is None or len(text[: match.start()].split()) > 4:
        return None
    value = match["value"]
    return [_program(line, context, match["key"], value)] if decimal(value) is not None or len(value) < 24 else None


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Facts about Cilium's tables from machine output."""
    line = lines[at]
    if len(line.text) > 4000:
        return None
    block = _sizes(lines, at, context) or _listing(lines, at, context)
    if block is not None:
        return block
    for form in (_metric, _log, _reason_row, _status, _config):
        facts = form(line, context)
        if facts is not None:
            return Read(1, facts)
    alert = _ALERT.search(line.text)
    if alert and len(line.text.split()) <= 3:
        return Read(1, [_program(line, context, "alert", alert[0])])
    return None


def mentions(line: Line, context: Context) -> list[Fact]:
    """Alerts, drop reasons of a table and the version that a sentence names."""
    text = line.text[:4000]
    facts: list[Fact] = [
        _program(line, context, "alert", name) for name in dict.fromkeys(m[0] for m in _ALERT.finditer(text))
    ]
    facts += [_program(line, context, "drop reason", reason) for reason in _OF_TABLES if reason in text]
    version = _VERSION.search(text) or _IMAGE.search(text)
    if version:
        facts.append(_program(line, context, "version", version["version"]))
    return facts
