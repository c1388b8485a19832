"""What a script, a unit, a udev rule or a line of modprobe.d does to modules and settings, read off its text.

The trap: the text belongs to somebody else and may hold anything. It is read, never run, and what a variable would
become is not guessed: such a value is None, which says "it sets this, to what cannot be told".
"""

import re

from msgspec import Struct


class Call(Struct, frozen=True):
    """One thing a line does.

    ``kind``: ``load`` and ``unload`` a module (``what``), ``file`` a file of settings applied (``what`` its path),
    ``system`` all files by procps, ``systemd`` all files by systemd-sysctl (``what``: only keys below that prefix),
    ``set`` a key (``what``, as written) to ``value``, ``refuse`` a program that does nothing and says so.
    """

    kind: str
    what: str = ""
    value: str | None = None
    line: int = 0


_WORD = r"(?:'[^']*'|\"[^\"]*\"|[^\s;|&<>()'\"`]+)"
_LOAD = re.compile(rf"(?:^|[\s;&|(/\"'=])modprobe((?:\s+{_WORD})+)")
_UNLOAD = re.compile(rf"(?:^|[\s;&|(/\"'])rmmod((?:\s+{_WORD})+)")
_SYSTEMD = re.compile(rf"systemd-sysctl((?:\s+{_WORD})*)")
_SYSCTL = re.compile(rf"(?:^|[\s;&|(/\"'=])sysctl((?:\s+{_WORD})+)")
_ECHO = re.compile(
    rf"(?:echo|printf)\s+(?:-n\s+|'%s(?:\\n)?'\s+)?({_WORD})\s*(?:\||>+)\s*(?:sudo\s+)?(?:tee\s+)?"
    r"(/proc/sys/[\w./-]+|/sys/module/\w+/parameters/\w+)"
)
_FALSE = re.compile(r"^(?:/usr)?(?:/bin/)?(?:false|true)\b")


def _bare(word: str) -> str:
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"" else word


def _value(word: str) -> str | None:
    value = _bare(word)
    return None if "$" in value or "`" in value else value


def _sysctl(words: list[str], number: int) -> list[Call]:
    found: list[Call] = []
    files = [word.removeprefix("--load=") for word in words if word.startswith("--load=")]
    system, loading = "--system" in words, False
    names: list[str] = []
    for word in words:
        if loading and not word.startswith("-"):
            files.append(word)
        elif re.fullmatch(r"-[a-zA-Z]*p[a-zA-Z]*|--load", word):
            loading = True
        elif re.match(r"-p./?", word) and "/" in word:
            files.append(word[2:])
        elif not word.startswith("-") and "=" in word:
            names.append(word)
    if system:
        found.append(Call("system", line=number))
    if loading and not files:
        files.append("/etc/sysctl.conf")
    found += [Call("file", path, line=number) for path in files if path.startswith("/")]
    for name in names:
        key, _, value = name.partition("=")
        found.append(Call("set", key, None if "$" in value or "`" in value else value, number))
    return found


def calls_of(text: str, number: int = 0) -> list[Call]:
    """What one line does, in the order of its words as far as this matters: loading before setting."""
    text = text.replace("\\n", " ")
    found: list[Call] = []
    for match in _LOAD.finditer(text):
        words = [_bare(word) for word in re.findall(_WORD, match[1])]
        options = [word for word in words if word.startswith("-")]
        names = [word for word in words if not word.startswith("-") and "=" not in word and "$" not in word]
        if any(word in ("-n", "--dry-run", "--show-depends", "-c", "-l") for word in options):
            continue
        many = any(word in ("-a", "--all", "-ab") for word in options)
        kind = "unload" if any(word in ("-r", "--remove") for word in options) else "load"
        found += [Call(kind, name.replace("-", "_"), line=number) for name in (names if many else names[:1])]
    for match in _UNLOAD.finditer(text):
        names = [_bare(word) for word in re.findall(_WORD, match[1]) if not word.startswith("-")]
        found += [Call("unload", name.replace("-", "_"), line=number) for name in names]
    for match in _SYSTEMD.finditer(text):
        words = [_bare(word) for word in re.findall(_WORD, match[1])]
        paths = [word for word in words if word.startswith("/")]
        prefixes = [word.removeprefix("--prefix=") for word in words if word.startswith("--prefix=")]
        if paths:
            found += [Call("file", path, line=number) for path in paths]
        else:
            found += [Call("systemd", prefix, line=number) for prefix in prefixes] or [Call("systemd", line=number)]
    for match in _SYSCTL.finditer(text):
        found += _sysctl([_bare(word) for word in re.findall(_WORD, match[1])], number)
    for match in _ECHO.finditer(text):
        found.append(Call("set", match[2], _value(match[1]), number))
    return found


def refuses(text: str) -> bool:
    """Whether an ``install`` line of modprobe.d is there to load nothing."""
    return _FALSE.match(text.strip()) is not None


def script(text: str) -> list[Call]:
    """What a shell's script does, line by line; whether a condition holds is not asked, so it may do less."""
    found: list[Call] = []
    held, first = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.strip()
        if not held:
            first = number
        if bare.startswith("#"):
            continue
        held += bare.removesuffix("\\") + " "
        if bare.endswith("\\"):
            continue
        found += calls_of(re.sub(r"\s#.*", "", held), first)
        held = ""
    return found + (calls_of(held, first) if held else [])
