"""The web server: everybody is answered, whoever else hangs."""

import http.client
import socket
import time
from collections.abc import Iterator
from threading import Event, Thread

import pytest

from tablefull.errors import KernelRefused, UsageError
from tablefull.views import exporter_http
from tablefull.views.exporter_http import Server, place


class Running:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.hold = Event()
        self.hold.set()
        self.server = Server("127.0.0.1", 0, self.answer, self.said.append)
        self.port = self.server.server_port
        self.thread = Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def answer(self, accept: str) -> tuple[bytes, str]:
        if accept == "broken":
            raise ValueError("x\ny")
        self.hold.wait(10)
        return f"a {accept}\n".encode(), "text/plain"

    def get(self, path: str = "/metrics", method: str = "GET", **headers: str) -> tuple[int, bytes, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.getheader("Content-Type", "")
        finally:
            connection.close()

    def connect(self, data: bytes = b"") -> socket.socket:
        one = socket.create_connection(("127.0.0.1", self.port), 10)
        one.sendall(data)
        return one


@pytest.fixture
def running() -> Iterator[Running]:
    one = Running()
    yield one
    one.hold.set()
    one.server.shutdown()
    one.server.server_close()
    one.thread.join(10)
    assert not one.thread.is_alive()


def test_answers(running: Running) -> None:
    assert running.get(Accept="x") == (200, b"a x\n", "text/plain")
    assert running.get("/metrics?name[]=x", Accept="y")[1] == b"a y\n"
    assert running.get("/")[0] == 200
    assert running.get("/-/healthy")[1] == b"alive\n"
    assert running.get("/../etc/passwd")[0] == 404
    assert running.get("/" + "a" * 30_000)[0] == 404
    assert running.get(method="HEAD") == (200, b"", "text/plain")
    assert running.get(method="POST")[0] == 501


def test_a_scrape_that_fails_is_one_line_and_no_end(running: Running) -> None:
    status, body, _ = running.get(Accept="broken")
    assert (status, b"Traceback" in body) == (500, False)
    assert running.said == ["tablefull: a scrape failed: ValueError: x\ny"]
    assert running.get()[0] == 200


def test_two_at_the_same_moment(running: Running) -> None:
    found: list[tuple[int, bytes, str]] = []
    running.hold.clear()
    threads = [Thread(target=lambda: found.append(running.get(Accept="z"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    running.hold.set()
    for thread in threads:
        thread.join(10)
    assert found == [(200, b"a z\n", "text/plain")] * 8


@pytest.mark.parametrize(
    "data", [b"", b"GET /metrics HTTP/1.1\r\nA: ", b"\x16\x03\x01\x00", b"GET /metrics HTTP/1.1\r\n\r\n"]
)
def test_a_client_that_hangs_blocks_nobody(running: Running, data: bytes) -> None:
    with running.connect(data):
        began = time.monotonic()
        assert running.get()[0] == 200
        assert time.monotonic() - began < exporter_http.PATIENCE_S / 2


def test_its_patience_ends_also_for_one_that_drips(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter_http, "PATIENCE_S", 0.3)
    with running.connect(b"GET /metrics HTTP/1.1\r\n") as slow:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                slow.sendall(b"A: b\r\n")  # something comes all the time: no single read times out
            except OSError:
                break
            Event().wait(0.05)
        assert time.monotonic() < until, "it was never sent away"


def test_never_more_than_a_few(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter_http, "MOST_CONNECTIONS", 3)
    held = [running.connect() for _ in range(3)]
    until = time.monotonic() + 10
    while len(running.server._held) < 3:
        assert time.monotonic() < until
    with running.connect() as late:
        assert late.recv(10) == b""  # closed at once
    assert running.server.turned_away == 1
    for one in held:
        one.close()
    while running.server._held:
        assert time.monotonic() < until
    assert running.get()[0] == 200


def test_a_port_in_use(running: Running) -> None:
    with pytest.raises(KernelRefused, match=r"^cannot listen on 127\.0\.0\.1:\d+: address already in use"):
        Server("127.0.0.1", running.port, running.answer, running.said.append)
    with pytest.raises(KernelRefused, match="cannot assign"):
        Server("192.0.2.1", 0, running.answer, running.said.append)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:9906", ("127.0.0.1", 9906)), ("[::1]:1", ("::1", 1)), (":9906", ("::", 9906)),
        ("localhost:0", ("localhost", 0)),
    ],
)  # fmt: skip
def test_places(text: str, found: tuple[str, int]) -> None:
    assert place(text) == found


@pytest.mark.parametrize(
    "text", ["", "9906", "a:", "a:b", "a:65536", "::1:9906", "a:-1", "a:٣", "a b:1", "\x1b:x", "[::1]"]
)
def test_no_places(text: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT is wanted"):
        place(text)
