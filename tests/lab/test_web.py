"""The built-in web server and its visitors, over loopback."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tablefull.lab import web
from tablefull.lab.scene import WEB


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def server(port: int) -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-I", str(WEB), "serve", str(port)]) as child:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
        try:
            yield
        finally:
            child.send_signal(signal.SIGTERM)


def visited(port: int, *words: str, wanted: int = 20) -> list[tuple[float, float, int]]:
    call = [sys.executable, "-I", str(WEB), "visit", "127.0.0.1", str(port), "--rate", "200", *words]
    found: list[tuple[float, float, int]] = []
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        while len(found) < wanted:
            found += [(at, ms, fine) for at, ms, fine in json.loads(child.stdout.readline())]
        child.kill()
    return found


def test_another_client_is_served() -> None:
    port = free_port()
    with server(port), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        assert answer.status == 200
        assert answer.read() == web.PAGE


def test_visitors_are_served_and_told() -> None:
    port = free_port()
    with server(port):
        told = visited(port)
    assert all(fine == 1 for _, _, fine in told)
    assert all(0 < ms < 1500 for _, ms, _ in told)
    assert abs(told[0][0] - time.monotonic()) < 60


def test_who_is_refused_is_told_too() -> None:
    assert all(fine == 0 for _, _, fine in visited(free_port()))


def test_who_waits_in_vain_is_told_at_the_limit() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(100)
        told = visited(deaf.getsockname()[1], "--timeout", "0.2")
    assert all(fine == 0 and 190 < ms < 1500 for _, ms, fine in told)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: TCP_REPAIR")
def test_who_vanishes_says_no_goodbye() -> None:
    """The server's end stays ESTABLISHED: no FIN and no RST came."""
    port = free_port()
    with server(port):
        visited(port, "--vanish")
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        ends = [row for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"]
    assert len(ends) >= 15


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", 43),
        (b"HTTP/1.1 200 OK\r\ncontent-length:  0 \r\n\r\n", 40),
        (b"HTTP/1.1 200 OK\r\n\r\n", 19),
    ],
)
def test_how_long_an_answer_is(data: bytes, size: int) -> None:
    assert web.whole(data) == size
