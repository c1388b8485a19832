"""What it is instead, and the limit of that."""

import pytest
from situations import host

from tablefull.fixes import look_alike_plans
from tablefull.rules.lookalikes import LOOK_ALIKES


@pytest.mark.parametrize(
    ("look_alike", "word"),
    [
        ("neighbour-table", "gc_thresh3"),
        ("listen-queue", "somaxconn"),
        ("orphans", "tcp_max_orphans"),
        ("tcp-memory", "tcp_mem"),
        ("time-wait-buckets", "tcp_max_tw_buckets"),
        ("route-cache", "route.max_size"),
        ("ipset", "maxelem"),
        ("offload-or-mtu", "ethtool -K"),
        ("worker-connections", "worker_connections"),
        ("own-conntrack", "conntrack section"),
    ],
)
def test_each_has_its_own_limit(look_alike: str, word: str) -> None:
    plan = look_alike_plans.nothing(host("debian-12", look_alike=look_alike), ())
    assert any(word in line for line in plan.commands)
    assert not any("nf_conntrack_max" in line for line in plan.commands)


@pytest.mark.parametrize("one", [one.id for one in LOOK_ALIKES])
def test_every_look_alike_of_the_rules_has_an_answer(one: str) -> None:
    plan = look_alike_plans.nothing(host("unknown", look_alike=one), ())
    quiet = one in ("offloaded-entry", "udp-checksum", "count-lag")
    assert ("Change nothing" in plan.title) is quiet


def test_a_limit_that_is_higher_already_is_left() -> None:
    plan = look_alike_plans.nothing(
        host("new", look_alike="orphans", settings={"net.ipv4.tcp_max_orphans": 262144}), ()
    )
    assert not any("sysctl -w" in line for line in plan.commands)
    assert plan.commands


def test_the_title_says_first_that_tracking_is_well() -> None:
    plan = look_alike_plans.nothing(host("new", look_alike="neighbour-table"), ())
    assert (plan.id, plan.title) == ("none", "In connection tracking nothing; make the neighbour table larger")
