"""Text as people paste it, made plain: colours, quotes, fences, entities, full-width signs and broken lines mended.

The trap: a ``>`` may be a mail quote, a prompt or a redirection, so it is taken off only at the start of a line. And a
mail client breaks a log line in the middle, so two lines are joined again, but only where the first ends and the second
begins as no two lines of their own would.
"""

import re
from collections.abc import Iterable

from tablefull.parsers.block import Line
from tablefull.parsers.pattern import lazy

# CSI and OSC sequences of ECMA-48; the bounded middle keeps a hostile line linear.
_ESCAPES = lazy(
    r"(?:\x1b|\^\[)(?:\[[0-9;?]{0,32}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,512}(?:\x07|\x1b\\)?|[@-Z\\^_])|\x9b[0-9;]{0,32}m"
)
# What is left of them where a terminal's copy lost the escape itself (grep --color, dmesg).
_BARE_COLOURS = lazy(r"\[\d{1,3}(?:;\d{1,3}){0,4}m(?!\])(?:\[K)?|\[m\[K|\[0?m(?=[\s.,:;]|$)")
_OVERSTRIKE = lazy(r".\x08")
# Zero-width characters, marks of writing direction, soft hyphens, byte order marks.
_INVISIBLE = (0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF)
_CONTROLS = dict.fromkeys([*range(0x09), *range(0x0A, 0x20), *range(0x7F, 0xA0), *_INVISIBLE])
_SPACES = dict.fromkeys([0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " ")
_QUOTES = {
    0x2018: "'",
    0x2019: "'",
    0x201A: "'",
    0x201C: '"',
    0x201D: '"',
    0x201E: '"',
    0x2032: "'",
    0x2033: '"',
    0x2212: "-",
}
# East Asian full-width forms of ASCII, and the full stop and brackets beside them.
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_EAST = {0x3001: ",", 0x3002: ".", 0x3010: "[", 0x3011: "]"}
_TRANSLATE: dict[int, int | str | None] = {**_CONTROLS, **_SPACES, **_QUOTES, **_FULL_WIDTH, **_EAST}
_BREAKS = lazy(r"<br\s{0,3}/?>|</(?:p|div|li|tr|pre|h[1-6])\s{0,3}>", re.IGNORECASE)
_CELLS = lazy(r"</(?:td|th)\s{0,3}>\s{0,8}(?=<t[dh])", re.IGNORECASE)
_TAGS = lazy(
    r"</?(?:pre|code|br|p|div|span|blockquote|li|ul|ol|b|i|em|strong|tt|kbd|samp|font|a|table|tbody|thead|tr|td"
    r"|th|h[1-6])"
    r"(?:\s[^<>]{0,200})?/?>",
    re.IGNORECASE,
)
_ENTITIES = lazy(
    r"&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|(gt|lt|quot|apos|nbsp|amp|rsquo|lsquo|ldquo|rdquo|hellip|ndash|mdash));"
)
_NAMED = {
    "gt": ">", "lt": "<", "quot": '"', "apos": "'", "nbsp": " ", "amp": "&", "rsquo": "'", "lsquo": "'", "ldquo": '"',
    "rdquo": '"', "hellip": "...", "ndash": "-", "mdash": "-",
}  # fmt: skip
MAX_LINE = 65536  # characters kept of one line; a longer one is cut, which the reader reports


def _entity(decimal: str | None, hexadecimal: str | None, name: str | None) -> str:
    if name:
        return _NAMED[name]
    code = int(decimal) if decimal else int(hexadecimal or "0", 16)
    return chr(code) if 0x20 <= code < 0xD800 or 0xE000 <= code < 0x110000 else " "


def _unquote(text: str) -> str:
    """The text after its mail quotes: up to three spaces, then ``>`` marks, each with one space of its own."""
    rest = text.lstrip(" ")
    if not rest.startswith(">") or len(text) - len(rest) > 3:
        return text
    while rest.startswith(">"):
        rest = rest[2:] if rest.startswith("> ") else rest[1:]
        inner = rest.lstrip(" ")
        if inner.startswith(">") and len(rest) - len(inner) < 3:
            rest = inner
    return rest


def clean_line(raw: str) -> str:
    """One line made plain. A Markdown fence becomes an empty line."""
    text = raw[:MAX_LINE]
    printable = text.isascii() and text.isprintable()
    coloured = "[m" in text or "[0m" in text or "^[" in text
    if printable and not coloured and text[:1] not in "> `~" and "&" not in text and "<" not in text:
        return text.rstrip()
    if "\x1b" in text or "^[" in text or "\x9b" in text:
        text = _ESCAPES.sub("", text)
    if coloured:
        text = _BARE_COLOURS.sub("", text)
    if not printable:
        text = text.rstrip("\r\n")
        if "\r" in text:
            text = text.rsplit("\r", 1)[-1]
        if "\x08" in text:
            text = _OVERSTRIKE.sub("", text)
        text = text.removeprefix("ï»¿").translate(_TRANSLATE)
    if "<" in text and ">" in text:
        text = _TAGS.sub("", _CELLS.sub(" ", text))
    if "&" in text and ";" in text:
        # twice: a page that escapes what was escaped already shows ``&amp;gt;``
        for _ in range(2 if "&amp;" in text else 1):
            text = _ENTITIES.sub(lambda found: _entity(*found.groups()), text)
    if ">" in text[:5]:
        text = _unquote(text)
    stripped = text.strip()
    if stripped.startswith(("```", "~~~")):
        return ""
    if len(stripped) > 2 and stripped[0] == stripped[-1] == "`":
        return stripped.strip("`")
    return text.rstrip()


SHORT = 24  # characters; shorter than any message with a stamp
SAME = 200  # lines kept of one that only repeats itself


def _pieces(raw: str) -> list[str]:
    """The lines inside one line of HTML."""
    if "<" in raw and ("<br" in raw or "</" in raw or "<BR" in raw):
        pieces = _BREAKS.split(raw[:MAX_LINE])
        if len(pieces) > 1 and not pieces[-1].strip():
            pieces.pop()
        return pieces
    return [raw]


def clean(raw_lines: Iterable[str], first: int = 1) -> list[Line]:
    """Lines with their 1-based numbers, starting at ``first``; lines of one HTML line share its number.

    Of a short line that follows itself over and over ``SAME`` are kept: no evidence looks like that, and a file full of
    it must not cost minutes. The numbers of the lines after it stay true.
    """
    lines = []
    before, times = "", 0
    for number, raw in enumerate(raw_lines, first):
        if len(raw) < SHORT and raw == before:
            times += 1
            if times > SAME:
                continue
        else:
            before, times = raw, 0
        kept = raw.rstrip("\r\n")[:MAX_LINE]
        if "<" in raw:
            lines += [Line(number, clean_line(piece), kept) for piece in _pieces(raw)]
        else:
            lines.append(Line(number, clean_line(raw), kept))
    return rejoin(lines)


# How the second half of a broken line begins → how its first half ends.
_HALVES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("packet", ("full, dropping", "full,dropping")),
    ("dropping packet", ("table full,",)),
    ("full, dropping", ("conntrack: table", "expectation table")),
    ("table full", ("conntrack:", "expectation")),
    ("expectation table full", ("conntrack:",)),
    ("nf_conntrack: ", ("kernel:", "]")),
    ("ip_conntrack: ", ("kernel:", "]")),
    ("net_ratelimit: ", ("kernel:", "]")),
    ("suppressed", (" callbacks", " messages")),
    ("limit of ", ("conntrack: maximum",)),
    ("entries exceeded", ("maximum limit of",)),
    ("overflow", ("neighbor table", "neighbour table", "bucket table", "dst cache")),
    ("table overflow", ("neighbor", "neighbour", "bucket")),
    ("flooding on port", ("ossible SYN",)),
    ("failure", ("page allocation",)),
)
_STARTS = (
    *(tail for tail, _ in _HALVES),
    "callbacks suppressed", "messages suppressed", "=", "per ", "/ ", "/day", "/sec",
    *"0123456789",
)  # fmt: skip
_PERIODS = ("second", "sec", "s ", "minute", "min", "hour", "day")


def _continues(head: str, tail: str) -> bool:
    """Whether ``tail`` is the second half of a line broken after ``head``; both stripped."""
    for begin, ends in _HALVES:
        if tail.startswith(begin) and head.endswith(ends):
            return head[-1] != "]" or head[-2:-1].isdigit()
    last = head[head.rfind(" ") + 1 :]
    if tail.startswith(("callbacks suppressed", "messages suppressed")):
        return last.isdigit() and head.rstrip("0123456789 ").endswith(("ratelimit:", "printk:", "_ratelimit"))
    if tail[0].isdigit():
        if " callbacks suppressed" in tail[:32] or " messages suppressed" in tail[:32]:
            return head.endswith(("ratelimit:", "printk:"))
        return last == "=" and head.startswith(("net.", "/proc/sys/", "fs.", "kernel.")) and tail.strip(" -").isdigit()
    if tail[0] == "=":
        return tail[1:].strip().isdigit() and " " not in head and head.startswith(("net.", "net/"))
    if tail.startswith(("per ", "/")):
        return len(head) > 24 and tail.lstrip("/per ").startswith(_PERIODS) and head.count(" ") > 2
    return False


def rejoin(lines: list[Line]) -> list[Line]:
    """The lines with those joined again that a mail client broke; a joined line has the number of its first half."""
    joined: list[Line] = []
    before = 0
    for line in lines:
        tail = line.text.strip()
        if joined and tail.startswith(_STARTS) and len(tail) < 160:
            head = joined[-1]
            if head.text and 0 <= line.number - before <= 1 and _continues(head.text.strip(), tail):
                joined[-1] = Line(head.number, f"{head.text} {tail}"[:MAX_LINE], f"{head.raw} {line.raw}"[:MAX_LINE])
                before = line.number
                continue
        joined.append(line)
        before = line.number
    return joined
