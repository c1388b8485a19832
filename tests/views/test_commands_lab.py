"""``tablefull lab`` as a person calls it, short of making anything; whole scenes in realkernel/test_lab.py."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tablefull.lab.scenes import SCENES


def test_alone_it_lists_the_scenes(tablefull: Callable[..., object]) -> None:
    done = tablefull("lab")
    assert (done.returncode, done.stderr) == (0, "")  # type: ignore[attr-defined]
    assert all(name in done.stdout for name in SCENES)  # type: ignore[attr-defined]
    rows = json.loads(tablefull("lab", "--format", "json").stdout)  # type: ignore[attr-defined]
    assert [row["name"] for row in rows] == list(SCENES)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("lab", "xen-domO"), "no scene is called 'xen-domO'; did you mean xen-dom0"),
        (("lab", "--play"), "which scene?"),
        (("lab", "xen-dom0", "--play", "--rate", "5"), "--rate 5: from 10 to 2000 a second are possible"),
        (("lab", "xen-dom0", "--play", "--rate", "nan"), "--rate nan"),
        (("lab", "xen-dom0", "--play", "--duration", "1s"), "--duration 1s: a scene is played in 4 s to 90 s"),
        (("lab", "xen-dom0", "--play", "--duration", "soon"), "a time is wanted"),
        (("lab", "xen-dom0", "--report", "x.html"), "add --play"),
        (("lab", "xen-dom0", "--format", "json"), "add --play"),
        (("lab", "xen-dom0", "--play", "--report", "/no/such/folder/x.html"), "no such directory"),
        (("lab", "xen-dom0", "--play", "--report", "a" * 300), "file name too long"),
        (("lab", "xen-dom0", "--play", "--report", "/"), "is a directory"),
        (("lab", "xen-dom0", "--clean"), "--clean stands alone"),
    ],
)
def test_wrong_words_are_one_line(tablefull: Callable[..., object], words: tuple[str, ...], says: str) -> None:
    done = tablefull(*words)
    assert done.returncode == 2  # type: ignore[attr-defined]
    assert says in done.stderr  # type: ignore[attr-defined]
    assert len(done.stderr.splitlines()) == 1  # type: ignore[attr-defined]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give it up")
@pytest.mark.parametrize("words", [("xen-dom0", "--play"), ("xen-dom0",), ("--clean",)])
def test_without_root_it_says_which_right_is_missing(words: tuple[str, ...]) -> None:
    import subprocess
    import sys

    source = Path(__file__).resolve().parents[2] / "src"
    call = ["setpriv", "--reuid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
    done = subprocess.run(
        [*call, sys.executable, "-m", "tablefull", "lab", *words], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(source)},
    )  # fmt: skip
    assert done.returncode == 4
    assert "CAP_SYS_ADMIN and CAP_NET_ADMIN; run it as root: sudo tablefull lab" in done.stderr
    assert len(done.stderr.splitlines()) == 1
