import pytest
from live_trees import NAT, host

from tablefull.errors import UsageError
from tablefull.fixes.act import Commanded, SetValue
from tablefull.fixes.live_host import Options
from tablefull.fixes.steps_synproxy import synproxy

WEB = Options(ports=("tcp/80",))


def test_it_answers_as_this_server_would(tmp_path) -> None:
    """An MTU of 1500 and 6 MiB of receive buffer: 1460, and 22 - 15 = 7 by tcp_select_initial_window."""
    plan = synproxy(host(tmp_path, "debian-12"), WEB)
    (act,) = (act for step in plan.steps for act in step.acts if isinstance(act, Commanded))
    assert "tcp dport 80 ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm\n" in act.do[0].stdin
    assert "tcp dport 80 tcp flags & (fin|syn|rst|ack) == syn counter notrack\n" in act.do[0].stdin
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
