from live_trees import HOSTILE, host

from tablefull.fixes.brings_back import lines, loads, quoted, rules_that_track, settings_with


def test_comments_are_no_lines(tmp_path) -> None:
    one = host(tmp_path, "debian-12", files={"etc/modules": "# nf_conntrack\n; x\n\nnf_nat\n"})
    assert lines(one, ("etc/modules", "etc/none")) == [("/etc/modules", "nf_nat")]


def test_who_loads_a_module(tmp_path) -> None:
    files = {
        "etc/modules-load.d/k8s.conf": "overlay\nbr_netfilter\n",
        "etc/sysconfig/iptables-config": 'IPTABLES_MODULES="nf_conntrack_ftp br-netfilter"\n',
        "etc/modprobe.d/a.conf": "softdep bridge post: br_netfilter\ninstall nf_nat /bin/false\noptions br_netfilter x=1\n",
    }
    one = host(tmp_path, "debian-12", files=files)
    assert loads(one, frozenset(("br_netfilter", "nf_nat"))) == [
        ("/etc/sysconfig/iptables-config", 'IPTABLES_MODULES="nf_conntrack_ftp br-netfilter"'),
        ("/etc/modules-load.d/k8s.conf", "br_netfilter"),
        ("/etc/modprobe.d/a.conf", "softdep bridge post: br_netfilter"),
    ]


def test_who_writes_a_setting(tmp_path) -> None:
    files = {"etc/sysctl.d/k8s.conf": "net.bridge.bridge-nf-call-iptables = 1\nvm.swappiness=1\n"}
    assert settings_with(host(tmp_path, "debian-12", files=files), "bridge-nf-call") == [
        ("/etc/sysctl.d/k8s.conf", "net.bridge.bridge-nf-call-iptables = 1")
    ]


def test_which_saved_rules_start_tracking(tmp_path) -> None:
    files = {
        "etc/iptables/rules-save": "*filter\n-A INPUT -m conntrack --ctstate NEW -j ACCEPT\nCOMMIT\n",
        "etc/nftables.conf": "table inet f {\nchain c {\ntcp dport 22 accept\n}\n}\n",
    }
    assert [path for path, _ in rules_that_track(host(tmp_path, "alpine", files=files))] == ["/etc/iptables/rules-save"]


def test_lines_are_quoted_for_a_person() -> None:
    assert quoted([("/etc/x", HOSTILE)]) == f"/etc/x: {HOSTILE!a}"
