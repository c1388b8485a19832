"""Two namespaces by a wire, and a fix made for one of them: what the tests of fixes that a namespace can take share."""

import pytest
from tests.realkernel.namespace import Namespace

from tablefull.fixes.act import HostPlan
from tablefull.fixes.live_host import LiveHost, Options
from tablefull.fixes.steps import plan

Pair = tuple[Namespace, Namespace]

TRACK_NFT = """table inet on {
	chain input { type filter hook input priority 10; ct state new counter; }
	chain forward { type filter hook forward priority 10; ct state new counter; }
}
"""


def tracked(space: Namespace, how: str) -> None:
    """Tracking is on in the namespace, by a rule of this kind that needs nobody's packets."""
    if how == "nft":
        space.run("nft", "-f", "-", text=TRACK_NFT)
        return
    for tool in ("iptables-legacy", "ip6tables-legacy"):
        # The tables are there before, as on a host that uses them: the old iptables never takes one away.
        for table in ("raw", "mangle", "filter"):
            space.run(tool, "-t", table, "-nL")
        for chain in ("INPUT", "FORWARD"):
            space.run(tool, "-A", chain, "-m", "conntrack", "--ctstate", "NEW")


def made(space: Namespace, fix: str, **options: object) -> HostPlan:
    return plan(fix, LiveHost(netns=str(space.pid)), Options(**options))  # type: ignore[arg-type]


HOW = pytest.mark.parametrize("how", ["nft", "legacy"])
