"""Rules that come back at boot: files and units; the units are read by systemd-analyze, the files by nft."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.fixes.boot_trees import host, plan, written

from tablefull.fixes import persist, persist_rules
from tablefull.fixes.act import Command, Commanded

TABLE = "create table inet tf\ntable inet tf {\n\tchain c {\n\t\ttype filter hook input priority 0; policy accept;\n\t}\n}\n"
NFT = Commanded(
    "rules", do=(Command(("nft", "-f", "-"), TABLE),), undo=(Command(("nft", "delete", "table", "inet", "tf")),),
    done=Command(("nft", "list", "table", "inet", "tf")),
)  # fmt: skip
RESTORE = ("iptables-restore", "-w", "5", "--noflush")
PUT = "*raw\n:tf_pre - [0:0]\n-A tf_pre -p udp --dport 53 -j CT --notrack\n-I PREROUTING 1 -j tf_pre\nCOMMIT\n"
TAKE = "*raw\n-D PREROUTING -j tf_pre\n-F tf_pre\n-X tf_pre\nCOMMIT\n"
OLD = Commanded(
    "rules", do=(Command(RESTORE, PUT),), undo=(Command(RESTORE, TAKE),),
    done=Command(("iptables", "-t", "raw", "-n", "-L", "tf_pre")),
)  # fmt: skip
DIRECT = ("ipv4", "raw", "PREROUTING", "0", "-p", "udp", "-j", "NOTRACK")
FIREWALLD = Commanded(
    "rules",
    do=(Command(("firewall-cmd", "--direct", "--add-rule", *DIRECT)),),
    undo=(Command(("firewall-cmd", "--direct", "--remove-rule", *DIRECT)),),
    done=Command(("firewall-cmd", "--direct", "--query-rule", *DIRECT)),
)
UNIT = "/etc/systemd/system/tablefull-notrack.service"


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("debian-12", {UNIT, "/etc/systemd/system/multi-user.target.d/60-tablefull-notrack.conf"}),
        ("ubuntu-12.04", {"/etc/init/tablefull-notrack.conf"}),
        ("rhel-6", {"/etc/rc.d/rc3.d/S98tablefull-notrack"}),
        ("alpine", {"/etc/init.d/tablefull-notrack", "/etc/runlevels/default/tablefull-notrack"}),
    ],
)
@pytest.mark.parametrize("act", [NFT, OLD])
def test_what_starts_them(name: str, files: set[str], act: Commanded, tmp_path: Path) -> None:
    found = written(persist.steps(plan(act, fix="notrack"), host(name, tmp_path)))
    own = {path for path in found if not path.startswith("/etc/tablefull/")}
    assert own == files
    texts = set(found) - own
    assert texts == (
        {"/etc/tablefull/notrack.nft"}
        if act is NFT
        else {"/etc/tablefull/notrack-ipv4.rules", "/etc/tablefull/notrack-ipv4.undo"}
    )


def test_the_unit_stands_behind_those_who_flush_and_goes_with_them(tmp_path: Path) -> None:
    text = written(persist.steps(plan(OLD, fix="notrack"), host("debian-12", tmp_path)))[UNIT]
    assert "After=network-pre.target nftables.service netfilter-persistent.service" in text
    assert "ReloadPropagatedFrom=nftables.service" in text
    assert (
        'ExecStart=/bin/sh -c "exec /usr/sbin/iptables-restore -w 5 --noflush < /etc/tablefull/notrack-ipv4.rules"'
        in text
    )


def test_the_unit_is_started_where_systemd_runs(tmp_path: Path) -> None:
    here = host("debian-12", tmp_path, {"run/systemd/system/x": ""})
    last = persist.steps(plan(NFT, fix="notrack"), here)[0].acts[-1]
    assert isinstance(last, Commanded)
    assert [command.argv[1] for command in last.do] == ["daemon-reload", "start"]
    elsewhere = persist.steps(plan(NFT, fix="notrack"), host("debian-12", tmp_path / "installed"))[0].acts[-1]
    assert not isinstance(elsewhere, Commanded)


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    judge = shutil.which("systemd-analyze")
    if judge is None:
        pytest.skip("needs systemd-analyze (scripts/test-packages names its package)")
    for number, act in enumerate((NFT, OLD)):
        found = written(persist.steps(plan(act, fix="notrack"), host("debian-12", tmp_path / str(number))))
        unit = tmp_path / f"tablefull-notrack{number}.service"
        unit.write_text(found[UNIT])
        done = subprocess.run([judge, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
        wrong = [line for line in done.stderr.splitlines() if unit.name in line and "not executable" not in line]
        assert wrong == []


def test_firewalld_keeps_its_own(tmp_path: Path) -> None:
    steps = persist.steps(plan(FIREWALLD, fix="notrack"), host("rhel-9", tmp_path))
    act = steps[0].acts[0]
    assert isinstance(act, Commanded)
    assert act.do[0].argv == ("firewall-cmd", "--permanent", "--direct", "--add-rule", *DIRECT)
    assert act.done.argv[:4] == ("firewall-cmd", "--permanent", "--direct", "--query-rule")


def test_only_rules_are_rules() -> None:
    assert all(persist_rules.is_rule(act) for act in (NFT, OLD, FIREWALLD))
    stop = Command(("systemctl", "stop", "ufw.service"))
    assert not persist_rules.is_rule(Commanded("stop", do=(stop,), undo=(stop,), done=stop))
