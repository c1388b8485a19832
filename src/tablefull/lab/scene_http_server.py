"""A busy web server whose own firewall tracks its own visitors.

The trap: the rules that ask for tracking are needed for other traffic, so tracking stays on; it is the web traffic that
must go past it, in both directions, and be accepted without state.
"""

from typing import ClassVar

from tablefull.lab.ballast import Kind
from tablefull.lab.scene import Scene, Witness

SERVER = "10.79.0.80"
RULES = (
    ("-A", "INPUT", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"),
    ("-A", "INPUT", "-p", "tcp", "--dport", "80", "-j", "ACCEPT"),
    ("-A", "INPUT", "-i", "lo", "-j", "ACCEPT"),
    ("-P", "INPUT", "DROP"),
)


class HttpServer(Scene):
    """Clients reach a web server with a stateful firewall."""

    name: ClassVar[str] = "http-server"
    title: ClassVar[str] = "A web server whose firewall remembers every visitor"
    summary: ClassVar[str] = "A web server with a stateful firewall; a new connection for every request."
    watched: ClassVar[str] = "server"
    expected: ClassVar[tuple[str, ...]] = ("long-established-timeout", "time-wait-churn")
    fix: ClassVar[str] = "notrack"
    kind: ClassVar[Kind] = Kind(server=SERVER, dport=80)
    tries: ClassVar[tuple[str, ...]] = ("conntrack -C", "iptables-legacy -L -v", "ss -s")
    texts: ClassVar[dict[str, str]] = {
        "calm": "A web server answers; its firewall is stateful, as most are.",
        "cause": "More visitors come. Each request is a connection of its own, its entry stays for two minutes in "
        "TIME_WAIT, and the entry of a visitor who vanished stays for five days.",
        "full": "The server is idle and its visitors wait: the firewall has no room to remember them. Once a minute or "
        "so the kernel throws out connections that are closing, and for a moment there is room.",
        "diagnose": "What tablefull diagnose sees on the server:",
        "fix": "The port is open for everybody, so nothing has to be remembered: web traffic goes past tracking.",
        "after": "Web traffic makes no entries any more; the firewall keeps its state for everything else.",
    }

    def build(self) -> None:
        """clients - wire - server."""
        stage = self.stage
        server, wire = stage.machine("server"), stage.machine("wire")
        wire.ip("link add switch type bridge", "link set switch up")
        self.attach(wire, server, f"{SERVER}/16")
        for number in (1, 2, 3):
            self.plug(wire, f"client{number}", f"10.79.1.{number}/16")
        for words in RULES:
            server.run("iptables-legacy", *words)
        self.web_server(server)

    def traffic(self) -> None:
        """Some visitors."""
        self.visitors(self.stage.machines["client1"], SERVER, self.requests_per_s / 2)

    def begin(self) -> list[str]:
        """More of them, who vanish."""
        self.visitors(self.stage.machines["client2"], SERVER, self.requests_per_s / 2, vanish=True)
        return []

    def repairs(self) -> list[list[str]]:
        """Web traffic past tracking."""
        return [["notrack", "--port", "tcp/80"]]

    def witness(self) -> Witness | None:
        """``wrk`` from the third client."""
        return self.wrk(self.stage.machines["client3"], SERVER)
