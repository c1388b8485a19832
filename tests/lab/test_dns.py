"""The built-in DNS server and its clients, over loopback."""

import json
import signal
import socket
import struct
import subprocess
import sys

from tablefull.lab import dns
from tablefull.lab.scene import DNS


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def asked(port: int, wanted: int = 20) -> list[tuple[float, float, int]]:
    call = [sys.executable, "-I", str(DNS), "ask", "127.0.0.1", str(port), "--rate", "200", "--timeout", "0.3"]
    found: list[tuple[float, float, int]] = []
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        while len(found) < wanted:
            found += [(at, ms, fine) for at, ms, fine in json.loads(child.stdout.readline())]
        child.kill()
    return found


def test_a_question_as_the_standard_has_it() -> None:
    """RFC 1035, 4.1: header of six words, labels with their lengths, type A, class IN."""
    data = dns.question(7, "h1.example")
    assert struct.unpack(">HHHHHH", data[:12]) == (7, 0x0100, 1, 0, 0, 0)
    assert data[12:] == b"\x02h1\x07example\x00\x00\x01\x00\x01"


def test_an_answer_to_it() -> None:
    data = dns.answer(dns.question(7, "h1.example"))
    number, flags, questions, answers, _, _ = struct.unpack(">HHHHHH", data[:12])
    assert (number, flags >> 15, flags & 0xF, questions, answers) == (7, 1, 0, 1, 1)
    assert data.endswith(socket.inet_aton(dns.ANSWER))
    assert dns.answer(b"short") == b""


def test_clients_are_answered_and_told() -> None:
    port = free_port()
    with subprocess.Popen([sys.executable, "-I", str(DNS), "serve", str(port)]) as child:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.1)
            for _ in range(100):
                try:
                    sock.sendto(dns.question(1, "ready"), ("127.0.0.1", port))
                    if sock.recv(512):
                        break
                except OSError:
                    continue
        told = asked(port)
        child.send_signal(signal.SIGTERM)
    assert all(fine == 1 for _, _, fine in told)


def test_silence_is_told() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        told = asked(deaf.getsockname()[1])
    assert all(fine == 0 and ms > 290 for _, ms, fine in told)
