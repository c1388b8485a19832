"""kube-proxy's hand on the table: flags, ``KubeProxyConfiguration``, its log, and what was refused to it.

The trap: kube-proxy sets ``nf_conntrack_max`` to cores × ``maxPerCore`` (at least ``min``) whenever it starts, over
whatever a file says, and a value of zero means "leave it". A flag quoted with its ``Default:`` is documentation, not
a setting.
"""

import re
from collections.abc import Sequence

from tablefull.facts.host import Program
from tablefull.facts.origin import Fact
from tablefull.facts.settings import Refusal, Setting, Standing
from tablefull.kernel.sysctls import canonical
from tablefull.parsers.block import Context, Line, Read
from tablefull.parsers.numeral import whole

NAME = "kube-proxy"
# Kubernetes v1.32, cmd/kube-proxy/app/options.go and pkg/proxy/apis/config/types.go: flag, field, sysctl it becomes.
_OPTIONS = (
    ("conntrack-max-per-core", "maxPerCore", None),
    ("conntrack-min", "min", None),
    ("conntrack-max", "max", "nf_conntrack_max"),
    ("conntrack-tcp-timeout-established", "tcpEstablishedTimeout", "nf_conntrack_tcp_timeout_established"),
    ("conntrack-tcp-timeout-close-wait", "tcpCloseWaitTimeout", "nf_conntrack_tcp_timeout_close_wait"),
    ("conntrack-tcp-be-liberal", "tcpBeLiberal", "nf_conntrack_tcp_be_liberal"),
    ("conntrack-udp-timeout", "udpTimeout", "nf_conntrack_udp_timeout"),
    ("conntrack-udp-timeout-stream", "udpStreamTimeout", "nf_conntrack_udp_timeout_stream"),
)
_BY_FLAG = {flag: (flag, sysctl) for flag, _, sysctl in _OPTIONS}
_BY_FIELD = {field: (flag, sysctl) for flag, field, sysctl in _OPTIONS}
_FLAG = re.compile(r"--(?P<flag>conntrack-[a-z-]{3,40})(?:=|\s{1,4})[\"']?(?P<value>[0-9][0-9a-z.]{0,20}|true|false)\b")
_FLAG_DEFAULT = re.compile(
    r"--(?P<flag>conntrack-[a-z-]{3,40})\s{1,8}(?:int32|int|duration|float)?.{0,200}?"
    r"Default: (?P<value>[0-9][0-9a-z.]{0,20})"
)
_FIELD = re.compile(
    r"[\"']?(?P<field>maxPerCore|min|max|tcpEstablishedTimeout|tcpCloseWaitTimeout|tcpBeLiberal"
    r"|udpTimeout|udpStreamTimeout)[\"']?:\s{0,4}"
    r"[\"']?(?P<value>[0-9][0-9a-z.]{0,20}|null|true|false|\"\")?[\"']?,?\s{0,8}(?:#.{0,200})?$"
)
_PLAIN_FIELDS = ("min", "max")
_DURATION = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,6})?)(?P<unit>h|ms|m|s)")
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SET_OLD = re.compile(r"[Ss]et sysctl '(?P<name>[\w./-]{3,120})' to (?P<value>-?[0-9]{1,12})")
_SET_NEW = re.compile(r"\"Set sysctl\" entry=\"(?P<name>[\w./-]{3,120})\" value=(?P<value>-?[0-9]{1,12})")
_MAX = re.compile(r"[Ss]etting nf_conntrack_max(?:\"\s{0,2}nf[Cc]onntrackMax=| to )(?P<value>[0-9]{1,12})")
_HASHSIZE = re.compile(r"[Ss]etting conntrack hashsize(?:\"\s{0,2}conntrackHashsize=| to )(?P<value>[0-9]{1,12})")
_HASHSIZE_PATH = "/sys/module/nf_conntrack/parameters/hashsize"
_KLOG = re.compile(
    r"(?P<level>[IWEF])[0-9]{4} [0-9:.]{8,20}\s{1,12}[0-9]{1,9} (?P<file>[\w/.-]"
    r"{3,60}\.go):[0-9]{1,6}\] ?(?P<message>.{0,1000})"
)
_REFUSED = re.compile(
    r"(?P<path>/(?:proc/sys/net|sys/module/[a-z_]{0,3}conntrack)/[\w./-]{3,120}): "
    r"(?P<error>operation not supported|operation not permitted|permission denied"
    r"|read-only file system|no such file or directory|invalid argument)",
    re.IGNORECASE,
)
_READ_ONLY_SYSFS = re.compile(r"(?:sysfs|sys filesystem|/sys) is (?:not writable|read-only)", re.IGNORECASE)
_OURS = ("conntrack", "nf_", "hashsize", "sysctl", "sysfs", "Running in LXC", "ProxyServer", "proxy mode", "Proxier")
_COMMAND = re.compile(r"(?:^|[\s/])kube-proxy\s{1,4}(?P<arguments>--.{0,1000})")


def seconds(text: str) -> int | None:
    """Whole seconds of a Go duration (``24h0m0s``, ``1h30m``); None where the text is none."""
    at = 0
    total = 0.0
    for match in _DURATION.finditer(text):
        if match.start() != at:
            return None
        total += float(match["number"]) * _UNIT_S[match["unit"]]
        at = match.end()
    return int(total) if at and at == len(text) else None


def _setting(line: Line, context: Context, name: str, value: str, standing: Standing) -> Setting:
    """``value`` is a whole number, or a duration that becomes seconds."""
    number = whole(value) if whole(value) is not None else seconds(value)
    return Setting(
        origin=context.origin(line),
        name=canonical(name),
        spelled=name,
        value=value if number is None else str(number),
        number=number,
        standing=standing,
    )


def _program(line: Line, context: Context, field: str, value: str) -> Program:
    return Program(origin=context.origin(line), name=NAME, field=field, value=value[:300])


def _option(line: Line, context: Context, option: tuple[str, str | None], value: str, standing: Standing) -> list[Fact]:
    """The facts of one option: the program's, and the sysctl it becomes unless its value says to leave that alone."""
    flag, sysctl = option
    facts: list[Fact] = [_program(line, context, flag, value)]
    number = whole(value) if whole(value) is not None else seconds(value)
    if sysctl is not None and number:
        facts.append(_setting(line, context, sysctl, value, standing))
    elif sysctl is not None and value == "true":
        facts.append(_setting(line, context, sysctl, "1", standing))
    return facts


def _flags(line: Line, context: Context) -> list[Fact]:
    """Options on a command line; one that is quoted with its default keeps only the program's fact."""
    facts: list[Fact] = []
    default = _FLAG_DEFAULT.search(line.text)
    if default:
        return [_program(line, context, f"{default['flag']} (default)", default["value"])]
    for match in _FLAG.finditer(line.text):
        option = _BY_FLAG.get(match["flag"], (match["flag"], None))
        facts += _option(line, context, option, match["value"], "commanded")
    return facts


def _yaml(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """``conntrack:`` of a KubeProxyConfiguration with its fields, or one of the fields no other file has."""
    first = lines[at].text.strip().strip("{\"', ")
    headed = first.rstrip(" {") in ("conntrack:", 'conntrack":')
    here = at + 1 if headed else at
    facts: list[Fact] = []
    while here < len(lines):
        match = _FIELD.match(lines[here].text.strip())
        if match is None or (not headed and not facts and match["field"] in _PLAIN_FIELDS):
            break
        value = match["value"] or "null"
        if value not in ("null", '""'):
            facts += _option(lines[here], context, _BY_FIELD[match["field"]], value, "configured")
        here += 1
    return Read(here - at, facts) if here > at + headed else None


def _refusals(line: Line, context: Context) -> list[Fact]:
    return [
        Refusal(origin=context.origin(line), name=canonical(match["path"]), error=match["error"].lower())
        for match in _REFUSED.finditer(line.text)
    ]


def _log(line: Line, context: Context) -> list[Fact] | None:
    """Facts of a log line, with or without klog's prefix; None for a line that kube-proxy did not write."""
    text = line.text
    facts: list[Fact] = []
    facts += [
        _setting(line, context, match["name"], match["value"], "commanded")
        for match in (*_SET_OLD.finditer(text), *_SET_NEW.finditer(text))
    ]
    for pattern, name in ((_MAX, "nf_conntrack_max"), (_HASHSIZE, _HASHSIZE_PATH)):
        found = pattern.search(text)
        if found:
            facts.append(_setting(line, context, name, found["value"], "commanded"))
    klog = _KLOG.search(text)
    facts += _refusals(line, context)
    if _READ_ONLY_SYSFS.search(text):
        facts.append(
            Refusal(origin=context.origin(line), name=canonical(_HASHSIZE_PATH), error="read-only file system")
        )
    if klog is None:
        return facts or None
    if facts or any(word in klog["message"] for word in _OURS) or klog["file"] in ("conntrack.go", "server_others.go"):
        facts.append(_program(line, context, "error" if klog["level"] in "EF" else "log", klog["message"].strip()))
        return facts
    return [] if NAME in (context.command or "") else None


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Facts from a line of kube-proxy's log or command line, or from its configuration."""
    line = lines[at]
    if len(line.text) > 4000:
        return None
    block = _yaml(lines, at, context)
    if block is not None:
        return block
    logged = _log(line, context)
    if logged is not None:
        machine = _KLOG.search(line.text) or len(line.text.split()) <= 14
        return Read(1, logged) if machine else None
    command = _COMMAND.search(line.text)
    text = line.text.strip().lstrip("-\"' ")
    if "--conntrack-" in line.text and (command or text.startswith("conntrack-") or line.text.strip().startswith("--")):
        facts = _flags(line, context)
        return Read(1, facts) if facts else None
    if command:
        return Read(1, [_program(line, context, "arguments", command["arguments"])])
    return None


def mentions(line: Line, context: Context) -> list[Fact]:
    """Flags, refused writes and the program itself, where a sentence names them; a flag in a sentence sets nothing."""
    text = line.text[:4000]
    facts: list[Fact] = list(_refusals(line, context)) if len(line.text) <= 4000 else []
    facts += [_program(line, context, match["flag"], match["value"]) for match in _FLAG.finditer(text)]
    if NAME in text or "kubeproxy" in text.lower():
        facts.append(_program(line, context, "named", NAME))
    return facts
