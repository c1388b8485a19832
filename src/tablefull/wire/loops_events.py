"""Many datagrams into rows at once, and what rows have in common: one compiled call a batch instead of one an event.

The trap: the kernel sends every event as a datagram of its own. At 200,000 a second each has five microseconds of one
core for everything, and a call from Python alone takes one or two of them.
"""

import numpy as np
import numpy.typing as npt

from tablefull.loops.memory import Bytes, Words, address, compiled, le32
from tablefull.wire import ctnetlink as at
from tablefull.wire.loops_ctnetlink import G_AT, HEADER, REGISTERS, own32, read
from tablefull.wire.loops_tally import hash_words

Codes = npt.NDArray[np.uint32]
# Registers of `take`, behind those of `read`.
G_TRUNCATED, G_BYTES = REGISTERS, REGISTERS + 1
TAKE_REGISTERS = REGISTERS + 2
MSG_TRUNC = 0x20  # include/linux/socket.h
W_FAMILY = 4 * at.R_FAMILY
ROW_BYTES, ROW_WORDS = 4 * at.ROW_WORDS, at.ROW_WORDS


@compiled
def take(
    data: Bytes, stride: int, headers: Bytes, layout: Words, slot: int, slots: int, rows: Words, first: int, told: Words
) -> int:
    """Events of the datagrams in slots ``slot`` up to ``slots`` of ``data``, a ``stride`` apart, into ``rows`` from
    row ``first`` on; the number of rows that are there now.

    ``headers`` are recvmmsg's, one a slot; ``layout`` says their size and where length and flags are in them. It stops
    in front of a slot for which no row is left: ``told[G_AT]`` is where. A datagram that was cut, or holds no
    message, counts as truncated and is not read; ``told[G_BYTES]`` adds up the sizes.
    """
    base, count, room = address(headers), first, len(rows) * 8 // ROW_BYTES
    size, length_at, flags_at = layout[0], layout[1], layout[2]
    while slot < slots:
        if count == room:
            break
        length, flags = own32(base + size * slot + length_at), own32(base + size * slot + flags_at)
        told[G_BYTES] += length
        if flags & MSG_TRUNC or length > stride or length < HEADER:
            told[G_TRUNCATED] += 1
        else:
            count = read(data, stride * slot, stride * slot + length, -1, rows, count, told)
        slot += 1
    told[G_AT] = slot
    return count


@compiled
def number_addresses(rows: Codes, chosen: Words, word: int, table: Words, firsts: Words, codes: Codes) -> int:
    """Give every different address in ``word`` of the rows numbered ``chosen`` a number, in order of appearance.

    ``codes`` gets the number of each, ``firsts`` the row in which each number was first met; the count of numbers comes
    back. ``table`` holds -1 everywhere, is of a size that is a power of two, and has at least twice the slots of rows.
    """
    base, slots, used = address(rows), len(table), 0
    for index in range(len(chosen)):
        row = base + ROW_BYTES * chosen[index]
        key, family = row + 4 * word, le32(row + W_FAMILY)
        place = hash_words(key, 4, family) & (slots - 1)
        while True:
            code = table[place]
            if code < 0:
                table[place] = code = used
                firsts[used] = chosen[index]
                used += 1
                break
            other = base + ROW_BYTES * firsts[code]
            same = le32(other + W_FAMILY) == family
            for part in range(4):
                if le32(other + 4 * (word + part)) != le32(key + 4 * part):
                    same = False
            if same:
                break
            place = (place + 1) & (slots - 1)
        codes[index] = code
    return used
