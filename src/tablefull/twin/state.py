"""Where everything of a twin stands: the columns of an entry, of a decoded packet, of the settings and of the
registers.

The trap: one entry must fit two cache lines (128 bytes), because the loop is as fast as memory is. The first line
holds what a lookup compares and what says whether the entry still lives, the second what TCP remembers. Three views
of the same memory (32 bit words, bytes, 64 bit words) give each field its width; a column is counted in the view that
the comment beside it names.
"""

from collections.abc import Iterator, Mapping

from tablefull.errors import UsageError
from tablefull.kernel import sysctls, timeouts
from tablefull.kernel.tcp import MAX_SCALE
from tablefull.twin import eras

M32 = 0xFFFFFFFF
SECOND_NS = 1_000_000_000

# An entry: 32 words of 32 bits.
ENTRY_BYTES = 128
ENTRY_WORDS = ENTRY_BYTES // 4
# First cache line (words). The original tuple; the reply tuple is its inverse, since the twin translates no address.
E_SRC, E_DST = 0, 4  # four words each; IPv4 in the first, the others 0
E_PORTS = 8  # source << 16 | destination; ICMP: id << 16 | type << 8 | code; GRE: keys; else 0
E_PROTO = 9  # protocol | family << 8
E_ZONES = 10  # zone of the original direction << 16 | zone of the reply direction
E_STATUS = 11  # IPS_* bits; 0 marks a free row
E_DEADLINE = 6  # 64 bit word: nanoseconds; relative until confirmed
E_SERIAL = 14  # order of creation
E_NEXT_FREE = 15  # the next free row, where the row itself is free
# Second cache line. Each side of a TCP connection has four words, the reply side's four further on.
E_END, E_MAXEND, E_MAXWIN, E_MAXACK, E_SIDE = 16, 17, 18, 19, 4
E_LAST_SEQ, E_LAST_ACK, E_LAST_END = 27, 28, 29
E_STREAM = 15  # 64 bit word: UDP, when the flow becomes a stream; GRE: timeout << 32 | stream timeout, in ticks
B_SCALE, B_FLAGS = 96, 98  # bytes, the reply side's one further on
B_STATE, B_LAST_DIR, B_LAST_KIND, B_RETRANS = 100, 101, 102, 103
B_LAST_SCALE, B_LAST_FLAGS = 104, 105
H_LAST_WIN = 53  # 16 bit word
# SCTP uses the words of the sides: verification tags, INIT seen, and flags of its own.
E_VTAG = 16  # one word a side, the reply side's one further on
B_INIT = 96  # one byte a side
B_SCTP_FLAGS = 98
SCTP_HEARTBEAT_FAILED = 1

# Status bits [nf_conntrack_common.h].
EXPECTED, SEEN_REPLY, ASSURED, CONFIRMED = 1 << 0, 1 << 1, 1 << 2, 1 << 3
DYING, FIXED_TIMEOUT, NAT_CLASH = 1 << 9, 1 << 10, 1 << 12

# A decoded packet: 22 words of 32 bits.
PACKET_WORDS = 22
P_SRC, P_DST, P_PORTS, P_PROTO = 0, 4, 8, 9
P_KIND = 10  # one of KIND_*, | P_BAD* bits
P_HASH = 11  # of the tuple in the original zone
P_SEQ, P_ACK, P_END, P_SACK = 12, 13, 14, 15
P_CHUNKS, P_TAG = 12, 13  # SCTP: bit n for a chunk of type n below 32; the verification tag
P_WINDOW = 16  # raw window | segment kind << 16 | TCP flags << 24
P_OPTIONS = 17  # scale | OPTION_* << 8
P_LENGTH = 18  # total bytes of the IP packet
P_L4 = 19  # offset of the transport header from the IP header
P_HINT = 20  # the node that was under its hash some packets ago, + 1

# What is to be done with a packet.
KIND_TRACK = 0
KIND_INVALID = 1  # no tuple can be made of it: counts as invalid
KIND_ICMP_INVALID = 2  # an ICMP message that is refused before any lookup: counts as error only
KIND_ICMP_ERROR = 3  # tells of another packet, whose inverted tuple stands in the row
KIND_UNTRACKED = 4
KIND_DROPPED = 5  # the stack drops it before netfilter sees it
KIND_HELD = 6  # a fragment: waits for the rest of its datagram
KIND_NOT_IP = 7
KIND_SKIP = 8  # seen already
# A TRACK packet that its tracker refuses after the entry was found or allocated.
BAD = 1 << 8
# The checksum was not what refused it, but only because it could not be looked at in full.
CUT = 1 << 9

# How a packet is to be taken: not to be tracked; seen already; dropped by a rule after tracking; reassembled (its
# fragment header, if any, is to be read as it is).
FLAG_UNTRACKED, FLAG_SKIP, FLAG_REFUSED, FLAG_WHOLE = 1, 2, 4, 8

OPTION_SEEN, OPTION_SCALE, OPTION_SACK = 0x01, 0x02, 0x04

# Verdicts.
STATES = ("new", "established", "related", "invalid", "untracked", "dropped")
NEW, ESTABLISHED, RELATED, INVALID, UNTRACKED, DROPPED = range(6)
DIRECTIONS = ("original", "reply")
NO_DIRECTION = 255

# Counters, by their uapi names.
COUNTERS = (
    *("found", "invalid", "insert", "insert_failed", "drop", "early_drop", "error", "search_restart"),
    *("clash_resolve", "chain_toolong", "searched", "new", "ignore", "delete", "delete_list"),
)
C_FOUND, C_INVALID, C_INSERT, C_INSERT_FAILED, C_DROP, C_EARLY_DROP, C_ERROR, C_SEARCH_RESTART = range(8)
C_CLASH_RESOLVE, C_CHAIN_TOOLONG, C_SEARCHED, C_NEW, C_IGNORE, C_DELETE, C_DELETE_LIST = range(8, 15)

# Settings: one 64 bit word each, timeouts in nanoseconds.
S_TCP = 0  # ten words, by state
S_RETRANS, S_UNACK = 10, 11
S_UDP, S_UDP_STREAM, S_UDPLITE, S_UDPLITE_STREAM, S_ICMP, S_ICMPV6, S_GENERIC, S_GRE, S_GRE_STREAM = range(12, 21)
S_SCTP = 21  # nine words, by state
S_LOOSE, S_LIBERAL, S_IGNORE_RST, S_MAX_RETRANS, S_ACCT, S_CHECKSUM, S_MAX, S_BUCKETS = range(30, 38)
S_SWITCHES, S_GC, S_EARLY_DROP, S_WHOLE_BUCKET, S_COST_NS, S_BURST, S_TICK_NS, S_CHAIN_LEAST, S_CHAIN_SPAN = range(
    38, 47
)
SETTINGS_WORDS = 48

# Registers: what moves beside the entries.
R_COUNT, R_PEAK, R_FREE, R_USED, R_ROWS, R_SLOTS, R_SERIAL, R_RANDOM, R_SEED = range(9)
R_NOW, R_GC_NEXT, R_GC_AT, R_GC_MEAN, R_GC_WEIGHT, R_GC_START, R_GC_EARLY, R_GC_EXPIRED = range(9, 17)
R_LOG_BEGIN, R_LOG_LEFT, R_LOG_MISSED, R_LOG_LINES, R_STOPPED, R_EARLIEST, R_SWEPT = range(17, 24)
R_BEGUN = 24
REGISTERS = 25
NOTHING = -1
# Why the loop handed back before the end: a fragment, no row left, no room for a line of the log.
STOPPED_NOT, STOPPED_FRAGMENT, STOPPED_ROOM = range(3)

# The collector, in ticks and numbers of its own [core 6.18: gc_worker].
GC_FIRST_S = 1
GC_LEAST_S, GC_MOST_S, GC_CLAMP_S = 1, 60, 300
GC_WEIGHT = 100
GC_EXPIRED_RATE = 64000  # expired entries a second at most: 64000 / HZ in one tick
GC_FIXED_NS = 120 * SECOND_NS
GC_SLICES = 128
TIMER_SWEEP_NS = 10_000_000
EVICTION_RANGE = 8
STREAM_NS = 2 * SECOND_NS
CLASH_NS = SECOND_NS
SHRINK_ABOVE_NS = 120 * SECOND_NS
HIGHEST_SCALE = MAX_SCALE

DEFAULT_HZ = 250
MOST_ENTRIES = 1 << 30

_TCP_NAMES = (
    *(None, "syn_sent", "syn_recv", "established", "fin_wait", "close_wait", "last_ack", "time_wait", "close"),
    "syn_sent2",
)
_SCTP_NAMES = (
    *(None, "closed", "cookie_wait", "cookie_echoed", "established"),
    *("shutdown_sent", "shutdown_recd", "shutdown_ack_sent", "heartbeat_sent"),
)


def _timeout_columns() -> Iterator[tuple[str, int]]:
    for state, name in enumerate(_TCP_NAMES):
        if name is not None:
            yield f"nf_conntrack_tcp_timeout_{name}", S_TCP + state
    yield "nf_conntrack_tcp_timeout_max_retrans", S_RETRANS
    yield "nf_conntrack_tcp_timeout_unacknowledged", S_UNACK
    for state, name in enumerate(_SCTP_NAMES):
        if name is not None:
            yield f"nf_conntrack_sctp_timeout_{name}", S_SCTP + state
    yield from (
        ("nf_conntrack_udp_timeout", S_UDP),
        ("nf_conntrack_udp_timeout_stream", S_UDP_STREAM),
        ("nf_conntrack_icmp_timeout", S_ICMP),
        ("nf_conntrack_icmpv6_timeout", S_ICMPV6),
        ("nf_conntrack_generic_timeout", S_GENERIC),
        ("nf_conntrack_gre_timeout", S_GRE),
        ("nf_conntrack_gre_timeout_stream", S_GRE_STREAM),
    )


TIMEOUTS = dict(_timeout_columns())
_UDPLITE = {
    "nf_conntrack_udplite_timeout": S_UDPLITE,
    "nf_conntrack_udplite_timeout_stream": S_UDPLITE_STREAM,
}

# Switches and numbers: column, default, least, most.
_NUMBERS: dict[str, tuple[int, int, int, int]] = {
    "nf_conntrack_tcp_loose": (S_LOOSE, 1, 0, 255),
    "nf_conntrack_tcp_be_liberal": (S_LIBERAL, 0, 0, 1),
    "nf_conntrack_tcp_ignore_invalid_rst": (S_IGNORE_RST, 0, 0, 1),
    "nf_conntrack_tcp_max_retrans": (S_MAX_RETRANS, 3, 0, 255),
    "nf_conntrack_acct": (S_ACCT, 0, 0, 1),
    "nf_conntrack_checksum": (S_CHECKSUM, 1, 0, 1),
    "nf_conntrack_max": (S_MAX, 0, 0, 0x7FFFFFFF),
    "nf_conntrack_buckets": (S_BUCKETS, 0, 1, 0x0FFFFFFF),
    "net.core.message_cost": (S_COST_NS, 5, 0, 1 << 20),
    "net.core.message_burst": (S_BURST, 10, 0, 1 << 20),
}
# Settings that exist and change nothing a packet or the table shows.
_SILENT = frozenset(
    (
        "nf_conntrack_events",
        "nf_conntrack_events_retry_timeout",
        "nf_conntrack_timestamp",
        "nf_conntrack_log_invalid",
        "nf_conntrack_expect_max",
        "nf_conntrack_helper",
        "nf_flowtable_tcp_timeout",
        "nf_flowtable_udp_timeout",
        "nf_hooks_lwtunnel",
    )
)


def _number(name: str, value: object, least: int, most: int) -> int:
    try:
        number = int(str(value), 0)
    except ValueError:
        raise UsageError(f"{name}={value}: not a whole number") from None
    if not least <= number <= most:
        raise UsageError(f"{name}={value}: the kernel takes {least} to {most}")
    return number


def compile_settings(era: eras.Era, given: Mapping[str, object]) -> list[int]:
    """The settings of a twin as one row of numbers: defaults of the kernel, then what was given.

    Names may carry ``net.netfilter.`` or be paths; a bare ``max`` or ``buckets`` is taken as nf_conntrack_max or
    _buckets. UsageError for a name that is no setting of tracking, one this kernel does not have, or a value that the
    kernel would refuse.
    """
    row = [0] * SETTINGS_WORDS
    for name, column in (TIMEOUTS | _UDPLITE).items():
        row[column] = (timeouts.default_s(name, era.kernel).value or 0) * SECOND_NS
    for column, default, _, _ in _NUMBERS.values():
        row[column] = default
    row[S_BUCKETS], row[S_MAX] = _host_of(era)
    if not era.has("ignore-invalid-rst"):
        row[S_IGNORE_RST] = 0
    for raw, value in given.items():
        _set(row, era, str(raw), value)
    shares_udp = timeouts.default_s("nf_conntrack_udplite_timeout", era.kernel)
    if shares_udp.value is None or not sysctls.exists("nf_conntrack_udplite_timeout", era.kernel).value:
        row[S_UDPLITE], row[S_UDPLITE_STREAM] = row[S_UDP], row[S_UDP_STREAM]
    row[S_COST_NS] *= SECOND_NS
    row[S_SWITCHES], row[S_GC] = era.switches, era.gc
    row[S_EARLY_DROP], row[S_WHOLE_BUCKET] = era.early_drop, int(era.drop_whole_bucket)
    row[S_TICK_NS] = SECOND_NS // DEFAULT_HZ
    row[S_CHAIN_LEAST], row[S_CHAIN_SPAN] = era.chain_least, era.chain_span
    return row


def _set(row: list[int], era: eras.Era, raw: str, value: object) -> None:
    name = sysctls.canonical(raw.strip().replace("/", ".").removeprefix("proc.sys."))
    if name in ("max", "buckets", "hashsize"):
        name = "nf_conntrack_buckets" if name == "hashsize" else f"nf_conntrack_{name}"
    columns = TIMEOUTS | _UDPLITE
    if name in columns:
        row[columns[name]] = _number(name, value, 0, 0x7FFFFFFF) * SECOND_NS
    elif name in _NUMBERS:
        column, _, least, most = _NUMBERS[name]
        row[column] = _number(name, value, least, most)
    elif name == "nf_conntrack_count":
        raise UsageError(
            "nf_conntrack_count is what the kernel counts and cannot be set; nf_conntrack_max is the limit"
        )
    elif name not in _SILENT:
        from difflib import get_close_matches

        known = [*columns, *_NUMBERS, *_SILENT]
        close = get_close_matches(name, known, n=2)
        raise UsageError(
            f"{raw} is no setting the twin knows{'; did you mean ' + ' or '.join(close) + '?' if close else ''}"
        )
    if name != "nf_conntrack_tcp_timeout_syn_sent2" and sysctls.exists(name, era.kernel).value is False:
        raise UsageError(f"{name} does not exist on Linux {era.kernel.release}")


def _host_of(era: eras.Era) -> tuple[int, int]:
    """Buckets and limit of a 64 bit host with more than 4 GB. Writing one of them later never moves the other."""
    from tablefull.kernel.sizing import default_buckets, default_max

    ram_bytes = 8 << 30
    return default_buckets(ram_bytes, era.kernel).value or 65536, default_max(ram_bytes, era.kernel).value or 65536
