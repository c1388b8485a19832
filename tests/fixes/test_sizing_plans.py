"""Larger tables: the number, its bound, and the spelling of each era."""

import re
import subprocess
from pathlib import Path

import pytest
from situations import host

from tablefull.fixes import sizing_plans


def test_a_known_limit_is_raised_by_two_to_four_times() -> None:
    for limit in (1024 * 64, 100_000, 262_144, 1_548_576):
        wish, _ = sizing_plans.target_max(host("new", max=limit, count=limit))
        assert wish is not None
        assert 2 * limit <= wish <= 4 * limit
        assert wish & (wish - 1) == 0


def test_the_number_stays_within_an_eighth_of_memory_and_says_so() -> None:
    wish, told = sizing_plans.target_max(host("debian-12", max=262_144, ram_bytes=1 << 30))
    assert wish is not None
    assert wish * 264 <= (1 << 30) // 8
    assert "1/8 of 1024 MiB" in told


def test_a_limit_that_memory_does_not_allow_is_not_raised() -> None:
    plan = sizing_plans.raise_max(host("debian-12", max=1_000_000, ram_bytes=256 << 20), ())
    assert "does not fit" in plan.title
    assert not any("sysctl -w" in line for line in plan.commands)


def test_buckets_go_with_it_one_each_from_5_15_and_a_quarter_before() -> None:
    assert (
        "sysctl -w net.netfilter.nf_conntrack_buckets=262144"
        in sizing_plans.raise_max(host("debian-12", max=65536), ()).commands
    )
    assert (
        "sysctl -w net.netfilter.nf_conntrack_buckets=65536"
        in sizing_plans.raise_max(host("debian-10", max=65536), ()).commands
    )


def test_hashsize_is_a_module_parameter_before_4_8() -> None:
    for name in ("el6", "ubuntu-12.04", "el7"):
        plan = sizing_plans.raise_max(host(name, max=65536), ())
        assert plan.commands[0] == "echo 65536 > /sys/module/nf_conntrack/parameters/hashsize"
        assert "sysctl -w net.netfilter.nf_conntrack_max=262144" in plan.commands
        assert any("options nf_conntrack hashsize=65536" in line for line in plan.persist)


def test_the_old_stack() -> None:
    plan = sizing_plans.raise_max(host("el5", max=65536), ())
    assert "sysctl -w net.ipv4.netfilter.ip_conntrack_max=262144" in plan.commands
    assert plan.commands[0].endswith("> /sys/module/ip_conntrack/parameters/hashsize")
    assert any("/etc/modprobe.conf" in line for line in plan.persist)


def test_undo_restores_what_was_seen_or_asks_to_note_it() -> None:
    assert "sysctl -w net.netfilter.nf_conntrack_max=65536" in sizing_plans.raise_max(host("new", max=65536), ()).undo
    assert any(
        line.startswith("# note the present value first: sysctl -n")
        for line in sizing_plans.raise_max(host("new"), ()).undo
    )


def test_cilium_has_its_own_map() -> None:
    plan = sizing_plans.raise_max(host("cilium", max=524288), ())
    assert plan.scope == "other"
    assert any("bpf-ct-global-tcp-max" in line for line in plan.commands)
    assert any("bpf.ctTcpMax" in line for line in plan.persist)
    assert not any("sysctl" in line for line in plan.commands)


def test_a_cause_that_fills_any_limit_is_named() -> None:
    assert "fills any limit" in sizing_plans.raise_max(host("new", max=65536, cause="syn-flood-or-ddos"), ()).why


def test_hashsize_says_the_mean_chain() -> None:
    plan = sizing_plans.raise_hashsize(host("new", max=1_048_576, count=1_000_000, buckets=16384), ())
    assert "1048576 buckets" in plan.why
    assert "122.1 in a bucket" in plan.why


def test_expectations() -> None:
    assert sizing_plans.raise_expect_max(host("new", expect_max=4096), ()).commands == (
        "sysctl -w net.netfilter.nf_conntrack_expect_max=16384",
    )
    assert "expect_hashsize" in sizing_plans.raise_expect_max(host("el5"), ()).commands[0]


def test_buckets_that_are_enough_are_left() -> None:
    plan = sizing_plans.raise_hashsize(host("new", max=65536, buckets=65536), ())
    assert "enough" in plan.title
    assert not any("sysctl -w" in line or "echo" in line for line in plan.commands)
    assert plan.undo[0].startswith("#")


@pytest.mark.parametrize("name", ["el5", "el6", "debian-12", "nixos", "builtin", "unknown"])
def test_unknown_buckets_are_never_made_fewer(name: str, tmp_path: Path) -> None:
    plan = sizing_plans.raise_hashsize(host(name, max=65536), ())
    line = plan.commands[0]
    assert "-ge " in line
    assert not any(re.search(r"(hashsize|buckets) ?= ?\d", kept) for kept in plan.persist), plan.persist
    for present, grows in (("16", True), ("99999999", False)):
        file, typed = tmp_path / "hashsize", tmp_path / "typed"
        file.write_text(present)
        typed.unlink(missing_ok=True)
        first, _, rest = line.partition(" || ")
        first = re.sub(r"/sys/\S+hashsize", str(file), first)
        subprocess.run(["sh", "-c", f"{first} || echo more > {typed}"], check=True)
        assert typed.exists() is grows, rest
