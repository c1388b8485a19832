"""From a line of the composition to the expression that means it: the way from "who" to "what of theirs".

The trap: what is shown is for people and what is asked is read by a parser, so a key is never parsed from its label;
keys without an expression of their own (a helper, a directional zone) have none rather than a wrong one.
"""

import ipaddress

from tablefull.errors import UsageError
from tablefull.wire.dimensions import NAMES, NAT_BITS, PORTED, Key, address, state_name
from tablefull.wire.selection import Test, parse

ORDER = (
    "source", "destination", "dport", "state", "source+dport", "proto", "status", "nat", "reply-source",
    "reply-destination", "family", "zone", "mark", "helper", "sport",
)  # fmt: skip
_ADDRESSED = {"source": "src", "destination": "dst", "reply-source": "reply-src", "reply-destination": "reply-dst"}


def expression(dimension: str, key: Key) -> str | None:
    """What the filter asks for to get just the entries of this key; None where it has no words for it."""
    if dimension == "source+dport":
        source, port = expression("source", key[:5]), expression("dport", key[5:])
        return f"{source} and {port}" if source and port else None
    if dimension in _ADDRESSED:
        return f"{_ADDRESSED[dimension]}={address(key[4], key)}" if key[4] in (4, 6) else None
    if dimension == "proto":
        return _proto(key[0])
    if dimension in ("dport", "sport"):
        return f"{_proto(key[0])} and {dimension}={key[1]}" if key[0] in PORTED else _proto(key[0])
    if dimension == "state":
        name = state_name(key[0], key[1])
        return f"{_proto(key[0])} and state={name}" if name and not name.isdecimal() else _proto(key[0])
    if dimension == "nat":
        return {0: "not nat", 1 << 4: "snat and not dnat", 1 << 5: "dnat and not snat", NAT_BITS: "snat and dnat"}.get(
            key[0]
        )
    if dimension == "family":
        return f"ipv{key[0]}" if key[0] in (4, 6) else None
    if dimension == "zone":
        return f"zone={key[0]}" if not any(key[1:]) else None
    return f"mark={key[0]:#x}" if dimension == "mark" else None


def _proto(number: int) -> str:
    return f"proto={NAMES.get(number, number)}"


def narrowed(before: str, more: str) -> str:
    """Both conditions in one expression."""
    before = before.strip()
    if not before:
        return more
    whole = f"({before})" if " or " in before.lower() or "||" in before else before
    return f"{whole} and {more}"


_JOINERS = frozenset(("and", "or", "&&", "||", "not", "!"))


def understood(text: str) -> tuple[str, Test]:
    """What somebody typed as an expression, and as a test. UsageError where it means nothing (yet).

    Beside whole expressions it takes what one has at hand: ``443``, ``tcp/443``, ``10.1.``, ``udp``, ``time_wait``.
    """
    try:
        return text, parse(text)
    except UsageError as error:
        meant = _from_words(text)
        if meant == text:
            raise
        try:
            return meant, parse(meant)
        except UsageError:
            raise error from None


def why_not(error: UsageError) -> str:
    """The middle of the message: what is wrong and where, without the option's name and the example."""
    parts = str(error).split(": ")
    return ": ".join(parts[1:]).split(";")[0] if len(parts) > 1 else str(error)


def _from_words(text: str) -> str:
    said: list[str] = []
    for word in text.replace("(", " ( ").replace(")", " ) ").split():
        loose = word.lower() not in _JOINERS and word != ")"
        if loose and said and said[-1].lower() not in _JOINERS and said[-1] != "(":
            said.append("and")
        said.append(_meant(word))
    return " ".join(said)


def _meant(word: str) -> str:
    low = word.lower()
    if low.isdecimal():
        return f"port={low}"
    if low in NAMES.values():
        return f"proto={low}"
    proto, slash, port = low.partition("/")
    if slash and proto in NAMES.values() and port.isdecimal():
        return f"(proto={proto} and dport={port})"
    try:
        parse(f"state={word}")
        return f"state={word}"
    except UsageError:
        return _host(low) or word


def _host(word: str) -> str | None:
    """An address, a network, or the beginning of an address up to a dot or colon."""
    if not any(sign in word for sign in ".:/"):
        return None
    bits = 0
    if word.endswith(".") and word.count(".") <= 3:
        bits = 8 * word.count(".")
        word += ".".join("0" * (4 - word.count(".")))
    elif word.endswith(":") and not word.endswith("::"):
        bits = 16 * word.count(":")
        word += ":"
    try:
        network = ipaddress.ip_network(f"{word}/{bits}" if bits else word, strict=False)
    except ValueError:
        return None
    return f"host in {network}"
