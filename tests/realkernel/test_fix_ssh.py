"""The fix that takes away the connection it was made over: a real sshd, a real client, and nobody left to type.

Two namespaces and a link between them; what is asked afterwards is whether a new connection is answered.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.realkernel.fix_space import FixSpace, fix_space, step, until

from tablefull.fixes.act import Command, Commanded, HostPlan

pytestmark = pytest.mark.realkernel

SERVER, CLIENT = "10.213.0.1", "10.213.0.2"
LONGEST_S = 30.0


class Reached:
    """A server's namespace that is reached by SSH from the namespace ``client``."""

    def __init__(self, space: FixSpace, client: str, key: Path, link: str, server: int) -> None:
        self.space, self.client, self.key, self.link, self.server = space, client, key, link, server

    def ssh(self, *words: str) -> subprocess.Popen[str]:
        """A session that runs a command, and gives up two seconds after the link went silent."""
        options = {
            "StrictHostKeyChecking": "no", "UserKnownHostsFile": "/dev/null", "ServerAliveInterval": "1",
            "ServerAliveCountMax": "2", "ConnectTimeout": "2", "BatchMode": "yes", "LogLevel": "ERROR",
        }  # fmt: skip
        given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return subprocess.Popen(
            ["ip", "netns", "exec", self.client, "ssh", "-i", str(self.key), *given, f"root@{SERVER}", *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def answers(self) -> bool:
        with self.ssh("true") as session:
            return session.wait(20) == 0

    def fix(self, *words: str) -> subprocess.Popen[str]:
        """``tablefull fix`` over SSH."""
        own = self.space.environment()
        given = [f"{name}={own[name]}" for name in ("PYTHONPATH", "TABLEFULL_STATE", "TABLEFULL_LOCK")]
        return self.ssh("env", *given, *self.space.words(*words))


@pytest.fixture
def reached(tmp_path: Path, program: Callable[[str], str]) -> Iterator[Reached]:
    sshd = program("sshd")
    program("ssh")
    with fix_space(tmp_path) as space, _client(space) as (client, link):
        keys = tmp_path / "keys"
        keys.mkdir(mode=0o700)
        for name in ("host", "person"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys / name], check=True)
        config = keys / "sshd_config"
        config.write_text(
            f"ListenAddress {SERVER}\nHostKey {keys}/host\nAuthorizedKeysFile {keys}/person.pub\nStrictModes no\n"
            "UsePAM no\nPidFile none\nPermitRootLogin yes\nPasswordAuthentication no\n"
        )
        made = not Path("/run/sshd").exists()
        Path("/run/sshd").mkdir(exist_ok=True)
        words = ["ip", "netns", "exec", space.name, sshd, "-D", "-e", "-f", str(config)]
        with (tmp_path / "sshd.log").open("w") as log:
            server = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        try:
            found = Reached(space, client, keys / "person", link, server.pid)
            end = time.monotonic() + LONGEST_S
            while not found.answers():
                assert time.monotonic() < end, (tmp_path / "sshd.log").read_text()
            yield found
        finally:
            server.kill()
            server.wait()
            if made:
                with suppress(OSError):
                    Path("/run/sshd").rmdir()


@contextmanager
def _client(space: FixSpace) -> Iterator[tuple[str, str]]:
    client, link = f"{space.name}-c", f"v{space.name[-8:]}"
    subprocess.run(["ip", "netns", "add", client], check=True)
    try:
        for words in (
            f"link add {link} netns {space.name} type veth peer name client netns {client}",
            f"-n {space.name} addr add {SERVER}/24 dev {link}",
            f"-n {space.name} link set {link} up",
            f"-n {space.name} link set lo up",
            f"-n {client} addr add {CLIENT}/24 dev client",
            f"-n {client} link set client up",
        ):
            subprocess.run(["ip", *words.split()], check=True)
        yield client, link
    finally:
        subprocess.run(["ip", "netns", "del", client], check=True)


def plan(act: Commanded) -> HostPlan:
    return HostPlan(fix="disable-firewall", host="test", title="cuts the branch it sits on", steps=(step(act),))


def dropped() -> Commanded:
    """A rule that drops what comes to port 22."""
    rules = (
        "table inet cut {\n chain input {\n  type filter hook input priority 0; policy accept;\n"
        "  tcp dport 22 drop\n }\n}\n"
    )
    return Commanded(
        "port 22 is dropped",
        (Command(("nft", "-f", "-"), rules),),
        (Command(("nft", "delete", "table", "inet", "cut")),),
        Command(("nft", "list", "table", "inet", "cut")),
    )


def link_down(link: str) -> Commanded:
    return Commanded(
        "the link is down",
        (Command(("ip", "link", "set", link, "down")),),
        (Command(("ip", "link", "set", link, "up")),),
        Command(("grep", "-qx", "down", f"/sys/class/net/{link}/operstate")),
    )


@pytest.mark.parametrize("way", ["a rule", "the link"])
def test_a_fix_that_cuts_its_own_connection_is_undone_by_itself(reached: Reached, way: str) -> None:
    before = reached.space.everything()
    file = reached.space.plan_file(plan(dropped() if way == "a rule" else link_down(reached.link)))
    with reached.fix("--plan", file, "--apply", "--confirm-within", "6s", "--verify-for", "1s") as session:
        assert session.wait(LONGEST_S) == 255, session.communicate()  # ssh's own: the connection is lost
    journal = reached.space.over()
    assert journal is not None
    assert journal.state == "undone"
    assert journal.why == "it was not confirmed within 6 s"
    assert journal.seen  # it went on after the connection was lost
    assert reached.answers()
    assert reached.space.everything() == before


def test_a_probe_that_no_longer_answers_undoes_it_before_the_time_is_over(reached: Reached) -> None:
    """The server asks itself, by the address that clients use."""
    file = reached.space.plan_file(plan(dropped()))
    words = ("--confirm-within", "300s", "--verify-for", "1s", "--probe", f"{SERVER}:22")
    with reached.fix("--plan", file, "--apply", *words) as session:
        session.wait(LONGEST_S)
    journal = reached.space.over()
    assert journal is not None
    assert journal.state == "undone"
    assert "answered before and does not now" in journal.why
    assert reached.answers()


def test_a_session_that_is_killed_whole_leaves_the_undoing_alive(reached: Reached) -> None:
    """As `systemctl stop` of the session's service: every process of it, whatever session it made for itself."""
    file = reached.space.plan_file(
        plan(
            Commanded(
                "a table",
                (Command(("nft", "add", "table", "inet", "kept")),),
                (Command(("nft", "delete", "table", "inet", "kept")),),
                Command(("nft", "list", "table", "inet", "kept")),
            )
        )
    )
    with reached.fix("--plan", file, "--apply", "--confirm-within", "30s", "--verify-for", "5s") as session:
        until(lambda: reached.space.reached("applied"))
        for pid in _sessions(reached):
            os.kill(pid, signal.SIGKILL)
        session.wait(LONGEST_S)
    with reached.fix("--confirm") as second:
        assert second.wait(LONGEST_S) == 0, second.communicate()
    assert "table inet kept" in reached.space.inside("nft", "list", "ruleset")
    with reached.fix("--undo", "1") as third:
        assert third.wait(LONGEST_S) == 0, third.communicate()
    assert "table inet kept" not in reached.space.inside("nft", "list", "ruleset")


def _sessions(reached: Reached) -> list[int]:
    """The processes of the server's namespace that serve a session: sshd's children and theirs, the undoers aside."""
    listed = subprocess.run(["ip", "netns", "pids", reached.space.name], capture_output=True, text=True, check=True)
    found = []
    for pid in map(int, listed.stdout.split()):
        with suppress(OSError):
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            if not name.startswith("tablefull-") and pid != reached.server:
                found.append(pid)
    return found


@pytest.mark.skipif(not os.access("/sys/fs/cgroup", os.W_OK), reason="needs control groups that can be written")
def test_the_undoers_leave_the_control_group_of_the_session(tmp_path: Path) -> None:
    """systemd ends what is in the group of a session's scope, logind's KillUserProcesses the same way."""
    tops = [Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")]
    tops = [top for top in tops if (top / "cgroup.procs").exists()]
    if not tops:
        pytest.skip("needs a hierarchy of control groups")
    with fix_space(tmp_path) as space:
        groups = [top / space.name for top in tops]
        for group in groups:
            group.mkdir()
        try:
            before = space.everything()
            script = 'for group; do echo $$ >"$group/cgroup.procs"; done; sleep 60 & "$PYTHON" -m tablefull fix $WORDS'
            times = ("--confirm-within", "10s", "--verify-for", "1s")
            words = ["--plan", space.plan_file(space.plan()), "--apply", *times]
            extra = {"PYTHON": space.words()[0], "WORDS": " ".join(words)}
            shell = shutil.which("sh") or "/bin/sh"
            child = subprocess.Popen(
                [shell, "-c", script, "sh", *map(str, groups)], env=space.environment(extra),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            until(lambda: space.reached("applied"))
            undoers = {*space.processes("tablefull-undo"), *space.processes("tablefull-keep")}
            assert len(undoers) == 2
            inside = {int(pid) for group in groups for pid in (group / "cgroup.procs").read_text().split()}
            assert inside
            assert not inside & undoers
            for pid in inside:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            child.wait(LONGEST_S)
            assert child.stdout is not None
            child.stdout.close()
            journal = space.over()
            assert journal is not None
            assert journal.state == "undone"
            assert space.everything() == before
        finally:
            for group in groups:
                group.rmdir()
