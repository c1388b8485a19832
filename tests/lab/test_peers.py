"""The built-in servers and their clients, over loopback."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tablefull.lab import peers
from tablefull.lab.scene import PEERS


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def server(port: int) -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-I", str(PEERS), "serve-web", str(port)]) as child:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
        try:
            yield
        finally:
            child.send_signal(signal.SIGTERM)


def told_by(what: str, port: int, *words: str, wanted: int = 20) -> list[tuple[float, float, int]]:
    call = [sys.executable, "-I", str(PEERS), what, "127.0.0.1", str(port), "--rate", "200", *words]
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
        assert answer.read() == peers.PAGE


def test_visitors_are_served_and_told() -> None:
    port = free_port()
    with server(port):
        told = told_by("visit", port)
    assert all(fine == 1 for _, _, fine in told)
    assert all(0 < ms < 1500 for _, ms, _ in told)
    assert abs(told[0][0] - time.monotonic()) < 60


def test_who_is_refused_is_told_too() -> None:
    assert all(fine == 0 for _, _, fine in told_by("visit", free_port()))


def test_who_waits_in_vain_is_told_at_the_limit() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(100)
        told = told_by("visit", deaf.getsockname()[1], "--timeout", "0.2")
    assert all(fine == 0 and 190 < ms < 1500 for _, ms, fine in told)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: TCP_REPAIR")
def test_who_vanishes_says_no_goodbye() -> None:
    """The server's end stays ESTABLISHED: no FIN and no RST came."""
    port = free_port()
    with server(port):
        told_by("visit", port, "--vanish")
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
    assert peers.whole(data) == size


def test_a_question_as_the_standard_has_it() -> None:
    """RFC 1035, 4.1: header of six words, labels with their lengths, type A, class IN."""
    data = peers.question(7, "h1.example")
    assert struct.unpack(">HHHHHH", data[:12]) == (7, 0x0100, 1, 0, 0, 0)
    assert data[12:] == b"\x02h1\x07example\x00\x00\x01\x00\x01"


def test_an_answer_to_it() -> None:
    data = peers.answer(peers.question(7, "h1.example"))
    number, flags, questions, answers, _, _ = struct.unpack(">HHHHHH", data[:12])
    assert (number, flags >> 15, flags & 0xF, questions, answers) == (7, 1, 0, 1, 1)
    assert data.endswith(socket.inet_aton(peers.ANSWER))
    assert peers.answer(b"short") == b""


def test_clients_are_answered_and_told() -> None:
    port = free_port(socket.SOCK_DGRAM)
    with subprocess.Popen([sys.executable, "-I", str(PEERS), "serve-dns", str(port)]) as child:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.1)
            for _ in range(100):
                try:
                    sock.sendto(peers.question(1, "ready"), ("127.0.0.1", port))
                    if sock.recv(512):
                        break
                except OSError:
                    continue
        told = told_by("ask", port, "--timeout", "0.3")
        child.send_signal(signal.SIGTERM)
    assert all(fine == 1 for _, _, fine in told)


def test_silence_is_told() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        told = told_by("ask", deaf.getsockname()[1], "--timeout", "0.3")
    assert all(fine == 0 and ms > 290 for _, ms, fine in told)
