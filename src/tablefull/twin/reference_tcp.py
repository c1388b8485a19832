"""What the TCP tracker does with one segment of an entry, rule by rule in the kernel's order.

The trap: most of what decides is not in the state table. A SYN that the table ignores is remembered, and the answer
to it may bring the entry back in step; a RST is believed only as far as its sequence number shows; and a segment
outside the window is either let through without a trace or cut from its entry. Deadline and counters move only at the
very end.

This is the definition; ``loops_tcp.py`` does the same for arrays. [tcp 6.12 read; measured on 6.18.44; KERNEL.md 8.4,
8.5]
"""

from tablefull.kernel import tcp
from tablefull.twin import state as at
from tablefull.twin.eras import Era
from tablefull.twin.reference_entry import ACCEPT, INVALID, KEEP, KILL, REPEAT, Entry, Result, Side
from tablefull.twin.reference_packet import Packet, after

WINDOW_ACCEPT, WINDOW_IGNORE, WINDOW_INVALID = range(3)
# What may come of a RST before its window is looked at.
_CHECK, _SKIP, _REFUSE = range(3)
KEPT_FLAGS = tcp.SIDE_LIBERAL


def before(a: int, b: int) -> bool:
    """Whether sequence number a lies before b, modulo 2^32."""
    return after(b, a)


def add(a: int, b: int) -> int:
    """A sequence number moved on, modulo 2^32."""
    return (a + b) & at.M32


def take_options(side: Side, packet: Packet, era: Era) -> None:
    """A side's scale and SACK permission from the options of a SYN; without any option they stay as they were."""
    if not packet.options:
        return
    side.scale = packet.scale if packet.options & at.OPTION_SCALE else 0
    side.flags &= KEPT_FLAGS if era.has("liberal-kept") else 0
    if packet.options & at.OPTION_SCALE:
        side.flags |= tcp.SIDE_SCALE
    if packet.options & at.OPTION_SACK:
        side.flags |= tcp.SIDE_SACK


def begin(entry: Entry, packet: Packet, settings: list[int], era: Era) -> bool:
    """What a first segment makes of a fresh entry; False where none may begin with it.

    A SYN opens; an ACK is picked up if tcp_loose allows, with the window taken as liberal and SACK as permitted.
    """
    opens = era.tcp[tcp.ORIGINAL][packet.segment][tcp.NONE]
    if opens == tcp.INVALID or (opens != tcp.SYN_SENT and settings[at.S_LOOSE] == 0):
        return False
    entry.sides = (Side(), Side())
    side = entry.sides[0]
    side.end = packet.end
    side.maxwin = packet.window or 1
    if opens == tcp.SYN_SENT:
        side.maxend = side.end
        take_options(side, packet, era)
    else:
        side.maxend = add(side.end, side.maxwin)
        for each in entry.sides:
            each.flags = tcp.SIDE_SACK | tcp.SIDE_LIBERAL
    entry.last_kind = tcp.NO_FLAG
    return True


def track(entry: Entry, direction: int, packet: Packet, settings: list[int], era: Era) -> Result:
    """One segment: what becomes of it, and the timeout (ns) it gives the entry."""
    old, kind = entry.state, packet.segment
    new = era.tcp[direction][kind][old]
    mine, other = entry.sides[direction], entry.sides[1 - direction]
    if new == tcp.SYN_SENT and old >= tcp.TIME_WAIT:
        closed = (mine.flags | other.flags) & tcp.SIDE_CLOSE_INIT
        if closed or (entry.last_dir == direction and entry.last_kind == tcp.RST):
            return Result(REPEAT)
        new = tcp.IGNORE
    if new == tcp.IGNORE:
        if not _answers_ignored_syn(entry, direction, packet):
            _remember(entry, direction, packet, old)
            return Result(KEEP)
        _resync(entry, direction, era)
        old, new = tcp.SYN_SENT, tcp.SYN_RECV
    elif new == tcp.INVALID:
        return Result(INVALID)
    elif new == tcp.TIME_WAIT:
        if _is_challenge_ack(entry, direction, packet, old, era):
            entry.last_flags &= ~tcp.LAST_CHALLENGE
            return Result(KEEP)
    elif new == tcp.SYN_SENT2:
        entry.last_flags |= tcp.LAST_SIMULTANEOUS
    elif new == tcp.SYN_RECV:
        opened = direction == tcp.REPLY and kind == tcp.ACK and entry.last_flags & tcp.LAST_SIMULTANEOUS
        if opened and era.has("simultaneous-open-fix"):
            new = tcp.ESTABLISHED
    checks = _CHECK
    if new == tcp.CLOSE and kind == tcp.RST:
        checks, new = _reset(entry, direction, packet, old, settings, era)
        if checks == _REFUSE:
            return Result(INVALID)
    if checks == _CHECK:
        verdict = in_window(entry, direction, packet, settings, era)
        if verdict == WINDOW_IGNORE:
            return Result(KEEP)
        if verdict == WINDOW_INVALID:
            return Result(INVALID, shorten=era.has("ignore-old-data"))
    return _commit(entry, direction, packet, old, new, settings, era)


def _answers_ignored_syn(entry: Entry, direction: int, packet: Packet) -> bool:
    """A SYN/ACK for a SYN of the other side that was let through: both ends are in step, only the entry is not."""
    return (
        packet.segment == tcp.SYNACK
        and entry.last_kind == tcp.SYN
        and entry.last_dir != direction
        and packet.ack == entry.last_end
    )


def _resync(entry: Entry, direction: int, era: Era) -> None:
    """Take the remembered SYN as the beginning; forget what was known of the side that answers it."""
    opener, answerer = entry.sides[entry.last_dir], entry.sides[direction]
    opener.end = opener.maxend = entry.last_end
    opener.maxwin = entry.last_win or 1
    opener.scale = entry.last_scale
    entry.last_flags &= ~tcp.LAST_CHALLENGE
    opener.flags = entry.last_flags
    answerer.end = answerer.maxend = answerer.maxwin = answerer.maxack = answerer.scale = 0
    answerer.flags &= KEPT_FLAGS if era.has("liberal-kept") else 0


def _remember(entry: Entry, direction: int, packet: Packet, old: int) -> None:
    """An ignored segment leaves its numbers, and a SYN of the originator its options."""
    entry.last_kind, entry.last_dir = packet.segment, direction
    entry.last_seq, entry.last_end, entry.last_win = packet.seq, packet.end, packet.window
    if packet.segment == tcp.SYN and direction == tcp.ORIGINAL:
        entry.last_flags = entry.last_scale = 0
        if packet.options & at.OPTION_SCALE:
            entry.last_flags |= tcp.SIDE_SCALE
            entry.last_scale = packet.scale
        if packet.options & at.OPTION_SACK:
            entry.last_flags |= tcp.SIDE_SACK
        if old == tcp.LAST_ACK:
            entry.last_flags |= tcp.LAST_CHALLENGE
    if old == tcp.SYN_SENT and packet.segment == tcp.ACK and direction == tcp.REPLY:
        entry.last_ack = packet.ack


def _is_challenge_ack(entry: Entry, direction: int, packet: Packet, old: int, era: Era) -> bool:
    """An ACK in LAST_ACK that answers an ignored SYN does not acknowledge the FIN. [RFC 5961]"""
    return bool(
        era.has("challenge-ack-last-ack")
        and old == tcp.LAST_ACK
        and packet.segment == tcp.ACK
        and entry.last_dir != direction
        and entry.last_kind == tcp.SYN
        and entry.last_flags & tcp.LAST_CHALLENGE
    )


def _reset(entry: Entry, direction: int, packet: Packet, old: int, settings: list[int], era: Era) -> tuple[int, int]:
    """How far a RST is believed: whether its window is checked, skipped or it is refused; and the state it leads to."""
    later = era.has("ignore-invalid-rst")
    if later and old in tcp.CLOSING:
        return _SKIP, tcp.CLOSE
    new = tcp.CLOSE
    other = entry.sides[1 - direction]
    open_both = old == tcp.ESTABLISHED and entry.status & at.ASSURED
    if other.flags & tcp.SIDE_MAXACK and not (later and entry.last_kind == tcp.SYN):
        if later and packet.seq == 0 and not open_both:
            return _CHECK, new
        if before(packet.seq, other.maxack) and not settings[at.S_IGNORE_RST]:
            return _REFUSE, new
        if era.has("inexact-rst-keeps-state"):
            if not open_both or packet.seq == other.maxack:
                return _CHECK, new
            if entry.last_kind == tcp.ACK and entry.last_dir == direction and packet.seq == entry.last_end:
                return _CHECK, new
            new = old
    to_syn = entry.status & at.SEEN_REPLY and entry.last_kind == tcp.SYN
    if era.has("rst-other-direction"):
        to_syn = to_syn and entry.last_dir != direction
    to_ack = not entry.status & at.ASSURED and entry.last_kind == tcp.ACK
    if (to_syn or to_ack) and packet.ack == entry.last_end:
        return _SKIP, new
    if (
        era.has("rst-after-challenge")
        and old == tcp.SYN_SENT
        and entry.last_kind == tcp.ACK
        and entry.last_dir == tcp.REPLY
        and packet.seq == entry.last_ack
    ):
        return _SKIP, new
    return _CHECK, new


def _learn_side(side: Side, other: Side, direction: int, packet: Packet, era: Era) -> None:
    """A SYN shows where a side begins; scaling holds only if both SYNs carried it."""
    side.end = side.maxend = packet.end
    side.maxwin = packet.window or 1
    take_options(side, packet, era)
    decides = direction == tcp.REPLY or not era.has("wscale-on-reply")
    if decides and not side.flags & other.flags & tcp.SIDE_SCALE:
        side.scale = other.scale = 0


def _begins_again(entry: Entry, direction: int, packet: Packet, era: Era) -> bool:
    """Whether a side starts over beyond what it sent: a SYN in the handshake (before 5.17 any segment there)."""
    if not after(packet.end, entry.sides[direction].end):
        return False
    if era.has("reinit-on-syn"):
        return bool(packet.flags & tcp.FLAG_SYN) and entry.state in (tcp.SYN_SENT, tcp.SYN_RECV)
    opener = entry.state == tcp.SYN_SENT and direction == tcp.ORIGINAL
    return opener or (entry.state == tcp.SYN_RECV and direction == tcp.REPLY)


def in_window(entry: Entry, direction: int, packet: Packet, settings: list[int], era: Era) -> int:
    """Whether a segment fits what both sides sent and allowed; moves their marks where it does.

    Four bounds: I data not beyond what the receiver allows, II not wholly before what it may still take, III no ACK of
    data that was not sent, IV none that is older than any window.
    """
    sender, receiver = entry.sides[direction], entry.sides[1 - direction]
    seq, ack, end, window = packet.seq, packet.ack, packet.end, packet.window
    sack = packet.sack if receiver.flags & tcp.SIDE_SACK else ack
    syn, has_ack = bool(packet.flags & tcp.FLAG_SYN), bool(packet.flags & tcp.FLAG_ACK)
    if sender.maxwin == 0:
        if syn:
            _learn_side(sender, receiver, direction, packet, era)
            if not has_ack:
                return WINDOW_ACCEPT  # both sides open at once
        else:
            sender.end = end
            sender.maxwin = window << sender.scale or 1
            sender.maxend = add(end, sender.maxwin)
            if receiver.maxwin == 0:
                receiver.end = receiver.maxend = sack
            elif sack == add(receiver.end, 1):
                receiver.end = sack  # the answer to a keep-alive
    elif _begins_again(entry, direction, packet, era):
        if era.has("reinit-on-syn"):
            _learn_side(sender, receiver, direction, packet, era)
            if direction == tcp.REPLY and not has_ack:
                return WINDOW_ACCEPT
        else:
            sender.end = sender.maxend = end
            sender.maxwin = window or 1
            take_options(sender, packet, era)
    rst = bool(packet.flags & tcp.FLAG_RST)
    if not has_ack or (rst and ack == 0):
        ack = sack = receiver.end
    if rst and seq == 0 and entry.state == tcp.SYN_SENT:
        seq = end = sender.end
    verdict = _bounds(sender, receiver, seq, end, sack, era)
    if verdict != WINDOW_ACCEPT:
        liberal = sender.flags & tcp.SIDE_LIBERAL or settings[at.S_LIBERAL]
        return WINDOW_ACCEPT if liberal else verdict
    _move_marks(sender, receiver, end, ack, sack, window if syn else window << sender.scale, has_ack)
    if packet.segment == tcp.ACK:
        _count_repeats(entry, direction, seq, ack, end, window)
    return WINDOW_ACCEPT


def _bounds(sender: Side, receiver: Side, seq: int, end: int, sack: int, era: Era) -> int:
    """The four bounds in the kernel's order. A small overshoot moves the sender's end although it is not believed."""
    old = WINDOW_IGNORE if era.has("ignore-old-data") else WINDOW_INVALID
    oldest_ack = add(receiver.end, -max(tcp.MAX_ACK_WINDOW, sender.maxwin) - 1)
    oldest_data = add(sender.end, -receiver.maxwin - 1)
    if not before(seq, add(sender.maxend, 1)):
        beyond = add(end, 1 - sender.maxend)
        tolerated = (
            era.has("overshoot")
            and receiver.maxwin
            and after(end, oldest_data)
            and after(sack, oldest_ack)
            and beyond <= receiver.maxwin
            and before(sack, add(receiver.end, 1))
        )
        if not tolerated:
            return WINDOW_INVALID
        sender.end = end
        sender.flags |= tcp.SIDE_UNACKED
        return old
    if not before(sack, add(receiver.end, 1)):
        return WINDOW_INVALID
    if receiver.maxwin and not after(end, oldest_data):
        return old
    return WINDOW_ACCEPT if after(sack, oldest_ack) else old


def _move_marks(sender: Side, receiver: Side, end: int, ack: int, sack: int, window: int, has_ack: bool) -> None:
    """What a believed segment teaches: the sender's end and window, and how far the receiver may send."""
    sender.maxwin = max(sender.maxwin, (window + sack - ack) & at.M32)
    if after(end, sender.end):
        sender.end = end
        sender.flags |= tcp.SIDE_UNACKED
    if has_ack and (not sender.flags & tcp.SIDE_MAXACK or after(ack, sender.maxack)):
        sender.maxack = ack
        sender.flags |= tcp.SIDE_MAXACK
    if receiver.maxwin and after(end, sender.maxend):
        receiver.maxwin = (receiver.maxwin + end - sender.maxend) & at.M32
    if after(add(sack, window), add(receiver.maxend, -1)):
        receiver.maxend = add(sack, window + (1 if window == 0 else 0))
    if ack == receiver.end:
        receiver.flags &= ~tcp.SIDE_UNACKED


def _count_repeats(entry: Entry, direction: int, seq: int, ack: int, end: int, window: int) -> None:
    shown = (direction, seq, ack, end, window)
    if shown == (entry.last_dir, entry.last_seq, entry.last_ack, entry.last_end, entry.last_win):
        entry.retrans = (entry.retrans + 1) & 0xFF
    else:
        entry.last_dir, entry.last_seq, entry.last_ack, entry.last_end, entry.last_win = shown
        entry.retrans = 0


def _commit(entry: Entry, direction: int, packet: Packet, old: int, new: int, settings: list[int], era: Era) -> Result:
    """A believed segment moves the state; which timeout holds depends on what is still unanswered."""
    kind = packet.segment
    entry.last_kind, entry.last_dir, entry.state = kind, direction, new
    if old != new and new == tcp.FIN_WAIT:
        entry.sides[direction].flags |= tcp.SIDE_CLOSE_INIT
    timeout = _timeout(entry, new, kind, settings, era)
    if not entry.status & at.SEEN_REPLY:
        if packet.flags & tcp.FLAG_RST:
            return Result(KILL)
        if kind == tcp.SYN and old == tcp.SYN_SENT and era.has("ignore-invalid-rst"):
            return Result(KEEP)
        if new == tcp.ESTABLISHED and era.has("unack-cap"):
            timeout = min(timeout, settings[at.S_UNACK])
    elif not entry.status & at.ASSURED and old in (tcp.SYN_RECV, tcp.ESTABLISHED) and new == tcp.ESTABLISHED:
        entry.status |= at.ASSURED
    return Result(ACCEPT, timeout)


def _timeout(entry: Entry, new: int, kind: int, settings: list[int], era: Era) -> int:
    usual = settings[at.S_TCP + new]
    if entry.retrans >= settings[at.S_MAX_RETRANS] and usual > settings[at.S_RETRANS]:
        return settings[at.S_RETRANS]
    if kind == tcp.RST and era.has("inexact-rst-keeps-state"):
        return settings[at.S_TCP + tcp.CLOSE]
    if (entry.sides[0].flags | entry.sides[1].flags) & tcp.SIDE_UNACKED and usual > settings[at.S_UNACK]:
        return settings[at.S_UNACK]
    if entry.last_win == 0 and usual > settings[at.S_RETRANS] and era.has("window-zero-timeout"):
        return settings[at.S_RETRANS]
    return usual


def shorten(entry: Entry, direction: int, kind: int, now_ns: int, settings: list[int]) -> None:
    """After a FIN or RST outside the window from either side, an assured entry waits no longer than for an ACK.

    The first such segment is only remembered. [tcp 6.12: nf_tcp_handle_invalid]
    """
    if not entry.status & at.ASSURED or entry.status & at.FIXED_TIMEOUT or kind not in (tcp.RST, tcp.FIN):
        return
    if entry.last_dir != direction and entry.last_kind in (tcp.FIN, tcp.RST):
        left = entry.deadline_ns - now_ns
        if left >= at.SHRINK_ABOVE_NS and left > settings[at.S_UNACK]:
            entry.deadline_ns = now_ns + settings[at.S_UNACK]
    else:
        entry.last_kind, entry.last_dir = kind, direction
