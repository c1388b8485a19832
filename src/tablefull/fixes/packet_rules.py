"""A packet rule as a value, and how it is put in, taken out and kept by the front end of one host.

The trap: a rule typed with iptables is gone after the front end's next reload, and a rule for IPv4 alone leaves half of
the traffic as it was. So one rule is written for both families where the kernel tracks both, and each front end has its
own way to keep it.
"""

import shlex

from msgspec import Struct

from tablefull.fixes import dialect
from tablefull.fixes.plan import Situation
from tablefull.kernel import identity


class Rule(Struct, frozen=True):
    """``spec`` is the iptables match and target; ``families`` ipv4 and ipv6; ``place`` its number in the chain."""

    table: str
    chain: str
    spec: str
    families: tuple[str, ...] = ("ipv4", "ipv6")
    place: int = 1


class NftChain(Struct, frozen=True):
    """A base chain of a table of our own with its rules: ``hook`` and ``priority`` as nft writes them."""

    name: str
    hook: str
    priority: int
    rules: tuple[str, ...]


_PROGRAM = {"ipv4": "iptables", "ipv6": "ip6tables"}


def families(situation: Situation) -> tuple[str, ...]:
    """The families that this kernel tracks: ip_conntrack is IPv4 alone."""
    return ("ipv4",) if dialect.old_stack(situation) else ("ipv4", "ipv6")


def no_tracking(situation: Situation) -> str:
    """The target that exempts a packet: NOTRACK before 3.8 (xt_NOTRACK became an alias of xt_CT there), CT after."""
    old = dialect.old_stack(situation) or identity.at_least(situation.kernel, 3, 8) is False
    return "-j NOTRACK" if old else "-j CT --notrack"


def by_state(situation: Situation, states: str) -> str:
    """The match on a state.

    ``state`` before 2.6.30, where ``conntrack`` was IPv4's own, ``conntrack --ctstate`` after.
    """
    old = identity.at_least(situation.kernel, 2, 6, 30) is False or (
        situation.kernel is None and situation.ip_conntrack
    )
    return f"-m state --state {states}" if old else f"-m conntrack --ctstate {states}"


def _firewalld(situation: Situation) -> bool:
    return dialect.front_end(situation) == "firewalld"


def insert(situation: Situation, rules: tuple[Rule, ...]) -> tuple[str, ...]:
    """The commands that put these rules in now, in the order given."""
    if _firewalld(situation):
        return tuple(
            f"firewall-cmd --direct --add-rule {kin} {rule.table} {rule.chain} {rule.place - 1} {rule.spec}"
            for rule in rules
            for kin in _kin(situation, rule)
        )
    return tuple(
        f"{_PROGRAM[kin]} -t {rule.table} -I {rule.chain}{'' if rule.place == 1 else f' {rule.place}'} {rule.spec}"
        for rule in rules
        for kin in _kin(situation, rule)
    )


def delete(situation: Situation, rules: tuple[Rule, ...]) -> tuple[str, ...]:
    """The commands that take exactly these rules out."""
    if _firewalld(situation):
        return tuple(
            f"firewall-cmd --direct --remove-rule {kin} {rule.table} {rule.chain} {rule.place - 1} {rule.spec}"
            for rule in rules
            for kin in _kin(situation, rule)
        )
    return tuple(
        f"{_PROGRAM[kin]} -t {rule.table} -D {rule.chain} {rule.spec}"
        for rule in rules
        for kin in _kin(situation, rule)
    )


def _kin(situation: Situation, rule: Rule) -> tuple[str, ...]:
    tracked = families(situation)
    return tuple(kin for kin in rule.families if kin in tracked)


def keep(situation: Situation, rules: tuple[Rule, ...], name: str = "tablefull_rules") -> tuple[str, ...]:
    """How the front end keeps these rules over a reload and a reboot; ``name`` is what a unit of ours is called."""
    kin, end = dialect.family(situation), dialect.front_end(situation)
    if _firewalld(situation):
        return tuple(
            command.replace("firewall-cmd --direct", "firewall-cmd --permanent --direct")
            for command in insert(situation, rules)
        )
    if kin == "openwrt":
        return (dialect.lines_into("/etc/firewall.user", *insert(situation, rules), append=True),)
    if end == "ufw":
        return _ufw(situation, rules)
    if _others_write(situation) and kin != "nixos":
        return (
            "# a saved ruleset would freeze the chains that Docker or Kubernetes writes anew: keep these rules alone",
            *_unit(situation, rules, name),
        )
    if kin == "redhat":
        return _redhat(situation)
    if kin == "nixos":
        return (
            "# in /etc/nixos/configuration.nix: put the iptables lines above into networking.firewall.extraCommands",
            "nixos-rebuild switch",
        )
    if kin in ("debian", "ubuntu"):
        if end == "unknown" and dialect.systemd(situation):
            return (
                "# iptables-persistent would remove ufw, which may be what manages this host: a unit fits both",
                *_unit(situation, rules, name),
            )
        return _debian(situation)
    if kin == "alpine":
        return (
            "rc-service iptables save",
            "rc-service ip6tables save",
            "rc-update add iptables",
            "rc-update add ip6tables",
        )
    return (
        "iptables-save > /etc/tablefull-iptables.rules",
        "ip6tables-save > /etc/tablefull-ip6tables.rules",
        (
            "# have the boot load them again: iptables-restore < /etc/tablefull-iptables.rules and ip6tables-restore < "
            "/etc/tablefull-ip6tables.rules"
        ),
    )


def _others_write(situation: Situation) -> bool:
    """Whether a program writes chains of its own at every start, which a saved ruleset would bring back stale."""
    end = dialect.front_end(situation)
    return end in ("docker", "kube-proxy") or bool(situation.orchestrator) or dialect.kubernetes(situation)


def _unit(situation: Situation, rules: tuple[Rule, ...], name: str) -> tuple[str, ...]:
    """A unit that types these rules at every boot, after those who write theirs."""
    typed = insert(situation, rules)
    if not dialect.systemd(situation):
        path = "/etc/local.d/tablefull-rules.start" if dialect.init(situation) == "openrc" else "/etc/rc.local"
        return (f"# have the boot type them again: the lines above go into {path}, before any 'exit'",)
    service = f"{name.replace('_', '-')}.service"
    path = f"/etc/systemd/system/{service}"
    lines = (
        "[Unit]",
        "After=network-pre.target docker.service ufw.service firewalld.service netfilter-persistent.service",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        *(f'ExecStart=/bin/sh -c "{line}"' for line in typed),
        "[Install]",
        "WantedBy=multi-user.target",
    )
    return (dialect.lines_into(path, *lines), "systemctl daemon-reload", f"systemctl enable {service}")


def _redhat(situation: Situation) -> tuple[str, ...]:
    number = dialect.release(situation)
    if (
        not dialect.systemd(situation)
        or dialect.front_end(situation) == "iptables-services"
        or number is None
        or number[0] < 7
    ):
        saved = ("service iptables save", "service ip6tables save")
        return saved[:1] if dialect.old_stack(situation) else saved
    # From RHEL 7 on a host without firewalld keeps rules only with the iptables-services package.
    return (
        "yum install -y iptables-services",
        "service iptables save",
        "service ip6tables save",
        "systemctl enable iptables ip6tables",
    )


def _debian(situation: Situation) -> tuple[str, ...]:
    number, kin = dialect.release(situation), dialect.family(situation)
    old = number is not None and number < ((15, 0) if kin == "ubuntu" else (8, 0))
    if number is None:
        old = not dialect.systemd(situation)
    if not old:
        if dialect.front_end(situation) == "iptables-persistent":
            return ("netfilter-persistent save",)
        return (
            "# not where ufw is installed: this package removes it (there the rules go into /etc/ufw/before.rules)",
            "apt-get install -y iptables-persistent",
            "netfilter-persistent save",
        )
    if dialect.front_end(situation) == "iptables-persistent":
        return ("/etc/init.d/iptables-persistent save",)
    return (
        "iptables-save -t raw > /etc/tablefull-iptables.raw.rules",
        "ip6tables-save -t raw > /etc/tablefull-ip6tables.raw.rules",
        dialect.lines_into(
            "/etc/network/if-pre-up.d/tablefull-raw-rules",
            "#!/bin/sh",
            "iptables-restore < /etc/tablefull-iptables.raw.rules",
            "ip6tables-restore < /etc/tablefull-ip6tables.raw.rules",
        ),
        "chmod 755 /etc/network/if-pre-up.d/tablefull-raw-rules",
    )


def _ufw(situation: Situation, rules: tuple[Rule, ...]) -> tuple[str, ...]:
    commands = []
    for kin, path in (("ipv4", "/etc/ufw/before.rules"), ("ipv6", "/etc/ufw/before6.rules")):
        section: list[str] = []
        for table in dict.fromkeys(rule.table for rule in rules):
            mine = [rule for rule in rules if rule.table == table and kin in rule.families]
            if mine:
                section += [f"*{table}", *(f"-I {rule.chain} {rule.place} {rule.spec}" for rule in mine), "COMMIT"]
        if section:
            commands.append(dialect.lines_into(path, *section, append=True))
    return tuple(commands)


def nft_create(table: str, chains: tuple[NftChain, ...]) -> tuple[str, ...]:
    """The commands that make a table of our own; nothing of anybody else's is touched."""
    commands = [f"nft add table inet {table}"]
    for chain in chains:
        head = f"{{ type filter hook {chain.hook} priority {chain.priority} ; }}"
        commands.append(f"nft add chain inet {table} {chain.name} {dialect.quote(head)}")
        commands += [f"nft add rule inet {table} {chain.name} {rule}" for rule in chain.rules]
    return tuple(commands)


def nft_delete(table: str) -> tuple[str, ...]:
    """The command that takes the whole table out again."""
    return (f"nft delete table inet {table}",)


def nft_keep(situation: Situation, table: str, chains: tuple[NftChain, ...]) -> tuple[str, ...]:
    """How the table outlives a reboot."""
    if dialect.family(situation) == "openwrt":
        # fw4 reads /etc/nftables.d/*.nft inside its own table inet fw4, so chains are written, not a table.
        lines: list[str] = []
        for chain in chains:
            lines += [
                f"chain {table}_{chain.name} {{",
                f"type filter hook {chain.hook} priority {chain.priority};",
                *(" ".join(shlex.split(rule)) for rule in chain.rules),  # as nft reads it, without the shell's quotes
                "}",
            ]
        return (dialect.lines_into(f"/etc/nftables.d/{table}.nft", *lines),)
    kin = dialect.family(situation)
    if kin == "nixos":
        return (
            f"# in /etc/nixos/configuration.nix: networking.nftables.tables.{table} with the chains above",
            "nixos-rebuild switch",
        )
    path = "/etc/sysconfig/nftables.conf" if kin == "redhat" else "/etc/nftables.conf"
    if dialect.systemd(situation):
        enable = "systemctl enable nftables"
    elif dialect.init(situation) == "openrc":
        enable = "rc-update add nftables"
    else:
        enable = f"# have the boot read it: nft -f {path} goes into /etc/rc.local, before any 'exit'"
    return (f"nft list table inet {table} >> {path}", enable)
