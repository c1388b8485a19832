"""The conductor: what it takes for its own from the kernel's log and from its children; whole scenes in realkernel."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tablefull.errors import KernelRefused
from tablefull.lab import play
from tablefull.lab.play import Logged, Note, Player
from tablefull.lab.room import Room
from tablefull.lab.scene import Scene
from tablefull.lab.scenes import SCENES
from tablefull.lab.stage import Child, Machine, Stage

FULL = "[  1.0] nf_conntrack: nf_conntrack: table full in netns {}, dropping packet"
SUPPRESSED = "[  6.0] net_ratelimit: 321 callbacks suppressed"
FLOOD = "[  2.0] TCP: request_sock_TCP: Possible SYN flooding on port 0.0.0.0:80. Sending cookies."


class Here(Machine):
    """A machine that is this very namespace."""

    def __init__(self, stage: Stage, name: str) -> None:
        super().__init__(stage, name)
        self.path = "/proc/self/ns/net"


def player(kind: type[Scene] = SCENES["xen-dom0"], folder: Path = Path("/nonexistent")) -> tuple[Player, list[object]]:
    stage = Stage(kind.name)
    stage.folder = folder
    stage.machines[kind.watched] = Here(stage, kind.watched)
    told: list[object] = []
    room = Room("lowered", 1000, 400, 600, 262144)
    return Player(stage, kind(stage), room, 10.0, told.append, lambda: True), told


def test_a_line_of_this_table_and_what_was_suppressed_after_it() -> None:
    one, told = player()
    own = FULL.format(Path("/proc/self/ns/net").stat().st_ino)
    for line in (SUPPRESSED, FULL.format(1), own, SUPPRESSED, FLOOD):
        one.logged(line)
    assert one.log == [own, SUPPRESSED]
    assert told == [Logged(own), Logged(SUPPRESSED)]


def test_three_lines_are_shown_and_all_are_kept() -> None:
    one, told = player()
    own = FULL.format(Path("/proc/self/ns/net").stat().st_ino)
    for _ in range(10):
        one.logged(own)
    assert (len(one.log), len(told)) == (10, 3)


def test_an_old_kernels_line_names_no_table() -> None:
    one, _ = player()
    one.logged("[  1.0] nf_conntrack: table full, dropping packet.")
    assert len(one.log) == 1


def test_a_flooded_listener_matters_where_a_flood_is_played() -> None:
    one, _ = player(SCENES["syn-flood"])
    one.logged(FLOOD)
    assert one.log == [FLOOD]


def child(text: str, name: str = "visitors-x", group: str = "") -> Child:
    words = [sys.executable, "-c", "import sys, time; print(sys.argv[1], flush=True); time.sleep(60)", text]
    return Child(name, subprocess.Popen(words, stdout=subprocess.PIPE), group)


def test_requests_of_both_groups_are_kept_apart() -> None:
    one, _ = player()
    base = one._began
    rows = [[base + 1.0, 2.5, 1], [base + 1.1, 1500.0, 0], [base - 5.0, 1.0, 1]]
    one.stage.children += [child(json.dumps(rows)), child(json.dumps(rows[:1]), "visitors-y", "neighbour")]
    try:
        one.wait(20.0, until=lambda: len(one.requests) >= 2 and len(one.beside) >= 1, quiet=True)
    finally:
        for each in one.stage.children:
            each.stop()
    assert [(round(each.at_s, 3), each.ms, each.fine) for each in one.requests] == [
        (1.0, 2.5, True),
        (1.1, 1500.0, False),
    ]
    assert len(one.beside) == 1


def test_a_client_that_ends_ends_the_scene(tmp_path: Path) -> None:
    one, _ = player(folder=tmp_path)
    (tmp_path / "visitors-x.err").write_text("Traceback\nOSError: no file left\n")
    process = subprocess.Popen(["false"], stdout=subprocess.PIPE)
    one.stage.children.append(Child("visitors-x", process))
    with (
        one.stage.children[0].process,
        pytest.raises(KernelRefused, match="visitors-x ended in the middle of the scene: OSError: no file left"),
    ):
        one.wait(20.0, quiet=True)


def test_it_ends_when_it_is_told_to() -> None:
    one, told = player()
    one._going = lambda: False
    with pytest.raises(KeyboardInterrupt):
        one.wait(60.0)
    assert [each for each in told if isinstance(each, Note)] == []
    assert one.played(broken=True).broken_off


def test_the_program_runs_itself() -> None:
    done = subprocess.run([*play.tablefull(), "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("tablefull")
