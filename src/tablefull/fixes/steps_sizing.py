"""A larger table on a running host: the limit with its buckets, the buckets alone, the expectations.

The trap: the limit is a promise of memory that cannot be swapped, made to whoever sends packets. What the whole machine
has is not what is free, so the number is compared with what is available now, with the entries that exist counted off.
"""

from tablefull.fixes.act import Command, HostPlan, Predicted, SetValue, Step
from tablefull.fixes.live_host import LiveHost, Options
from tablefull.fixes.set_acts import CannotSet, refused, set_value
from tablefull.fixes.sizing_plans import HEADROOM, buckets_for, entry_cost_bytes, not_by_size, target_max
from tablefull.kernel import identity, sizing

# A full table may take half of what is available now: the other half is the programs', the page cache's, the sockets'.
FREE_SHARE = 2
_MIB = 1048576


def _mib(size: int) -> str:
    return f"{size / _MIB:.0f} MiB" if size >= 10 * _MIB else f"{size / _MIB:.1f} MiB"


def cost_bytes(host: LiveHost, limit: int, buckets: int) -> int:
    """What the table may take beyond what it takes now, when it has filled."""
    here = host.situation
    more = max(0, limit - (here.count or 0)) * entry_cost_bytes(here)
    return more + max(0, buckets - (here.buckets or 0)) * sizing.bucket_bytes(host.kernel)


def fitting(host: LiveHost, wish: int) -> tuple[int, str]:
    """The wish, or the largest multiple of 1024 that half of the available memory holds; and the arithmetic."""
    _, available = host.memory
    buckets = max(buckets_for(host.situation, wish), host.situation.buckets or 0)
    cost = cost_bytes(host, wish, buckets)
    if available is None:
        return wish, f"filled, it takes about {_mib(cost)} more; how much memory is free could not be read"
    told = f"filled, it takes about {_mib(cost)} more, of {_mib(available)} available"
    if cost <= available // FREE_SHARE:
        return wish, told
    each = entry_cost_bytes(host.situation) + 2 * sizing.bucket_bytes(host.kernel)
    room = (host.situation.count or 0) + available // FREE_SHARE // each
    least = room // 1024 * 1024
    return least, f"{told}: too much, as half of that holds {least} entries of {each} bytes"


def _set_buckets(host: LiveHost, buckets: int) -> SetValue | None:
    """Through the sysctl where it may be written (4.8), else through the module's parameter."""
    by_sysctl = identity.at_least(host.kernel, 4, 8) is True
    wanted = sizing.round_up_buckets(buckets)
    return set_value(host, "nf_conntrack_buckets" if by_sysctl else "hashsize", wanted)


def raise_max(host: LiveHost, options: Options) -> HostPlan:
    """A larger limit, its buckets first."""
    title = "Raise the limit of entries"
    here = host.situation
    if here.max is None:
        return refused(host, "raise-max", title, "no nf_conntrack_max here: connection tracking is not loaded")
    if here.max == 0:  # compared only where it is not 0 [__nf_conntrack_alloc]
        return refused(host, "raise-max", title, "nf_conntrack_max is 0: there is no limit to raise")
    if options.limit is not None:
        wish: int | None = options.limit
        why = f"{options.limit} was asked for"
    else:
        wish, why = target_max(here)
    if wish is None:
        return refused(host, "raise-max", title, f"a higher limit does not fit into this memory: {why}")
    if wish <= here.max:
        return refused(host, "raise-max", title, f"{wish} is not above the {here.max} that are allowed now")
    fits, memory = fitting(host, wish)
    if fits < wish and not (options.limit is not None and options.i_know):
        if options.limit is not None or fits <= here.max:
            return refused(host, "raise-max", title, f"{wish} entries do not fit: {memory}")
        wish, why = fits, f"{why}; {memory}"
    else:
        why = f"{why}; {memory}"
    buckets = options.buckets or max(buckets_for(here, wish), here.buckets or 0)
    try:
        grown = _set_buckets(host, buckets) if buckets > (here.buckets or 0) else None
        limit = set_value(host, "nf_conntrack_max", wish)
    except CannotSet as reason:
        return refused(host, "raise-max", title, str(reason))
    steps = []
    size = cost_bytes(host, wish, buckets)
    if grown is not None:
        steps.append(_buckets_step(host, grown, wish))
    assert limit is not None
    steps.append(
        Step(
            title=f"Allow {wish} entries",
            before=f"{here.max} entries allowed, {_known(here.count)} there",
            after=f"{wish} entries allowed",
            scope="host",
            acts=(limit,),
            risk="Nobody loses a connection. The number is one for the whole host, and every network namespace may "
            f"hold that many. {why}.",
            undo=f"{here.max} again; entries above it stay until they expire, and new ones are refused meanwhile",
            verify=(Command(("cat", limit.path)),),
            predicted=Predicted(how="the size of an entry and of a bucket on this kernel", memory_bytes=size),
        )
    )
    return HostPlan(
        fix="raise-max", host=host.name, netns=host.netns, title=f"{title} to {wish}", steps=tuple(steps),
        told=_told(host, options), needs=("CAP_NET_ADMIN", "root"),
    )  # fmt: skip


def _known(number: int | None) -> str:
    return "an unknown number" if number is None else str(number)


def _told(host: LiveHost, options: Options) -> tuple[str, ...]:
    told = []
    caution = not_by_size(options.cause)
    if caution:
        told.append(f"Before that: {caution}")
    if host.orchestrator == "kubernetes":
        told.append(
            "kube-proxy writes its own limit at every start: set conntrack.maxPerCore and conntrack.min in its "
            "configuration (configure-kube-proxy)"
        )
    return tuple(told)


def _buckets_step(host: LiveHost, act: SetValue, entries: int) -> Step:
    before, after = int(act.before), int(act.after)
    count = host.situation.count
    chains = ""
    if count:
        chains = (
            f" The {count} entries hang in two chains each: {sizing.chain_mean(count, before):.2f} in a bucket now, "
            f"{sizing.chain_mean(count, after):.2f} then."
        )
    return Step(
        title=f"Give the table {after} buckets for {entries} entries",
        before=f"{before} buckets",
        after=f"{after} buckets",
        scope="host",
        acts=(act,),
        risk="Nobody loses a connection; new ones wait for a moment while the entries are moved to the new table."
        + chains,
        undo=f"{before} buckets again",
        verify=(Command(("cat", act.path)),),
        predicted=Predicted(
            how="a pointer a bucket",
            memory_bytes=max(0, after - before) * sizing.bucket_bytes(host.kernel),
        ),
    )


def raise_hashsize(host: LiveHost, options: Options) -> HostPlan:
    """Buckets that go with the limit there is."""
    title = "Give the table more buckets"
    here = host.situation
    if here.max is None or here.buckets is None:
        return refused(
            host, "raise-hashsize", title, "how many buckets and entries there may be could not be read here"
        )
    buckets = sizing.round_up_buckets(options.buckets or buckets_for(here, here.max))
    if buckets <= here.buckets:
        why = f"{buckets} buckets for {here.max} entries are enough, and there are {here.buckets}"
        return refused(host, "raise-hashsize", title, why, "look at who makes the entries instead")
    _, available = host.memory
    cost = (buckets - here.buckets) * sizing.bucket_bytes(host.kernel)
    if available is not None and cost > available // FREE_SHARE and not options.i_know:
        why = f"{buckets} buckets take {_mib(cost)} more at once, of {_mib(available)} available"
        return refused(host, "raise-hashsize", title, why)
    try:
        act = _set_buckets(host, buckets)
    except CannotSet as reason:
        return refused(host, "raise-hashsize", title, str(reason))
    if act is None:
        return refused(host, "raise-hashsize", title, f"there are {here.buckets} already")
    return HostPlan(
        fix="raise-hashsize", host=host.name, netns=host.netns, title=f"{title}: {act.after}",
        steps=(_buckets_step(host, act, here.max),), needs=("CAP_NET_ADMIN", "root"),
    )  # fmt: skip


def raise_expect_max(host: LiveHost, options: Options) -> HostPlan:
    """A larger expectation table; before 2.6.32 there is no such setting."""
    title = "Allow more expectations"
    now = host.situation.expect_max
    if now is None:
        return refused(
            host, "raise-expect-max", title,
            "this kernel has no nf_conntrack_expect_max here (it came with 2.6.32): there the expectation hash can be "
            "given when the module is loaded, with options nf_conntrack expect_hashsize=N",
        )  # fmt: skip
    limit = options.limit or max(1 << ((max(now, 1) * HEADROOM).bit_length() - 1), 1024)
    if limit <= now:
        return refused(host, "raise-expect-max", title, f"{limit} is not above the {now} that are allowed now")
    try:
        act = set_value(host, "nf_conntrack_expect_max", limit)
    except CannotSet as reason:
        return refused(host, "raise-expect-max", title, str(reason))
    assert act is not None
    step = Step(
        title=f"Allow {limit} expectations",
        before=f"{now} expectations allowed",
        after=f"{limit} allowed",
        scope="host",
        acts=(act,),
        risk="Nobody loses a connection. The table of entries and its limit are not touched.",
        undo=f"{now} again",
        verify=(Command(("cat", act.path)),),
    )
    return HostPlan(
        fix="raise-expect-max", host=host.name, netns=host.netns, title=f"{title}: {limit}", steps=(step,),
        needs=("CAP_NET_ADMIN", "root"),
    )  # fmt: skip
