"""What ``--workload http:rate=116,keepalive=5s`` asks for: a kind of traffic and its numbers, checked.

The trap: a comma parts options and also the parameters of a distribution (``lifetime=lognormal(30s,1.5)``), and 5 may
be meant in seconds, packets or per cent. Every option therefore has one unit, a time may name its own (ms, s, m, h, d),
and a word that no kind of traffic knows is refused with the nearest one that exists.
"""

import ipaddress
import math
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import NoReturn

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from tablefull.errors import UsageError

SECOND_NS = 1_000_000_000
LONGEST_S = 10 * 365 * 86400.0  # a sampled time beyond ten years is ten years
_TIME_UNITS_S = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SCALES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,9})?)"
_OPTION = re.compile(r"([a-z]+)=((?:[^,()]|\([^()]*\))*)(?:,|$)")
_CALL = re.compile(r"([a-z]+)\(([^()]*)\)")
# Distribution -> what its parameters are.
DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "fixed": ("time",),
    "exp": ("time",),
    "uniform": ("time", "time"),
    "lognormal": ("time", "number"),
    "pareto": ("time", "number"),
}
ARRIVALS = ("poisson", "uniform", "burst", "diurnal")


class Distribution(Struct, frozen=True):
    """How long something lasts: fixed(t), exp(mean), uniform(from,to), lognormal(median,sigma), pareto(least,alpha)."""

    name: str
    first_s: float
    second: float = 0.0

    def sample_ns(self, chance: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
        """So many times, in ns."""
        if self.name == "exp":
            values = chance.exponential(self.first_s, count)
        elif self.name == "uniform":
            values = chance.uniform(self.first_s, self.second, count)
        elif self.name == "lognormal":
            values = np.exp(chance.normal(math.log(max(self.first_s, 1e-9)), self.second, count))
        elif self.name == "pareto":
            values = self.first_s * (1.0 + chance.pareto(self.second, count))
        else:
            values = np.full(count, self.first_s)
        return (np.minimum(values, LONGEST_S) * SECOND_NS).astype(np.int64)

    @property
    def mean_s(self) -> float:
        """The expected time; that of ``LONGEST_S`` where there is none."""
        if self.name == "uniform":
            return (self.first_s + self.second) / 2
        if self.name == "lognormal":
            return min(self.first_s * math.exp(min(self.second**2 / 2, 50)), LONGEST_S)
        if self.name == "pareto":
            return self.first_s * self.second / (self.second - 1) if self.second > 1 else LONGEST_S
        return self.first_s


class Network(Struct, frozen=True):
    """Where sources lie: the first address as a number and how many low bits are free."""

    family: int
    base: int
    free_bits: int


Value = float | int | str | Distribution | Network | None


class _Option(Struct, frozen=True):
    """How the text of an option becomes a value, and what holds where it is not given."""

    kind: str  # rate time count share times choice network
    default: Value
    most: float = 0
    least: float = 0
    choices: tuple[str, ...] = ()


_COMMON: dict[str, _Option] = {
    "start": _Option("time", 0.0, 1e9),
    "duration": _Option("time", None, 1e9),
    "arrival": _Option("choice", "poisson", choices=ARRIVALS),
    "burst": _Option("count", 100, 1 << 20, 1),
    "period": _Option("time", 86400.0, 1e9, 1e-3),
    "family": _Option("choice", "4", choices=("4", "6")),
}
_RATE = _Option("rate", 100.0, 1e8, 1e-9)
_CLIENTS, _SERVERS = _Option("count", 1000, 1 << 20, 1), _Option("count", 1, 1 << 16, 1)


def _port(number: int) -> _Option:
    return _Option("count", number, 0xFFFF)


_SESSION: dict[str, _Option] = {
    "rate": _RATE,
    "clients": _CLIENTS,
    "servers": _SERVERS,
    "port": _port(80),
    "rtt": _Option("time", 0.02, 60),
    "requests": _Option("count", 1, 1_000_000),
    "request": _Option("count", 250, 60_000, 1),
    "response": _Option("count", 1000, 60_000, 1),
    "think": _Option("times", Distribution("exp", 1.0)),
    "keepalive": _Option("time", 0.0, 1e9),
    "lifetime": _Option("times", None),
    "close": _Option("choice", "server", choices=("server", "client", "rst", "none")),
    "loss": _Option("share", 0.0, 0.9),
    "seen": _Option("choice", "both", choices=("both", "original", "reply")),
    "opening": _Option("choice", "seen", choices=("seen", "unseen")),
}
KINDS: dict[str, dict[str, _Option]] = {
    "http": _SESSION,
    "pickup": {**_SESSION, "opening": _Option("choice", "unseen", choices=("seen", "unseen"))},
    "asymmetric": {**_SESSION, "seen": _Option("choice", "original", choices=("original", "reply"))},
    "dns": {
        "rate": _RATE,
        "clients": _CLIENTS,
        "servers": _Option("count", 2, 1 << 16, 1),
        "port": _port(53),
        "rtt": _Option("time", 0.01, 60),
        "request": _Option("count", 40, 1400, 1),
        "response": _Option("count", 120, 1400, 1),
        "answered": _Option("share", 1.0, 1),
        "retries": _Option("count", 2, 100),
        "timeout": _Option("time", 5.0, 3600),
    },
    "udpstream": {
        "rate": _Option("rate", 1.0, 1e8, 1e-9),
        "clients": _CLIENTS,
        "servers": _SERVERS,
        "port": _port(5004),
        "rtt": _Option("time", 0.02, 60),
        "pps": _Option("rate", 50.0, 1e7, 1e-6),
        "lifetime": _Option("times", Distribution("exp", 10.0)),
        "answered": _Option("share", 1.0, 1),
        "size": _Option("count", 160, 60_000),
    },
    "idle": {
        "count": _Option("count", 1000, 1 << 26, 1),
        "ramp": _Option("time", 10.0, 1e9, 1e-3),
        "clients": _CLIENTS,
        "servers": _SERVERS,
        "port": _port(443),
        "rtt": _Option("time", 0.02, 60),
        "probe": _Option("time", 7200.0, 1e9, 1e-3),
    },
    "synflood": {
        "rate": _Option("rate", 1000.0, 1e8, 1e-9),
        "sources": _Option("network", None),
        "servers": _SERVERS,
        "port": _port(80),
        "rtt": _Option("time", 0.0, 60),
        "answered": _Option("share", 1.0, 1),
    },
    "udpflood": {
        "rate": _Option("rate", 1000.0, 1e8, 1e-9),
        "sources": _Option("network", None),
        "servers": _SERVERS,
        "port": _port(0),
        "size": _Option("count", 32, 60_000),
    },
    "scan": {
        "rate": _RATE,
        "targets": _Option("count", 65536, 1 << 17, 1),
        "ports": _Option("count", 1, 65535, 1),
        "port": _port(22),
        "rtt": _Option("time", 0.02, 60),
        "answered": _Option("share", 0.0, 1),
    },
    "ping": {
        "rate": _Option("rate", 1.0, 1e8, 1e-9),
        "clients": _CLIENTS,
        "servers": _SERVERS,
        "rtt": _Option("time", 0.02, 60),
        "count": _Option("count", 4, 1_000_000, 1),
        "every": _Option("time", 1.0, 1e6, 1e-6),
        "answered": _Option("share", 1.0, 1),
        "size": _Option("count", 56, 60_000),
    },
}


class Spec(Struct, frozen=True):
    """One source of traffic: its kind, the text it came from, and every option's value."""

    kind: str
    text: str
    values: Mapping[str, Value]

    def number(self, name: str) -> float:
        """A rate, share, or time in seconds."""
        value = self.values[name]
        assert isinstance(value, float | int)
        return float(value)

    def count(self, name: str) -> int:
        """A whole number."""
        return int(self.number(name))

    def ns(self, name: str) -> int:
        """A time in ns."""
        return round(self.number(name) * SECOND_NS)

    def word(self, name: str) -> str:
        """A choice."""
        return str(self.values[name])

    def times(self, name: str) -> Distribution | None:
        """A distribution; None where there is none."""
        value = self.values[name]
        assert value is None or isinstance(value, Distribution)
        return value

    @property
    def end_s(self) -> float | None:
        """When its arrivals end; None where nobody said."""
        duration = self.values["duration"]
        return None if duration is None else self.number("start") + self.number("duration")


def _refuse(text: str, why: str) -> NoReturn:
    raise UsageError(f"--workload {text[:100]!r}: {why}")


def seconds(text: str) -> float | None:
    """A time such as ``5``, ``5s``, ``250ms``, ``2h`` in seconds; None for what is none."""
    match = re.fullmatch(_NUMBER + r"(us|ms|s|min|m|h|d|)", text.strip().lower())
    return float(match[1]) * _TIME_UNITS_S[match[2]] if match else None


def _scaled(text: str) -> float | None:
    """``116``, ``5k``, ``1.5M``, ``100/s``; None for what is no number."""
    match = re.fullmatch(_NUMBER + r"([kmg]?)", text.strip().lower().removesuffix("/s"))
    return float(match[1]) * _SCALES[match[2]] if match else None


def _distribution(text: str) -> Distribution | None:
    fixed = seconds(text)
    if fixed is not None:
        return Distribution("fixed", fixed)
    match = _CALL.fullmatch(text.strip().lower())
    if match is None or match[1] not in DISTRIBUTIONS:
        return None
    given = match[2].split(",")
    kinds = DISTRIBUTIONS[match[1]]
    if len(given) != len(kinds):
        return None
    values = [seconds(one) if kind == "time" else _scaled(one) for one, kind in zip(given, kinds, strict=True)]
    first, second = values[0], values[1] if len(values) > 1 else 0.0
    if first is None or second is None or (match[1] in ("pareto", "lognormal") and not 0 < second < 100):
        return None
    if match[1] == "uniform" and second < first:
        return None
    return Distribution(match[1], first, second)


def _network(text: str, family: str) -> Network | None:
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None
    if str(network.version) != family:
        return None
    return Network(network.version, int(network.network_address), network.max_prefixlen - network.prefixlen)


_WANTED = {
    "rate": "a number a second, such as 116 or 5k",
    "time": "a time, such as 5s, 250ms or 2h",
    "count": "a whole number, such as 1000 or 50k",
    "share": "a share, such as 0.02 or 2%",
    "times": "a time, or one of fixed(30s), exp(30s), uniform(1s,9s), lognormal(30s,1.5), pareto(1s,1.2)",
    "network": "a network of the workload's family, such as 10.0.0.0/8",
}


def _value(text: str, name: str, option: _Option, raw: str, family: str) -> Value:
    if option.kind == "choice":
        if raw not in option.choices:
            _refuse(text, f"{name}={raw}: there are {', '.join(option.choices)}")
        return raw
    if option.kind == "times":
        times: Value = _distribution(raw)
        return times if times is not None else _refuse(text, f"{name}={raw}: {_WANTED['times']} is wanted")
    if option.kind == "network":
        network: Value = _network(raw, family)
        return network if network is not None else _refuse(text, f"{name}={raw}: {_WANTED['network']} is wanted")
    if option.kind == "time":
        number = seconds(raw)
    elif option.kind == "share" and raw.endswith("%"):
        per_cent = _scaled(raw[:-1])
        number = None if per_cent is None else per_cent / 100
    else:
        number = _scaled(raw)
    if number is None or (option.kind == "count" and number != int(number)):
        _refuse(text, f"{name}={raw}: {_WANTED[option.kind]} is wanted")
    if not option.least <= number <= option.most:
        _refuse(text, f"{name}={raw}: {option.least:g} to {option.most:g} is possible")
    return int(number) if option.kind == "count" else number


def parse(text: str) -> Spec:
    """One ``--workload``. UsageError in one line for a kind, an option or a value that there is not."""
    kind, colon, rest = text.strip().partition(":")
    if kind not in KINDS:
        close = get_close_matches(kind, KINDS, n=2)
        hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(KINDS)}"
        _refuse(text, f"no traffic is called {kind[:40]!r}; {hint}")
    options = {**KINDS[kind], **_COMMON}
    given: dict[str, str] = {}
    place = 0
    while place < len(rest):
        match = _OPTION.match(rest, place)
        if match is None:
            _refuse(text, f"{rest[place:][:40]!r}: name=value is wanted, parted by commas")
        name, raw = match[1], match[2].strip()
        if name not in options:
            close = get_close_matches(name, options, n=2)
            hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(options)}"
            _refuse(text, f"{kind} has no option {name!r}; {hint}")
        if name in given:
            _refuse(text, f"{name} is given twice")
        given[name] = raw
        place = match.end()
    if colon and (not rest or rest.endswith(",")):
        _refuse(text, "name=value is wanted after : and after each comma")
    family = given.get("family", "4")
    values: dict[str, Value] = {name: option.default for name, option in options.items()}
    for name, raw in given.items():
        values[name] = _value(text, name, options[name], raw, family)
    return Spec(kind, text.strip(), values)
