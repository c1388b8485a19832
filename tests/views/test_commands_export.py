"""``tablefull export`` as a process: once, as a file, as a server, and how each ends."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.realkernel.table_space import table_space

Tablefull = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).resolve().parents[2]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "tablefull", "export", *words]


@contextmanager
def server(*words: str, prefix: tuple[str, ...] = ()) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the address that it says; ended as Ctrl-C does where it has not ended by itself."""
    world = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen([*prefix, *command(*words)], stderr=subprocess.PIPE, text=True, env=world) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        match = re.search(r"http://\S+/metrics", line)
        assert match, line
        try:
            yield process, match[0]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(10)


def metrics(text: str) -> dict[str, float]:
    """Samples without labels by name."""
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.labels
    }


def get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--once", "--listen", ":1"), ("exclude each other",)),
        (("--every", "1s"), ("--every goes with --textfile",)),
        (("--textfile", "-", "--every", "1s"), ("--every goes with --textfile",)),
        (("--textfile", "x", "--every", "1ms"), ("at least 1 s",)),
        (("--once", "--only", "all"), ("table, netns, composition, forecast",)),
        (("--once", "--by", "sourc"), ("did you mean source",)),
        (("--openmetrics",), ("goes with --once",)),
        (("--listen", "9906"), ("HOST:PORT",)),
        (("--listen", "no.such.host.invalid:1"), ("no address of this host",)),
        (("--textfile", "/nonexistent/x.prom"), ("cannot be written",)),
        (("--textfile", "x", "--include", "y"), ("--include goes with",)),
        (("--once", "--include", "y", "--only", "composition"), ("--include brings",)),
        (("--once", "--sample-every", "soon"), ("a time is wanted",)),
    ],
)
def test_mistakes(tablefull: Tablefull, words: tuple[str, ...], parts: tuple[str, ...]) -> None:
    done = tablefull("export", *words)
    assert done.returncode == 2, done
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    for part in parts:
        assert part in done.stderr


def test_without_the_library(tmp_path: Path) -> None:
    """One line that names the extra; nothing is looked at before."""
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'prometheus_client' else find(name, *a)\n"
        "from tablefull.views.cli import run; sys.exit(run(['export', '--once']))\n"
    )
    world = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=world)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'tablefull[export]'" in done.stderr


def test_nothing_is_seen(tablefull: Tablefull, tmp_path: Path) -> None:
    done = tablefull("export", "--once", "--root", str(tmp_path))
    assert (done.returncode, done.stderr) == (3, "")
    assert "node_nf_conntrack" not in done.stdout.replace("node_nf_conntrack_stat_", "")
    assert 'tablefull_unseen{what="/proc/sys/net/netfilter/nf_conntrack_count"' in done.stdout


def test_nothing_heavy_is_imported() -> None:
    """It stays in memory for years: no numpy, no numba, no polars."""
    code = (
        "import sys; from tablefull.views.cli import run; code = run(['export', '--once'])\n"
        "print([name for name in ('numpy', 'numba', 'polars', 'textual', 'rich') if name in sys.modules], file=sys.stderr)"
    )
    world = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=world)
    assert done.stderr == "[]\n"


def test_a_port_in_use(tablefull: Tablefull) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = tablefull("export", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 4
    assert re.fullmatch(r"tablefull: cannot listen on 127\.0\.0\.1:\d+: address already in use; .*\n", done.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_when_told(number: int) -> None:
    with server("--listen", "127.0.0.1:0") as (process, address):
        assert "tablefull_build_info" in get(address)
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    with pytest.raises(OSError, match="refused"):
        get(address)


def test_it_ends_also_while_a_client_hangs() -> None:
    with server("--listen", "127.0.0.1:0") as (process, address):
        host, port = address.removeprefix("http://").removesuffix("/metrics").split(":")
        with socket.create_connection((host, int(port)), 10):
            assert "tablefull_build_info" in get(address)
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0


def test_ipv6() -> None:
    with server("--listen", "[::1]:0") as (_, address):
        assert address.startswith("http://[::1]:")
        assert "tablefull_build_info" in get(address)


def test_a_file_again_and_again(tmp_path: Path) -> None:
    """Whole at every moment, readable for others, without node_exporter's names; the last one stays."""
    path = tmp_path / "t.prom"
    world = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    words = command("--textfile", str(path), "--every", "1s")
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=world) as process:
        until, stamps = time.monotonic() + 20, set()
        while len(stamps) < 3:
            assert time.monotonic() < until
            if path.exists():
                text = path.read_text()
                stamps.add(metrics(text)["tablefull_textfile_written_timestamp_seconds"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) in (0, 3)
    assert "node_nf_conntrack_entries" not in metrics(text)
    assert abs(max(stamps) - time.time()) < 30
    assert [each.name for each in tmp_path.iterdir()] == ["t.prom"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask()


def umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def test_openmetrics_and_a_full_disk(tablefull: Tablefull) -> None:
    assert tablefull("export", "--once", "--openmetrics").stdout.endswith("# EOF\n")
    done = tablefull("export", "--textfile", "/dev/full")
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert "no space left" in done.stderr


@pytest.mark.realkernel
def test_a_namespace_by_its_own_exporter(tmp_path: Path) -> None:
    with table_space() as space:
        space.fill(3000)
        limit = int(space.run("sysctl", "-n", "net.netfilter.nf_conntrack_max"))
        done = space.run(*command("--once", "--by", "proto", "--top", "1"))
        assert metrics(done)["node_nf_conntrack_entries"] == 3000
        assert metrics(done)["node_nf_conntrack_entries_limit"] == limit
        shares = dict(
            re.findall(r'^tablefull_composition_ratio\{by="proto",key="(\w+)",netns="own"\} (\S+)$', done, re.MULTILINE)
        )
        assert set(shares) == {"tcp", "other"}
        assert sum(map(float, shares.values())) == pytest.approx(1)
        # The split: one with the right writes, one without it adds.
        path = tmp_path / "c.prom"
        space.run(*command("--only", "composition", "--textfile", str(path)))
        bare = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all")
        both = space.run(*bare, *command("--once", "--include", str(path)))
        assert 'tablefull_composition_ratio{by="state",key="tcp ESTABLISHED",netns="own"}' in both
        assert metrics(both)["node_nf_conntrack_entries"] == 3000


@pytest.mark.realkernel
def test_nobody_sees_everything_but_what_it_is_made_of() -> None:
    """Another user, no capability: all that stands in /proc, and a word on what needs CAP_NET_ADMIN."""
    code = (
        "import os, sys\n"
        "import prometheus_client.openmetrics.exposition, prometheus_client.parser\n"
        "from tablefull.live.proc import Proc; from tablefull.watch.exposing import Exposing, Wanted\n"
        "from tablefull.wire.dimensions import named; from tablefull.views import exporter\n"
        "import tablefull.live.table_proc, tablefull.live.spaces, ctypes\n"
        "exporter.cost(None, 0)\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "one = Exposing(Proc(), Wanted(dimensions=(named('state'),))); one.look()\n"
        "print(exporter.text_of(list(exporter.families(one.exposed(), exporter.cost(None, 0))))[0].decode())\n"
    )
    with table_space() as space:
        space.fill(2345)
        text = space.run(sys.executable, "-c", code)
    found = metrics(text)
    for name in ("entries", "entries_limit", "stat_drop", "stat_found", "stat_insert", "stat_search_restart"):
        assert f"node_nf_conntrack_{name}" in found
    assert (found["node_nf_conntrack_entries"], found["node_nf_conntrack_stat_insert"]) == (2345, 2345)
    assert 'tablefull_netns_entries{netns="init"}' in text  # and other namespaces' counts
    assert "tablefull_composition_ratio" not in text
    assert re.search(r'^tablefull_unseen\{what="composition of own",why="CAP_NET_ADMIN is missing', text, re.MULTILINE)


@pytest.mark.realkernel
def test_nothing_is_changed(program: Callable[[str], str]) -> None:
    """No hook, no table, no setting: a namespace that tracked nothing still tracks nothing."""
    nft = program("nft")
    with table_space() as space:
        before = space.run(nft, "list", "ruleset"), space.run("sysctl", "-a", "--pattern", "net.netfilter")
        assert "tablefull_entries 0.0" in space.run(*command("--once"))
        assert before == (space.run(nft, "list", "ruleset"), space.run("sysctl", "-a", "--pattern", "net.netfilter"))
