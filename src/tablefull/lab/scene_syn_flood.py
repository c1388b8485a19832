"""A server under a flood of connection attempts from addresses that do not exist.

The trap: half-open entries may be evicted, and where they are most of a large table they evict each other and nothing
is lost. It is the table whose room is taken by real connections that a flood fills.
"""

from typing import ClassVar

from tablefull.lab.ballast import Kind
from tablefull.lab.scene import Scene, Witness
from tablefull.lab.scene_http_server import RULES
from tablefull.lab.stage import found

SERVER, ROUTER = "10.82.0.80", "10.82.0.1"
FLOOD = 2.0  # attempts for each request


class SynFlood(Scene):
    """Visitors reach a web server while somebody floods it."""

    name: ClassVar[str] = "syn-flood"
    title: ClassVar[str] = "A flood of connections that are never made"
    summary: ClassVar[str] = "A web server with a stateful firewall, visitors, and a SYN flood from invented addresses."
    watched: ClassVar[str] = "server"
    expected: ClassVar[tuple[str, ...]] = ("syn-flood-or-ddos",)
    fix: ClassVar[str] = "synproxy-or-syncookies"
    kind: ClassVar[Kind] = Kind(server=SERVER, dport=80, state=2, least_s=100, most_s=119)
    entries_per_request: ClassVar[float] = 1.0 + FLOOD
    rate: ClassVar[float] = 80.0
    # One in a hundred connections through SYNPROXY repeats its first data three times, 1.7 s (measured on 6.18.44).
    timeout_s: ClassVar[float] = 2.5
    flooded: ClassVar[bool] = True
    programs: ClassVar[tuple[str, ...]] = ("hping3",)
    tries: ClassVar[tuple[str, ...]] = (
        "conntrack -L -p tcp --state SYN_RECV",
        "nstat -az TcpExtSyncookiesSent",
    )
    texts: ClassVar[dict[str, str]] = {
        "calm": "A web server answers; its firewall is stateful.",
        "cause": "Somebody sends the first packet of connections from invented addresses. Each makes an entry that "
        "waits a minute for an answer that never comes.",
        "full": "The table is full of connections that nobody wants. The server itself could defend itself with SYN "
        "cookies, but the packets of real visitors do not reach it.",
        "diagnose": "What tablefull diagnose sees on the server:",
        "fix": "SYNPROXY: no entry is made before a visitor has shown to exist. And those out that are half open.",
        "after": "The flood goes on; it makes no entries any more.",
    }

    def build(self) -> None:
        """visitors, flooder - wire - server."""
        stage = self.stage
        server, wire = stage.machine("server"), stage.machine("wire")
        wire.ip("link add switch type bridge", "link set switch up")
        self.attach(wire, server, f"{SERVER}/16")
        for number in (1, 2):
            self.plug(wire, f"client{number}", f"10.82.1.{number}/16", gateway=ROUTER)
        # The rest of the world is behind this one: what is sent to an invented address ends there.
        self.plug(wire, "flooder", f"{ROUTER}/16")
        server.ip(f"route add default via {ROUTER}")
        server.set("net.core.somaxconn", 256)
        server.set("net.ipv4.tcp_max_syn_backlog", 256)
        for words in RULES:
            server.run("iptables-legacy", *words)
        self.web_server(server)

    def traffic(self) -> None:
        """Visitors."""
        self.visitors(self.stage.machines["client1"], SERVER, self.requests_per_s)

    def begin(self) -> list[str]:
        """The flood."""
        pause_us = int(1e6 / (self.requests_per_s * FLOOD))
        words = ["-q", "-S", "-p", "80", "-i", f"u{pause_us}", "--rand-source", SERVER]
        self.stage.start(self.stage.machines["flooder"], "flood", found("hping3") or "hping3", *words, output=False)
        self.uses("hping3 floods")
        return [f"hping3 {' '.join(words)}"]

    def repairs(self) -> list[list[str]]:
        """SYNPROXY before the server, and the half-open entries out."""
        return [
            ["synproxy-or-syncookies", "--port", "tcp/80"],
            ["flush-entries", "--where", "proto=tcp and state=SYN_RECV"],
        ]

    def witness(self) -> Witness | None:
        """``wrk`` from the second client."""
        return self.wrk(self.stage.machines["client2"], SERVER)
