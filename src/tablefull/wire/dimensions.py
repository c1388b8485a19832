"""By what a table is told apart: each dimension names the words of a row that make its key, and says the key in words.

The trap: the same word means different things. A port belongs to a protocol, an ICMP entry keeps an id in its place, a
state number is TCP's or SCTP's, and the two *_done bits of a status are set wherever NAT hooks exist and mean nothing
(KERNEL.md 9.1). So keys carry what their numbers need to be read.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tablefull.errors import UsageError
from tablefull.kernel.states import TCP_STATES, status_names
from tablefull.wire import ctnetlink as at

Key = tuple[int, ...]
NAMES = {
    1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 33: "dccp", 47: "gre", 50: "esp", 51: "ah", 58: "icmpv6",
    132: "sctp", 136: "udplite",
}  # fmt: skip
PORTED = frozenset((6, 17, 33, 132, 136))
TCP, SCTP = 6, 132
NAT_BITS = 1 << 4 | 1 << 5
# Told apart: what never says anything (confirmed, the two *_done bits) is left out.
TOLD_STATUS = 0xFFFF & ~(1 << 3 | 1 << 7 | 1 << 8)
OFFLOADED = 1 << 14 | 1 << 15
SEEN_REPLY, ASSURED = 1 << 1, 1 << 2


class Dimension(NamedTuple):
    """``words`` of a row, each under its mask, make the key; ``say`` puts it into words."""

    name: str
    words: tuple[int, ...]
    say: Callable[[Key], str]
    masks: tuple[int, ...] = ()
    addressed: bool = False  # the key is an address and its family


def address(family: int, words: Sequence[int]) -> str:
    """An address as RFC 5952 has it written (hexadecimal throughout); without ``ipaddress``: 2 ms of every start."""
    if family == 4:
        word = words[0]
        return f"{word >> 24}.{word >> 16 & 255}.{word >> 8 & 255}.{word & 255}"
    if family != 6:
        return "?"
    groups = [group for word in words[:4] for group in (word >> 16, word & 0xFFFF)]
    texts = [f"{group:x}" for group in groups]
    # RFC 5952, 4.2: the longest run of zeros, the first of several, and never one alone, is written "::".
    for length in range(8, 1, -1):
        for begin in range(9 - length):
            if not any(groups[begin : begin + length]):
                return f"{':'.join(texts[:begin])}::{':'.join(texts[begin + length :])}"
    return ":".join(texts)


def proto_name(proto: int) -> str:
    """The kernel's word for a protocol, else its number."""
    return NAMES.get(proto, f"proto-{proto}")


def state_name(proto: int, state: int) -> str:
    """The state of TCP or SCTP, empty for a protocol without states or where none was told."""
    names: tuple[str, ...] = ()
    if proto == TCP:
        names = TCP_STATES
    elif proto == SCTP:
        from tablefull.kernel.sctp import STATES as names  # noqa: N811 - one of two tables
    if state == at.ABSENT or not names:
        return ""
    return names[state] if state < len(names) else str(state)


def _state(key: Key) -> str:
    proto, state = key[:2]
    return f"{proto_name(proto)} {state_name(proto, state)}".rstrip()


def _port(key: Key) -> str:
    proto, port = key[:2]
    return f"{proto_name(proto)}/{port}" if proto in PORTED else proto_name(proto)


def _status(key: Key) -> str:
    names = status_names(key[0])
    answered = "" if "seen_reply" in names else "unreplied"
    return " ".join(filter(None, (answered, *(name for name in names if name != "seen_reply")))) or "seen_reply"


def _family(key: Key) -> str:
    return f"ipv{key[0]}" if key[0] else "?"


def _nat(key: Key) -> str:
    return {0: "none", 1 << 4: "snat", 1 << 5: "dnat"}.get(key[0], "snat dnat")


def _helper(key: Key) -> str:
    raw = b"".join(word.to_bytes(4, "big") for word in key)
    return raw.rstrip(b"\0").decode("ascii", "backslashreplace") or "none"


def _zone(key: Key) -> str:
    zone, original, reply = key
    if original or reply:
        return f"original {original}, reply {reply}"
    return str(zone)


def _mark(key: Key) -> str:
    return f"{key[0]:#x}" if key[0] else "0"


def _address(key: Key) -> str:
    return address(key[4], key)


def _four(word: int) -> tuple[int, ...]:
    return (*range(word, word + 4), at.R_FAMILY)


DIMENSIONS = {
    each.name: each
    for each in (
        Dimension("state", (at.R_PROTO, at.R_STATE), _state),
        Dimension("proto", (at.R_PROTO,), lambda key: proto_name(key[0])),
        Dimension("source", _four(at.R_SRC), _address, addressed=True),
        Dimension("destination", _four(at.R_DST), _address, addressed=True),
        Dimension("reply-source", _four(at.R_REPLY_SRC), _address, addressed=True),
        Dimension("reply-destination", _four(at.R_REPLY_DST), _address, addressed=True),
        Dimension("dport", (at.R_PROTO, at.R_DPORT), _port),
        Dimension("sport", (at.R_PROTO, at.R_SPORT), _port),
        Dimension("status", (at.R_STATUS,), _status, (TOLD_STATUS,)),
        Dimension("nat", (at.R_STATUS,), _nat, (NAT_BITS,)),
        Dimension("family", (at.R_FAMILY,), _family),
        Dimension("zone", (at.R_ZONE, at.R_ZONE_ORIG, at.R_ZONE_REPLY), _zone),
        Dimension("mark", (at.R_MARK,), _mark),
        Dimension("helper", tuple(range(at.R_HELPER, at.R_HELPER + 4)), _helper),
    )
}
ALIASES = {"src": "source", "dst": "destination", "port": "dport", "protocol": "proto", "dest": "destination"}
BY_NAMESPACE = "netns"  # told apart by whoever reads several namespaces


def named(text: str) -> Dimension:
    """A dimension by name; several joined by ``+`` are one, such as ``source+dport``. UsageError for others."""
    parts = []
    for word in text.split("+"):
        name = ALIASES.get(word.strip().lower(), word.strip().lower())
        if name not in DIMENSIONS:
            from difflib import get_close_matches

            close = get_close_matches(name, DIMENSIONS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(DIMENSIONS)}, {BY_NAMESPACE}"
            raise UsageError(f"--by {text[:80]!a}: nothing is called {name[:40]!a}; {hint}")
        parts.append(DIMENSIONS[name])
    if len(parts) == 1:
        return parts[0]
    return _joined(parts)


def _joined(parts: list[Dimension]) -> Dimension:
    def say(key: Key) -> str:
        words, at_ = [], 0
        for part in parts:
            words.append(part.say(key[at_ : at_ + len(part.words)]))
            at_ += len(part.words)
        return "  ".join(words)

    masks = tuple(mask for part in parts for mask in (part.masks or (0xFFFFFFFF,) * len(part.words)))
    return Dimension("+".join(part.name for part in parts), tuple(w for p in parts for w in p.words), say, masks)
