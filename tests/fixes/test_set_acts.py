import pytest
from live_trees import host

from tablefull.fixes.act import SetValue
from tablefull.fixes.set_acts import CannotSet, refused, set_value, shown


@pytest.mark.parametrize(
    ("tree", "path"),
    [
        ("ubuntu-12.04", "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_time_wait"),
        ("el5", "/proc/sys/net/ipv4/netfilter/ip_conntrack_tcp_timeout_time_wait"),
    ],
)
def test_a_setting_is_written_where_this_kernel_has_it(tmp_path, tree: str, path: str) -> None:
    act = set_value(host(tmp_path, tree), "nf_conntrack_tcp_timeout_time_wait", 30)
    assert act == SetValue(path, "120", "30")
    assert shown(act) == path.rpartition("/")[2]


def test_a_value_that_is_there_already_is_no_act(tmp_path) -> None:
    assert set_value(host(tmp_path, "debian-12"), "nf_conntrack_tcp_loose", 1) is None


def test_without_tracking_there_is_nothing_to_set(tmp_path) -> None:
    one = host(tmp_path, "alpine")
    for path in (tmp_path / "proc/sys/net/netfilter").iterdir():
        path.unlink()
    with pytest.raises(CannotSet, match="connection tracking is not loaded here"):
        set_value(one, "nf_conntrack_max", 1 << 20)


def test_a_setting_that_this_kernel_lacks_is_named(tmp_path) -> None:
    with pytest.raises(CannotSet, match="this kernel has no /proc/sys/net/bridge/bridge-nf-call-iptables"):
        set_value(host(tmp_path, "alpine"), "net.bridge.bridge-nf-call-iptables", 0)


def test_a_read_only_file_is_told_before_it_is_written(tmp_path) -> None:
    one = host(tmp_path, "debian-12")
    (tmp_path / "proc/sys/net/netfilter/nf_conntrack_tcp_loose").chmod(0o444)
    with pytest.raises(CannotSet, match="cannot be written here"):
        set_value(one, "nf_conntrack_tcp_loose", 0)


def test_what_is_no_number_is_not_replaced(tmp_path) -> None:
    one = host(tmp_path, "debian-12", files={"proc/sys/net/netfilter/nf_conntrack_max": "$(reboot)\n"})
    with pytest.raises(CannotSet, match="holds no number"):
        set_value(one, "nf_conntrack_max", 1)


def test_a_refusal_has_no_steps(tmp_path) -> None:
    plan = refused(host(tmp_path, "debian-12"), "raise-max", "title", "why", "told")
    assert (plan.steps, plan.refused, plan.told, plan.host) == ((), "why", ("told",), "web01")


def test_a_file_that_only_root_may_read_is_there(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/sys/module/nf_conntrack/parameters/hashsize is 0600 in every version."""
    one = host(tmp_path, "rhel-6")
    monkeypatch.setattr(one, "value", lambda path: None)
    with pytest.raises(CannotSet, match="hashsize is there and cannot be read: run it as root"):
        set_value(one, "hashsize", 1 << 16)
