"""What a plan needs to be allowed, by its acts; what a process has, by what the kernel shows of it."""

from pathlib import Path

from tablefull.fixes import rights
from tablefull.fixes.act import Act, Command, Commanded, Flush, HostPlan, OwnFile, SetValue, Step
from tablefull.live.proc import Proc


def plan(*acts: Act, **fields: object) -> HostPlan:
    step = Step(title="t", before="b", after="a", scope="host", acts=acts, risk="r", undo="u")
    return HostPlan(fix="f", host="h", title="t", steps=(step,), **fields)  # type: ignore[arg-type]


def names(found: tuple[rights.Need, ...]) -> set[str]:
    return {one.what for one in found}


def test_each_kind_of_act_names_its_own() -> None:
    assert names(rights.needed(plan(SetValue("/proc/sys/net/netfilter/x", "1", "2")))) == {"root", "CAP_NET_ADMIN"}
    assert names(rights.needed(plan(SetValue("/sys/module/nf_conntrack/parameters/hashsize", "1", "2")))) == {"root"}
    assert names(rights.needed(plan(OwnFile("/etc/x", "")))) == {"root"}
    assert names(rights.needed(plan(Flush("proto=udp"), netns="web"))) == {"root", "CAP_NET_ADMIN", "CAP_SYS_ADMIN"}
    modprobe = Commanded("unload", (Command(("modprobe", "-r", "x")),), (), Command(("true",)))
    assert names(rights.needed(plan(modprobe))) == {"root", "CAP_SYS_MODULE"}
    assert names(rights.needed(plan(needs=("CAP_NET_RAW",)))) == {"root", "CAP_NET_RAW"}


def test_what_is_lacking_is_told_with_what_it_is_for(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    status = tmp_path / "proc/self/status"
    needs = rights.needed(plan(SetValue("/proc/sys/net/netfilter/x", "1", "2"), netns="web"))
    status.write_text("Name:\tx\nCapEff:\t000001ffffffffff\n")
    assert rights.lacking(needs, Proc(tmp_path), 0) == ()
    status.write_text(f"CapEff:\t{1 << 12:016x}\n")  # CAP_NET_ADMIN alone
    assert names(rights.lacking(needs, Proc(tmp_path), 0)) == {"CAP_SYS_ADMIN"}
    status.write_text("CapEff:\t0000000000000000\n")
    lacks = rights.lacking(needs, Proc(tmp_path), 1000)
    assert names(lacks) == {"root", "CAP_NET_ADMIN", "CAP_SYS_ADMIN"}
    assert "CAP_SYS_ADMIN (for entering the network namespace web)" in rights.told(lacks)


def test_where_nothing_is_shown_the_kernel_will_say(tmp_path: Path) -> None:
    assert rights.effective(Proc(tmp_path)) is None
    assert rights.lacking((rights.Need("CAP_NET_ADMIN", "x"),), Proc(tmp_path), 0) == ()
