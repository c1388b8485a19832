"""The compiled reader of dumps and events: rows of ctnetlink.R_* from many datagrams. Namesake of ctnetlink.

The trap: lengths come from outside, and nothing here takes care of bounds. Every attribute is compared with the end of
what holds it before anything of it is read, and a message that breaks its own lengths is counted and passed by.
"""

import sys

from tablefull.loops.memory import Bytes, Words, address, be16, be32, compiled, inlined, le16, le32, put32, put64, u8
from tablefull.wire import ctnetlink as at
from tablefull.wire import nlattr

LITTLE = sys.byteorder == "little"
ROW_BYTES = 4 * at.ROW_WORDS
HEADER, GENERIC, ATTRIBUTE = nlattr.HEADER_BYTES, nlattr.GENERIC_BYTES, nlattr.ATTRIBUTE_BYTES
TYPE_MASK, MULTI, CREATE, INTERRUPTED = nlattr.TYPE_MASK, nlattr.MULTI, nlattr.CREATE, nlattr.DUMP_INTERRUPTED
ERROR, DONE = nlattr.ERROR, nlattr.DONE
ENTRY_NEW, ENTRY_DELETE = at.SUBSYSTEM << 8 | at.NEW, at.SUBSYSTEM << 8 | at.DELETE
# What a walk says at the end: registers of its third argument.
G_BROKEN, G_INTERRUPTED, G_ENDED, G_AT = range(4)
REGISTERS = 4
A_ORIG, A_REPLY, A_STATUS, A_INFO, A_HELP, A_TIMEOUT, A_MARK = 1, 2, 3, 4, 5, 7, 8
A_COUNT, A_COUNT_REPLY, A_USE, A_ID, A_MASTER, A_ZONE, A_SECCTX, A_TIME, A_LABELS, A_WHEN = (
    *(9, 10, 11, 12, 14, 18, 19, 20, 22, 27),
)
W_SRC, W_DST, W_REPLY_ADDRESSES = 4 * at.R_SRC, 4 * at.R_DST, 4 * at.R_REPLY_SRC
W_SPORT, W_DPORT, W_TYPE, W_CODE, W_REPLY = 4 * at.R_SPORT, 4 * at.R_DPORT, 4 * at.R_TYPE, 4 * at.R_CODE, 4 * at.R_REPLY
W_PROTO, W_FAMILY, W_STATE, W_STATUS = 4 * at.R_PROTO, 4 * at.R_FAMILY, 4 * at.R_STATE, 4 * at.R_STATUS
W_TIMEOUT, W_MARK, W_USE, W_ID = 4 * at.R_TIMEOUT, 4 * at.R_MARK, 4 * at.R_USE, 4 * at.R_ID
W_ZONE, W_ZONE_ORIG, W_ZONE_REPLY = 4 * at.R_ZONE, 4 * at.R_ZONE_ORIG, 4 * at.R_ZONE_REPLY
W_PACKETS, W_REPLY_PACKETS = 4 * at.R_PACKETS, 4 * at.R_REPLY_PACKETS
W_START, W_LABELS, W_HELPER, W_WHEN = 4 * at.R_START, 4 * at.R_LABELS, 4 * at.R_HELPER, 4 * at.R_WHEN
W_EVENT, W_PRESENT = 4 * at.R_EVENT, 4 * at.R_PRESENT
ABSENT = at.ABSENT
H_COUNTERS, H_TIMESTAMP, H_LABELS, H_HELPER = at.HAS_COUNTERS, at.HAS_TIMESTAMP, at.HAS_LABELS, at.HAS_HELPER
H_MASTER, H_SECCTX, H_MARK, H_WHEN = at.HAS_MASTER, at.HAS_SECCTX, at.HAS_MARK, at.HAS_WHEN
E_NEW, E_UPDATE, E_DESTROY = at.EVENT_NEW, at.EVENT_UPDATE, at.EVENT_DESTROY


@inlined
def own16(place: int) -> int:
    """A number of 16 bits in the machine's order."""
    return le16(place) if LITTLE else be16(place)


@inlined
def own32(place: int) -> int:
    """A number of 32 bits in the machine's order."""
    return le32(place) if LITTLE else be32(place)


@inlined
def _size(place: int, end: int) -> int:
    """The length of the attribute at ``place``, -1 where it breaks its bounds."""
    length = own16(place)
    return -1 if length < ATTRIBUTE or place + length > end else length


@inlined
def _step(length: int) -> int:
    return (length + 3) & ~3


@inlined
def _two(row: int, place: int) -> None:
    put32(row, be32(place))
    put32(row + 4, be32(place + 4))


@inlined
def _sixteen(row: int, place: int, size: int) -> None:
    """Up to 16 bytes as four words, padded with zeros."""
    for word in range(4):
        value = 0
        for byte in range(4):
            index = word * 4 + byte
            value = value << 8 | (u8(place + index) if index < size else 0)
        put32(row + 4 * word, value)


@compiled
def _proto(row: int, place: int, end: int, reply: int) -> bool:
    while place + ATTRIBUTE <= end:
        length = _size(place, end)
        if length < 0:
            return False
        kind, value, size = own16(place + 2) & TYPE_MASK, place + ATTRIBUTE, length - ATTRIBUTE
        if kind == 1 and not reply:
            if size < 1:
                return False
            put32(row + W_PROTO, u8(value))
        elif kind == 2 or kind == 3 or kind == 4 or kind == 7:
            if size < 2:
                return False
            put32(row + (W_DPORT if kind == 3 else W_SPORT) + W_REPLY * reply, be16(value))
        elif kind == 5 or kind == 6 or kind == 8 or kind == 9:
            if size < 1:
                return False
            put32(row + (W_TYPE if kind == 5 or kind == 8 else W_CODE) + W_REPLY * reply, u8(value))
        place += _step(length)
    return place >= end


@compiled
def _addresses(row: int, place: int, end: int, reply: int) -> bool:
    base = row + W_REPLY_ADDRESSES * reply
    while place + ATTRIBUTE <= end:
        length = _size(place, end)
        if length < 0:
            return False
        kind, value, size = own16(place + 2) & TYPE_MASK, place + ATTRIBUTE, length - ATTRIBUTE
        if (kind == 1 or kind == 2) and size >= 4:
            put32(base + (W_SRC if kind == 1 else W_DST), be32(value))
            put32(row + W_FAMILY, 4)
        elif (kind == 3 or kind == 4) and size >= 16:
            for word in range(4):
                put32(base + (W_SRC if kind == 3 else W_DST) + 4 * word, be32(value + 4 * word))
            put32(row + W_FAMILY, 6)
        place += _step(length)
    return place >= end


@compiled
def _tuple(row: int, place: int, end: int, reply: int) -> bool:
    while place + ATTRIBUTE <= end:
        length = _size(place, end)
        if length < 0:
            return False
        kind, value, last = own16(place + 2) & TYPE_MASK, place + ATTRIBUTE, place + length
        if kind == 1:
            if not _addresses(row, value, last, reply):
                return False
        elif kind == 2:
            if not _proto(row, value, last, reply):
                return False
        elif kind == 3:
            if last - value < 2:
                return False
            put32(row + (W_ZONE_REPLY if reply else W_ZONE_ORIG), be16(value))
        place += _step(length)
    return place >= end


@compiled
def _numbers(row: int, place: int, end: int) -> bool:
    """Two numbers of 64 bits, numbered 1 and 2: counters of a direction, or start and stop."""
    while place + ATTRIBUTE <= end:
        length = _size(place, end)
        if length < 0:
            return False
        kind = own16(place + 2) & TYPE_MASK
        if kind == 1 or kind == 2:
            if length - ATTRIBUTE < 8:
                return False
            _two(row + 8 * (kind - 1), place + ATTRIBUTE)
        place += _step(length)
    return place >= end


@compiled
def _info(row: int, place: int, end: int) -> bool:
    """The protocol's state: TCP (1) and SCTP (3) keep it as their first attribute."""
    while place + ATTRIBUTE <= end:
        length = _size(place, end)
        if length < 0:
            return False
        kind, last = own16(place + 2) & TYPE_MASK, place + length
        if kind == 1 or kind == 3:
            inner = place + ATTRIBUTE
            while inner + ATTRIBUTE <= last:
                size = _size(inner, last)
                if size < 0:
                    return False
                if own16(inner + 2) & TYPE_MASK == 1:
                    if size - ATTRIBUTE < 1:
                        return False
                    put32(row + W_STATE, u8(inner + ATTRIBUTE))
                inner += _step(size)
            if inner < last:
                return False
        place += _step(length)
    return place >= end


@compiled
def _help(row: int, place: int, end: int) -> bool:
    while place + ATTRIBUTE <= end:
        length = _size(place, end)
        if length < 0:
            return False
        if own16(place + 2) & TYPE_MASK == 1:
            _sixteen(row + W_HELPER, place + ATTRIBUTE, min(length - ATTRIBUTE, 16))
        place += _step(length)
    return place >= end


@inlined
def _number(row: int, value: int, size: int) -> bool:
    if size < 4:
        return False
    put32(row, be32(value))
    return True


@compiled
def read_entry(row: int, place: int, end: int) -> bool:
    """The attributes of one entry into the row; False where a length breaks its bounds."""
    present = 0
    while place + ATTRIBUTE <= end:
        length = _size(place, end)
        if length < 0:
            return False
        kind, value, last = own16(place + 2) & TYPE_MASK, place + ATTRIBUTE, place + length
        size, right = length - ATTRIBUTE, True
        if kind == A_ORIG or kind == A_REPLY:
            right = _tuple(row, value, last, 1 if kind == A_REPLY else 0)
        elif kind == A_STATUS:
            right = _number(row + W_STATUS, value, size)
        elif kind == A_TIMEOUT:
            right = _number(row + W_TIMEOUT, value, size)
        elif kind == A_MARK:
            right = _number(row + W_MARK, value, size)
            present |= H_MARK
        elif kind == A_USE:
            right = _number(row + W_USE, value, size)
        elif kind == A_ID:
            right = _number(row + W_ID, value, size)
        elif kind == A_INFO:
            right = _info(row, value, last)
        elif kind == A_ZONE:
            right = size >= 2
            if right:
                put32(row + W_ZONE, be16(value))
        elif kind == A_COUNT:
            right = _numbers(row + W_PACKETS, value, last)
            present |= H_COUNTERS
        elif kind == A_COUNT_REPLY:
            right = _numbers(row + W_REPLY_PACKETS, value, last)
        elif kind == A_TIME:
            right = _numbers(row + W_START, value, last)
            present |= H_TIMESTAMP
        elif kind == A_WHEN:
            right = size >= 8
            if right:
                _two(row + W_WHEN, value)
            present |= H_WHEN
        elif kind == A_LABELS:
            _sixteen(row + W_LABELS, value, min(size, 16))
            present |= H_LABELS
        elif kind == A_HELP:
            right = _help(row, value, last)
            present |= H_HELPER
        elif kind == A_MASTER:
            present |= H_MASTER
        elif kind == A_SECCTX:
            present |= H_SECCTX
        if not right:
            return False
        place += _step(length)
    put32(row + W_PRESENT, present)
    return place >= end


@compiled
def read(data: Bytes, begin: int, end: int, sequence: int, rows: Words, first: int, told: Words) -> int:
    """Entries of the datagrams that lie one behind the other in ``data[begin:end]`` into ``rows`` (32 bit words) from
    row ``first`` on; the number of rows that are there now.

    Every message is taken whose sequence number is ``sequence``, or any where that is negative. It stops in front of a
    message for which no row is left. ``told``: messages that broke their lengths, whether one was marked as
    interrupted, whether the answer ended (1, or the errno), and where it stopped.
    """
    base, out = address(data), address(rows)
    room, place, count = len(rows) * 8 // ROW_BYTES, begin, first
    broken, interrupted, ended = told[G_BROKEN], told[G_INTERRUPTED], told[G_ENDED]
    while place + HEADER <= end:
        message = base + place
        length = own32(message)
        if length < HEADER or place + length > end:
            broken += 1
            place = end
            break
        kind, flags = own16(message + 4), own16(message + 6)
        if sequence < 0 or own32(message + 8) == sequence:
            if flags & INTERRUPTED:
                interrupted = 1
            if kind == ENTRY_NEW or kind == ENTRY_DELETE:
                if count == room:
                    break
                row = out + ROW_BYTES * count
                for word in range(ROW_BYTES // 8):
                    put64(row + 8 * word, 0)
                put32(row + W_STATE, ABSENT)
                put32(row + W_TIMEOUT, ABSENT)
                event = 0
                if kind == ENTRY_DELETE:
                    event = E_DESTROY
                elif flags & MULTI == 0:
                    event = E_NEW if flags & CREATE else E_UPDATE
                put32(row + W_EVENT, event)
                good = length >= HEADER + GENERIC
                if good and read_entry(row, message + HEADER + GENERIC, message + length):
                    count += 1
                else:
                    broken += 1
            elif kind == DONE or kind == ERROR:
                ended = 1
                if length >= HEADER + 4:
                    code = own32(message + HEADER)
                    if code:
                        ended = 0x100000000 - code
        place += (length + 3) & ~3
    told[G_BROKEN], told[G_INTERRUPTED], told[G_ENDED], told[G_AT] = broken, interrupted, ended, min(place, end)
    return count
