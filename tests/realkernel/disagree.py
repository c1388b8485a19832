"""Where the twin and the kernel part: the shortest sequence of packets that shows it, in words.

``python -m tests.realkernel.disagree KIND SEED COUNT [setting=value ...] [engine=loops]`` as root, from the root of the
repository. The trap: what matters to a packet is what came before it on the same tuple, so the search first keeps the
packets of the same two hosts, and only then tries to leave packets out.
"""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from tests.realkernel import batch as batches
from tests.realkernel import compare, traffic
from tests.realkernel.judge import Judge
from tests.realkernel.record import NO_DIRECTION

FLAGS = ((2, "SYN"), (1, "FIN"), (4, "RST"), (16, "ACK"), (8, "PSH"), (32, "URG"), (64, "ECE"), (128, "CWR"))
SHOWN = 4


def words(side: int, packet: bytes) -> str:
    """A packet in words."""
    four = packet[0] >> 4 == 4
    head = (packet[0] & 15) * 4 if four else 40
    protocol = packet[9 if four else 6]
    rest = packet[head:]
    way = f"{'<-' if side else '->'} IPv{packet[0] >> 4} proto {protocol}"
    if protocol == 6 and len(rest) >= 20:
        ports, numbers = (rest[:2], rest[2:4]), (rest[4:8], rest[8:12])
        flags = "+".join(name for bit, name in FLAGS if rest[13] & bit) or "none"
        sport, dport = (int.from_bytes(port, "big") for port in ports)
        seq, ack = (int.from_bytes(number, "big") for number in numbers)
        offset = (rest[12] >> 4) * 4
        options = rest[20:offset].hex()
        window = int.from_bytes(rest[14:16], "big")
        size = len(rest) - offset
        return f"{way} {sport}>{dport} {flags} seq {seq} ack {ack} win {window} len {size} options {options}"
    return f"{way} {packet.hex()}"


def main(arguments: list[str]) -> int:
    """Judge, compare, shrink, print; 1 where they part."""
    from tablefull.twin import Twin

    kind, seed, count = arguments[0], int(arguments[1]), int(arguments[2])
    given = dict(word.split("=", 1) for word in arguments[3:])
    engine = given.pop("engine", "reference")

    def make(settings: Mapping[str, object]) -> Any:
        return Twin("6.18", settings, engine=engine)

    return search(kind, seed, count, given, make)


def search(kind: str, seed: int, count: int, settings: dict[str, str], make: compare.MakeTwin) -> int:
    """The same with a twin of the caller's."""
    batch = batches.collect(traffic.mixed(seed, count) if kind == "mixed" else traffic.only(kind, seed, count))
    with Judge(settings) as judge:
        recorded = judge.judged(settings, kind, judge.run(batch))
        report = compare.compare(recorded, make)
        print(report.text())
        for one in report.verdicts[:SHOWN]:
            _explain(judge, batch, one, settings, make)
    return int(bool(report))


def _explain(
    judge: Judge, batch: batches.Batch, one: compare.Difference, settings: dict[str, str], make: compare.MakeTwin
) -> None:
    pair = _pair(batch.packet(one.index))
    kept = [(int(batch.side[at]), batch.packet(at)) for at in range(one.index + 1)]
    kept = [sent for sent in kept if _pair(sent[1]) == pair]

    def part(packets: list[Any]) -> bool:
        judge.space.run("conntrack", "-F")
        recorded = judge.judged(settings, "", judge.run(list(packets)))
        return bool(compare.compare(recorded, make, table=False).verdicts)

    if not part(kept):
        print(f"packet {one.index}: not seen again without the others")
        return
    kept = compare.shrink(kept, part)
    judge.space.run("conntrack", "-F")
    run = judge.run(list(kept))
    said = compare.feed(make(settings), run.batch, run.time_ns)
    print(f"packet {one.index}:")
    for at, (side, packet) in enumerate(kept):
        kernel, twin = (
            compare.named(*both) for both in ((run.state[at], run.direction[at]), (said[0][at], said[1][at]))
        )
        mark = "" if kernel == twin else "   <== twin " + twin
        print(f"  {words(side, packet)}: {kernel}{mark}")
    print("\n".join(f"  {line}" for line in judge.lines()[:3]))


def _pair(packet: bytes) -> frozenset[bytes]:
    four = packet[0] >> 4 == 4
    return frozenset((packet[12:16], packet[16:20]) if four else (packet[8:24], packet[24:40]))


if __name__ == "__main__":
    assert np.iinfo(np.uint8).max == NO_DIRECTION
    sys.exit(main(sys.argv[1:]))
