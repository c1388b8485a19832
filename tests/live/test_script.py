import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tablefull.facts.origin import Hole
from tablefull.facts.ruleset import Bridge, NoBridgePorts
from tablefull.facts.settings import Setting
from tablefull.live import script
from tablefull.parsers.prompt import prompt
from tablefull.parsers.reader import read_text

SHELLS = (("dash",), ("busybox", "ash"), ("bash", "--posix"))
PROMISED_S = 30
REMEDY = {"it needs root": "run the script as root"}


@pytest.fixture(params=SHELLS, ids=" ".join)
def shell(request: pytest.FixtureRequest, program: Callable[[str], str]) -> list[str]:
    name, *rest = request.param
    return [program(name), *rest]


def output(shell: list[str], **more: str) -> str:
    """The script through standard input, as ``ssh host sh -s`` runs it."""
    done = subprocess.run(
        [*shell, "-s"], input=script.text(), capture_output=True, text=True, timeout=PROMISED_S, check=False, **more
    )  # type: ignore[call-overload]
    assert done.returncode == 0
    assert done.stderr == ""
    return str(done.stdout)


def test_every_shell_prints_facts_that_the_reader_reads(shell: list[str]) -> None:
    text = output(shell)
    first, second = text.splitlines()[:2]
    name = Path("/proc/sys/kernel/hostname").read_text().strip()
    assert first == f"=== {name} ==="
    assert re.match(rf"\w+@{re.escape(name)}:~[#$] uname -a", second)
    host = read_text(text).hosts[0]
    assert host.name == name
    if Path("/proc/sys/net/netfilter/nf_conntrack_max").exists():
        shown = {fact.name: fact.number for fact in host.of(Setting) if fact.standing == "shown"}
        assert shown["nf_conntrack_max"] == int(Path("/proc/sys/net/netfilter/nf_conntrack_max").read_text())


@pytest.mark.realkernel
def test_bridge_ports_and_that_there_are_none(shell: list[str], program: Callable[[str], str]) -> None:
    inside = [program("unshare"), "-n", "sh", "-c"]
    none = read_text(output([*inside, 'exec "$@"', "sh", *shell])).hosts[0]
    assert any(none.of(NoBridgePorts))
    made = "ip link add br9 type bridge && ip link add d9 type veth peer name e9 && ip link set d9 master br9"
    some = read_text(output([*inside, f'{made} && exec "$@"', "sh", *shell])).hosts[0]
    assert not any(some.of(NoBridgePorts))
    assert [(one.name, one.interfaces) for one in some.of(Bridge)] == [("br9", ("d9",))]


def test_nothing_but_its_output_is_written(shell: list[str], tmp_path: Path) -> None:
    output(
        shell,
        cwd=str(tmp_path),
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
    )  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_it_says_what_it_left_out(shell: list[str], program: Callable[[str], str]) -> None:
    """As nobody: what needs root is named, and nothing fails."""
    words = " ".join(shell)
    runner = [program("setpriv"), "--reuid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", *shell]
    done = subprocess.run(
        [*runner, "-s"], input=script.text(), capture_output=True, text=True, timeout=PROMISED_S, check=False
    )
    if "ermission denied" in done.stderr or "not permitted" in done.stderr:
        pytest.skip(f"{words} cannot be run as another user here: {done.stderr.strip()}")
    assert done.returncode == 0
    assert "# not run: nft list ruleset: it needs root" in done.stdout
    lines, holes = script.without_notes(done.stdout.splitlines())
    assert "nft list ruleset" in {hole.what for hole in holes}
    assert not any("not run" in line for line in lines)
    # Also without that, nobody's words are seen in it.
    for host in read_text(done.stdout).hosts:
        assert [origin.text for origin in host.prose if "===" not in origin.text] == []


def test_every_note_reads_as_a_typed_comment() -> None:
    notes = re.findall(r"skip (\S+|'[^']*'|\"[^\"]*\") '([^']*)'", script.text())
    assert len(notes) > 5
    for what, why in [*notes, ("$1", "it needs root")]:
        line = f"user@web1:~$ # not run: {what.strip(chr(34) + chr(39))}: {why}"
        assert prompt(line) is not None, line
        assert script.without_notes([line]) == ([""], [Hole(what.strip("\"'"), why, REMEDY.get(why, ""))])


@pytest.mark.parametrize("where", [">/dev/full", ">&-"])
def test_it_stops_where_nobody_takes_its_output(shell: list[str], where: str, tmp_path: Path) -> None:
    file = tmp_path / "collect.sh"
    file.write_text(script.text())
    done = subprocess.run(
        ["sh", "-c", f"{' '.join(shell)} {file} {where}"],
        capture_output=True,
        text=True,
        timeout=PROMISED_S,
        check=False,
    )
    assert done.returncode == 4
    assert done.stderr == "collect.sh: the output cannot be written; stopped\n"


def test_without_dev_null_it_says_so_once(program: Callable[[str], str], tmp_path: Path) -> None:
    busybox = program("busybox")
    if os.geteuid() != 0:
        pytest.skip("a chroot needs root")
    (tmp_path / "busybox").write_bytes(Path(busybox).read_bytes())
    (tmp_path / "busybox").chmod(0o755)
    (tmp_path / "collect.sh").write_text(script.text())
    done = subprocess.run(
        [program("chroot"), str(tmp_path), "/busybox", "ash", "/collect.sh"],
        capture_output=True, text=True, timeout=PROMISED_S, check=False,
    )  # fmt: skip
    if "not found" in done.stderr:
        pytest.skip(f"this busybox needs libraries: {done.stderr.strip()}")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.count("\n") == 1
    assert "no /dev/null" in done.stderr


def test_shellcheck_has_nothing_to_say(program: Callable[[str], str]) -> None:
    done = subprocess.run(
        [program("shellcheck"), "-s", "sh", "-"], input=script.text(), capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


def test_no_line_redirects_into_a_file_or_opens_a_here_document() -> None:
    """A here-document is a file in /tmp to some shells."""
    for line in script.text().splitlines():
        code = re.sub(r"'[^']*'", "''", line.partition(" #")[0])
        if code.startswith("#"):
            continue
        assert "<<" not in code, line
        assert set(re.findall(r">+\s*(\S+?)(?=[\s;)]|$)", code)) <= {"/dev/null", "&1", "&2"}, line


def test_no_word_that_changes_anything_stands_in_it() -> None:
    code = "\n".join(line for line in script.text().splitlines() if not line.lstrip().startswith("#"))
    for word in (
        "modprobe ",
        "insmod",
        "sysctl ",
        "tee ",
        "ip link set",
        "ip netns add",
        "nft add",
        "nft -f",
        "-t nat -L",
        "ss -",
        "mktemp",
        "rm ",
        "mv ",
    ):
        assert word not in code, word


def test_it_is_shipped_with_the_package() -> None:
    assert script.text().startswith("#!/bin/sh\n")
    assert shutil.which("sh")
