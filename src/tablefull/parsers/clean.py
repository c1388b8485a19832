"""Text as people paste it, made plain: colours, quotes, fences, entities and carriage returns taken off, nothing else changed.

The trap: a ``>`` may be a mail quote, a prompt or a redirection, so it is taken off only at the start of a line and only before
a space or another ``>``.
"""

import re
from collections.abc import Iterable

from tablefull.parsers.block import Line

# CSI and OSC sequences of ECMA-48; the bounded middle keeps a hostile line linear.
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]{0,32}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,512}(?:\x07|\x1b\\)?|[@-Z\\^_])")
_CONTROLS = dict.fromkeys([*range(0x00, 0x09), *range(0x0B, 0x20), 0x7F, 0x200B, 0x200E, 0x200F, 0xFEFF, *range(0x202A, 0x202F)])
_SPACES = {0xA0: " ", 0x2007: " ", 0x202F: " ", 0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'}
_TRANSLATE = {**_CONTROLS, **_SPACES}
_QUOTE = re.compile(r"\s{0,3}(?:>\s?)+(?=\S|$)")
_TAGS = re.compile(r"</?(?:pre|code|br|p|div|span|blockquote|li|ul|b|i|em|strong)\b[^<>]{0,200}>", re.IGNORECASE)
_ENTITIES = (
    ("&gt;", ">"), ("&lt;", "<"), ("&quot;", '"'), ("&#39;", "'"), ("&#x27;", "'"), ("&nbsp;", " "), ("&#160;", " "), ("&amp;", "&"),
)
MAX_LINE = 65536  # characters kept of one line; a longer one is cut, which the reader reports


def clean_line(raw: str) -> str:
    """One line made plain. A Markdown fence becomes an empty line."""
    text = raw[:MAX_LINE]
    if text.isascii() and text.isprintable() and text[:1] not in "> " and "&" not in text and "<" not in text:
        return "" if text.startswith("```") else text.rstrip()
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    if "\r" in text.rstrip("\r\n"):
        text = text.rstrip("\r\n").rsplit("\r", 1)[-1]
    text = text.translate(_TRANSLATE)
    if "&" in text and ";" in text:
        for entity, plain in _ENTITIES:
            text = text.replace(entity, plain)
    if "<" in text and ">" in text:
        text = _TAGS.sub("", text)
    quoted = _QUOTE.match(text)
    if quoted:
        text = text[quoted.end() :]
    stripped = text.strip()
    if stripped.startswith(("```", "~~~")):
        return ""
    if len(stripped) > 2 and stripped[0] == stripped[-1] == "`":
        return stripped.strip("`")
    return text.rstrip()


def clean(raw_lines: Iterable[str], first: int = 1) -> list[Line]:
    """Lines with their 1-based numbers, starting at ``first``."""
    return [Line(number, clean_line(raw), raw.rstrip("\r\n")[:MAX_LINE]) for number, raw in enumerate(raw_lines, first)]
