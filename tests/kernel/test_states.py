"""The numeric order of the kernel's words."""

from tablefull.kernel import states


def test_states_and_bits() -> None:
    assert [states.TCP_STATES.index(name) for name in ("SYN_SENT", "ESTABLISHED", "CLOSE", "SYN_SENT2")] == [1, 3, 8, 9]
    assert states.tcp_state("LISTEN") == "SYN_SENT2"
    assert states.tcp_state("established") == "ESTABLISHED"
    # 0x18e, seen on 6.18.44 with no NAT rule: 2+4+8 and the two done bits 128+256
    assert states.status_names(0x18E) == ("seen_reply", "assured", "confirmed", "snat_done", "dnat_done")
    assert states.status_names(0) == ()
