"""Rules of ours that come back at boot, after whatever manages the firewall, and after each of its reloads.

The trap: the ruleset saved whole. It freezes what docker, ufw or kube-proxy wrote at that moment and brings it back
stale. So only our own rules are kept, in a file of ours, and put in by a unit of ours that stands behind theirs;
firewalld alone keeps them itself, in its permanent direct rules.
"""

from tablefull.fixes.act import Command, Commanded, OwnFile, Step
from tablefull.fixes.boot import init_of
from tablefull.fixes.boot_tree import Tree
from tablefull.fixes.live_host import LiveHost
from tablefull.fixes.persist_files import head, own_file

FOLDER = "/etc/tablefull"
_MANAGERS = (
    "nftables.service", "netfilter-persistent.service", "iptables.service", "ip6tables.service", "ufw.service",
    "firewalld.service", "docker.service",
)  # fmt: skip
# Their reload or restart takes all rules out, ours too: these take ours along [their unit files].
_FLUSHING = ("nftables.service", "netfilter-persistent.service", "iptables.service", "ip6tables.service")
_RESTORE = ("iptables-restore", "ip6tables-restore", "iptables-legacy-restore", "ip6tables-legacy-restore")
Found = tuple[tuple[Step, ...], tuple[str, ...]]


def init_here(host: LiveHost) -> str:
    """What starts this host, by its files (``boot.init_of``), by what runs where they do not tell."""
    found = init_of(Tree(host.proc.root))
    return host.init if found == "unknown" else found


def is_rule(act: Commanded) -> bool:
    """Whether an act puts packet rules in."""
    program = act.do[0].argv[0]
    return program in (*_RESTORE, "nft") or act.do[0].argv[:2] == ("firewall-cmd", "--direct")


def step(fix: str, host: LiveHost, rules: list[Commanded]) -> Found:
    """The step that makes them last, and what is told. NotOurs where a file of somebody else is in the way."""
    direct = [act for act in rules if act.do[0].argv[0] == "firewall-cmd"]
    if direct:
        return (_firewalld(direct),), ()
    init = init_here(host)
    programs: list[str] = []
    acts: list[OwnFile | Commanded] = []
    stop: list[str] = []
    first: list[str] = []
    for number, act in enumerate(rules):
        put, take = _texts(fix, number, act)
        acts += [own_file(host, path, text) for path, text in (put, take) if text]
        program = _whole(host, act.do[0].argv[0])
        if act.do[0].argv[0] == "nft":
            programs.append(f"{program} -f {put[0]}")
            stop.append(f"{program} {' '.join(act.undo[0].argv[1:])}")
            first.append("")
        else:
            words = " ".join((program, *act.do[0].argv[1:]))
            programs.append(f'/bin/sh -c "exec {words} < {put[0]}"')
            stop.append(f'/bin/sh -c "exec {words} < {take[0]} 2>/dev/null"')
            first.append(stop[-1])
    again = list(zip(first, programs, strict=True))
    started = _started(fix, host, init, again, stop)
    if started is None:
        return (), (f"how {init} starts a service is not known here: have these run at boot: {'; '.join(programs)}",)
    acts += started
    title = "Have the rules put in at every boot"
    found = Step(
        title=title,
        before="the rules are gone after a restart, and after a reload of what manages the firewall",
        after="they are put in behind it, each time",
        scope="host",
        acts=tuple(acts),
        risk="New files of ours alone; no saved ruleset and nobody's file is changed.",
        undo="the service is stopped and the files are taken away",
        persists=True,
        when="confirmed",
    )
    told: tuple[str, ...] = ()
    if init != "systemd":
        told = ("a restart of the firewall's service by hand takes these rules out until the next boot",)
    return (found,), told


def _firewalld(rules: list[Commanded]) -> Step:
    acts = []
    for act in rules:
        words = act.do[0].argv[3:]
        permanent = ("firewall-cmd", "--permanent", "--direct")
        acts.append(
            Commanded(
                what=f"firewalld permanent direct rule {' '.join(words)}",
                do=(Command((*permanent, "--add-rule", *words)),),
                undo=(Command((*permanent, "--remove-rule", *words)),),
                done=Command((*permanent, "--query-rule", *words)),
            )
        )
    return Step(
        title="Have firewalld keep the rules",
        before="the rules are gone after a reload of firewalld and after a restart",
        after="they stand in firewalld's permanent direct rules",
        scope="host",
        acts=tuple(acts),
        risk="firewalld writes its own file of direct rules. They are on their way out of firewalld, which still reads "
        "them.",
        undo="firewalld takes them out again",
        persists=True,
        when="confirmed",
    )


def _texts(fix: str, number: int, act: Commanded) -> tuple[tuple[str, str], tuple[str, str]]:
    """Path and text of what puts the rules in, and of what takes them out."""
    command, undo = act.do[0], act.undo[0]
    suffix = "" if number == 0 else f"-{number + 1}"
    if command.argv[0] == "nft":
        family, table = undo.argv[3], undo.argv[4]
        # Made where it is not there, so that deleting it never fails: the whole is one transaction.
        again = f"table {family} {table}\ndelete table {family} {table}\n"
        return (f"{FOLDER}/{fix}{suffix}.nft", f"{head(fix)}\n{again}{command.stdin}"), ("", "")
    kin = "ipv6" if command.argv[0].startswith("ip6") else "ipv4"
    name = f"{FOLDER}/{fix}-{kin}{suffix}"
    return (f"{name}.rules", f"{head(fix)}\n{command.stdin}"), (f"{name}.undo", f"{head(fix)}\n{undo.stdin}")


def _whole(host: LiveHost, name: str) -> str:
    for folder in ("usr/sbin", "sbin", "usr/bin", "bin"):
        if host.proc.exists(f"{folder}/{name}"):
            return f"/{folder}/{name}"
    return f"/usr/sbin/{name}"


def _started(
    fix: str, host: LiveHost, init: str, programs: list[tuple[str, str]], stop: list[str]
) -> tuple[OwnFile | Commanded, ...] | None:
    """What starts them at boot: plain files, so that each can be told from a person's (``boot_undo.py``)."""
    name, first = f"tablefull-{fix}", head(fix)
    if init == "systemd":
        again = [line for before, put in programs for line in ((f"-{before}", put) if before else (put,))]
        unit = "\n".join(
            (
                first,
                "[Unit]",
                f"Description=Packet rules of the tablefull fix {fix}",
                f"After=network-pre.target {' '.join(_MANAGERS)}",
                f"PartOf={' '.join(_FLUSHING)}",
                f"ReloadPropagatedFrom={' '.join(_FLUSHING)}",
                "[Service]",
                "Type=oneshot",
                "RemainAfterExit=yes",
                *(f"ExecStart={line}" for line in again),
                *(f"ExecReload={line}" for line in again),
                *(f"ExecStop=-{line}" for line in stop),
            )
        )
        wants = f"{first}\n[Unit]\nWants={name}.service\n"
        files = (
            own_file(host, f"/etc/systemd/system/{name}.service", unit + "\n"),
            own_file(host, f"/etc/systemd/system/multi-user.target.d/60-{name}.conf", wants),
        )
        if not host.proc.exists("run/systemd/system"):  # sd_booted(3): installed, and not what runs now
            return files
        start = Commanded(
            what=f"start {name}",
            do=(Command(("systemctl", "daemon-reload")), Command(("systemctl", "start", f"{name}.service"))),
            undo=(Command(("systemctl", "stop", f"{name}.service")),),
            done=Command(("systemctl", "is-active", "--quiet", f"{name}.service")),
        )
        return (*files, start)
    body = "\n".join(line for before, put in programs for line in ((f"{before} || :", put) if before else (put,)))
    if init == "upstart":
        job = f"{first}\nstart on stopped rc RUNLEVEL=[2345]\ntask\nscript\n{body}\nend script\n"
        return (own_file(host, f"/etc/init/{name}.conf", job),)
    if init in ("sysv", "initscripts"):
        script = f'#!/bin/sh\n{first}\ncase "$1" in start) ;; *) exit 0;; esac\n{body}\n'
        folders = [f"/{folder}" for folder in ("etc/rc.d/rc3.d", "etc/rc.d/rc5.d") if host.proc.exists(folder)]
        folders = folders or ["/etc/rc2.d"]
        return tuple(own_file(host, f"{folder}/S98{name}", script, 0o755) for folder in folders)
    if init == "openrc":
        lines = "\n".join(f"\t{line}" for line in body.split("\n"))
        script = (
            f"#!/sbin/openrc-run\n{first}\ndepend() {{\n\tafter firewall iptables ip6tables nftables docker\n}}\n"
            f"start() {{\n{lines}\n}}\n"
        )
        return (
            own_file(host, f"/etc/init.d/{name}", script, 0o755),
            own_file(host, f"/etc/runlevels/default/{name}", script, 0o755),
        )
    return None
