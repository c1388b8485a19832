"""What each user of connection tracking is for, which families it turns on, and what stops without it.

The trap: "turn tracking off" is advice that cuts off a host whose rules let replies in by state, and harmless on the
next one. So beside every word that asks for tracking (``kernel.modules.requests_tracking`` finds it) stands what it
does for its owner. And a rule asks for the families of its *table*, not of the packets it matches: masquerading "for
IPv4" in an inet table tracks IPv6 too, and an object that no rule uses asks as well.

[nf_ct_netns_get callers of 4.10..6.18.2; nf_conntrack_proto.c; every line of 5.2 and of this file's tables that says
"measured" on 6.18.44]
"""

import re

from msgspec import Struct

from tablefull.kernel import changes
from tablefull.kernel.identity import KernelVersion

IPV4, IPV6, BRIDGE = "IPv4", "IPv6", "bridge"
FAMILIES = (IPV4, IPV6, BRIDGE)
# Objects that ask from the moment they are made, used or not: nft_ct_{helper,timeout,expect}_obj_init. [measured]
TC_ACTION = "tc action ct"  # hands each packet to the tracker itself, where a filter has it [act_ct.c, 5.3]
ASKING_OBJECTS = frozenset(("ct helper", "ct timeout", "ct expectation", TC_ACTION))
_NAT_FAMILY = re.compile(r"\b[sd]nat (?:family )?(ip6?)\b")


class Use(Struct, frozen=True):
    """``role``: in two or three words. ``without``: the sentence of what stops. ``weight``: how much stops, 1 to 9."""

    role: str
    without: str
    weight: int


STATEFUL = Use(
    "stateful filter",
    "replies to connections begun here are no longer recognised: a chain that drops the rest cuts this host off",
    9,
)
OUTWARD = Use("NAT, outward", "machines, guests or containers behind this host reach nothing outside", 8)
INWARD = Use("NAT, inward", "published ports, forwarded ports and service addresses no longer lead anywhere", 8)
_MARK = Use("mark of a connection", "policy routing and shaping that follow a connection's mark lose it", 5)
_LIMIT = Use("limit on connections", "the limit on connections of one source is not enforced", 4)
_HELPER = Use("protocol helper", "data connections of FTP, SIP, TFTP and the like are no longer let through", 4)
_SETTING = Use("setting of new entries", "the zone, timeout, helper or event mask that new entries get is not set", 3)
_COUNT = Use("match on a connection", "rules that look at a connection's bytes, labels or address no longer match", 3)
_SYNPROXY = Use("SYN proxy", "servers behind it take SYN floods themselves", 6)
_FLOW = Use("flow offload", "forwarding goes the slow way, packet by packet", 4)
_TC = Use("tc action ct", "tc filters with action ct, and what is offloaded through them, no longer match", 6)
_CLUSTER = Use("cluster", "the nodes no longer share connections out between them", 6)

_USES = {
    "state": STATEFUL, "conntrack": STATEFUL, "ctstate": STATEFUL, "ct state": STATEFUL, "ct status": STATEFUL,
    "MASQUERADE": OUTWARD, "SNAT": OUTWARD, "SAME": OUTWARD, "FULLCONENAT": OUTWARD, "FULLCONE": OUTWARD,
    "masquerade": OUTWARD, "snat": OUTWARD, "fullcone": OUTWARD, "NETMAP": OUTWARD,
    "DNAT": INWARD, "REDIRECT": INWARD, "dnat": INWARD, "redirect": INWARD, "BALANCE": INWARD,
    "connmark": _MARK, "CONNMARK": _MARK, "CONNSECMARK": _MARK, "ct mark": _MARK, "ct secmark": _MARK,
    "connlimit": _LIMIT, "ct count": _LIMIT, "helper": _HELPER, "ct helper": _HELPER, "ct expectation": _HELPER,
    "CT": _SETTING, "ct zone": _SETTING, "ct timeout": _SETTING, "ct event": _SETTING,
    "SYNPROXY": _SYNPROXY, "synproxy": _SYNPROXY, "FLOWOFFLOAD": _FLOW, "flow add": _FLOW,
    TC_ACTION: _TC, "cluster": _CLUSTER, "CLUSTERIP": _CLUSTER,
}  # fmt: skip


def use_of(word: str) -> Use:
    """What a word of ``requests_tracking`` is for; of an unfamiliar one, that it looks at connections."""
    return _USES.get(word, _COUNT)


def families_asked(family: str, text: str, kernel: KernelVersion | None) -> tuple[str, ...]:
    """The families that a rule of a table of ``family`` turns on, in the order of :data:`FAMILIES`.

    An inet table turns on IPv4 and IPv6, except for ``dnat ip to`` and its like, which name one [measured]. A bridge
    rule turns on the bridge's own tracking and both others (nf_ct_netns_get, NFPROTO_BRIDGE; 5.3). Up to 4.13 a rule
    loads the tracker of its family, and that tracks the family in every namespace.
    """
    if family == "ip":
        return (IPV4,)
    if family == "ip6":
        return (IPV6,)
    if family == "bridge":
        return FAMILIES if changes.has("bridge-family-tracking", kernel).value is not False else ()
    if family in ("inet", "unknown"):
        named = set(_NAT_FAMILY.findall(text))
        rest = _NAT_FAMILY.sub("", text)
        if named and not re.search(r"\bct |masquerade|redirect|synproxy|flow add", rest):
            return tuple(one for one, word in ((IPV4, "ip"), (IPV6, "ip6")) if word in named)
        return (IPV4, IPV6)
    return ()  # arp, netdev: the kernel refuses such a rule (-EPROTO) [measured]


class Caller(Struct, frozen=True):
    """A module that hands packets to the tracker itself, or brings more of them: ``asks`` tells which."""

    what: str
    asks: bool
    without: str
    look: str
    source: str


# Of 5.3: they call nf_conntrack_in themselves, so entries appear with no rule and no hook.
CALLERS: dict[str, Caller] = {
    "openvswitch": Caller(
        "Open vSwitch: flows with ct() hand packets to the tracker themselves, without any hook",
        True,
        "stateful flows and security groups of the switch no longer match",
        "ovs-dpctl dump-flows | grep 'ct('",
        "net/openvswitch/conntrack.c, 4.3",
    ),
    "act_ct": Caller(
        "tc action ct: filters with it hand packets to the tracker themselves, without any hook",
        True,
        "tc filters with action ct, and what is offloaded through them, no longer match",
        "tc actions list action ct",
        "net/sched/act_ct.c, 5.3",
    ),
    "nf_conntrack_bridge": Caller(
        "bridge tracking: it was loaded because a rule of an nft bridge table uses ct",
        False,
        "rules of bridge tables with ct can no longer be added",
        "nft list ruleset bridge",
        "net/bridge/netfilter/nf_conntrack_bridge.c, 5.3",
    ),
    "ip_vs": Caller(
        "IPVS: uses entries that are there (net.ipv4.vs.conntrack) and asks for none itself",
        False,
        "nothing: balancing goes on without tracking, except where its rules masquerade",
        "ipvsadm -Ln; sysctl net.ipv4.vs.conntrack",
        "net/netfilter/ipvs, 6.18.2",
    ),
    "br_netfilter": Caller(
        "bridge-nf: bridged frames pass through the IP hooks, and are tracked where tracking is on",
        False,
        "guests on the bridge are no longer filtered or counted by this host's iptables",
        "sysctl net.bridge.bridge-nf-call-iptables",
        "br_netfilter of 3.18..6.18",
    ),
}
