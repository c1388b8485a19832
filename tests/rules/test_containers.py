"""Writes refused inside a container, and a container's own share."""

from rule_text import FULL, fired, found

CAUSE = "per-netns-or-container-limit"


def test_a_refused_write_in_a_container() -> None:
    one = fired(
        "In an unprivileged LXC container:\nsysctl: permission denied on key 'net.netfilter.nf_conntrack_max'", CAUSE
    )
    assert one.confidence >= 0.8


def test_the_container_that_the_kernel_names() -> None:
    assert fired("nf_conntrack: VPS 1201: table full, dropping packet.", CAUSE).confidence >= 0.8


def test_a_namespace_that_the_kernel_names() -> None:
    one = fired("[12.5] nf_conntrack: nf_conntrack: table full in netns 4026532601, dropping packet", CAUSE)
    assert "4026532601" in one.why


def test_kube_proxy_is_configured_rather_than_the_container() -> None:
    one = fired(
        "kube-proxy in a kind node: open /sys/module/nf_conntrack/parameters/hashsize: permission denied", CAUSE
    )
    assert one.fixes[0] == "configure-kube-proxy"


def test_a_host_of_its_own_is_quiet() -> None:
    assert found(FULL + "net.netfilter.nf_conntrack_max = 65536", CAUSE) is None
