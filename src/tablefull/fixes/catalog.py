"""Every fix of the taxonomy by its id: what it means, and the plan for one host.

The trap: an id without a plan is advice that nobody can type. So the two tables have the same keys, and a test holds
them to the taxonomy.
"""

from collections.abc import Callable

from tablefull.errors import UsageError
from tablefull.fixes import (
    firewall_plans,
    look_alike_plans,
    platform_plans,
    sizing_plans,
    timeout_plans,
    tracking_plans,
    traffic_plans,
)
from tablefull.fixes.meanings import MEANINGS, Meaning
from tablefull.fixes.plan import Plan, Situation

Maker = Callable[[Situation, tuple[str, ...]], Plan]

FIXES: dict[str, Meaning] = MEANINGS

MAKERS: dict[str, Maker] = {
    "raise-max": sizing_plans.raise_max,
    "raise-hashsize": sizing_plans.raise_hashsize,
    "raise-expect-max": sizing_plans.raise_expect_max,
    "shorten-timeouts": timeout_plans.shorten_timeouts,
    "notrack": tracking_plans.notrack,
    "unload-modules": tracking_plans.unload_modules,
    "disable-firewall": firewall_plans.disable_firewall,
    "disable-bridge-nf": tracking_plans.disable_bridge_nf,
    "rate-limit-or-block-source": firewall_plans.rate_limit,
    "synproxy-or-syncookies": firewall_plans.synproxy,
    "fix-dns-path": traffic_plans.fix_dns_path,
    "expand-snat-range": traffic_plans.expand_snat_range,
    "persist-config": platform_plans.persist_config,
    "upgrade-kernel": platform_plans.upgrade_kernel,
    "upgrade-component": platform_plans.upgrade_component,
    "flush-entries": timeout_plans.flush_entries,
    "keepalive-or-pooling": traffic_plans.keepalive_or_pooling,
    "configure-kube-proxy": platform_plans.configure_kube_proxy,
    "scale-out": platform_plans.scale_out,
    "move-off-nat": traffic_plans.move_off_nat,
    "fix-application": traffic_plans.fix_application,
    "drop-invalid-or-be-liberal": firewall_plans.drop_invalid,
    "disable-tcp-loose": firewall_plans.disable_tcp_loose,
    "attach-helper-explicitly": firewall_plans.attach_helper,
    "open-security-group-untracked": platform_plans.open_security_group,
    "none": look_alike_plans.nothing,
}


def make(fix_id: str, situation: Situation, answers: tuple[str, ...] = ()) -> Plan:
    """The plan of this id for this host; ``answers`` are the causes it removes.

    UsageError for an id outside the taxonomy.
    """
    maker = MAKERS.get(fix_id)
    if maker is None:
        raise UsageError(f"no fix is called {fix_id}; there are {', '.join(MAKERS)}")
    return maker(situation, answers)
