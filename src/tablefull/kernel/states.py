"""The kernel's words for TCP states and for the bits of an entry's status, in their numeric order.

The trap: a command that only has to say ``ESTABLISHED`` should not wait for everything that is known of counters, so
these stand by themselves; kernel/uapi.py hands them on.
"""

# TCP states in uapi order. LISTEN, which old listings print for number 9, is SYN_SENT2. [nf_conntrack_tcp.h]
TCP_STATES: tuple[str, ...] = (
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
)
TCP_STATE_ALIASES: dict[str, str] = {"LISTEN": "SYN_SENT2", "SYN_SENT_2": "SYN_SENT2", "SYN_RECEIVED": "SYN_RECV"}

# IPS_* bit numbers. snat_done and dnat_done are set as soon as NAT hooks exist and do not mean that the flow is NATed.
# [nf_conntrack_common.h 6.18.2; 0x18e seen with no NAT rule on 6.18.44]
STATUS_BITS: tuple[str, ...] = (
    "expected",
    "seen_reply",
    "assured",
    "confirmed",
    "snat",
    "dnat",
    "seq_adjust",
    "snat_done",
    "dnat_done",
    "dying",
    "fixed_timeout",
    "template",
    "nat_clash",
    "helper",
    "offload",
    "hw_offload",
)


def tcp_state(name: str) -> str:
    """The uapi spelling of a TCP state: ``LISTEN`` of an old listing is SYN_SENT2."""
    upper = name.strip().upper()
    return TCP_STATE_ALIASES.get(upper, upper)


def status_names(bits: int) -> tuple[str, ...]:
    """Names of the set status bits, lowest first; a bit past the known ones is left out."""
    return tuple(name for number, name in enumerate(STATUS_BITS) if bits >> number & 1)
