"""A router that sees one direction only: the answers take another way.

The trap: connections work all the same, as long as nothing drops what is INVALID, so nobody notices; but every one of
them leaves an entry that waits two minutes for an answer which this router will never see.
"""

from typing import ClassVar

from tablefull.lab.ballast import ASSURED, Kind
from tablefull.lab.scene import Scene, Witness

SERVER = "10.83.2.80"


class AsymmetricRouter(Scene):
    """Clients reach a web server through one router, the answers come through another."""

    name: ClassVar[str] = "asymmetric-router"
    title: ClassVar[str] = "A router that sees half of every connection"
    summary: ClassVar[str] = "Two routers between clients and a web server; the stateful one sees no answers."
    watched: ClassVar[str] = "router"
    expected: ClassVar[tuple[str, ...]] = ("half-open-or-asymmetric",)
    fix: ClassVar[str] = "notrack"
    kind: ClassVar[Kind] = Kind(server=SERVER, dport=80, state=1, least_s=100, most_s=119, status=ASSURED)
    tries: ClassVar[tuple[str, ...]] = ("conntrack -L | head", "conntrack -S", "iptables-legacy -L -v")
    texts: ClassVar[dict[str, str]] = {
        "calm": "Clients reach the server through the router; the answers come back through another one. It works.",
        "cause": "Somebody adds a rule that counts new connections. From now on the router tracks, sees no answer to "
        "anything, and keeps an unanswered entry of every connection for two minutes.",
        "full": "The first packet of a new connection finds no room, though all connections together are few.",
        "diagnose": "What tablefull diagnose sees on the router:",
        "fix": "Half of a connection cannot be tracked in a useful way: web traffic goes past tracking on this router.",
        "after": "The router passes packets on, as a router should; the other traffic is tracked as before.",
    }

    def build(self) -> None:
        """clients - wire - router - back wire - server, and the other router between the same two wires."""
        stage = self.stage
        router, other, wire, far = (stage.machine(name) for name in ("router", "other", "wire", "far"))
        for switch in (wire, far):
            switch.ip("link add switch type bridge", "link set switch up")
        for number, machine in ((1, router), (2, other)):
            self.attach(wire, machine, f"10.83.1.{number}/24", device="near")
            self.attach(far, machine, f"10.83.2.{number}/24", device="far")
            machine.set("net.ipv4.ip_forward", 1)
            for device in ("all", "near", "far"):
                machine.set(f"net.ipv4.conf.{device}.rp_filter", 0)
                machine.set(f"net.ipv4.conf.{device}.send_redirects", 0)
        for number in (1, 2):
            self.plug(wire, f"client{number}", f"10.83.1.{10 + number}/24", gateway="10.83.1.1")
        server = self.plug(far, "server", f"{SERVER}/24", gateway="10.83.2.2")
        self.web_server(server)

    def traffic(self) -> None:
        """Clients."""
        self.visitors(self.stage.machines["client1"], SERVER, self.requests_per_s)

    def begin(self) -> list[str]:
        """The rule that starts tracking."""
        words = ["-A", "FORWARD", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT"]
        self.machine.run("iptables-legacy", *words)
        return [f"iptables {' '.join(words)}"]

    def repairs(self) -> list[list[str]]:
        """Web traffic past tracking, as it is passed on."""
        return [["notrack", "--port", "tcp/80", "--way", "passed"]]

    def witness(self) -> Witness | None:
        """``wrk`` from the second client."""
        return self.wrk(self.stage.machines["client2"], SERVER)
