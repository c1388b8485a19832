"""A network namespace for tests of the live table: made, filled, and removed again."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from uuid import uuid4

from tests.realkernel import filled, host_limits

from tablefull.live.netlink import Netlink


class TableSpace:
    """A namespace by name, with entries of known kinds."""

    def __init__(self, name: str) -> None:
        self.name, self.path = name, f"/run/netns/{name}"

    def run(self, *words: str, check: bool = True, text: str | None = None) -> str:
        """What a command prints in it."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.name, *words], capture_output=True, text=True, check=check, input=text
        )
        return done.stdout

    def fill(self, count: int, kinds: tuple[filled.Kind, ...] = filled.WEB, seed: int = 1) -> None:
        with Netlink(namespace=self.path) as link:
            filled.fill(link, count, kinds, seed)


@contextmanager
def table_space(limit: int | None = None, locked: bool = True) -> Iterator[TableSpace]:
    """``limit``: nf_conntrack_max of the host while it lives; None leaves it. ``locked``: nobody changes it meanwhile;
    False for whoever has changed it already.
    """
    space = TableSpace(f"tablefull-{uuid4().hex[:8]}")
    subprocess.run(["ip", "netns", "add", space.name], check=True)
    try:
        with (
            host_limits.limits(maximum=limit)
            if limit is not None
            else host_limits.shared()
            if locked
            else nullcontext()
        ):
            yield space
    finally:
        subprocess.run(["ip", "netns", "del", space.name], check=True)
        assert not Path(space.path).exists()
