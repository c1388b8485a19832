"""The program as a person calls it: exit codes, one line for each failure, and a start without ballast."""

import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from view_texts import HOSTILE, ROOT, XEN

from tablefull.errors import KernelRefused, Unreadable, UsageError
from tablefull.views import cli

Tablefull = Callable[..., subprocess.CompletedProcess[str]]
HEAVY = {"numba", "numpy", "pyroute2", "textual", "prometheus_client", "polars", "dask", "asyncssh"}
NOT_FOR_TEXT = {"rich", "jinja2", "markupsafe", "pygments", "markdown_it"}


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


def test_exit_1_is_a_finding(tablefull: Tablefull) -> None:
    done = tablefull("diagnose", str(XEN))
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("TABLE FULL: YES")


def test_exit_0_is_fine(tablefull: Tablefull) -> None:
    calm = "$ sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max\n"
    calm += "net.netfilter.nf_conntrack_count = 214\nnet.netfilter.nf_conntrack_max = 262144\n"
    done = tablefull("diagnose", "-", "--format", "json", stdin=calm)
    assert json.loads(done.stdout)["verdict"]["table_full"] == "no"
    assert done.returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [["diagnoze"], ["diagnose", "--formt", "json"], ["diagnose", "x", "--format", "yaml"], ["explain", "bridg-nf"],
     ["diagnose", "/no/such/file"], ["collect"], ["completion", "tcsh"], ["diagnose", "-", "-"],
     ["collect", "--script", "-o", "x"], ["diagnose", "/dev/null"]],
)  # fmt: skip
def test_exit_2_is_wrong_usage_and_one_line(tablefull: Tablefull, arguments: list[str]) -> None:
    done = tablefull(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert one_line(done).startswith("tablefull: ")


def test_a_mistyped_name_is_answered_with_the_nearest(tablefull: Tablefull) -> None:
    assert "did you mean diagnose?" in one_line(tablefull("diagnoze"))
    assert "did you mean bridge-nf" in one_line(tablefull("explain", "bridg-nf"))
    assert "--format" in one_line(tablefull("diagnose", "--formt", "json"))


def test_exit_3_is_too_little_to_tell(tablefull: Tablefull, tmp_path: Path) -> None:
    done = tablefull("diagnose", "-", stdin="good morning\n")
    assert done.returncode == 3
    assert "looks like evidence about connection tracking" in one_line(done)
    assert done.stdout == ""
    (tmp_path / "README").write_text("nothing of that kind\n")
    for target in (str(tmp_path), str(tmp_path / "README")):
        done = tablefull("diagnose", target)
        assert done.returncode == 3
        one_line(done)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert tablefull("diagnose", str(empty)).returncode == 3
    assert tablefull("diagnose", "-", stdin="").returncode == 3


def test_json_is_an_object_also_where_nothing_can_be_told(tablefull: Tablefull) -> None:
    done = tablefull("diagnose", "-", "--format", "json", stdin="good morning\n")
    assert done.returncode == 3
    assert json.loads(done.stdout)["verdict"]["table_full"] == "unknown"


def test_a_binary_is_one_line(tablefull: Tablefull, tmp_path: Path) -> None:
    file = tmp_path / "core"
    file.write_bytes(b"\x7fELF" + bytes(range(256)) * 64)
    done = tablefull("diagnose", str(file))
    assert done.returncode in (2, 3)
    one_line(done)


@pytest.mark.parametrize("form", ["text", "json", "markdown", "html"])
def test_every_format_of_hostile_evidence(tablefull: Tablefull, form: str) -> None:
    done = tablefull("diagnose", "-", "--format", form, stdin=HOSTILE)
    assert (done.returncode, done.stderr) == (1, "")
    assert "\x1b" not in done.stdout


def test_output_goes_into_a_file(tablefull: Tablefull, tmp_path: Path) -> None:
    file = tmp_path / "answer.html"
    done = tablefull("diagnose", str(XEN), "--format", "html", "-o", str(file))
    assert (done.returncode, done.stdout) == (1, "")
    assert file.read_text("utf-8").startswith("<!DOCTYPE html>")
    done = tablefull("diagnose", str(XEN), "-o", str(tmp_path / "no" / "such" / "folder"))
    assert done.returncode == 2
    one_line(done)


def test_several_paths_are_one_incident(tablefull: Tablefull, tmp_path: Path) -> None:
    limit = tmp_path / "limit.txt"
    limit.write_text("net.netfilter.nf_conntrack_max = 65536\nnet.netfilter.nf_conntrack_count = 65530\n")
    done = tablefull(
        "diagnose", str(limit), "-", "--format", "json", stdin="[5.0] nf_conntrack: table full, dropping packet."
    )
    found = json.loads(done.stdout)
    assert found["verdict"]["table_full"] == "yes"
    assert found["hosts"][0]["facts"]["nf_conntrack_max"] == 65536


def test_help_shows_examples(tablefull: Tablefull) -> None:
    assert "Examples:" in tablefull("--help").stdout
    for command in cli.COMMANDS:
        done = tablefull(command, "--help")
        assert done.returncode == 0
        assert "Examples:" in done.stdout


def test_the_short_help_of_a_command_says_what_its_own_help_says() -> None:
    root = cli.cli
    assert isinstance(root, cli.Lazy)
    for name in cli.COMMANDS:
        command = root.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None
        assert command.help


def test_version(tablefull: Tablefull) -> None:
    from tablefull import __version__

    assert __version__ in tablefull("--version").stdout


def test_a_defect_is_one_line_and_a_traceback_only_with_debug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret\nlines\x1b[2J")

    monkeypatch.setattr("tablefull.views.commands_diagnose._read", broken)
    assert cli.run(["diagnose", "x"]) == 4
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "a defect of tablefull" in printed.err
    assert "--debug" in printed.err
    assert "\x1b" not in printed.err
    assert cli.run(["diagnose", "x", "--debug"]) == 4
    assert "Traceback" in capsys.readouterr().err


def test_every_error_keeps_its_exit_code() -> None:
    assert cli.told(UsageError("x"))[1] == 2
    assert cli.told(Unreadable("p", "why", "remedy"))[1] == 3
    assert cli.told(KernelRefused("no"))[1] == 4
    assert cli.told(MemoryError())[1] == 4
    assert cli.told(OSError(28, "No space left on device"))[1] == 4


def test_ctrl_c_is_130_and_silent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tablefull.views.commands_diagnose._read", interrupted)
    assert cli.run(["diagnose", "x"]) == 130
    assert capsys.readouterr().err == ""


def test_ctrl_c_in_a_process_waiting_for_input() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tablefull", "diagnose", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
    )  # fmt: skip
    deadline = time.monotonic() + 20
    # Blocked in read(2) on the pipe: the wait channel says so without a sleep of a guessed length.
    while time.monotonic() < deadline:
        if "pipe" in Path(f"/proc/{process.pid}/wchan").read_text():
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_a_broken_pipe_is_silent_and_keeps_the_code() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "tablefull", "diagnose", str(XEN)],
        stdout=writing, stderr=subprocess.PIPE, env=environment, timeout=60, check=False,
    )  # fmt: skip
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode == 1


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a shell's redirections do to ``$T``, the program."""
    own = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "T": f"{sys.executable} -m tablefull", "X": str(XEN)}
    return subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, env=own | environment, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [("$T diagnose $X", 4), ("$T diagnose $X --format json", 4), ("$T check", 3), ("$T explain", 4), ("$T --help", 4),
     ("$T --version", 4), ("$T collect -o -", 4), ("$T man", 4)],
)  # fmt: skip
@pytest.mark.parametrize("where", [">&-", ">/dev/full"])
def test_an_answer_that_cannot_be_written_is_one_line(line: str, code: int, where: str) -> None:
    done = shell(f"{line} {where}")
    assert done.returncode == code
    assert any(word in one_line_of(done, "tablefull: ").lower() for word in ("closed", "no space"))


def one_line_of(done: subprocess.CompletedProcess[str], begin: str) -> str:
    """The one failure on standard error; what `collect` could not see may stand there too."""
    lines = [line for line in done.stderr.splitlines() if "not seen" not in line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith(begin)
    return lines[0]


def test_a_closed_standard_error_keeps_the_code_and_standard_output_clean() -> None:
    for line, code in (("$T diagnose nope 2>&-", 2), ("$T diagnoze 2>&-", 2), ("$T diagnose - 2>&- </dev/null", 3)):
        done = shell(line)
        assert (done.returncode, done.stdout, done.stderr) == (code, "", "")
    assert shell("$T diagnose nope >&- 2>&-").returncode == 2
    assert shell("$T diagnose $X >&- 2>&-").returncode == 4


@pytest.mark.parametrize("encoding", ["utf-16", "ascii", "latin-1"])
def test_json_is_utf_8_whatever_the_locale(encoding: str) -> None:
    plain = shell("$T diagnose $X --format json")
    assert shell("$T diagnose $X --format json", PYTHONIOENCODING=encoding).stdout == plain.stdout
    json.loads(plain.stdout)


def test_a_directory_that_is_gone_is_named(tmp_path: Path) -> None:
    for line in ("$T diagnose a.txt", "$T diagnose ."):
        done = shell(f"mkdir {tmp_path}/gone; cd {tmp_path}/gone; rmdir ../gone; {line}")
        assert done.returncode == 2
        assert "the current directory is gone" in one_line(done)


@pytest.mark.parametrize("arguments", [["diagnose", ""], ["collect", "-o", ""], ["diagnose", str(XEN), "-o", ""]])
def test_an_empty_name_is_wrong_usage(tablefull: Tablefull, arguments: list[str]) -> None:
    done = tablefull(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "an empty name" in one_line(done)


@pytest.mark.parametrize("name", ["evidence.txt", "folder", "folder/evidence.txt"])
def test_what_may_not_be_read_is_not_a_wrong_word(
    tablefull: Tablefull, program: Callable[[str], str], name: str
) -> None:
    """Without the right to pass over permissions, as anybody but root has it."""
    with tempfile.TemporaryDirectory() as there:
        folder = Path(there) / "folder"
        folder.mkdir()
        for file in (Path(there) / "evidence.txt", folder / "evidence.txt"):
            file.write_text("x\n")
            file.chmod(0)
        folder.chmod(0)
        bare = f"{program('setpriv')} --inh-caps=-all --bounding-set=-all" if os.geteuid() == 0 else ""
        done = shell(f"{bare} $T diagnose {there}/{name}")
        folder.chmod(0o700)
    assert done.returncode == 3
    assert "permission denied; run it as root" in one_line(done)


def on_a_terminal(arguments: list[str], environment: dict[str, str]) -> str:
    """What the program writes to a terminal."""
    own = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    own |= {"PYTHONPATH": str(ROOT / "src"), "TERM": "xterm-256color", **environment}
    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tablefull", *arguments], stdout=other, stderr=other, stdin=other, env=own
    )
    os.close(other)
    parts = []
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:  # EIO: the other end is closed
            break
        if not part:
            break
        parts.append(part)
    process.wait(timeout=60)
    os.close(main)
    return b"".join(parts).decode()


def test_colour_on_a_terminal_and_none_with_no_color() -> None:
    assert "\x1b[" in on_a_terminal(["diagnose", str(XEN)], {})
    assert "\x1b" not in on_a_terminal(["diagnose", str(XEN)], {"NO_COLOR": "1"})
    assert "\x1b" not in on_a_terminal(["diagnose", str(XEN)], {"TERM": "dumb"})


def test_a_narrow_terminal_wraps_sentences() -> None:
    text = on_a_terminal(["diagnose", str(XEN)], {"NO_COLOR": "1", "COLUMNS": "50"})
    assert "TABLE FULL: YES" in text
    headline = text.replace("\r", "").split("\n\n")[1]
    assert all(len(line) <= 50 for line in headline.split("\n"))


def test_waiting_for_a_person_is_said() -> None:
    main, other = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tablefull", "diagnose", "-"],
        stdin=other, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
    )  # fmt: skip
    os.close(other)
    assert process.stderr is not None
    assert b"waiting for evidence" in process.stderr.readline()
    os.write(main, b"[1.0] nf_conntrack: table full, dropping packet.\n\x04")
    out, _ = process.communicate(timeout=60)
    os.close(main)
    assert out.startswith(b"TABLE FULL: YES")


def test_diagnose_imports_nothing_heavy() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    code = (
        "import sys\nfrom tablefull.views.cli import run\n"
        f"run(['diagnose', {str(XEN)!r}])\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    loaded = {name.split(".")[0] for name in done.stderr.split()}
    assert "tablefull" in loaded
    assert loaded & (HEAVY | NOT_FOR_TEXT) == set()


def test_the_command_imports_click_without_what_nobody_asks_for() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    words = [sys.executable, "-X", "importtime", "-m", "tablefull", "explain", "bridge-nf"]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"click.core", "tablefull.views.quick"} <= loaded
    assert loaded & {"inspect", "platform", "dis"} == set()
