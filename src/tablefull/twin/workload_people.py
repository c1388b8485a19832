"""Who talks to whom, and when each of them begins: addresses and ports by serial number, arrivals by window of time.

The trap: a million flows must not cost a million rows of memory. A flow is its serial number; its addresses, ports and
first sequence numbers are computed from it again whenever a packet of it is made.
"""

import numpy as np
import numpy.typing as npt

from tablefull.twin.workload_frames import Ends, Times, Words
from tablefull.twin.workload_spec import SECOND_NS, Network, Spec

# Clients lie in 10.0.0.0/8 or 2001:db8::/32, servers in 198.18.0.0/15 or 2001:db8:ffff::/48. [RFC 1918, 3849, 2544]
CLIENTS_4, SERVERS_4 = 0x0A000001, 0xC6120001
CLIENTS_6, SERVERS_6 = 0x20010DB8_00000000_00000000_00000001, 0x20010DB8_FFFF0000_00000000_00000001
CLIENTS_A_WORKLOAD = 1 << 20
FIRST_PORT, PORTS = 32768, 28232  # net.ipv4.ip_local_port_range as Linux ships it
BURST_NS = 1_000_000
_PRIVATE_FIRST = (10, 127)


def mixed(serial: Times, salt: int) -> npt.NDArray[np.uint64]:
    """64 bits that look like chance and are the same for the same serial number. (SplitMix64, Steele et al. 2014)"""
    with np.errstate(over="ignore"):
        state = serial.astype(np.uint64) + np.uint64(salt & 0xFFFFFFFF) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ state >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ state >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        return np.asarray(state ^ state >> np.uint64(31), np.uint64)


def below(serial: Times, salt: int, limit: int) -> Times:
    """A number from 0 to ``limit`` - 1 for each serial number."""
    return np.asarray((mixed(serial, salt) >> np.uint64(11)) % np.uint64(limit), np.int64)


def happens(serial: Times, salt: int, share: float) -> npt.NDArray[np.bool_]:
    """Whether something that this share of them has is so."""
    chosen: npt.NDArray[np.bool_] = below(serial, salt, 1 << 32) < share * (1 << 32)
    return chosen


def addresses(numbers: Times, base_4: int, base_6: int, family: int) -> Words:
    """Addresses so far from the base: rows of one word or four."""
    if family == 4:
        return (numbers + base_4).astype(np.uint32)[:, None]
    rows = np.empty((len(numbers), 4), np.uint32)
    for word in range(3):
        rows[:, word] = base_6 >> 32 * (3 - word) & 0xFFFFFFFF
    rows[:, 3] = (numbers + (base_6 & 0xFFFFFFFF)).astype(np.uint32)
    return rows


class People:
    """The two ends of each flow of one workload; ``place`` is its number among the workloads, ``salt`` its seed."""

    def __init__(self, spec: Spec, place: int, salt: int) -> None:
        self.family = int(spec.word("family"))
        self.salt = salt
        self.shift = place * CLIENTS_A_WORKLOAD
        self.clients = spec.count("clients") if "clients" in spec.values else 1
        self.servers = spec.count("servers") if "servers" in spec.values else 1
        self.port = spec.count("port") if "port" in spec.values else 0
        network = spec.values.get("sources")
        self.sources = network if isinstance(network, Network) else None

    def client(self, number: Times) -> Words:
        """Addresses of clients by their number."""
        return addresses(number + self.shift, CLIENTS_4, CLIENTS_6, self.family)

    def server(self, number: Times) -> Words:
        """Addresses of servers by their number."""
        return addresses(number, SERVERS_4, SERVERS_6, self.family)

    def pairs(self, serial: Times, *, anyport: bool = False) -> Ends:
        """A client's next source port (or, ``anyport``, any at all) to a server's port."""
        client = serial % self.clients
        if anyport:
            sport = 1024 + below(serial, self.salt ^ 1, 64512)
        else:
            sport = FIRST_PORT + (serial // self.clients + below(client, self.salt ^ 2, PORTS)) % PORTS
        server = below(serial, self.salt ^ 3, self.servers)
        return Ends(self.client(client), self.server(server), sport, np.full(len(serial), self.port, np.int64))

    def spoofed(self, serial: Times) -> Ends:
        """Sources that nobody has, from a network or from all of the address space, with any source port."""
        server = below(serial, self.salt ^ 3, self.servers)
        port = np.full(len(serial), self.port, np.int64) if self.port else 1 + below(serial, self.salt ^ 5, 65535)
        sport = 1024 + below(serial, self.salt ^ 1, 64512)
        return Ends(self._scattered(serial), self.server(server), sport, port)

    def _scattered(self, serial: Times) -> Words:
        chance = mixed(serial, self.salt ^ 4)
        if self.family == 4:
            low = (chance & np.uint64(0xFFFFFFFF)).astype(np.int64)
            if self.sources is not None:
                return (self.sources.base | low & ((1 << self.sources.free_bits) - 1)).astype(np.uint32)[:, None]
            first = 1 + (low >> 24) % 223
            first += np.isin(first, _PRIVATE_FIRST)
            return (first << 24 | low & 0xFFFFFF).astype(np.uint32)[:, None]
        rows = np.empty((len(serial), 4), np.uint32)
        base = self.sources.base if self.sources is not None else 0x20 << 120
        free = self.sources.free_bits if self.sources is not None else 125
        other = mixed(serial, self.salt ^ 6)
        for word, (bits, shift) in enumerate(((chance, 32), (chance, 0), (other, 32), (other, 0))):
            place = 3 - word
            wanted = (1 << min(max(free - 32 * place, 0), 32)) - 1
            found = (bits >> np.uint64(shift)).astype(np.int64) & 0xFFFFFFFF & wanted
            rows[:, word] = (found | base >> 32 * place & 0xFFFFFFFF).astype(np.uint32)
        return rows


class Arrivals:
    """When flows begin, in ns: ``rate`` a second from ``start_ns`` to ``end_ns``, by the spec's kind of arrival."""

    def __init__(self, spec: Spec, rate: float, start_ns: int, end_ns: int, chance: np.random.Generator) -> None:
        self.rate, self.start_ns, self.end_ns, self.chance = rate, start_ns, end_ns, chance
        self.kind = spec.word("arrival")
        self.burst = spec.count("burst")
        self.period_ns = spec.ns("period")

    def window(self, begin_ns: int, end_ns: int) -> Times:
        """Those of one window, in order. Windows must follow each other."""
        begin_ns, end_ns = max(begin_ns, self.start_ns), min(end_ns, self.end_ns)
        if end_ns <= begin_ns:
            return np.zeros(0, np.int64)
        if self.kind in ("uniform", "burst"):
            return self._regular(begin_ns, end_ns)
        factor = 2.0 if self.kind == "diurnal" else 1.0
        count = self.chance.poisson(factor * self.rate * (end_ns - begin_ns) / SECOND_NS)
        times = np.sort(self.chance.integers(begin_ns, end_ns, count, dtype=np.int64))
        if self.kind == "diurnal":
            # Least at the start of a period, twice the mean in its middle.
            phase = 2 * np.pi * ((times - self.start_ns) % self.period_ns) / self.period_ns
            times = times[self.chance.random(count) * 2 < 1 - np.cos(phase)]
        return times

    def _regular(self, begin_ns: int, end_ns: int) -> Times:
        gap = SECOND_NS / self.rate
        step = gap * self.burst if self.kind == "burst" else gap
        first = max(0, int((begin_ns - self.start_ns - BURST_NS) / step) - 1)
        last = int((end_ns - self.start_ns) / step) + 1
        times = self.start_ns + (np.arange(first, last + 1) * step).astype(np.int64)
        if self.kind == "burst":
            within = (np.arange(self.burst) * (min(BURST_NS, step) / self.burst)).astype(np.int64)
            times = (times[:, None] + within[None, :]).ravel()
        return np.sort(times[(times >= begin_ns) & (times < end_ns)])
