"""The receiving thread on sockets of this process: every event comes out, in order, and nothing that was lost is hidden."""

import errno
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.realkernel import filled

from tablefull.live import record_receiver as receiving
from tablefull.live.record_receiver import Batch, Ended, Item, Lost, Receiver, Source, waiting
from tablefull.wire import ctnetlink as at


class Wire:
    """Stands for a netlink socket: a pair of datagram sockets."""

    name = "wire"

    def __init__(self) -> None:
        self.socket, self.kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.asked: list[int] = []

    def join(self, group: int) -> None:
        """As the kernel does."""

    def room(self, wanted_bytes: int) -> int:
        self.asked.append(wanted_bytes)
        return 2 * wanted_bytes

    def close(self) -> None:
        self.socket.close()


Make = Callable[..., Source]


@pytest.fixture
def source() -> Iterator[Make]:
    wires: list[Any] = []

    def make(number: int = 0) -> Source:
        wires.append(Wire())
        return Source(number, f"space{number}", None, number, wires[-1], 1000, 8000)

    yield make
    for wire in wires:
        wire.kernel.close()
        wire.socket.close()


@pytest.fixture
def receiver(source: Make) -> Iterator[Receiver]:
    found = Receiver()
    yield found
    all_of(found)
    assert "events" not in {thread.name for thread in threading.enumerate()}


def all_of(receiver: Receiver) -> list[Item]:
    """Everything until the end; batches as rows that are nobody else's."""
    receiver.stop()
    found: list[Item] = []
    for item in waiting(receiver):
        if isinstance(item, Batch):
            found.append(Batch(item.rows[: item.count].copy(), item.count, item.spans))
            receiver.done(item)
        else:
            found.append(item)
    return found


def test_every_event_comes_out_in_order_with_its_source(source: Make, receiver: Receiver) -> None:
    sources = [source(0), source(1)]
    for one in sources:
        receiver.follow(one)
    sent = list(filled.messages(400))
    for number, data in enumerate(sent):
        sources[number % 2].link.kernel.send(data)  # type: ignore[attr-defined]
    items = all_of(receiver)
    batches = [item for item in items if isinstance(item, Batch)]
    ports: dict[int, list[int]] = {0: [], 1: []}
    for batch in batches:
        times, numbers = batch.columns()
        assert len(times) == len(numbers) == batch.count
        for port, number in zip(batch.rows[:, at.R_SPORT].tolist(), numbers.tolist(), strict=True):
            ports[number].append(port)
    assert ports == {
        0: [1024 + number for number in range(0, 400, 2)],
        1: [1024 + number for number in range(1, 400, 2)],
    }
    assert [item.source.number for item in items if isinstance(item, Ended)] == [0, 1]
    assert receiver.messages == 400
    assert receiver.bytes == sum(map(len, sent))


def test_more_than_a_chunk(source: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "CHUNK_ROWS", 16)  # of those that come after the first
    one = source()
    receiver.follow(one)
    first_chunk = 65536
    link: Any = one.link
    thread = threading.Thread(target=lambda: [link.kernel.send(data) for data in filled.messages(first_chunk + 400)])
    thread.start()
    counted = 0
    while counted < first_chunk + 400:
        item = receiver.get(10)
        assert isinstance(item, Batch)
        counted += item.count
        receiver.done(item)
    thread.join()
    assert counted == first_chunk + 400


def overflow(receiver: Receiver, one: Source, monkeypatch: pytest.MonkeyPatch, drops: list[int | None]) -> list[Item]:
    """One ENOBUFS before two events."""
    told = iter(drops)
    monkeypatch.setattr(Source, "dropped", lambda self: next(told))
    real, failed = receiver._block.receive, [False]

    def receive(descriptor: int) -> int:
        if not failed[0]:
            failed[0] = True
            return -errno.ENOBUFS
        return real(descriptor)

    monkeypatch.setattr(receiver._block, "receive", receive)
    receiver.follow(one)
    link: Any = one.link
    for data in filled.messages(2):
        link.kernel.send(data)
    return all_of(receiver)


def test_an_overflow_is_a_gap_with_the_kernels_number_behind_what_it_still_had(
    source: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = source()
    items = overflow(receiver, one, monkeypatch, [10, 52, 52])
    kinds = [type(item) for item in items]
    assert kinds[:2] == [Batch, Lost]
    assert kinds[-1] is Ended
    assert set(kinds[2:-1]) <= {Batch}  # what came behind the gap, in one piece or two
    lost = items[1]
    assert isinstance(lost, Lost)
    assert (lost.count, lost.dropped) == (42, True)
    assert lost.from_ns <= lost.until_ns
    assert one.link.asked == [1000]  # type: ignore[attr-defined]
    assert one.room_bytes == 2000


def test_a_gap_of_which_the_kernel_does_not_say_how_many(
    source: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = overflow(receiver, source(), monkeypatch, [None, None, None])
    assert [item.count for item in items if isinstance(item, Lost)] == [None]


def test_what_the_kernel_threw_away_without_a_word_is_told_at_the_end(
    source: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = iter([10, 13, 13])
    monkeypatch.setattr(Source, "dropped", lambda self: next(told))
    receiver.follow(source())
    assert [item.count for item in all_of(receiver) if isinstance(item, Lost)] == [3]


def test_garbage_is_a_gap_of_its_own(source: Make, receiver: Receiver) -> None:
    one = source()
    receiver.follow(one)
    link: Any = one.link
    good = next(filled.messages(1))
    for data in (good, good[:50], b"x", struct.pack("=IHHII", 20, 0x100, 0, 0, 0) + b"abcd", good):
        link.kernel.send(data)
    items = all_of(receiver)
    assert sum(item.count for item in items if isinstance(item, Batch)) >= 2
    lost = [item for item in items if isinstance(item, Lost)]
    assert sum(item.count or 0 for item in lost) == 2
    assert not any(item.dropped for item in lost)


def test_a_socket_that_fails_ends_alone(source: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = source(0), source(1)
    real, broken = receiver._block.receive, bad.link.socket.fileno()
    monkeypatch.setattr(
        receiver._block, "receive", lambda descriptor: -errno.EPERM if descriptor == broken else real(descriptor)
    )
    receiver.follow(bad)
    receiver.follow(good)
    link: Any = bad.link
    link.kernel.send(b"x" * 20)
    item = receiver.get(10)
    assert isinstance(item, Ended)
    assert item.source is bad
    assert "CAP_NET_ADMIN" in (item.why or "")
    other: Any = good.link
    other.kernel.send(next(filled.messages(1)))
    assert sum(item.count for item in all_of(receiver) if isinstance(item, Batch)) == 1


def test_a_source_that_is_left_hands_over_what_it_had(source: Make, receiver: Receiver) -> None:
    one = source()
    receiver.follow(one)
    link: Any = one.link
    for data in filled.messages(5):
        link.kernel.send(data)
    receiver.leave(one)
    first, second = receiver.get(10), receiver.get(10)
    assert isinstance(first, Batch)
    assert first.count == 5
    assert isinstance(second, Ended)
    assert second.why is None
    assert one.link.socket.fileno() == -1
    receiver.done(first)
