"""Entries that should go sooner, or be gone, on a running host: timeouts by the table's own sample, pickup, flushing.

The trap: a new timeout does not touch an entry that exists: only its next packet applies it, and the idle ones that
one wants to be rid of send none. So shorter timeouts are forecast for what is to come, and what is there is flushed.
"""

from tablefull.errors import TablefullError, UsageError
from tablefull.fixes import timeout_plans
from tablefull.fixes.act import Command, Flush, HostPlan, Predicted, SetValue, Step
from tablefull.fixes.live_host import LiveHost, Options, Sample
from tablefull.fixes.set_acts import CannotSet, refused, set_value
from tablefull.fixes.timeout_choice import LADDERS, Choice, choose, expression
from tablefull.fixes.timeout_plans import KEEPALIVE_S, TCP, UDP, UDP_STREAM
from tablefull.kernel import identity
from tablefull.kernel.timeouts import STATES

SHORTEST_S = 1


def _scope(host: LiveHost) -> str:
    # Timeouts and switches of the trackers are each namespace's own from 3.6 on [KERNEL.md 2.2].
    return "netns" if identity.at_least(host.kernel, 3, 6) is not False else "host"


def shorten_timeouts(host: LiveHost, options: Options) -> HostPlan:
    """Lower what the sample shows to be idle; where no entry may be read, what the cause lives on."""
    fix, title = "shorten-timeouts", "Let idle entries go sooner"
    now = {name: seconds for name in LADDERS if (seconds := host.setting(name)) is not None}
    if not now:
        return refused(host, fix, title, "no timeouts to be seen here: connection tracking is not loaded")
    sample = None
    choices: list[Choice] = []
    if options.timeouts:
        wanted = dict(options.timeouts)
    else:
        sample = host.sample
        if sample is not None and sample.rows:
            choices = choose(sample.rows, now)
            wanted = {one.name: one.after_s for one in choices}
            if not wanted:
                why = (
                    f"of {len(sample.rows)} entries read ({sample.source}) none to speak of has been silent for longer "
                    "than a shorter timeout would allow: look at who makes the entries instead"
                )
                return refused(host, fix, title, why)
        else:
            wanted = timeout_plans.wanted(host.situation, options.cause)
            if not wanted:
                return refused(host, fix, title, "the timeouts that matter here are short already")
    for name, seconds in wanted.items():
        if "_timeout" not in name or (name not in now and host.setting(name) is None):
            raise UsageError(f"no timeout is called {name[:60]!a} on this kernel")
        if seconds < SHORTEST_S:
            raise UsageError(f"{name[:60]}: {seconds} s would let no connection live")
    try:
        acts = {name: set_value(host, name, seconds) for name, seconds in wanted.items()}
    except CannotSet as reason:
        return refused(host, fix, title, str(reason))
    by_name = {one.name: one for one in choices}
    steps = tuple(_step(host, name, act, by_name.get(name), sample) for name, act in acts.items() if act is not None)
    if not steps:
        return refused(host, fix, title, "these timeouts have those values already")
    return HostPlan(
        fix=fix, host=host.name, netns=host.netns, title=title, steps=steps, told=_told(host, acts, choices),
        needs=("CAP_NET_ADMIN",),
    )  # fmt: skip


def _told(host: LiveHost, acts: dict[str, SetValue | None], choices: list[Choice]) -> tuple[str, ...]:
    told = ["entries that are idle now keep their old deadline: flush-entries takes away those that nobody needs"]
    told += [
        f"{one.freed} of {one.sampled} have been silent for {one.after_s} s or more: flush-entries --where '{which}'"
        for one in choices
        if (which := expression(one))
    ]
    if host.orchestrator == "kubernetes" and acts.keys() & {TCP + "established", TCP + "close_wait"}:
        told.append(
            "kube-proxy writes established and close_wait again at its start: set conntrack.tcpEstablishedTimeout and "
            "conntrack.tcpCloseWaitTimeout in its configuration (configure-kube-proxy)"
        )
    if _scope(host) == "netns":
        told.append("each network namespace has its own values, and a new one starts with the defaults")
    return tuple(told)


def _risk(name: str, seconds: int) -> str:
    if name == TCP + "established":
        return (
            f"A TCP connection that is silent for more than {seconds} s loses its entry: through NAT it is dead, "
            f"behind a stateful firewall it may stall. With keepalive (first probe after {KEEPALIVE_S} s) it is "
            + ("safe; " if seconds > KEEPALIVE_S + 675 else "not safe, for that is longer; ")
            + "databases and SSH sessions without keepalive are not."
        )
    if name in (UDP, UDP_STREAM):
        return (
            "UDP peers that speak less often than that (SIP registrations, VPN and games without keepalive) lose their "
            "way back through NAT."
        )
    if name == TCP + "close_wait":
        return "A client that closes its half and waits in silence for the rest longer than that loses its entry."
    return "A late segment of such a connection may then be INVALID, which harms nobody."


def _step(host: LiveHost, name: str, act: SetValue, choice: Choice | None, sample: Sample | None) -> Step:
    seconds = int(act.after)
    evidence = ""
    predicted = None
    if choice is not None and sample is not None:
        evidence = (
            f" Of {choice.sampled} entries read, {choice.entries} live by it, and {choice.freed} of those have been "
            f"silent for {seconds} s or more."
        )
        if sample.total is not None and choice.sampled:
            gone = round(sample.total * choice.freed / choice.sampled)
            predicted = Predicted(
                how=f"the share of {choice.sampled} entries silent for longer, once the table has turned over",
                entries_before=sample.total,
                entries_after=max(0, sample.total - gone),
            )
    bare = name.removeprefix("nf_conntrack_")
    return Step(
        title=f"{bare}: {act.before} s → {seconds} s",
        before=f"{act.before} s ({STATES.get(name, bare)}).{evidence}",
        after=f"{seconds} s from the next packet of each entry on",
        scope="netns" if _scope(host) == "netns" else "host",
        acts=(act,),
        risk=_risk(name, seconds),
        undo=f"{act.before} s again",
        verify=(Command(("cat", act.path)),),
        predicted=predicted,
    )


def disable_tcp_loose(host: LiveHost, options: Options) -> HostPlan:
    """No pickup in the middle of a stream."""
    fix, title = "disable-tcp-loose", "Do not pick up TCP streams in the middle"
    try:
        act = set_value(host, "nf_conntrack_tcp_loose", 0)
    except CannotSet as reason:
        return refused(host, fix, title, str(reason))
    if act is None:
        return refused(host, fix, title, "it is off already")
    step = Step(
        title=title,
        before="a lone ACK makes an ESTABLISHED entry",
        after="only a SYN makes an entry",
        scope="netns" if _scope(host) == "netns" else "host",
        acts=(act,),
        risk="Connections that have no entry (after a reboot or failover of the firewall, a flush, a shorter timeout) "
        "are never taken up again: where INVALID is dropped they hang until their programs give up.",
        undo=f"{act.before} again",
        verify=(Command(("cat", act.path)),),
    )
    return HostPlan(fix=fix, host=host.name, netns=host.netns, title=title, steps=(step,), needs=("CAP_NET_ADMIN",))


def flush_entries(host: LiveHost, options: Options) -> HostPlan:
    """Take the chosen entries out, never all."""
    fix, title = "flush-entries", "Delete the entries that are meant, and only those"
    where = options.where.strip()
    if not where:
        why = (
            "which entries? --where names them, such as: proto=tcp and state=ESTABLISHED and dst in 10.0.0.0/8; the "
            "whole table is never flushed"
        )
        return refused(host, fix, title, why)
    from tablefull.wire.selection import parse

    test = parse(where)
    sample = host.sample
    expected = None
    share = ""
    if sample is not None:
        matched = sum(bool(test(row.__getitem__)) for row in sample.rows)
        if sample.whole:
            expected = matched
        elif sample.total is not None and sample.rows:
            expected = round(sample.total * matched / len(sample.rows))
        share = f"{matched} of {len(sample.rows)} entries read are meant"
        if sample.rows and matched == len(sample.rows) and not options.i_know:
            return refused(
                host, fix, title, f"{share}: that is the whole table, and every connection through it (--i-know)"
            )
        if sample.whole and not matched:
            return refused(host, fix, title, f"no entry is meant: {share}")
    session = "" if options.i_know else _own_session(host, where)
    if session:
        why = (
            f"the entry of {session}'s open session with this host's port 22 is meant: whoever types this may be cut "
            "off, which cannot be undone; add 'and not dport=22' to --where (or --i-know)"
        )
        return refused(host, fix, title, why)
    step = Step(
        title=f"Delete the entries where {where}",
        before=share or "which entries there are could not be read here",
        after="none of those; the next packet of a live connection makes a new one by today's rules",
        scope="netns",
        acts=(Flush(where=where, expected=expected),),
        risk="The connections of the deleted entries: UDP goes on with its next packet, TCP through NAT breaks, TCP "
        "behind a stateful firewall is picked up again only while tcp_loose is "
        f"1 (here it is {_known(host.setting('nf_conntrack_tcp_loose'))}).",
        undo="it cannot be undone: deleted entries do not come back",
        predicted=Predicted(
            how="the share of the entries read that are meant",
            entries_before=sample.total,
            entries_after=None if sample.total is None or expected is None else max(0, sample.total - expected),
        )
        if sample is not None
        else None,
    )
    return HostPlan(
        fix=fix, host=host.name, netns=host.netns, title=title, steps=(step,), needs=("CAP_NET_ADMIN",),
        told=("it lasts until the same thing leaves such entries again: mend that as well",),
    )  # fmt: skip


def _own_session(host: LiveHost, where: str) -> str:
    """Who has an open session with port 22 here whose entry ``where`` chooses; empty for nobody.

    A sample may have passed it over, so the whole table is read where there is such a session.
    """
    from tablefull.fixes import flush
    from tablefull.wire.selection import parse

    sample = host.sample
    for peer in sorted(host.sessions):
        chosen = f"proto=tcp and dport=22 and src={peer} and ({where})"
        test = parse(chosen)
        if sample is not None and any(test(row.__getitem__) for row in sample.rows):
            return peer
        if host.here and sample is not None and not sample.whole:
            try:
                if flush.some(chosen, host.space):
                    return peer
            except (TablefullError, OSError):
                return peer
    return ""


def _known(number: int | None) -> str:
    return "unknown" if number is None else str(number)
