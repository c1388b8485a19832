"""A scene built on the running kernel, without traffic: for tests of how it is wired."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.realkernel import host_limits

from tablefull.lab import guardian
from tablefull.lab.scene import Scene
from tablefull.lab.stage import Machine, Stage

GET = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())"
CLIENT = "import socket, sys; s = socket.create_connection((sys.argv[1], 80), 5); print(s.getsockname()[0])"


@contextmanager
def built(kind: type[Scene]) -> Iterator[Scene]:
    with host_limits.shared(), Stage(kind.name) as stage:
        scene = kind(stage)
        scene.build()
        yield scene
    assert guardian.spaces(stage.scene) == []
    assert not Path(guardian.STATES, stage.scene).exists()


def get(machine: Machine, address: str) -> str:
    """The page, as a machine gets it."""
    return machine.run(sys.executable, "-c", GET, f"http://{address}/").strip()


def entries(machine: Machine) -> list[str]:
    """Its table as the kernel lists it."""
    return machine.run("conntrack", "-L").splitlines()
