"""The diagnosis as one JSON object: the contract ``tablefull/diagnosis/1`` of DESIGN section 3.

The trap: other programs build on these keys. Keys are added and never renamed or dropped, and everything a program may
iterate over is an array, never null; only ``loss`` may be.
"""

import msgspec

from tablefull.facts.origin import Origin
from tablefull.fixes.diagnosis import Diagnosis
from tablefull.fixes.plan import Plan
from tablefull.rules.arithmetic import Loss
from tablefull.rules.finding import Finding

SCHEMA = "tablefull/diagnosis/1"


def render(diagnosis: Diagnosis, *, rules: bool = False) -> str:
    """The object as indented JSON with a final newline; ``rules`` adds what became of every rule."""
    encoded = msgspec.json.encode(as_builtins(diagnosis, rules=rules))
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


def as_builtins(diagnosis: Diagnosis, *, rules: bool = False) -> dict[str, object]:
    """The object as plain dicts and lists."""
    plain: dict[str, object] = {
        "schema": SCHEMA,
        "tool": diagnosis.tool,
        "verdict": {
            "table_full": diagnosis.full.state,
            "table_full_now": diagnosis.full.now,
            "last_printed_s_before": diagnosis.full.ago_s,
            "severity": diagnosis.severity,
            "headline": _text(diagnosis.headline),
            "how": _text(diagnosis.full.how),
            "basis": diagnosis.full.basis,
            "table": diagnosis.full.table,
            "evidence": [_origin(one) for one in diagnosis.full.evidence],
        },
        "hosts": [
            {
                "name": _text(host.name),
                "role": host.role,
                "kernel": host.kernel,
                "distribution": host.distribution,
                "facts": {_text(name): _value(value) for name, value in host.facts.items()},
            }
            for host in diagnosis.hosts
        ],
        "loss": None if diagnosis.loss is None else _loss(diagnosis.loss),
        "causes": [_cause(one) for one in diagnosis.causes],
        "fixes": [_fix(one) for one in diagnosis.fixes],
        "ask_next": [
            {"question": one.question, "command": one.command, "why": one.why, "loads_modules": one.loads_modules}
            for one in diagnosis.ask_next
        ],
        "unread": [{**_origin(one.origin), "why": _text(one.why)} for one in diagnosis.unread],
        "arithmetic": [
            {
                "what": one.what,
                "value": one.value,
                "unit": one.unit,
                "how": _text(one.how),
                "basis": one.basis,
                "host": _text(one.host),
                "evidence": [_origin(origin) for origin in one.evidence],
            }
            for one in diagnosis.arithmetic
        ],
        "holes": [
            {"what": _text(one.what), "why": _text(one.why), "remedy": _text(one.remedy)} for one in diagnosis.holes
        ],
        "live": diagnosis.live,
    }
    if rules:
        plain["rules"] = [
            {"rule": one.rule, "cause": one.cause, "state": one.state, "detail": _text(one.detail)}
            for one in diagnosis.outcomes
        ]
    return plain


def _text(text: str) -> str:
    """Text that UTF-8 can hold: a file name's undecodable bytes are lone surrogates, which JSON may not contain."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _value(value: int | str) -> int | str:
    return _text(value) if isinstance(value, str) else value


def _origin(origin: Origin) -> dict[str, object]:
    return {"source": _text(origin.source), "line": origin.line, "text": _text(origin.text)}


def _loss(loss: Loss) -> dict[str, object]:
    return {
        "dropped_packets_min": loss.dropped_packets_min,
        "dropped_packets_estimate": loss.dropped_packets_estimate,
        "window_s": loss.window_s,
        "rate_per_s": loss.rate_per_s,
        "how": loss.how,
        "basis": loss.basis,
        "evidence": [_origin(one) for one in loss.evidence],
    }


def _cause(cause: Finding) -> dict[str, object]:
    return {
        "id": cause.cause,
        "confidence": min(1.0, max(0.0, cause.confidence)),
        "host": _text(cause.host),
        "why": _text(cause.why),
        "basis": cause.basis,
        "evidence": [_origin(one) for one in cause.evidence],
        "severity": cause.severity,
        "look_alike": cause.look_alike,
        "fixes": list(cause.fixes),
        "confirm": [
            {"question": one.question, "command": one.command, "why": one.why, "loads_modules": one.loads_modules}
            for one in cause.confirm
        ],
    }


def _fix(fix: Plan) -> dict[str, object]:
    return {
        "id": fix.id,
        "answers": list(fix.answers),
        "host": _text(fix.host),
        "commands": [_text(one) for one in fix.commands],
        "undo": [_text(one) for one in fix.undo],
        "persist": [_text(one) for one in fix.persist],
        "verify": [_text(one) for one in fix.verify],
        "risk": _text(fix.risk),
        "scope": fix.scope,
        "title": _text(fix.title),
        "why": _text(fix.why),
        "basis": fix.basis,
    }
