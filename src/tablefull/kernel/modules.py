"""What makes connection tracking run, which modules carry it, and in which order they leave.

The trap: the most copied explanation ("listing the nat table loaded nf_conntrack, so everything is tracked") is true
up to 4.9, half true to 4.13 and false from 4.14, where a rule that needs tracking must exist. There ``lsmod`` proves
nothing: a count above 0 proves that tracking runs, and a rule anywhere in the namespace, even one that never matches,
starts it.
"""

from collections.abc import Collection

from msgspec import Struct

from tablefull.facts.origin import Basis
from tablefull.kernel import changes
from tablefull.kernel.answer import NO_KERNEL, Answer, by_version, unknown
from tablefull.kernel.identity import KernelVersion, at_least, between

_LOAD_SOURCE = "iptable_nat and nf_nat of every tree; commits 0c66dc1ea3f0, 481fa3734769; measured on 6.18.44"

# Modules that are part of connection tracking or hold it in use, in the order they must leave, one step a group.
# [Makefiles and sources 2.6.18..6.18.2]
UNLOAD_STEPS: tuple[tuple[str, ...], ...] = (
    # users of matches, targets and expressions
    (
        *("xt_state", "ipt_state", "xt_conntrack", "ipt_conntrack", "xt_connmark", "xt_CONNMARK", "ipt_CONNMARK"),
        *("xt_CONNSECMARK", "xt_connbytes", "xt_connlabel", "xt_connlimit", "ipt_connlimit", "xt_cluster", "xt_helper"),
        *(
            "xt_CT",
            "xt_NOTRACK",
            "ipt_NOTRACK",
            "xt_nat",
            "xt_NAT",
            "xt_MASQUERADE",
            "ipt_MASQUERADE",
            "ip6t_MASQUERADE",
        ),
        *("xt_REDIRECT", "ipt_REDIRECT", "xt_NETMAP", "ipt_NETMAP", "ipt_SAME", "ipt_CLUSTERIP", "ipt_SYNPROXY"),
        *("ip6t_SYNPROXY", "xt_FLOWOFFLOAD", "xt_FULLCONENAT", "nft_ct", "nft_nat", "nft_masq", "nft_masq_ipv4"),
        *("nft_masq_ipv6", "nft_redir", "nft_redir_ipv4", "nft_redir_ipv6", "nft_connlimit", "nft_synproxy"),
        *("nft_flow_offload", "nft_fullcone", "act_ct", "act_connmark", "act_ctinfo", "openvswitch", "ip_vs"),
    ),
    # the nat tables
    (
        *("iptable_nat", "ip6table_nat", "nft_chain_nat", "nft_chain_nat_ipv4", "nft_chain_nat_ipv6"),
        "nf_conntrack_bridge",
    ),
    # NAT parts of helpers, then helpers
    (
        *("nf_nat_ftp", "nf_nat_irc", "nf_nat_sip", "nf_nat_tftp", "nf_nat_pptp", "nf_nat_h323", "nf_nat_amanda"),
        *("nf_nat_snmp_basic", "nf_nat_proto_gre", "nf_nat_proto_sctp", "nf_nat_proto_dccp", "nf_nat_proto_udplite"),
        *("ip_nat_ftp", "ip_nat_irc", "ip_nat_tftp", "ip_nat_pptp", "ip_nat_h323", "ip_nat_sip", "ip_nat_amanda"),
        "ip_nat_snmp_basic",
    ),
    (
        *("nf_conntrack_ftp", "nf_conntrack_irc", "nf_conntrack_sip", "nf_conntrack_tftp", "nf_conntrack_pptp"),
        *("nf_conntrack_h323", "nf_conntrack_amanda", "nf_conntrack_sane", "nf_conntrack_snmp"),
        *("nf_conntrack_netbios_ns", "nf_conntrack_broadcast", "nf_conntrack_proto_gre", "nf_conntrack_proto_sctp"),
        *("nf_conntrack_proto_dccp", "nf_conntrack_proto_udplite", "nfnetlink_cttimeout", "nfnetlink_cthelper"),
        *("ip_conntrack_ftp", "ip_conntrack_irc", "ip_conntrack_tftp", "ip_conntrack_pptp", "ip_conntrack_h323"),
        *("ip_conntrack_sip", "ip_conntrack_amanda", "ip_conntrack_netbios_ns", "nf_synproxy_core", "nf_conncount"),
    ),
    ("nf_flow_table_inet", "nf_flow_table_ipv4", "nf_flow_table_ipv6"),
    ("nf_flow_table",),
    # NAT itself
    ("nf_nat_masquerade_ipv4", "nf_nat_masquerade_ipv6", "nf_nat_redirect"),
    ("nf_nat_ipv4", "nf_nat_ipv6"),
    ("nf_nat", "ip_nat"),
    # netlink, then the trackers by family, then the core
    ("nf_conntrack_netlink", "ip_conntrack_netlink"),
    ("nf_conntrack_ipv4", "nf_conntrack_ipv6"),
    ("nf_conntrack", "ip_conntrack"),
    ("nf_defrag_ipv4", "nf_defrag_ipv6"),
)

TRACKING_MODULES: frozenset[str] = frozenset(
    name
    for step in UNLOAD_STEPS
    for name in step
    if not name.startswith("nf_defrag") and name not in ("openvswitch", "ip_vs")
)
# Whose mere presence means that the tracker's core is loaded. lsmod spells a dash as an underscore.
CORE_MODULES = frozenset(("nf_conntrack", "ip_conntrack"))


def listing_nat_starts_tracking(kernel: KernelVersion | None) -> Answer[bool]:
    """Whether ``iptables -t nat -L`` alone makes the kernel track every packet: yes up to 4.13, no from 4.14.

    Up to 4.9 listing loads iptable_nat, that loads the IPv4 tracker, and loading it hooks all packets of all
    namespaces. In 4.10..4.13 the same through nf_conntrack_default_on, which is 1 by default. From 4.14 the table
    registers lookups only.
    """
    if kernel is None:
        return unknown(NO_KERNEL)
    by_rule = changes.has("hooks-by-rule", kernel)
    if by_rule.value is None:
        return unknown(by_rule.source)
    return Answer(not by_rule.value, by_rule.basis, _LOAD_SOURCE)


def loading_starts_tracking(kernel: KernelVersion | None) -> Answer[bool]:
    """Whether loading the tracker (ip_conntrack, nf_conntrack_ipv4) alone starts it: yes up to 4.13, no from 4.14.

    Up to 4.18 nf_conntrack without nf_conntrack_ipv4 tracks no IPv4 in any case. From 5.1 the load option
    enable_hooks=1 brings the old behaviour back; it cannot be read from /sys.
    """
    return listing_nat_starts_tracking(kernel)


def is_active_when(kernel: KernelVersion | None) -> Answer[str]:
    """One sentence for a person: what makes tracking run on this kernel."""
    if kernel is None:
        return unknown(NO_KERNEL)
    if not at_least(kernel, 4, 10):
        module = "nf_conntrack_ipv4 (or _ipv6)" if at_least(kernel, 2, 6, 22) else "ip_conntrack"
        sentence = f"Every packet of every namespace is tracked as soon as {module} is loaded, which listing nat does."
        return by_version(sentence, "trees 2.6.18..4.9.115")
    if not at_least(kernel, 4, 14):
        return by_version(
            "Every packet is tracked once nf_conntrack_ipv4 is loaded, unless nf_conntrack_default_on was set to 0"
            " before.",
            "standalone 4.10, 4.12, 4.13.4",
        )
    sentence = "Packets are tracked in a namespace, per address family, as long as a rule in it needs tracking"
    if at_least(kernel, 5, 1):
        sentence += ", or everywhere if the module was loaded with enable_hooks=1"
    return by_version(sentence + "; loading the module or listing nat does not start it.", _LOAD_SOURCE)


def unload_order(kernel: KernelVersion | None, loaded: Collection[str]) -> tuple[str, ...]:
    """The loaded modules of connection tracking in an order that ``rmmod`` accepts; empty when none is loaded.

    Rules must go first, in every namespace and table. openvswitch and ip_vs are named where they are loaded, because
    they hold the tracker; removing them ends what they do. One order serves all versions, as names that an era lacks
    are not loaded there; a version is taken for the caller's record only.
    """
    del kernel
    held = {name.replace("-", "_"): name for name in loaded}
    order = [held[name] for step in UNLOAD_STEPS for name in step if name in held]
    if not any(name.replace("-", "_") in TRACKING_MODULES for name in order):
        return ()
    return tuple(order)


class Requested(Struct, frozen=True):
    """Whether a rule asks for tracking (``value``) and which of its words do (``by``)."""

    value: bool
    by: tuple[str, ...]
    basis: Basis
    source: str


# [grep of nf_ct_netns_get callers 4.10..6.18.2; before 4.10 the same modules load the tracker]. FULLCONENAT and
# FLOWOFFLOAD are OpenWrt's, layer7 is a patch of old; all three sit on entries.
_MATCHES = frozenset(
    (
        *("state", "conntrack", "connmark", "connbytes", "connlabel", "connlimit", "cluster", "helper"),
        *("layer7", "ctstate", "ndpi"),
    )
)
_TARGETS = frozenset(
    (
        *("MASQUERADE", "SNAT", "DNAT", "REDIRECT", "NETMAP", "SAME", "BALANCE", "CONNMARK", "CONNSECMARK", "SYNPROXY"),
        *("CLUSTERIP", "FULLCONENAT", "FULLCONE", "FLOWOFFLOAD"),
    )
)
_NFT_STATEMENTS = frozenset(("masquerade", "snat", "dnat", "redirect", "synproxy", "fullcone"))
_SOURCE = "who requests tracking: grep of 4.10..6.18.2; measured on 6.18.44"


def _bare(text: str) -> str:
    """The rule without its comments: they often hold words such as "state" or "nat"."""
    while True:
        before, mark, rest = text.partition("/*")
        if not mark:
            break
        text = before + " " + rest.partition("*/")[2]
    out: list[str] = []
    quoted = ""
    for index, part in enumerate(text.split('"')):
        if index % 2 == 0:
            out.append(part)
            quoted = part.rstrip().rsplit(None, 1)[-1] if part.strip() else ""
        elif quoted in ("match", "target"):
            # nft prints what iptables-nft left it as: xt match "conntrack", xt target "MASQUERADE"
            out.append(part)
    words = " ".join(out).split()
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word == "--comment":
            skip = '"' not in text
        else:
            kept.append(word)
    return " ".join(kept)


def _of_iptables(words: list[str]) -> list[str]:
    """Words that ask, for ``-A``/``-I`` rules as written or saved, and for the columns of ``iptables -L``."""
    by: list[str] = []
    written = any(word in ("-j", "--jump", "-m", "--match", "-A", "-I", "-g") for word in words)
    if written:
        for word, following in zip(words, [*words[1:], ""], strict=True):
            if (word in ("-m", "--match") and following in _MATCHES) or (
                word in ("-j", "--jump") and following in _TARGETS
            ):
                by.append(following)
            elif word == "-j" and following == "CT" and "--notrack" not in words:
                by.append("CT")
        return by
    head = words[:5]
    for number, word in enumerate(head):
        # target column: after an optional line number, packets and bytes; the protocol column follows it
        if word in _TARGETS and all(_is_count(before) for before in head[:number]):
            by.append(word)
        elif (
            word == "CT"
            and all(_is_count(before) for before in head[:number])
            and not {"notrack", "NOTRACK"} & set(words)
        ):
            by.append("CT")
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in (
            "state",
            "ctstate",
            "ctorigdst",
            "ctorigsrc",
            "ctreplsrc",
            "ctrepldst",
            "ctstatus",
            "ctproto",
            "ctdir",
        ):
            by.append("state" if word == "state" else "conntrack")
        elif (word == "connmark" and following in ("match", "mark")) or (word == "helper" and following == "match"):
            by.append(word)
        elif word in ("connbytes", "connlabel", "cluster") or word.startswith("#conn"):
            by.append("connlimit" if word.startswith("#conn") else word)
    return by


def _is_count(word: str) -> bool:
    return word[:1].isdigit() and (word.isdigit() or (word[:-1].isdigit() and word[-1] in "KMGT"))


def _of_nft(words: list[str]) -> list[str]:
    by: list[str] = []
    if words[:1] in (["table"], ["chain"], ["set"], ["map"], ["type"], ["typeof"]):
        return by
    before = ""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if before in ("jump", "goto", "chain", "table"):
            pass
        elif word == "ct" and following:
            by.append(f"ct {following}")
        elif word in _NFT_STATEMENTS or (word == "flow" and following in ("add", "offload")):
            by.append("flow add" if word == "flow" else word)
        elif before in ("match", "target") and (word in _MATCHES or word in _TARGETS):
            by.append(word)
        before = word
    return by


def requests_tracking(rule_text: str, front_end: str, kernel: KernelVersion | None) -> Requested:
    """Whether one firewall rule makes its namespace track packets, and by which match, target or statement.

    ``front_end`` beginning with ``nft`` reads nft syntax; anything else iptables, as saved or in the columns of ``-L``
    (``-v`` and ``--line-numbers`` included). NOTRACK, ``CT --notrack`` and nft ``notrack`` alone ask for nothing, nor
    does an empty nat chain. Up to 4.13 the answer means "loads the tracker", which then tracks everything. Words
    inside comments and chain names do not count. ``-m state`` as ``-L`` prints it may belong to a rule that never
    matches: it still asks.
    """
    text = _bare(rule_text)
    words = text.replace(";", " ").replace("{", " ").replace("}", " ").split()
    if not words:
        return Requested(False, (), "version", _SOURCE)
    found = _of_nft(words) if front_end.startswith("nft") else _of_iptables(words)
    by = tuple(dict.fromkeys(found))
    how = (
        "per namespace, while the rule exists"
        if kernel is None or at_least(kernel, 4, 14)
        else "by loading the tracker"
    )
    return Requested(bool(by), by, "version", f"{_SOURCE}; {how}")


class BridgeNf(Struct, frozen=True):
    """How bridged frames reach iptables: module of its own, per namespace, whether nft tracks on the bridge."""

    separate_module: bool
    per_netns: bool
    bridge_family_tracking: bool
    default: int
    sentence: str


def bridge_nf(kernel: KernelVersion | None) -> Answer[BridgeNf]:
    """Whether and through which module bridged frames cross iptables on this kernel; unknown without a version.

    [br_netfilter of 3.16, 3.18.20, 5.2.1, 5.3.1; default 1 measured on 6.18.44]. A distribution's sysctl.d may set 0:
    RHEL 6 and 7 did for virtualisation hosts.
    """
    if kernel is None:
        return unknown(NO_KERNEL)
    separate = bool(changes.has("br-netfilter-module", kernel).value)
    if separate:
        sentence = "Bridged frames cross iptables, and tracking where it runs, only while br_netfilter is loaded and"
        sentence += " bridge-nf-call-iptables is 1, its default; Docker and Kubernetes load it."
    else:
        sentence = "Bridged frames cross iptables, and tracking where it runs, by default on every host with a bridge:"
        sentence += " the bridge module itself brings bridge-nf-call-iptables, and it is 1."
    known = between(kernel, (3, 17), (3, 17))
    source = "br_netfilter 3.16, 3.18.20, 5.3.1" + ("; 3.17 itself was not read" if known else "")
    return by_version(
        BridgeNf(
            separate,
            bool(changes.has("br-netfilter-per-netns", kernel).value),
            bool(changes.has("bridge-family-tracking", kernel).value),
            1,
            sentence,
        ),
        source,
    )
