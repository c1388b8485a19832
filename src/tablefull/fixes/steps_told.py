"""What is to be written where by others: kube-proxy's and Docker's own configuration. Told, never written.

The trap: a limit that is set on the node is set back by kube-proxy at its next start, and a container has timeouts of
its own that nothing on the host changes. So what is told names the value that is in force and the one to write.
"""

import shlex

from tablefull.fixes import platform_plans
from tablefull.fixes.act import HostPlan, entering
from tablefull.fixes.live_host import LiveHost, Options
from tablefull.fixes.plan import Plan
from tablefull.kernel import identity

FIX = "configure-kube-proxy"


def where_to_type(netns: str | None) -> tuple[str, ...]:
    """Where commands that are told are meant to be typed, for a namespace; empty for the host itself."""
    if netns is None:
        return ()
    shell = shlex.join([*entering(netns), "sh"])
    return (
        (
            f"these lines are for the network namespace: type them after sudo {shell}. Files below /etc, modules and "
            "packages are the whole host's all the same, and /etc/sysctl.d reaches no namespace but the host's own"
        ),
    )


def typed(text: Plan) -> tuple[str, ...]:
    """The commands of a plan made of text, each part behind a line that says what it is for."""
    found = list(text.commands)
    for heading, commands in (("to have it last over a restart:", text.persist), ("to take it back:", text.undo)):
        if commands:
            found += [f"# {heading}", *commands]
    return tuple(found)


def configure_kube_proxy(host: LiveHost, options: Options) -> HostPlan:
    """For whatever runs here: kube-proxy, Docker, or both; without steps."""
    told: list[str] = []
    commands: tuple[str, ...] = ()
    if host.orchestrator == "kubernetes" or "kube-proxy" in host.running:
        text = platform_plans.configure_kube_proxy(host.situation, ())
        told += [
            f"kube-proxy sets nf_conntrack_max at every start; here it is {host.setting('nf_conntrack_max')}",
            f"Risk: {text.risk}",
        ]  # fmt: skip
        commands = typed(text)
    if host.orchestrator == "docker" or "dockerd" in host.running:
        told += _docker(host)
    refusal = "" if told else "neither kube-proxy nor Docker runs here, and no rules of theirs stand here"
    return HostPlan(
        fix=FIX, host=host.name, netns=host.netns, title="Configuration of those who write these settings",
        told=tuple(told), typed=commands, refused=refusal,
    )  # fmt: skip


def _docker(host: LiveHost) -> list[str]:
    limit = host.setting("nf_conntrack_max")
    told = [
        "the limit is the host's, one for all containers"
        + ("" if limit is None else f" (now {limit})")
        + ": it cannot be set for a container; write it on the host (raise-max)",
    ]
    if identity.at_least(host.kernel, 3, 6) is not False:
        told.append(
            "timeouts are each container's own, by its network namespace: docker run --sysctl "
            "net.netfilter.nf_conntrack_tcp_timeout_established=10800 …"
        )
        told.append(
            "in a compose file, below the service: sysctls: {net.netfilter.nf_conntrack_tcp_timeout_established: 10800}"
        )
    told.append(
        "a service that needs no NAT: network_mode: host (docker run --network host) takes its packets past Docker's "
        "rules; exempt it then (notrack)"
    )
    told.append(
        'never "iptables": false in /etc/docker/daemon.json on a host whose containers reach the outside through it: '
        "that ends their NAT"
    )
    return told
