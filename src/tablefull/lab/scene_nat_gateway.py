"""An office behind a gateway that translates addresses: machines leave, their entries stay for five days.

The trap: a gateway needs tracking, so it cannot be turned off; what can go is what nobody uses any more, and the time
for which the rest is kept.
"""

from typing import ClassVar

from tablefull.lab.ballast import Kind
from tablefull.lab.scene import IDLE, Scene, Witness

OUTSIDE = "203.0.113.80"
ESTABLISHED = "net.netfilter.nf_conntrack_tcp_timeout_established"


class NatGateway(Scene):
    """Clients reach a web server through a gateway with MASQUERADE."""

    name: ClassVar[str] = "nat-gateway"
    title: ClassVar[str] = "A gateway that remembers for five days who left long ago"
    summary: ClassVar[str] = "A router with MASQUERADE, clients inside, a web server outside; laptops that just leave."
    watched: ClassVar[str] = "gateway"
    expected: ClassVar[tuple[str, ...]] = ("long-established-timeout",)
    fix: ClassVar[str] = "shorten-timeouts"
    kind: ClassVar[Kind] = Kind(server=OUTSIDE, dport=443)
    tries: ClassVar[tuple[str, ...]] = ("conntrack -C", "iptables-legacy -t nat -L -v", f"sysctl {ESTABLISHED}")
    texts: ClassVar[dict[str, str]] = {
        "calm": "Machines inside reach the web through the gateway, which translates their addresses and tracks every "
        "connection: without that it could not translate back.",
        "cause": "Laptops are closed in the middle of a connection. Nobody tells the gateway, and an ESTABLISHED entry "
        "without a packet lives for five days.",
        "full": "For those inside the web is dead, though the line is idle: a new connection finds no room.",
        "diagnose": "What tablefull diagnose sees on the gateway:",
        "fix": "Keep an idle ESTABLISHED entry for an hour instead of five days, and take out those that are idle "
        "already: a shorter time does not touch an entry until its next packet.",
        "after": "There is room again, and who still talks kept talking.",
    }

    def build(self) -> None:
        """inside - wire - gateway - outside."""
        stage = self.stage
        gateway, wire, outside = (stage.machine(name) for name in ("gateway", "wire", "outside"))
        wire.ip("link add switch type bridge", "link set switch up")
        stage.wire(gateway, "lan", wire, "gateway")
        stage.wire(gateway, "wan", outside, "eth0")
        wire.ip("link set gateway master switch")
        gateway.ip("addr add 10.78.0.1/16 dev lan", "addr add 203.0.113.1/24 dev wan")
        outside.ip(f"addr add {OUTSIDE}/24 dev eth0")
        gateway.set("net.ipv4.ip_forward", 1)
        for number in (1, 2, 3):
            self.plug(wire, f"inside{number}", f"10.78.1.{number}/16", gateway="10.78.0.1")
        gateway.run("iptables-legacy", "-t", "nat", "-A", "POSTROUTING", "-o", "wan", "-j", "MASQUERADE")
        self.web_server(outside)

    def traffic(self) -> None:
        """Those who stay."""
        self.visitors(self.stage.machines["inside1"], OUTSIDE, self.requests_per_s / 2)

    def begin(self) -> list[str]:
        """Those who leave."""
        self.visitors(self.stage.machines["inside2"], OUTSIDE, self.requests_per_s / 2, vanish=True)
        return []

    def repairs(self) -> list[list[str]]:
        """A shorter time, and those out that are idle already."""
        return [
            ["shorten-timeouts", "--timeout", "tcp_timeout_established=1h"],
            ["flush-entries", "--where", IDLE],
        ]

    def witness(self) -> Witness | None:
        """``wrk`` from the third machine."""
        return self.wrk(self.stage.machines["inside3"], OUTSIDE)
