import pytest
from live_trees import FILTER, HOSTILE, NAT, host
from test_steps_timeouts import sample
from test_timeout_choice import row

from tablefull.errors import UsageError
from tablefull.fixes.act import Commanded
from tablefull.fixes.live_host import Options
from tablefull.fixes.steps_notrack import forwards, needs, notrack, servers, services
from tablefull.wire import ctnetlink as at

DNS = Options(ports=("udp/53",))


def texts(plan) -> list[str]:
    return [
        command.stdin or " ".join(command.argv)
        for step in plan.steps
        for act in step.acts
        if isinstance(act, Commanded)
        for command in act.do
    ]


def test_services_are_words_that_mean_something() -> None:
    assert services(Options(ports=("udp/53", "80/tcp", "gre", "lo", "all", "udp/53"))) == (
        ("udp", "53"), ("tcp", "80"), ("gre", ""), ("lo", ""), ("all", ""),
    )  # fmt: skip
    for text in (HOSTILE, "udp/0", "udp/99999", "udp/53; reboot", ""):
        with pytest.raises(UsageError):
            services(Options(ports=(text,)))


def test_servers_are_addresses() -> None:
    assert servers(Options(addresses=("10.0.0.1", "2001:db8::/32"))) == (("10.0.0.1", False), ("2001:db8::/32", True))
    with pytest.raises(UsageError, match="no address"):
        servers(Options(addresses=(HOSTILE,)))


def test_the_target_of_old_kernels_in_both_families(tmp_path) -> None:
    """Ubuntu 12.04 (3.2): NOTRACK in the raw table, of both programs; a Xen host that bridges, so forwarded too."""
    first, second = texts(notrack(host(tmp_path, "ubuntu-12.04"), DNS))
    assert first.splitlines()[3:6] == [
        "-A tablefull_notrack_pre -p udp --dport 53 -j NOTRACK",
        "-A tablefull_notrack_pre -p udp --sport 53 -m addrtype ! --dst-type LOCAL -j NOTRACK",
        "-A tablefull_notrack_out -p udp --sport 53 -j NOTRACK",
    ]
    assert second == first


def test_addrtype_is_not_asked_of_ipv6_before_2_6_39(tmp_path) -> None:
    one = host(tmp_path, "rhel-6", files={"proc/sys/net/ipv4/ip_forward": "1\n"})
    first, second = texts(notrack(one, DNS))
    assert "addrtype" in first
    assert "addrtype" not in second


def test_only_the_servers_named(tmp_path) -> None:
    options = Options(ports=("udp/53",), addresses=("10.0.0.1", "2001:db8::1"))
    (text,) = texts(notrack(host(tmp_path / "d", "debian-12"), options))
    assert "\t\tip daddr 10.0.0.1 udp dport 53 counter notrack\n" in text
    assert "\t\tip6 saddr 2001:db8::1 udp sport 53 counter notrack\n" in text
    four, six = texts(notrack(host(tmp_path / "r", "rhel-6"), options))
    assert "-A tablefull_notrack_pre -d 10.0.0.1 -p udp --dport 53 -j NOTRACK\n" in four
    assert "-A tablefull_notrack_out -s 2001:db8::1 -p udp --sport 53 -j NOTRACK\n" in six


def test_the_ruleset_of_centos_6_opens_ssh_by_its_state(tmp_path) -> None:
    rules = FILTER + (
        "[5:9] -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT\n"
        f'[5:9] -A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -m comment --comment "{HOSTILE[:20]}" -j ACCEPT\n'
        "[0:0] -A INPUT -j REJECT --reject-with icmp-host-prohibited\n"
    )
    one = host(tmp_path, "rhel-6", rules={"ip filter": rules})
    refusal = notrack(one, Options(ports=("tcp/22",)))
    assert not refusal.steps
    assert "--state NEW -m tcp --dport 22" in refusal.refused
    forced = notrack(one, Options(ports=("tcp/22",), i_know=True))
    assert forced.steps[0].risk.startswith("WITHOUT these packets stop working")
    assert HOSTILE[:20] not in "".join(texts(forced))
    assert notrack(one, Options(ports=("udp/53",))).steps  # dropped already: nothing to lose


def test_nat_is_named(tmp_path) -> None:
    rules = NAT + "[0:0] -A POSTROUTING -o eth0 -j MASQUERADE\n"
    one = host(tmp_path, "ubuntu-12.04", rules={"ip nat": rules})
    assert "-A POSTROUTING -o eth0 -j MASQUERADE" in notrack(one, DNS).refused
    # A service of this host itself: its packets are answers, never the first of a connection that leaves.
    assert needs(one, (("udp", "53"),), "served") == ()


def test_what_could_not_be_listed_is_a_reason_to_refuse(tmp_path) -> None:
    one = host(tmp_path, "ubuntu-12.04")
    one._run.printed = {}
    assert "cannot be told" in notrack(one, DNS).refused


def test_which_traffic_is_asked_with_a_hint(tmp_path) -> None:
    rows = [row(17, 5)] * 60
    for one in rows:
        one[at.R_DPORT] = 53
    plan = notrack(host(tmp_path, "debian-12", sample=sample(*rows)), Options())
    assert "60 of 60 entries read are udp/53" in plan.refused


def test_the_share_of_the_sample_is_forecast(tmp_path) -> None:
    rows = [row(17, 5) for _ in range(80)] + [row(6, 100, "TIME_WAIT")] * 20
    for one in rows[:80]:
        one[at.R_DPORT] = 53
    plan = notrack(host(tmp_path, "debian-12", sample=sample(*rows, total=200_000)), DNS)
    predicted = plan.steps[0].predicted
    assert predicted is not None
    assert (predicted.entries_before, predicted.entries_after) == (200_000, 40_000)


def test_where_no_entry_is_it_is_not_said_that_packets_are_tracked(tmp_path) -> None:
    (step,) = notrack(host(tmp_path, "debian-12", sample=sample(total=0)), DNS).steps
    assert "nothing is tracked here (tablefull why tells)" in step.before
    (step,) = notrack(host(tmp_path / "some", "debian-12", sample=sample(row(17, 5), total=1)), DNS).steps
    assert step.before.startswith("its packets are tracked")


def test_bridged_frames_on_a_xen_host(tmp_path) -> None:
    (first, second) = texts(notrack(host(tmp_path / "u", "ubuntu-12.04"), Options(ports=("bridged",))))
    line = "-A tablefull_notrack_pre -m physdev --physdev-is-in -m addrtype ! --dst-type LOCAL -j NOTRACK"
    assert line in first.splitlines()
    assert line in second.splitlines()
    assert "disable-bridge-nf" in notrack(host(tmp_path / "d", "debian-12"), Options(ports=("bridged",))).refused


def test_a_host_forwards_where_it_routes_or_its_bridges_are_seen(tmp_path) -> None:
    assert forwards(host(tmp_path / "u", "ubuntu-12.04"))
    assert forwards(host(tmp_path / "a", "alpine"))
    assert not forwards(host(tmp_path / "d", "debian-12"))
    with pytest.raises(UsageError, match="--way"):
        notrack(host(tmp_path / "x", "debian-12"), Options(ports=("udp/53",), way="sideways"))


@pytest.mark.parametrize(
    ("rule", "needed"),
    [
        ("-A INPUT -p tcp -m tcp --dport 22 -m connlimit --connlimit-above 10 -j REJECT", True),
        ("-A INPUT -p tcp -m tcp --dport 80 -m connlimit --connlimit-above 10 -j REJECT", False),
        ("-A INPUT -j CONNMARK --restore-mark", True),
        ("-A FORWARD -m conntrack --ctstate INVALID -j DROP", False),
        ("-A INPUT -m state --state ESTABLISHED", False),
    ],
)
def test_marks_and_counts_by_connection(tmp_path, rule: str, needed: bool) -> None:
    one = host(tmp_path, "rhel-6", rules={"ip filter": f"{FILTER}[0:0] {rule}\n"})
    assert bool(needs(one, (("tcp", "22"),), "served")) == needed


def test_what_drops_untracked_packets_before_routing_is_named(tmp_path) -> None:
    """Measured in a namespace: such a chain ended the session and let no new one in."""
    ruleset = (
        "table inet early {\n\tchain pre {\n\t\ttype filter hook prerouting priority mangle; policy accept;\n"
        "\t\tct state invalid,untracked drop\n\t}\n}\n"
    )
    refusal = notrack(host(tmp_path, "debian-12", nft=ruleset), Options(ports=("tcp/22",)))
    assert not refusal.steps
    assert "nft inet early pre: 'ct state invalid,untracked drop'" in refusal.refused
