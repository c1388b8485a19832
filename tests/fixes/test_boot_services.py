"""Who loads modules and writes settings after the boot's own files: by the files of real packages where there are any."""

import pytest
from tests.fixes.boot_trees import BRIDGE, MAX, boot, tree

from tablefull.fixes.boot import Boot
from tablefull.fixes.boot_services import enabled

WANTS = "/etc/systemd/system/multi-user.target.wants/"
SET = {"/etc/sysctl.d/90-x.conf": f"{MAX} = 500000\n", "/etc/modules-load.d/x.conf": "nf_conntrack\n"}


def later(found: Boot, key: str = MAX) -> list[tuple[str, str | None, bool]]:
    return [(write.owner, write.value, write.certain) for write in found.ending(key).later]


@pytest.mark.parametrize(
    ("name", "init", "planned", "service", "on"),
    [
        ("rhel-9", "systemd", {}, "firewalld", True),
        ("debian-12", "systemd", {}, "firewalld", False),
        ("debian-12", "systemd", {WANTS + "ufw.service": ""}, "ufw", True),
        ("rhel-6", "initscripts", {}, "iptables", True),
        ("rhel-6", "initscripts", {}, "ip6tables", False),
        ("ubuntu-12.04", "upstart", {}, "ufw", True),
        ("ubuntu-12.04", "upstart", {"/etc/init/ufw.override": "manual\n"}, "ufw", False),
        ("ubuntu-12.04", "upstart", {"/etc/rc2.d/S20docker": ""}, "docker", True),
        ("alpine", "openrc", {}, "sysctl", True),
        ("alpine", "openrc", {}, "nftables", False),
    ],
)
def test_what_starts_at_boot(name: str, init: str, planned: dict[str, str], service: str, on: bool) -> None:
    assert enabled(tree(name, planned), init, service) == on


def test_ufw_applies_a_file_of_its_own() -> None:
    planned = {**SET, WANTS + "ufw.service": "", "/etc/ufw/ufw.conf": "ENABLED=yes\n"}
    assert boot("debian-12", planned).ending(MAX).value == "500000"
    planned["/etc/ufw/sysctl.conf"] = "net/netfilter/nf_conntrack_max=9\n"
    found = boot("debian-12", planned).ending(MAX)
    assert (found.value, found.by and found.by.file) == ("9", "/etc/ufw/sysctl.conf")
    planned["/etc/ufw/ufw.conf"] = "ENABLED=no\n"
    assert boot("debian-12", planned).ending(MAX).value == "500000"


def test_tuned_s_profile_loses_where_it_applies_the_files_again() -> None:
    planned = {**SET, WANTS + "tuned.service": "", "/etc/tuned/active_profile": "openshift\n"}
    found = boot("debian-12", planned, MAX, "hashsize")
    assert found.ending(MAX).value == "500000"
    # Lines 13 and 19 of the profile in the package.
    assert [(write.value, write.line) for write in found.ending(MAX).later] == [("1048576", 19)]
    assert found.ending("hashsize").value == "1048576"
    planned["/etc/tuned/tuned-main.conf"] = "reapply_sysctl = 0\n"
    assert boot("debian-12", planned).ending(MAX).value == "1048576"


def test_tuned_s_own_profiles_win_over_those_they_include() -> None:
    own = "[main]\ninclude=openshift\n[sysctl]\nnet.netfilter.nf_conntrack_max=7\n"
    planned = {
        **SET, WANTS + "tuned.service": "", "/etc/tuned/active_profile": "own\n", "/etc/tuned/own/tuned.conf": own,
        "/etc/tuned/tuned-main.conf": "reapply_sysctl = 0\n",
    }  # fmt: skip
    assert boot("debian-12", planned).ending(MAX).value == "7"


def test_docker_may_turn_bridge_netfilter_on_again() -> None:
    planned = {
        "/etc/sysctl.d/90-x.conf": f"{BRIDGE} = 0\n", "/etc/modules-load.d/x.conf": "br_netfilter\n",
        WANTS + "docker.service": "",
    }  # fmt: skip
    found = boot("debian-12", planned, BRIDGE)
    assert found.ending(BRIDGE).value == "0"
    assert later(found, BRIDGE) == [("docker", "1", False)]


def test_kube_proxy_is_told_unless_its_configuration_says_no() -> None:
    key = "net.netfilter.nf_conntrack_tcp_timeout_established"
    planned = {**SET, "/var/lib/kube-proxy/config.conf": "conntrack:\n  maxPerCore: 32768\n"}
    assert later(boot("debian-12", planned)) == [("kube-proxy", None, False)]
    assert later(boot("debian-12", planned, key), key) == [("kube-proxy", "86400", False)]
    planned["/var/lib/kube-proxy/config.conf"] = "conntrack:\n  maxPerCore: 0\n  tcpEstablishedTimeout: 0s\n"
    assert later(boot("debian-12", planned, MAX, key)) == []
    assert later(boot("debian-12", planned, MAX, key), key) == []


def test_rules_that_ask_for_tracking_load_it() -> None:
    planned = {WANTS + "nftables.service": "", "/etc/nftables.conf": "table ip t {\nchain c {\n# ct state new\n}\n}\n"}
    assert boot("debian-12", planned).loads == ()
    planned["/etc/nftables.conf"] += "ct state established accept\n"
    assert [load.module for load in boot("debian-12", planned).loads] == ["nf_conntrack", "nft_ct"]
    saved = {
        WANTS + "netfilter-persistent.service": "",
        "/etc/iptables/rules.v4": "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n",
    }
    assert [load.module for load in boot("debian-12", saved).loads] == ["nf_conntrack", "iptable_nat"]


def test_the_iptables_service_of_red_hat_may_apply_lines_again() -> None:
    planned = {
        "/etc/sysctl.conf": f"{MAX} = 5\n", "/etc/rc.d/rc3.d/S10network": "",
        "/etc/sysconfig/iptables-config": 'IPTABLES_SYSCTL_LOAD_LIST=".nf_conntrack"\n',
    }  # fmt: skip
    found = boot("rhel-6", planned).ending(MAX)
    assert [write.program for write in found.writes if write.reached] == ["iptables, its list in line 1", "network"]


def test_units_scripts_cron_and_cloud_init_are_read() -> None:
    planned = {
        **SET,
        "/etc/systemd/system/own.service": f"[Service]\nExecStart=/sbin/sysctl -w {MAX}=1\n",
        WANTS + "own.service": "",
        "/etc/cron.d/own": f"@reboot root sysctl -w {MAX}=2\n",
        "/var/lib/cloud/instance/user-data.txt": f"runcmd:\n  - sysctl -w {MAX}=3\n",
        "/etc/NetworkManager/dispatcher.d/own": f"#!/bin/sh\nsysctl -w {MAX}=4\n",
    }
    found = boot("debian-12", planned)
    assert found.ending(MAX).value == "1"
    assert later(found) == [("dispatcher.d", "4", False), ("cron", "2", False), ("cloud-init", "3", False)]


def test_rc_local_counts_where_it_may_be_run() -> None:
    planned = {**SET, "/etc/rc.local": f"#!/bin/sh\nsysctl -w {MAX}=1\n"}
    assert boot("debian-12", planned).ending(MAX).value == "1"
