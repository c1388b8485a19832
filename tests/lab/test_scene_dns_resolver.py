"""The resolver on the running kernel: a question makes two entries, and it is answered from above."""

import sys
from collections.abc import Callable

import pytest
from tests.lab.built import built, entries

from tablefull.lab import peers
from tablefull.lab.scene_dns_resolver import RESOLVER, DnsResolver

pytestmark = pytest.mark.realkernel
ASK = (
    "import socket, sys; s = socket.socket(2, 2); s.settimeout(5); s.sendto(bytes.fromhex(sys.argv[2]), "
    "(sys.argv[1], 53)); print(s.recv(512).hex())"
)


def test_a_question_makes_two_entries(program: Callable[[str], str]) -> None:
    program("conntrack")
    program("dnsmasq")
    with built(DnsResolver) as scene:
        question = peers.question(7, "h1.example").hex()
        said = bytes.fromhex(scene.stage.machines["client1"].run(sys.executable, "-c", ASK, RESOLVER, question))
        assert said.endswith(bytes((192, 0, 2, 1)))
        found = [line for line in entries(scene.machine) if "dport=53" in line]
        assert sorted(line.split("src=")[1].split()[0] for line in found) == [RESOLVER, "10.81.1.1"]
