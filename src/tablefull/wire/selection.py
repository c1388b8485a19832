"""Which entries are meant: ``proto=tcp and state=ESTABLISHED and dst in 10.0.0.0/8 and not assured``.

The trap: the same expression is asked of one row of numbers in plain Python and of columns of a million. So it compiles
into functions that use only what both have (comparisons, ``&``, ``|``, ``^``), and never ``and`` or ``not``.
"""

import ipaddress
import operator
import re
from collections.abc import Callable
from typing import Any

from tablefull.errors import UsageError
from tablefull.kernel.sctp import STATES as SCTP_STATES
from tablefull.kernel.states import STATUS_BITS, TCP_STATES, tcp_state
from tablefull.wire import ctnetlink as at
from tablefull.wire.dimensions import NAMES, NAT_BITS, OFFLOADED

Get = Callable[[int], Any]  # a word of a row: one number, or a column of them
Test = Callable[[Get], Any]
_TOKEN = re.compile(r"\s*(\(|\)|<=|>=|!=|==|=|<|>|!|&&|\|\||[^\s()<>=!]+)")
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "==": operator.eq, "!=": operator.ne,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_NUMBERS = {
    "sport": at.R_SPORT, "dport": at.R_DPORT, "zone": at.R_ZONE, "mark": at.R_MARK, "status": at.R_STATUS,
    "remaining": at.R_TIMEOUT, "timeout": at.R_TIMEOUT, "use": at.R_USE, "id": at.R_ID,
}  # fmt: skip
# What the fields of the kernel hold: a port and a zone are 16 bits, the rest 32.
_MOST = {"sport": 0xFFFF, "dport": 0xFFFF, "port": 0xFFFF, "zone": 0xFFFF, "proto": 0xFF}
_MOST_OTHER, _MOST_WIDE = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
_FAMILIES = {"ipv4": 4, "inet": 4, "4": 4, "ipv6": 6, "inet6": 6, "6": 6}
_EQUAL = ("=", "==", "!=")
_WIDE = {"packets": (at.R_PACKETS, at.R_REPLY_PACKETS), "bytes": (at.R_BYTES, at.R_REPLY_BYTES)}
_ADDRESSES = {
    "src": (at.R_SRC,), "source": (at.R_SRC,), "dst": (at.R_DST,), "destination": (at.R_DST,),
    "reply-src": (at.R_REPLY_SRC,), "reply-dst": (at.R_REPLY_DST,), "host": (at.R_SRC, at.R_DST),
}  # fmt: skip
_EXAMPLE = "write such as: proto=tcp and state=ESTABLISHED and dst in 10.0.0.0/8 and remaining>3600"
MOST_TOKENS, MOST_DEPTH = 500, 50
FLAGS = ("assured", "unreplied", "nat", "offload", "ipv4", "ipv6", *(bit for bit in STATUS_BITS if bit != "assured"))


def _status(bits: int, wanted: bool = True) -> Test:
    return lambda get: ((get(at.R_STATUS) & bits) != 0) == wanted


def _flag(name: str) -> Test | None:
    if name == "unreplied":
        return _status(1 << 1, wanted=False)
    if name == "nat":
        return _status(NAT_BITS)
    if name in ("offload", "offloaded"):
        return _status(OFFLOADED)
    if name in ("ipv4", "ipv6"):
        family = int(name[3])
        return lambda get: get(at.R_FAMILY) == family
    if name in STATUS_BITS:
        return _status(1 << STATUS_BITS.index(name))
    return None


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth = text, 0, 0
        self.tokens: list[tuple[str, int]] = []
        place = 0
        while place < len(text.rstrip()):
            match = _TOKEN.match(text, place)
            if match is None or len(self.tokens) == MOST_TOKENS:
                raise UsageError(f"--where {text[:200]!a}: column {place + 1}: it cannot be read on; {_EXAMPLE}")
            self.tokens.append((match[1], match.start(1) + 1))
            place = match.end()

    def wrong(self, why: str) -> UsageError:
        column = self.tokens[self.at][1] if self.at < len(self.tokens) else len(self.text) + 1
        return UsageError(f"--where {self.text[:200]!a}: column {column}: {why}; {_EXAMPLE}")

    def peek(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        word = self.peek()
        self.at += 1
        return word

    def either(self) -> Test:
        found = self.both()
        while self.peek().lower() in ("or", "||"):
            self.take()
            found = _or(found, self.both())
        return found

    def both(self) -> Test:
        found = self.one()
        while self.peek().lower() in ("and", "&&"):
            self.take()
            found = _and(found, self.one())
        return found

    def one(self) -> Test:
        word = self.peek().lower()
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise self.wrong("too many parentheses")
        try:
            if word in ("not", "!"):
                self.take()
                return _not(self.one())
            if word == "(":
                self.take()
                found = self.either()
                if self.peek() != ")":
                    raise self.wrong("a parenthesis is not closed")
                self.take()
                return found
            return self.comparison()
        finally:
            self.depth -= 1

    def comparison(self) -> Test:
        name = self.peek().lower()
        if not name or name in ("and", "or", ")", "in", *_OPERATORS):
            raise self.wrong("a name is wanted")
        flag = _flag(name)
        self.at += 1
        sign = self.peek().lower()
        if sign not in _OPERATORS and sign != "in":
            self.at -= 1
            if flag is not None:
                self.at += 1
                return flag
            known = (
                name in _NUMBERS or name in _ADDRESSES or name in _WIDE or name in ("proto", "state", "port", "family")
            )
            raise self.wrong(f"{name[:40]!a} needs a comparison" if known else f"nothing is called {name[:40]!a}")
        self.take()
        value = self.peek()
        if not value or value in ("(", ")"):
            raise self.wrong(f"a value is wanted for {name[:40]!a}")
        test = self.compared(name, sign, value)
        self.take()
        return test

    def compared(self, name: str, sign: str, value: str) -> Test:
        if name in _ADDRESSES:
            return self.addressed(name, sign, value)
        if sign == "in":
            raise self.wrong("`in` goes with an address")
        compare = _OPERATORS[sign]
        named = {"proto": self.protocol, "state": self.state, "family": self.family}
        if name == "status" and not value[:1].isdigit():
            named["status"] = self.status
        if name in named:
            if sign not in _EQUAL:
                raise self.wrong(f"{name} is equal or not, never less or more")
            same = named[name](value)
            return _not(same) if sign == "!=" else same
        known = name in _NUMBERS or name in _WIDE or name == "port"
        number = self.number(value, name) if known else 0
        if name in _NUMBERS:
            word = _NUMBERS[name]
            if word == at.R_TIMEOUT:  # an offloaded entry tells none, and none is neither less nor more
                return lambda get: compare(get(word), number) & (get(word) != at.ABSENT)
            return lambda get: compare(get(word), number)
        if name == "port":
            return lambda get: compare(get(at.R_SPORT), number) | compare(get(at.R_DPORT), number)
        if name in _WIDE:
            there, back = _WIDE[name]
            # Counted, an entry has at least the packet that made it: zero is one that nobody counts, and what is not
            # told is neither less nor more. [nf_ct_acct_update: nf_conntrack_core.c 6.18.2]
            return lambda get: (
                compare(_wide(get, there) + _wide(get, back), number) & (_wide(get, there) + _wide(get, back) != 0)
            )
        raise self.wrong(f"nothing is called {name[:40]!a}")

    def number(self, value: str, name: str) -> int:
        try:
            number = int(value, 0)
        except ValueError:
            raise self.wrong(f"a number is wanted, not {value[:40]!a}") from None
        most = _MOST_WIDE if name in _WIDE else _MOST.get(name, _MOST_OTHER)
        if not 0 <= number <= most:
            raise self.wrong(f"{name} is 0 to {most}, never {value[:40]}")
        return number

    def protocol(self, value: str) -> Test:
        numbers = {name: number for number, name in NAMES.items()}
        wanted = numbers.get(value.lower())
        if wanted is None:
            if not value[:1].isdigit():
                raise self.wrong(f"no protocol is called {value[:40]!a}; there are {', '.join(numbers)}, or its number")
            wanted = self.number(value, "proto")
        return lambda get: get(at.R_PROTO) == wanted

    def family(self, value: str) -> Test:
        wanted = _FAMILIES.get(value.lower())
        if wanted is None:
            raise self.wrong(f"a family is ipv4 or ipv6, not {value[:40]!a}")
        return lambda get: get(at.R_FAMILY) == wanted

    def status(self, value: str) -> Test:
        flag = None if value.lower() in ("ipv4", "ipv6") else _flag(value.lower())
        if flag is None:
            known = ", ".join(("unreplied", *STATUS_BITS))
            raise self.wrong(f"no status is called {value[:40]!a}; there are {known}")
        return flag

    def state(self, value: str) -> Test:
        name = tcp_state(value)
        tcp = TCP_STATES.index(name) if name in TCP_STATES else -1
        sctp = SCTP_STATES.index(name) if name in SCTP_STATES else -1
        if tcp < 0 and sctp < 0:
            raise self.wrong(f"no state is called {value[:40]!a}; there are {', '.join(TCP_STATES[1:])}")
        return lambda get: (
            ((get(at.R_PROTO) == 6) & (get(at.R_STATE) == tcp)) | ((get(at.R_PROTO) == 132) & (get(at.R_STATE) == sctp))
        )

    def addressed(self, name: str, sign: str, value: str) -> Test:
        if sign not in ("=", "==", "!=", "in"):
            raise self.wrong("an address is equal, not equal, or in a network")
        try:
            network = ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise self.wrong(f"an address or a network is wanted, not {value[:60]!a}") from None
        packed, mask = network.network_address.packed, network.netmask.packed
        pairs = [
            (int.from_bytes(packed[i : i + 4], "big"), int.from_bytes(mask[i : i + 4], "big"))
            for i in range(0, len(packed), 4)
        ]
        family = network.version

        def within(get: Get) -> Any:
            found: Any = False
            for first in _ADDRESSES[name]:
                inside = get(at.R_FAMILY) == family
                for offset, (word, bits) in enumerate(pairs):
                    if bits:
                        inside = inside & ((get(first + offset) & bits) == word)
                found = inside | found
            return found

        return _not(within) if sign == "!=" else within


def _wide(get: Get, word: int) -> Any:
    return get(word) * 4294967296 + get(word + 1)


def _and(one: Test, other: Test) -> Test:
    return lambda get: one(get) & other(get)


def _or(one: Test, other: Test) -> Test:
    return lambda get: one(get) | other(get)


def _not(test: Test) -> Test:
    return lambda get: test(get) ^ True


def asks_counters(text: str) -> bool:
    """Whether an expression that can be read compares packets or bytes, which are there only with nf_conntrack_acct."""
    return any(word.lower() in _WIDE for word, _ in _Parser(text).tokens)


def parse(text: str) -> Test:
    """The expression as a function of :data:`Get`; UsageError that names the column where it cannot be read."""
    parser = _Parser(text)
    if not parser.tokens:
        raise UsageError(f"--where: it is empty; {_EXAMPLE}")
    found = parser.either()
    if parser.at < len(parser.tokens):
        raise parser.wrong("`and` or `or` is wanted here")
    return found
