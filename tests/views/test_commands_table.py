"""``tablefull table`` as a process."""

import csv
import io
import json
import subprocess
from collections.abc import Callable

import pytest
from tests.realkernel.table_space import table_space

Tablefull = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--sample", "--full"), ("exclude each other",)),
        (("--by", ""), ("nothing is named",)),
        (("--by", "sourc"), ("did you mean source",)),
        (("--where", "proto"), ("column 1",)),
        (("--netns", "nope"), ("no such namespace",)),
        (("-o", "x"), ("-o goes with",)),
        (("--top", "0"), ("top",)),
        (("--format", "csv", "--netns", "nope"), ("no such namespace",)),
        (("--format", "csv", "-o", "/nonexistent/x"), ("cannot be written",)),
    ],
)
def test_mistakes(tablefull: Tablefull, words: tuple[str, ...], parts: tuple[str, ...]) -> None:
    done = tablefull("table", *words)
    assert done.returncode == 2, done
    assert done.stderr.count("\n") == 1
    for part in parts:
        assert part in done.stderr


def test_the_exit_code_of_many_namespaces() -> None:
    from tablefull.views.commands_table import _judged

    assert _judged([(0, 1000), (950, 1000), (None, None)]) == 1
    assert _judged([(0, 1000), (None, None)]) == 3
    assert _judged([(0, 1000), (949, 1000), (5, 0), (5, None)]) == 0


@pytest.mark.realkernel
def test_a_namespace(tablefull: Tablefull) -> None:
    with table_space(limit=4000) as space:
        space.fill(1000)
        done = tablefull("table", "--netns", space.name)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(
            f"1,000 entries in {space.name}, 25.0% of the limit of 4,000.\nAll 1,000 were read"
        )
        told = json.loads(
            tablefull(
                "table", "--netns", space.name, "--format", "json", "--by", "proto", "--where", "dport=443"
            ).stdout
        )
        assert told["by"]["proto"]["top"][0]["share"] == 1
        assert 0 < told["matched"] < told["read"] == 1000
        rows = list(csv.DictReader(io.StringIO(tablefull("table", "--netns", space.name, "--format", "csv").stdout)))
        assert len(rows) == 1000
        lines = tablefull("table", "--netns", space.name, "--format", "conntrack", "--where", "proto=udp").stdout
        assert lines.count("\n") == sum(row["proto"] == "udp" for row in rows)
        for form in ("text", "csv"):  # nobody counts packets there: which entries match cannot be seen
            asked = tablefull("table", "--netns", space.name, "--where", "packets=0", "--format", form)
            assert (asked.returncode, asked.stdout, asked.stderr.count("\n")) == (3, "", 1)
            assert "nf_conntrack_acct is 0" in asked.stderr
        part = tablefull("table", "--netns", space.name, "--format", "csv", "--sample")
        assert part.returncode == 0
        spaces = tablefull("table", "--netns", "all", "--by", "netns").stdout
        assert f"{space.name}" in spaces
        space.fill(3900)  # the first 1,000 are those that are there
        assert tablefull("table", "--netns", space.name).returncode == 1  # nearly full is a finding


@pytest.mark.realkernel
def test_the_wire_is_closed_early(tablefull: Tablefull) -> None:
    import os
    import sys

    with table_space(limit=100_000) as space:
        space.fill(20_000)
        command = f"{sys.executable} -m tablefull table --netns {space.name} --format csv | head -n 1"
        world = os.environ | {"PYTHONPATH": "src"}
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=world, check=False)
    assert done.stdout.startswith("family,proto")
    assert "Traceback" not in done.stderr
