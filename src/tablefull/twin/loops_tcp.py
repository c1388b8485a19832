"""The compiled TCP tracker. Namesake of reference_tcp, function by function; the rules and their sources stand there.

The trap: everything here is an address. ``e`` is an entry's row, ``p`` a packet's, ``cfg`` the settings, ``table`` the
state table as bytes; a result is an action plus eight times the timeout in nanoseconds.
"""

from tablefull.kernel import tcp
from tablefull.loops.memory import compiled, i64, inlined, le16, le32, put8, put16, put32, put64, u8
from tablefull.twin import state as at
from tablefull.twin.eras import BIT
from tablefull.twin.loops_tuple import M32, after
from tablefull.twin.reference_entry import ACCEPT, INVALID, KEEP, KILL, REPEAT

SHORTEN = 5  # INVALID, and the entry's remaining time may be cut
SIDES, SIDE = 4 * at.E_END, 4 * at.E_SIDE
MAXEND, MAXWIN, MAXACK = 4, 8, 12
SCALE, FLAGS, STATE, LAST_DIR, LAST_KIND = at.B_SCALE, at.B_FLAGS, at.B_STATE, at.B_LAST_DIR, at.B_LAST_KIND
RETRANS, LAST_SCALE, LAST_FLAGS, LAST_WIN = at.B_RETRANS, at.B_LAST_SCALE, at.B_LAST_FLAGS, 2 * at.H_LAST_WIN
LAST_SEQ, LAST_ACK, LAST_END = 4 * at.E_LAST_SEQ, 4 * at.E_LAST_ACK, 4 * at.E_LAST_END
STATUS, DEADLINE = 4 * at.E_STATUS, 8 * at.E_DEADLINE
SEQ, ACK, END, SACK = 4 * at.P_SEQ, 4 * at.P_ACK, 4 * at.P_END, 4 * at.P_SACK
WINDOW, OPTIONS = 4 * at.P_WINDOW, 4 * at.P_OPTIONS
S_SCALE, S_SACK, S_CLOSE, S_LIBERAL = tcp.SIDE_SCALE, tcp.SIDE_SACK, tcp.SIDE_CLOSE_INIT, tcp.SIDE_LIBERAL
S_UNACKED, S_MAXACK = tcp.SIDE_UNACKED, tcp.SIDE_MAXACK
CHALLENGE, SIMULTANEOUS = tcp.LAST_CHALLENGE, tcp.LAST_SIMULTANEOUS
O_SCALE, O_SACK = at.OPTION_SCALE, at.OPTION_SACK
SEEN_REPLY, ASSURED, FIXED = at.SEEN_REPLY, at.ASSURED, at.FIXED_TIMEOUT
C_SWITCHES, C_LOOSE, C_LIBERAL, C_IGNORE_RST = 8 * at.S_SWITCHES, 8 * at.S_LOOSE, 8 * at.S_LIBERAL, 8 * at.S_IGNORE_RST
C_RETRANS, C_UNACK, C_MAX_RETRANS, C_TCP = 8 * at.S_RETRANS, 8 * at.S_UNACK, 8 * at.S_MAX_RETRANS, 8 * at.S_TCP
K_UNACK_CAP, K_CHALLENGE, K_ZERO = BIT["unack-cap"], BIT["challenge-ack-last-ack"], BIT["window-zero-timeout"]
K_SIMULTANEOUS, K_INEXACT, K_5_14 = (
    BIT["simultaneous-open-fix"],
    BIT["inexact-rst-keeps-state"],
    BIT["ignore-invalid-rst"],
)
K_REINIT, K_LIBERAL, K_OVERSHOOT, K_OLD = (
    BIT["reinit-on-syn"],
    BIT["liberal-kept"],
    BIT["overshoot"],
    BIT["ignore-old-data"],
)
K_AFTER_CHALLENGE, K_WSCALE, K_OTHER = BIT["rst-after-challenge"], BIT["wscale-on-reply"], BIT["rst-other-direction"]
SYN, SYNACK, FIN, ACK_ONLY, RST = tcp.SYN, tcp.SYNACK, tcp.FIN, tcp.ACK, tcp.RST
SYN_SENT, SYN_RECV, ESTABLISHED, FIN_WAIT = tcp.SYN_SENT, tcp.SYN_RECV, tcp.ESTABLISHED, tcp.FIN_WAIT
LAST_ACK_STATE, TIME_WAIT, CLOSE, SYN_SENT2 = tcp.LAST_ACK, tcp.TIME_WAIT, tcp.CLOSE, tcp.SYN_SENT2
IGNORED, REFUSED = tcp.IGNORE, tcp.INVALID
REPLY = tcp.REPLY
MAX_ACK_WINDOW = tcp.MAX_ACK_WINDOW
SHRINK_ABOVE_NS = at.SHRINK_ABOVE_NS
NO_FLAG = tcp.NO_FLAG
F_SYN, F_RST, F_ACK = tcp.FLAG_SYN, tcp.FLAG_RST, tcp.FLAG_ACK
CHECK, SKIP, REFUSE = 0, 1, 2
WINDOW_ACCEPT, WINDOW_IGNORE, WINDOW_INVALID = 0, 1, 2


@inlined
def take_options(e: int, d: int, p: int, switches: int) -> None:
    """A side's scale and SACK permission from the options of a SYN."""
    options = le32(p + OPTIONS)
    if options == 0:
        return
    seen = options >> 8
    flags = u8(e + FLAGS + d) & (S_LIBERAL if switches & K_LIBERAL else 0)
    put8(e + SCALE + d, options & 0xFF if seen & O_SCALE else 0)
    if seen & O_SCALE:
        flags |= S_SCALE
    if seen & O_SACK:
        flags |= S_SACK
    put8(e + FLAGS + d, flags)


@compiled
def begin(e: int, p: int, cfg: int, table: int) -> bool:
    """What a first segment makes of a fresh entry; False where none may begin with it."""
    window = le32(p + WINDOW)
    opens = u8(table + 10 * (window >> 16 & 0xFF))
    if opens == REFUSED or (opens != SYN_SENT and i64(cfg + C_LOOSE) == 0):
        return False
    for word in range(8):
        put64(e + SIDES + 8 * word, 0)
    end, win = le32(p + END), window & 0xFFFF
    win = max(win, 1)
    put32(e + SIDES, end)
    put32(e + SIDES + MAXWIN, win)
    if opens == SYN_SENT:
        put32(e + SIDES + MAXEND, end)
        take_options(e, 0, p, i64(cfg + C_SWITCHES))
    else:
        put32(e + SIDES + MAXEND, end + win)
        put8(e + FLAGS, S_SACK | S_LIBERAL)
        put8(e + FLAGS + 1, S_SACK | S_LIBERAL)
    put8(e + LAST_KIND, NO_FLAG)
    return True


@inlined
def track(e: int, d: int, p: int, cfg: int, table: int) -> int:
    """One segment: an action plus eight times the timeout."""
    switches = i64(cfg + C_SWITCHES)
    old, kind = u8(e + STATE), le32(p + WINDOW) >> 16 & 0xFF
    new = u8(table + d * 60 + kind * 10 + old)
    checks = CHECK
    if new != old or new != ESTABLISHED or kind != ACK_ONLY:
        verdict = _unusual(e, d, p, cfg, switches, old, new, kind)
        if verdict < 0:
            return -verdict - 1
        old, new, checks = verdict & 0xFF, verdict >> 8 & 0xFF, verdict >> 16
    if checks == CHECK:
        fits = in_window(e, d, p, cfg, switches)
        if fits == WINDOW_IGNORE:
            return KEEP
        if fits == WINDOW_INVALID:
            return SHORTEN if switches & K_OLD else INVALID
    return _commit(e, d, p, cfg, switches, old, new, kind)


@compiled
def _unusual(e: int, d: int, p: int, cfg: int, switches: int, old: int, new: int, kind: int) -> int:
    """What decides before the window: minus an action minus one, or the states and the check to make, packed."""
    if new == SYN_SENT and old >= TIME_WAIT:
        closed = (u8(e + FLAGS) | u8(e + FLAGS + 1)) & S_CLOSE
        if closed or (u8(e + LAST_DIR) == d and u8(e + LAST_KIND) == RST):
            return -REPEAT - 1
        new = IGNORED
    if new == IGNORED:
        last_kind, last_dir = u8(e + LAST_KIND), u8(e + LAST_DIR)
        answers = kind == SYNACK and last_kind == SYN and last_dir != d and le32(p + ACK) == le32(e + LAST_END)
        if not answers:
            _remember(e, d, p, old, kind)
            return -KEEP - 1
        _resync(e, d, last_dir, switches)
        old, new = SYN_SENT, SYN_RECV
    elif new == REFUSED:
        return -INVALID - 1
    elif new == TIME_WAIT:
        if switches & K_CHALLENGE and old == LAST_ACK_STATE and kind == ACK_ONLY and u8(e + LAST_DIR) != d:
            flags = u8(e + LAST_FLAGS)
            if u8(e + LAST_KIND) == SYN and flags & CHALLENGE:
                put8(e + LAST_FLAGS, flags & ~CHALLENGE)
                return -KEEP - 1
    elif new == SYN_SENT2:
        put8(e + LAST_FLAGS, u8(e + LAST_FLAGS) | SIMULTANEOUS)
    elif new == SYN_RECV:
        if d == REPLY and kind == ACK_ONLY and u8(e + LAST_FLAGS) & SIMULTANEOUS and switches & K_SIMULTANEOUS:
            new = ESTABLISHED
    checks = CHECK
    if new == CLOSE and kind == RST:
        checks = _reset(e, d, p, cfg, switches, old)
        if checks == REFUSE:
            return -INVALID - 1
        if checks >= 16:
            checks -= 16
            new = old
    return old | new << 8 | checks << 16


@inlined
def _resync(e: int, d: int, opener: int, switches: int) -> None:
    side = e + SIDES + SIDE * opener
    end, window = le32(e + LAST_END), le16(e + LAST_WIN)
    put32(side, end)
    put32(side + MAXEND, end)
    put32(side + MAXWIN, max(window, 1))
    put8(e + SCALE + opener, u8(e + LAST_SCALE))
    flags = u8(e + LAST_FLAGS) & ~CHALLENGE
    put8(e + LAST_FLAGS, flags)
    put8(e + FLAGS + opener, flags)
    side = e + SIDES + SIDE * d
    put64(side, 0)
    put64(side + 8, 0)
    put8(e + SCALE + d, 0)
    put8(e + FLAGS + d, u8(e + FLAGS + d) & (S_LIBERAL if switches & K_LIBERAL else 0))


@inlined
def _remember(e: int, d: int, p: int, old: int, kind: int) -> None:
    put8(e + LAST_KIND, kind)
    put8(e + LAST_DIR, d)
    put32(e + LAST_SEQ, le32(p + SEQ))
    put32(e + LAST_END, le32(p + END))
    put16(e + LAST_WIN, le32(p + WINDOW))
    if kind == SYN and d == 0:
        options = le32(p + OPTIONS)
        seen, flags, scale = options >> 8, 0, 0
        if seen & O_SCALE:
            flags |= S_SCALE
            scale = options & 0xFF
        if seen & O_SACK:
            flags |= S_SACK
        if old == LAST_ACK_STATE:
            flags |= CHALLENGE
        put8(e + LAST_FLAGS, flags)
        put8(e + LAST_SCALE, scale)
    if old == SYN_SENT and kind == ACK_ONLY and d == REPLY:
        put32(e + LAST_ACK, le32(p + ACK))


@compiled
def _reset(e: int, d: int, p: int, cfg: int, switches: int, old: int) -> int:
    """How far a RST is believed; 16 more where the state stays as it was."""
    later = switches & K_5_14 != 0
    if later and (FIN_WAIT <= old <= CLOSE):
        return SKIP
    stays = 0
    status, last_kind, last_dir = le32(e + STATUS), u8(e + LAST_KIND), u8(e + LAST_DIR)
    open_both = old == ESTABLISHED and status & ASSURED != 0
    seq, last_end = le32(p + SEQ), le32(e + LAST_END)
    if u8(e + FLAGS + 1 - d) & S_MAXACK and not (later and last_kind == SYN):
        maxack = le32(e + SIDES + SIDE * (1 - d) + MAXACK)
        if later and seq == 0 and not open_both:
            return CHECK
        if after(maxack, seq) and i64(cfg + C_IGNORE_RST) == 0:
            return REFUSE
        if switches & K_INEXACT:
            if not open_both or seq == maxack:
                return CHECK
            if last_kind == ACK_ONLY and last_dir == d and seq == last_end:
                return CHECK
            stays = 16
    to_syn = status & SEEN_REPLY != 0 and last_kind == SYN and (last_dir != d or switches & K_OTHER == 0)
    to_ack = status & ASSURED == 0 and last_kind == ACK_ONLY
    if (to_syn or to_ack) and le32(p + ACK) == last_end:
        return SKIP + stays
    if switches & K_AFTER_CHALLENGE and old == SYN_SENT and last_kind == ACK_ONLY and last_dir == REPLY:
        if seq == le32(e + LAST_ACK):
            return SKIP + stays
    return CHECK + stays


@compiled
def _learn_side(e: int, d: int, p: int, switches: int) -> None:
    side, end = e + SIDES + SIDE * d, le32(p + END)
    put32(side, end)
    put32(side + MAXEND, end)
    put32(side + MAXWIN, max(le32(p + WINDOW) & 0xFFFF, 1))
    take_options(e, d, p, switches)
    if d == REPLY or switches & K_WSCALE == 0:
        if not u8(e + FLAGS) & u8(e + FLAGS + 1) & S_SCALE:
            put8(e + SCALE, 0)
            put8(e + SCALE + 1, 0)


@compiled
def _first_of_side(e: int, d: int, p: int, sack: int, switches: int) -> bool:
    """A side that was not seen yet; True where its segment is let through at once (both open at the same time)."""
    window = le32(p + WINDOW)
    if window >> 24 & F_SYN:
        _learn_side(e, d, p, switches)
        return window >> 24 & F_ACK == 0
    sender, receiver = e + SIDES + SIDE * d, e + SIDES + SIDE * (1 - d)
    end, scaled = le32(p + END), (window & 0xFFFF) << u8(e + SCALE + d)
    scaled = max(scaled, 1)
    put32(sender, end)
    put32(sender + MAXWIN, scaled)
    put32(sender + MAXEND, end + scaled)
    if le32(receiver + MAXWIN) == 0:
        put32(receiver, sack)
        put32(receiver + MAXEND, sack)
    elif sack == (le32(receiver) + 1) & M32:
        put32(receiver, sack)
    return False


@compiled
def _begins_again(e: int, d: int, p: int, state: int, switches: int) -> bool:
    """A side starts over; True where its segment is let through at once."""
    flags = le32(p + WINDOW) >> 24
    if not after(le32(p + END), le32(e + SIDES + SIDE * d)):
        return False
    if switches & K_REINIT:
        if flags & F_SYN:
            _learn_side(e, d, p, switches)
            return d == REPLY and flags & F_ACK == 0
        return False
    if (state == SYN_SENT and d == 0) or (state == SYN_RECV and d == REPLY):
        side, end = e + SIDES + SIDE * d, le32(p + END)
        put32(side, end)
        put32(side + MAXEND, end)
        put32(side + MAXWIN, max(le32(p + WINDOW) & 0xFFFF, 1))
        take_options(e, d, p, switches)
    return False


@inlined
def in_window(e: int, d: int, p: int, cfg: int, switches: int) -> int:
    """Whether a segment fits what both sides sent and allowed; moves their marks where it does."""
    sender, receiver = e + SIDES + SIDE * d, e + SIDES + SIDE * (1 - d)
    packed = le32(p + WINDOW)
    window, flags = packed & 0xFFFF, packed >> 24
    seq, ack, end = le32(p + SEQ), le32(p + ACK), le32(p + END)
    sack = le32(p + SACK) if u8(e + FLAGS + 1 - d) & S_SACK else ack
    state = u8(e + STATE)
    if le32(sender + MAXWIN) == 0:
        if _first_of_side(e, d, p, sack, switches):
            return WINDOW_ACCEPT
    elif state == SYN_SENT or state == SYN_RECV:
        if _begins_again(e, d, p, state, switches):
            return WINDOW_ACCEPT
    if flags & F_ACK == 0 or (flags & F_RST and ack == 0):
        ack = sack = le32(receiver)
    if flags & F_RST and seq == 0 and state == SYN_SENT:
        seq = end = le32(sender)
    sender_end, sender_maxwin = le32(sender), le32(sender + MAXWIN)
    receiver_end, receiver_maxwin = le32(receiver), le32(receiver + MAXWIN)
    maxend = le32(sender + MAXEND)
    fits = not after(seq, maxend)
    fits = fits and not after(sack, receiver_end)
    fits = fits and (receiver_maxwin == 0 or after(end, (sender_end - receiver_maxwin - 1) & M32))
    fits = fits and after(sack, (receiver_end - max(MAX_ACK_WINDOW, sender_maxwin) - 1) & M32)
    if not fits:
        verdict = _bounds(e, d, sender, receiver, seq, end, sack, switches)
        if verdict != WINDOW_ACCEPT:
            liberal = u8(e + FLAGS + d) & S_LIBERAL or i64(cfg + C_LIBERAL)
            return WINDOW_ACCEPT if liberal else verdict
    # What a believed segment teaches.
    side_flags = u8(e + FLAGS + d)
    moved = window if flags & F_SYN else window << u8(e + SCALE + d)
    shown = (moved + sack - ack) & M32
    if sender_maxwin < shown:
        put32(sender + MAXWIN, shown)
    if after(end, sender_end):
        put32(sender, end)
        side_flags |= S_UNACKED
    if flags & F_ACK and (side_flags & S_MAXACK == 0 or after(ack, le32(sender + MAXACK))):
        put32(sender + MAXACK, ack)
        side_flags |= S_MAXACK
    put8(e + FLAGS + d, side_flags)
    if receiver_maxwin and after(end, maxend):
        put32(receiver + MAXWIN, receiver_maxwin + end - maxend)
    if after((sack + moved) & M32, (le32(receiver + MAXEND) - 1) & M32):
        put32(receiver + MAXEND, sack + moved + (1 if moved == 0 else 0))
    if ack == receiver_end:
        put8(e + FLAGS + 1 - d, u8(e + FLAGS + 1 - d) & ~S_UNACKED)
    if packed >> 16 & 0xFF == ACK_ONLY:
        same = u8(e + LAST_DIR) == d and le32(e + LAST_SEQ) == seq and le32(e + LAST_ACK) == ack
        if same and le32(e + LAST_END) == end and le16(e + LAST_WIN) == window:
            put8(e + RETRANS, u8(e + RETRANS) + 1)
        else:
            put8(e + LAST_DIR, d)
            put32(e + LAST_SEQ, seq)
            put32(e + LAST_ACK, ack)
            put32(e + LAST_END, end)
            put16(e + LAST_WIN, window)
            put8(e + RETRANS, 0)
    return WINDOW_ACCEPT


@compiled
def _bounds(e: int, d: int, sender: int, receiver: int, seq: int, end: int, sack: int, switches: int) -> int:
    """The four bounds in the kernel's order; reached only where one of them may not hold."""
    old = WINDOW_IGNORE if switches & K_OLD else WINDOW_INVALID
    sender_end, receiver_end, receiver_maxwin = le32(sender), le32(receiver), le32(receiver + MAXWIN)
    maxend = le32(sender + MAXEND)
    oldest_ack = (receiver_end - max(MAX_ACK_WINDOW, le32(sender + MAXWIN)) - 1) & M32
    oldest_data = (sender_end - receiver_maxwin - 1) & M32
    acked = after((receiver_end + 1) & M32, sack)
    if not after((maxend + 1) & M32, seq):
        beyond = (end - maxend + 1) & M32
        tolerated = switches & K_OVERSHOOT != 0 and receiver_maxwin != 0 and after(end, oldest_data)
        if tolerated and after(sack, oldest_ack) and beyond <= receiver_maxwin and acked:
            put32(sender, end)
            put8(e + FLAGS + d, u8(e + FLAGS + d) | S_UNACKED)
            return old
        return WINDOW_INVALID
    if not acked:
        return WINDOW_INVALID
    if receiver_maxwin and not after(end, oldest_data):
        return old
    return WINDOW_ACCEPT if after(sack, oldest_ack) else old


@inlined
def _commit(e: int, d: int, p: int, cfg: int, switches: int, old: int, new: int, kind: int) -> int:
    """A believed segment moves the state; which timeout holds depends on what is still unanswered."""
    put8(e + LAST_KIND, kind)
    put8(e + LAST_DIR, d)
    put8(e + STATE, new)
    if old != new and new == FIN_WAIT:
        put8(e + FLAGS + d, u8(e + FLAGS + d) | S_CLOSE)
    usual, timeout = i64(cfg + C_TCP + 8 * new), 0
    both = u8(e + FLAGS) | u8(e + FLAGS + 1)
    if u8(e + RETRANS) >= i64(cfg + C_MAX_RETRANS) and usual > i64(cfg + C_RETRANS):
        timeout = i64(cfg + C_RETRANS)
    elif kind == RST and switches & K_INEXACT:
        timeout = i64(cfg + C_TCP + 8 * CLOSE)
    elif both & S_UNACKED and usual > i64(cfg + C_UNACK):
        timeout = i64(cfg + C_UNACK)
    elif le16(e + LAST_WIN) == 0 and usual > i64(cfg + C_RETRANS) and switches & K_ZERO:
        timeout = i64(cfg + C_RETRANS)
    else:
        timeout = usual
    status = le32(e + STATUS)
    if status & SEEN_REPLY == 0:
        if kind == RST:
            return KILL
        if kind == SYN and old == SYN_SENT and switches & K_5_14:
            return KEEP
        if new == ESTABLISHED and switches & K_UNACK_CAP:
            timeout = min(timeout, i64(cfg + C_UNACK))
    elif status & ASSURED == 0 and new == ESTABLISHED and (old == SYN_RECV or old == ESTABLISHED):
        put32(e + STATUS, status | ASSURED)
    return ACCEPT + 8 * timeout


@compiled
def shorten(e: int, d: int, kind: int, now_ns: int, cfg: int) -> None:
    """After a FIN or RST outside the window from either side, an assured entry waits no longer than for an ACK."""
    status = le32(e + STATUS)
    if status & ASSURED == 0 or status & FIXED or (kind != RST and kind != FIN):
        return
    last = u8(e + LAST_KIND)
    if u8(e + LAST_DIR) != d and (last == FIN or last == RST):
        left = i64(e + DEADLINE) - now_ns
        if left >= SHRINK_ABOVE_NS and left > i64(cfg + C_UNACK):
            put64(e + DEADLINE, now_ns + i64(cfg + C_UNACK))
    else:
        put8(e + LAST_KIND, kind)
        put8(e + LAST_DIR, d)
