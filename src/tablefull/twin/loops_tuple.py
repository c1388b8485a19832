"""What every compiled file of the twin needs: the hash, sequence numbers, the other direction's ports.

The trap: compiled integers have a width. All are 64 bit signed, a sequence number is masked where it wraps, and only
the hash is unsigned, because it multiplies past 64 bits on purpose.
"""

import numpy as np

from tablefull.loops.memory import inlined, le32

MIX_A, MIX_B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
_S16, _S29, _S32 = np.uint64(16), np.uint64(29), np.uint64(32)
M32 = 0xFFFFFFFF


@inlined
def mix(word: np.uint64) -> np.uint64:
    """One round of the hash; namesake of reference_room.mix."""
    word = word * MIX_A
    word ^= word >> _S32
    word = word * MIX_B
    return word ^ word >> _S29


@inlined
def hash_words(
    seed: int, s0: int, s1: int, s2: int, s3: int, d0: int, d1: int, d2: int, d3: int, ports: int, proto: int, zone: int
) -> int:
    """32 bits of a tuple; ``proto`` is protocol | family << 8. Namesake of reference_room.hash_key."""
    turned = np.uint64(seed)
    if proto >> 8 == 4:
        turned = mix(turned ^ (np.uint64(s0) << _S32 | np.uint64(d0)))
    else:
        turned = mix(turned ^ (np.uint64(s0) << _S32 | np.uint64(s1)))
        turned = mix(turned ^ (np.uint64(d0) << _S32 | np.uint64(d1)))
        turned = mix(turned ^ (np.uint64(s2) << _S32 | np.uint64(s3)))
        turned = mix(turned ^ (np.uint64(d2) << _S32 | np.uint64(d3)))
    turned = mix(turned ^ (np.uint64(ports) << _S32 | np.uint64(zone) << _S16 | np.uint64(proto)))
    return np.int64(turned >> _S32)  # type: ignore[return-value]  # compiled, both are one


@inlined
def after(a: int, b: int) -> bool:
    """Whether sequence number a lies behind b, modulo 2^32."""
    return ((b - a) & 0x80000000) != 0


@inlined
def inverse_ports(proto: int, ports: int) -> int:
    """Ports of the other direction, -1 where there is none; ``proto`` without family. Namesake in reference_packet."""
    if proto == 1:
        kind = ports >> 8 & 0xFF
        answer = -1
        if kind == 8:
            answer = 0
        elif kind == 0:
            answer = 8
        elif kind == 13 or kind == 15 or kind == 17:
            answer = kind + 1
        elif kind == 14 or kind == 16 or kind == 18:
            answer = kind - 1
        return -1 if answer < 0 else (ports & 0xFFFF00FF) | answer << 8
    if proto == 58:
        kind = ports >> 8 & 0xFF
        answer = -1
        if kind == 128 or kind == 139:
            answer = kind + 1
        elif kind == 129 or kind == 140:
            answer = kind - 1
        return -1 if answer < 0 else (ports & 0xFFFF00FF) | answer << 8
    return (ports & 0xFFFF) << 16 | ports >> 16


@inlined
def hash_row(seed: int, row: int, zone: int) -> int:
    """The hash of the tuple that begins a packet's or an entry's row at this address."""
    s0, s1, s2, s3 = le32(row), le32(row + 4), le32(row + 8), le32(row + 12)
    d0, d1, d2, d3 = le32(row + 16), le32(row + 20), le32(row + 24), le32(row + 28)
    return hash_words(seed, s0, s1, s2, s3, d0, d1, d2, d3, le32(row + 32), le32(row + 36), zone)


@inlined
def hash_reply(seed: int, row: int, zone: int) -> int:
    """The hash of the other direction's tuple."""
    proto = le32(row + 36)
    ports = inverse_ports(proto & 0xFF, le32(row + 32))
    s0, s1, s2, s3 = le32(row), le32(row + 4), le32(row + 8), le32(row + 12)
    d0, d1, d2, d3 = le32(row + 16), le32(row + 20), le32(row + 24), le32(row + 28)
    return hash_words(seed, d0, d1, d2, d3, s0, s1, s2, s3, ports, proto, zone)
