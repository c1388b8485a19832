"""The files that bring rules back at boot, put in twice and taken out in a namespace, by the lines of the unit."""

import re
import shlex
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.fixes.boot_trees import host, plan, written

from tablefull.fixes import persist
from tablefull.fixes.act import Command, Commanded

pytestmark = pytest.mark.realkernel

TABLE = """create table inet tablefull_x
table inet tablefull_x {
\tchain pre {
\t\ttype filter hook prerouting priority -300; policy accept;
\t\tudp dport 53 counter notrack
\t}
}
"""
PUT = "*raw\n:tf_pre - [0:0]\n-A tf_pre -p udp --dport 53 -j CT --notrack\n-I PREROUTING 1 -j tf_pre\nCOMMIT\n"
TAKE = "*raw\n-D PREROUTING -j tf_pre\n-F tf_pre\n-X tf_pre\nCOMMIT\n"


def old(name: str) -> Commanded:
    words = (name, "-w", "5", "--noflush")
    return Commanded("rules", do=(Command(words, PUT),), undo=(Command(words, TAKE),), done=Command(("true",)))


NFT = Commanded(
    "rules",
    do=(Command(("nft", "-f", "-"), TABLE),),
    undo=(Command(("nft", "delete", "table", "inet", "tablefull_x")),),
    done=Command(("true",)),
)


@pytest.fixture
def typing(program: Callable[[str], str]) -> Iterator[Callable[..., str]]:
    """Runs words in a fresh namespace."""
    ip, name = program("ip"), f"pr{uuid.uuid4().hex[:8]}"
    subprocess.run([ip, "netns", "add", name], check=True)

    def run(*words: str, check: bool = True) -> str:
        done = subprocess.run([ip, "netns", "exec", name, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, f"{words}\n{done.stderr}"
        return done.stdout

    try:
        yield run
    finally:
        subprocess.run([ip, "netns", "delete", name], check=True)


def lines_of(unit: str, kind: str) -> list[tuple[list[str], bool]]:
    """The words of a kind of line, and whether a failure is passed over."""
    found = re.findall(rf"^{kind}=(-?)(.*)$", unit, re.MULTILINE)
    return [(shlex.split(text), not minus) for minus, text in found]


@pytest.mark.parametrize(
    ("act", "listing", "mark"),
    [
        (NFT, ("nft", "list", "ruleset"), "chain pre"),
        (old("iptables-legacy-restore"), ("iptables-legacy-save", "-t", "raw"), "-A PREROUTING -j tf_pre"),
        (old("ip6tables-legacy-restore"), ("ip6tables-legacy-save", "-t", "raw"), "-A PREROUTING -j tf_pre"),
        (old("iptables-nft-restore"), ("iptables-nft-save", "-t", "raw"), "-A PREROUTING -j tf_pre"),
    ],
    ids=["nft", "legacy", "legacy6", "translated"],
)
def test_started_reloaded_and_stopped(
    act: Commanded, listing: tuple[str, ...], mark: str, typing: Callable[..., str], program: Callable[[str], str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    whole = program(act.do[0].argv[0])
    program(listing[0])
    monkeypatch.setattr(persist.persist_rules, "FOLDER", str(tmp_path / "own"))
    monkeypatch.setattr(persist.persist_rules, "_RESTORE", (*persist.persist_rules._RESTORE, "iptables-nft-restore"))
    monkeypatch.setattr(persist.persist_rules, "_whole", lambda _host, _name: whole)
    found = written(persist.steps(plan(act, fix="notrack"), host("debian-12", tmp_path)))
    for path, text in found.items():
        if path.startswith(str(tmp_path)):
            Path(path).parent.mkdir(exist_ok=True)
            Path(path).write_text(text)
    unit = next(text for path, text in found.items() if path.endswith(".service"))

    def do(kind: str) -> None:
        lines = lines_of(unit, kind)
        assert lines
        for words, check in lines:
            typing(*words, check=check)

    for kind in ("ExecStart", "ExecReload", "ExecStart"):
        do(kind)
        assert typing(*listing).count(mark) == 1
    do("ExecStop")
    assert typing(*listing).count(mark) == 0
    do("ExecStart")
    assert typing(*listing).count(mark) == 1
