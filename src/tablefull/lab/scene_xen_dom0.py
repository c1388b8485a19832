"""The Xen host of the project's own incident: a bridge, a guest with a web server, and tracking that nobody needs.

The trap: on Linux 3.2 listing the nat table was enough to start tracking every bridged frame; since 4.14 a rule has to
ask for it (KERNEL.md 5.1). So the Dom0 gets what a firewall that was turned off leaves behind: a chain of rules that
nothing jumps to. It filters nothing, and tracking is on.
"""

from typing import ClassVar

from tablefull.errors import KernelRefused
from tablefull.lab.ballast import Kind
from tablefull.lab.scene import Scene, Witness

GUEST = "10.77.0.80"
SWITCH = "net.bridge.bridge-nf-call-iptables"
VANISH = 0.5  # of the visitors


class XenDom0(Scene):
    """Clients reach a guest's web server through the Dom0's bridge."""

    name: ClassVar[str] = "xen-dom0"
    title: ClassVar[str] = "A Xen host whose bridge fills a table that nobody needs"
    summary: ClassVar[str] = "A Dom0 with a bridge and bridge-nf, a guest with a web server, clients."
    watched: ClassVar[str] = "dom0"
    expected: ClassVar[tuple[str, ...]] = ("unneeded-tracking", "bridge-nf")
    fix: ClassVar[str] = "disable-bridge-nf"
    needs: ClassVar[tuple[str, ...]] = ("/proc/sys/net/bridge/bridge-nf-call-iptables",)
    kind: ClassVar[Kind] = Kind(server=GUEST, dport=80)
    tries: ClassVar[tuple[str, ...]] = (
        "conntrack -C; cat /proc/sys/net/netfilter/nf_conntrack_max",
        "iptables-legacy -L -v",
        "sysctl net.bridge.bridge-nf-call-iptables",
    )
    texts: ClassVar[dict[str, str]] = {
        "calm": "Visitors reach the guest's web server through the Dom0's bridge; 116 of them a second are the ten "
        "million hits a day of the report.",
        "cause": "A firewall was turned off on the Dom0. Its chain is left, nothing jumps to it, and it filters "
        "nothing. But one rule in it asks for connection tracking, and bridge-nf-call-iptables is 1: every frame of "
        "every guest is now tracked on the Dom0. Half of the visitors leave without a goodbye; their entries stay for "
        "five days.",
        "full": "A new connection finds no room, its first packet is dropped, and the visitor waits. Once a minute or "
        "so the kernel throws out connections that are closing, and for a moment there is room.",
        "diagnose": "What tablefull diagnose sees on the Dom0:",
        "fix": "Keep bridged frames out of iptables: the Dom0 only passes them on.",
        "after": "The old entries stay until they expire and no longer matter: nothing that is bridged asks the table "
        "any more.",
    }

    def build(self) -> None:
        """clients - wire - Dom0's bridge - guest."""
        stage = self.stage
        dom0, guest, wire = stage.machine("dom0"), stage.machine("guest"), stage.machine("wire")
        try:
            dom0.setting(SWITCH)
        except OSError:
            raise KernelRefused(
                f"this kernel has no {SWITCH} of its own in a namespace (Linux 5.3 is the first that has): "
                "the scene would have to change this host's own"
            ) from None
        dom0.ip("link add xenbr0 type bridge", "link set xenbr0 up")
        wire.ip("link add switch type bridge", "link set switch up")
        stage.wire(dom0, "vif1.0", guest, "eth0")
        stage.wire(dom0, "peth0", wire, "dom0")
        dom0.ip("link set vif1.0 master xenbr0", "link set peth0 master xenbr0", "addr add 10.77.0.1/16 dev xenbr0")
        wire.ip("link set dom0 master switch")
        guest.ip(f"addr add {GUEST}/16 dev eth0")
        for number in (1, 2, 3):
            self.plug(wire, f"client{number}", f"10.77.1.{number}/16")
        self.web_server(guest)

    def traffic(self) -> None:
        """Two machines of visitors who close, one of visitors who vanish; the third is wrk's from time to time."""
        rate = self.requests_per_s
        machines = self.stage.machines
        self.visitors(machines["client1"], GUEST, rate * (1 - VANISH))
        self.visitors(machines["client2"], GUEST, rate * VANISH, vanish=True)

    def begin(self) -> list[str]:
        """The chain that a firewall left."""
        lines = [
            ("-N", "old-firewall"),
            ("-A", "old-firewall", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT"),
        ]
        for words in lines:
            self.machine.run("iptables-legacy", *words)
        return [f"iptables {' '.join(words)}" for words in lines]

    def witness(self) -> Witness | None:
        """``wrk`` from the third client."""
        return self.wrk(self.stage.machines["client3"], GUEST)
