"""The kinds of synthetic traffic: given a window of time, the packets whose cause lies in it.

The trap: a packet's time may lie behind the window (an answer, a retry, a retransmission), and a flow may live for
days. So every source hands out whole exchanges, keeps only where each living flow stands, and leaves sorting to its
caller.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tablefull.twin.workload_frames import ACK, FIN, PSH, RST, SYN, Ends, Packets, Times, echo, tcp, turned, udp
from tablefull.twin.workload_people import Arrivals, People, below, happens
from tablefull.twin.workload_spec import SECOND_NS, Spec

MSS = 1460
RTO_NS, SYN_RTO_NS = 200_000_000, SECOND_NS  # Linux: TCP_RTO_MIN, and RFC 6298's first second
FOR_EVER = 1 << 40  # ticks
Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class _Segment(NamedTuple):
    """One segment of an exchange: what it carries beyond the bytes that both sides had sent before."""

    reply: bool
    flags: int
    seq: int
    ack: int
    payload: int
    offset_ns: int


Template = tuple[_Segment, ...]


def _opening(rtt_ns: int) -> Template:
    half = rtt_ns // 2
    return (
        _Segment(False, SYN, -1, 0, 0, 0),
        _Segment(True, SYN | ACK, -1, 0, 0, half),
        _Segment(False, ACK, 0, 0, 0, rtt_ns),
    )


def _exchange(request: int, response: int, rtt_ns: int) -> Template:
    """A request, its answer in segments, an acknowledgement for every second one and for the last."""
    half, found, sent = rtt_ns // 2, [], 0
    while sent < request:
        size = min(MSS, request - sent)
        sent += size
        found.append(_Segment(False, ACK | (PSH if sent == request else 0), sent - size, 0, size, 0))
    got, number = 0, 0
    while got < response:
        size = min(MSS, response - got)
        got += size
        number += 1
        last = got == response
        found.append(_Segment(True, ACK | (PSH if last else 0), got - size, request, size, half))
        if last or number % 2 == 0:
            found.append(_Segment(False, ACK, request, got, 0, rtt_ns))
    return tuple(sorted(found, key=lambda segment: segment.offset_ns))


def _closing(how: str, rtt_ns: int) -> Template:
    half = rtt_ns // 2
    if how == "rst":
        return (_Segment(False, RST | ACK, 0, 0, 0, 0),)
    first = how == "server"
    return (
        _Segment(first, FIN | ACK, 0, 0, 0, 0),
        _Segment(not first, FIN | ACK, 0, 1, 0, half),
        _Segment(first, ACK, 1, 1, 0, rtt_ns),
    )


def _segments(
    people: People, serial: Rows, time_ns: Times, said: tuple[Rows, Rows], template: Template, seen: str
) -> tuple[list[Packets], list[Rows]]:
    """Packets of one template for each flow, and which (flow, segment) each of them is, in the order of the template.

    ``said``: bytes that client and server have sent before.
    """
    width = len(template)
    wanted = [at for at, one in enumerate(template) if seen == "both" or one.reply == (seen == "reply")]
    found: list[Packets] = []
    which: list[Rows] = []
    ends = people.pairs(serial)
    isn = below(serial, people.salt ^ 7, 1 << 32), below(serial, people.salt ^ 8, 1 << 32)
    at_client, at_server = isn[0] + 1 + said[0], isn[1] + 1 + said[1]
    for opening in (True, False):
        columns = [at for at in wanted if bool(template[at].flags & SYN) == opening]
        if not columns:
            continue
        chosen = [template[at] for at in columns]
        reply = np.tile(np.array([one.reply for one in chosen]), len(serial))

        def column(name: str, chosen: list[_Segment] = chosen) -> Times:
            return np.tile(np.array([getattr(one, name) for one in chosen], np.int64), len(serial))

        rows = np.repeat(np.arange(len(serial)), len(columns))
        flags = column("flags")
        seq = np.where(reply, at_server[rows], at_client[rows]) + column("seq")
        ack = np.where(reply, at_client[rows], at_server[rows]) + column("ack")
        found.append(
            tcp(
                time_ns[rows] + column("offset_ns"),
                turned(ends.rows(rows), reply),
                seq,
                np.where(flags & ACK != 0, ack, 0),
                flags,
                column("payload"),
                opening=opening,
            )
        )
        which.append(rows * width + np.tile(np.array(columns, np.int64), len(serial)))
    return found, which


class Source:
    """One workload: :meth:`window` must be called for windows that follow each other, ``end_ns`` is the last one's."""

    packets_a_flow = 1.0

    def __init__(self, spec: Spec, place: int, seed: int, end_ns: int) -> None:
        self.spec, self.end_ns = spec, end_ns
        self.chance = np.random.Generator(np.random.PCG64([seed, place]))
        self.people = People(spec, place, int(self.chance.integers(1, 1 << 31)))
        self.born = 0
        self.rtt_ns = spec.ns("rtt") if "rtt" in spec.values else 0
        until = spec.end_s
        start_ns = spec.ns("start")
        last_ns = end_ns if until is None else min(end_ns, round(until * SECOND_NS))
        self.arrivals = Arrivals(spec, self.rate(), start_ns, last_ns, self.chance)

    def rate(self) -> float:
        """Flows a second."""
        return self.spec.number("rate")

    def packets_per_s(self) -> float:
        """About how many packets a second there will be, to choose windows by."""
        return self.rate() * self.packets_a_flow * (2 if self.spec.word("arrival") == "diurnal" else 1)

    def begin(self, begin_ns: int, end_ns: int) -> tuple[Rows, Times]:
        """Serial numbers and times of the flows that begin in this window."""
        times = self.arrivals.window(begin_ns, end_ns)
        serial = np.arange(self.born, self.born + len(times), dtype=np.int64)
        self.born += len(times)
        return serial, times

    def window(self, begin_ns: int, end_ns: int) -> list[Packets]:
        """Packets caused in the window, in any order."""
        raise NotImplementedError


class Sessions(Source):
    """TCP connections with requests: http, pickup, asymmetric."""

    def __init__(self, spec: Spec, place: int, seed: int, end_ns: int) -> None:
        super().__init__(spec, place, seed, end_ns)
        self.request, self.response = spec.count("request"), spec.count("response")
        self.requests, self.close = spec.count("requests"), spec.word("close")
        self.loss, self.seen = spec.number("loss"), spec.word("seen")
        self.templates = (
            _opening(self.rtt_ns),
            _exchange(self.request, self.response, self.rtt_ns),
            _closing(self.close, self.rtt_ns),
        )
        self.first = 0 if spec.word("opening") == "seen" else 1
        opening, exchange, closing = (len(template) for template in self.templates)
        self.packets_a_flow = opening + exchange * min(self.requests, self._steps_by_the_end()) + closing
        self.serial = self.step = self.next_ns = self.gap_ns = np.zeros(0, np.int64)

    def window(self, begin_ns: int, end_ns: int) -> list[Packets]:
        """Packets of every step that falls into the window."""
        serial, times = self.begin(begin_ns, end_ns)
        lifetime = self.spec.times("lifetime")
        gaps = np.full(len(serial), -1, np.int64)
        if lifetime is not None:
            gaps = lifetime.sample_ns(self.chance, len(serial)) // max(self.requests, 1)
        self.serial = np.concatenate([self.serial, serial])
        self.next_ns = np.concatenate([self.next_ns, times])
        self.step = np.concatenate([self.step, np.full(len(serial), self.first, np.int64)])
        self.gap_ns = np.concatenate([self.gap_ns, gaps])
        found: list[Packets] = []
        due = np.flatnonzero(self.next_ns < end_ns)
        while len(due):
            step = self.step[due]
            for kind in range(3):
                here = due[self._kind(step) == kind]
                if len(here):
                    found += self._emit(here, kind)
            due = due[self.next_ns[due] < end_ns]
        living = self.step <= self.requests + (self.close != "none")
        if not living.all():
            self.serial, self.step = self.serial[living], self.step[living]
            self.next_ns, self.gap_ns = self.next_ns[living], self.gap_ns[living]
        return found

    def _steps_by_the_end(self) -> float:
        """About how many requests of one connection there is time for."""
        spec = self.spec
        lifetime, think = spec.times("lifetime"), spec.times("think")
        gap_s = think.mean_s if think is not None else 0.0
        if lifetime is not None:
            gap_s = lifetime.mean_s / max(self.requests, 1)
        return 1 + self.end_ns / max(gap_s * SECOND_NS, self.rtt_ns, 1)

    def _kind(self, step: Rows) -> Rows:
        return np.where(step == 0, 0, np.where(step <= self.requests, 1, 2)).astype(np.int64)

    def _emit(self, here: Rows, kind: int) -> list[Packets]:
        """Packets of one step of these flows; moves each on to its next."""
        template, step, time_ns = self.templates[kind], self.step[here], self.next_ns[here]
        done = np.maximum(step - 1, 0)
        said = done * self.request, done * self.response
        found, which = _segments(self.people, self.serial[here], time_ns, said, template, self.seen)
        delay = np.zeros(len(here), np.int64)
        if self.loss:
            found, delay = self._lose(found, which, len(here), len(template), SYN_RTO_NS if kind == 0 else RTO_NS)
        self.step[here] = step + 1
        last = step >= self.requests
        spec = self.spec
        if spec.times("lifetime") is not None:
            wait = self.gap_ns[here] if kind or not self.requests else np.zeros(len(here), np.int64)
        else:
            think = spec.times("think")
            assert think is not None
            keepalive = spec.ns("keepalive") + self.rtt_ns
            wait = np.where(last, keepalive, think.sample_ns(self.chance, len(here)))
            if kind == 0 and self.requests:
                wait = np.zeros(len(here), np.int64)
        self.next_ns[here] = time_ns + delay + np.maximum(wait, self.rtt_ns)
        gone = self.step[here] > self.requests + (self.close != "none")
        self.next_ns[here[gone]] = np.iinfo(np.int64).max
        return found

    def _lose(
        self, found: list[Packets], which: list[Rows], flows: int, width: int, rto_ns: int
    ) -> tuple[list[Packets], Times]:
        """Some segments are sent again and all after them are late; half of the lost ones had been seen here."""
        lost = self.chance.random((flows, width)) < self.loss
        twice = lost & (self.chance.random((flows, width)) < 0.5)
        late = np.cumsum(lost * np.int64(rto_ns), axis=1)
        changed = []
        for part, cell in zip(found, which, strict=True):
            behind = late.ravel()[cell]
            again = twice.ravel()[cell]
            changed.append(part.rows(again).later(behind[again] - rto_ns))
            changed.append(part.later(behind))
        return changed, late[:, -1]


class Ticks(Source):
    """Flows that send at a steady pace: udpstream, ping, idle."""

    def __init__(self, spec: Spec, place: int, seed: int, end_ns: int) -> None:
        super().__init__(spec, place, seed, end_ns)
        if spec.kind == "udpstream":
            self.gap_ns = max(1, round(SECOND_NS / spec.number("pps")))
            lifetime = spec.times("lifetime")
            assert lifetime is not None
            lasting_s = min(lifetime.mean_s, end_ns / SECOND_NS)
            self.packets_a_flow = max(1.0, 2 * lasting_s * spec.number("pps"))
        elif spec.kind == "ping":
            self.gap_ns = spec.ns("every")
            self.packets_a_flow = 2.0 * spec.count("count")
        else:
            self.gap_ns = spec.ns("probe")
            self.packets_a_flow = 3.0
        self.serial = self.first_ns = self.step = self.total = np.zeros(0, np.int64)

    def rate(self) -> float:
        """Flows a second; those that stay idle all begin within the ramp."""
        if self.spec.kind == "idle":
            return self.spec.count("count") / self.spec.number("ramp")
        return super().rate()

    def packets_per_s(self) -> float:
        """As every source; idle flows end the ramp with their probes."""
        if self.spec.kind == "idle":
            return max(super().packets_per_s(), 2 * self.spec.count("count") / self.spec.number("probe"))
        return super().packets_per_s()

    def begin(self, begin_ns: int, end_ns: int) -> tuple[Rows, Times]:
        """As every source; of idle flows no more than there are to be."""
        serial, times = super().begin(begin_ns, end_ns)
        if self.spec.kind == "idle":
            kept = serial < self.spec.count("count")
            return serial[kept], times[kept]
        return serial, times

    def window(self, begin_ns: int, end_ns: int) -> list[Packets]:
        """Packets of every tick in the window."""
        serial, times = self.begin(begin_ns, end_ns)
        total = np.full(len(serial), FOR_EVER, np.int64)
        if self.spec.kind == "ping":
            total[:] = self.spec.count("count")
        elif self.spec.kind == "udpstream":
            lifetime = self.spec.times("lifetime")
            assert lifetime is not None
            total = 1 + lifetime.sample_ns(self.chance, len(serial)) // self.gap_ns
        self.serial = np.concatenate([self.serial, serial])
        self.first_ns = np.concatenate([self.first_ns, times])
        self.step = np.concatenate([self.step, np.zeros(len(serial), np.int64)])
        self.total = np.concatenate([self.total, total])
        ticks = np.clip((end_ns - 1 - self.first_ns) // self.gap_ns + 1, 0, self.total) - self.step
        flow = np.repeat(np.arange(len(ticks)), ticks)
        tick = self.step[flow] + np.arange(len(flow)) - np.repeat(np.cumsum(ticks) - ticks, ticks)
        found = self._emit(self.serial[flow], tick, self.first_ns[flow] + tick * self.gap_ns)
        self.step = self.step + ticks
        living = self.step < self.total
        if not living.all():
            self.serial, self.first_ns = self.serial[living], self.first_ns[living]
            self.step, self.total = self.step[living], self.total[living]
        return found

    def _emit(self, serial: Rows, tick: Rows, time_ns: Times) -> list[Packets]:
        if not len(serial):
            return []
        spec = self.spec
        if spec.kind == "idle":
            return self._idle(serial, tick, time_ns)
        ends = self.people.pairs(serial, anyport=True)
        size = np.full(len(serial), spec.count("size"), np.int64)
        answered = happens(serial * 1_000_003 + tick, self.people.salt ^ 9, spec.number("answered"))
        back, back_ns = ends.rows(answered).turned(), (time_ns + self.rtt_ns)[answered]
        if spec.kind == "udpstream":
            return [udp(time_ns, ends, size), udp(back_ns, back, size[answered])]
        ident = below(serial, self.people.salt ^ 10, 1 << 16)
        is_reply = np.zeros(len(serial), np.bool_)
        return [
            echo(time_ns, ends, is_reply, ident, tick, size),
            echo(back_ns, back, ~is_reply[answered], ident[answered], tick[answered], size[answered]),
        ]

    def _idle(self, serial: Rows, tick: Rows, time_ns: Times) -> list[Packets]:
        """The handshake at the first tick, a keepalive probe and its answer at each later one."""
        first = tick == 0
        none = np.zeros(len(serial), np.int64)
        probe = (_Segment(False, ACK, -1, 0, 0, 0), _Segment(True, ACK, 0, 0, 0, self.rtt_ns // 2))
        found: list[Packets] = []
        for chosen, template in ((first, _opening(self.rtt_ns)), (~first, probe)):
            said = none[chosen], none[chosen]
            found += _segments(self.people, serial[chosen], time_ns[chosen], said, template, "both")[0]
        return found


class Shots(Source):
    """Flows that are over at once: dns, synflood, udpflood, scan."""

    def __init__(self, spec: Spec, place: int, seed: int, end_ns: int) -> None:
        super().__init__(spec, place, seed, end_ns)
        self.answered = spec.number("answered") if "answered" in spec.values else 0.0
        self.packets_a_flow = 1.0 + self.answered

    def window(self, begin_ns: int, end_ns: int) -> list[Packets]:
        """Packets of the flows that begin in the window."""
        serial, times = self.begin(begin_ns, end_ns)
        if not len(serial):
            return []
        if self.spec.kind == "dns":
            return self._dns(serial, times)
        if self.spec.kind == "udpflood":
            size = np.full(len(serial), self.spec.count("size"), np.int64)
            return [udp(times, self.people.spoofed(serial), size)]
        ends = self._scanned(serial) if self.spec.kind == "scan" else self.people.spoofed(serial)
        none = np.zeros(len(serial), np.int64)
        isn = below(serial, self.people.salt ^ 7, 1 << 32)
        found = [tcp(times, ends, isn, none, none + SYN, none, opening=True)]
        answered = happens(serial, self.people.salt ^ 9, self.answered)
        back, back_ns, ack, none = (
            ends.rows(answered).turned(),
            times[answered] + self.rtt_ns,
            isn[answered] + 1,
            none[answered],
        )
        if self.spec.kind == "scan":
            return [*found, tcp(back_ns, back, none, ack, none + (RST | ACK), none)]
        own = below(serial, self.people.salt ^ 8, 1 << 32)[answered]
        return [*found, tcp(back_ns, back, own, ack, none + (SYN | ACK), none, opening=True)]

    def _scanned(self, serial: Rows) -> Ends:
        """One source, every target's first port, then every target's next."""
        people, targets = self.people, self.spec.count("targets")
        port = people.port + serial // targets % self.spec.count("ports")
        sport = 1024 + below(serial, people.salt ^ 1, 64512)
        return Ends(people.client(serial * 0), people.server(serial % targets), sport, port & 0xFFFF)

    def _dns(self, serial: Rows, times: Times) -> list[Packets]:
        """A question, and the same one again after each timeout while nobody answers."""
        spec, people = self.spec, self.people
        ends = people.pairs(serial, anyport=True)
        found: list[Packets] = []
        asking = np.arange(len(serial))
        for attempt in range(1 + spec.count("retries")):
            when = times[asking] + attempt * spec.ns("timeout")
            size = np.full(len(asking), spec.count("request"), np.int64)
            found.append(udp(when, ends.rows(asking), size))
            answered: Flags = happens(serial[asking], people.salt ^ (16 + attempt), self.answered)
            back = asking[answered]
            size = np.full(len(back), spec.count("response"), np.int64)
            found.append(udp(when[answered] + self.rtt_ns, ends.rows(back).turned(), size))
            asking = asking[~answered]
            if not len(asking):
                break
        return found


def source(spec: Spec, place: int, seed: int, end_ns: int) -> Source:
    """The source of a spec's kind."""
    if spec.kind in ("http", "pickup", "asymmetric"):
        return Sessions(spec, place, seed, end_ns)
    if spec.kind in ("udpstream", "ping", "idle"):
        return Ticks(spec, place, seed, end_ns)
    return Shots(spec, place, seed, end_ns)
