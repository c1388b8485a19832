"""The exporter's web server: /metrics for whoever asks, and patience with nobody.

The trap: a client that connects and says nothing, or reads a byte a minute, holds a thread. Each has a deadline for
everything together, after which its connection is shut down from outside, and there are never more than a few: the one
too many is sent away. A scrape of another client waits for none of them.
"""

import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

from tablefull.errors import KernelRefused, UsageError

MOST_CONNECTIONS = 32
PATIENCE_S = 10.0  # for a whole request and its answer
POLL_S = 0.5  # between looks at the deadlines, and the longest wait at the end
MOST_PATH = 2000
PAGE = (
    b"<!doctype html><meta charset=utf-8><title>tablefull</title><h1>tablefull</h1><p><a href=metrics>Metrics</a></p>\n"
)
Answer = Callable[[str], tuple[bytes, str]]


class Server(ThreadingHTTPServer):
    """Answers /metrics with what ``answer`` gives for an Accept header."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, answer: Answer, say: Callable[[str], None]) -> None:
        self.answer, self.say = answer, say
        self._held: dict[socket.socket, float] = {}
        self._lock = Lock()
        self.turned_away = 0
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            self.address_family = found[0][0]
            super().__init__(found[0][4][:2], Handler)  # type: ignore[arg-type]
        except socket.gaierror as error:
            raise UsageError(f"--listen {host[:80]!a}: no address of this host ({error.strerror})") from None
        except OSError as error:
            where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            why = (error.strerror or str(error)).lower()
            raise KernelRefused(f"cannot listen on {where}: {why}; name another with --listen") from None

    def server_bind(self) -> None:
        """As the library does, without asking a name server who this is; ``[::]`` is IPv6 alone, as it says."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for it, unless there are too many."""
        with self._lock:
            full = len(self._held) >= MOST_CONNECTIONS
            if not full:
                self._held[request] = time.monotonic() + PATIENCE_S
        if full:
            self.turned_away += 1
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close it, and count it no more."""
        with self._lock:
            self._held.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Shut down those that took too long."""
        now = time.monotonic()
        with self._lock:
            late = [request for request, until in self._held.items() if now > until]
        for request in late:
            try:
                request.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away in the middle is none."""


class Handler(BaseHTTPRequestHandler):
    """One request, one answer, one connection."""

    server: Server
    server_version = "tablefull"
    sys_version = ""
    timeout = PATIENCE_S

    def do_GET(self) -> None:
        """The metrics, or where they are."""
        path = self.path.partition("?")[0][:MOST_PATH]
        if path == "/metrics":
            try:
                body, kind = self.server.answer(self.headers.get("Accept", ""))
            except Exception as error:  # noqa: BLE001 - one scrape fails, and says so; the server goes on
                self.server.say(f"tablefull: a scrape failed: {type(error).__name__}: {error}")
                self._send(HTTPStatus.INTERNAL_SERVER_ERROR, b"the scrape failed\n", "text/plain; charset=utf-8")
                return
            self._send(HTTPStatus.OK, body, kind)
        elif path == "/":
            self._send(HTTPStatus.OK, PAGE, "text/html; charset=utf-8")
        elif path == "/-/healthy":
            self._send(HTTPStatus.OK, b"alive\n", "text/plain; charset=utf-8")
        else:
            self._send(HTTPStatus.NOT_FOUND, b"there is /metrics\n", "text/plain; charset=utf-8")

    do_HEAD = do_GET  # noqa: N815 - the library's name

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody wants a line for each scrape."""


def place(text: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:9906``, ``[::1]:9906`` or ``:9906`` (every address). UsageError for others."""
    host, colon, port = text.strip().rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if (
        not colon
        or not (port.isascii() and port.isdecimal())
        or int(port) > 65535
        or (":" in bare and bare == host)
        or any(character.isspace() for character in bare)
    ):
        raise UsageError(f"--listen {text[:80]!a}: HOST:PORT is wanted, such as 127.0.0.1:9906 or [::1]:9906")
    return bare or "::", int(port)
