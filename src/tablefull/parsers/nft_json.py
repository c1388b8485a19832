"""``nft -j list ruleset``: the same facts as the text listing, each rule's text rebuilt from its expressions.

The trap: the whole ruleset is one line, so a paste or a reader's line limit cuts it anywhere. Objects are therefore
decoded one by one, and those before the cut count. The rebuilt text keeps every expression's name; it is not fit to be
loaded.
"""

import re
from collections.abc import Sequence

from tablefull.facts.origin import Fact
from tablefull.facts.ruleset import FwChain, FwListing, FwObject, FwRule
from tablefull.parsers.block import Context, Line, Read
from tablefull.parsers.iptables_command import read_command
from tablefull.parsers.nft_text import target_of

_START = re.compile(r'"nftables"\s{0,8}:\s{0,8}\[?')
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?')
_MAX_CHARS = 32 * 1024 * 1024
_MAX_DEPTH = 24
_OBJECTS = ("ct helper", "ct timeout", "ct expectation", "flowtable")


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """The whole ruleset, on one line or many (jq). What a cut leaves undecoded is unread, with where."""
    begin = _START.search(lines[at].text)
    if begin is None:
        return None
    body, used = _gather(lines, at, begin.end())
    objects, whole = _decode(body)
    standing = read_command(context.command, context.path).standing
    origin = context.origin(Line(lines[at].number, "", lines[at].raw[:200]))
    counted = {
        (_word(rule, "family"), _word(rule, "table"))
        for kind, rule in objects
        if kind == "rule" and any(_counts(expression) for expression in _expressions(rule))
    }
    facts: list[Fact] = []
    for kind, item in objects:
        family = _word(item, "family") or "unknown"
        if kind == "table":
            name = _word(item, "name")
            facts.append(
                FwListing(
                    origin=origin,
                    tool="nft",
                    family=family,
                    table=name,
                    command=context.command,
                    with_counters=(family, name) in counted,
                    standing=standing,
                )
            )
        elif kind == "chain":
            facts.append(
                FwChain(
                    origin=origin,
                    tool="nft",
                    family=family,
                    table=_word(item, "table"),
                    chain=_word(item, "name") or "",
                    policy=_word(item, "policy"),
                    hook=_word(item, "hook"),
                    kind=_word(item, "type"),
                    standing=standing,
                )
            )
        elif kind in _OBJECTS:
            name = _word(item, "name") or ""
            facts.append(
                FwObject(
                    origin=origin,
                    tool="nft",
                    family=family,
                    table=_word(item, "table"),
                    kind=kind,
                    name=name,
                    standing=standing,
                )
            )
        elif kind == "rule":
            expressions = _expressions(item)
            counts = next((found for expression in expressions if (found := _counts(expression))), (None, None))
            statements = [_statement(expression) for expression in expressions]
            text = " ".join(" ".join(statements).split())
            facts.append(
                FwRule(
                    origin=origin,
                    tool="nft",
                    family=family,
                    table=_word(item, "table"),
                    chain=_word(item, "chain") or "",
                    text=text,
                    # A match may hold a verdict's word (`icmp type redirect`), and braces hide those of a map.
                    target=target_of(" ".join(_outside(part) for part in statements), text),
                    packets=counts[0],
                    bytes=counts[1],
                    standing=standing,
                )
            )
    unread = [] if whole else [(Line(lines[at].number, "", lines[at].raw[:200]), "the JSON is cut or broken")]
    return Read(used, facts, unread)


def _outside(statement: str) -> str:
    """A statement without what it quotes or holds in braces."""
    return statement.split("{", 1)[0].split('"', 1)[0]


def _gather(lines: Sequence[Line], at: int, start: int) -> tuple[str, int]:
    """The text behind ``"nftables":`` until its brackets close, and how many lines it took."""
    parts: list[str] = []
    depth, size = 1, 0
    for used, index in enumerate(range(at, len(lines)), 1):
        text = lines[index].text
        if used == 1:
            text = text[start:]
        elif not text.strip():
            return "\n".join(parts), used - 1
        parts.append(text)
        size += len(text)
        bare = _STRING.sub("", text)
        depth += bare.count("[") + bare.count("{") - bare.count("]") - bare.count("}")
        if depth <= 0 or size > _MAX_CHARS:
            break
    else:
        used = len(lines) - at
    if depth == 0 and at + used < len(lines) and lines[at + used].text.strip() == "}":
        used += 1  # jq's last brace
    return "\n".join(parts), used


def _decode(body: str) -> tuple[list[tuple[str, dict[str, object]]], bool]:
    """The array's objects as (kind, object), and whether the array closes."""
    import json

    decoder = json.JSONDecoder(strict=False)
    found: list[tuple[str, dict[str, object]]] = []
    position, end = 0, len(body)
    while position < end:
        sign = body[position]
        if sign.isspace() or sign in ",[":
            position += 1
            continue
        if sign == "]":
            return found, True
        try:
            value, position = decoder.raw_decode(body, position)
        except (ValueError, RecursionError):
            return found, False
        if isinstance(value, dict):
            found += [(kind, item) for kind, item in value.items() if isinstance(item, dict)]
    return found, False


def _word(item: dict[str, object], key: str) -> str | None:
    value = item.get(key)
    return value if isinstance(value, str) else None


def _expressions(rule: dict[str, object]) -> list[object]:
    value = rule.get("expr")
    return value if isinstance(value, list) else []


def _counts(expression: object) -> tuple[int, int] | None:
    counter = expression.get("counter") if isinstance(expression, dict) else None
    if not isinstance(counter, dict):
        return None
    packets, total = counter.get("packets"), counter.get("bytes")
    return (packets, total) if isinstance(packets, int) and isinstance(total, int) else None


def _statement(expression: object) -> str:
    """One statement in nft's words: ``match`` without its name, the others with theirs."""
    if not isinstance(expression, dict) or len(expression) != 1:
        return _value(expression, 0)
    ((name, value),) = expression.items()
    if name == "match" and isinstance(value, dict):
        sign = value.get("op")
        middle = "" if sign in {"==", "in", None} else f"{_value(sign, 0)} "
        return f"{_value(value.get('left'), 1)} {middle}{_value(value.get('right'), 1)}".strip()
    if name == "mangle" and isinstance(value, dict):
        return f"{_value(value.get('key'), 1)} set {_value(value.get('value'), 1)}"
    if name == "vmap" and isinstance(value, dict):
        return f"{_value(value.get('key'), 1)} vmap {_value(value.get('data'), 1)}"
    if name in {"jump", "goto"} and isinstance(value, dict):
        return f"{name} {_value(value.get('target'), 1)}"
    if name == "counter" and isinstance(value, str):
        return f'counter name "{value}"'
    if name == "xt" and isinstance(value, dict):
        return f'xt {_value(value.get("type"), 1)} "{_value(value.get("name"), 1)}"'
    if name in {"ct helper", "ct timeout", "ct expectation"}:
        return f'{name} set "{_value(value, 1)}"'
    if name == "log" and isinstance(value, dict) and "prefix" in value:
        return f'log prefix "{_value(value["prefix"], 1)}"'
    return f"{name} {_value(value, 1)}".strip()


def _value(value: object, depth: int) -> str:
    """A value in nft's order of words; deeper than any ruleset nests it is left out."""
    if value is None or value is True or depth > _MAX_DEPTH:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ",".join(_value(part, depth + 1) for part in value)
    if not isinstance(value, dict):
        return str(value)
    if len(value) == 1:
        ((name, inner),) = value.items()
        return _named(name, inner, depth + 1)
    return " ".join(f"{name} {_value(inner, depth + 1)}".strip() for name, inner in value.items())


def _named(name: str, inner: object, depth: int) -> str:
    if name == "payload" and isinstance(inner, dict):
        return f"{_value(inner.get('protocol'), depth)} {_value(inner.get('field'), depth)}".strip()
    if name in {"meta", "ct"} and isinstance(inner, dict):
        direction, key = _value(inner.get("dir"), depth), _value(inner.get("key"), depth)
        return " ".join(word for word in (name, direction, key) if word)
    if name == "prefix" and isinstance(inner, dict):
        return f"{_value(inner.get('addr'), depth)}/{_value(inner.get('len'), depth)}"
    if name == "set" and isinstance(inner, list):
        return "{ " + ", ".join(_pair(part, depth) for part in inner) + " }"
    if name == "range" and isinstance(inner, list):
        return "-".join(_value(part, depth) for part in inner)
    return f"{name} {_value(inner, depth)}".strip()


def _pair(part: object, depth: int) -> str:
    if isinstance(part, list) and len(part) == 2:
        return f"{_value(part[0], depth)} : {_value(part[1], depth)}"
    return _value(part, depth)
