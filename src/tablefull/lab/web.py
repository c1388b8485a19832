"""A web server and its visitors, with nothing but the standard library: real HTTP over real TCP.

The trap: a visitor who is refused must be counted as soon as one who is served, so every request has its own time limit
and requests begin at their rate whatever became of the earlier ones. This file runs by its path, in a namespace.
"""

import argparse
import asyncio
import json
import os
import resource
import signal
import socket
import sys
import time

PAGE = b"<!doctype html><title>It works</title><p>It works.\n"
TCP_REPAIR = 19  # include/uapi/linux/tcp.h; a socket closed in repair sends neither FIN nor RST
TELL_S = 0.1
MOST_AT_ONCE = 4000


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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


async def serve(port: int) -> None:
    """Until it is ended."""
    server = await asyncio.start_server(_answer, "0.0.0.0", port, backlog=4096)  # noqa: S104 - in a namespace
    async with server:
        await server.serve_forever()


class Visitors:
    """Requests at a rate, each over a connection of its own. ``vanish``: they leave without saying so."""

    def __init__(self, address: str, port: int, timeout_s: float, vanish: bool) -> None:
        self.address, self.port, self.timeout_s, self.vanish = address, port, timeout_s, vanish
        self.done: list[tuple[float, float, int]] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def visit(self) -> None:
        """One request: when it began, how long it took in ms, and whether the whole page came."""
        began = time.monotonic()
        fine = 0
        try:
            async with asyncio.timeout(self.timeout_s):
                fine = int(await self._page())
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            fine = 0
        self.done.append((began, (time.monotonic() - began) * 1000, fine))

    async def _page(self) -> bool:
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
                    task = asyncio.create_task(self.visit())
                    self.tasks.add(task)
                    task.add_done_callback(self.tasks.discard)
            if now - told >= TELL_S and self.done:
                done, self.done, told = self.done, [], now
                sys.stdout.write(json.dumps([[round(at, 4), round(ms, 2), fine] for at, ms, fine in done]) + "\n")
                sys.stdout.flush()
            await asyncio.sleep(min(0.02, 1 / rate))


def whole(data: bytes) -> int:
    """How many bytes an answer has, by what its head says."""
    head, _, _ = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and value.strip().isdigit():
            return len(head) + 4 + int(value)
    return len(head) + 4


def main() -> None:
    """``web.py serve PORT`` or ``web.py visit ADDRESS PORT --rate R``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["serve", "visit"])
    parser.add_argument("where", nargs="+")
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--timeout", type=float, default=1.5)
    parser.add_argument("--vanish", action="store_true")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))
    try:
        if given.what == "serve":
            asyncio.run(serve(int(given.where[0])))
        else:
            visitors = Visitors(given.where[0], int(given.where[1]), given.timeout, given.vanish)
            asyncio.run(visitors.go(given.rate))
    except BrokenPipeError:
        os._exit(0)


if __name__ == "__main__":
    main()
