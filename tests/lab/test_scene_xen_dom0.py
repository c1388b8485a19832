"""The Dom0 on the running kernel: what is bridged is tracked there from the left-over chain on, and not before."""

from collections.abc import Callable

import pytest
from tests.lab.built import built, entries, get

from tablefull.lab.scene import PAGE
from tablefull.lab.scene_xen_dom0 import GUEST, SWITCH, XenDom0

pytestmark = pytest.mark.realkernel


def test_the_chain_that_nothing_jumps_to_starts_tracking(program: Callable[[str], str]) -> None:
    program("conntrack")
    with built(XenDom0) as scene:
        dom0, client = scene.machine, scene.stage.machines["client1"]
        assert dom0.setting(SWITCH) == "1"
        assert get(client, GUEST) == PAGE
        assert entries(dom0) == []
        assert scene.begin()[0] == "iptables -N old-firewall"
        assert get(client, GUEST) == PAGE
        assert any("src=10.77.1.1 dst=10.77.0.80" in line for line in entries(dom0))
        assert "-j old-firewall" not in dom0.run("iptables-legacy", "-S")
        assert entries(scene.stage.machines["guest"]) == []
