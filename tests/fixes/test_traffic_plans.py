"""Other ways for the traffic."""

from situations import host

from tablefull.fixes import traffic_plans


def test_dns_on_a_host_and_in_a_cluster() -> None:
    assert any("single-request-reopen" in line for line in traffic_plans.fix_dns_path(host("debian-12"), ()).commands)
    cluster = traffic_plans.fix_dns_path(host("kubernetes"), ())
    assert any("nodelocaldns" in line for line in cluster.commands)
    assert "musl" in cluster.risk


def test_random_fully_from_3_14() -> None:
    assert any(
        line.endswith("--random-fully") for line in traffic_plans.expand_snat_range(host("debian-10"), ()).commands
    )
    old = traffic_plans.expand_snat_range(host("el6"), ()).commands
    assert any(line.endswith("--random") for line in old)
    assert not any("--random-fully" in line for line in old)


def test_cilium_s_nat_is_its_own_map() -> None:
    assert any("bpf-nat-global-max" in line for line in traffic_plans.expand_snat_range(host("cilium"), ()).commands)


def test_counting_talkers_loads_nothing() -> None:
    for make in (traffic_plans.fix_application, traffic_plans.move_off_nat):
        assert not any(line.startswith("conntrack") for line in make(host("el6"), ()).commands)
    assert "/proc/net/ip_conntrack" in traffic_plans.fix_application(host("el5"), ()).commands[0]
    assert traffic_plans.keepalive_or_pooling(host("new"), ()).scope == "other"
