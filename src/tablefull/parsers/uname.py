"""The kernel's release: ``uname``, ``/proc/version``, ``hostnamectl``, a container engine's report, a sentence.

The trap: a release in a sentence is often not the running one ("fixed in kernel 5.14", "needs Linux 4.9 or newer"),
and a distribution's version stands behind the same word ("Rocky Linux 8.6").
"""

import re
from collections.abc import Sequence

from tablefull.facts.host import KernelRelease
from tablefull.facts.origin import Fact
from tablefull.parsers.block import Context, Line, Read

_RELEASE = r"[2-9]\.[0-9]{1,3}(?:\.[0-9]{1,4}){0,2}[A-Za-z0-9._+~-]{0,80}"
_WHOLE = re.compile(_RELEASE)
_SENTENCE = re.compile(
    r"(?<![\w./-])(?P<word>linux|kernels?|uname(?: -r)?)\b[\s:=(\"'`]{0,3}"
    r"(?:(?:versions?|releases?|is|was|ver\.?|at|on)[\s:=]{1,3}){0,2}"
    r"(?:linux[\s-]|v|\"|'|`)?(?P<release>" + _RELEASE + ")",
    re.IGNORECASE,
)
# A release that carries its builder's mark needs no word in front.
_MARKED = re.compile(
    r"(?<![\w.-])(?P<release>[2-9]\.[0-9]{1,3}\.[0-9]{1,4}[.-][A-Za-z0-9._+~-]{0,60}?"
    r"(?:generic|amd64|x86_64|aarch64|arm64|i[3-6]86|lowlatency|coreos|flatcar|-pve|-aws|-azure|-gke"
    r"|-gcp|-oracle|amzn[0-9]"
    r"|\.el[4-9]|\.el10|\.fc[0-9]{2}|-default|-rt[0-9]|-xen|\.cos|-cloud)[A-Za-z0-9._+~-]{0,40})"
)
_BOUND_BEFORE = re.compile(
    r"(?:fixed in|fix in|since|before|until|prior to|older than|newer than|at least|requires?|needs?|from|after|up to"
    r"|below|above|introduced in|added in|removed in|merged in|backported to|landed in|upgrade to|or"
    r"|as of|starting with|[<>]=?)\s(?:the\s)?(?:linux\s)?$",
    re.IGNORECASE,
)
_BOUND_AFTER = re.compile(
    r"\s?(?:\+|\(?(?:or|and) (?:later|newer|above|up|higher|older|earlier|below)|onwards?\b|on have\b)", re.IGNORECASE
)
_DISTRIBUTIONS = (
    "enterprise",
    "rocky",
    "alma",
    "oracle",
    "amazon",
    "alpine",
    "arch",
    "kali",
    "scientific",
    "container",
    "photon",
    "suse",
    "centos",
    "azure",
    "void",
    "cloud",
    "talos",
    "red",
    "hat",
    "gnu",
)
_MACHINES = frozenset(
    "x86_64 i386 i486 i586 i686 amd64 aarch64 arm64 armv5tel armv5tejl armv6l armv7l armv8l arm "
    "mips mipsel mips64 mips64el ppc ppc64 ppc64le "
    "s390x riscv64 sparc64 ia64 loongarch64".split()
)
_LABELS = (
    "kernel",
    "kernel version",
    "kernelversion",
    '"kernelversion"',
    "kernel-version",
    "kernel release",
    "running kernel",
)


def _machine(words: Sequence[str]) -> str | None:
    """The last word that names a machine; ``uname -a`` may print it three times."""
    return next((word for word in reversed(words) if word in _MACHINES), None)


def release_in(text: str) -> str | None:
    """``text`` as a release, without a sentence's punctuation behind it; None where it is none."""
    match = _WHOLE.match(text)
    return match[0].rstrip(".-_~") if match else None


def _whole_uname(text: str) -> tuple[str | None, str, str | None, str | None] | None:
    """(nodename, release, machine, build) of a line of ``uname``, or None.

    The release stands second in ``uname -sr`` and third in ``uname -a``; then ``#build``, a machine or nothing.
    """
    words = text.split()
    if len(words) < 2 or words[0] != "Linux":
        return None
    for place in (1, 2):
        if len(words) <= place or not _WHOLE.fullmatch(words[place]):
            continue
        rest = words[place + 1 :]
        if rest and not rest[0].startswith("#") and rest[0] not in _MACHINES:
            return None
        if not rest and (place == 2 or len(words) > 2):
            return None
        build = None
        if rest and rest[0].startswith("#"):
            stop = len(rest)
            while stop and (rest[stop - 1] in _MACHINES or rest[stop - 1] in ("GNU/Linux", "Linux", "unknown")):
                stop -= 1
            build = " ".join(rest[:stop])
        return (words[1] if place == 2 else None), words[place], _machine(rest), build
    return None


def _banner(line: Line, context: Context) -> KernelRelease | None:
    """The release of ``/proc/version`` and of the kernel's first log line."""
    _, mark, tail = line.text.partition("Linux version ")
    release = release_in(tail) if mark else None
    if release is None or "(" not in tail[:200]:
        return None
    hash_at = tail.find(" #")
    build = tail[hash_at + 1 :].strip() if hash_at >= 0 else None
    return KernelRelease(origin=context.origin(line), release=release, build=build)


def _labelled(text: str) -> str | None:
    """The release of ``Kernel: Linux 5.15.0`` and its like; None for other lines."""
    label, colon, value = text.partition(":")
    if not colon or label.strip(" -*\t").lower() not in _LABELS:
        return None
    value = value.strip().strip("\"',").strip()
    if value.startswith("Linux "):
        value = value[6:].strip()
    release = release_in(value)
    rest = value[len(release) :].strip(" .") if release else ""
    return release if not rest or rest.startswith(("(", "#")) or rest in _MACHINES else None


def _bare(line: Line, context: Context) -> KernelRelease | None:
    """A line that is nothing but a release, under ``uname -r`` or in a file that holds one."""
    where = f"{context.command or ''} {context.path or ''}"
    if "uname" not in where and "osrelease" not in where:
        return None
    words = line.text.split()
    if not words or not _WHOLE.fullmatch(words[0]) or len(words) > 2 or (len(words) == 2 and words[1] not in _MACHINES):
        return None
    return KernelRelease(origin=context.origin(line), release=words[0], machine=words[1] if len(words) == 2 else None)


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """One :class:`KernelRelease` from a whole line of machine output; a wrapped second half is used with it."""
    line = lines[at]
    text = line.text.strip()
    if len(text) > 1000:
        return None
    whole = _whole_uname(text)
    if whole is not None:
        node, release, machine, build = whole
        used = 1
        if machine is None and at + 1 < len(lines) and "GNU/Linux" not in text:
            tail = lines[at + 1].text.split()
            if tail[-1:] == ["GNU/Linux"] and len(tail) <= 10 and "Linux" not in tail:
                machine, used = _machine(tail), 2
        return Read(
            used,
            [KernelRelease(origin=context.origin(line), release=release, nodename=node, machine=machine, build=build)],
        )
    banner = _banner(line, context) or _bare(line, context)
    if banner is not None:
        return Read(1, [banner])
    labelled = _labelled(text)
    if labelled is None:
        return None
    machine, used = None, 1
    if at + 1 < len(lines):
        label, _, value = lines[at + 1].text.partition(":")
        if label.strip() == "Architecture" and value.strip().replace("-", "_") in _MACHINES:
            machine, used = value.strip().replace("-", "_"), 2
    return Read(used, [KernelRelease(origin=context.origin(line), release=labelled, machine=machine)])


def _is_bound(text: str, start: int, end: int) -> bool:
    """True where the words around a release make it a limit ("fixed in", "or newer") and not what runs here."""
    return bool(_BOUND_BEFORE.search(text[max(0, start - 40) : start]) or _BOUND_AFTER.match(text[end : end + 20]))


def mentions(line: Line, context: Context) -> list[Fact]:
    """Releases a sentence says are running; none for a release given as a limit, or for a distribution's version."""
    text = line.text[:4000]
    found: dict[str, Fact] = {}
    for match in _SENTENCE.finditer(text):
        before = text[max(0, match.start() - 30) : match.start()].split()
        previous = before[-1].strip("(,").lower() if before else ""
        if match["word"].lower() == "linux" and (
            previous.startswith(_DISTRIBUTIONS) or text[match.start() - 1 : match.start()] == "/"
        ):
            continue
        release = match["release"].rstrip(".-_~")
        bound = release.endswith("+") and "-" not in release
        if bound or _is_bound(text, match.start(), match.start("release") + len(release)):
            continue
        found.setdefault(release, KernelRelease(origin=context.origin(line), release=release))
    for match in _MARKED.finditer(text):
        release = match["release"].rstrip(".-_~")
        if not _is_bound(text, match.start(), match.start() + len(release)):
            found.setdefault(release, KernelRelease(origin=context.origin(line), release=release))
    return list(found.values())
