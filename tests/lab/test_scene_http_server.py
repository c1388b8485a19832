"""The web server on the running kernel: open for the web, closed for the rest, and it tracks."""

from collections.abc import Callable

import pytest
from tests.lab.built import built, entries, get

from tablefull.errors import KernelRefused
from tablefull.lab.scene import PAGE
from tablefull.lab.scene_http_server import SERVER, HttpServer

pytestmark = pytest.mark.realkernel


def test_its_firewall_remembers_visitors(program: Callable[[str], str]) -> None:
    program("conntrack")
    with built(HttpServer) as scene:
        client = scene.stage.machines["client1"]
        assert get(client, SERVER) == PAGE
        assert any("dport=80" in line for line in entries(scene.machine))
        with pytest.raises(KernelRefused):
            client.run("ping", "-c1", "-W1", SERVER)
