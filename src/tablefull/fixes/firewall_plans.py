"""Plans about what the firewall does with packets: turn it off, drop early, answer for the server, judge what is
invalid.

The trap: a limit that itself needs tracking (connlimit, a state match) makes the entry it was meant to spare. What is
dropped in the raw table costs none.
"""

from tablefull.fixes import block_rules, dialect, packet_rules
from tablefull.fixes.block_rules import NEW_PER_S
from tablefull.fixes.packet_rules import NftChain, Rule
from tablefull.fixes.plan import Plan, Situation, compose
from tablefull.fixes.tracking_plans import RAW, empty_tables
from tablefull.kernel import identity
from tablefull.kernel.identity import KernelVersion

BLOCK_TABLE = "tablefull_block"
PROXY_TABLE = "tablefull_synproxy"
INVALID_TABLE = "tablefull_invalid"
HELPER_TABLE = "tablefull_helper"


def disable_firewall(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """Stop the service that loads the rules, in the words of this host."""
    commands, undo, lasting = _stop(situation)
    still = identity.at_least(situation.kernel, 4, 14) is False
    return compose(
        "disable-firewall",
        situation,
        answers,
        title="Turn the firewall of this host off",
        commands=commands,
        undo=undo,
        persist=lasting,
        verify=(
            "iptables -L -n | head -20",
            "cat /proc/net/ip_tables_names",
            dialect.drops_command(situation),
        )
        if not dialect.uses_nft(situation)
        else ("nft list ruleset | head -20", dialect.drops_command(situation)),
        risk="The host stands open to whatever can reach it: do this only behind another filter. NAT, port forwards "
        "and masquerading made by these rules end at once, so on a router everybody behind it is cut off. It says "
        "nothing about why the table was full."
        + (
            " On this kernel the loaded modules go on tracking without any rule: unload them or reboot "
            "(unload-modules)."
            if still
            else ""
        ),
        scope="host",
        why="without rules that need state nothing has to be tracked",
    )


def _stop(situation: Situation) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Commands, undo and persistence."""
    end, kin, modern = dialect.front_end(situation), dialect.family(situation), dialect.systemd(situation)
    number = dialect.release(situation)
    lasts = ("# it lasts: the service no longer starts at boot",)
    saved = "iptables-save > /root/iptables.before"
    if kin == "nixos":
        line = "# in /etc/nixos/configuration.nix: networking.firewall.enable = "
        return (f"{line}false;", "nixos-rebuild switch"), (f"{line}true;", "nixos-rebuild switch"), lasts
    if end in ("kube-proxy", "docker"):
        told = f"# the rules belong to {end} and carry its services: do not remove them; configure {end} instead"
        return (told, saved), ("iptables-restore < /root/iptables.before",), ("# nothing was changed",)
    if end == "uci" or kin == "openwrt":
        name = "/etc/init.d/firewall"
        return (f"{name} stop", f"{name} disable"), (f"{name} enable", f"{name} start"), lasts
    if end == "ufw" or (kin == "ubuntu" and end in ("unknown", "none", "xen", "iptables")):
        return ("ufw disable",), ("ufw enable",), ("# ufw disable lasts over reboots",)
    if end == "firewalld" and modern:
        return ("systemctl disable --now firewalld",), ("systemctl enable --now firewalld",), lasts
    if dialect.uses_nft(situation) and modern:
        return (
            ("nft list ruleset > /root/nft.before", "systemctl disable --now nftables", "nft flush ruleset"),
            ("nft -f /root/nft.before", "systemctl enable nftables"),
            lasts,
        )
    if kin == "redhat" and (not modern or end in ("iptables-services", "unknown", "none")):
        return _stop_redhat(situation)
    if kin == "suse":
        if modern and number is not None and number >= (15, 0):
            return ("systemctl disable --now firewalld",), ("systemctl enable --now firewalld",), lasts
        return ("rcSuSEfirewall2 stop", "SuSEfirewall2 off"), ("SuSEfirewall2 on",), lasts
    if kin == "alpine":
        return (
            (
                "rc-service iptables stop",
                "rc-update del iptables",
                "rc-service ip6tables stop",
                "rc-update del ip6tables",
            ),
            (
                "rc-update add iptables",
                "rc-service iptables start",
                "rc-update add ip6tables",
                "rc-service ip6tables start",
            ),
            lasts,
        )
    if end == "iptables-persistent":
        if modern:
            return (
                (saved, "netfilter-persistent flush", "systemctl disable netfilter-persistent"),
                ("iptables-restore < /root/iptables.before", "systemctl enable netfilter-persistent"),
                lasts,
            )
        return (
            (saved, "/etc/init.d/iptables-persistent flush", "update-rc.d iptables-persistent disable"),
            ("iptables-restore < /root/iptables.before", "update-rc.d iptables-persistent enable"),
            lasts,
        )
    return (
        (saved, *empty_tables(situation)),
        ("iptables-restore < /root/iptables.before",),
        (
            (
                "# find what loads the rules at boot and take it out: grep -rl iptables /etc/init.d /etc/rc.local "
                "/etc/network"
            ),
        ),
    )


def _stop_redhat(situation: Situation) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """``chkconfig`` to RHEL 6, a unit after; what is not shown there is firewalld, the default from 7 on."""
    lasts = ("# it lasts: the service no longer starts at boot",)
    if not dialect.systemd(situation):
        services = ("iptables", "ip6tables")
        return (
            tuple(line for name in services for line in (f"service {name} stop", f"chkconfig {name} off")),
            tuple(line for name in services for line in (f"chkconfig {name} on", f"service {name} start")),
            lasts,
        )
    units = "iptables ip6tables" if situation.front_end == "iptables-services" else "firewalld"
    return (f"systemctl disable --now {units}",), (f"systemctl enable --now {units}",), lasts


def rate_limit(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """Drop the named sources before tracking, or limit new connections of each address where none is named."""
    sources = dialect.addresses(situation)
    if dialect.uses_nft(situation):
        chains = block_rules.nft(situation, sources)
        commands, undo = packet_rules.nft_create(BLOCK_TABLE, chains), packet_rules.nft_delete(BLOCK_TABLE)
        persist = packet_rules.nft_keep(situation, BLOCK_TABLE, chains)
        shown = f"nft list table inet {BLOCK_TABLE}"
    else:
        rules = block_rules.iptables(situation, sources)
        commands, undo = packet_rules.insert(situation, rules), packet_rules.delete(situation, rules)
        persist = packet_rules.keep(situation, rules, BLOCK_TABLE)
        shown = "iptables -t raw -L PREROUTING -n -v"
    named = ", ".join(text for text, _ in sources)
    kinds = " and ".join(dict.fromkeys(name.upper() for name, _ in block_rules.limited(situation)))
    return compose(
        "rate-limit-or-block-source",
        situation,
        answers,
        title=f"Drop {named} before it is tracked"
        if named
        else f"Allow each address {NEW_PER_S} new {kinds} connections a second",
        commands=commands,
        undo=undo,
        persist=persist,
        verify=(shown, dialect.talkers(situation), dialect.count_command(situation)),
        risk=(
            f"{named} is cut off from this host and from all behind it"
            if named
            else f"Addresses with more than {NEW_PER_S} new connections a second lose the rest"
        )
        + ": make sure that no proxy, NAT gateway or monitor stands behind it, nor your own session. Forged "
        "addresses are not stopped so. connlimit is not used because it needs tracking itself; a rule in the raw "
        "table makes no entry. UDP has no SYN: its first packets are dropped after the lookup, before their entry is "
        "kept. Entries that exist stay until they expire or are deleted (conntrack -D -s ADDRESS).",
        scope="netns",
        why="a drop in the raw table comes before tracking, so it costs no entry",
    )


def synproxy(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """SYN cookies everywhere; SYNPROXY in front of named TCP ports where the kernel has it."""
    able = has_synproxy(situation.kernel)
    ports = [port for name, port in dialect.services(situation) if name == "tcp" and port] or [dialect.PLACEHOLDER_PORT]
    chain = "FORWARD" if situation.nat_in_use or situation.role in ("router", "gateway", "firewall") else "INPUT"
    names = ["net.ipv4.tcp_syncookies"]
    commands: tuple[str, ...] = ("sysctl -w net.ipv4.tcp_syncookies=1",)
    undo: tuple[str, ...] = (dialect.restore(situation, "net.ipv4.tcp_syncookies"),)
    persist: tuple[str, ...] = ()
    values = {"net.ipv4.tcp_syncookies": 1}
    path = "/etc/sysctl.d/90-tablefull-syncookies.conf"
    if able:
        loose = "nf_conntrack_tcp_loose"
        commands += ("sysctl -w net.ipv4.tcp_timestamps=1",)
        undo = (dialect.restore(situation, loose), dialect.restore(situation, "net.ipv4.tcp_timestamps"), *undo)
        values |= {"net.ipv4.tcp_timestamps": 1, loose: 0}
        names.append(dialect.key(situation, loose))
        if dialect.uses_nft(situation) and identity.at_least(situation.kernel, 5, 3) is not False:
            chains = synproxy_chains(ports, chain)
            rules_in = packet_rules.nft_create(PROXY_TABLE, chains)
            rules_out = packet_rules.nft_delete(PROXY_TABLE)
            persist = packet_rules.nft_keep(situation, PROXY_TABLE, chains)
        else:
            rules = tuple(rule for port in ports for rule in synproxy_rules(situation, port, chain))
            rules_in, rules_out = packet_rules.insert(situation, rules), packet_rules.delete(situation, rules)
            persist = packet_rules.keep(situation, rules, PROXY_TABLE)
        # The first rule that needs state brings the tracking settings with it, so loose comes after the rules.
        commands += (*rules_in, dialect.write(situation, loose, 0))
        undo = (*rules_out, *undo)
        if dialect.PLACEHOLDER_PORT in ports:
            commands = ("# put the attacked port in place of PORT", *commands)
    return compose(
        "synproxy-or-syncookies",
        situation,
        answers,
        title="SYNPROXY: no entry before the handshake is complete"
        if able
        else "SYN cookies (this kernel has no SYNPROXY)",
        commands=commands,
        undo=undo,
        persist=(
            *persist,
            *dialect.persist_sysctls(situation, values, path),
            *(dialect.persist_order(situation, path) if able else ()),
        ),
        verify=(
            f"sysctl {' '.join(names)}",
            "nstat -az TcpExtSyncookiesSent TcpExtTCPReqQFullDoCookies",
            *(("cat /proc/net/stat/synproxy",) if able else ()),
        ),
        risk="mss and wscale must be those of the server (look with tcpdump at one of its SYN/ACK), or clients get "
        "a slower or a broken connection. With tcp_loose=0 no connection survives a flush, a reboot of the firewall "
        "or a failover. SYN cookies alone spare the server's listen queue, not this table.",
        scope="netns",
        why="half-open entries live 60 to 120 s each; left untracked until the client has answered, a forged SYN "
        "costs none",
    )


def synproxy_chains(ports: list[str], chain: str, mss: int = 1460, wscale: int = 7) -> tuple[NftChain, ...]:
    """For nft: the first SYN untracked, the handshake answered in ``chain`` (INPUT or FORWARD).

    Only what passes that chain: a SYN that is untracked and meets no proxy is cut off where connections are forwarded.
    """
    hook = chain.lower()
    whose = "fib daddr type local" if chain == "INPUT" else "fib daddr type != local"
    return (
        NftChain(
            "prerouting",
            "prerouting",
            RAW,
            tuple(f"'{whose} tcp dport {port} tcp flags & (fin|syn|rst|ack) == syn notrack'" for port in ports),
        ),
        NftChain(
            hook,
            hook,
            -5,
            tuple(
                rule
                for port in ports
                for rule in (
                    (
                        f"tcp dport {port} ct state invalid,untracked synproxy mss {mss} wscale {wscale} timestamp "
                        "sack-perm"
                    ),
                    f"tcp dport {port} ct state invalid drop",
                )
            ),
        ),
    )


def synproxy_rules(situation: Situation, port: str, chain: str, mss: int = 1460, wscale: int = 7) -> tuple[Rule, ...]:
    """For iptables, in the order in which they stand; the first for what passes ``chain``, as for nft."""
    match = f"-p tcp --dport {port}"
    whose = f"-m addrtype {'' if chain == 'INPUT' else '! '}--dst-type LOCAL"
    states = packet_rules.by_state(situation, "INVALID,UNTRACKED")
    invalid = packet_rules.by_state(situation, "INVALID")
    return (
        Rule("raw", "PREROUTING", f"{match} --syn {whose} -j CT --notrack"),
        Rule("filter", chain, f"{match} {states} -j SYNPROXY --sack-perm --timestamp --wscale {wscale} --mss {mss}"),
        Rule("filter", chain, f"{match} {invalid} -j DROP", place=2),
    )


def has_synproxy(kernel: KernelVersion | None) -> bool:
    """Whether this kernel has the target: from 3.12 on, and the 3.10 of RHEL 7 carries it."""
    able = identity.at_least(kernel, 3, 12)
    return able is not False or (identity.enterprise(kernel) or 0) >= 7


def drop_invalid(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """Drop INVALID packets on a host that forwards or translates; be liberal on one that only filters for itself."""
    name = "nf_conntrack_tcp_be_liberal"
    forwards = bool(situation.nat_in_use) or dialect.kubernetes(situation) or situation.bridged
    forwards = forwards or situation.role in ("router", "gateway", "firewall", "node")
    path = "/etc/sysctl.d/90-tablefull-conntrack-liberal.conf"
    other = dialect.write(situation, name, 1)
    if forwards:
        if dialect.uses_nft(situation):
            chains = (NftChain("forward", "forward", -5, ("ct state invalid drop",)),)
            commands, undo = packet_rules.nft_create(INVALID_TABLE, chains), packet_rules.nft_delete(INVALID_TABLE)
            persist = packet_rules.nft_keep(situation, INVALID_TABLE, chains)
        else:
            rules = (Rule("filter", "FORWARD", f"{packet_rules.by_state(situation, 'INVALID')} -j DROP"),)
            commands, undo = packet_rules.insert(situation, rules), packet_rules.delete(situation, rules)
            persist = packet_rules.keep(situation, rules, INVALID_TABLE)
        commands += (f"# the other way, where such packets must pass: {other}",)
        title = "Drop forwarded packets that tracking calls INVALID"
    else:
        commands, undo = (other,), (dialect.restore(situation, name),)
        persist = (*dialect.persist_sysctls(situation, {name: 1}, path), *dialect.persist_order(situation, path))
        title = "Let out-of-window segments pass as part of their connection"
    return compose(
        "drop-invalid-or-be-liberal",
        situation,
        answers,
        title=title,
        commands=commands,
        undo=undo,
        persist=persist,
        verify=(
            f"sysctl {dialect.key(situation, name)}",
            "cat /proc/net/stat/nf_conntrack",
            "nstat -az TcpOutRsts TcpEstabResets",
        ),
        risk="Dropped segments are sent again: nobody loses a connection that was well, but traffic of which this "
        "host sees one direction only stops. Liberal mode has its own price: an out-of-window reset that anybody "
        "forges cuts the entry of an established connection to 10 s, and more entries stay for days because nothing "
        "is judged invalid.",
        scope="netns",
        why="INVALID packets are not translated: they leave with their inner address, and the peer answers with a "
        "reset",
    )


def disable_tcp_loose(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """No pickup in the middle of a stream."""
    name = "nf_conntrack_tcp_loose"
    path = "/etc/sysctl.d/90-tablefull-conntrack-loose.conf"
    return compose(
        "disable-tcp-loose",
        situation,
        answers,
        title="Do not pick up TCP streams in the middle",
        commands=(dialect.write(situation, name, 0),),
        undo=(dialect.restore(situation, name),),
        persist=(*dialect.persist_sysctls(situation, {name: 0}, path), *dialect.persist_order(situation, path)),
        verify=(f"sysctl {dialect.key(situation, name)}", dialect.count_command(situation)),
        risk="Connections that have no entry (after a reboot or failover of the firewall, a flush, a shorter "
        "timeout) are never taken up again: where INVALID is dropped they hang until their programs give up. It "
        "stops the pickup of a lone ACK only; SYN/ACK, FIN and RST were never picked up.",
        scope="netns",
        why="late packets of a finished connection otherwise make a new ESTABLISHED entry, one-sided, that can stay "
        "for days",
    )


_HELPERS = {
    "ftp": ("tcp", "21"),
    "tftp": ("udp", "69"),
    "sip": ("udp", "5060"),
    "pptp": ("tcp", "1723"),
    "irc": ("tcp", "6667"),
    "h323": ("tcp", "1720"),
    "amanda": ("udp", "10080"),
    "snmp": ("udp", "161"),
    "netbios-ns": ("udp", "137"),
}
# What the helper is called in rules where that differs from its module.
_HELPER_NAME = {"h323": "Q.931"}


def attach_helper(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """Load the helper and attach it to its service by a rule."""
    wanted = (situation.helper or "").lower()
    helper = (
        wanted
        if wanted in _HELPERS
        else next((name for name, service in _HELPERS.items() if service in dialect.services(situation)), "ftp")
    )
    protocol, port = _HELPERS[helper]
    name = _HELPER_NAME.get(helper, helper)
    stem = "ip" if dialect.old_stack(situation) else "nf"
    module = helper.replace("-", "_")
    load: tuple[str, ...] = (f"modprobe {stem}_conntrack_{module}",)
    if helper not in ("netbios-ns", "snmp"):
        load += (f"modprobe {stem}_nat_{module}",)
    names = " ".join(line.removeprefix("modprobe ") for line in load)
    if identity.at_least(situation.kernel, 3, 5) is False:
        # Attached by port on its own until 4.7; there is no switch before 3.5 (docs/kernel).
        commands: tuple[str, ...] = load
        undo: tuple[str, ...] = (f"modprobe -r {' '.join(reversed(names.split()))}",)
        persist: tuple[str, ...] = _load_at_boot(situation, names)
    elif dialect.front_end(situation) == "firewalld":
        commands = (f"firewall-cmd --add-service={helper}",)
        undo, persist = (
            (f"firewall-cmd --remove-service={helper}",),
            (f"firewall-cmd --permanent --add-service={helper}",),
        )
    elif dialect.uses_nft(situation) and identity.at_least(situation.kernel, 4, 12) is not False:
        body = dialect.quote(f'{{ type "{name}" protocol {protocol} ; }}')
        chains = (
            NftChain(
                "prerouting",
                "prerouting",
                -150,
                (f"{protocol} dport {port} ct helper set {dialect.quote(chr(34) + helper + chr(34))}",),
            ),
            NftChain(
                "output",
                "output",
                -150,
                (f"{protocol} dport {port} ct helper set {dialect.quote(chr(34) + helper + chr(34))}",),
            ),
        )
        made = packet_rules.nft_create(HELPER_TABLE, chains)
        commands = (*load, made[0], f"nft add ct helper inet {HELPER_TABLE} {helper} {body}", *made[1:])
        undo, persist = packet_rules.nft_delete(HELPER_TABLE), packet_rules.nft_keep(situation, HELPER_TABLE, chains)
    else:
        rules = tuple(
            Rule(
                "raw",
                chain,
                f"-p {protocol} --dport {port} -j CT --helper {name}",
                ("ipv4", "ipv6") if helper in ("ftp", "tftp", "sip") else ("ipv4",),
            )
            for chain in ("PREROUTING", "OUTPUT")
        )
        commands = (*load, *packet_rules.insert(situation, rules))
        undo = packet_rules.delete(situation, rules)
        persist = (*packet_rules.keep(situation, rules, HELPER_TABLE), *_load_at_boot(situation, names))
    return compose(
        "attach-helper-explicitly",
        situation,
        answers,
        title=f"Attach the {helper} helper to {protocol}/{port}",
        commands=commands,
        undo=undo,
        persist=persist,
        verify=(
            "lsmod | grep -E 'conntrack_|nat_'",
            "cat /proc/net/nf_conntrack_expect",
            f"conntrack -L 2>/dev/null | grep helper={name}",
        ),
        risk="A helper opens ports on the word of the peer: add -d ADDRESS of the servers you trust to the rule. "
        "Connections that exist are not changed, only new ones get the helper. Encrypted control connections cannot "
        "be helped.",
        scope="netns",
        why="from 4.7 nf_conntrack_helper is 0 and helpers wait for a rule; from 6.0 the switch is gone",
    )


def _load_at_boot(situation: Situation, names: str) -> tuple[str, ...]:
    kin = dialect.family(situation)
    if kin == "nixos":
        return (
            (
                "# in /etc/nixos/configuration.nix: boot.kernelModules = [ "
                f"{' '.join(f'{chr(34)}{one}{chr(34)}' for one in names.split())} ];"
            ),
        )
    if kin == "redhat" and not dialect.systemd(situation):
        return (f"sed -i 's/^IPTABLES_MODULES=.*/IPTABLES_MODULES=\"{names}\"/' /etc/sysconfig/iptables-config",)
    if dialect.systemd(situation) and kin != "openwrt":
        return (dialect.lines_into("/etc/modules-load.d/tablefull-conntrack-helpers.conf", *names.split()),)
    path = "/etc/modules.d/tablefull-conntrack-helpers" if kin == "openwrt" else "/etc/modules"
    return (dialect.lines_into(path, *names.split(), append=kin != "openwrt"),)
