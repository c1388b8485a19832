"""A container that fills its own table while the host and its neighbour have all the room.

The trap: the limit is one number of the host and the count is each namespace's own, so the host looks idle, the
container is full, and from inside the limit can be read and not written (KERNEL.md 2.2).
"""

from typing import ClassVar

from tablefull.lab.ballast import Kind
from tablefull.lab.course import Ran
from tablefull.lab.scene import IDLE, Scene

CONTAINER, NEIGHBOUR = "172.30.0.80", "172.30.0.81"


class ContainerLimit(Scene):
    """Two containers on one host; one is full."""

    name: ClassVar[str] = "container-limit"
    title: ClassVar[str] = "A container that is full on a host that is not"
    summary: ClassVar[str] = "Two containers with web servers on one host; one fills its own table."
    watched: ClassVar[str] = "container"
    expected: ClassVar[tuple[str, ...]] = ("per-netns-or-container-limit", "long-established-timeout")
    fix: ClassVar[str] = "shorten-timeouts"
    kind: ClassVar[Kind] = Kind(server=CONTAINER, dport=80)
    beside: ClassVar[str] = "neighbour"
    tries: ClassVar[tuple[str, ...]] = (
        "conntrack -C",
        "sysctl net.netfilter.nf_conntrack_max",
        "iptables-legacy -t nat -S",
    )
    texts: ClassVar[dict[str, str]] = {
        "calm": "Two containers serve the web side by side. In each stand the rules that a container engine puts "
        "there for its own name server; they translate addresses, so each container tracks.",
        "cause": "The visitors of one of them vanish without a goodbye. The count is each container's own; the limit "
        "is the host's, and both read the same number.",
        "full": "One container refuses its visitors. Its neighbour on the same host serves everybody, and the host's "
        "own table is all but empty.",
        "diagnose": "What tablefull diagnose sees in the container:",
        "fix": "The limit cannot be raised from inside. What a container can do is keep idle entries for an hour "
        "instead of five days, and take out those that are idle already.",
        "after": "The container serves again. Raising the limit is the host's to do, for all its containers at once.",
    }

    def build(self) -> None:
        """visitors - node's bridge - container and neighbour."""
        stage = self.stage
        node = stage.machine("node")
        node.ip("link add docker0 type bridge", "link set docker0 up")
        for name, address in (("container", CONTAINER), ("neighbour", NEIGHBOUR)):
            machine = stage.machine(name)
            self.attach(node, machine, f"{address}/16", switch="docker0")
            # As Docker's embedded DNS does in a container's namespace (libnetwork, resolver_unix.go).
            rule = ["-A", "OUTPUT", "-d", "127.0.0.11", "-p", "udp", "--dport", "53", "-j", "DNAT"]
            machine.run("iptables-legacy", "-t", "nat", *rule, "--to-destination", "127.0.0.11:35053")
            self.web_server(machine)
        for number in (1, 2, 3):
            self.plug(node, f"visitor{number}", f"172.30.1.{number}/16", switch="docker0")

    def traffic(self) -> None:
        """Visitors of both."""
        machines = self.stage.machines
        self.visitors(machines["visitor1"], CONTAINER, self.requests_per_s / 2)
        self.visitors(machines["visitor3"], NEIGHBOUR, self.requests_per_s / 2, group=self.beside)

    def begin(self) -> list[str]:
        """Visitors of the one who vanish."""
        self.visitors(self.stage.machines["visitor2"], CONTAINER, self.requests_per_s / 2, vanish=True)
        return []

    def tried(self) -> Ran | None:
        """The limit as it looks from inside; it is not written: before Linux 5.13 that would change the host's."""
        words = ("ls", "-l", "/proc/sys/net/netfilter/nf_conntrack_max")
        said = self.machine.run(*words)
        return Ran(" ".join(words), said, "from inside the container") if said.startswith("-r--r--r--") else None

    def repairs(self) -> list[list[str]]:
        """A shorter time, and those out that are idle already."""
        return [
            ["shorten-timeouts", "--timeout", "tcp_timeout_established=1h"],
            ["flush-entries", "--where", IDLE],
        ]
