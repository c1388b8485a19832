"""Recorded trees of files that boots read, and what a person adds to them in thought."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from tablefull.fixes.act import Act, HostPlan, OwnFile, Step
from tablefull.fixes.boot import Boot, simulate
from tablefull.fixes.boot_tree import Tree
from tablefull.fixes.live_host import LiveHost
from tablefull.kernel.identity import parse_release

CAPTURES = Path(__file__).parents[1] / "captures"
MAX = "net.netfilter.nf_conntrack_max"
BRIDGE = "net.bridge.bridge-nf-call-iptables"
KERNELS = {
    "debian-12": "6.1.0-56-cloud-amd64",
    "rhel-9": "5.14.0-427.13.1.el9_4.x86_64",
    "ubuntu-12.04": "3.2.0-24-generic",
    "rhel-6": "2.6.32-754.el6.x86_64",
    "alpine": "6.6.31-0-lts",
}


def tree(name: str, planned: Mapping[str, str] | None = None) -> Tree:
    return Tree(CAPTURES / f"boot-{name}", planned)


def boot(name: str, planned: Mapping[str, str] | None = None, *keys: str) -> Boot:
    return simulate(tree(name, planned), keys or (MAX,), kernel=parse_release(KERNELS[name]))


_RELEASES = {
    "debian-12": "ID=debian\nVERSION_ID=12\n",
    "rhel-9": "ID=rhel\nVERSION_ID=9.3\n",
    "ubuntu-12.04": "ID=ubuntu\nVERSION_ID=12.04\n",
    "rhel-6": "ID=rhel\nVERSION_ID=6.10\n",
    "alpine": "ID=alpine\nVERSION_ID=3.20.3\n",
}
SEEN = {
    "proc/modules": "nf_conntrack 1 0 - Live 0x0\nbr_netfilter 1 0 - Live 0x0\n",
    "proc/sys/net/netfilter/nf_conntrack_max": "65536\n",
    "proc/sys/net/bridge/bridge-nf-call-iptables": "1\n",
    "sys/module/nf_conntrack/parameters/hashsize": "16384\n",
}


def host(name: str, folder: Path, files: Mapping[str, str] | None = None) -> LiveHost:
    """The tree with what a running host shows besides, and with files of a person; paths without the first slash."""
    root = folder / name
    shutil.copytree(CAPTURES / f"boot-{name}", root, symlinks=True)
    release = {"etc/os-release": _RELEASES[name], "proc/sys/kernel/osrelease": KERNELS[name]}
    for path, text in {**SEEN, **release, **(files or {})}.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return LiveHost(root)


def plan(*acts: Act, fix: str = "raise-max", netns: str | None = None) -> HostPlan:
    step = Step(title="t", before="b", after="a", scope="host", acts=acts, risk="r", undo="u")
    return HostPlan(fix=fix, host="h", title="t", steps=(step,), netns=netns)


def written(steps: Iterable[Step]) -> dict[str, str]:
    """The texts by path of all files that these steps write."""
    return {act.path: act.after for step in steps for act in step.acts if isinstance(act, OwnFile)}
