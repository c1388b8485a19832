"""Entries of this host's own connections that no socket of it belongs to: a long timer, a missed close, a leak.

The trap: an entry of a forwarded connection never has a socket here and is no orphan. So only entries with an end among
the namespace's own addresses are looked at, and that end is looked for as the socket knows it: in the reply direction
where an address was translated on the way in. ``/proc/net/tcp`` loads nothing; sock_diag might.

[Documentation/networking/proc_net_tcp.rst]
"""

from collections.abc import Collection, Iterable

from msgspec import Struct

from tablefull.live.netlink import in_namespace
from tablefull.live.own_addresses import Key
from tablefull.wire import ctnetlink as at
from tablefull.wire.dimensions import address

TCP = 6
# Only connections that both ends should still hold. [uapi TCP_STATES]
LOOKED_AT = {3: "ESTABLISHED", 5: "CLOSE_WAIT"}
MOST_EXAMPLES = 5
End = tuple[Key, int, Key, int]  # own address and port, the other's


class Orphans(Struct, frozen=True):
    """``looked_at`` entries of own connections; ``without`` a socket. ``examples`` in words."""

    looked_at: int
    without: int
    examples: tuple[str, ...]


def sockets(namespace: str | None = None) -> set[End] | None:
    """Both ends of every TCP socket of a namespace; None where they are not told."""
    try:
        return in_namespace(namespace, _read)
    except OSError:
        return None


def _read() -> set[End]:
    found: set[End] = set()
    seen = False
    for name in ("tcp", "tcp6"):
        try:
            # A thread's own view: /proc/net is that of the process.
            with open(f"/proc/thread-self/net/{name}", encoding="ascii") as lines:  # noqa: PTH123 - read line by line
                seen = True
                next(lines, None)
                for line in lines:
                    words = line.split(None, 4)
                    if len(words) > 3:
                        found.add((*_end(words[1]), *_end(words[2])))
        except FileNotFoundError:
            continue
    if not seen:
        raise FileNotFoundError("/proc/net/tcp")
    return found


def _end(text: str) -> tuple[Key, int]:
    """``0100007F:0016``: words of 32 bits in the machine's order. An IPv4 address in IPv6's clothes is IPv4."""
    import sys

    packed, _, port = text.partition(":")
    raw = bytes.fromhex(packed)
    if sys.byteorder == "little":
        raw = b"".join(raw[at_ : at_ + 4][::-1] for at_ in range(0, len(raw), 4))
    words = [int.from_bytes(raw[at_ : at_ + 4], "big") for at_ in range(0, len(raw), 4)]
    if len(words) == 4 and words[:3] == [0, 0, 0xFFFF]:
        words = words[3:]
    family = 4 if len(words) == 1 else 6
    words += [0] * (4 - len(words))
    return (words[0], words[1], words[2], words[3], family), int(port, 16)


def end_of(row: at.Row, own: Collection[Key]) -> End | None:
    """The socket that an entry of this host would have; None for one of other hosts."""
    family = row[at.R_FAMILY]
    source, destination = _key(row, at.R_SRC, family), _key(row, at.R_DST, family)
    reply_source, reply_destination = _key(row, at.R_REPLY_SRC, family), _key(row, at.R_REPLY_DST, family)
    if source in own:
        return source, row[at.R_SPORT], destination, row[at.R_DPORT]
    if reply_source in own:
        return reply_source, row[at.R_SPORT + at.R_REPLY], reply_destination, row[at.R_DPORT + at.R_REPLY]
    return None


def _key(row: at.Row, word: int, family: int) -> Key:
    return row[word], row[word + 1], row[word + 2], row[word + 3], family


def own_connections(rows: Iterable[at.Row], own: Collection[Key]) -> list[tuple[at.Row, End]]:
    """The entries that should have a socket here, with both its ends."""
    found = []
    for row in rows:
        if row[at.R_STATE] in LOOKED_AT and row[at.R_PROTO] == TCP:
            end = end_of(row, own)
            if end is not None:
                found.append((row, end))
    return found


def among(mine: Iterable[tuple[at.Row, End]], there: Collection[End]) -> Orphans:
    """How many of these entries are without a socket. Both ends may be here: then either socket will do."""
    looked_at = without = 0
    examples: list[str] = []
    for row, end in mine:
        looked_at += 1
        own, port, other, other_port = end
        if end in there or (other, other_port, own, port) in there:
            continue
        without += 1
        if len(examples) < MOST_EXAMPLES:
            state = LOOKED_AT[row[at.R_STATE]]
            left = "" if row[at.R_TIMEOUT] == at.ABSENT else f", {row[at.R_TIMEOUT]} s left"
            examples.append(f"{_text(own, port)} - {_text(other, other_port)} {state}{left}")
    return Orphans(looked_at, without, tuple(examples))


def _text(key: Key, port: int) -> str:
    text = address(key[4], key)
    return f"[{text}]:{port}" if key[4] == 6 else f"{text}:{port}"
