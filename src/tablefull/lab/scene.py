"""What every scene has: machines to build, traffic, what goes wrong, and what undoes it.

The trap: a scene is also a proof, so it never decides by itself that something happened: the conductor (play.py)
measures with real clients and reads the kernel, and a scene only says what it made and which programs it used.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tablefull.errors import KernelRefused
from tablefull.lab.ballast import Kind
from tablefull.lab.course import Ran
from tablefull.lab.stage import Machine, Stage, found, package

PEERS = Path(__file__).with_name("peers.py")
# Idle: an ESTABLISHED entry begins at five days and every packet sets it back there (KERNEL.md 2.4). Seconds of silence
# stand for the hours of a real incident.
IDLE = "proto=tcp and state=ESTABLISHED and remaining<431995"
PAGE = "It works."
_NGINX = """daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr error;
worker_rlimit_nofile 65536;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_timeout 3600s;
    keepalive_requests 100000;
    server {{ listen 80 backlog=4096; default_type text/html; location / {{ return 200 "{page}\\n"; }} }}
}}
"""
# wrk asks as fast as it is answered; a pause before each request bounds it.
_WRK = "function delay() return {pause_ms} end\n"
_WRK_CONNECTIONS = 4


def nginx_conf(folder: Path) -> str:
    """nginx in one process, with all it writes below ``folder``."""
    return _NGINX.format(folder=folder, page=PAGE)


class Witness:
    """A program of somebody else that measures the same: its words, and where it runs."""

    def __init__(self, machine: Machine, words: Sequence[str], shown: str) -> None:
        self.machine, self.words, self.shown = machine, tuple(words), shown


class Scene:
    """One scene on a stage. Class attributes say what it is before anything is made."""

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    watched: ClassVar[str]
    expected: ClassVar[tuple[str, ...]]
    fix: ClassVar[str]
    kind: ClassVar[Kind]
    texts: ClassVar[dict[str, str]]
    needs: ClassVar[tuple[str, ...]] = ()
    rate: ClassVar[float] = 116.0
    timeout_s: ClassVar[float] = 1.5
    entries_per_request: ClassVar[float] = 1.0
    programs: ClassVar[tuple[str, ...]] = ()
    beside: ClassVar[str] = ""
    flooded: ClassVar[bool] = False
    tries: ClassVar[tuple[str, ...]] = ()

    def __init__(self, stage: Stage, rate: float | None = None) -> None:
        self.stage = stage
        self.requests_per_s = rate or self.rate
        self.used: list[str] = []

    @property
    def machine(self) -> Machine:
        """The one whose table is watched."""
        return self.stage.machines[self.watched]

    @classmethod
    def missing(cls) -> str:
        """Why this host cannot play it without being changed; empty where it can."""
        for path in ("/proc/sys/net/netfilter/nf_conntrack_max", *cls.needs):
            if not Path(path).exists():
                module = "br_netfilter" if "bridge" in path else "nf_conntrack"
                return (
                    f"{path} is missing: {module} is not loaded, and the lab loads nothing, because that can change "
                    f"this host's own network; load it yourself: modprobe {module}"
                )
        for program in ("ip", "ss", "nsenter", "unshare", "iptables-legacy", *cls.programs):
            if found(program) is None:
                return f"{program} is not installed; this scene needs it (Debian: {package(program)})"
        return ""

    def build(self) -> None:
        """Machines, wires and servers."""
        raise NotImplementedError

    def begin(self) -> list[str]:
        """What goes wrong from now on; the lines as a person would type them."""
        raise NotImplementedError

    def traffic(self) -> None:
        """Start the clients that are measured."""
        raise NotImplementedError

    def repairs(self) -> list[list[str]]:
        """What undoes it: words for ``tablefull fix``, in their order."""
        return [[self.fix]]

    def tried(self) -> Ran | None:
        """Something that a person tries first and that does not help; None where there is nothing."""
        return None

    def witness(self) -> Witness | None:
        """Another program that measures the same; None where there is none."""
        return None

    def web_server(self, machine: Machine) -> None:
        """A web server on port 80: nginx, where it is there."""
        program = found("nginx")
        if program is not None:
            folder = self.stage.folder / machine.name
            folder.mkdir()
            (folder / "nginx.conf").write_text(nginx_conf(folder))
            words = [program, "-e", "stderr", "-c", str(folder / "nginx.conf"), "-p", str(folder)]
            self.uses("nginx serves")
        else:
            words = [sys.executable, "-I", str(PEERS), "serve-web", "80"]
            self.uses("the built-in server serves (nginx is not installed)")
        child = self.stage.start(machine, f"server-{machine.name}", *words, output=False)
        self.ready(machine, child.name, "tcp", 80)

    def ready(self, machine: Machine, name: str, protocol: str, port: int) -> None:
        """Wait until something listens on a port; KernelRefused where the server ended instead."""
        import time

        end = time.monotonic() + 10
        child = next(child for child in self.stage.children if child.name == name)
        while time.monotonic() < end:
            self.stage.beat()
            if machine.run("ss", f"-ln{'t' if protocol == 'tcp' else 'u'}H", f"sport = :{port}").strip():
                return
            if child.process.poll() is not None:
                break
            time.sleep(0.02)
        raise KernelRefused(f"the server did not start: {self.stage.complaint(name) or 'it says nothing'}")

    def uses(self, told: str) -> None:
        """Say once which program does what."""
        if told not in self.used:
            self.used.append(told)

    def attach(
        self, wire: Machine, machine: Machine, address: str, device: str = "eth0", switch: str = "switch"
    ) -> None:
        """A cable from a machine's ``device`` to a switch."""
        port = machine.name if device == "eth0" else f"{machine.name}-{device}"
        self.stage.wire(wire, port, machine, device)
        wire.ip(f"link set {port} master {switch}")
        machine.ip(f"addr add {address} dev {device}")

    def plug(self, wire: Machine, name: str, address: str, gateway: str = "", switch: str = "switch") -> Machine:
        """A new machine on a switch."""
        machine = self.stage.machine(name)
        self.attach(wire, machine, address, switch=switch)
        if gateway:
            machine.ip(f"route add default via {gateway}")
        return machine

    def visitors(self, machine: Machine, address: str, rate: float, *, vanish: bool = False, group: str = "") -> None:
        """Web clients that are measured; ``group``: apart from the others."""
        self.uses("built-in clients measure at a steady rate")
        words = [sys.executable, "-I", str(PEERS), "visit", address, "80", "--rate", f"{rate:g}"]
        words += ["--timeout", f"{self.timeout_s:g}", *(["--vanish"] if vanish else [])]
        self.stage.start(machine, f"visitors-{machine.name}", *words, group=group)

    def wrk(self, machine: Machine, address: str, pause_ms: int = 100) -> Witness | None:
        """``wrk`` as a witness, each request over a new connection."""
        program = found("wrk")
        if program is None:
            return None
        script = self.stage.folder / "pause.lua"
        script.write_text(_WRK.format(pause_ms=pause_ms))
        words = ["-t1", f"-c{_WRK_CONNECTIONS}", "-d2s", "--timeout", "1s", "-H", "Connection: close"]
        shown = f"wrk -t1 -c{_WRK_CONNECTIONS} -d2s --timeout 1s -H 'Connection: close' http://{address}/"
        return Witness(machine, [program, *words, "-s", str(script), f"http://{address}/"], shown)
