"""The service that loads the rules, stopped and kept from starting: where it is shown to protect nothing.

The trap: "no rules that matter" is a judgement on what was seen. So every rule that drops or translates, every policy
that is not accept, and every table that could not be listed is a reason to refuse; ``--i-know`` is told what goes.
"""

from tablefull.fixes.act import Command, Commanded, HostPlan, Predicted, Step
from tablefull.fixes.live_host import LiveHost, Options
from tablefull.fixes.rule_reading import Packet, read
from tablefull.fixes.set_acts import refused
from tablefull.fixes.steps_notrack import quoted
from tablefull.kernel import identity
from tablefull.kernel.modules import requests_tracking
from tablefull.live.proc import Proc

FIX = "disable-firewall"
_OF_ORCHESTRATORS = ("kube-proxy", "docker")


def protection(host: LiveHost) -> tuple[str, ...]:
    """What would be lost, in words: rules that drop or translate, policies that drop, tables that were not seen."""
    lost = [f"not seen: {why}" for why in host.unseen_rules]
    lost += [
        f"the policy of {chain.tool} {chain.family} {chain.table or '?'} {chain.chain} is drop"
        for chain in host.chains
        if (chain.policy or "").lower() == "drop"
    ]
    for rule in host.rules:
        verdict = read(rule, Packet("ip" if rule.family == "inet" else rule.family), "NEW").verdict
        words = set(rule.text.split())
        if verdict in ("drop", "nat") or words & {"DROP", "REJECT", "drop", "reject", "TPROXY", "tproxy"}:
            lost.append(f"{verdict or 'drop'}: {quoted(rule)}")
    return tuple(lost)


def disable_firewall(host: LiveHost, options: Options) -> HostPlan:
    """Stop and disable the service of this host's firewall."""
    title = "Turn the firewall of this host off"
    if host.netns is not None:
        return refused(host, FIX, title, "a service belongs to the host: plan it without --netns")
    if host.front_end in _OF_ORCHESTRATORS:
        why = f"the rules belong to {host.front_end} and carry its services: configure {host.front_end} instead"
        return refused(host, FIX, title, why)
    lost = protection(host)
    if lost and not options.i_know:
        return refused(host, FIX, title, f"it protects something: {lost[0]} (--i-know)", *lost[1:20])
    acts = _acts(host)
    if not acts:
        why = (
            "no service known here loads the rules (ufw, firewalld, iptables, nftables, netfilter-persistent): "
            "nothing to turn off"
        )
        return refused(host, FIX, title, why)
    asking = [rule for rule in host.rules if requests_tracking(rule.text, rule.tool, host.kernel).value]
    step = Step(
        title=title,
        before=f"{host.front_end} loads {len(host.rules)} rules, {len(asking)} of which ask for tracking",
        after="no rules, now and after a reboot",
        scope="host",
        acts=acts,
        risk="The host stands open to whatever can reach it. "
        + (
            f"LOST: {'; '.join(lost[:8])}."
            if lost
            else "No rule in force drops or translates anything, so nothing is lost."
        )
        + (
            " On this kernel the loaded modules go on tracking without any rule: unload them (unload-modules)."
            if identity.at_least(host.kernel, 4, 14) is False
            else ""
        ),
        undo="the service is enabled and started again, and loads its own files; rules that others added by hand or by "
        "program (fail2ban, docker) come back only when those do",
        predicted=Predicted(how="the rules in force", protection_lost=lost[:20]) if lost else None,
        persists=True,
    )
    return HostPlan(
        fix=FIX, host=host.name, netns=host.netns, title=title, steps=(step,), needs=("root",),
        told=("it lasts over a reboot by itself: the service no longer starts",),
    )  # fmt: skip


def _command(*argv: str) -> Command:
    return Command(argv)


def _stopped(what: str, do: Command, undo: Command, done: Command, turned: bool = False) -> Commanded:
    return Commanded(what=what, do=(do,), undo=(undo,), done=done, turned=turned)


def _systemd(unit: str, proc: Proc) -> tuple[Commanded, ...]:
    """Stop, then disable: what is done first is what opens the host, what follows makes it last.

    ``list-units`` answers only where systemd does, so a bus that cannot be reached is never "inactive".
    """
    first = (_command("systemctl", "list-units", "--no-legend", "--no-pager", f"{unit}.service"),)
    if unit == "netfilter-persistent":
        # Stopping it leaves the rules where they are (FLUSH_ON_STOP is 0), so it flushes before it is disabled.
        return (
            Commanded(
                what=f"flush and disable {unit}",
                do=(_command(unit, "flush"), _command("systemctl", "disable", f"{unit}.service")),
                undo=(_command("systemctl", "enable", f"{unit}.service"), _command(unit, "start")),
                done=_command("systemctl", "is-enabled", "--quiet", f"{unit}.service"),
                first=first,
                turned=True,
            ),
        )
    stop = Commanded(
        what=f"stop {unit}",
        do=(_command("systemctl", "stop", f"{unit}.service"),),
        undo=(_command("systemctl", "start", f"{unit}.service"),),
        done=_command("systemctl", "is-active", "--quiet", f"{unit}.service"),
        first=first,
        turned=True,
    )
    disable = Commanded(
        what=f"disable {unit}",
        do=(_command("systemctl", "disable", f"{unit}.service"),),
        undo=(_command("systemctl", "enable", f"{unit}.service"),),
        done=_command("systemctl", "is-enabled", "--quiet", f"{unit}.service"),
        first=first,
        turned=True,
    )
    wanted = [stop]
    if enabled(unit, proc):
        wanted.append(disable)
    return tuple(wanted)


def enabled(unit: str, proc: Proc) -> bool:
    """Whether a unit is wanted by a target: by the links that ``systemctl enable`` makes."""
    folder = "etc/systemd/system"
    names = proc.names(folder)
    wants = [name for name in names if name.endswith((".wants", ".requires"))] if isinstance(names, list) else []
    return any(f"{unit}.service" in (proc.names(f"{folder}/{name}") or ()) for name in wants)  # type: ignore[operator]


def _sysv(service: str, host: LiveHost) -> tuple[Commanded, ...]:
    """RHEL 5 and 6, and their kin: the lock file says that it was started, chkconfig whether it will be."""
    found = []
    if host.proc.exists(f"var/lock/subsys/{service}"):
        found.append(
            _stopped(
                f"stop {service}",
                _command("service", service, "stop"),
                _command("service", service, "start"),
                _command("test", "!", "-e", f"/var/lock/subsys/{service}"),
            )
        )
    if any(name[:1] == "S" and name[3:] == service for name in _names(host, "etc/rc.d/rc3.d")):
        found.append(
            _stopped(
                f"keep {service} from starting",
                _command("chkconfig", service, "off"),
                _command("chkconfig", service, "on"),
                _command("chkconfig", service),
                turned=True,
            )
        )
    return tuple(found)


def _old_persistent(host: LiveHost) -> tuple[Commanded, ...]:
    """Debian and Ubuntu before systemd: a script that flushes, and a link in a runlevel that starts it."""
    script = "etc/init.d/iptables-persistent"
    links = [
        f"/etc/{level}/{name}"
        for level in ("rcS.d", "rc2.d")
        for name in _names(host, f"etc/{level}")
        if name.startswith("S") and name[3:] == "iptables-persistent"
    ]
    if not links or not host.proc.exists(script):
        return ()
    return (
        Commanded(
            what="flush and disable iptables-persistent",
            do=(_command(f"/{script}", "flush"), _command("update-rc.d", "iptables-persistent", "disable")),
            undo=(_command("update-rc.d", "iptables-persistent", "enable"), _command(f"/{script}", "start")),
            done=_command("test", "!", "-e", links[0]),
        ),
    )


def _names(host: LiveHost, folder: str) -> list[str]:
    names = host.proc.names(folder)
    return names if isinstance(names, list) else []


def _openrc(service: str, host: LiveHost) -> tuple[Commanded, ...]:
    found = []
    if host.proc.exists(f"run/openrc/started/{service}"):
        found.append(
            _stopped(
                f"stop {service}",
                _command("rc-service", service, "stop"),
                _command("rc-service", service, "start"),
                _command("test", "!", "-e", f"/run/openrc/started/{service}"),
            )
        )
    found += [
        _stopped(
            f"keep {service} from starting",
            _command("rc-update", "del", service, level),
            _command("rc-update", "add", service, level),
            _command("test", "!", "-e", f"/etc/runlevels/{level}/{service}"),
        )
        for level in ("boot", "default", "sysinit")
        if service in _names(host, f"etc/runlevels/{level}")
    ]
    return tuple(found)


def _acts(host: LiveHost) -> tuple[Commanded, ...]:
    if host.front_end == "ufw":
        return (
            _stopped(
                "turn ufw off",
                _command("ufw", "disable"),
                _command("ufw", "--force", "enable"),
                _command("grep", "-qi", "^ENABLED=no", "/etc/ufw/ufw.conf"),
            ),
        )
    services = {
        "firewalld": ("firewalld",),
        "iptables-services": ("iptables", "ip6tables"),
        "iptables-persistent": ("netfilter-persistent",),
        "nftables": ("nftables",),
    }.get(host.front_end, ("iptables", "ip6tables", "nftables", "firewalld", "netfilter-persistent"))
    if host.init == "openrc":
        return tuple(act for name in ("iptables", "ip6tables", "nftables") for act in _openrc(name, host))
    if host.init in ("sysv", "upstart"):
        if host.front_end == "iptables-persistent":
            return _old_persistent(host)
        return tuple(act for name in ("iptables", "ip6tables") for act in _sysv(name, host))
    if host.init != "systemd":
        return ()
    folders = ("usr/lib/systemd/system", "lib/systemd/system", "etc/systemd/system")
    there = [name for name in services if any(host.proc.exists(f"{folder}/{name}.service") for folder in folders)]
    known = [
        name for name in there if enabled(name, host.proc) or (name == "firewalld" and "firewalld" in host.running)
    ]
    return tuple(act for name in known for act in _systemd(name, host.proc))
