"""A root folder laid out as Debian, RHEL, Alpine and OpenWrt lay theirs out."""

from pathlib import Path

from tablefull.live import returning
from tablefull.live.proc import Proc


def put(root: Path, name: str, text: str = "") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_files_units_and_processes(tmp_path: Path) -> None:
    put(tmp_path, "etc/nftables.conf", "table inet f {\n}\n")
    put(tmp_path, "etc/modules-load.d/k8s.conf", "br_netfilter\n")
    put(tmp_path, "etc/rc.local", "exit 0\n")
    put(tmp_path, "proc/cmdline", "quiet\n")
    put(tmp_path, "proc/41/comm", "dockerd\n")
    put(tmp_path, "etc/shadow", "root:x\n")
    for place in (
        "etc/systemd/system/multi-user.target.wants/docker.service",
        "etc/systemd/system/sysinit.target.wants/nftables.service",
        "etc/systemd/system/multi-user.target.wants/ssh.service",
        "etc/rc3.d/S20ufw",
        "etc/rc2.d/K01firewalld",
        "etc/rc.d/S19firewall",
        "etc/runlevels/default/iptables",
    ):
        put(tmp_path, place)
    files, enabled, running, holes = returning.read(Proc(tmp_path))
    assert files["etc/nftables.conf"] == ["table inet f {", "}"]
    assert files["etc/modules-load.d/k8s.conf"] == ["br_netfilter"]
    assert files["proc/cmdline"] == ["quiet"]
    assert "etc/shadow" not in files
    assert set(enabled) == {"docker", "nftables", "ufw", "firewall", "iptables"}
    assert running == {"dockerd"}
    assert holes == []


def test_a_link_to_nowhere_enables_all_the_same(tmp_path: Path) -> None:
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "docker.service").symlink_to("/nowhere/docker.service")
    assert set(returning.read(Proc(tmp_path))[1]) == {"docker"}


def test_a_huge_file_is_read_in_part(tmp_path: Path) -> None:
    put(tmp_path, "etc/rc.local", "x\n" * returning.MOST_BYTES)
    files, *_ = returning.read(Proc(tmp_path))
    assert len(files["etc/rc.local"]) == returning.MOST_BYTES // 2


def test_an_empty_machine(tmp_path: Path) -> None:
    assert returning.read(Proc(tmp_path)) == ({}, {}, set(), [])
