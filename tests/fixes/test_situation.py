"""What a plan has to fit, read from one host of the case first and from the others where it is one story."""

import pytest

from tablefull.fixes.plan import Situation
from tablefull.fixes.situation import situation
from tablefull.parsers.reader import read_text
from tablefull.rules.case import Case
from tablefull.rules.finding import Clue, finding


def fitted(text: str, cause: str = "table-undersized", host: str | None = None) -> Situation:
    case = Case(read_text(text))
    return situation(case, finding(cause, host or case.hosts[0].name, [Clue(0.5, "because")], fixes=("raise-max",)))


def test_nothing_seen_is_nothing_known() -> None:
    one = fitted("")
    assert (one.kernel, one.distribution, one.max, one.buckets, one.count, one.ram_bytes) == (None,) * 6
    assert (one.front_end, one.init) == ("unknown", "unknown")
    assert one.nat_in_use is None
    assert one.settings == {}


def test_the_numbers() -> None:
    one = fitted(
        "net.netfilter.nf_conntrack_max = 65536\nnet.netfilter.nf_conntrack_count = 65530\n"
        "net.netfilter.nf_conntrack_buckets = 16384\nMemTotal:        4046372 kB\n"
    )
    assert (one.max, one.count, one.buckets, one.ram_bytes) == (65536, 65530, 16384, 4046372 * 1024)


def test_kernel_and_distribution() -> None:
    one = fitted(
        "Linux h 3.2.0-24-generic #37-Ubuntu SMP x86_64 GNU/Linux\nDistributor ID: Ubuntu\nDescription:    Ubuntu 12.04 LTS\n"
        "Release:        12.04\nCodename:       precise\n"
    )
    assert one.kernel is not None
    assert one.kernel.release == "3.2.0-24-generic"
    assert (one.distribution, one.version) == ("ubuntu", "12.04")
    assert (one.front_end, one.init) == ("ufw", "upstart")  # 12.04 started by upstart; systemd came with 15.04


@pytest.mark.parametrize(
    ("words", "front_end"),
    [
        ("We use firewall-cmd to open ports.", "firewalld"),
        ("The nodes run kube-proxy.", "kube-proxy"),
        ("An OpenWrt router.", "uci"),
        ("service iptables restart", "iptables-services"),
    ],
)
def test_the_firewalls_manager_in_words(words: str, front_end: str) -> None:
    assert fitted(words).front_end == front_end


@pytest.mark.parametrize(
    ("rules", "nat"),
    [
        ("-A POSTROUTING -o eth0 -j MASQUERADE", True),
        ("-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.4", True),
        ("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", False),
    ],
)
def test_nat_is_read_from_the_rules(rules: str, nat: bool) -> None:
    assert fitted(f"$ iptables-save\n*filter\n:INPUT ACCEPT [0:0]\n{rules}\nCOMMIT\n").nat_in_use is nat


def test_an_undo_restores_this_hosts_value_and_not_its_neighbours() -> None:
    text = (
        "=== lb1 ===\nnet.netfilter.nf_conntrack_tcp_timeout_established = 7200\n"
        "=== lb2 ===\nnet.netfilter.nf_conntrack_tcp_timeout_established = 432000\n"
    )
    name = "nf_conntrack_tcp_timeout_established"
    assert fitted(text, host="lb1").settings[name] == 7200
    assert fitted(text, host="lb2").settings[name] == 432000


def test_what_a_file_wants_is_no_setting_in_force() -> None:
    assert fitted("$ cat /etc/sysctl.conf\nnet.netfilter.nf_conntrack_max = 500000\n").settings == {}


def test_name_servers_ports() -> None:
    assert fitted("A PowerDNS server.", "udp-dns-churn").ports == ("udp/53",)


@pytest.mark.parametrize(
    ("words", "cloud"), [("an EC2 instance", "aws"), ("AKS cluster", "azure"), ("on GKE", "gcp"), ("at home", None)]
)
def test_cloud(words: str, cloud: str | None) -> None:
    assert fitted(words).cloud == cloud


def test_the_old_name_of_the_keys() -> None:
    assert fitted("ip_conntrack: table full, dropping packet").ip_conntrack
    assert not fitted("nf_conntrack: table full, dropping packet").ip_conntrack
