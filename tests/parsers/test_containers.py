"""Container engines; expected values are read off the text, the version is that of a real client."""

from hypothesis import given
from machine_text import CAPTURE, COMMANDS, LINES, facts_of, holds_for, is_linear, line_of, lines_of

from tablefull.facts.host import KernelRelease
from tablefull.facts.settings import Setting
from tablefull.parsers.block import Context
from tablefull.parsers.containers import mentions, read


def shown(text, command=None):
    return [(f.name, f.field, f.value) for f in facts_of(read, text, command) if not isinstance(f, KernelRelease)]


def test_docker_version():
    text = (CAPTURE / "commands/docker-version").read_text()
    assert shown(text, "docker version") == [("docker", "client version", text.split()[2])]
    assert shown("Docker version 20.10.7, build f0df350") == [("docker", "version", "20.10.7")]
    assert shown(" Server Version: 19.03.13") == [("docker", "version", "19.03.13")]
    assert shown("containerd containerd.io 1.4.6 d71fcd7d8303cbf684402823e425e9dd2e99285d") == [
        ("containerd", "version", "1.4.6")
    ]


INFO = """Containers: 12
 Running: 11
Server Version: 20.10.7
 Kernel Version: 5.4.0-77-generic
 Operating System: Ubuntu 20.04.2 LTS
 Total Memory: 7.5GiB
WARNING: bridge-nf-call-iptables is disabled"""


def test_docker_info_holds_the_host():
    for text, command in (
        (INFO, None),
        ("Server:\n" + "\n".join(f" {line}" for line in INFO.splitlines()), "docker info"),
    ):
        kinds = {type(fact).__name__: fact for fact in facts_of(read, text, command)}
        assert set(kinds) == {"Program", "KernelRelease", "Distribution", "Memory", "Setting"}
        assert kinds["KernelRelease"].release == "5.4.0-77-generic"
        assert kinds["Memory"].total_bytes == 15 << 29


def test_nodes():
    row = "node1   Ready   <none>   12d   v1.20.4   10.0.0.4   <none>   Ubuntu 18.04.5 LTS   5.4.0-1041-azure   docker://19.3.14"
    assert shown(row) == [
        ("docker", "version", "19.3.14"),
        ("kubelet", "version", "1.20.4"),
        ("node", "os image", "ubuntu 18.04.5"),
    ]
    (kernel,) = [f for f in facts_of(read, row) if isinstance(f, KernelRelease)]
    assert kernel.release == "5.4.0-1041-azure"
    assert shown(" Container Runtime Version:  containerd://1.6.6") == [("containerd", "version", "1.6.6")]


def test_a_warning_is_a_setting():
    (fact,) = facts_of(read, "WARNING: bridge-nf-call-iptables is disabled")
    assert isinstance(fact, Setting)
    assert fact.number == 0


def test_signs_of_a_container():
    assert shown("lxc", "systemd-detect-virt") == [("host", "virtualization", "lxc")]
    assert shown('  security.nesting: "true"') == [("lxd", "security.nesting", "true")]


def test_other_lines_are_not_claimed():
    for text in ("docker is what we run", "lxc", "Client: it hangs", "Server:", "version: 3"):
        assert read(lines_of(text), 0, Context("-")) is None


def test_mentions():
    facts = mentions(
        line_of("Kubernetes 1.8 on Ubuntu Xenial VMs, Docker 17.06, Flannel 1.9.0 in host-gateway mode."), Context("-")
    )
    assert [(f.name, f.value) for f in facts] == [("kubernetes", "1.8"), ("docker", "17.06"), ("flannel", "1.9.0")]


@given(LINES, COMMANDS)
def test_any_text_is_answered(texts, command):
    holds_for(read, texts, command)


def test_time_is_linear():
    is_linear(read)
