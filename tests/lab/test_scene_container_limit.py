"""The two containers on the running kernel: each counts its own, and neither may write the limit."""

from collections.abc import Callable

import pytest
from tests.lab.built import built, entries, get

from tablefull.lab import guardian
from tablefull.lab.scene import PAGE
from tablefull.lab.scene_container_limit import CONTAINER, NEIGHBOUR, ContainerLimit

pytestmark = pytest.mark.realkernel


def test_counts_are_their_own_and_the_limit_is_not(program: Callable[[str], str]) -> None:
    program("conntrack")
    limit = guardian.MAX.read_text()
    with built(ContainerLimit) as scene:
        machines = scene.stage.machines
        assert get(machines["visitor1"], CONTAINER) == PAGE
        assert len(entries(machines["container"])) == 1
        assert entries(machines["neighbour"]) == []
        assert get(machines["visitor1"], NEIGHBOUR) == PAGE
        assert len(entries(machines["neighbour"])) == 1
        assert entries(machines["node"]) == []
        tried = scene.tried()
        assert tried is not None
        assert tried.output.startswith("-r--r--r-- 1 root root")
    assert guardian.MAX.read_text() == limit
