"""The gateway on the running kernel: it translates, and the server sees the gateway alone."""

from collections.abc import Callable

import pytest
from tests.lab.built import built, entries, get

from tablefull.lab.scene import PAGE
from tablefull.lab.scene_nat_gateway import OUTSIDE, NatGateway

pytestmark = pytest.mark.realkernel


def test_addresses_are_translated(program: Callable[[str], str]) -> None:
    program("conntrack")
    with built(NatGateway) as scene:
        assert get(scene.stage.machines["inside1"], OUTSIDE) == PAGE
        (entry,) = [line for line in entries(scene.machine) if "dport=80" in line]
        assert "src=10.78.1.1 dst=203.0.113.80" in entry
        assert "src=203.0.113.80 dst=203.0.113.1 " in entry
