"""Entries without a socket: own ends found, forwarded ones left out, and beside real sockets."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.realkernel.table_space import table_space
from tests.wire.ctnetlink_bytes import PING, WHOLE, A, B, ends, nest, number, ports
from tests.wire.test_ctnetlink import read

from tablefull.live.orphans import _end, among, end_of, own_connections, sockets
from tablefull.live.own_addresses import key_of, own
from tablefull.live.table import full
from tablefull.wire import ctnetlink as at

ME, OTHER = key_of(A), key_of(B)
HERE = frozenset((ME,))


def translated() -> at.Row:
    """Somebody called B:443 and was sent to A:8443, which is here."""
    caller = bytes((203, 0, 113, 9))
    return read(
        nest(at.TUPLE_ORIG, *ends(caller, B, *ports(6, 5000, 443))),
        nest(at.TUPLE_REPLY, *ends(A, caller, *ports(6, 8443, 5000))),
        number(at.STATUS, 0x2E),
        nest(at.PROTOINFO, nest(1, number(1, 3, 1))),
        number(at.TIMEOUT, 99),
    )


def test_whose_end_it_is() -> None:
    row = read(*WHOLE)
    assert end_of(row, HERE) == (ME, 4000, OTHER, 443)
    assert end_of(row, {OTHER}) == (OTHER, 443, ME, 4000)
    assert end_of(row, frozenset()) is None
    assert end_of(translated(), HERE) == (ME, 8443, key_of(bytes((203, 0, 113, 9))), 5000)


def test_with_and_without_a_socket() -> None:
    rows = [read(*WHOLE), translated(), read(*PING)]
    mine = own_connections(rows, HERE)
    assert len(mine) == 2
    found = among(mine, {(ME, 4000, OTHER, 443)})
    assert (found.looked_at, found.without) == (2, 1)
    assert found.examples == ("10.0.0.1:8443 - 203.0.113.9:5000 ESTABLISHED, 99 s left",)
    assert among(mine, {(OTHER, 443, ME, 4000)}).without == 1  # the other end is here, too
    assert among(own_connections(rows, frozenset()), set()).looked_at == 0


def test_ends_as_proc_writes_them() -> None:
    if sys.byteorder != "little":
        pytest.skip("the words are in the machine's order; these are a little-endian machine's")
    assert _end("0100007F:0016") == (key_of(bytes((127, 0, 0, 1))), 22)
    mapped = "0000000000000000FFFF00000100007F:1F90"
    assert _end(mapped) == (key_of(bytes((127, 0, 0, 1))), 8080)
    assert _end("B80D0120000000000000000001000000:0050") == ((0x20010DB8, 0, 0, 1, 6), 80)


@pytest.mark.realkernel
def test_a_connection_that_lost_its_socket() -> None:
    """Two connections over loopback that the kernel tracks; one entry more, put there by hand, has no socket."""
    code = (
        "import socket, sys\n"
        "listener = socket.create_server(('127.0.0.1', 7001))\n"
        "one = socket.create_connection(('127.0.0.1', 7001))\n"
        "other, _ = listener.accept()\n"
        "print('ready', flush=True)\nsys.stdin.read()\n"
    )
    with table_space() as space:
        space.run("ip", "link", "set", "lo", "up")
        space.run(
            "nft", "-f", "-", text="table ip t { chain o { type filter hook output priority 0; ct state new; }; }\n"
        )
        holder = subprocess.Popen(
            ["ip", "netns", "exec", space.name, sys.executable, "-c", code],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n"
            space.run(
                *("conntrack", "-I", "-p", "tcp", "-s", "127.0.0.1", "-d", "192.0.2.1", "--sport", "5555"),
                *("--dport", "80", "--state", "ESTABLISHED", "-t", "300", "-u", "SEEN_REPLY,ASSURED"),
            )
            reading = full(space.path, [])
            there = sockets(space.path)
            assert there is not None
            found = among(own_connections(reading.rows, own(space.path)), there)
        finally:
            holder.communicate("", timeout=10)
    assert (found.looked_at, found.without) == (2, 1)
    assert found.examples[0].startswith("127.0.0.1:5555 - 192.0.2.1:80 ESTABLISHED")


def test_sockets_of_this_process_are_seen() -> None:
    if not Path("/proc/net/tcp").exists():
        pytest.skip("needs /proc/net/tcp")
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        mine, port = client.getsockname()
        end = (key_of(socket.inet_aton(mine)), port, key_of(socket.inet_aton(mine)), listener.getsockname()[1])
        assert end in (sockets() or ())
    assert sockets("/nonexistent") is None
