"""Many datagrams in one call, over a pair of sockets that stands for netlink's."""

import socket

import pytest

from tablefull.errors import KernelRefused
from tablefull.live.netlink import Interrupted, Netlink
from tablefull.live.receive_many import Block


class Pair(Netlink):
    def __init__(self) -> None:
        self.name, self.interrupted, self._sequence = "netlink", False, 0
        self.socket, self.other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def close(self) -> None:
        self.socket.close()
        self.other.close()


def test_each_datagram_in_its_slot() -> None:
    block = Block(slots=4, slot_bytes=64)
    with Pair() as pair:
        for number in range(6):
            pair.other.send(bytes([number]) * (number + 1))
        assert block.fill(pair) is False
        assert [bytes(each) for each in block.datagrams()] == [bytes([n]) * (n + 1) for n in range(4)]
        assert [slot.begin for slot in block.slots] == [0, 64, 128, 192]
        block.fill(pair)
        assert [bytes(each) for each in block.datagrams()] == [bytes([n]) * (n + 1) for n in (4, 5)]


def test_one_that_is_too_large_is_told() -> None:
    block = Block(slots=2, slot_bytes=16)
    with Pair() as pair:
        pair.other.send(bytes(40))
        assert block.fill(pair) is True


def test_nothing_and_a_broken_socket() -> None:
    block = Block(slots=2, slot_bytes=16)
    with Pair() as pair:
        with pytest.raises(Interrupted, match=r"no answer for 0\.01 s"):
            block.fill(pair, timeout_s=0.01)
        unbound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        pair.socket.close()
        pair.socket = unbound
        with pytest.raises(KernelRefused):
            block.fill(pair)
