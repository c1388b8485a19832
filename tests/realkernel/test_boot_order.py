"""The order of a boot's files beside the programs that read them: systemd-sysctl, procps' sysctl, modprobe."""

import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.realkernel import boot_place

from tablefull.fixes import boot_settings
from tablefull.fixes.boot_modules import modprobe
from tablefull.fixes.boot_settings import applied, taken
from tablefull.fixes.boot_tree import Tree

pytestmark = pytest.mark.realkernel

KEYS = ("net/netfilter/nf_conntrack_max", "net/netfilter/nf_conntrack_buckets", "net/ipv4/conf/eth0.5/forwarding")
SPELLED = (
    "net.netfilter.nf_conntrack_max",
    "net/netfilter/nf_conntrack_max",
    "-net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_buckets",
    "net.netfilter.nf_conntrack_*",
    "net/netfilter/*",
    "net.ipv4.conf.eth0/5.forwarding",
    "net/ipv4/conf/eth0.5/forwarding",
    "net.ipv4.conf.*.forwarding",
    "net.ipv4.not_there",
)
FOLDERS = ("etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d")
NAMES = ("10-a.conf", "50-b.conf", "9-c.conf", "99-sysctl.conf", "B.conf", "z.conf", ".h.conf", "b.conf~", "README")

line = st.one_of(
    st.builds(
        lambda key, mark, value: f"{key}{mark}{value}",
        st.sampled_from(SPELLED),
        st.sampled_from(("=", " = ", "  =\t")),
        st.integers(1, 99).map(str),
    ),
    st.sampled_from(("# net.netfilter.nf_conntrack_max = 3", "; x", "", "   ", "-net.netfilter.nf_conntrack_max")),
)
body = st.lists(line, max_size=4).map("\n".join)
kind = st.one_of(body, body, body, st.sampled_from(("@null", "@conf", "@gone", "@folder")))
trees = st.dictionaries(st.tuples(st.sampled_from(FOLDERS), st.sampled_from(NAMES)), kind, max_size=6)
LINKS = {"@null": "/dev/null", "@conf": "/etc/sysctl.conf", "@gone": "../nowhere"}


@pytest.fixture(scope="module", autouse=True)
def _programs() -> None:
    for name in ("unshare", "chroot", "sysctl", "modprobe"):
        if shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            pytest.skip(f"needs {name}")


def made(files: dict[tuple[str, str], str], conf: str, tree: Path) -> None:
    for (folder, name), text in files.items():
        path = tree / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text in LINKS:
            path.symlink_to(LINKS[text])
        elif text == "@folder":
            path.mkdir()
        else:
            path.write_text(text + "\n")
    (tree / "etc").mkdir(exist_ok=True)
    (tree / "etc/sysctl.conf").write_text(conf + "\n")
    boot_place.settings(tree, dict.fromkeys(KEYS, "0"))


def said(tree: Path, program: Literal["systemd", "procps"]) -> dict[str, str]:
    files = boot_settings.of_systemd(Tree(tree)) if program == "systemd" else boot_settings.of_procps(Tree(tree))
    found = {key: [entry.value for entry in applied(files, [key], program)] for key in KEYS}
    return {key: values[-1] or "" if values else "0" for key, values in found.items()}


RUNS = settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@RUNS
@example(files={("etc/sysctl.d", "9-c.conf"): "@folder", ("run/sysctl.d", "9-c.conf"): "net/netfilter/*=4"}, conf="")
@example(files={("etc/sysctl.d", "9-c.conf"): "@gone", ("run/sysctl.d", "9-c.conf"): "net/netfilter/*=4"}, conf="")
@example(files={("etc/sysctl.d", "99-sysctl.conf"): "@conf"}, conf="net.netfilter.nf_conntrack_max=5")
@example(files={("etc/sysctl.d", "9-c.conf"): "@null", ("usr/lib/sysctl.d", "9-c.conf"): "net/netfilter/*=4"}, conf="")
@given(files=trees, conf=body)
def test_systemd_sysctl_ends_at_the_same_values(files: dict[tuple[str, str], str], conf: str) -> None:
    program = "/usr/lib/systemd/systemd-sysctl"
    if not Path(program).exists():
        pytest.skip("needs systemd-sysctl (Debian package systemd)")
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        made(files, conf, tree)
        words = boot_place.run(tree, program)
        assert {key: boot_place.value(tree, key) for key in KEYS} == said(tree, "systemd"), words


@RUNS
@example(files={("etc/sysctl.d", "99-sysctl.conf"): "@conf"}, conf="net.netfilter.nf_conntrack_max=5")
@given(files=trees, conf=body)
def test_procps_ends_at_the_same_values(files: dict[tuple[str, str], str], conf: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        made(files, conf, tree)
        words = boot_place.run(
            tree, "/usr/sbin/sysctl" if Path("/usr/sbin/sysctl").exists() else "/sbin/sysctl", "--system"
        )
        assert {key: boot_place.value(tree, key) for key in KEYS} == said(tree, "procps"), words


option = st.builds(
    lambda kind, module, rest: f"{kind} {module} {rest}",
    st.sampled_from(("options", "install", "softdep", "blacklist")),
    st.sampled_from(("nf_conntrack", "nf-conntrack", "br_netfilter")),
    st.sampled_from(("hashsize=1", "hashsize=2 acct=1", "/bin/false", "/sbin/modprobe x", "post: a pre: b", "pre: c")),
)
options = st.lists(st.one_of(option, st.sampled_from(("# options nf_conntrack hashsize=9", ""))), max_size=4)
rules = st.dictionaries(
    st.tuples(st.sampled_from(("etc/modprobe.d", "run/modprobe.d", "usr/lib/modprobe.d")), st.sampled_from(NAMES)),
    st.one_of(options.map("\n".join), st.sampled_from(("@null", "@gone", "@folder"))),
    max_size=4,
)


@RUNS
@example(files={("etc/modprobe.d", "z.conf"): "@folder", ("run/modprobe.d", "z.conf"): "options nf_conntrack acct=1"})
@example(files={("etc/modprobe.d", "z.conf"): "@gone", ("run/modprobe.d", "z.conf"): "options nf_conntrack acct=1"})
@given(files=rules)
def test_modprobe_reads_the_same_lines_in_the_same_order(files: dict[tuple[str, str], str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        made(files, "", tree)
        shown = boot_place.run(tree, "/sbin/modprobe", "--showconfig").splitlines()
        found = modprobe(Tree(tree))
        for module in ("nf_conntrack", "br_netfilter"):
            theirs = [line.split(None, 2)[2] for line in shown if line.startswith(f"options {module} ")]
            ours = [f"{name}={value}" if value else name for name, value, _, _ in found.options.get(module, ())]
            assert ours == " ".join(theirs).split()
            install = [line.split(None, 2)[2] for line in shown if line.startswith(f"install {module} ")]
            assert ([found.install[module][0]] if module in found.install else []) == install[:1]


plain = st.lists(
    st.one_of(
        line.filter(lambda text: "*" not in text),
        st.sampled_from(
            ("net.netfilter.nf_conntrack_max = 5 # five", "net.netfilter.nf_conntrack_max=6#", "net.netfilter.* = 7")
        ),
    ),
    max_size=5,
).map("\n".join)


@RUNS
@given(text=plain)
def test_busybox_ends_at_the_same_values(text: str) -> None:
    if shutil.which("busybox") is None:
        pytest.skip("needs busybox (scripts/test-packages names its package)")
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        made({("etc/sysctl.d", "x.conf"): text}, "", tree)
        words = boot_place.run(tree, "busybox", "sysctl", "-e", "-q", "-p", "/etc/sysctl.d/x.conf")
        fragment = Tree(tree).fragment("/etc/sysctl.d/x.conf")
        assert fragment is not None
        for key in KEYS:
            values = [entry.value for entry in applied([fragment], [key], "line by line")]
            assert boot_place.value(tree, key) == (values[-1] if values else "0"), words


@given(text=st.from_regex(r"[ 0-9a-fxX+#;-]{0,6}", fullmatch=True))
@example(text="41 # five")
@example(text="42#")
@example(text="0x20")
@example(text="010")
def test_the_kernel_takes_the_same_number(text: str, inside: Path) -> None:
    value = taken(text)
    if value is not None and not 1 <= int(value) <= 2**31 // 1000:
        return
    inside.write_text("7\n")
    try:
        inside.write_text(text + "\n")
    except OSError:
        assert value is None
    else:
        assert (value or "7") == inside.read_text().strip()


@pytest.fixture(scope="module")
def inside() -> Iterator[Path]:
    """A timeout of a network namespace that this process stands in meanwhile."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    ctypes.CDLL(None).unshare(0x40000000)
    try:
        path = Path("/proc/sys/net/netfilter/nf_conntrack_udp_timeout")
        if not path.exists():
            pytest.skip("connection tracking is not loaded")
        yield path
    finally:
        ctypes.CDLL(None).setns(here, 0)
        os.close(here)
