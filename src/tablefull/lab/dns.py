"""A DNS server and clients who ask it, with nothing but the standard library: real queries over real UDP.

The trap: a resolver that is refused by its own table is silent, and silence must be counted: each query has its own
time limit and its own socket, as a stub resolver's has. This file runs by its path, in a namespace.
"""

import argparse
import asyncio
import itertools
import json
import os
import signal
import socket
import struct
import sys
import time
from typing import cast

TELL_S = 0.1
MOST_AT_ONCE = 4000
ANSWER = "192.0.2.1"


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


class _Server(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Of the class it is by its protocol; Python 3.11 does not say so of its instances.
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if said := answer(data):
            self.transport.sendto(said, addr)

    def error_received(self, exc: Exception) -> None:
        return


async def serve(port: int) -> None:
    """Until it is ended."""
    await asyncio.get_running_loop().create_datagram_endpoint(_Server, local_addr=("0.0.0.0", port))  # noqa: S104
    await asyncio.Event().wait()


class Clients:
    """Queries at a rate, each from a port of its own."""

    def __init__(self, address: str, port: int, timeout_s: float, sign: str) -> None:
        self.address, self.port, self.timeout_s, self.sign = address, port, timeout_s, sign
        self.numbers = itertools.count(1)
        self.done: list[tuple[float, float, int]] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def ask(self) -> None:
        """One query: when it began, how long it took in ms, and whether the answer came."""
        began = time.monotonic()
        number = next(self.numbers)
        loop = asyncio.get_running_loop()
        fine = 0
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            async with asyncio.timeout(self.timeout_s):
                await loop.sock_connect(sock, (self.address, self.port))
                await loop.sock_sendall(sock, question(number & 0xFFFF, f"h{number}-{self.sign}.example"))
                data = await loop.sock_recv(sock, 2048)
                fine = int(len(data) > 12 and data[3] & 0xF == 0 and data[7] > 0)
        except (OSError, TimeoutError):
            fine = 0
        finally:
            sock.close()
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


def main() -> None:
    """``dns.py serve PORT`` or ``dns.py ask ADDRESS PORT --rate R --sign WORD``: the sign keeps names apart."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["serve", "ask"])
    parser.add_argument("where", nargs="+")
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--timeout", type=float, default=1.5)
    parser.add_argument("--sign", default="x")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        if given.what == "serve":
            asyncio.run(serve(int(given.where[0])))
        else:
            clients = Clients(given.where[0], int(given.where[1]), given.timeout, given.sign)
            asyncio.run(clients.go(given.rate))
    except BrokenPipeError:
        os._exit(0)


if __name__ == "__main__":
    main()
