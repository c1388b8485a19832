"""Configuration as the distributions write it, line by line."""

import pytest

from tablefull.kernel.identity import parse_release
from tablefull.rules.returns import Return, enable_hooks, returns

NOW, OLD = parse_release("6.1.0-56-amd64"), parse_release("3.10.0")
WANTS = "etc/systemd/system/multi-user.target.wants"


def found(
    files: dict[str, list[str]], *enabled: str, kernel: object = NOW, running: tuple[str, ...] = ()
) -> list[Return]:
    units = {unit: f"{WANTS}/{unit}.service" for unit in enabled}
    return returns(files, units, running, kernel)  # type: ignore[arg-type]


def test_nothing_configured_is_nothing_found() -> None:
    assert found({}) == []
    assert found({"etc/nftables.conf": ["ct state established accept"]}) == []  # its unit is not enabled


def test_a_rule_file_counts_with_its_unit_and_cites_its_first_line() -> None:
    lines = [
        "*filter",
        "# -A INPUT -m state --state NEW",
        "-A INPUT -p icmp -j ACCEPT",
        "-A INPUT -m conntrack --ctstate NEW",
    ]
    (one,) = found({"etc/iptables/rules.v4": lines}, "netfilter-persistent")
    assert (one.does, one.evidence.source, one.evidence.line) == ("hooks", "/etc/iptables/rules.v4", 4)
    assert "netfilter-persistent" in one.off
    assert found({"etc/iptables/rules.v4": lines[:3]}, "netfilter-persistent") == []


@pytest.mark.parametrize("unit", ["docker", "firewalld", "kubelet", "libvirtd", "tailscaled"])
def test_a_service_that_is_enabled(unit: str) -> None:
    (one,) = found({}, unit)
    assert one.does == "hooks"
    assert one.evidence.source == f"/{WANTS}/{unit}.service"
    assert unit in one.off


def test_a_service_told_to_leave_it_be_is_left_out() -> None:
    assert found({"etc/docker/daemon.json": ['{ "iptables": false }']}, "docker") == []
    assert found({"etc/ufw/ufw.conf": ["ENABLED=no"]}, "ufw") == []
    assert len(found({"etc/ufw/ufw.conf": ["ENABLED=yes"]}, "ufw")) == 1


def test_a_service_that_runs_is_said_to_run() -> None:
    assert "runs now" in found({}, "docker", running=("dockerd",))[0].what
    assert "runs now" not in found({}, "docker")[0].what


@pytest.mark.parametrize(
    ("path", "line", "kernel", "does"),
    [
        ("etc/modules", "nf_conntrack", NOW, "loads"),
        ("etc/modules-load.d/k8s.conf", "br_netfilter", NOW, "bridges"),
        ("etc/modules-load.d/x.conf", "nf_conntrack_ipv4", OLD, "hooks"),
        ("etc/modprobe.d/x.conf", "options nf_conntrack enable_hooks=1", NOW, "hooks"),
        ("etc/sysctl.d/99-k8s.conf", "net.bridge.bridge-nf-call-iptables = 1", NOW, "bridges"),
        ("etc/rc.local", "/sbin/iptables -t nat -A POSTROUTING -j MASQUERADE", NOW, "hooks"),
        ("etc/rc.local", "modprobe nf_conntrack", NOW, "loads"),
        ("etc/network/interfaces.d/br0", "  post-up nft add rule ip nat post masquerade", NOW, "hooks"),
        ("etc/systemd/network/10-c.network", "IPMasquerade=ipv4", NOW, "hooks"),
        ("etc/NetworkManager/system-connections/hot.nmconnection", "method=shared", NOW, "hooks"),
    ],
)
def test_a_line_that_brings_it_back(path: str, line: str, kernel: object, does: str) -> None:
    (one,) = found({path: ["", line]}, kernel=kernel)
    assert (one.does, one.evidence.line) == (does, 2)
    assert one.evidence.text == line.strip()
    assert one.when
    assert one.off


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("etc/modules", "# nf_conntrack"),
        ("etc/modules-load.d/x.conf", "kvm"),
        ("etc/sysctl.d/x.conf", "net.bridge.bridge-nf-call-iptables = 0"),
        ("etc/rc.local", "# iptables -t nat -A POSTROUTING -j MASQUERADE"),
        ("etc/rc.local", "iptables -A INPUT -p tcp -j ACCEPT"),
        ("etc/systemd/network/10-c.network", "IPMasquerade=no"),
        ("etc/modprobe.d/x.conf", "options nf_conntrack hashsize=65536"),
    ],
)
def test_a_line_that_does_not(path: str, line: str) -> None:
    assert found({path: [line]}) == []


def test_the_boot_line_tells_the_option() -> None:
    origin = enable_hooks({"proc/cmdline": ["quiet nf_conntrack.enable_hooks=1 ro"]})
    assert origin is not None
    assert origin.source == "/proc/cmdline"
    assert enable_hooks({"proc/cmdline": ["quiet xnf_conntrack.enable_hooks=1 nf_conntrack.enable_hooks=0"]}) is None
