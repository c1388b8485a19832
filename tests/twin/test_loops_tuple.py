"""The compiled hash, inverse and comparison against the plain ones, and against what a hash has to be."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tablefull.twin import loops_tuple, reference_packet, reference_room
from tablefull.twin import state as at
from tablefull.twin.reference_entry import Key

WORD = st.integers(0, 2**32 - 1)
ADDRESS = st.tuples(WORD, WORD, WORD, WORD)
SEED = st.integers(-(2**63), 2**63 - 1)


def row(key: Key) -> np.ndarray:
    """The tuple as it begins an entry or a packet."""
    words = np.zeros(at.PACKET_WORDS, np.uint32)
    words[0:4], words[4:8] = key.src, key.dst
    words[8], words[9] = key.ports, key.proto | key.family << 8
    return words


@given(SEED, ADDRESS, ADDRESS, WORD, st.integers(0, 255), st.booleans(), st.integers(0, 0xFFFF))
def test_one_hash_for_both_engines(
    seed: int, src: tuple[int, ...], dst: tuple[int, ...], ports: int, proto: int, six: bool, zone: int
) -> None:
    if not six:
        src, dst = (src[0], 0, 0, 0), (dst[0], 0, 0, 0)
    key = Key(proto, 6 if six else 4, src, dst, ports, zone)  # type: ignore[arg-type]
    words = row(key)
    assert loops_tuple.hash_row(seed, words.ctypes.data, zone) == reference_room.hash_key(seed, key)
    answer = reference_packet.inverse_ports(proto, ports)
    if answer is not None:
        reply = key._replace(src=key.dst, dst=key.src, ports=answer)
        assert loops_tuple.hash_reply(seed, words.ctypes.data, zone) == reference_room.hash_key(seed, reply)


@given(st.integers(0, 255), WORD)
def test_the_inverse_is_the_plain_one_and_its_own(proto: int, ports: int) -> None:
    plain = reference_packet.inverse_ports(proto, ports)
    compiled = loops_tuple.inverse_ports(proto, ports)
    assert compiled == (-1 if plain is None else plain)
    if compiled >= 0:
        assert loops_tuple.inverse_ports(proto, compiled) == ports


@given(WORD, WORD)
def test_sequence_numbers(a: int, b: int) -> None:
    assert loops_tuple.after(a, b) == reference_packet.after(a, b)


def test_the_hash_is_even() -> None:
    """65536 neighbouring ports over 256 chains: 256 each on average, and none strays by six standard deviations."""
    counts = [0] * 256
    words = row(Key(17, 4, (0x0A010001, 0, 0, 0), (0x0A020002, 0, 0, 0), 0, 0))
    for port in range(65536):
        words[8] = port << 16 | 53
        counts[loops_tuple.hash_row(7, words.ctypes.data, 0) >> 24] += 1
    assert sum(counts) == 65536
    assert max(abs(count - 256) for count in counts) < 6 * 16
