"""Network namespaces: told from a tree that is given, and entered on the running kernel."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tablefull.facts.origin import Hole
from tablefull.kernel.identity import at_least, parse_release
from tablefull.live import netns
from tablefull.live.collection import Artefact, Namespace
from tablefull.live.netns import Answer, container_of, found, inside, with_hostname
from tablefull.live.proc import Proc

ID = "4f3c0c8f6f0de6c5b1c2a3948576aabbccddeeff00112233445566778899aabb"
# The copy of this process ends with _exit and runs nothing that another thread could have locked.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


@pytest.mark.parametrize(
    ("release", "mode", "wanted"),
    [
        ("6.18.0", 0o644, True),
        ("6.18.0", 0o444, False),
        ("4.8.0", 0o644, True),
        ("4.7.10", 0o444, None),
        ("6.18.0", None, None),
        ("", 0o644, None),
    ],
)
def test_whether_this_is_the_first_one(tmp_path: Path, release: str, mode: int | None, wanted: bool | None) -> None:
    path = tmp_path / "proc/sys/net/netfilter/nf_conntrack_buckets"
    path.parent.mkdir(parents=True)
    if mode is not None:
        path.write_text("1024\n")
        path.chmod(mode)
    assert netns.is_first_here(Proc(tmp_path), shows=at_least(parse_release(release), 4, 8)) is wanted


@pytest.mark.realkernel
def test_the_kernel_agrees_which_is_the_first_one(program: Callable[[str], str]) -> None:
    ask = (
        "from tablefull.live.netns import is_first_here; from tablefull.live.proc import Proc; "
        "print(is_first_here(Proc(), shows=True))"
    )
    words = [sys.executable, "-c", ask]
    child = subprocess.run([program("unshare"), "-n", *words], capture_output=True, text=True, check=True).stdout
    own = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert child == "False\n"
    assert own == f"{os.access('/proc/sys/net/netfilter/nf_conntrack_max', os.W_OK)}\n"


@pytest.mark.parametrize(
    ("cgroup", "wanted"),
    [
        (f"12:memory:/docker/{ID}\n", "4f3c0c8f6f0d"),
        (f"0::/system.slice/docker-{ID}.scope\n", "4f3c0c8f6f0d"),
        (f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope\n", "4f3c0c8f6f0d"),
        (f"0::/machine.slice/libpod-{ID}.scope/container\n", "4f3c0c8f6f0d"),
        (f"0::/kubepods/besteffort/pod0a/{ID}\n", "4f3c0c8f6f0d"),
        (f"0::/ecs/task/{ID}\n", "4f3c0c8f6f0d"),
        ("0::/lxc.payload.mail-1/init.scope\n", "mail-1"),
        ("4:cpu:/lxc/web01\n", "web01"),
        ("0::/machine.slice/systemd-nspawn@deb.service\n", "deb"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", None),
        ("0::/system.slice/docker.service\n", None),
        ("0::/\n", None),
        ("", None),
    ],
)
def test_the_container_that_a_cgroup_names(cgroup: str, wanted: str | None) -> None:
    assert container_of(cgroup) == wanted


def process(root: Path, pid: int | str, inode: int, comm: str = "sh", cgroup: str = "0::/") -> None:
    folder = root / f"proc/{pid}/ns"
    folder.mkdir(parents=True)
    (folder / "net").symlink_to(f"net:[{inode}]")
    (folder.parent / "comm").write_text(comm + "\n")
    (folder.parent / "cgroup").write_text(cgroup + "\n")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """This host in 100, a container in 200, a namespace of a process in 300, a named one that nobody is in."""
    process(tmp_path, "self", 100)
    process(tmp_path, 1, 100, "init")
    process(tmp_path, 40, 200, "nginx", f"0::/system.slice/docker-{ID}.scope")
    process(tmp_path, 41, 200, "nginx")
    process(tmp_path, 50, 300, "unshare")
    (tmp_path / "run/netns").mkdir(parents=True)
    (tmp_path / "run/netns/blue").touch()
    return tmp_path


def test_every_namespace_but_the_own(machine: Path) -> None:
    blue = (machine / "run/netns/blue").stat().st_ino
    spaces, holes = found(Proc(machine), lambda: True)
    assert holes == []
    assert spaces == [
        Namespace(key="blue", inode=blue, name="blue"),
        Namespace(
            key="4f3c0c8f6f0d", inode=200, role="container", pid=40, processes=2, command="nginx",
            cgroup=f"0::/system.slice/docker-{ID}.scope",
        ),
        Namespace(key="300", inode=300, pid=50, processes=1, command="unshare", cgroup="0::/"),
    ]  # fmt: skip


def test_a_name_and_a_process_of_the_same_namespace_are_one(machine: Path) -> None:
    blue = (machine / "run/netns/blue").stat().st_ino
    process(machine, 60, blue, "dnsmasq")
    first, *_ = found(Proc(machine), lambda: True)[0]
    assert (first.key, first.pid, first.processes, first.command) == ("blue", 60, 1, "dnsmasq")


def test_the_host_seen_from_inside_a_container(tmp_path: Path) -> None:
    process(tmp_path, "self", 200)
    process(tmp_path, 1, 100, "systemd")
    process(tmp_path, 9, 200)
    ((only,), _) = found(Proc(tmp_path), lambda: True)
    assert (only.key, only.role, only.inode) == ("init", "host", 100)


def test_two_names_never_share_a_folder(machine: Path) -> None:
    (machine / "run/docker/netns").mkdir(parents=True)
    (machine / "run/docker/netns/blue").touch()
    inode = (machine / "run/docker/netns/blue").stat().st_ino
    keys = [space.key for space in found(Proc(machine), lambda: True)[0]]
    assert keys[:2] == ["blue", f"blue-{inode}"]


def test_a_hostile_name_is_one_folder(machine: Path) -> None:
    (machine / "run/netns/...-x y").touch()
    keys = {space.key for space in found(Proc(machine), lambda: True)[0]}
    assert "x-y" in keys


def test_no_time_leaves_a_hole(machine: Path) -> None:
    spaces, holes = found(Proc(machine), lambda: False)
    assert [space.key for space in spaces] == ["blue"]
    assert [hole.why for hole in holes] == ["only 0 of 4 processes were looked at in the time given"]


def test_no_proc_leaves_a_hole(tmp_path: Path) -> None:
    assert found(Proc(tmp_path), lambda: True) == ([], [Hole("/proc", "there is no such file")])


def test_processes_that_may_not_be_asked_are_counted(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.readlink

    def refuse(path: str) -> str:
        if "/proc/40/" in path or "/proc/41/" in path:
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "readlink", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    spaces, holes = found(Proc(machine), lambda: True)
    assert [space.key for space in spaces] == ["blue", "300"]
    why = "it is not shown for 2 of 4 processes"
    assert holes == [Hole("network namespaces", why, "run it as root: sudo tablefull")]


def test_a_process_that_ended_meanwhile_is_no_hole(machine: Path) -> None:
    (machine / "proc/70").mkdir()
    assert found(Proc(machine), lambda: True)[1] == []


def test_a_container_is_called_by_its_host_name() -> None:
    container = Namespace(key="4f3c0c8f6f0d", inode=200, role="container")
    assert with_hostname(container, "web-1", "dom0").key == "web-1"
    assert with_hostname(container, "../web", "dom0").key == "web"
    for nothing in (None, "", "dom0", "localhost", "(none)"):
        assert with_hostname(container, nothing, "dom0") is container
    named = Namespace(key="blue", inode=5, name="blue", role="container")
    assert with_hostname(named, "web-1", "dom0").key == "blue"
    assert with_hostname(named, "web-1", "dom0").hostname == "web-1"
    plain = Namespace(key="300", inode=300)
    assert with_hostname(plain, "web-1", "dom0").key == "300"


def nothing_seen() -> Answer:
    return [], []


def test_a_namespace_that_is_gone_is_a_hole(tmp_path: Path) -> None:
    space = Namespace(key="300", inode=300, pid=50)
    artefacts, holes = inside(Proc(tmp_path), space, nothing_seen, 5.0, lambda: 0.0)
    assert artefacts == []
    assert holes == [Hole("network namespace 300", "there is no such file")]


def test_a_file_that_is_no_namespace_is_a_hole(machine: Path) -> None:
    space = Namespace(key="blue", inode=1, name="blue")
    artefacts, holes = inside(Proc(machine), space, nothing_seen, 60.0, lambda: 0.0)
    assert artefacts == []
    assert [hole.what for hole in holes] == ["network namespace blue"]
    assert holes[0].why.startswith("cannot be entered: ")


def entered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entering succeeds and changes nothing: what comes after it is looked at."""
    monkeypatch.setattr(netns, "_setns", lambda fd, kind: None)


def test_what_was_seen_comes_back_however_much(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entered(monkeypatch)
    large = Artefact("proc/net/nf_conntrack", b"x" * 3_000_000)  # far above what a pipe holds
    hole = Hole("/proc/slabinfo", "permission denied", "run it as root")
    space = Namespace(key="blue", inode=1, name="blue")
    assert inside(Proc(machine), space, lambda: ([large], [hole]), 60.0, lambda: 0.0) == ([large], [hole])


def test_a_look_that_fails_is_a_hole_and_runs_nothing_of_the_parent(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered(monkeypatch)
    parent = os.getpid()

    def fail() -> Answer:
        assert os.getpid() != parent
        raise ZeroDivisionError

    space = Namespace(key="blue", inode=1, name="blue")
    _, (hole,) = inside(Proc(machine), space, fail, 60.0, lambda: 0.0)
    assert (hole.what, hole.why) == ("network namespace blue", "reading it broke off")


def test_a_look_that_never_ends_is_ended(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entered(monkeypatch)

    def wait() -> Answer:
        while True:
            signal.pause()

    space = Namespace(key="blue", inode=1, name="blue")
    _, (hole,) = inside(Proc(machine), space, wait, 1.0, lambda: 2.0)
    assert hole.why == "there was not enough time to read it"
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_an_answer_without_end_is_cut(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entered(monkeypatch)
    monkeypatch.setattr(netns, "MOST_ANSWER_BYTES", 1000)
    space = Namespace(key="blue", inode=1, name="blue")
    large = Artefact("proc/net/nf_conntrack", b"x" * 5_000_000)
    artefacts, holes = inside(Proc(machine), space, lambda: ([large], []), 60.0, lambda: 0.0)
    assert artefacts == []
    assert len(holes) == 1


SOMAXCONN = Path(
    "/proc/sys/net/core/somaxconn"
)  # a value of each namespace: net/core/sysctl_net_core.c netns_core_table


@pytest.fixture
def blue(program: Callable[[str], str]) -> Iterator[str]:
    """A fresh namespace whose somaxconn is 4242; it is gone afterwards."""
    ip, name = program("ip"), f"tablefull-{os.getpid()}"
    subprocess.run([ip, "netns", "add", name], check=True)
    try:
        words = [ip, "netns", "exec", name, "sh", "-c", f"echo 4242 > {SOMAXCONN}"]
        subprocess.run(words, check=True)
        yield name
    finally:
        subprocess.run([ip, "netns", "del", name], check=True)
        assert not Path("/run/netns", name).exists()


def somaxconn() -> Answer:
    return [Artefact("somaxconn", SOMAXCONN.read_bytes())], []


@pytest.mark.realkernel
def test_a_named_namespace_is_found_and_entered_and_this_process_stays_where_it_was(blue: str) -> None:
    here, value = Path("/proc/self/ns/net").readlink(), SOMAXCONN.read_bytes()
    assert value != b"4242\n"
    spaces, _ = found(Proc(), lambda: True)
    (space,) = [space for space in spaces if space.name == blue]
    assert (space.key, space.role, space.pid, space.processes) == (blue, "namespace", None, 0)
    assert space.inode == Path("/run/netns", blue).stat().st_ino
    assert inside(Proc(), space, somaxconn, time.monotonic() + 60) == ([Artefact("somaxconn", b"4242\n")], [])
    assert Path("/proc/self/ns/net").readlink() == here
    assert SOMAXCONN.read_bytes() == value


@pytest.mark.realkernel
def test_a_namespace_that_only_a_process_holds(program: Callable[[str], str]) -> None:
    script = f"hostname inner; echo 4343 > {SOMAXCONN}; echo ready; cat"
    words = [program("unshare"), "--net", "--uts", "sh", "-c", script]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        inode = Path(f"/proc/{holder.pid}/ns/net").stat().st_ino
        (space,) = [space for space in found(Proc(), lambda: True)[0] if space.inode == inode]
        answer = inside(Proc(), space, somaxconn, time.monotonic() + 60)
        holder.communicate()
    assert (space.key, space.name, space.pid) == (str(inode), None, holder.pid)
    assert answer == (
        [Artefact("somaxconn", b"4343\n"), Artefact("proc/sys/kernel/hostname", b"inner\n")],
        [],
    )
    assert os.uname().nodename != "inner"
