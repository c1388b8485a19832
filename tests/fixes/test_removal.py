"""Whatever was made to last is taken away again, command by command."""

import subprocess
from pathlib import Path

import pytest
from situations import FULL, HOSTS, host

from tablefull.fixes import catalog, removal


@pytest.mark.parametrize("name", HOSTS)
@pytest.mark.parametrize("fix", list(catalog.MAKERS))
def test_every_kept_change_has_its_removal(name: str, fix: str) -> None:
    plan = catalog.make(fix, host(name, ports=("udp/53",), **FULL), ())
    kept = [line for line in plan.persist if not line.startswith(("#", "grep ", "chmod ", "yum ", "apt-get "))]
    if kept:
        assert removal.HEADER in plan.undo, (kept, plan.undo)
        assert plan.undo.index(removal.HEADER) < len(plan.undo) - 1
    for line in kept:
        assert removal.removal((line,)), line


def test_the_runtime_comes_first() -> None:
    undo = catalog.make("raise-max", host("debian-12", max=65536), ()).undo
    assert undo[0] == "sysctl -w net.netfilter.nf_conntrack_max=65536"
    assert undo.index(removal.HEADER) < undo.index("rm -f /etc/sysctl.d/90-tablefull-conntrack.conf")
    assert "rm -f /etc/udev/rules.d/90-tablefull-conntrack.rules" in undo


@pytest.mark.parametrize(
    ("kept", "gone"),
    [
        (
            "firewall-cmd --permanent --direct --add-rule ipv4 raw OUTPUT 0 -j CT --notrack",
            "firewall-cmd --permanent --direct --remove-rule ipv4 raw OUTPUT 0 -j CT --notrack",
        ),
        ("printf '%s\\n' 'a = 1' >> /etc/sysctl.conf", "# take these lines out of /etc/sysctl.conf again: 'a = 1'"),
        ("iptables-save -t raw > /etc/iptables.raw.rules", "rm -f /etc/iptables.raw.rules"),
        ("iptables-save > /etc/iptables.rules", "iptables-save > /etc/iptables.rules"),
        ("systemctl enable nftables", "# systemctl disable nftables, unless it was started at boot before"),
        ("systemctl enable tablefull-notrack.service", "systemctl disable tablefull-notrack.service"),
        ("service iptables save", "service iptables save"),
        ("chkconfig iptables off", "chkconfig iptables on"),
    ],
)
def test_opposites(kept: str, gone: str) -> None:
    assert removal.removal((kept,)) == (removal.HEADER, gone)


def test_nothing_kept_is_nothing_to_remove() -> None:
    assert removal.removal(("# a remark",)) == ()


def test_a_table_leaves_its_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "nftables.conf"
    other = "table inet filter {\n\tchain input {\n\t}\n}\n"
    path.write_text(other + "table inet tablefull_x {\n\tchain a {\n\t\tudp dport 53 notrack\n\t}\n}\n")
    line = removal.removal((f"nft list table inet tablefull_x >> {path}",))[1]
    subprocess.run(["sh", "-c", line], check=True)
    assert path.read_text() == other
