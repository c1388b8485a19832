"""Shorter timeouts: only those that are longer, above the keepalive, and what they do not do."""

from situations import host

from tablefull.fixes import timeout_plans


def test_what_is_short_already_is_left_alone() -> None:
    settings = {"nf_conntrack_tcp_timeout_established": 600}
    plan = timeout_plans.shorten_timeouts(host("new", cause="long-established-timeout", settings=settings), ())
    assert not any("sysctl -w" in line for line in plan.commands)


def test_established_stays_above_the_keepalive() -> None:
    for cause in ("", "long-established-timeout", "half-open-or-asymmetric"):
        plan = timeout_plans.shorten_timeouts(host("new", cause=cause), ())
        value = next(line for line in plan.commands if "established" in line).rpartition("=")[2]
        assert int(value) > 7200 + 9 * 75


def test_the_seen_value_comes_back_and_live_entries_are_spoken_of() -> None:
    settings = {"nf_conntrack_tcp_timeout_close_wait": 3600, "nf_conntrack_tcp_timeout_established": 432000}
    plan = timeout_plans.shorten_timeouts(host("kubernetes", settings=settings), ())
    assert "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_close_wait=60" in plan.commands
    assert "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_close_wait=3600" in plan.undo
    assert "keep their old deadline" in plan.risk
    assert any("kube-proxy" in line for line in plan.persist)


def test_timeouts_belong_to_the_host_before_3_6_and_to_the_namespace_after() -> None:
    assert timeout_plans.shorten_timeouts(host("ubuntu-12.04"), ()).scope == "host"
    assert timeout_plans.shorten_timeouts(host("new"), ()).scope == "netns"


def test_only_the_named_entries_are_deleted() -> None:
    assert timeout_plans.flush_entries(host("new", ports=("udp/53",)), ()).commands == (
        "conntrack -D -p udp --orig-port-dst 53",
    )
    six = timeout_plans.flush_entries(host("new", sources=("2001:db8::1",)), ()).commands
    assert six == ("conntrack -D -f ipv6 -s 2001:db8::1", "conntrack -D -f ipv6 -d 2001:db8::1")
    assert not any("conntrack -F" in line for line in timeout_plans.flush_entries(host("new"), ()).commands)


def test_the_present_value_is_never_typed() -> None:
    seen = {"nf_conntrack_tcp_timeout_close_wait": 60, "nf_conntrack_tcp_timeout_established": 432000}
    plan = timeout_plans.shorten_timeouts(host("kubernetes", cause="config-overwritten", settings=seen), ())
    assert not any("close_wait" in line for line in plan.commands)
    default = timeout_plans.shorten_timeouts(host("new", cause="stale-nat-entries"), ())
    assert not any("udp_timeout=" in line for line in default.commands)


def test_kube_proxy_s_hour_is_assumed_and_said() -> None:
    plan = timeout_plans.shorten_timeouts(host("kubernetes", cause="config-overwritten"), ())
    assert plan.commands == ("sysctl -w net.netfilter.nf_conntrack_tcp_timeout_close_wait=60",)
    assert "3600 s (assumed: what kube-proxy writes) → 60 s" in plan.why
    assert not any("close_wait" in line for line in timeout_plans.shorten_timeouts(host("new"), ()).commands)


def test_an_unknown_kernel_is_taken_for_one_of_today() -> None:
    plan = timeout_plans.shorten_timeouts(host("unknown"), ())
    assert plan.scope == "netns"
    assert "Each network namespace" in plan.risk
