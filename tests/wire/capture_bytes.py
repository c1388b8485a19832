"""Captures put together by hand, field by field after the two specifications, and what a walk makes of them."""

import socket
import struct
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from subprocess import run
from typing import NamedTuple

import numpy as np

from tablefull.wire.pcap import Frames, Reader

ETHERNET, RAW, SLL, SLL2 = 1, 101, 113, 276
MACS = bytes.fromhex("020000000002 020000000001")


def checksum(data: bytes) -> int:
    """RFC 1071."""
    words = sum(struct.unpack(f">{len(data) // 2}H", data[: len(data) & ~1])) + (data[-1] << 8 if len(data) & 1 else 0)
    words = (words & 0xFFFF) + (words >> 16)
    return ~(words + (words >> 16)) & 0xFFFF


def ip4(payload=b"", *, src="10.0.0.1", dst="10.0.1.2", protocol=17, ident=1, hops=64, tos=0, fragment=0, options=b""):
    def header(check):
        length = 20 + len(options) + len(payload)
        first = 0x45 + len(options) // 4
        fields = (first, tos, length, ident, fragment, hops, protocol, check)
        return struct.pack(">BBHHHBBH", *fields) + socket.inet_aton(src) + socket.inet_aton(dst) + options

    return header(checksum(header(0))) + payload


def ip6(payload=b"", *, src="fd00::1", dst="fd01::2", protocol=17, hops=64):
    addresses = socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst)
    return struct.pack(">IHBB", 6 << 28, len(payload), protocol, hops) + addresses + payload


def udp(payload=b"", sport=1000, dport=53, check=0):
    return struct.pack(">HHHH", sport, dport, 8 + len(payload), check) + payload


def tcp(payload=b"", *, sport=40000, dport=80, seq=1, ack=1, flags=0x10, window=500, check=0, options=b""):
    first = 5 + len(options) // 4 << 4
    return struct.pack(">HHIIBBHHH", sport, dport, seq, ack, first, flags, window, check, 0) + options + payload


def ethernet(packet, kind=None):
    kind = kind if kind is not None else (0x86DD if packet[0] >> 4 == 6 else 0x0800)
    return MACS + struct.pack(">H", kind) + packet


def sll(packet, way=0, kind=None, device=1):
    kind = kind if kind is not None else (0x86DD if packet[0] >> 4 == 6 else 0x0800)
    return struct.pack(">HHH8sH", way, device, 6, MACS[:6], kind) + packet


def sll2(packet, way=0, interface=2, kind=None, device=1):
    kind = kind if kind is not None else (0x86DD if packet[0] >> 4 == 6 else 0x0800)
    return struct.pack(">HHIHBB8s", kind, 0, interface, device, way, 6, MACS[:6]) + packet


def header(link=ETHERNET, order="<", nano=False, snaplen=65535, version=(2, 4)):
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, snaplen, link)


def record(time_ns, frame, order="<", nano=False, length=None):
    second, rest = divmod(time_ns, 1_000_000_000)
    length = len(frame) if length is None else length
    return struct.pack(order + "IIII", second, rest if nano else rest // 1000, len(frame), length) + frame


def pcap(packets: Iterable[tuple[int, bytes]], link=ETHERNET, order="<", nano=False):
    """A whole capture of (time in ns, frame)."""
    return header(link, order, nano) + b"".join(record(at, frame, order, nano) for at, frame in packets)


def block(kind, body, order="<"):
    body += b"\0" * (-len(body) % 4)
    size = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + size + body + size


def option(code, value, order="<"):
    return struct.pack(order + "HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def section(order="<", version=(1, 0), options=b""):
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, *version, -1) + options, order)


def interface(link=ETHERNET, order="<", snaplen=0, options=b""):
    return block(1, struct.pack(order + "HHI", link, 0, snaplen) + options, order)


def enhanced(which, stamp, frame, order="<", length=None, options=b""):
    length = len(frame) if length is None else length
    fields = struct.pack(order + "IIIII", which, stamp >> 32, stamp & 0xFFFFFFFF, len(frame), length)
    return block(6, fields + frame + b"\0" * (-len(frame) % 4) + options, order)


def old(which, stamp, frame, order="<", length=None):
    length = len(frame) if length is None else length
    fields = struct.pack(order + "HHIIII", which, 0, stamp >> 32, stamp & 0xFFFFFFFF, len(frame), length)
    return block(2, fields + frame, order)


def simple(frame, order="<", length=None):
    return block(3, struct.pack(order + "I", len(frame) if length is None else length) + frame, order)


class Seen(NamedTuple):
    """One packet as a walk gave it; ``ip`` are its bytes from the IP header on, None where there is none."""

    time_ns: int
    ip: bytes | None
    wire: int
    interface: int = 0
    packet_type: int = 255


def seen(frames: Frames) -> list[Seen]:
    found = []
    for at, start, captured, wire, which, kind in zip(*(column.tolist() for column in frames[1:]), strict=True):
        if start < 0:
            assert (start, captured, wire) == (-1, 0, 0)
            found.append(Seen(at, None, 0, which, kind))
        else:
            assert 0 < captured <= len(frames.data) - start
            found.append(Seen(at, frames.data[start : start + captured].tobytes(), wire, which, kind))
    return found


def walked(data: bytes, cuts: Iterable[int] = (), name="x.pcap") -> tuple[list[Seen], Reader]:
    """All packets of a capture, given whole or in pieces that end at ``cuts``; at the end whatever is left."""
    reader, found = Reader(name), []
    array = np.frombuffer(bytearray(data), np.uint8)
    for end in sorted({min(cut, len(data)) for cut in cuts} | {len(data)}):
        last = end == len(data)
        if reader.damage is None and (last or end - reader.offset >= reader.wants):
            for frames in reader.walk(array[reader.offset : end], last=last):
                found += seen(frames)
    return found, reader


class Told(NamedTuple):
    """A packet as tshark tells it; addresses of the outermost IP header, empty where there is none."""

    time_ns: int
    length: int
    captured: int
    interface: int
    src: str
    dst: str


def tshark(program: Callable[[str], str], path: Path) -> list[Told]:
    names = ("frame.time_epoch", "frame.len", "frame.cap_len", "frame.interface_id")
    names = (*names, "ip.src", "ip.dst", "ipv6.src", "ipv6.dst")
    words = [program("tshark"), "-n", "-r", str(path), "-T", "fields", "-E", "separator=|", "-E", "occurrence=f"]
    text = run([*words, *(word for name in names for word in ("-e", name))], capture_output=True, text=True, check=True)
    told = []
    for line in text.stdout.splitlines():
        at, length, captured, which, src4, dst4, src6, dst6 = line.split("|")
        time_ns = int(Decimal(at) * 1_000_000_000) if at else 0
        told.append(Told(time_ns, int(length), int(captured), int(which or 0), src4 or src6, dst4 or dst6))
    return told


def addresses(ip: bytes | None) -> tuple[str, str]:
    if ip is None:
        return "", ""
    if ip[0] >> 4 == 4:
        return socket.inet_ntoa(ip[12:16]), socket.inet_ntoa(ip[16:20])
    return socket.inet_ntop(socket.AF_INET6, ip[8:24]), socket.inet_ntop(socket.AF_INET6, ip[24:40])
