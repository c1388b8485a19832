"""``tablefull why`` as a process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from tests.realkernel.table_space import table_space

Tablefull = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--netns", "nope"), ("no such namespace",)),
        (("--netns", "99999999"), ("no process has this number",)),
        (("--netns", "x\x1b[2J"), ("no such namespace", "\\x1b")),
        (("--prove", "--watch"), ("exclude each other",)),
        (("--for", "3"), ("--watch",)),
        (("--prove", "paste.txt"), ("not at evidence",)),
        (("nothing-here.txt",), ("nothing-here.txt",)),
        (("--format", "csv"), ("csv",)),
    ],
)
def test_mistakes(tablefull: Tablefull, words: tuple[str, ...], parts: tuple[str, ...]) -> None:
    done = tablefull("why", *words)
    assert done.returncode == 2, done
    assert done.stderr.count("\n") == 1
    for part in parts:
        assert part in done.stderr


PASTE = """$ uname -r
5.10.0-8-amd64
$ iptables-save
*filter
:INPUT DROP [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
COMMIT
"""


def test_a_paste_is_answered_as_far_as_it_shows(tablefull: Tablefull) -> None:
    done = tablefull("why", "-", stdin=PASTE)
    assert done.returncode == 3  # nothing is shown of IPv6
    assert "ON for IPv4, not known for IPv6" in done.stdout
    assert "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT" in " ".join(done.stdout.split())
    assert "cuts this host off" in " ".join(done.stdout.split())
    told = json.loads(tablefull("why", "--format", "json", "-", stdin=PASTE).stdout)
    assert told["namespaces"][0]["active"]["IPv4"]["state"] == "yes"


@pytest.mark.realkernel
def test_a_namespace(tablefull: Tablefull) -> None:
    with table_space() as space:
        done = tablefull("why", "--netns", space.name)
        assert (done.returncode, done.stderr) == (0, "")
        assert " ".join(done.stdout.split()).startswith(
            f"Connection tracking in {space.name} is off for IPv4 and IPv6 (0 entries now)."
        )
        space.run("nft", "-f", "-", text="add table ip t; add chain ip t c; add rule ip t c ct state new\n")
        told = json.loads(tablefull("why", "--netns", "all", "--format", "json").stdout)
        (found,) = [one for one in told["namespaces"] if one["name"] == space.name]
        assert {family: one["state"] for family, one in found["active"].items()} == {"IPv4": "yes", "IPv6": "no"}


@pytest.mark.realkernel
def test_without_rights_it_says_what_it_did_not_see() -> None:
    code = (
        "import contextlib, gzip, io, os, signal, sys, zlib\n"
        "from tablefull.views import cli\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    cli.run(['why', '--netns', 'all', '--prove'])\n"  # imports all: the interpreter may be root's alone
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "sys.argv = ['tablefull', 'why', *sys.argv[1:]]\n"
        "cli.main()\n"
    )
    world = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for words in ((), ("--prove",), ("--netns", "all")):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, env=world
        )
        assert done.returncode == 3, done.stderr
        assert "not known for IPv4 and IPv6" in done.stdout
        assert "run it as root" in " ".join(done.stdout.split())
        assert "Traceback" not in done.stderr


@pytest.mark.realkernel
def test_watching_names_the_command_that_turns_it_on(program: Callable[[str], str]) -> None:
    for name in ("nft", "iptables-legacy"):
        program(name)
    with table_space() as space:
        call = [sys.executable, "-m", "tablefull", "why", "--watch", "--netns", space.name, "--format", "json"]
        held = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert held.stdout is not None
        assert held.stderr is not None
        while "Ctrl-C" not in held.stderr.readline():
            assert held.poll() is None
        space.run("iptables-legacy", "-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE")
        first = json.loads(held.stdout.readline())
        space.run("nft", "-f", "-", text="add table ip6 t; add chain ip6 t c; add rule ip6 t c ct state new\n")
        second = json.loads(held.stdout.readline())
        space.run("nft", "delete", "table", "ip6", "t")
        third = json.loads(held.stdout.readline())
        held.send_signal(signal.SIGTERM)
        assert held.wait(30) == 1
        held.stdout.close()
        held.stderr.close()
    assert (first["event"], first["families"], first["after"]) == ("turned", ["IPv4"], "yes")
    assert [one["name"] for one in first["by"]] == ["iptables-legacy"]
    assert (second["families"], second["after"]) == (["IPv6"], "yes")
    assert [one["name"] for one in second["by"]] == ["nft"]
    assert (third["families"], third["after"]) == (["IPv6"], "no")
