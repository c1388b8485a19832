import pytest
from live_trees import NAT, host

from tablefull.errors import UsageError
from tablefull.fixes.act import Commanded, SetValue
from tablefull.fixes.live_host import Options, Sample
from tablefull.fixes.steps_synproxy import synproxy

WEB = Options(ports=("tcp/80",))


def test_it_answers_as_this_server_would(tmp_path) -> None:
    """An MTU of 1500 and 6 MiB of receive buffer: 1460, and 22 - 15 = 7 by tcp_select_initial_window."""
    plan = synproxy(host(tmp_path, "debian-12"), WEB)
    (act,) = (act for step in plan.steps for act in step.acts if isinstance(act, Commanded))
    assert "tcp dport 80 ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm\n" in act.do[0].stdin
    untracked = "fib daddr type local tcp dport 80 tcp flags & (fin|syn|rst|ack) == syn counter notrack\n"
    assert untracked in act.do[0].stdin
    values = [act for step in plan.steps for act in step.acts if isinstance(act, SetValue)]
    assert values == [SetValue("/proc/sys/net/netfilter/nf_conntrack_tcp_loose", "1", "0")]


def test_a_server_behind_this_host_is_asked_for(tmp_path) -> None:
    one = host(tmp_path, "alpine")
    assert "--mss, --wscale" in synproxy(one, Options(ports=("tcp/80",), way="passed")).refused
    files = {"proc/sys/net/ipv4/tcp_syncookies": "1\n", "proc/sys/net/ipv4/tcp_timestamps": "1\n"}
    two = host(tmp_path / "b", "alpine", files=files)
    plan = synproxy(two, Options(ports=("tcp/80",), way="passed", mss=1400, wscale=9))
    acts = [act for step in plan.steps for act in step.acts if isinstance(act, Commanded)]
    assert "-A tablefull_synproxy_fwd -p tcp --dport 80 -m conntrack --ctstate INVALID,UNTRACKED" in acts[1].do[0].stdin
    assert "--wscale 9 --mss 1400" in acts[1].do[0].stdin
    assert "--dport 80 --syn -m addrtype ! --dst-type LOCAL -j CT --notrack" in acts[0].do[0].stdin


def test_a_host_that_forwards_is_told_which_connections_are_meant(tmp_path) -> None:
    forwarding = host(tmp_path, "debian-12", files={"proc/sys/net/ipv4/ip_forward": "1\n"})
    assert any("--way passed" in line for line in synproxy(forwarding, WEB).told)
    given = Options(ports=WEB.ports, way="served")
    assert not any("--way passed" in line for line in synproxy(forwarding, given).told)
    alone = host(tmp_path / "alone", "debian-12", files={"proc/sys/net/ipv4/ip_forward": "0\n"})
    assert not any("--way passed" in line for line in synproxy(alone, WEB).told)


def test_cookies_alone_where_the_kernel_has_no_proxy(tmp_path) -> None:
    plan = synproxy(host(tmp_path, "ubuntu-12.04"), WEB)
    assert plan.steps[0].acts == (SetValue("/proc/sys/net/ipv4/tcp_syncookies", "0", "1"),)
    on = host(tmp_path / "on", "ubuntu-12.04", files={"proc/sys/net/ipv4/tcp_syncookies": "1\n"})
    assert "already" in synproxy(on, WEB).refused


def test_ports_that_are_translated(tmp_path) -> None:
    rules = NAT + "[0:0] -A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.2\n"
    files = {
        "proc/net/ip_tables_names": "filter\nraw\nnat\n",
        "proc/sys/net/ipv4/tcp_syncookies": "1\n",
        "proc/sys/net/ipv4/tcp_timestamps": "1\n",
    }
    one = host(tmp_path, "alpine", files=files, rules={"ip nat": rules})
    refusal = synproxy(one, Options(ports=("tcp/80",), mss=1460, wscale=7))
    assert "--to-destination 10.0.0.2" in refusal.refused


def test_words_that_make_no_sense(tmp_path) -> None:
    one = host(tmp_path, "debian-12")
    assert "which TCP ports" in synproxy(one, Options()).refused
    assert "which TCP ports" in synproxy(one, Options(ports=("udp/53",))).refused
    for wrong in (
        Options(ports=("tcp/80",), mss=1, wscale=7),
        Options(ports=("tcp/80",), mss=1460, wscale=15),
        Options(ports=("tcp/80",), way="both"),
    ):
        with pytest.raises(UsageError):
            synproxy(one, wrong)


@pytest.mark.parametrize(
    ("chain", "wanted"),
    [
        ("type filter hook output priority filter; policy drop;\n\t\tct state established,related accept", "SYN/ACK"),
        ("type filter hook output priority filter; policy accept;\n\t\tct state invalid drop", "SYN/ACK"),
        ("type filter hook prerouting priority mangle; policy accept;\n\t\tct state invalid drop", "client's ACK"),
        ("type filter hook prerouting priority mangle; policy accept;\n\t\tct state untracked drop", "client's SYN"),
        ("type filter hook input priority filter; policy accept;\n\t\tct state invalid drop", ""),
    ],
)
def test_rules_that_the_handshake_would_not_pass(tmp_path, chain: str, wanted: str) -> None:
    """Each measured in a namespace, with the proxy in place: nobody could connect any more, but for the last one."""
    ruleset = f"table inet own {{\n\tchain one {{\n\t\t{chain}\n\t}}\n}}\n"
    plan = synproxy(host(tmp_path, "debian-12", nft=ruleset), WEB)
    assert bool(plan.steps) is not bool(wanted)
    assert not wanted or (wanted in plan.refused and "nft inet own one" in plan.refused)
    assert synproxy(host(tmp_path, "debian-12", nft=ruleset), Options(ports=WEB.ports, i_know=True)).steps


def test_an_open_connection_that_has_no_entry_is_not_cut(tmp_path) -> None:
    """Measured in a namespace without rules: the segments of one that was open before were dropped from then on."""
    rows = "  sl  local_address rem_address   st\n   0: 0100000A:0050 4D01090A:D431 01 00000000:00000000\n"
    files = {"proc/net/tcp": rows}
    none = host(tmp_path / "none", "debian-12", files=files, sample=Sample((), 0, 65536, True, "ctnetlink"))
    assert "(10.9.1.77) have no entry" in synproxy(none, WEB).refused
    some = host(tmp_path / "some", "debian-12", files=files, sample=Sample((), 9, 65536, True, "ctnetlink"))
    assert synproxy(some, WEB).steps
    assert synproxy(none, Options(ports=WEB.ports, i_know=True)).steps
