"""The two routers on the running kernel: connections work, and the stateful one never sees an answer."""

from collections.abc import Callable

import pytest
from tests.lab.built import built, entries, get

from tablefull.lab.scene import PAGE
from tablefull.lab.scene_asymmetric_router import SERVER, AsymmetricRouter

pytestmark = pytest.mark.realkernel


def test_half_of_a_connection_is_seen(program: Callable[[str], str]) -> None:
    program("conntrack")
    with built(AsymmetricRouter) as scene:
        client = scene.stage.machines["client1"]
        assert get(client, SERVER) == PAGE
        assert entries(scene.machine) == []
        scene.begin()
        assert get(client, SERVER) == PAGE
        (entry,) = entries(scene.machine)
        assert "SYN_SENT" in entry
        assert "[UNREPLIED]" in entry
