"""TCP by its states: a fresh entry is led into each of them, then a few segments of every kind from either side follow.

The trap: at random the rare orders (a SYN in LAST_ACK, then an ACK from the other side) are almost never met. So ways
into every state are written down, and what comes after them is drawn evenly, most of it with exact numbers.

A way is a string, a letter a segment; capitals are the opener's. ``s`` SYN, ``z`` SYN+ACK, ``a`` ACK, ``d`` data,
``f`` FIN+ACK, ``r`` RST, ``q`` RST+ACK, ``k`` a keepalive, ``n`` no flag, ``w`` a closed window, ``o`` an old segment.
"""

from collections.abc import Iterator
from random import Random

from tests.realkernel.batch import Sent
from tests.realkernel.headers import ACK, FIN, M32, PSH, RST, SYN, Peers, initial_sequence
from tests.realkernel.traffic_tcp import Connection, acknowledged, offer, some_options, window

WAYS = (
    *("", "S", "Ss", "SsZ", "SsZz", "SsAa", "SS", "Sa", "SaR", "Sz", "SzS", "Szz", "Szd", "SzA", "SzAD", "SzAd"),
    *("SzADa", "SzAdA", "A", "Aa", "AaA", "D", "Dd", "F", "R", "Z", "SzAS", "SzASa", "SzASz", "SzAs", "SzAF", "SzAf"),
    *("SzAFa", "SzAfA", "SzAFf", "SzAfF", "SzAFaf", "SzAfAF", "SzAFaS", "SzAFafS", "SzAFafA", "SzAfAFa", "SzAFfAa"),
    *("SzAFafAS", "SzAFafAs", "SzAr", "SzAR", "SzAq", "SzAQ", "SzADr", "SzADQ", "Sq", "Sr", "SzR", "Szr", "SzQ"),
    *("SzArS", "SzARS", "SzArSz", "SzARs", "SzAFR", "SzAFr", "SzAFafR", "SzAFafSa", "SzAFafSaR", "SzAW", "SzAw"),
    *("SzAWd", "SzADDDD", "SzAoOoO", "SzAKa", "AaS", "AaSz", "AS", "As", "Az", "ADr", "AaR", "SSz", "SzAFafAa"),
)
LETTERS = "szzaaaddffrrqkwo" + "n"
_FLAGS = {"s": SYN, "z": SYN | ACK, "a": ACK, "d": ACK | PSH, "f": FIN | ACK, "r": RST, "q": RST | ACK, "n": 0}
_FLAGS |= {"k": ACK, "w": ACK, "o": ACK}
_EDGES = (-1, 1, -2, 2, -1000, 1000)


def states(chance: Random, pairs: list[Peers]) -> Iterator[Sent]:
    """Such connections for ever, each on ports nobody used lately."""
    port = chance.randrange(65536)
    while True:
        port = (port + 1) % 60000
        one = Connection(chance.choice(pairs), 5000 + port, 80)
        one.opener = chance.getrandbits(1)
        for side in one.sides:
            side.isn = side.end = side.maxend = initial_sequence(chance)
        if chance.random() < 0.5:  # ends known to both, as in a connection picked up
            one.sides[0].maxack, one.sides[1].maxack = one.sides[1].end, one.sides[0].end
        exact = chance.choice((1.0, 0.9, 0.6))
        for letter in chance.choice(WAYS):
            yield step(chance, one, letter, 1.0)
        for _ in range(chance.choice((1, 2, 2, 3, 3, 4, 6))):
            letter = chance.choice(LETTERS)
            yield step(chance, one, letter.upper() if chance.getrandbits(1) else letter, exact)


def step(chance: Random, one: Connection, letter: str, exact: float) -> Sent:
    """The segment a letter stands for; with exact numbers this often, else beside them."""
    kind = letter.lower()
    side = one.opener if letter != kind else 1 - one.opener
    me, other = one.sides[side], one.sides[1 - side]
    flags, length, options = _FLAGS[kind], 0, b""
    seq, ack, room = me.end, other.end if flags & ACK else 0, window(chance, me) or 1000
    if flags & SYN:
        if kind == "s" and chance.random() < 0.6:
            me.isn = (me.end + chance.choice((0, 1, 100, 70000, -1))) & M32
        seq, options = me.isn, offer(chance, me)
        me.end = me.maxend = (seq + 1) & M32
        me.maxwin = max(room, 1)
        if kind == "z":
            both = me.offered is not None and other.offered is not None
            me.scale, other.scale = (min(me.offered or 0, 14), min(other.offered or 0, 14)) if both else (0, 0)
    elif kind == "a":
        options = acknowledged(chance, other)
    elif kind == "d":
        length = chance.choice((1, 10, 1000))
    elif kind == "k":
        seq, length = me.end - 1, chance.getrandbits(1)
    elif kind == "w":
        room = 0
    elif kind == "o":
        seq, length = me.end - 10, 10
    elif kind == "r":
        seq = chance.choice((me.end, other.last_ack, me.last_ack, 0))
    if chance.random() >= exact:
        what = int(chance.random() * 5)
        if what == 0:
            seq += chance.choice(_EDGES)
        elif what == 1:
            ack += chance.choice(_EDGES)
        elif what == 2:
            seq = chance.choice(
                (me.maxend, me.maxend + 1, me.end - other.maxwin - 1 - length, me.maxend + other.maxwin)
            )
        elif what == 3:
            ack = chance.choice((me.maxack, other.end - 66001, other.end + 1, 0, other.last_seq))
        else:
            options = some_options(chance, other.end)
    return one.send(side, seq, ack, flags, room, length, options)
