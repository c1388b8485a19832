"""The fixes that are the whole host's: the limit, its buckets, the expectations; put back whatever happens."""

import pytest
from tests.realkernel import host_limits
from tests.realkernel.wired import apply, undo

from tablefull.fixes.act import SetValue
from tablefull.fixes.live_host import LiveHost, Options
from tablefull.fixes.steps import plan

pytestmark = pytest.mark.realkernel


def test_the_limit_is_raised_with_its_buckets_and_comes_back() -> None:
    now, buckets = int(host_limits.MAX.read_text()), int(host_limits.BUCKETS.read_text())
    wanted = max(now, buckets) + 4096
    with host_limits.limits():
        planned = plan("raise-max", LiveHost(), Options(limit=wanted))
        acts = [act for step in planned.steps for act in step.acts]
        assert [act.path for act in acts if isinstance(act, SetValue)] == [
            str(host_limits.BUCKETS),
            str(host_limits.MAX),
        ]
        apply(None, planned)
        assert int(host_limits.MAX.read_text()) == wanted
        assert int(host_limits.BUCKETS.read_text()) == -(-wanted // 512) * 512  # whole pages of pointers
        undo(None, planned)
        assert (int(host_limits.MAX.read_text()), int(host_limits.BUCKETS.read_text())) == (now, buckets)


def test_expectations_are_raised_and_come_back() -> None:
    path = host_limits.MAX.with_name("nf_conntrack_expect_max")
    now = path.read_text()
    with host_limits.limits():
        try:
            planned = plan("raise-expect-max", LiveHost(), Options())
            apply(None, planned)
            assert int(path.read_text()) == 4 * int(now)
            undo(None, planned)
        finally:
            path.write_text(now)
    assert path.read_text() == now
