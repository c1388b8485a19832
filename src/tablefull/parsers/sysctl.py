"""Settings in every form they are shown, written, set or refused in.

The trap: ``net.netfilter.nf_conntrack_max = 131072`` may be what the kernel answered, what a file wants, or what
somebody just typed; only the surroundings tell, and only the first is in force.
"""

import re
from collections.abc import Sequence

from tablefull.facts.origin import Fact
from tablefull.facts.settings import Refusal, Setting, Standing
from tablefull.kernel.sysctls import canonical
from tablefull.parsers import numeral
from tablefull.parsers.block import Context, Line, Read
from tablefull.parsers.pattern import lazy

_NAME = (
    r"(?:/proc/sys/[\w./-]{3,120}|/sys/module/\w{1,40}/parameters/\w{1,60}|net[./][\w./-]{3,120}"
    r"|(?:nf|ip)_conntrack_[a-z_0-9]{2,60}|bridge-nf-call-\w{2,9}|fs\.[\w-]{2,40}|kernel\.[\w.-]{2,60}"
    r"|vm\.[\w.-]{2,40})"
)
_WORTH = ("net.", "net/", "conntrack", "bridge-nf", "fs.", "kernel.", "vm.", "/sys/")
_ASSIGN = lazy(
    r"\s{0,40}(?P<file>/(?:etc|usr|run|boot)/[\w./-]{1,100}:(?:\d{1,6}:)?)?(?:[-*+]\s)?(?:\w{1,20}(?:\.\w{1,20}){0,3}\.\"|[\"'])?"
    r"(?P<name>" + _NAME + r")[\"']?\s{0,40}(?:=>|=|:|->|→)\s{0,20}(?:(?:lib\.)?mk\w{4,12}\s)?[\"']?"
    r"(?P<value>-?\d[\d\s]{0,60}|[A-Za-z_][\w-]{0,40})[\"']?\s{0,8}[;,\\]{0,2}\s{0,8}(?:[#(].{0,200}|\.\s{0,4})?$",
    re.ASCII,
)
_ROW = lazy(
    r"\s{0,8}\|?\s{0,40}`?(?P<name>"
    + _NAME
    + r")`?\s{0,60}\|\s{0,60}`?(?P<value>[\d,.']{1,24})`?\s{0,60}(?:\|.{0,200})?$",
    re.ASCII,
)
_WRITTEN = lazy(r"[\"']?(?P<name>" + _NAME + r")[\"']?\s?=\s?[\"']?(?P<value>-?\d{1,20})", re.ASCII)
_SYSCTL = lazy(r"sysctl\s[^|;&\n]{1,2000}")
_ECHO = lazy(
    r"(?:echo|printf)\s+(?:-[ne]\s+)?[\"']?(?P<value>-?\d{1,20})(?:\\n)?[\"']?\s*(?:>{1,2}"
    r"|\|\s*(?:sudo\s+)?tee(?:\s+-a)?)\s*"
    r"(?P<name>/(?:proc/sys|sys/module)/[\w./-]{1,120})"
)
_HASHSIZE = lazy(
    r"(?P<where>\boptions|modprobe)\s+(?:-\w+\s+)?(?:nf"
    r"|ip)_conntrack\s+(?:\S{1,60}\s+){0,6}?hashsize=(?P<value>\d{1,20})"
)
_NAMED_BELOW = lazy(
    r"\s{0,40}(?:-\s{1,3})?(?:(?:name|key):\s{0,4}|name=)?[\"']?(?P<name>" + _NAME + r")[\"']?:?\s{0,4}$", re.ASCII
)
_VALUE_BELOW = lazy(r"\s{0,40}(?:-\s{1,3})?value:\s{0,4}[\"']?(?P<value>-?\d{1,20})[\"']?\s{0,4}$")
_NAME_AND_VALUE = lazy(r"\bname=[\"']?(?P<name>" + _NAME + r")[\"']?\s{1,4}value=[\"']?(?P<value>-?\d{1,20})", re.ASCII)
_PUPPET = lazy(
    r"sysctl(?:::\w{1,20})?\s{0,3}\{\s{0,3}[\"'](?P<name>"
    + _NAME
    + r")[\"']:.{0,80}?\bvalue\s{0,20}=>\s{0,3}[\"']?(?P<value>-?\d{1,20})"
)
_ERRORS = (
    "denied", "not supported", "not permitted", "read-only", "no such file", "unknown key", "cannot stat",
    "resource busy",
    "invalid argument", "out of range", "cannot allocate", "too large",
)  # fmt: skip
_REFUSED = lazy(
    r"(?P<name>" + _NAME + r")[\"'’]?(?:,\s?ignoring|: write error|: cannot (?:create|open))?[:,]?\s{1,3}(?:is an )?"
    r"(?P<error>(?:operation not (?:supported|permitted)|permission denied|read-only file system"
    r"|no such file or directory"
    r"|unknown key|(?:device or )?resource busy|invalid argument|(?:numerical result )?out of range"
    r"|cannot allocate memory))",
    re.IGNORECASE,
)
_KEY_REFUSED = lazy(
    r"(?P<error>permission denied|cannot stat|unknown key|read-only file system|setting key"
    r"|error)[^\"'/]{0,40}[\"']?(?P<name>"
    + _NAME + ")",
    re.IGNORECASE,
)  # fmt: skip
_WRITE_ERROR = lazy(
    r"write error: (?P<error>invalid argument|permission denied|operation not (?:supported|permitted)"
    r"|read-only file system"
    r"|device or resource busy|cannot allocate memory)",
    re.IGNORECASE,
)
_VALUE = lazy(r"\s{0,8}(-?\d{1,20})(?:\s{1,8}-?\d{1,20}){0,12}\s{0,8}$", re.ASCII)
_READERS = frozenset(("cat", "more", "less", "head", "tail", "bat"))
_SEPARATE = lazy(r"\s{0,8}(?P<name>" + _NAME + r")(?:[:\s]{1,40}|\s{0,4}\|\s{0,4})(?P<value>\d{1,20})$", re.ASCII)
_BARE_NAMES = ("nf_conntrack_", "ip_conntrack_")
_CONFIGURED = (
    "sysctl.conf", "sysctl.d", "modprobe.d", "configuration", ".nix", "/etc/", ".yml", ".yaml", "cloud-init",
    "user-data",
)  # fmt: skip


def setting(name: str, value: str, line: Line, context: Context, standing: Standing) -> Setting:
    """A setting under its canonical name; a value that is no whole number keeps its text alone."""
    plain = value.strip()
    first = plain.split()[0] if plain.split() else plain
    digits = first.removeprefix("-")
    number = int(first) if digits.isascii() and digits.isdigit() and len(first) < 20 else None
    return Setting(
        origin=context.origin(line), name=canonical(name), spelled=name, value=plain, number=number, standing=standing
    )


def commanded(line: Line, context: Context) -> list[Fact]:
    """Settings that a typed command writes: ``sysctl -w``, ``echo N >``, ``tee``, ``modprobe … hashsize=N``.

    What ``echo`` appends to a file below /etc is configured, not commanded.
    """
    text = line.text
    facts: list[Fact] = []
    if "sysctl" in text and "=" in text:
        for segment in _SYSCTL.finditer(text):
            facts += [
                setting(m["name"], m["value"], line, context, "commanded")
                for m in _WRITTEN.finditer(segment[0])
                if "/etc/" not in segment[0]
            ]
    if "echo" in text or "printf" in text:
        for m in _ECHO.finditer(text):
            facts.append(setting(m["name"].rstrip(".,;"), m["value"], line, context, "commanded"))
        if "/etc/" in text and "=" in text and not facts:
            facts += [setting(m["name"], m["value"], line, context, "configured") for m in _WRITTEN.finditer(text)]
    if "hashsize=" in text and "modprobe" in text:
        found = _HASHSIZE.search(text)
        if found:
            facts.append(setting("hashsize", found["value"], line, context, "commanded"))
    return facts


def refusal(line: Line, context: Context) -> Refusal | None:
    """A write or read that the kernel or a file system refused, in the words of sysctl, a shell or a Go program."""
    lowered = line.text.lower()
    if not any(word in lowered for word in _ERRORS):
        return None
    match = _REFUSED.search(line.text) or _KEY_REFUSED.search(line.text)
    if match is not None:
        name = match["name"].rstrip(":,.\"'")
        return Refusal(origin=context.origin(line), name=canonical(name), error=match["error"].lower())
    written = _WRITE_ERROR.search(line.text) if "write error" in lowered and context.command else None
    if written is None:
        return None
    target = _ECHO.search(context.command or "")
    if target is None:
        return None
    return Refusal(origin=context.origin(line), name=canonical(target["name"]), error=written["error"].lower())


def _expanded(word: str) -> list[str]:
    """The words of one shell brace expansion (``nf_conntrack_{count,max}``); the word itself where there is none."""
    head, opened, rest = word.partition("{")
    inner, closed, tail = rest.partition("}")
    if not (opened and closed and "," in inner) or len(inner) > 400:
        return [word]
    return [head + one + tail for one in inner.split(",")]


def names_read(command: str) -> list[str]:
    """The settings whose bare values a command prints, in order: ``cat`` of their files, ``sysctl -n``."""
    names: list[str] = []
    for part in command.replace("&&", ";").replace("||", ";").replace("|", ";").replace("&", ";").split(";"):
        words = [word.strip("'\"") for word in part.split()]
        while words and words[0] in ("sudo", "watch", "-n", "-n1", "1", "while", "true", "do", "for", "doas"):
            words = words[1:]
        if not words or len(words) > 60:
            continue
        program = words[0].rsplit("/", 1)[-1]
        words = [one for word in words[1:] if not word.startswith("-") for one in _expanded(word)]
        if program in _READERS:
            names += [
                one for one in words if one.startswith(("/proc/sys/", "/sys/module/", *_BARE_NAMES)) and "*" not in one
            ]
        elif program == "sysctl" and any(option.startswith("-") and "n" in option for option in part.split()[1:]):
            names += [one for one in words if one.startswith(("net.", "net/", "fs.", "kernel.", "vm."))]
    return names


def standing_of(context: Context) -> Standing:
    """``configured`` where the lines come from a configuration file, else ``shown``."""
    where = f"{context.path or ''} {context.command or ''}"
    return "configured" if any(mark in where for mark in _CONFIGURED) and "sysctl -" not in where else "shown"


def heading(text: str) -> str | None:
    """The command that would print what follows, where a line only names a file: ``# /etc/sysctl.d/nf.conf``.

    ``==> /proc/sys/… <==`` as ``head`` and ``tail`` print it becomes a ``cat`` of that file; a key that opens a block
    of settings (``boot.kernel.sysctl = {``, ``sysctls:``) is a configuration file too. None for any other line.
    """
    stripped = text.strip()
    if not 3 < len(stripped) < 160:
        return None
    core = stripped.strip("#;*`\"'=<>-: \t([{}])")
    if not core or " " in core:
        return None
    if core.startswith(("/proc/sys/", "/sys/module/")):
        return f"cat {core}" if stripped.startswith("==>") else None
    named = core.startswith(("/etc/", "/usr/lib/sysctl.d/", "/run/sysctl.d/", "~/")) or core.endswith(
        (".conf", ".nix", ".yml", ".yaml", ".cfg")
    )
    if named and (core.startswith(("/", "~/")) or stripped != core):
        return f"configuration file {core}"
    if "sysctl" in core and stripped.endswith((":", "{")):
        return f"configuration file {core}"
    return None


def _assigned(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """One or more settings written with their names on the line, or with the value on one of the next three."""
    line = lines[at]
    text = line.text
    match = _ASSIGN.match(text)
    if match:
        standing = standing_of(context)
        if match["file"] or "boot.kernel.sysctl" in text or "kernel_sysctl" in text:
            standing = "configured"
        return Read(1, [setting(match["name"], match["value"], line, context, standing)])
    if "|" in text:
        row = _ROW.match(text)
        if row:
            value = numeral.whole(row["value"])
            if value is not None:
                return Read(1, [setting(row["name"].rstrip(":"), str(value), line, context, standing_of(context))])
    separate = _SEPARATE.match(text) if text[-1:].isdigit() else None
    if separate:
        return Read(1, [setting(separate["name"].rstrip(":"), separate["value"], line, context, standing_of(context))])
    if "name=" in text or "sysctl" in text:
        below = _NAME_AND_VALUE.search(text) or _PUPPET.search(text)
        if below:
            return Read(1, [setting(below["name"], below["value"], line, context, "configured")])
    named = _NAMED_BELOW.match(text)
    if named and ("name" in text or "key:" in text or text.rstrip().endswith(":")):
        for used, following in enumerate(lines[at + 1 : at + 4], 2):
            found = _VALUE_BELOW.match(following.text)
            if found:
                return Read(used, [setting(named["name"].rstrip(":"), found["value"], line, context, "configured")])
    return None


def _bare(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Values without names, under the command or in the file that names them."""
    text = lines[at].text
    if _VALUE.match(text) is None:
        return None
    path = context.path or ""
    for root in ("proc/sys/", "sys/module/"):
        if root in path:
            name = "/" + path[path.index(root) :]
            return Read(1, [setting(name, text.strip(), lines[at], context, "shown")])
    names = names_read(context.command) if context.command else []
    if not names:
        return None
    facts: list[Fact] = []
    for name, following in zip(names, lines[at : at + len(names)], strict=False):
        if not _VALUE.match(following.text):
            break
        facts.append(setting(name, following.text.strip(), following, context, "shown"))
    if len(facts) < len(names):
        context.command = "cat " + " ".join(names[len(facts) :])
    return Read(len(facts), facts)


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """One setting a line, or the bare value under the command or in the file that names it."""
    text = lines[at].text
    stripped = text.strip()
    if stripped[:1].isdigit() or stripped[:1] == "-":
        found = _bare(lines, at, context)
        if found is not None:
            return found
    if len(text) < 400:
        refused = refusal(lines[at], context)
        if refused is not None:
            names = names_read(context.command) if context.command else []
            rest = [name for name in names if canonical(name) != refused.name]
            if rest and len(rest) < len(names):
                context.command = "cat " + " ".join(rest)
            return Read(1, [refused])
    if len(text) > 2000 or not any(mark in text for mark in _WORTH):
        return None
    if "hashsize=" in text and stripped.startswith("options"):
        options = _HASHSIZE.match(stripped)
        if options:
            return Read(1, [setting("hashsize", options["value"], lines[at], context, "configured")])
    return _assigned(lines, at, context)
