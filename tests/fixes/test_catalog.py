"""Every fix on every host: complete, one line a command, valid for a shell, and in words that the host understands."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from situations import CAUSES, FULL, HOSTS, host

from tablefull.errors import UsageError
from tablefull.fixes import catalog
from tablefull.fixes.plan import Plan

TAXONOMY = (
    "raise-max raise-hashsize raise-expect-max shorten-timeouts notrack unload-modules disable-firewall disable-bridge-nf "
    "rate-limit-or-block-source synproxy-or-syncookies fix-dns-path expand-snat-range persist-config upgrade-kernel "
    "upgrade-component flush-entries keepalive-or-pooling configure-kube-proxy scale-out move-off-nat fix-application "
    "drop-invalid-or-be-liberal disable-tcp-loose attach-helper-explicitly open-security-group-untracked none"
).split()


def every_plan(name: str) -> list[Plan]:
    """All plans for one host, over the causes, bare and with everything known."""
    return [
        catalog.make(fix, host(name, cause=cause, **more), ("table-undersized",))
        for fix in TAXONOMY
        for cause in CAUSES
        for more in ({}, {**FULL, "ports": ("udp/53", "tcp/80", "gre"), "sources": ("192.0.2.7", "2001:db8::1")})
    ]


def lines(plan: Plan) -> list[str]:
    """Everything of a plan that may be typed."""
    return [*plan.commands, *plan.undo, *plan.persist, *plan.verify]


def typed(plan: Plan) -> str:
    """The lines that are no comments, as one text."""
    return "\n".join(line for line in lines(plan) if not line.startswith("#"))


def test_the_catalog_is_the_taxonomy() -> None:
    assert list(catalog.MAKERS) == TAXONOMY
    assert set(catalog.FIXES) == set(TAXONOMY)


def test_an_unknown_id_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no fix is called"):
        catalog.make("reboot-it", host("unknown"), ())


@pytest.mark.parametrize("name", HOSTS)
def test_every_plan_is_complete_and_each_command_one_line(name: str) -> None:
    for plan in every_plan(name):
        assert plan.commands, plan.id
        assert plan.undo, plan.id
        assert plan.persist, plan.id
        assert plan.verify, plan.id
        assert len(plan.risk) > 20, plan.id
        assert plan.why, plan.id
        assert plan.answers == ("table-undersized",)
        for line in lines(plan):
            assert "\n" not in line, (plan.id, line)
            assert line == line.strip(), (plan.id, line)
            assert not re.search(r"\bNone\b|\{\w*\}|\bTrue\b", line.replace("ss -s", "")) or "awk" in line, (
                plan.id,
                line,
            )


@pytest.mark.parametrize("name", HOSTS)
def test_every_command_is_a_shell_command(name: str, tmp_path: Path) -> None:
    every = sorted({line for plan in every_plan(name) for line in lines(plan)})
    script = tmp_path / "all.sh"
    script.write_text("\n".join(every) + "\n")
    done = subprocess.run(["sh", "-n", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line in every:
        if not line.startswith("#"):
            shlex.split(line)


@pytest.mark.parametrize("name", ["el5", "el6", "ubuntu-12.04", "nft-on-3.2", "openvz"])
def test_no_nft_where_the_kernel_or_the_tools_are_older(name: str) -> None:
    for plan in every_plan(name):
        assert not re.search(r"\bnft (add|list|delete|flush|-f)\b", typed(plan)), (plan.id, typed(plan))


@pytest.mark.parametrize("name", ["el5", "el6", "ubuntu-12.04", "openwrt", "openwrt-old", "alpine"])
def test_no_systemctl_where_systemd_does_not_run(name: str) -> None:
    for plan in every_plan(name):
        assert "systemctl" not in "\n".join(lines(plan)), (plan.id, lines(plan))
        assert "modules-load.d" not in typed(plan).replace("grep", ""), plan.id


@pytest.mark.parametrize("name", ["el5"])
def test_the_old_stack_has_its_own_names(name: str) -> None:
    for plan in every_plan(name):
        assert "net.netfilter." not in typed(plan), (plan.id, typed(plan))


@pytest.mark.parametrize("name", HOSTS)
def test_no_command_lists_the_nat_table_where_that_starts_tracking(name: str) -> None:
    """Only the fix that is about NAT itself, where the table is in use already, may name it."""
    if name not in ("el5", "el6", "ubuntu-12.04", "el7"):
        return
    for plan in every_plan(name):
        if plan.id != "expand-snat-range":
            assert not re.search(r"iptables -t nat -[LS]", typed(plan)), plan.id


@pytest.mark.parametrize(
    "hostile", ["192.0.2.1; reboot", "$(reboot)", "`id`", "-j ACCEPT", "a" * 200, "10.0.0.1/99", "fe80::1%eth0"]
)
def test_no_text_of_the_evidence_reaches_a_command(hostile: str) -> None:
    for fix in TAXONOMY:
        plan = catalog.make(
            fix,
            host(
                "new",
                sources=(hostile,),
                ports=(hostile, f"udp/{hostile}", "tcp/99999"),
                component=hostile,
                helper=hostile,
                look_alike=hostile,
                orchestrator=hostile,
                cloud=hostile,
            ),
            (),
        )
        assert hostile not in "\n".join(lines(plan)), fix


def test_in_a_container_the_host_is_the_place() -> None:
    plan = catalog.make("raise-max", host("kind"), ())
    assert plan.commands[0].startswith("# type this on the machine that runs the container")


def test_the_basis_follows_the_kernel() -> None:
    assert catalog.make("raise-max", host("unknown"), ()).basis == "unknown"
    assert catalog.make("raise-max", host("el6"), ()).basis == "vendor"
    assert catalog.make("raise-max", host("new"), ()).basis == "version"
