"""The steps of one fix on a running host: acts with the values that were there before, in the words of this host.

The trap: a text that a person adapts may hold a placeholder, a step that is carried out may not. So a fix that this
host does not show enough for is refused with the reason, and one that belongs to another machine is told, not done.
"""

from collections.abc import Callable

from tablefull.errors import UsageError
from tablefull.fixes import (
    catalog,
    steps_bridge,
    steps_limits,
    steps_modules,
    steps_notrack,
    steps_service,
    steps_sizing,
    steps_synproxy,
    steps_timeouts,
    steps_told,
)
from tablefull.fixes.act import HostPlan
from tablefull.fixes.live_host import LiveHost, Options

Maker = Callable[[LiveHost, Options], HostPlan]

MAKERS: dict[str, Maker] = {
    "raise-max": steps_sizing.raise_max,
    "raise-hashsize": steps_sizing.raise_hashsize,
    "raise-expect-max": steps_sizing.raise_expect_max,
    "shorten-timeouts": steps_timeouts.shorten_timeouts,
    "disable-tcp-loose": steps_timeouts.disable_tcp_loose,
    "flush-entries": steps_timeouts.flush_entries,
    "notrack": steps_notrack.notrack,
    "unload-modules": steps_modules.unload_modules,
    "disable-firewall": steps_service.disable_firewall,
    "disable-bridge-nf": steps_bridge.disable_bridge_nf,
    "drop-invalid-or-be-liberal": steps_limits.drop_invalid_or_be_liberal,
    "rate-limit-or-block-source": steps_limits.rate_limit,
    "synproxy-or-syncookies": steps_synproxy.synproxy,
    "configure-kube-proxy": steps_told.configure_kube_proxy,
}


def plan(fix_id: str, host: LiveHost, options: Options) -> HostPlan:
    """The steps of this fix here; without steps where it is refused or only told. UsageError for an unknown id."""
    maker = MAKERS.get(fix_id)
    if maker is not None:
        return maker(host, options)
    if fix_id not in catalog.MAKERS:
        raise UsageError(f"no fix is called {fix_id[:60]!a}; there are {', '.join(catalog.MAKERS)}")
    text = catalog.make(fix_id, host.situation)
    typed = steps_told.typed(text)
    where = steps_told.where_to_type(host.netns) if typed else ()
    return HostPlan(
        fix=fix_id,
        host=host.name,
        netns=host.netns,
        title=text.title,
        told=(text.why, *where, f"Risk: {text.risk}"),
        typed=typed,
    )
