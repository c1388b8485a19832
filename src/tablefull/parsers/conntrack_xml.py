"""``conntrack -L -o xml`` and ``conntrack -E -o xml``: ``<flow>`` elements, one a line as printed, or laid out.

The trap: text that claims to be XML may carry entity declarations that expand without end, and pasted XML is seldom
whole. So no XML parser is used: elements are read tag by tag within one flow, only the five predefined entities mean
anything, and a flow that is cut keeps what stands before the cut.
"""

import re
from collections.abc import Sequence

from tablefull.facts.entry import CtTuple, Entry
from tablefull.facts.origin import Fact
from tablefull.kernel.states import TCP_STATE_ALIASES
from tablefull.parsers.block import Context, Line, Read

_TAG = re.compile(r"<(/?)([a-zA-Z][\w-]{0,40}+)([^<>]{0,200})>([^<>]{0,200})")
_ATTRIBUTE = re.compile(r"(\w{1,20})=[\"']([^\"'<>]{0,60})[\"']")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&"))
_EVENTS = {"new": "NEW", "update": "UPDATE", "destroy": "DESTROY"}
BLOCK = 1000  # flows one call hands out
MAX_FLOW = 16384  # characters of one flow: a real one is below 2000
MAX_LAYOUT = 200  # lines a laid-out flow may take


class _Flow:
    """What one ``<flow>`` says: values by direction (``original``, ``reply``, ``independent``) and element name."""

    def __init__(self, text: str) -> None:
        self.values: dict[tuple[str, str], str] = {}
        self.event: str | None = None
        direction = "independent"
        for closing, name, attributes, content in _TAG.findall(text):
            if closing:
                if name == "meta":
                    direction = "independent"
                continue
            if attributes and name in ("meta", "flow", "layer3", "layer4"):
                for key, value in _ATTRIBUTE.findall(attributes):
                    if name == "meta" and key == "direction":
                        direction = value
                    elif name == "flow" and key == "type":
                        self.event = _EVENTS.get(value)
                    else:
                        self.values.setdefault((direction, f"{name} {key}"), value)
            self.values.setdefault((direction, name), _plain(content))

    def text(self, direction: str, name: str) -> str | None:
        return self.values.get((direction, name)) or None

    def number(self, direction: str, name: str) -> int | None:
        value = self.values.get((direction, name))
        return int(value) if value and value.isascii() and value.isdigit() and len(value) < 21 else None

    def tuple(self, direction: str) -> CtTuple:
        number = self.number
        return CtTuple(
            self.text(direction, "src") or "",
            self.text(direction, "dst") or "",
            number(direction, "sport"),
            number(direction, "dport"),
            number(direction, "type"),
            number(direction, "code"),
            number(direction, "id"),
        )


def _plain(content: str) -> str:
    content = content.strip()
    if "&" in content:
        for entity, character in _ENTITIES:
            content = content.replace(entity, character)
    return content


def flow(text: str, line: Line, context: Context) -> Entry | None:
    """The entry of one ``<flow>``; None where it has no original direction (an expectation, or cut too early)."""
    one = _Flow(text)
    values = one.values
    l4proto = one.text("original", "layer4 protoname")
    if ("original", "src") not in values or l4proto is None:
        return None
    number = one.number
    state = one.text("independent", "state")
    return Entry(
        origin=context.origin(line),
        l4proto=l4proto,
        original=one.tuple("original"),
        family=one.text("original", "layer3 protoname"),
        protonum=number("original", "layer4 protonum"),
        reply=one.tuple("reply") if ("reply", "src") in values else None,
        remaining_s=number("independent", "timeout"),
        # Other protocols' states come out under the TCP name of the same number: an SCTP entry that is CLOSED in the
        # plain listing says SYN_SENT here. [measured: conntrack 1.4.7 on 6.18.44]
        state=TCP_STATE_ALIASES.get(state or "", state) if l4proto == "tcp" else None,
        unreplied=("independent", "unreplied") in values,
        assured=("independent", "assured") in values,
        offload=("independent", "offload") in values,
        hw_offload=("independent", "hw_offload") in values,
        packets_original=number("original", "packets"),
        bytes_original=number("original", "bytes"),
        packets_reply=number("reply", "packets"),
        bytes_reply=number("reply", "bytes"),
        mark=number("independent", "mark"),
        zone=number("independent", "zone") or number("original", "zone") or number("reply", "zone"),
        use=number("independent", "use"),
        helper=one.text("independent", "helper"),
        event=one.event,
    )


def _gather(lines: Sequence[Line], at: int) -> tuple[str, int]:
    """The text from the ``<flow`` in ``lines[at]`` on, as far as its end, and how many lines that takes."""
    text = lines[at].text
    used = 1
    parts = [text]
    size = len(text)
    while "</flow>" not in text and at + used < len(lines) and used < MAX_LAYOUT and size < MAX_FLOW:
        text = lines[at + used].text
        if "<flow" in text or "</conntrack>" in text or not _continues(text):
            break
        parts.append(text)
        size += len(text)
        used += 1
    return "".join(parts), used


def _continues(text: str) -> bool:
    """Whether a line can be the rest of a flow: a tag at its start, or broken within a tag or a value."""
    return "<" in text or ">" in text


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """The flows of a listing, at most about ``BLOCK`` of them, and the lines around them that hold no flow."""
    facts: list[Fact] = []
    unread: list[tuple[Line, str]] = []
    here = at
    while here < len(lines) and len(facts) < BLOCK:
        line = lines[here]
        text = line.text.strip()
        if "<flow" not in text:
            if not text.startswith(("<?xml", "<conntrack", "</conntrack>", "</flow>")):
                break
            here += 1
            continue
        whole, used = _gather(lines, here)
        for piece in whole.split("<flow")[1:]:
            if piece[:1] not in " >":
                continue
            entry = flow("<flow" + piece[:MAX_FLOW], line, context)
            if entry is not None:
                facts.append(entry)
            elif 'direction="original"' in piece or "</flow>" not in piece:
                unread.append((line, "a flow in XML, cut before its addresses"))
        here += used
    return Read(here - at, facts, unread) if here > at else None
