"""Every fix that a namespace can take: planned from the live host, applied, verified, undone, and nothing is left.

"Nothing" is asked of other programs: every setting (`sysctl -a`), every rule (`nft`, `iptables-save`), byte by byte.
"""

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from tests.realkernel import filled, host_limits
from tests.realkernel.fix_space import FixSpace, fix_space

from tablefull.fixes.act import HostPlan
from tablefull.live.netlink import Netlink

pytestmark = pytest.mark.realkernel

SHORT = ("--confirm-within", "30s", "--verify-for", "200ms")
SYN_RECV, UDP_NEW = filled.Kind(1.0, 6, 443, 2, 60), filled.Kind(1.0, 17, 53, 0, 30, 0)


@pytest.fixture
def space(tmp_path: Path, program: Callable[[str], str]) -> Iterator[FixSpace]:
    for name in ("nft", "iptables", "conntrack", "sysctl"):
        program(name)
    with host_limits.shared(), fix_space(tmp_path) as made:
        made.inside("ip", "link", "set", "lo", "up")
        yield made


def state(space: FixSpace) -> dict[str, str]:
    """All settings, all rules, by the programs that print them; the tables of iptables that exist at all."""
    rules = space.inside("nft", "-s", "list", "ruleset")
    legacy = ""
    for family in ("ip", "ip6"):
        names = space.inside("cat", f"/proc/net/{family}_tables_names").split()
        for name in names:
            saved = space.inside(f"{family}tables-legacy-save", "-t", name)
            legacy += "\n".join(line for line in saved.splitlines() if not line.startswith("#"))
    settings = space.inside("sysctl", "-a")
    steady = "\n".join(line for line in settings.splitlines() if not any(word in line for word in MOVING))
    return {"settings": steady, "rules": rules, "legacy": legacy}


# What moves whether or not anybody changes anything.
MOVING = (
    "nf_conntrack_count", "kernel.random.", "fs.dentry-state", "fs.file-nr", "fs.inode-", "kernel.ns_last_pid",
    "kernel.pty.nr", "net.netfilter.nf_conntrack_expect", "vm.", "fs.aio-nr", "kernel.perf", "fs.quota", "keys",
)  # fmt: skip

FIXES = [
    pytest.param("shorten-timeouts", ("--timeout", "tcp_timeout_established=1h", "--timeout", "udp_timeout=9s")),
    pytest.param("shorten-timeouts", ()),
    pytest.param("disable-tcp-loose", ()),
    pytest.param("disable-bridge-nf", ()),
    pytest.param("notrack", ("--port", "udp/53", "--port", "tcp/80")),
    pytest.param("notrack", ("--port", "lo")),
    pytest.param("rate-limit-or-block-source", ("--source", "192.0.2.7", "--source", "2001:db8::/64")),
    pytest.param("rate-limit-or-block-source", ("--port", "tcp/80", "--rate", "50")),
    pytest.param("synproxy-or-syncookies", ("--port", "tcp/80", "--mss", "1460", "--wscale", "7")),
    pytest.param("drop-invalid-or-be-liberal", ("--invalid", "drop")),
    pytest.param("drop-invalid-or-be-liberal", ("--invalid", "liberal")),
]


def planned(space: FixSpace, fix: str, *words: str) -> HostPlan:
    done = space.fix(fix, "--netns", space.name, "--format", "json", *words)
    assert done.returncode in (0, 4), done.stderr
    (found,) = msgspec.convert(msgspec.json.decode(done.stdout)["plans"], type=list[HostPlan])
    return found


@pytest.mark.parametrize(("fix", "words"), FIXES)
def test_applied_verified_undone_and_nothing_is_left(space: FixSpace, fix: str, words: tuple[str, ...]) -> None:
    plan = planned(space, fix, *words)
    if plan.refused:
        pytest.fail(f"{fix} is not offered: {plan.refused}")
    before = state(space)
    done = space.fix(fix, "--netns", space.name, *words, "--apply", *SHORT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every value reads as planned" in done.stdout
    assert state(space) != before
    again = planned(space, fix, *words)
    assert again.refused or not any(step.when == "now" for step in again.steps) or again != plan
    done = space.fix("--undo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert state(space) == before
    journal = space.over()
    assert journal is not None
    assert journal.state == "undone"
    assert not [one for one in journal.acts if one.state == "left"]


@pytest.mark.parametrize(("fix", "words"), FIXES[:1] + FIXES[4:5])
def test_confirmed_it_stays_and_is_undone_later(space: FixSpace, fix: str, words: tuple[str, ...]) -> None:
    before = state(space)
    assert space.fix(fix, "--netns", space.name, *words, "--apply", *SHORT).returncode == 0
    applied = state(space)
    assert space.fix("--confirm").returncode == 0
    assert space.over() is not None
    assert state(space) == applied != before
    assert space.fix("--undo", "1").returncode == 0
    assert state(space) == before


def test_entries_that_are_meant_go_and_the_others_stay(space: FixSpace) -> None:
    path = f"/run/netns/{space.name}"
    with Netlink(namespace=path) as link:
        filled.fill(link, 300, (SYN_RECV,), seed=3)
    with Netlink(namespace=path) as link:
        filled.fill(link, 350, (UDP_NEW,), seed=4)
    listed = space.inside("conntrack", "-L")
    tcp, udp = listed.count("tcp "), listed.count("udp ")
    assert tcp == 300
    assert udp == 350
    done = space.fix("flush-entries", "--netns", space.name, "--where", "proto=udp and unreplied", "--apply", *SHORT)
    assert done.returncode == 0, done.stderr
    assert "350 of 350 chosen entries deleted" in done.stderr
    listed = space.inside("conntrack", "-L")
    assert (listed.count("tcp "), listed.count("udp ")) == (300, 0)
    done = space.fix("--undo")
    assert done.returncode == 0
    assert "do not come back" in done.stdout


def test_a_value_that_moved_between_plan_and_act_is_refused(space: FixSpace) -> None:
    plan = planned(space, "shorten-timeouts", "--timeout", "udp_timeout=9s", "--timeout", "tcp_timeout_close_wait=20s")
    assert len(plan.steps) == 2
    name = plan.steps[1].acts[0].path.rpartition("/")[2]  # type: ignore[union-attr]
    space.inside("sysctl", "-w", f"net.netfilter.{name}=77")
    before = state(space)
    done = space.apply(plan, *SHORT)
    assert done.returncode == 4
    assert "77" in done.stdout + done.stderr
    assert state(space) == before


def test_what_somebody_else_changed_since_is_not_overwritten(space: FixSpace) -> None:
    words = ("--timeout", "udp_timeout=9s", "--timeout", "tcp_timeout_close_wait=20s")
    assert space.fix("shorten-timeouts", "--netns", space.name, *words, "--apply", *SHORT).returncode == 0
    space.inside("sysctl", "-w", "net.netfilter.nf_conntrack_udp_timeout=33")
    done = space.fix("--undo")
    assert done.returncode == 4
    assert "33" in done.stdout
    assert "somebody else" in done.stdout
    assert space.inside("sysctl", "-n", "net.netfilter.nf_conntrack_udp_timeout").strip() == "33"
    assert space.inside("sysctl", "-n", "net.netfilter.nf_conntrack_tcp_timeout_close_wait").strip() == "60"


def test_one_at_a_time_and_who_it_is(space: FixSpace) -> None:
    assert space.fix("disable-tcp-loose", "--netns", space.name, "--apply", *SHORT).returncode == 0
    done = space.fix("disable-bridge-nf", "--netns", space.name, "--apply", *SHORT)
    assert done.returncode == 4
    assert "one fix at a time: fix 1 (disable-tcp-loose) waits until" in done.stderr
    assert space.fix("--undo").returncode == 0


def test_one_at_a_time_wherever_the_journals_lie(space: FixSpace, tmp_path: Path) -> None:
    elsewhere = ("--state", str(tmp_path / "another state"))
    aim = ("disable-tcp-loose", "--netns", space.name, "--apply", *SHORT)
    first = space.fix(*aim, *elsewhere)
    assert first.returncode == 0, first.stderr
    assert f"sudo tablefull fix --confirm 1 --state '{tmp_path}/another state'" in " ".join(first.stdout.split())
    before = state(space)
    second = space.fix("shorten-timeouts", "--netns", space.name, "--timeout", "udp_timeout=9s", "--apply", *SHORT)
    assert second.returncode == 4
    assert "nothing was changed: one fix at a time: fix 1 (disable-tcp-loose) waits until" in second.stderr
    assert str(tmp_path / "another state") in second.stderr
    assert state(space) == before
    assert "Nothing waits" in space.fix("--status").stdout
    assert space.fix("--undo", *elsewhere).returncode == 0


def test_a_relative_place_for_the_journals(space: FixSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever undoes stands in the root folder, and whoever reads the hint perhaps in another."""
    monkeypatch.chdir(tmp_path)
    before = state(space)
    aim = ("disable-tcp-loose", "--netns", space.name, "--apply", "--state", "mine", *SHORT)
    done = space.fix(*aim)
    assert done.returncode == 0, done.stderr
    assert f"sudo tablefull fix --confirm 1 --state {tmp_path}/mine" in " ".join(done.stdout.split())
    monkeypatch.chdir("/")
    assert space.fix("--undo", "--state", str(tmp_path / "mine")).returncode == 0
    assert state(space) == before
    assert [one.name for one in (tmp_path / "mine").glob("*.json")] == ["1.json"]


def test_a_namespace_that_dies_before_it_is_confirmed(tmp_path: Path, program: Callable[[str], str]) -> None:
    program("nft")
    with fix_space(tmp_path) as space:
        assert space.fix("disable-tcp-loose", "--netns", space.name, "--apply", *SHORT).returncode == 0
        subprocess.run(["ip", "netns", "del", space.name], check=True)
        done = space.fix("--confirm")
        assert done.returncode == 4
        assert f"the network namespace {space.name} is gone, and its settings with it" in done.stderr
        over = space.over()
        assert over is not None
        assert over.state == "undone"
        subprocess.run(["ip", "netns", "add", space.name], check=True)


def test_a_script_that_was_handed_over_does_the_same_and_checks_first(space: FixSpace, tmp_path: Path) -> None:
    words = ("shorten-timeouts", "--netns", space.name, "--timeout", "udp_timeout=9s")
    script = space.fix(*words, "--format", "sh").stdout
    before = state(space)
    for shell in ("dash", "bash"):
        done = subprocess.run([shell], input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert space.inside("sysctl", "-n", "net.netfilter.nf_conntrack_udp_timeout").strip() == "9"
        again = subprocess.run([shell], input=script, capture_output=True, text=True, check=False)
        assert again.returncode == 0
        assert "already" in again.stderr
        space.inside("sysctl", "-w", "net.netfilter.nf_conntrack_udp_timeout=44")
        stale = subprocess.run([shell], input=script, capture_output=True, text=True, check=False)
        assert stale.returncode == 4
        assert "reads 44" in stale.stderr
        undo = [line[2:] for line in script.splitlines() if line.startswith("# ") and "udp_timeout" in line][-1]
        subprocess.run([shell, "-c", undo], check=True)
    assert state(space) == before


def test_the_namespace_that_is_gone_takes_its_settings_along(tmp_path: Path, program: Callable[[str], str]) -> None:
    program("nft")
    with fix_space(tmp_path) as space:
        words = ("--timeout", "udp_timeout=9s")
        assert space.fix("shorten-timeouts", "--netns", space.name, *words, "--apply", *SHORT).returncode == 0
        assert space.fix("--confirm").returncode == 0
        subprocess.run(["ip", "netns", "del", space.name], check=True)
        done = space.fix("--undo", "1")
        assert done.returncode == 0, done.stderr
        assert "is gone" in done.stdout
        subprocess.run(["ip", "netns", "add", space.name], check=True)


@pytest.mark.skipif(not os.access(host_limits.MAX, os.W_OK), reason="needs the first network namespace")
def test_the_hosts_limit_goes_up_and_comes_back(tmp_path: Path, program: Callable[[str], str]) -> None:
    program("sysctl")
    with host_limits.limits(), fix_space(tmp_path) as space:
        before = {path: path.read_text() for path in (host_limits.MAX, host_limits.BUCKETS)}
        target = int(before[host_limits.MAX]) + 4096
        done = space.fix("raise-max", "--max", str(target), "--apply", *SHORT)
        assert done.returncode == 0, done.stdout + done.stderr
        assert int(host_limits.MAX.read_text()) == target
        assert space.fix("--undo").returncode == 0
        assert {path: path.read_text() for path in before} == before
        # Not confirmed, and nobody types anything.
        done = space.fix(
            "raise-max", "--max", str(target), "--apply", "--confirm-within", "4s", "--verify-for", "100ms"
        )
        assert done.returncode == 0, done.stderr
        journal = space.over()
        assert journal is not None
        assert journal.state == "undone"
        assert {path: path.read_text() for path in before} == before


@pytest.mark.skipif(not os.access(host_limits.MAX, os.W_OK), reason="needs the first network namespace")
def test_a_full_namespace_is_told_whose_limit_it_is(tmp_path: Path) -> None:
    """And the same of its neighbour, which is as near the limit and refused nothing."""
    with host_limits.limits(600), fix_space(tmp_path) as space, fix_space(tmp_path) as other:
        with Netlink(namespace=f"/run/netns/{space.name}") as link:
            filled.fill(link, 598, (SYN_RECV,), seed=5)
        done = space.fix("--netns", space.name)
        assert done.returncode == 0, done.stderr
        said = " ".join(done.stdout.split())
        assert said.startswith("Yes: the connection-tracking table is full")
        assert "Its limit is the whole host's, and raised there: sudo tablefull fix raise-max." in said
        assert "plan it there, without --netns" in said
        done = space.fix("--netns", other.name)
        assert "No entry table is full in the network namespace " + other.name in " ".join(done.stderr.split())


def test_who_may_not_is_told_what_is_lacking(space: FixSpace) -> None:
    before = state(space)
    bare = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--"]
    ways = {
        "CAP_SYS_ADMIN": [*bare, *space.words("disable-tcp-loose", "--netns", space.name, "--apply", *SHORT)],
        "CAP_NET_ADMIN": [
            "ip",
            "netns",
            "exec",
            space.name,
            *bare,
            *space.words("disable-tcp-loose", "--apply", *SHORT),
        ],
    }
    for capability, words in ways.items():
        done = subprocess.run(
            words, env=space.environment(), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 4, done.stdout
        assert capability in done.stderr
        assert f"run it as root: sudo tablefull fix {shlex.join(words[words.index('fix') + 1 :])}" in done.stderr
    assert state(space) == before
    assert not space.state.exists()
