"""``python -m tablefull`` is the ``tablefull`` command."""

import runpy
import subprocess
import sys

import tablefull
import tablefull.__main__
from tablefull.views import cli

ME = [sys.executable, "-m", "tablefull"]
WORLD = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"}


def test_it_is_the_same_program():
    assert tablefull.__main__.main is cli.main


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
