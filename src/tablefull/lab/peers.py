"""Servers and clients with nothing but the standard library: real HTTP over TCP, real DNS queries over UDP.

The trap: who is refused must be counted as soon as who is served. A table that refuses is silent, so every request has
its own connection and its own time limit, and requests begin at their rate whatever became of the earlier ones. This
file runs by its path, in a namespace.
"""

import argparse
import asyncio
import itertools
import json
import os
import resource
import signal
import socket
import struct
import sys
import time
from abc import ABC, abstractmethod
from typing import cast

PAGE = b"<!doctype html><title>It works</title><p>It works.\n"
ANSWER = "192.0.2.1"
TCP_REPAIR = 19  # include/uapi/linux/tcp.h; a socket closed in repair sends neither FIN nor RST
TELL_S = 0.1
MOST_AT_ONCE = 4000


async def _page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            close = b"connection: close" in head.lower()
            words = b"close" if close else b"keep-alive"
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n%s"
                % (len(PAGE), words, PAGE)
            )
            await writer.drain()
            if close:
                break
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.close()


async def serve_web(port: int) -> None:
    """Until it is ended."""
    server = await asyncio.start_server(_page, "0.0.0.0", port, backlog=4096)  # noqa: S104 - in a namespace
    async with server:
        await server.serve_forever()


def question(number: int, name: str) -> bytes:
    """A query for an address."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


def answer(query: bytes) -> bytes:
    """The same address for every name; empty where it is no query."""
    if len(query) < 17:
        return b""
    head = query[:2] + struct.pack(">HHHHH", 0x8580, 1, 1, 0, 0)
    return head + query[12:] + struct.pack(">HHHIH", 0xC00C, 1, 1, 0, 4) + socket.inet_aton(ANSWER)


class _Resolver(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Of the class it is by its protocol; Python 3.11 does not say so of its instances.
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if said := answer(data):
            self.transport.sendto(said, addr)

    def error_received(self, exc: Exception) -> None:
        return


async def serve_dns(port: int) -> None:
    """Until it is ended."""
    await asyncio.get_running_loop().create_datagram_endpoint(_Resolver, local_addr=("0.0.0.0", port))  # noqa: S104
    await asyncio.Event().wait()


class Clients(ABC):
    """Requests at a rate. ``done``: of each when it began, how long it took in ms, and 1 where it was answered."""

    def __init__(self, address: str, port: int, timeout_s: float) -> None:
        self.address, self.port, self.timeout_s = address, port, timeout_s
        self.done: list[tuple[float, float, int]] = []
        self.tasks: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def answered(self) -> bool:
        """One request, over a socket of its own."""

    async def ask(self) -> None:
        """One request, and what became of it."""
        began = time.monotonic()
        fine = 0
        try:
            async with asyncio.timeout(self.timeout_s):
                fine = int(await self.answered())
        except (OSError, TimeoutError):
            fine = 0
        self.done.append((began, (time.monotonic() - began) * 1000, fine))

    async def go(self, rate: float) -> None:
        """Begin at ``rate`` a second, tell what became of them, until ended."""
        began = time.monotonic()
        sent = 0
        told = began
        while True:
            now = time.monotonic()
            due = int((now - began) * rate) + 1
            if due - sent > rate:  # held up for more than a second: what was not begun is not made up for
                sent = due - 1
            while sent < due:
                sent += 1
                if len(self.tasks) < MOST_AT_ONCE:
                    task = asyncio.create_task(self.ask())
                    self.tasks.add(task)
                    task.add_done_callback(self.tasks.discard)
            if now - told >= TELL_S and self.done:
                done, self.done, told = self.done, [], now
                sys.stdout.write(json.dumps([[round(at, 4), round(ms, 2), fine] for at, ms, fine in done]) + "\n")
                sys.stdout.flush()
            await asyncio.sleep(min(0.02, 1 / rate))


class Visitors(Clients):
    """Of a web server. ``vanish``: they leave without saying so."""

    def __init__(self, address: str, port: int, timeout_s: float, vanish: bool) -> None:
        super().__init__(address, port, timeout_s)
        self.vanish = vanish

    async def answered(self) -> bool:
        """Whether the whole page came."""
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        vanished = False
        try:
            await loop.sock_connect(sock, (self.address, self.port))
            kind = b"keep-alive" if self.vanish else b"close"
            await loop.sock_sendall(sock, b"GET / HTTP/1.1\r\nHost: www.example\r\nConnection: %s\r\n\r\n" % kind)
            data = b""
            while b"\r\n\r\n" not in data or len(data) < whole(data):
                part = await loop.sock_recv(sock, 65536)
                if not part:
                    return False
                data += part
            vanished = self.vanish
            return data.startswith(b"HTTP/1.1 200")
        finally:
            if vanished:
                sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
            sock.close()


class Askers(Clients):
    """Of a DNS server, each from a port of its own. ``sign``: keeps the names of several apart."""

    def __init__(self, address: str, port: int, timeout_s: float, sign: str) -> None:
        super().__init__(address, port, timeout_s)
        self.sign, self.numbers = sign, itertools.count(1)

    async def answered(self) -> bool:
        """Whether an address came."""
        number = next(self.numbers)
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
            await loop.sock_connect(sock, (self.address, self.port))
            await loop.sock_sendall(sock, question(number & 0xFFFF, f"h{number}-{self.sign}.example"))
            data = await loop.sock_recv(sock, 2048)
        return len(data) > 12 and data[3] & 0xF == 0 and data[7] > 0


def whole(data: bytes) -> int:
    """How many bytes an answer has, by what its head says."""
    head, _, _ = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and value.strip().isdigit():
            return len(head) + 4 + int(value)
    return len(head) + 4


async def act(given: argparse.Namespace) -> None:
    """What was asked for, until it is ended."""
    if given.what == "serve-web":
        await serve_web(int(given.where[0]))
    elif given.what == "serve-dns":
        await serve_dns(int(given.where[0]))
    else:
        address, port = given.where[0], int(given.where[1])
        clients: Clients
        if given.what == "visit":
            clients = Visitors(address, port, given.timeout, given.vanish)
        else:
            clients = Askers(address, port, given.timeout, given.sign)
        await clients.go(given.rate)


def main() -> None:
    """``peers.py serve-web|serve-dns PORT`` or ``peers.py visit|ask ADDRESS PORT --rate R``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["serve-web", "serve-dns", "visit", "ask"])
    parser.add_argument("where", nargs="+")
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--timeout", type=float, default=1.5)
    parser.add_argument("--vanish", action="store_true")
    parser.add_argument("--sign", default="x")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))
    try:
        asyncio.run(act(given))
    except BrokenPipeError:
        os._exit(0)


if __name__ == "__main__":
    main()
