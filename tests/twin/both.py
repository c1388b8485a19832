"""Both engines side by side on the same packets: what one says the other must say."""

from collections.abc import Mapping

from tests.realkernel.headers import ACK, SYN, Peers, peers

from tablefull.twin import Twin
from tablefull.twin.table import InFlight

SECOND = 1_000_000_000
HOSTS = peers(1, 2)
HOSTS6 = peers(1, 2, 6)


class Both:
    """Two twins. ``packet`` gives their common verdict as ``state direction``."""

    def __init__(self, kernel: str = "6.18", settings: Mapping[str, int] | None = None, seed: int = 0) -> None:
        given = dict(settings or {})
        self.twins = [Twin(kernel, given, engine=engine, seed=seed) for engine in ("reference", "loops")]

    def packet(self, time_s: float, data: bytes, **how: bool | int) -> str:
        verdicts = [twin.packet(round(time_s * SECOND), data, **how) for twin in self.twins]
        assert verdicts[0] == verdicts[1]
        state, direction = verdicts[0]
        return state if direction is None else f"{state} {direction}"

    def begin(self, time_s: float, data: bytes, **how: bool | int) -> list[InFlight]:
        """A packet that has come in and not left yet, in both."""
        flights = [twin.begin(round(time_s * SECOND), data, **how) for twin in self.twins]
        assert flights[0].verdict == flights[1].verdict
        return flights

    def leave(self, time_s: float, flights: list[InFlight], accept: bool = True) -> str:
        """It leaves the host, or a rule drops it."""
        now_ns = round(time_s * SECOND)
        verdicts = [
            twin.confirm(now_ns, flight) if accept else twin.discard(now_ns, flight)
            for twin, flight in zip(self.twins, flights, strict=True)
        ]
        assert verdicts[0] == verdicts[1]
        return verdicts[0].state

    def advance(self, time_s: float) -> None:
        for twin in self.twins:
            twin.advance(round(time_s * SECOND))

    def count(self) -> int:
        first, second = (twin.count for twin in self.twins)
        assert first == second
        return first

    def counter(self, name: str) -> int:
        first, second = (twin.counters()[name] for twin in self.twins)
        assert first == second
        return first

    def log(self) -> list[str]:
        first, second = (twin.log() for twin in self.twins)
        assert first == second
        return first

    def table(self, time_s: float | None = None, form: str = "extended") -> list[str]:
        now_ns = None if time_s is None else round(time_s * SECOND)
        first, second = (list(twin.lines(now_ns, form)) for twin in self.twins)
        assert first == second
        return first

    def only(self, time_s: float | None = None) -> str:
        """The one entry, in the words that matter: state, remaining seconds, flags."""
        (line,) = self.table(time_s)
        words = line.split()
        named = [words[5]] if words[2] in ("tcp", "sctp") else []
        flags = [word for word in words if word in ("[UNREPLIED]", "[ASSURED]")]
        return " ".join([*named, words[4], *flags])

    def same(self) -> Twin:
        """The plain twin, after everything that can be seen of both was compared."""
        one, other = self.twins
        assert (one.count, one.peak, one.counters(), one.log()) == (
            other.count,
            other.peak,
            other.counters(),
            other.log(),
        )
        self.table()
        self.table(form="proc")
        return one


class Talk:
    """A TCP conversation between two hosts; numbers are relative to each side's first."""

    def __init__(self, both: Both, hosts: Peers = HOSTS, port: int = 1000, first: tuple[int, int] = (100, 500)) -> None:
        self.both, self.hosts, self.port, self.first = both, hosts, port, first

    def client(self, time_s: float, flags: int, seq: int, ack: int = 0, **more: int | bytes) -> str:
        return self._send(time_s, 0, flags, seq, ack, **more)

    def server(self, time_s: float, flags: int, seq: int, ack: int = 0, **more: int | bytes) -> str:
        return self._send(time_s, 1, flags, seq, ack, **more)

    def _send(
        self, time_s: float, side: int, flags: int, seq: int, ack: int, window: int = 1000, payload: bytes = b"",
        options: bytes = b"", absolute: bool = False,
    ) -> str:  # fmt: skip
        ports = (80, self.port) if side else (self.port, 80)
        if not absolute:
            seq = (seq + self.first[side]) & 0xFFFFFFFF
            ack = (ack + self.first[1 - side]) & 0xFFFFFFFF if flags & ACK else 0
        data = self.hosts.link(side).tcp(*ports, seq, ack, flags, window, payload, options)
        return self.both.packet(time_s, data)

    def open(self, time_s: float = 1) -> None:
        """Three segments: ESTABLISHED and ASSURED."""
        assert self.client(time_s, SYN, 0) == "new original"
        assert self.server(time_s, SYN | ACK, 0, 1) == "established reply"
        assert self.client(time_s, ACK, 1, 1) == "established original"
