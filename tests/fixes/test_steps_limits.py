import pytest
from live_trees import HOSTILE, host

from tablefull.errors import UsageError
from tablefull.fixes.act import Commanded, SetValue
from tablefull.fixes.live_host import Options
from tablefull.fixes.steps_limits import drop_invalid_or_be_liberal, rate_limit, sources_of, values_step


def texts(plan) -> list[str]:
    return [act.do[0].stdin for step in plan.steps for act in step.acts if isinstance(act, Commanded)]


def test_sources_are_addresses_and_never_everybody() -> None:
    assert sources_of(Options(sources=("192.0.2.7", "2001:db8::/32"))) == (
        ("192.0.2.7", False),
        ("2001:db8::/32", True),
    )
    for text in (HOSTILE, "0.0.0.0/0", "::/0", "192.0.2.7; reboot", "fe80::1%eth0"):
        with pytest.raises(UsageError):
            sources_of(Options(sources=(text,)))


def test_a_source_is_dropped_in_its_family_alone(tmp_path) -> None:
    plan = rate_limit(host(tmp_path, "ubuntu-12.04"), Options(sources=("192.0.2.7", "2001:db8::1")))
    four, six = texts(plan)
    assert "-A tablefull_block_pre -s 192.0.2.7 -j DROP\n" in four
    assert "2001" not in four
    assert "-A tablefull_block_pre -s 2001:db8::1 -j DROP\n" in six


def test_an_open_session_is_not_cut(tmp_path) -> None:
    rows = "head\n 0: 0100000A:0016 4D01090A:D431 01 0:0\n"
    one = host(tmp_path, "debian-12", files={"proc/net/tcp": rows})
    assert "10.9.1.77 has an open session" in rate_limit(one, Options(sources=("10.9.0.0/16",))).refused
    assert rate_limit(one, Options(sources=("10.9.0.0/16",), i_know=True)).steps
    assert rate_limit(one, Options(sources=("10.8.0.0/16",))).steps


def test_rates_by_address(tmp_path) -> None:
    options = Options(ports=("tcp/80",), rate_per_s=20, burst=40)
    (text,) = texts(rate_limit(host(tmp_path / "d", "debian-12"), options))
    assert (
        "tcp dport 80 tcp flags & (syn|ack) == syn meter newtcp_ip { ip saddr limit rate over 20/second burst 40 packets }"
        " counter drop"
    ) in text
    old = texts(rate_limit(host(tmp_path / "r", "rhel-6"), options))[0]
    assert (
        "-A tablefull_block_pre -p tcp --dport 80 --syn -m hashlimit --hashlimit-above 20/sec --hashlimit-burst 40 "
        "--hashlimit-mode srcip --hashlimit-name newtcp -j DROP"
    ) in old
    for wrong in (Options(rate_per_s=-1), Options(rate_per_s=10**9), Options(burst=-5)):
        with pytest.raises(UsageError):
            rate_limit(host(tmp_path / "w", "debian-12"), wrong)


def test_invalid_is_dropped_where_it_is_forwarded_else_let_pass(tmp_path) -> None:
    (four,) = texts(drop_invalid_or_be_liberal(host(tmp_path / "a", "alpine"), Options()))
    assert "-A tablefull_invalid_fwd -m conntrack --ctstate INVALID -j DROP" in four
    plan = drop_invalid_or_be_liberal(host(tmp_path / "d", "debian-12"), Options())
    assert plan.steps[0].acts == (SetValue("/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal", "0", "1"),)
    with pytest.raises(UsageError):
        drop_invalid_or_be_liberal(host(tmp_path / "x", "debian-12"), Options(invalid=HOSTILE))


def test_values_that_belong_together() -> None:
    step = values_step("t", (SetValue("/proc/sys/net/a", "0", "1"),), before="b", after="a", risk="r")
    assert step.undo == "a 0 again"
    assert step.verify[0].argv == ("cat", "/proc/sys/net/a")


def test_what_a_limit_does_in_a_flood_of_forged_addresses(tmp_path) -> None:
    asked = Options(ports=("tcp/80",))
    assert "not limited" in rate_limit(host(tmp_path / "d", "debian-12"), asked).told[0]
    assert any("dropped" in line for line in rate_limit(host(tmp_path / "r", "rhel-6"), asked).told)
    assert not any(
        "forged" in line for line in rate_limit(host(tmp_path / "b", "rhel-6"), Options(sources=("192.0.2.7",))).told
    )
