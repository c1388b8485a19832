"""Settings in every form they are shown, written, set or refused in.

The trap: ``net.netfilter.nf_conntrack_max = 131072`` may be what the kernel answered, what a file wants, or what somebody just
typed; only the surroundings tell, and only the first is in force.
"""

import re
from collections.abc import Sequence

from tablefull.facts.origin import Fact
from tablefull.facts.settings import Refusal, Setting, Standing
from tablefull.kernel.sysctls import canonical
from tablefull.parsers.block import Context, Line, Read

_NAME = (
    r"(?:/proc/sys/[\w./-]{3,120}|/sys/module/\w{1,40}/parameters/\w{1,60}|net[./][\w./-]{3,120}"
    r"|(?:nf|ip)_conntrack_[a-z_0-9]{2,60}|bridge-nf-call-\w{2,9}|fs\.[\w-]{2,40}|kernel\.[\w.-]{2,60}|vm\.[\w.-]{2,40})"
)
_ASSIGN = re.compile(
    r"^\s{0,40}(?:[-*+]\s)?(?:\w{1,20}(?:\.\w{1,20}){0,3}\.\"|\")?(?P<name>" + _NAME + r")\"?\s{0,40}(?:=>|=|:)\s{0,20}\"?"
    r"(?P<value>-?\d[\d\s]{0,60}|[A-Za-z_][\w-]{0,40})\"?\s{0,8}[;,\\]{0,2}\s{0,8}(?:[#(].{0,200}|\.\s{0,4})?$"
)
_WRITE = re.compile(r"sysctl\s+(?:-\w+\s+){0,4}(?:-w\s+)?[\"']?(?P<name>" + _NAME + r")[\"']?\s?=\s?[\"']?(?P<value>-?\d+)")
_ECHO = re.compile(
    r"echo\s+(?:-n\s+)?[\"']?(?P<value>-?\d+)[\"']?\s*(?:>{1,2}|\|\s*(?:sudo\s+)?tee(?:\s+-a)?)\s*(?P<name>/(?:proc/sys|sys/module)/[\w./-]+)"
)
_OPTIONS = re.compile(r"^\s*options\s+(?:nf|ip)_conntrack\s+(?:\S+\s+){0,6}?hashsize=(?P<value>\d+)")
_REFUSED = re.compile(
    r"(?P<name>" + _NAME + r")[\"']?[:,]?\s{1,3}(?:is an )?"
    r"(?P<error>(?:operation not (?:supported|permitted)|permission denied|read-only file system|no such file or directory"
    r"|unknown key|device or resource busy|invalid argument))",
    re.IGNORECASE,
)
_KEY_REFUSED = re.compile(
    r"(?P<error>permission denied|cannot stat|unknown key|read-only file system|setting key|error)[^\"'/]{0,40}[\"']?(?P<name>" + _NAME + ")",
    re.IGNORECASE,
)
_VALUE = re.compile(r"^\s{0,8}(-?\d{1,20})(?:\s+-?\d+)*\s{0,8}$")
_CAT = re.compile(r"(?:^|[\s;|&])(?:cat|more|less|head|tail)\s+((?:-\S+\s+){0,3}(?:/(?:proc/sys|sys/module)/\S+\s*)+)")
_SYSCTL_READ = re.compile(r"(?:^|[\s;|&/])sysctl\s+((?:-[a-zA-Z]+\s+)*)((?:net|fs|kernel|vm)\.[\w.\-\s]+)")
_SEPARATE = re.compile(r"(?P<name>" + _NAME + r")[:\s]+(?P<value>\d{1,20})$")


def setting(name: str, value: str, line: Line, context: Context, standing: Standing) -> Setting:
    """A setting under its canonical name; a value that is no whole number keeps its text alone."""
    plain = value.strip()
    first = plain.split()[0] if plain.split() else plain
    number = int(first) if first.lstrip("-").isdigit() and len(first) < 20 else None
    return Setting(
        origin=context.origin(line), name=canonical(name), spelled=name, value=plain, number=number, standing=standing
    )


def commanded(line: Line, context: Context) -> list[Fact]:
    """Settings that a typed command writes: ``sysctl -w``, ``echo N >``, ``tee``."""
    text = line.text
    facts: list[Fact] = []
    if "sysctl" in text and "=" in text:
        facts += [setting(m["name"], m["value"], line, context, "commanded") for m in _WRITE.finditer(text)]
    if "echo" in text:
        for m in _ECHO.finditer(text):
            facts.append(setting(m["name"].rstrip(".,;"), m["value"], line, context, "commanded"))
    return facts


def refusal(line: Line, context: Context) -> Refusal | None:
    """A write or read that the kernel or a file system refused, in the words of sysctl, a shell or a Go program."""
    lowered = line.text.lower()
    if not any(word in lowered for word in ("denied", "not supported", "not permitted", "read-only", "no such file",
                                            "unknown key", "cannot stat", "resource busy", "invalid argument")):
        return None
    match = _REFUSED.search(line.text) or _KEY_REFUSED.search(line.text)
    if match is None:
        return None
    return Refusal(origin=context.origin(line), name=canonical(match["name"].rstrip(":,.\"'")), error=match["error"].lower())


def _names_read(command: str) -> list[str]:
    """The settings a command prints the bare values of, in order."""
    names: list[str] = []
    for match in _CAT.finditer(command):
        names += [word for word in match[1].split() if word.startswith("/")]
    for match in _SYSCTL_READ.finditer(command):
        if "n" in match[1].replace("-", ""):
            names += match[2].split()
    return [name.rstrip(";|") for name in names]


def standing_of(context: Context) -> Standing:
    """``configured`` where the lines come from a configuration file, else ``shown``."""
    where = f"{context.path or ''} {context.command or ''}"
    if "sysctl.conf" in where or "sysctl.d" in where or "modprobe.d" in where or "configuration" in where or ".nix" in where:
        return "configured"
    return "shown"


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """One setting a line, or the bare value under the command or in the file that names it."""
    line = lines[at]
    text = line.text
    refused = refusal(line, context)
    if refused is not None and len(text) < 400:
        return Read(1, [refused])
    match = _ASSIGN.match(text)
    if match is None and text.startswith(("/proc/sys/", "/sys/module/", "net.")):
        match = _SEPARATE.match(text)
    if match:
        standing = standing_of(context)
        if "boot.kernel.sysctl" in text or "kernel_sysctl" in text:
            standing = "configured"
        return Read(1, [setting(match["name"], match["value"], line, context, standing)])
    options = _OPTIONS.match(text)
    if options:
        return Read(1, [setting("hashsize", options["value"], line, context, "configured")])
    value = _VALUE.match(text)
    if value is None:
        return None
    if context.path and ("proc/sys/" in context.path or "sys/module/" in context.path):
        name = context.path[context.path.index("proc/sys/" if "proc/sys/" in context.path else "sys/module/") :]
        return Read(1, [setting("/" + name, text.strip(), line, context, "shown")])
    names = _names_read(context.command) if context.command else []
    if not names:
        return None
    facts: list[Fact] = []
    used = 0
    for name, following in zip(names, lines[at:], strict=False):
        if not _VALUE.match(following.text):
            break
        facts.append(setting(name, following.text.strip(), following, context, "shown"))
        used += 1
    return Read(used, facts)
