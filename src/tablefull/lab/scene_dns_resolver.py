"""A DNS resolver behind its own stateful firewall: two entries for every question, thirty seconds each.

The trap: these entries are never ASSURED, so the kernel may evict them; but it looks into eight buckets only (KERNEL.md
4.2), and in a table with many buckets and few of them that fails nearly always.
"""

import sys
from typing import ClassVar

from tablefull.lab.ballast import Kind
from tablefull.lab.scene import PEERS, Scene
from tablefull.lab.stage import found

RESOLVER, UPSTREAM = "10.81.0.53", "10.81.9.53"
RULES = (
    ("-A", "INPUT", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"),
    ("-A", "INPUT", "-p", "udp", "--dport", "53", "-j", "ACCEPT"),
    ("-A", "INPUT", "-p", "udp", "--sport", "53", "-j", "ACCEPT"),
    ("-A", "INPUT", "-i", "lo", "-j", "ACCEPT"),
    ("-P", "INPUT", "DROP"),
)
_DNSMASQ = ("--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--user=root", "--group=root")


class DnsResolver(Scene):
    """Clients ask a resolver, which asks another one."""

    name: ClassVar[str] = "dns-resolver"
    title: ClassVar[str] = "A resolver that remembers every question"
    summary: ClassVar[str] = "A DNS resolver with a stateful firewall, one above it, and clients who ask."
    watched: ClassVar[str] = "resolver"
    expected: ClassVar[tuple[str, ...]] = ("udp-dns-churn",)
    fix: ClassVar[str] = "notrack"
    kind: ClassVar[Kind] = Kind(server=RESOLVER, dport=53, proto=17, state=0, least_s=100, most_s=119)
    entries_per_request: ClassVar[float] = 2.0
    tries: ClassVar[tuple[str, ...]] = ("conntrack -C", "iptables-legacy -L -v", f"conntrack -L -p udp -d {UPSTREAM}")
    texts: ClassVar[dict[str, str]] = {
        "calm": "Clients ask the resolver, the resolver asks the one above it; its firewall is stateful.",
        "cause": "More clients ask, each name once. Every question makes two entries, one from the client and one to "
        "the server above, and each stays for thirty seconds though the answer came within a millisecond.",
        "full": "Questions are dropped before the resolver sees them, and its own questions fail with EPERM.",
        "diagnose": "What tablefull diagnose sees on the resolver:",
        "fix": "A question and its answer need no memory: port 53 goes past tracking, in both roles.",
        "after": "Every question is answered; no new entry is made for any of them.",
    }

    def build(self) -> None:
        """clients - wire - resolver and the server above."""
        stage = self.stage
        resolver, wire, upstream = (stage.machine(name) for name in ("resolver", "wire", "upstream"))
        wire.ip("link add switch type bridge", "link set switch up")
        self.attach(wire, resolver, f"{RESOLVER}/16")
        self.attach(wire, upstream, f"{UPSTREAM}/16")
        for number in (1, 2):
            self.plug(wire, f"client{number}", f"10.81.1.{number}/16")
        for words in RULES:
            resolver.run("iptables-legacy", *words)
        program = found("dnsmasq")
        if program is not None:
            above = [program, *_DNSMASQ, "--address=/#/192.0.2.1", f"--pid-file={stage.folder}/above.pid"]
            own = [program, *_DNSMASQ, f"--server={UPSTREAM}", "--cache-size=0", "--dns-forward-max=20000"]
            self.uses("dnsmasq answers, on both servers")
        else:
            above = own = [sys.executable, "-I", str(PEERS), "serve-dns", "53"]
            self.uses("the built-in server answers by itself (dnsmasq is not installed)")
        stage.start(upstream, "above", *above, output=False)
        self.ready(upstream, "above", "udp", 53)
        own = [*own, f"--pid-file={stage.folder}/own.pid"] if program is not None else own
        stage.start(resolver, "server", *own, output=False)
        self.ready(resolver, "server", "udp", 53)

    def traffic(self) -> None:
        """A few clients."""
        self._ask("client1", self.requests_per_s / 2)
        self.uses("built-in clients measure at a steady rate")

    def begin(self) -> list[str]:
        """And more of them."""
        self._ask("client2", self.requests_per_s / 2)
        return []

    def _ask(self, name: str, rate: float) -> None:
        words = [sys.executable, "-I", str(PEERS), "ask", RESOLVER, "53", "--rate", f"{rate:g}", "--sign", name]
        self.stage.start(self.stage.machines[name], f"visitors-{name}", *words, "--timeout", f"{self.timeout_s:g}")

    def repairs(self) -> list[list[str]]:
        """Port 53 past tracking, as a server and as a client."""
        return [["notrack", "--port", "udp/53", "--way", "both"]]
