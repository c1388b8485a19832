"""Small captures whose every packet is known, and a replay of them."""

from pathlib import Path

from tests.realkernel.headers import Link, peers
from tests.wire.capture_bytes import RAW, pcap

from tablefull.live import replay
from tablefull.live.captures import open_capture

SECOND = 1_000_000_000
BEGAN = 1_700_000_000 * SECOND
HOSTS = peers(1, 2)
THERE, BACK = HOSTS.link(0), HOSTS.link(1)


def query(port: int, link: Link = THERE) -> bytes:
    return link.udp(port, 53, b"q")


def at(*moments: tuple[float, bytes]) -> list[tuple[int, bytes]]:
    """Packets with their seconds since the beginning."""
    return [(BEGAN + round(when * SECOND), packet) for when, packet in moments]


def written(path: Path, packets: list[tuple[int, bytes]], link: int = RAW) -> Path:
    path.write_bytes(pcap(packets, link))
    return path


def played(path: Path, *settings: replay.Setting, **how) -> replay.Replay:
    with open_capture(str(path)) as opened:
        return replay.replay(replay.of_capture(opened), settings or (replay.Setting("one"),), **how)
