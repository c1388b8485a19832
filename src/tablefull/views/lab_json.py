"""A scene as one JSON object, schema ``tablefull/lab/1``; its keys are a contract."""

from collections.abc import Sequence
from typing import Any

from msgspec import json, to_builtins

from tablefull import __version__
from tablefull.lab.claims import Claim
from tablefull.lab.course import Played, moments


def render(played: Played, shown: Sequence[Claim]) -> str:
    """One object; every request is in the moments, half a second each."""
    told: dict[str, Any] = to_builtins(played)
    del told["requests"], told["beside"]
    found = {
        "schema": "tablefull/lab/1",
        "tool": __version__,
        **told,
        "moments": to_builtins(moments(played.requests, played.end_s)),
        "during": {act.id: to_builtins(played.during(act.id)) for act in played.acts},
        "beside": {act.id: to_builtins(played.during(act.id, beside=True)) for act in played.acts if played.neighbour},
        "claims": to_builtins(list(shown)),
    }
    return json.format(json.encode(found), indent=2).decode() + "\n"
