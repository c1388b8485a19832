"""The flood on the running kernel: invented addresses make half-open entries on the server, and no answer comes back."""

import time
from collections.abc import Callable

import pytest
from tests.lab.built import built, entries, get

from tablefull.lab.scene import PAGE
from tablefull.lab.scene_syn_flood import SERVER, SynFlood

pytestmark = pytest.mark.realkernel


def test_a_flood_is_half_open(program: Callable[[str], str]) -> None:
    program("conntrack")
    program("hping3")
    with built(SynFlood) as scene:
        assert get(scene.stage.machines["client1"], SERVER) == PAGE
        scene.begin()
        end = time.monotonic() + 15
        half: list[str] = []
        while len(half) < 40 and time.monotonic() < end:
            half = [line for line in entries(scene.machine) if "SYN_RECV" in line]
        assert len(half) >= 40
        assert len({line.split("src=")[1].split()[0] for line in half}) >= 35
