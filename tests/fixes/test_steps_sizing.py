import msgspec
import pytest
from live_trees import host

from tablefull.fixes.act import SetValue
from tablefull.fixes.live_host import Options
from tablefull.fixes.steps_sizing import cost_bytes, fitting, raise_expect_max, raise_hashsize, raise_max

NONE = Options()


def values(plan) -> list[tuple[str, str, str]]:
    return [(act.path, act.before, act.after) for step in plan.steps for act in step.acts if isinstance(act, SetValue)]


def test_buckets_before_the_limit_through_the_parameter_of_old_kernels(tmp_path) -> None:
    plan = raise_max(host(tmp_path, "rhel-6"), Options(limit=262144))
    assert values(plan) == [
        ("/sys/module/nf_conntrack/parameters/hashsize", "16384", "65536"),
        ("/proc/sys/net/netfilter/nf_conntrack_max", "65536", "262144"),
    ]
    assert {step.scope for step in plan.steps} == {"host"}


def test_buckets_through_the_sysctl_from_4_8_one_for_each_entry(tmp_path) -> None:
    plan = raise_max(host(tmp_path, "debian-12"), Options(limit=524288))
    assert values(plan) == [
        ("/proc/sys/net/netfilter/nf_conntrack_buckets", "262144", "524288"),
        ("/proc/sys/net/netfilter/nf_conntrack_max", "262144", "524288"),
    ]


def test_the_names_of_ip_conntrack(tmp_path) -> None:
    plan = raise_max(host(tmp_path, "el5"), Options(limit=131072))
    assert values(plan)[-1] == ("/proc/sys/net/ipv4/netfilter/ip_conntrack_max", "65536", "131072")
    assert values(plan)[0][0] == "/sys/module/ip_conntrack/parameters/hashsize"


def test_buckets_are_written_as_the_kernel_will_read_them(tmp_path) -> None:
    plan = raise_max(host(tmp_path, "debian-12"), Options(limit=300001))
    assert values(plan)[0][2] == "300032"  # 586 pages of 512 pointers


def test_what_does_not_fit_into_free_memory_is_made_smaller_or_refused(tmp_path) -> None:
    """Alpine's 512 MiB available: half of it, less what 65000 entries have, over 256 + 16 bytes each."""
    one = host(tmp_path, "alpine")
    room = (65000 + 268435456 // (256 + 16)) // 1024 * 1024
    assert fitting(one, 4_000_000)[0] == room
    refusal = raise_max(one, Options(limit=4_000_000))
    assert not refusal.steps
    assert "do not fit" in refusal.refused
    assert raise_max(one, Options(limit=4_000_000, i_know=True)).steps
    assert cost_bytes(one, 131072, 131072) == (131072 - 65000) * 256 + 65536 * 8


def test_no_limit_is_lowered_by_raising_it(tmp_path) -> None:
    plan = raise_max(host(tmp_path, "debian-12"), Options(limit=1000))
    assert plan.refused.startswith("1000 is not above the 262144")


def test_a_cause_that_no_size_cures_is_told(tmp_path) -> None:
    plan = raise_max(host(tmp_path, "ubuntu-12.04"), Options(limit=2_000_000, cause="bridge-nf"))
    assert plan.steps
    assert "bridged" in plan.told[0]


def test_where_kube_proxy_runs_it_will_write_its_own(tmp_path) -> None:
    one = host(tmp_path, "debian-12", files={"proc/9/comm": "kube-proxy\n"})
    assert any("maxPerCore" in line for line in raise_max(one, NONE).told)


def test_without_tracking_there_is_nothing_to_raise(tmp_path) -> None:
    one = host(tmp_path, "alpine", files={"proc/sys/net/netfilter/nf_conntrack_max": None})
    assert "not loaded" in raise_max(one, NONE).refused


def test_buckets_alone(tmp_path) -> None:
    plan = raise_hashsize(host(tmp_path / "u", "ubuntu-12.04"), NONE)
    # one for four entries before 5.15: 1548576 / 4, in pages of 512
    assert values(plan) == [("/sys/module/nf_conntrack/parameters/hashsize", "65536", "387584")]
    enough = raise_hashsize(host(tmp_path / "d", "debian-12"), NONE)
    assert "are enough" in enough.refused


def test_expectations(tmp_path) -> None:
    plan = raise_expect_max(host(tmp_path / "d", "debian-12"), NONE)
    assert values(plan) == [("/proc/sys/net/netfilter/nf_conntrack_expect_max", "4096", "16384")]
    old = raise_expect_max(host(tmp_path / "r", "rhel-6"), NONE)
    assert "expect_hashsize" in old.refused


@pytest.mark.parametrize("tree", ["ubuntu-12.04", "rhel-6", "debian-12", "alpine", "el5"])
def test_a_plan_survives_a_journal(tmp_path, tree: str) -> None:
    plan = raise_max(host(tmp_path, tree), NONE)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=type(plan)) == plan


def test_no_limit_is_none_to_raise(tmp_path) -> None:
    one = host(tmp_path, "debian-12", files={"proc/sys/net/netfilter/nf_conntrack_max": "0\n"})
    assert "there is no limit" in raise_max(one, Options(limit=1 << 20)).refused
