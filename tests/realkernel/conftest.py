"""What several kernel tests start from."""

import shutil
from collections.abc import Iterator

import pytest
from tests.realkernel import host_limits
from tests.realkernel.fix_steps_place import Pair
from tests.realkernel.wired import pair


@pytest.fixture
def programs() -> Iterator[None]:
    for name in ("nft", "iptables-legacy", "conntrack", "nsenter", "ip"):
        if shutil.which(name) is None:
            pytest.skip(f"needs {name} (scripts/test-packages names its package)")
    with host_limits.shared():
        yield


@pytest.fixture
def wired() -> Iterator[Pair]:
    with pair() as made:
        yield made
