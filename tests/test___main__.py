"""``python -m tablefull`` is the ``tablefull`` command."""

import gc
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import tablefull
import tablefull.__main__
from tablefull.views import cli

ME = [sys.executable, "-m", "tablefull"]
WORLD = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"}


def test_it_is_the_same_program(monkeypatch):
    ran = []
    monkeypatch.setattr(cli, "main", lambda: ran.append(gc.get_threshold()[0]))
    before = gc.get_threshold()
    try:
        tablefull.__main__.main()
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
    assert ran == [tablefull.__main__.GARBAGE_AFTER]


def test_ctrl_c_while_modules_are_imported_is_silent(tmp_path):
    """The first import of ours is interrupted, as it is in the first tenth of a second."""
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt\n")
    world = WORLD | {"PYTHONPATH": f"{tmp_path}:{WORLD['PYTHONPATH']}"}
    done = subprocess.run([*ME, "diagnose"], capture_output=True, text=True, check=False, env=world)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_the_command_starts_here_too():
    pyproject = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    assert pyproject["project"]["scripts"] == {"tablefull": "tablefull.__main__:main"}


def test_nothing_is_imported_before_somebody_catches_ctrl_c():
    code = "import sys; before = set(sys.modules); import tablefull.__main__; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=WORLD)
    assert set(done.stdout.split()) - {"gc"} == {"tablefull", "tablefull.__main__"}  # gc is a part of the interpreter


def test_its_version():
    done = subprocess.run([*ME, "--version"], capture_output=True, text=True, check=False, env=WORLD)
    assert (done.returncode, done.stderr) == (0, "")
    assert tablefull.__version__ in done.stdout


def test_a_wrong_word_is_wrong_usage():
    done = subprocess.run([*ME, "--no-such-option"], capture_output=True, text=True, check=False, env=WORLD)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no-such-option" in done.stderr
    assert "Traceback" not in done.stderr


def test_importing_it_runs_nothing(monkeypatch):
    ran = []
    monkeypatch.setattr(cli, "main", lambda: ran.append(True))
    runpy.run_path(tablefull.__main__.__file__, run_name="imported")
    assert ran == []
    runpy.run_path(tablefull.__main__.__file__, run_name="__main__")
    assert ran == [True]
