"""Container engines and orchestrators: versions of docker, containerd, podman, Kubernetes; signs of LXC, LXD, OpenVZ.

The trap: an engine's report also holds the host's kernel, system and memory, and its titles (``Server:``) look like
names of machines. ``docker info`` is therefore read as one block, and the host's lines in it are handed to their own
parsers.
"""

import re
from collections.abc import Sequence

from tablefull.facts.host import KernelRelease, Program
from tablefull.facts.origin import Fact
from tablefull.facts.settings import Setting
from tablefull.kernel.sysctls import canonical
from tablefull.parsers import distribution, memory, uname
from tablefull.parsers.block import Context, Line, Read
from tablefull.parsers.distribution import named
from tablefull.parsers.uname import release_in

_V = r"v?(?P<version>[0-9]{1,4}\.[0-9]{1,4}(?:\.[0-9]{1,4})?[\w.+~-]{0,30})"
_VERSION_LINE = re.compile(
    r"(?P<name>[Dd]ocker|podman|containerd|runc|crictl|lxc|lxd|incus|kubectl|k3s|Kubernetes|nerdctl"
    r"|docker-compose|Docker Compose)"
    r"(?:\s(?:containerd\.io|github\.com/\S{3,80}))?(?:\s(?:version|Version|Engine|Community|-))*:?\s{1,4}"
    + _V
    + r"(?P<rest>,? build.*|,.*|\s[0-9a-f]{7,40}.*|\s.{0,40})?$"
)
_LABELLED = {
    "server version": ("docker", "version"),
    "container runtime version": ("", "runtime"),
    "containerruntimeversion": ("", "runtime"),
    "kubelet version": ("kubelet", "version"),
    "kubeletversion": ("kubelet", "version"),
    "kube-proxy version": ("kube-proxy", "version"),
    "kubeproxyversion": ("kube-proxy", "version"),
    "storage driver": ("docker", "storage driver"),
    "cgroup driver": ("docker", "cgroup driver"),
    "cgroup version": ("docker", "cgroup version"),
    "containerd version": ("containerd", "commit"),
    "runtimename": ("cri", "runtime"),
    "runtimeversion": ("cri", "version"),
    "security.nesting": ("lxd", "security.nesting"),
    "security.privileged": ("lxd", "security.privileged"),
    "linux.kernel_modules": ("lxd", "linux.kernel_modules"),
    "lxc.apparmor.profile": ("lxc", "lxc.apparmor.profile"),
    "lxc.mount.auto": ("lxc", "lxc.mount.auto"),
    "gitversion": ("kubernetes", "version"),
    "virtualization": ("host", "virtualization"),
    "default runtime": ("docker", "default runtime"),
}
_RUNTIME = re.compile(r"(?P<name>docker|containerd|cri-o)://(?P<version>[\w.+~-]{1,40})")
_NODE_ROW = re.compile(
    r"\s(?P<release>[2-9]\.[0-9]{1,3}\.[0-9][\w.+~-]{0,80})\s+(?:docker|containerd|cri-o)://[\w.+~-]{1,40}$"
)
_BRIDGE_WARNING = re.compile(r"WARNING: (?P<name>bridge-nf-call-ip6?tables) is disabled")
_MENTION = re.compile(
    r"(?<![\w/.-])(?P<name>Docker(?: Engine| CE)?|containerd|Podman|Kubernetes|K3s|k3s|microk8s"
    r"|MicroK8s|RKE2?|LXD|LXC|OpenVZ|libvirt|QEMU"
    r"|Calico|Flannel|kube-router|OpenShift|iptables|nftables|conntrack-tools)(?:\sversion)?\s" + _V
)
_INFO_COMMAND = re.compile(r"\b(?:docker|podman)\s(?:system\s)?info\b")
_INFO_LINE = re.compile(r"\s{0,3}[A-Z][A-Za-z /.-]{1,40}:(?:\s|$)|\s{1,8}\S")
_VIRT = frozenset(
    "lxc lxc-libvirt openvz docker podman systemd-nspawn kvm qemu vmware xen microsoft oracle amazon none wsl".split()
)
_ENGINES = ("docker engine", "client", "server", "engine", "containerd", "runc", "docker-init")


def _program(line: Line, context: Context, name: str, field: str, value: str) -> Program:
    return Program(origin=context.origin(line), name=name, field=field, value=value[:300])


def _engine(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """``docker version``: a title (Client, Server, Engine, containerd, runc) and its ``Version:``.

    The rest is read past.
    """
    title, colon, rest = lines[at].text.strip().partition(":")
    told = context.command is not None and ("docker" in context.command or "podman" in context.command)
    if not colon or title.lower() not in _ENGINES or not (told or rest.strip().startswith("Docker")):
        return None
    here = at + 1
    facts: list[Fact] = []
    known = (
        "version",
        "api version",
        "go version",
        "git commit",
        "gitcommit",
        "built",
        "os/arch",
        "context",
        "experimental",
        "engine",
        "minimum api version",
        "go",
        "git",
        "os",
        "cloud integration",
        "orchestrator",
    )
    while here < len(lines):
        label, mark, value = lines[here].text.strip().partition(":")
        if not mark or (label.lower() not in known and not label.startswith("API")):
            break
        if label == "Version" and value.strip():
            name = title.lower() if title.lower() in ("containerd", "runc", "docker-init") else "docker"
            field = "client version" if title.lower() == "client" else "version"
            facts.append(_program(lines[here], context, name, field, value.strip()))
        here += 1
    return Read(here - at, facts)


def _info(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """``docker info`` as one block: its own fields here, the host's kernel, system and memory by their own parsers."""
    told = context.command is not None and _INFO_COMMAND.search(context.command) is not None
    if not told and not lines[at].text.strip().startswith(("Containers:", "Server Version:")):
        return None
    here = at
    facts: list[Fact] = []
    while here < len(lines):
        line = lines[here]
        if not _INFO_LINE.match(line.text) or len(line.text) > 1000:
            break
        for form in (_labelled, _other):
            facts += form(line, context) or ()
        for parser in (uname, distribution, memory):
            answer = parser.read(lines[here : here + 1], 0, context)
            facts += answer.facts if answer else ()
        here += 1
    return Read(here - at, facts) if here > at and (told or here - at > 2) else None


def _node(line: Line, context: Context) -> list[Fact] | None:
    """A row of ``kubectl get nodes -o wide``: the node's kernel, runtime and, where known, distribution."""
    text = line.text.strip()
    match = _NODE_ROW.search(text)
    runtime = _RUNTIME.search(text)
    if match is None or runtime is None:
        return None
    words = text.split()
    release = release_in(match["release"])
    facts: list[Fact] = []
    if release:
        facts.append(KernelRelease(origin=context.origin(line), release=release))
    facts.append(_program(line, context, runtime["name"], "version", runtime["version"]))
    kubelet = next((word for word in words[:6] if word.startswith("v1.")), None)
    if kubelet:
        facts.append(_program(line, context, "kubelet", "version", kubelet.lstrip("v")))
    system = named(text[: match.start()])
    if system:
        facts.append(
            _program(line, context, "node", "os image", " ".join(part for part in (system.id, system.version) if part))
        )
    return facts


def _labelled(line: Line, context: Context) -> list[Fact] | None:
    """One ``label: value`` of an engine's or a node's report."""
    label, colon, value = line.text.partition(":")
    if not colon:
        label, colon, value = line.text.partition(" = ")
    place = _LABELLED.get(label.strip(" -\t\"'").lower()) if colon else None
    value = value.strip().strip("\"',")
    if place is None or not value or len(value.split()) > 6:
        return None
    runtime = _RUNTIME.search(value)
    if runtime:
        return [_program(line, context, runtime["name"], "version", runtime["version"])]
    if place[1] == "runtime" and not place[0]:
        return None
    if place == ("kubernetes", "version") or place[0] in ("kubelet", "kube-proxy"):
        value = value.removeprefix("v")
    return [_program(line, context, place[0], place[1], value)]


def _other(line: Line, context: Context) -> list[Fact] | None:
    """A version line, a bridge warning, the answer of ``systemd-detect-virt``, a container's variable."""
    text = line.text.strip()
    warning = _BRIDGE_WARNING.match(text)
    if warning:
        name = f"net.bridge.{warning['name']}"
        return [
            Setting(origin=context.origin(line), name=canonical(name), spelled=warning["name"], value="0", number=0)
        ]
    version = _VERSION_LINE.match(text)
    if version and len(text.split()) <= 8:
        return [
            _program(
                line, context, version["name"].lower().replace(" ", "-"), "version", version["version"].rstrip(".,")
            )
        ]
    command = context.command or ""
    if text in _VIRT and "detect-virt" in command:
        return [_program(line, context, "host", "virtualization", text)]
    if text in (
        "container=lxc",
        "container=docker",
        "container=podman",
        "container=lxc-libvirt",
        "container=systemd-nspawn",
    ):
        return [_program(line, context, "host", "virtualization", text.partition("=")[2])]
    return None


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Facts of one line, or of one section of ``docker version``."""
    line = lines[at]
    if len(line.text) > 1000:
        return None
    block = _info(lines, at, context) or _engine(lines, at, context)
    if block is not None:
        return block
    for form in (_node, _labelled, _other):
        facts = form(line, context)
        if facts is not None:
            return Read(1, facts)
    return None


def mentions(line: Line, context: Context) -> list[Fact]:
    """Programs a sentence names with their version ("Kubernetes 1.10.5 on Azure"), each once."""
    found: dict[str, Fact] = {}
    for match in _MENTION.finditer(line.text[:4000]):
        name = match["name"].lower().replace(" engine", "").replace(" ce", "")
        found.setdefault(name, _program(line, context, name, "version", match["version"].rstrip(".,-_")))
    return list(found.values())
