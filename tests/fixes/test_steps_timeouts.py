import pytest
from live_trees import host
from test_timeout_choice import ASSURED, row

from tablefull.errors import UsageError
from tablefull.fixes.act import Flush, SetValue
from tablefull.fixes.live_host import Options, Sample
from tablefull.fixes.steps_timeouts import disable_tcp_loose, flush_entries, shorten_timeouts
from tablefull.wire import ctnetlink as at

NONE = Options()


def sample(*rows: list[int], total: int | None = None) -> Sample:
    return Sample(tuple(map(tuple, rows)), len(rows) if total is None else total, 65536, total is None, "ctnetlink")  # type: ignore[arg-type]


def test_the_sample_says_which_and_by_how_much(tmp_path) -> None:
    """Of 100 read, 60 have been silent for 200000 s: of 60000 entries about 36000 would be gone, 24000 left."""
    rows = [row(6, 232000, "ESTABLISHED")] * 60 + [row(6, 431999, "ESTABLISHED")] * 40
    one = host(tmp_path, "rhel-6", sample=sample(*rows, total=60000))
    plan = shorten_timeouts(one, NONE)
    (step,) = plan.steps
    assert step.acts == (SetValue("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established", "432000", "86400"),)
    assert step.predicted is not None
    assert (step.predicted.entries_before, step.predicted.entries_after) == (60000, 24000)
    assert "60 of those have been silent" in step.before
    assert step.scope == "host"  # 2.6.32: one value for all namespaces
    assert shorten_timeouts(host(tmp_path / "d", "debian-12", sample=sample(*rows)), NONE).steps[0].scope == "netns"


def test_a_busy_table_is_not_helped_by_timeouts(tmp_path) -> None:
    one = host(tmp_path, "debian-12", sample=sample(*[row(6, 431999, "ESTABLISHED")] * 50))
    assert "none to speak of has been silent" in shorten_timeouts(one, NONE).refused


def test_without_a_sample_the_cause_decides(tmp_path) -> None:
    plan = shorten_timeouts(host(tmp_path, "el5"), Options(cause="time-wait-churn"))
    assert {act.path.rpartition("/")[2]: act.after for step in plan.steps for act in step.acts} == {  # type: ignore[union-attr]
        "ip_conntrack_tcp_timeout_time_wait": "30",
        "ip_conntrack_tcp_timeout_fin_wait": "30",
    }


def test_what_is_asked_for_is_done_and_what_no_kernel_has_is_told(tmp_path) -> None:
    one = host(tmp_path, "alpine")
    plan = shorten_timeouts(one, Options(timeouts={"nf_conntrack_udp_timeout": 10}))
    assert plan.steps[0].acts == (SetValue("/proc/sys/net/netfilter/nf_conntrack_udp_timeout", "30", "10"),)
    with pytest.raises(UsageError, match="no timeout is called"):
        shorten_timeouts(one, Options(timeouts={"nf_conntrack_../../x": 10}))
    with pytest.raises(UsageError, match="no connection live"):
        shorten_timeouts(one, Options(timeouts={"nf_conntrack_udp_timeout": 0}))


def test_kube_proxy_writes_two_of_them_again(tmp_path) -> None:
    rows = [row(6, 232000, "ESTABLISHED")] * 50
    one = host(tmp_path, "debian-12", files={"proc/9/comm": "kube-proxy\n"}, sample=sample(*rows))
    assert any("tcpEstablishedTimeout" in line for line in shorten_timeouts(one, NONE).told)


def test_below_a_keepalive_is_told_to_be_unsafe(tmp_path) -> None:
    one = host(tmp_path, "debian-12")
    plan = shorten_timeouts(one, Options(timeouts={"nf_conntrack_tcp_timeout_established": 600}))
    assert "not safe" in plan.steps[0].risk


def test_loose(tmp_path) -> None:
    plan = disable_tcp_loose(host(tmp_path / "u", "ubuntu-12.04"), NONE)
    assert plan.steps[0].acts == (SetValue("/proc/sys/net/netfilter/nf_conntrack_tcp_loose", "1", "0"),)
    off = host(tmp_path / "o", "ubuntu-12.04", files={"proc/sys/net/netfilter/nf_conntrack_tcp_loose": "0\n"})
    assert "off already" in disable_tcp_loose(off, NONE).refused


def test_a_flush_needs_to_know_which(tmp_path) -> None:
    one = host(tmp_path, "debian-12", sample=sample(*[row(17, 5)] * 3, *[row(6, 100, "TIME_WAIT")]))
    assert "--where" in flush_entries(one, NONE).refused
    plan = flush_entries(one, Options(where="proto=tcp"))
    assert plan.steps[0].acts == (Flush("proto=tcp", expected=1),)
    assert "no entry is meant" in flush_entries(one, Options(where="proto=sctp")).refused
    whole = Options(where="remaining>=0")
    assert "whole table" in flush_entries(one, whole).refused
    assert flush_entries(one, Options(where=whole.where, i_know=True)).steps
    with pytest.raises(UsageError, match="nothing is called"):
        flush_entries(one, Options(where="$(reboot)=1"))


def test_of_a_sample_the_whole_is_estimated(tmp_path) -> None:
    rows = [row(17, 5, status=ASSURED)] * 25 + [row(6, 100, "TIME_WAIT")] * 75
    one = host(tmp_path, "debian-12", sample=sample(*rows, total=200_000))
    (step,) = flush_entries(one, Options(where="proto=udp")).steps
    assert step.acts == (Flush("proto=udp", expected=50_000),)
    assert step.predicted is not None
    assert step.predicted.entries_after == 150_000


def session_row(source: int, dport: int, remaining: int) -> list[int]:
    found = row(6, remaining, "ESTABLISHED")
    found[at.R_FAMILY], found[at.R_SRC], found[at.R_DPORT] = 4, source, dport
    return found


def test_the_entry_of_an_open_session_is_not_deleted_without_a_word(tmp_path) -> None:
    """In a namespace with tcp_loose 0 and a policy of DROP the session was dead from then on."""
    tcp = "  sl  local_address rem_address   st\n   0: 0100000A:0016 4D01090A:D431 01 00000000:00000000\n"
    rows = [session_row(0x0A09014D, 22, 431999), session_row(0x0A09014E, 22, 100), *[row(17, 5)] * 3]
    one = host(tmp_path, "debian-12", files={"proc/net/tcp": tcp}, sample=sample(*rows))
    refusal = flush_entries(one, Options(where="proto=tcp or proto=sctp"))
    assert "the entry of 10.9.1.77's open session" in refusal.refused
    assert flush_entries(one, Options(where="(proto=tcp or proto=sctp) and remaining<1000")).steps
    assert flush_entries(one, Options(where="proto=tcp", i_know=True)).steps
    assert "no entry is meant" in flush_entries(one, Options(where="proto=tcp and not dport=22")).refused
