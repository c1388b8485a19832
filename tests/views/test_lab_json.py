"""The scene as JSON: the keys that others build on."""

import json

from tests.lab.played_scene import played, requests

from tablefull.lab.claims import claims
from tablefull.views import lab_json


def told(**changes: object) -> dict[str, object]:
    scene = played(**changes)
    found: dict[str, object] = json.loads(lab_json.render(scene, claims(scene)))
    return found


def test_the_contract() -> None:
    found = told()
    assert found["schema"] == "tablefull/lab/1"
    assert {"scene", "kernel", "used", "acts", "looks", "moments", "during", "claims", "diagnosed", "fixed", "log", "limit",
            "base", "room", "ran", "broken_off"} <= set(found)  # fmt: skip
    assert "requests" not in found


def test_the_figures() -> None:
    found = told()
    assert sum(one["asked"] for one in found["moments"]) == 100  # type: ignore[attr-defined]
    assert found["during"]["full"]["answered"] == 13  # type: ignore[index]
    assert all(one["holds"] for one in found["claims"])  # type: ignore[attr-defined]
    assert told(neighbour="n", beside=requests())["beside"]["calm"]["asked"] == 20  # type: ignore[index]
    assert told()["beside"] == {}
