"""Plans that end tracking where nothing needs it: exempt traffic, keep bridged frames out, unload the modules.

The trap: tracking must be left out in both directions. A rule that exempts requests alone lets the answers make entries
of their own, reversed ones, and the table fills as before.
"""

import msgspec

from tablefull.fixes import dialect, packet_rules
from tablefull.fixes.packet_rules import NftChain, Rule
from tablefull.fixes.plan import Plan, Situation, compose
from tablefull.kernel import identity, modules

NFT_TABLE = "tablefull_notrack"
RAW = -300  # before tracking, which hooks in at -200 (netfilter_ipv4.h 6.18)
BRIDGE_FILE = "/etc/sysctl.d/90-tablefull-bridge-nf.conf"

_FILTERS = frozenset(("ufw", "firewalld", "iptables-services", "iptables-persistent", "iptables"))
# What is meant where a cause is known and the evidence names no service.
_BY_CAUSE = {"udp-dns-churn": (("udp", "53"),), "insert-race-dns": (("udp", "53"),)}
_EVERYTHING = frozenset(("unneeded-tracking", "bridge-nf"))


def _services(situation: Situation) -> tuple[tuple[str, str], ...]:
    """Services to exempt; ``all`` is everything, ``bridged`` the frames that only cross this host's bridges."""
    named = dialect.services(situation)
    only_tcp = all(protocol == "tcp" for protocol, _ in named)
    if situation.cause == "bridge-nf" or (situation.cause == "unneeded-tracking" and situation.bridged and only_tcp):
        return (("bridged", ""),)
    found = named or _BY_CAUSE.get(situation.cause, ())
    if found:
        return found
    if situation.cause in _EVERYTHING and situation.nat_in_use is not True:
        return (("all", ""),)
    return (("udp", dialect.PLACEHOLDER_PORT),)


def _ways(situation: Situation, port: str) -> str:
    """``all``, or what leaves this host's own requests tracked, whose answers a filter lets in by ESTABLISHED alone:
    ``server`` its own service, ``router`` that and what it forwards.
    """
    filtered = dialect.front_end(situation) in _FILTERS | {"nftables", "uci"}
    if not port or not filtered:
        return "all"
    forwards = situation.bridged or situation.nat_in_use is True or situation.role in ("router", "gateway")
    return "router" if forwards else "server"


def matches(protocol: str, port: str, ways: str) -> tuple[tuple[str, str], ...]:
    """``(chain, match)`` of all four ways (requests in, answers out, requests out, answers in) or of some of them."""
    if protocol == "all":
        return (("PREROUTING", ""), ("OUTPUT", ""))
    if protocol == "bridged":
        # Both directions of bridged traffic arrive in PREROUTING; what is meant for this host itself stays tracked.
        return (("PREROUTING", "-m physdev --physdev-is-in -m addrtype ! --dst-type LOCAL "),)
    if protocol == "lo":
        return (("PREROUTING", "-i lo "), ("OUTPUT", "-o lo "))
    if not port:
        return (("PREROUTING", f"-p {protocol} "), ("OUTPUT", f"-p {protocol} "))
    if ways != "all":
        served = (("PREROUTING", f"-p {protocol} --dport {port} "), ("OUTPUT", f"-p {protocol} --sport {port} "))
        passed = ("PREROUTING", f"-p {protocol} --sport {port} -m addrtype ! --dst-type LOCAL ")
        return (served[0], passed, served[1]) if ways == "router" else served
    return tuple(
        (chain, f"-p {protocol} --{side} {port} ") for chain in ("PREROUTING", "OUTPUT") for side in ("dport", "sport")
    )


def kin(situation: Situation, protocol: str) -> tuple[str, ...]:
    """The families in which this traffic can be matched here."""
    # addrtype knows IPv6 from 2.6.39 on.
    old = protocol == "bridged" and identity.at_least(situation.kernel, 2, 6, 39) is False
    return ("ipv4",) if old or protocol == "ipip" else ("ipv4", "ipv6")


def nft_matches(protocol: str, port: str, chain: str, ways: str) -> tuple[str, ...]:
    """The same as rules of one of nft's chains."""
    if protocol == "all":
        return ("notrack",)
    if protocol == "lo":
        return (f"{'iif' if chain == 'prerouting' else 'oif'} lo notrack",)
    if not port:
        return (f"meta l4proto {protocol} notrack",)
    if ways == "all":
        return tuple(f"{protocol} {side} {port} notrack" for side in ("dport", "sport"))
    if chain == "output":
        return (f"{protocol} sport {port} notrack",)
    passed = (f"{protocol} sport {port} fib daddr type != local notrack",) if ways == "router" else ()
    return (f"{protocol} dport {port} notrack", *passed)


def _nft_backend(situation: Situation) -> bool:
    """Whether firewalld filters with nft, after iptables: an accept there opens nothing (from 0.6, RHEL 8)."""
    return dialect.front_end(situation) == "firewalld" and identity.at_least(situation.kernel, 4, 18) is not False


def _rich(services: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """Accepts of firewalld's own, which it lets match untracked packets too."""
    return tuple(
        f'rule port port="{port}" protocol="{name}" accept' if port else f'rule protocol value="{name}" accept'
        for name, port in services
        if name not in ("all", "bridged", "lo")
    ) or (('rule port port="22" protocol="tcp" accept',) if ("all", "") in services else ())


def _hints(situation: Situation, services: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """What opens the filter where no command of ours can: a verdict of one nft table does not bind another."""
    ports = [f"{name} dport {port}" for name, port in services if port]
    if dialect.family(situation) == "openwrt":
        return tuple(
            f"# where the zone does not accept it already, a rule of /etc/config/firewall must: {one}" for one in ports
        )
    return tuple(
        f"# where it filters input, in that very chain: nft insert rule inet filter input {one} accept" for one in ports
    )


def notrack(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """Exempt services in the raw table, requests and answers, IPv4 and IPv6."""
    services = _services(situation)
    words = {"all": "everything", "bridged": "bridged frames", "lo": "loopback"}
    named = ", ".join(words.get(name, f"{name}/{port}" if port else name) for name, port in services)
    unknown_port = any(port == dialect.PLACEHOLDER_PORT for _, port in services)
    accepts: tuple[Rule, ...] = ()
    rich = tuple(f"'{rule}'" for rule in _rich(services)) if _nft_backend(situation) else ()
    if ("bridged", "") in services and dialect.uses_nft(situation) and dialect.family(situation) == "openwrt":
        return msgspec.structs.replace(
            disable_bridge_nf(situation, answers), id="notrack", title="Do not track bridged frames, in both directions"
        )
    if dialect.front_end(situation) in _FILTERS and not _nft_backend(situation):
        accepts = tuple(
            Rule("filter", "INPUT", (f"-p {name} --dport {port} " if port else f"-p {name} ") + "-j ACCEPT")
            for name, port in services
            if name not in ("all", "bridged", "lo")
        )
        if ("all", "") in services:
            accepts = (Rule("filter", "INPUT", "-p tcp --dport 22 -j ACCEPT"),)
    if dialect.uses_nft(situation) and ("bridged", "") not in services:
        chains = tuple(
            NftChain(
                chain,
                chain,
                RAW,
                tuple(
                    rule for name, port in services for rule in nft_matches(name, port, chain, _ways(situation, port))
                ),
            )
            for chain in ("prerouting", "output")
        )
        commands = (*packet_rules.nft_create(NFT_TABLE, chains), *_hints(situation, services))
        undo = packet_rules.nft_delete(NFT_TABLE)
        persist = packet_rules.nft_keep(situation, NFT_TABLE, chains)
        shown: tuple[str, ...] = (f"nft list table inet {NFT_TABLE}",)
    else:
        target = packet_rules.no_tracking(situation)
        rules = accepts + tuple(
            Rule("raw", chain, f"{match}{target}", kin(situation, name))
            for name, port in services
            for chain, match in matches(name, port, _ways(situation, port))
        )
        commands = (*(f"firewall-cmd --add-rich-rule={rule}" for rule in rich), *packet_rules.insert(situation, rules))
        undo = (
            *packet_rules.delete(situation, rules),
            *(f"firewall-cmd --remove-rich-rule={rule}" for rule in rich),
        )
        persist = (
            *(f"firewall-cmd --permanent --add-rich-rule={rule}" for rule in rich),
            *packet_rules.keep(situation, rules, NFT_TABLE),
        )
        shown = (
            "iptables -t raw -L -n -v",
            *(("ip6tables -t raw -L -n -v",) if len(packet_rules.families(situation)) > 1 else ()),
        )
    if unknown_port:
        commands = ("# put the service's port in place of PORT (and tcp for udp where it is TCP)", *commands)
    return compose(
        "notrack",
        situation,
        answers,
        title=f"Do not track {named}, in both directions",
        commands=commands,
        undo=undo,
        persist=persist,
        verify=(*shown, dialect.count_command(situation)),
        risk=_notrack_risk(situation, services),
        scope="netns",
        why="both directions of bridged traffic arrive in PREROUTING, so one rule exempts requests and answers; "
        "what is meant for this host itself is still tracked. Entries that exist stay until they expire."
        if ("bridged", "") in services
        else "the rules stand in PREROUTING and in OUTPUT, so that requests and answers are both exempted. "
        "Exempting one way alone makes entries of the other, reversed. Entries that exist stay until they expire.",
    )


def _notrack_risk(situation: Situation, services: tuple[tuple[str, str], ...]) -> str:
    parts = ["Untracked packets are not translated: what reaches this service through NAT on this host stops working."]
    if situation.nat_in_use:
        parts[0] += " NAT is in use here, so make sure that this traffic is not part of it."
    if dialect.front_end(situation) != "none" and ("bridged", "") not in services:
        parts.append(
            "They are neither NEW nor ESTABLISHED, so stateful rules no longer accept them: each direction needs a "
            "plain accept, and answers to this host's own requests come from the service's port (accepting by "
            "source port lets strangers in who use it)."
        )
    if any(_ways(situation, port) != "all" for _, port in services):
        parts.append(
            "This host's own requests to that port stay tracked, so that the filter still knows their answers; a host "
            "that mostly asks itself is not relieved."
        )
    if _nft_backend(situation):
        parts.append(
            "firewalld filters with nft after iptables, so an accept among its direct rules opens nothing: the rich "
            "rule does, in the default zone only (add --zone=ZONE for another). Direct rules themselves are deprecated "
            "there, and notrack has no other spelling."
        )
    elif dialect.uses_nft(situation):
        parts.append(
            "An accept in a table of our own does not override the drop of another table: the chain that filters must "
            "accept it itself."
        )
    if dialect.kubernetes(situation):
        parts.append("Kubernetes services are NAT: never exempt traffic to a service address.")
    if ("all", "") in services:
        parts.append(
            "With everything exempted, no stateful rule and no NAT on this host works: where the firewall accepts "
            "answers only by ESTABLISHED, you lock yourself out, so type it with a way back (a console, or 'at' "
            "with the undo)."
        )
    if ("bridged", "") in services:
        parts.append("Guests that this host routes or translates, instead of bridging them, lose their connections.")
    if dialect.front_end(situation) == "ufw":
        parts.append("After 'ufw reload' check that the rules stand there once.")
    return " ".join(parts)


def disable_bridge_nf(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """Set the three bridge-nf-call keys to 0, and again whenever the module brings them back."""
    # br_netfilter is a module of its own from 3.18 on; before, bridge itself brings the keys (docs/kernel).
    separate = identity.at_least(situation.kernel, 3, 17)
    names = [f"net.bridge.bridge-nf-call-{what}" for what in ("iptables", "ip6tables", "arptables")]
    zero = dict.fromkeys(names, 0)
    if dialect.family(situation) == "nixos" or not dialect.keeps_sysctls(situation):
        persist = dialect.persist_sysctls(situation, zero)
        path = "/etc/sysctl.conf"
    else:
        persist = dialect.persist_sysctls(situation, zero, BRIDGE_FILE)
        path = BRIDGE_FILE
    module = "bridge" if separate is False else "br_netfilter"
    if dialect.family(situation) not in ("nixos", "openwrt"):
        persist += (dialect.reload_rule(module, path),)
        if separate is None:
            persist += (dialect.reload_rule("bridge", path),)
    per_netns = identity.at_least(situation.kernel, 5, 3) is True
    return compose(
        "disable-bridge-nf",
        situation,
        answers,
        title="Keep bridged frames out of iptables and tracking",
        commands=tuple(f"sysctl -w {name}=0" for name in names),
        undo=tuple(
            f"sysctl -w {name}={situation.settings[name]}"
            if name in situation.settings
            else f"sysctl -w {name}=1  # 1 is the default"
            for name in names
        ),
        persist=persist,
        verify=(f"sysctl {' '.join(names)}", dialect.count_command(situation)),
        risk="Rules on this host no longer see what merely crosses its bridges: a filter for guests ends. "
        "Kubernetes, Docker and libvirt need it for connections between containers or guests of one bridge through "
        "a service or a published port (hairpin), and set it back to 1 when they start; do not use it there. NAT of "
        f"traffic that is routed, not bridged, goes on. The keys appear with the module {module}, so a file read "
        "before it is ignored: the udev rule applies it when the module comes."
        + (" Each network namespace has its own value." if per_netns else ""),
        scope="netns" if per_netns else "host",
        why=f"the keys are 1 whenever {module} is loaded, and bridged frames then cross the IP hooks; what is "
        "tracked already stays until it expires, so the count falls within the timeouts",
    )


# What usually stands in the way, by era, where no module list was shown (docs/kernel); absent ones are passed over.
_OF_IP_CONNTRACK = frozenset(
    "xt_state xt_conntrack ipt_MASQUERADE ipt_REDIRECT iptable_nat ip_nat ip_conntrack_netlink ip_conntrack".split()
)
_BEFORE_4_19 = frozenset(
    "xt_state xt_conntrack xt_CT xt_NOTRACK xt_nat ipt_MASQUERADE ipt_REDIRECT nft_ct nft_nat nft_masq iptable_nat "
    "ip6table_nat nf_nat_masquerade_ipv4 nf_nat_ipv4 nf_nat_ipv6 nf_nat nf_conntrack_netlink nf_conntrack_ipv4 "
    "nf_conntrack_ipv6 nf_conntrack".split()
)
_LATER = frozenset(
    "xt_state xt_conntrack xt_CT xt_nat xt_MASQUERADE xt_REDIRECT nft_ct nft_nat nft_masq iptable_nat ip6table_nat "
    "nft_chain_nat nf_nat nf_conntrack_netlink nf_conntrack".split()
)


def _usual(situation: Situation) -> frozenset[str]:
    if dialect.old_stack(situation):
        return _OF_IP_CONNTRACK
    since = identity.at_least(situation.kernel, 4, 19)
    return _LATER if since else _BEFORE_4_19 if since is False else _BEFORE_4_19 | _LATER


# The service of RHEL 5 and 6 empties the tables and unloads the modules itself when it is told to.
_BY_SERVICE = (
    "sed -i 's/^IPTABLES_MODULES_UNLOAD=.*/IPTABLES_MODULES_UNLOAD=\"yes\"/' /etc/sysconfig/iptables-config",
    "sed -i 's/^IP6TABLES_MODULES_UNLOAD=.*/IP6TABLES_MODULES_UNLOAD=\"yes\"/' /etc/sysconfig/ip6tables-config",
    "service ip6tables stop",
    "service iptables stop",
)


def _service_unloads(situation: Situation) -> bool:
    return (
        dialect.family(situation) == "redhat"
        and not dialect.systemd(situation)
        and dialect.front_end(situation) in ("iptables-services", "iptables", "unknown")
    )


def _flush_rules(situation: Situation) -> tuple[str, ...]:
    """Stop what loads the rules, keep a copy, then empty the tables that are there; loads none."""
    first: tuple[str, ...] = ("iptables-save > /root/iptables.before",)
    if _service_unloads(situation):
        return (*first, *_BY_SERVICE)
    if dialect.front_end(situation) == "ufw" or (
        dialect.front_end(situation) in ("unknown", "none", "xen") and dialect.family(situation) == "ubuntu"
    ):
        first += ("ufw disable",)
    return (*first, *empty_tables(situation))


def empty_tables(situation: Situation) -> tuple[str, ...]:
    """Commands that open the policies and empty every table present, without loading one."""
    opened = tuple(f"iptables -P {chain} ACCEPT" for chain in ("INPUT", "FORWARD", "OUTPUT"))
    if identity.at_least(situation.kernel, 4, 14) is True:
        # From 4.14 touching a table starts no tracking, and iptables over nft lists nothing in /proc/net
        # (docs/kernel).
        tables = "for t in nat mangle raw filter; do"
        return (*opened, *(f"{tables} {tool} -t $t -F; {tool} -t $t -X; done" for tool in ("iptables", "ip6tables")))
    loops = ["for t in $(cat /proc/net/ip_tables_names); do iptables -t $t -F; iptables -t $t -X; done"]
    if not dialect.old_stack(situation):
        loops.append("for t in $(cat /proc/net/ip6_tables_names); do ip6tables -t $t -F; ip6tables -t $t -X; done")
    return (*opened, *loops)


def unload_modules(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """Remove the rules, then the modules in the order of this kernel's era; refuses where they are compiled in."""
    module = "ip_conntrack" if dialect.old_stack(situation) else "nf_conntrack"
    check = f"grep -c '^{module} ' /proc/modules"
    if situation.builtin or situation.nat_in_use or dialect.kubernetes(situation):
        reason = (
            "tracking is compiled into this kernel and cannot be unloaded: exempt the traffic with a raw rule "
            "(notrack), or remove the rules that need it"
            if situation.builtin
            else "NAT is in use here and ends with the modules: exempt the traffic that needs none instead (notrack)"
        )
        return compose(
            "unload-modules",
            situation,
            answers,
            title="The tracking modules cannot be unloaded here",
            commands=(f"# {reason}", "cat /proc/net/ip_tables_names"),
            verify=(dialect.count_command(situation),),
            risk="Unloading would cut every translated connection and every stateful rule at once.",
            scope="host",
            why=reason,
        )
    loaded = modules.unload_order(situation.kernel, situation.modules)
    order = loaded or modules.unload_order(situation.kernel, _usual(situation))
    one_by_one = tuple(f"modprobe -r {name}" for name in loaded)
    loop = f'for m in {" ".join(order)}; do if grep -q "^$m " /proc/modules; then rmmod $m; fi; done'
    by_loading = identity.at_least(situation.kernel, 4, 14) is False
    persist: tuple[str, ...] = (
        f"grep -rlE '(nf|ip)_conntrack|iptable_nat' {' '.join(_load_files(situation))}",
        (
            "# take the lines out that load them; do not list the nat table again (iptables -t nat -L): look at "
            "/proc/net/ip_tables_names first"
        ),
    )
    if by_loading and not dialect.old_stack(situation) and not situation.nat_in_use:
        persist += (
            (
                "# a blacklist does not stop a module that another one pulls in; this makes touching the nat table "
                "fail instead:"
            ),
            dialect.lines_into(
                "/etc/modprobe.d/tablefull-no-nat-table.conf",
                "install iptable_nat /bin/false",
                "install ip6table_nat /bin/false",
            ),
        )
    reload = "iptables-restore < /root/iptables.before"
    start: tuple[str, ...] = ()
    if _service_unloads(situation):
        start = ("service iptables start", "service ip6tables start")
        persist = ("chkconfig iptables off", "chkconfig ip6tables off", *persist)
    enable = ("ufw enable",) if "ufw disable" in _flush_rules(situation) else ()
    return compose(
        "unload-modules",
        situation,
        answers,
        title="Remove the rules, then the tracking modules",
        # What the service has unloaded is passed over by the loop; modprobe -r would fail on it.
        commands=(*_flush_rules(situation), *((loop,) if start else one_by_one or (loop,))),
        undo=(f"modprobe {dialect.tracker(situation)}", *start, reload, *enable),
        persist=persist,
        verify=(check, "cat /proc/net/ip_tables_names", dialect.drops_command(situation)),
        risk="Every rule of this host is removed first, so it stands open for that time and after. NAT and stateful "
        "rules (state, conntrack, MASQUERADE, port forwards) stop at once, and entries are lost. On a Xen or KVM "
        "host whose guests are bridged the guests keep their connections: bridging needs none of these modules. "
        "rmmod waits for packets that still hold an entry, and refuses while something uses a module (Open vSwitch, "
        "IPVS, rules in another network namespace). It does not survive a reboot by itself, and the next rule or "
        "listing that needs tracking loads it again.",
        scope="host",
        why=(
            "on this kernel loading the modules is enough to track every packet, so only unloading (or a raw rule) "
            "ends it"
            if by_loading
            else "from 4.14 on modules alone track nothing: removing the rules that need state ends tracking, "
            "unloading frees the rest"
            if identity.at_least(situation.kernel, 4, 14)
            else "before 4.14 loaded modules track every packet; from 4.14 on removing the rules is what ends it"
        ),
    )


def _load_files(situation: Situation) -> tuple[str, ...]:
    if dialect.old_stack(situation):
        return ("/etc/modprobe.conf", "/etc/sysconfig")
    kin = dialect.family(situation)
    paths = {"redhat": ("/etc/sysconfig", "/etc/modprobe.d"), "openwrt": ("/etc/modules.d",)}.get(
        kin, ("/etc/modules", "/etc/modprobe.d")
    )
    return (*paths, "/etc/modules-load.d") if dialect.systemd(situation) else paths
