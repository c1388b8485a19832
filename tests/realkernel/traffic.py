"""Every kind of traffic by name, and ``mixed``: all of them together, on the same few hosts and ports.

The trap: a kind that is rarely met must still meet something. So errors quote what the others sent a moment ago, and
every kind draws from the same pool of hosts.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from random import Random

from tests.realkernel import (
    traffic_connections,
    traffic_datagrams,
    traffic_fragments,
    traffic_headers,
    traffic_icmp,
    traffic_sctp,
    traffic_states,
    traffic_tcp,
)
from tests.realkernel.batch import Sent
from tests.realkernel.headers import Peers, pool

Kind = Callable[[Random, list[Peers]], Iterator[Sent]]
KINDS: dict[str, Kind] = {
    "tcp": traffic_tcp.fuzz,
    "states": traffic_states.states,
    "connections": traffic_connections.connections,
    "udp": traffic_datagrams.udp,
    "udplite": traffic_datagrams.udplite,
    "gre": traffic_datagrams.gre,
    "generic": traffic_datagrams.generic,
    "icmp": traffic_icmp.queries,
    "neighbours": traffic_icmp.neighbours,
    "sctp": traffic_sctp.sctp,
    "fragments": traffic_fragments.fragments,
    "headers": traffic_headers.headers,
}
# Of a hundred turns; a turn is one packet, or the pieces of one datagram.
WEIGHTS = {
    "tcp": 42,
    "states": 10,
    "connections": 14,
    "udp": 9,
    "udplite": 2,
    "gre": 2,
    "generic": 2,
    "icmp": 4,
    "neighbours": 1,
    "sctp": 5,
    "fragments": 1,
    "headers": 2,
    "errors": 6,
}
QUOTED = ("tcp", "states", "connections", "udp", "udplite", "gre", "generic", "icmp", "sctp")
REMEMBERED = 64


def only(kind: str, seed: int, count: int) -> Iterator[Sent]:
    """One kind alone; ``errors`` are about UDP, which is sent as often."""
    chance = Random(f"{kind} {seed}")
    pairs = pool()
    if kind == "errors":
        return islice(mixed_of(chance, pairs, {"tcp": 20, "udp": 20, "icmp": 10, "errors": 50}), count)
    return islice(KINDS[kind](chance, pairs), count)


def mixed(seed: int, count: int) -> Iterator[Sent]:
    """All kinds, ``count`` packets."""
    return islice(mixed_of(Random(f"mixed {seed}"), pool(), WEIGHTS), count)


def mixed_of(chance: Random, pairs: list[Peers], weights: dict[str, int]) -> Iterator[Sent]:
    """The kinds by their weights, for ever."""
    recent: list[tuple[int, bytes]] = []
    sources: dict[str, Iterator[Sent]] = {kind: KINDS[kind](chance, pairs) for kind in weights if kind != "errors"}
    sources["errors"] = traffic_icmp.errors(chance, recent)
    quoted = [kind in QUOTED for kind in weights]
    turns = [at for at, weight in enumerate(weights.values()) for _ in range(weight)]
    draws = [sources[kind].__next__ for kind in weights]
    last = list(weights).index("errors") if "errors" in weights else -1
    random, total, place = chance.random, len(turns), 0
    while True:
        at = turns[int(random() * total)]
        if at == last and not recent:
            continue
        packet = draws[at]()
        if quoted[at] and len(packet[1]) >= 20:
            if len(recent) < REMEMBERED:
                recent.append(packet[:2])
            else:
                recent[place] = packet[:2]
                place = (place + 1) % REMEMBERED
        yield packet
