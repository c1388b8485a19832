"""Plans that make a table larger: the entry table, its buckets, the expectation table, Cilium's map.

The trap: the largest number that is typed is not the largest that fits. The limit is paid in kernel memory that cannot
be swapped, so each number here carries its arithmetic and stays within a stated share of the memory, where that is
known.
"""

from tablefull.fixes import dialect
from tablefull.fixes.plan import Plan, Situation, compose
from tablefull.kernel import identity, sizing

# An eighth of the memory: a full table leaves the rest to the programs; the kernel's own defaults take 1 to 2 %.
RAM_SHARE = 8
# Four times what is known to be needed: the demand behind a full table is hidden, and doubling twice covers most
# surprises.
HEADROOM = 4
# What a host with 1 to 4 GB gets by default in every version (docs/kernel): no full table needs to stay below it.
FLOOR = 65536
# The default of every host above 4 GB since 4.0: the number to start with where nothing is known.
USUAL = 262144
# The sizes between versions where no kernel is known: the largest common cost of an entry (docs/kernel).
COSTLIEST_ENTRY_BYTES = 448
# Some of these causes fill any limit, so the plan says it before it gives a number.
_NOT_BY_SIZE = {
    "app-connection-loop": "a program that opens connections without end fills any limit: mend it first",
    "kernel-leak-or-bug": "entries that never leave fill any limit: this only gains time",
    "syn-flood-or-ddos": "a flood fills any limit: drop it before it is tracked",
    "scan-or-p2p": "one host with a huge number of peers fills any limit: find it first",
    "unneeded-tracking": "no rule here needs tracking: stop it instead of making room for it",
    "bridge-nf": "these are other machines' connections: keep bridged frames out instead of making room for them",
    "long-established-timeout": "idle entries pile up for days under any limit: shorten their time as well",
    "half-open-or-asymmetric": "entries whose end is never seen pile up under any limit: shorten their time as well",
    "memory-pressure": "memory is short already: a larger table makes it shorter",
    "hash-undersized": "the buckets are what is short, not the limit",
}


def _power_below(number: int) -> int:
    return 1 << (max(number, 1).bit_length() - 1)


def not_by_size(cause: str) -> str:
    """Why a larger table does not answer this cause; empty where it does."""
    return _NOT_BY_SIZE.get(cause, "")


def _mib(size: int) -> str:
    return f"{size / 1048576:.0f} MiB" if size >= 10 * 1048576 else f"{size / 1048576:.1f} MiB"


def entry_cost_bytes(situation: Situation) -> int:
    """Bytes one entry takes on this kernel; the costliest usual one where the kernel is unknown."""
    return sizing.entry_bytes(situation.kernel).value or COSTLIEST_ENTRY_BYTES


def room_for(ram_bytes: int, each_bytes: int) -> int:
    """How many entries of that size, buckets included, fit into the share of the memory that a table may take."""
    return ram_bytes // RAM_SHARE // each_bytes


def buckets_for(situation: Situation, limit: int) -> int:
    """Buckets that go with a limit on this kernel."""
    return sizing.recommended_buckets(limit, situation.kernel).value or limit


def target_max(situation: Situation) -> tuple[int | None, str]:
    """The limit to set and the arithmetic behind it; None where the memory does not allow more than there is."""
    demand = max(situation.max or 0, situation.count or 0)
    each = entry_cost_bytes(situation) + 8
    wish = max(_power_below(demand * HEADROOM), FLOOR) if demand else USUAL
    if demand:
        told = f"{demand} × {HEADROOM} = {demand * HEADROOM}, as a power of two {wish}"
    else:
        told = f"neither count nor limit is known, so {wish}, the default of a host with more than 4 GB"
    room = None
    if situation.ram_bytes:
        room = room_for(situation.ram_bytes, each)
        if wish > room:
            wish = room // 1024 * 1024 if room >= 1024 else room
            told += f"; 1/{RAM_SHARE} of {_mib(situation.ram_bytes)} holds {room} entries of {each} bytes, so {wish}"
    if demand and wish <= (situation.max or 0):
        return None, told + f": not more than the {situation.max} there are, so memory is the limit here"
    total = sizing.table_bytes(wish, buckets_for(situation, wish), situation.kernel).value
    size = total if total is not None else wish * each
    told += f"; full, it takes about {_mib(size)} of kernel memory"
    if situation.ram_bytes:
        told += f" of {_mib(situation.ram_bytes)} ({100 * size / situation.ram_bytes:.1f} %)"
    else:
        told += " (memory unknown here: compare with free -m first)"
    return wish, told


def set_buckets(situation: Situation, buckets: int) -> str:
    """Resize the table now: a writable sysctl from 4.8, the module parameter in every version."""
    if identity.at_least(situation.kernel, 4, 8) is True:
        return dialect.write(situation, "nf_conntrack_buckets", buckets)
    return f"echo {buckets} > {hashsize_path(situation)}"


def hashsize_path(situation: Situation) -> str:
    """The module parameter's file, which exists also where the tracker is compiled in."""
    return f"/sys/module/{'ip_conntrack' if dialect.old_stack(situation) else 'nf_conntrack'}/parameters/hashsize"


def _undo_buckets(situation: Situation) -> str:
    if situation.buckets is not None:
        return set_buckets(situation, situation.buckets)
    return f"# note the present value first: cat {hashsize_path(situation)}"


def _keep_buckets(situation: Situation, buckets: int) -> tuple[str, ...]:
    if identity.at_least(situation.kernel, 4, 8) is True:
        return ()
    if dialect.family(situation) == "nixos":
        return (
            f'# in /etc/nixos/configuration.nix: boot.extraModprobeConfig = "options nf_conntrack hashsize={buckets}";',
        )
    if situation.builtin:
        return (f"# compiled in: add nf_conntrack.hashsize={buckets} to the kernel's command line",)
    if dialect.old_stack(situation):
        return (dialect.lines_into("/etc/modprobe.conf", f"options ip_conntrack hashsize={buckets}", append=True),)
    return (dialect.lines_into("/etc/modprobe.d/tablefull-conntrack.conf", f"options nf_conntrack hashsize={buckets}"),)


def _kube_keeps(situation: Situation) -> tuple[str, ...]:
    if not dialect.kubernetes(situation):
        return ()
    return (
        (
            "# kube-proxy writes its own limit at every start: set conntrack.maxPerCore to 0 or to what you need "
            "(configure-kube-proxy)"
        ),
    )


def raise_max(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """A larger limit with its buckets."""
    if situation.table == "cilium":
        return _raise_cilium(situation, answers)
    limit, told = target_max(situation)
    caution = not_by_size(situation.cause)
    why = told + (f". But {caution}" if caution else "")
    if limit is None:
        return compose(
            "raise-max",
            situation,
            answers,
            title="A higher limit does not fit into this memory",
            commands=(
                "# do not raise the limit here: free memory, shorten timeouts or exempt traffic instead",
                "free -m",
            ),
            verify=(dialect.count_command(situation),),
            risk="Raising it all the same lets the table take memory that programs need: the kernel then kills some "
            "of them.",
            scope="host",
            why=why,
        )
    buckets = buckets_for(situation, limit)
    grow = situation.buckets is None or situation.buckets < buckets
    by_sysctl = identity.at_least(situation.kernel, 4, 8) is True
    kept = {"nf_conntrack_max": limit} | ({"nf_conntrack_buckets": buckets} if grow and by_sysctl else {})
    lower = situation.max is not None and situation.max > limit
    return compose(
        "raise-max",
        situation,
        answers,
        title=f"Raise the limit to {limit} entries" + (f" over {buckets} buckets" if grow else ""),
        commands=(
            *((set_buckets(situation, buckets),) if grow else ()),
            *(() if lower else (dialect.write(situation, "nf_conntrack_max", limit),)),
            *_per_container(situation, limit),
        ),
        undo=(dialect.restore(situation, "nf_conntrack_max"), *((_undo_buckets(situation),) if grow else ())),
        persist=(
            *dialect.persist_sysctls(situation, kept),
            *(_keep_buckets(situation, buckets) if grow else ()),
            *dialect.persist_order(situation),
            *_kube_keeps(situation),
        ),
        verify=(dialect.count_command(situation), f"cat {hashsize_path(situation)}", dialect.drops_command(situation)),
        risk="Nobody loses a connection. The number is one for the whole host, and every network namespace may hold "
        "that many. Typed alone it is gone after a reboot, and a file alone is ignored when it is read before the "
        "module is loaded. It is the wrong answer where the entries are leftovers, a flood or not needed: the table "
        "then only fills later.",
        scope="host",
        why=why,
    )


def _per_container(situation: Situation, limit: int) -> tuple[str, ...]:
    if situation.table != "container":
        return ()
    openvz = situation.kernel is not None and situation.kernel.vendor == "openvz"
    if (
        not openvz
        and "openvz" not in (situation.orchestrator or "")
        and "virtuozzo" not in (situation.distribution or "")
    ):
        return ()
    key = dialect.key(situation, "nf_conntrack_max")
    return (
        f"vzctl exec CTID sysctl -w {key}={limit}",
        (
            "vzctl set CTID --numiptent 2048:2048 --save  # only where a counter numiptent in "
            "/proc/user_beancounters has failures"
        ),
    )


def _raise_cilium(situation: Situation, answers: tuple[str, ...]) -> Plan:
    demand = max(situation.max or 0, situation.count or 0)
    limit = _power_below(demand * HEADROOM) if demand else 1 << 20
    # Cilium keeps TCP and everything else in two maps, the second half as large by default (524288 and 262144).
    others = limit // 2
    sizes = f'"bpf-ct-global-tcp-max":"{limit}","bpf-ct-global-any-max":"{others}","bpf-nat-global-max":"{limit}"'
    data = f'{{"data":{{{sizes}}}}}'
    clear = '{"data":{"bpf-ct-global-tcp-max":null,"bpf-ct-global-any-max":null,"bpf-nat-global-max":null}}'
    restart = "kubectl -n kube-system rollout restart daemonset/cilium"
    return compose(
        "raise-max",
        situation,
        answers,
        title=f"Raise Cilium's connection maps to {limit} TCP and {others} other entries",
        commands=(
            "kubectl -n kube-system get configmap cilium-config -o yaml > cilium-config.before.yaml",
            f"kubectl -n kube-system patch configmap cilium-config --type merge -p '{data}'",
            restart,
        ),
        undo=(f"kubectl -n kube-system patch configmap cilium-config --type merge -p '{clear}'", restart),
        persist=(
            (
                f"helm upgrade cilium cilium/cilium -n kube-system --reuse-values --set bpf.ctTcpMax={limit} --set "
                f"bpf.ctAnyMax={others} --set bpf.natMax={limit}"
            ),
            (
                "# or by memory instead of a number: --set bpf.mapDynamicSizeRatio=0.005 "
                "(bpf-map-dynamic-size-ratio; 0.0025 is the default)"
            ),
        ),
        verify=(
            "kubectl -n kube-system exec ds/cilium -c cilium-agent -- cilium status --verbose | grep -A 25 'BPF Maps'",
            "kubectl -n kube-system exec ds/cilium -c cilium-agent -- cilium bpf ct list global | wc -l",
        ),
        risk="A map of another size is a new map: its entries are gone, so connections through services may break "
        "once on each node, node by node. The maps take their memory at once. nf_conntrack_max has no part in this "
        "table.",
        scope="other",
        why="the eBPF table is full, not the kernel's; "
        + (
            f"{demand} × {HEADROOM} as a power of two is {limit}"
            if demand
            else "524288 TCP entries are the built-in default, twice that"
        ),
    )


def raise_hashsize(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """More buckets for the limit that is there."""
    limit = situation.max or USUAL
    buckets = max(buckets_for(situation, limit), situation.buckets or 0)
    by_sysctl = identity.at_least(situation.kernel, 4, 8) is True
    if situation.buckets is not None and buckets <= situation.buckets:
        return _enough_buckets(situation, answers, limit)
    entries = situation.count or limit
    chain = sizing.chain_mean(entries, situation.buckets) if situation.buckets else None
    why = f"{buckets} buckets for {limit} entries" + (
        "" if situation.max else " (the limit is not known: the usual one)"
    )
    if chain is not None:
        after = sizing.chain_mean(entries, buckets)
        why += f"; {entries} entries hang in two chains each: now {chain:.1f} in a bucket, then {after:.1f}"
    refuse = sizing.chain_limit(situation.kernel).value
    if refuse is not None:
        why += f"; this kernel refuses an insert into a chain of {refuse[0]} to {refuse[1]}"
    # A file of its own: the limit may stand in the usual one already.
    path = "/etc/sysctl.d/90-tablefull-conntrack-buckets.conf"
    known = situation.buckets is not None
    kept = {"nf_conntrack_max": limit} if situation.max and not by_sysctl else {}
    if by_sysctl and known:
        kept = {"nf_conntrack_buckets": buckets}
    return compose(
        "raise-hashsize",
        situation,
        answers,
        title=f"Give the table {'' if known else 'at least '}{buckets} buckets",
        commands=(set_buckets(situation, buckets),) if known else (_only_more(situation, buckets),),
        undo=(_undo_buckets(situation),),
        persist=(
            *(_keep_buckets(situation, buckets) if known else _keep_present(situation, path)),
            *(dialect.persist_sysctls(situation, kept, path) if kept else ()),
            *(dialect.persist_order(situation, path) if kept or (by_sysctl and not known) else ()),
            *_kube_keeps(situation),
        ),
        verify=(
            f"cat {hashsize_path(situation)}",
            f"cat {dialect.statistics_file(situation)}",
        ),
        risk="Nobody loses a connection; new ones wait for a moment while the entries are moved. It can be set in "
        "the host's first network namespace only: in a container the write is refused. hashsize given when the "
        "module is loaded also sets the limit to eight times itself, so keep the limit in a file too.",
        scope="host",
        why=why,
    )


def _enough_buckets(situation: Situation, answers: tuple[str, ...], limit: int) -> Plan:
    path = hashsize_path(situation)
    return compose(
        "raise-hashsize",
        situation,
        answers,
        title="There are buckets enough: change nothing",
        commands=(
            f"# {situation.buckets} buckets carry {limit} entries: look at who makes the entries instead",
            f"cat {path}",
            dialect.count_command(situation),
        ),
        verify=(f"cat {path}",),
        risk="None: nothing is changed. More buckets cost memory and shorten no chain that matters.",
        scope="host",
        why=f"{buckets_for(situation, limit)} buckets for {limit} entries are enough, and there are "
        f"{situation.buckets}",
    )


def _only_more(situation: Situation, buckets: int) -> str:
    """Sets the buckets unless there are as many: the present number is not known here, and fewer would do harm."""
    return f'[ "$(cat {hashsize_path(situation)})" -ge {buckets} ] || {set_buckets(situation, buckets)}'


def _keep_present(situation: Situation, path: str) -> tuple[str, ...]:
    """Keeps the number that stands once the command was typed."""
    now = f"$(cat {hashsize_path(situation)})"
    if dialect.family(situation) == "nixos" or situation.builtin:
        return (f"# the number to keep: cat {hashsize_path(situation)}", *_keep_buckets_as(situation, "NUMBER"))
    if identity.at_least(situation.kernel, 4, 8) is True:
        file = path if dialect.keeps_sysctls(situation) else "/etc/sysctl.conf"
        into = ">" if dialect.keeps_sysctls(situation) else ">>"
        return (f'echo "{dialect.key(situation, "nf_conntrack_buckets")} = {now}" {into} {file}',)
    if dialect.old_stack(situation):
        return (f'echo "options ip_conntrack hashsize={now}" >> /etc/modprobe.conf',)
    return (f'echo "options nf_conntrack hashsize={now}" > /etc/modprobe.d/tablefull-conntrack.conf',)


def _keep_buckets_as(situation: Situation, number: str) -> tuple[str, ...]:
    if dialect.family(situation) == "nixos":
        return (
            f'# in /etc/nixos/configuration.nix: boot.extraModprobeConfig = "options nf_conntrack hashsize={number}";',
            "nixos-rebuild switch",
        )
    return (f"# compiled in: add nf_conntrack.hashsize={number} to the kernel's command line",)


def raise_expect_max(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """A larger expectation table."""
    now = situation.expect_max
    if now is None and situation.buckets:
        now = sizing.expect_max_default(situation.buckets)
    limit = max(_power_below((now or 1024) * HEADROOM), 1024)
    old = identity.at_least(situation.kernel, 2, 6, 32) is False or dialect.old_stack(situation)
    if old:
        # The sysctl came by 2.6.32; before it only the expectation hash could be given at load (docs/kernel).
        commands: tuple[str, ...] = (
            dialect.lines_into(
                "/etc/modprobe.d/tablefull-expect.conf", f"options nf_conntrack expect_hashsize={limit // 4}"
            ),
            "# this kernel takes it only when the module is loaded: reboot",
        )
        undo: tuple[str, ...] = ("rm /etc/modprobe.d/tablefull-expect.conf",)
        persist: tuple[str, ...] = ()
    else:
        commands = (dialect.write(situation, "nf_conntrack_expect_max", limit),)
        undo = (dialect.restore(situation, "nf_conntrack_expect_max"),)
        persist = (
            *dialect.persist_sysctls(
                situation, {"nf_conntrack_expect_max": limit}, "/etc/sysctl.d/90-tablefull-conntrack-expect.conf"
            ),
            *dialect.persist_order(situation, "/etc/sysctl.d/90-tablefull-conntrack-expect.conf"),
        )
    return compose(
        "raise-expect-max",
        situation,
        answers,
        title=f"Allow {limit} expectations",
        commands=commands,
        undo=undo,
        persist=persist,
        verify=("wc -l /proc/net/nf_conntrack_expect", "dmesg | grep 'expectation table full' | tail -3"),
        risk="Nobody loses a connection. The entry table and its limit are not touched; raising nf_conntrack_max "
        "does nothing for this.",
        scope="host",
        why=f"{now or 'an unknown number of'} expectations are allowed now; × {HEADROOM} as a power of two is {limit}",
    )
