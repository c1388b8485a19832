"""Recorded trees of files that boots read, and what a person adds to them in thought."""

from collections.abc import Mapping
from pathlib import Path

from tablefull.fixes.boot import Boot, simulate
from tablefull.fixes.boot_tree import Tree
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
