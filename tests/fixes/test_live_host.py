import pytest
from live_trees import FILTER, HOSTILE, NAT, host, plant

from tablefull.errors import UsageError
from tablefull.fixes.live_host import LiveHost, places
from tablefull.wire import ctnetlink as at


@pytest.mark.parametrize(
    ("tree", "distribution", "init", "front_end", "maximum", "buckets"),
    [
        ("ubuntu-12.04", ("ubuntu", "12.04"), "upstart", "none", 1548576, 65536),
        ("rhel-6", ("centos", "6.8"), "sysv", "iptables-services", 65536, 16384),
        ("debian-12", ("debian", "12"), "systemd", "none", 262144, 262144),
        ("alpine", ("alpine", "3.17.2"), "openrc", "none", 65536, 65536),
        ("el5", ("centos", "5.5"), "sysv", "none", 65536, 8192),
    ],
)
def test_a_host_is_told_by_what_is_there(tmp_path, tree, distribution, init, front_end, maximum, buckets) -> None:
    one = host(tmp_path, tree)
    assert one.distribution == distribution
    assert one.init == init
    assert one.front_end == front_end
    assert (one.situation.max, one.situation.buckets) == (maximum, buckets)
    assert one.old_stack == (tree == "el5")
    assert one.builtin is False


def test_the_front_end_is_the_one_whose_chains_stand_there(tmp_path) -> None:
    ufw = FILTER + ":ufw-before-input - [0:0]\n[0:0] -A INPUT -j ufw-before-input\n"
    assert host(tmp_path / "ufw", "ubuntu-12.04", rules={"ip filter": ufw}).front_end == "ufw"
    kube = NAT + ":KUBE-SERVICES - [0:0]\n[0:0] -A PREROUTING -j KUBE-SERVICES\n"
    one = host(tmp_path / "kube", "ubuntu-12.04", rules={"ip nat": kube})
    assert (one.front_end, one.orchestrator) == ("kube-proxy", "kubernetes")
    running = {"proc/812/comm": "firewalld\n"}
    assert host(tmp_path / "fw", "debian-12", files=running).front_end == "firewalld"
    off = {"etc/ufw/ufw.conf": "ENABLED=yes\n"}
    assert host(tmp_path / "on", "ubuntu-12.04", files=off).front_end == "ufw"


def test_available_memory_is_free_and_cached_where_the_kernel_does_not_say(tmp_path) -> None:
    assert host(tmp_path / "old", "ubuntu-12.04").memory == (33554432 * 1024, (20971520 + 1024 + 2048) * 1024)
    assert host(tmp_path / "new", "debian-12").memory == (16777216 * 1024, 12582912 * 1024)


def test_a_rule_that_could_not_be_listed_is_told(tmp_path) -> None:
    seen = host(tmp_path / "seen", "ubuntu-12.04")
    assert seen.unseen_rules == ()
    assert [chain.chain for chain in seen.chains if chain.table == "nat"] == ["PREROUTING", "POSTROUTING", "OUTPUT"]
    blind = host(tmp_path / "blind", "ubuntu-12.04")
    blind._run.printed = {}  # type: ignore[union-attr]
    assert any("ip nat" in why for why in blind.unseen_rules)


def test_links_of_alternatives_tell_which_iptables_it_is(tmp_path) -> None:
    plant(tmp_path, {"usr/sbin/xtables-nft-multi": "", "usr/sbin/xtables-legacy-multi": ""})
    (tmp_path / "usr/sbin/iptables-nft").symlink_to("xtables-nft-multi")
    (tmp_path / "etc/alternatives").mkdir(parents=True)
    (tmp_path / "etc/alternatives/iptables").symlink_to("/usr/sbin/iptables-nft")
    (tmp_path / "usr/sbin/iptables").symlink_to("/etc/alternatives/iptables")
    (tmp_path / "usr/sbin/iptables-legacy").symlink_to("xtables-legacy-multi")
    one = LiveHost(tmp_path)
    assert one.speaks_nft("iptables")
    assert not one.speaks_nft("iptables-legacy")
    assert not one.speaks_nft("ip6tables")


def test_open_sessions_are_those_of_port_22(tmp_path) -> None:
    rows = (
        "  sl  local_address rem_address   st\n"
        "   0: 0100000A:0016 4D01090A:D431 01 00000000:00000000\n"  # 10.0.0.1:22 from 10.9.1.77
        "   1: 0100000A:0050 0201090A:D432 01 00000000:00000000\n"
        "   2: 00000000:0016 00000000:0000 0A 00000000:00000000\n"
    )
    mapped = "head\n 0: 0000000000000000FFFF00000100000A:0016 0000000000000000FFFF00004E01090A:D431 01 0:0\n"
    one = host(tmp_path, "debian-12", files={"proc/net/tcp": rows, "proc/net/tcp6": mapped})
    assert one.sessions == {"10.9.1.77", "10.9.1.78"}


def test_the_mtu_is_of_the_default_routes_interface(tmp_path) -> None:
    assert host(tmp_path / "one", "debian-12").route_mtu == 1500
    assert host(tmp_path / "none", "alpine").route_mtu is None


def test_entries_of_a_recorded_listing_are_the_sample(tmp_path) -> None:
    row = (
        "ipv4     2 tcp      6 431000 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=4000 dport=80 src=10.0.0.2 "
        "dst=10.0.0.1 sport=80 dport=4000 [ASSURED] mark=0 use=2\n"
    )
    one = host(tmp_path, "ubuntu-12.04", files={"proc/net/nf_conntrack": row * 3})
    assert one.sample is not None
    assert one.sample.whole
    assert [entry[at.R_TIMEOUT] for entry in one.sample.rows] == [431000] * 3
    assert one.sample.total == 1548576


def test_a_hostile_name_stays_a_name(tmp_path) -> None:
    one = host(tmp_path, "debian-12", hostname=HOSTILE.replace("\n", ""))
    assert one.name == HOSTILE.replace("\n", "")
    assert one.machine is one.facts


def test_a_namespace_that_is_not_there_is_told() -> None:
    with pytest.raises(UsageError, match="no such namespace"):
        LiveHost(netns="there-is-none-of-this-name")


def test_places_of_every_era() -> None:
    assert places("nf_conntrack_max") == (
        "/proc/sys/net/netfilter/nf_conntrack_max",
        "/proc/sys/net/ipv4/netfilter/ip_conntrack_max",
        "/proc/sys/net/nf_conntrack_max",
        "/proc/sys/net/ipv4/ip_conntrack_max",
    )
    assert places("net.ipv4.tcp_syncookies") == ("/proc/sys/net/ipv4/tcp_syncookies",)
    assert places("hashsize")[1] == "/sys/module/ip_conntrack/parameters/hashsize"
