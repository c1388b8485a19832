"""Plans outside of one kernel's settings: what persists them, kube-proxy, upgrades, the cloud, other ways for the
traffic.

The trap: the setting that does not stick. It is written before the module exists, or a program writes its own value
after it, and neither says a word.
"""

import re

from tablefull.fixes import dialect
from tablefull.fixes.plan import Plan, Situation, compose
from tablefull.kernel import identity

_ORDER = (
    "the settings exist only while their module is loaded, so a file applied earlier is passed over; the rule "
    "applies it when the module appears"
)


def _orchestrator(situation: Situation) -> str:
    low = (situation.orchestrator or "").lower()
    for name in ("microk8s", "minikube", "k3s", "rke2", "kind", "openshift", "lxd"):
        if name in low:
            return name
    return "kubernetes"


def persist_config(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """Make the value that stands in a file arrive: module first, then the file, then whoever overwrites it."""
    key = dialect.key(situation, "nf_conntrack_max")
    kin, end, own = dialect.family(situation), dialect.front_end(situation), _own_file(situation)
    openvz = situation.kernel is not None and situation.kernel.vendor == "openvz"
    files = (
        "/etc/sysctl.conf /etc/sysctl.d /usr/lib/sysctl.d" if dialect.keeps_sysctls(situation) else "/etc/sysctl.conf"
    )
    commands: tuple[str, ...] = (f"grep -rsE 'conntrack_(max|buckets)' {files}",)
    if kin == "nixos":
        commands = (
            f'# in /etc/nixos/configuration.nix: boot.kernel.sysctl."{key}" = NUMBER;',
            *dialect.persist_order(situation),
        )
    else:
        if not situation.builtin:
            commands += (f"modprobe {dialect.tracker(situation)}",)
        if kin != "openwrt":
            commands += dialect.persist_order(situation, own)
        commands += (dialect.apply_files(situation),)
    persist: tuple[str, ...] = (f"# the value must stand in {own}, which is read again then: {key} = NUMBER",)
    if end == "ufw":
        persist += (
            f"# ufw applies a file of its own after the others: in /etc/ufw/sysctl.conf {key.replace('.', '/')}=NUMBER",
        )
    if kin == "redhat" and (end == "iptables-services" or not dialect.systemd(situation)):
        persist += (
            "# a restart of the iptables service unloads the modules, and their settings with them; keep them loaded:",
            "sed -i 's/^IPTABLES_MODULES_UNLOAD=.*/IPTABLES_MODULES_UNLOAD=\"no\"/' /etc/sysconfig/iptables-config",
        )
    if end == "firewalld" and dialect.systemd(situation):
        persist += (
            "# firewalld unloads the modules when it stops, and their settings with them; keep them loaded:",
            "sed -i 's/^CleanupModulesOnExit=.*/CleanupModulesOnExit=no/' /etc/firewalld/firewalld.conf",
        )
    if openvz:
        persist += (
            dialect.lines_into(
                "/etc/modprobe.d/tablefull-openvz.conf", "options nf_conntrack ip_conntrack_disable_ve0=0"
            ),
        )
    if kin == "coreos":
        persist += (
            (
                "# put both files into the Ignition or Butane configuration (storage.files), or a rebuilt machine "
                "lacks them"
            ),
        )
    if dialect.kubernetes(situation):
        persist += (
            (
                "# kube-proxy writes its own values at every start: set conntrack.maxPerCore: 0 and the timeouts in "
                "its configuration (configure-kube-proxy)"
            ),
        )
    return compose(
        "persist-config",
        situation,
        answers,
        title="Make the setting arrive after its module, and stay",
        commands=commands,
        undo=(f"rm -f /etc/modules-load.d/tablefull-conntrack.conf {dialect.udev_file(own)}",)
        if dialect.systemd(situation) and kin not in ("nixos", "openwrt")
        else ("# take the lines written above out of their files again",),
        persist=persist,
        verify=(
            f"sysctl {key}",
            f"grep -c '^{dialect.tracker(situation)} ' /proc/modules",
            "# and once more after a reboot and after a restart of the firewall",
        ),
        risk="Nobody loses a connection. Before 4.14 loading the module starts tracking on a host that did not "
        "track until then.",
        scope="host",
        why=_ORDER,
    )


def _own_file(situation: Situation) -> str:
    return dialect.SYSCTL_FILE if dialect.keeps_sysctls(situation) else "/etc/sysctl.conf"


_LEAVE = "s/maxPerCore: .*/maxPerCore: 0/"
_CLOSE = "s/tcpCloseWaitTimeout: .*/tcpCloseWaitTimeout: 1m0s/"
_FLAGS = ("conntrack-max-per-core=0", "conntrack-tcp-timeout-close-wait=60s")


def configure_kube_proxy(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """Let kube-proxy leave the host's limit, and end its hour of CLOSE_WAIT."""
    which = _orchestrator(situation)
    fetch = "kubectl -n kube-system get configmap kube-proxy -o yaml"
    restart = "kubectl -n kube-system rollout restart daemonset/kube-proxy"
    undo: tuple[str, ...] = ("kubectl replace -f kube-proxy.before.yaml", restart)
    commands: tuple[str, ...] = (
        f"{fetch} > kube-proxy.before.yaml",
        f"{fetch} | sed -e '{_LEAVE}' -e '{_CLOSE}' | kubectl apply -f -",
        restart,
    )
    if which in ("k3s", "rke2"):
        path = f"/etc/rancher/{which}/config.yaml"
        flags = [f'  - "{flag}"' for flag in _FLAGS]
        unit = f"{which}-server" if which == "rke2" else which
        commands = (
            f"cp -n {path} {path}.before",
            dialect.lines_into(path, "kube-proxy-arg:", *flags, append=True),
            f"systemctl restart {unit}",
        )
        undo = (f"cp {path}.before {path}", f"systemctl restart {unit}")
    elif which == "microk8s":
        path = "/var/snap/microk8s/current/args/kube-proxy"
        commands = (
            f"cp -n {path} {path}.before",
            dialect.lines_into(path, *(f"--{flag}" for flag in _FLAGS), append=True),
            "snap restart microk8s",
        )
        undo = (f"cp {path}.before {path}", "snap restart microk8s")
    elif which == "minikube":
        commands = ("minikube start --extra-config=kube-proxy.conntrack.maxPerCore=0",)
        undo = ("minikube start",)
    elif which == "openshift":
        commands = (
            "oc get network.operator.openshift.io cluster -o yaml > network.before.yaml",
            (
                "oc patch network.operator.openshift.io cluster --type merge -p "
                '\'{"spec":{"kubeProxyConfig":{"proxyArguments":{"conntrack-max-per-core":["0"],'
                '"conntrack-tcp-timeout-close-wait":["60s"]}}}}\''
            ),
        )
        undo = ("oc replace -f network.before.yaml",)
    elif which == "kind":
        commands = (
            "# in the kind cluster's configuration, before it is created:",
            dialect.lines_into(
                "kind-conntrack.yaml",
                "kind: Cluster",
                "apiVersion: kind.x-k8s.io/v1alpha4",
                "kubeadmConfigPatches:",
                "- |",
                "  kind: KubeProxyConfiguration",
                "  conntrack:",
                "    maxPerCore: 0",
            ),
            "kind create cluster --config kind-conntrack.yaml",
        )
        undo = ("kind delete cluster", "kind create cluster")
    inside = (
        situation.container or which in ("kind", "lxd", "microk8s") or situation.cause == "per-netns-or-container-limit"
    )
    host_side = (
        (
            (
                "# in a container kube-proxy may not write the limit: 0 leaves it, and the value is set on the host "
                "that runs the container"
            ),
        )
        if inside
        else ()
    )
    limit = ""
    if situation.max is not None and not inside:
        limit = f" To have kube-proxy set it instead: give maxPerCore your number, and min {situation.max * 2}."
    return compose(
        "configure-kube-proxy",
        situation,
        answers,
        title="Let kube-proxy leave the host's limit, and CLOSE_WAIT at 60 s",
        commands=(*host_side, *commands),
        undo=undo,
        persist=(
            (
                "# the same as flags: --conntrack-max-per-core=0 --conntrack-min=0 "
                "--conntrack-tcp-timeout-established=24h --conntrack-tcp-timeout-close-wait=60s"
            ),
            *(
                ()
                if which != "kubernetes"
                else (
                    (
                        "# kubeadm keeps the ConfigMap; other installers write it anew, so put "
                        "conntrack.maxPerCore: 0 into their values"
                    ),
                )
            ),
            "# with 0 the node's own sysctl.d must set nf_conntrack_max (persist-config)",
        ),
        verify=(
            (
                f"sysctl {dialect.key(situation, 'nf_conntrack_max')} "
                f"{dialect.key(situation, 'nf_conntrack_tcp_timeout_close_wait')}"
            ),
            "kubectl -n kube-system logs daemonset/kube-proxy | grep -i conntrack | head",
        ),
        risk="kube-proxy restarts node by node; its rules stay meanwhile, and no connection is cut. maxPerCore 0 "
        "also switches min off: whoever set the limit before (nobody, on a fresh node) now decides. With 60 s for "
        "CLOSE_WAIT a client that closes its half and waits longer than that in silence for the rest loses its "
        "entry." + limit,
        scope="other",
        why="kube-proxy writes max(min 131072, 32768 × cores), one day for established and one hour for close_wait "
        "at each start; the kernel's own close_wait is 60 s",
    )


_UPGRADES = {
    "ubuntu": ("apt-get update", "apt-get dist-upgrade"),
    "debian": ("apt-get update", "apt-get dist-upgrade"),
    "redhat": ("yum update kernel",),
    "suse": ("zypper update kernel-default",),
    "arch": ("pacman -Syu",),
    "alpine": ("apk update", "apk upgrade"),
    "nixos": ("nixos-rebuild boot --upgrade",),
    "openwrt": (
        "# OpenWrt takes a new kernel with a new image: sysupgrade -k IMAGE (its notes say whether settings are kept)",
    ),
    "coreos": ("update_engine_client -update",),
}
_MENDED: tuple[tuple[tuple[int, int], tuple[int, int], str], ...] = (
    ((4, 2), (4, 2), "4.2 counts entries of a namespace that is still being made, and the count can wrap"),
    (
        (4, 7),
        (4, 18),
        (
            "from 4.7 to 4.18 eviction looked at one bucket eight times, so the table was full much earlier than "
            "meant (4.19, and 4.14 stable, look at eight)"
        ),
    ),
    ((2, 6), (4, 18), "parallel DNS questions through NAT lose one of two more often before 4.19 and 5.0"),
    (
        (3, 0),
        (5, 13),
        "before 5.14 a reused port could leave an entry in SYN_SENT that each new SYN kept (e15d4cdf27cb)",
    ),
    ((5, 10), (5, 17), "5.15 to 5.17, and 5.10 stable, leave expired entries counted for up to 120 s"),
)


def upgrade_kernel(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """The distribution's newer kernel, and what it mends that this one has."""
    commands = _UPGRADES.get(
        dialect.family(situation), ("# install the newer kernel of this distribution with its package tool",)
    )
    told = [text for since, until, text in _MENDED if identity.between(situation.kernel, since, until)]
    return compose(
        "upgrade-kernel",
        situation,
        answers,
        title="Boot a newer kernel of this distribution",
        commands=("uname -r", *commands, "reboot"),
        undo=("# the old kernel stays installed: choose it in the boot menu",),
        persist=("# the newest installed kernel is booted from now on",),
        verify=("uname -r", dialect.count_command(situation), dialect.drops_command(situation)),
        risk="A reboot: everything on this host is down for that time, all entries are lost, and settings typed by "
        "hand are gone unless they stand in a file. Defaults differ between kernels (a host under 1 GB gets a "
        "quarter of the limit from 5.15), so compare nf_conntrack_max after it.",
        scope="host",
        why="; ".join(told)
        or "a defect of this kernel is suspected; the newer one of the distribution carries what was mended since",
    )


_INSTALL = {
    "ubuntu": "apt-get install --only-upgrade",
    "debian": "apt-get install --only-upgrade",
    "redhat": "yum update",
    "suse": "zypper update",
    "arch": "pacman -S",
    "alpine": "apk add --upgrade",
    "openwrt": "opkg upgrade",
}
_COMPONENT = re.compile(r"[a-z0-9][a-z0-9+._-]{0,60}", re.ASCII)
_IN_CLUSTER = frozenset(
    ("kube-proxy", "cilium", "calico", "calico-node", "flannel", "kube-router", "coredns", "portmap", "cni")
)


def upgrade_component(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """A newer version of the program beside the kernel."""
    named = (situation.component or "").lower()
    name = named if _COMPONENT.fullmatch(named) else "PACKAGE"
    command = f"{_INSTALL.get(dialect.family(situation), 'yum update')} {name}"
    undo = f"# the package tool can install the version before: note it first ({name})"
    verify = ("conntrack -L -p udp 2>/dev/null | head", dialect.count_command(situation))
    if name == "cilium":
        commands: tuple[str, ...] = (
            "helm repo update",
            "helm upgrade cilium cilium/cilium -n kube-system --reuse-values",
        )
        undo = "helm rollback cilium -n kube-system"
    elif name in _IN_CLUSTER or dialect.kubernetes(situation):
        what = "kube-proxy" if name == "PACKAGE" else name
        commands = (
            f"kubectl -n kube-system get daemonset {what} -o jsonpath='{{.spec.template.spec.containers[0].image}}'",
            f"kubectl -n kube-system set image daemonset/{what} '*=IMAGE'",
            f"kubectl -n kube-system rollout status daemonset/{what}",
        )
        undo = f"kubectl -n kube-system rollout undo daemonset/{what}"
    elif name == "pf_ring":
        commands = (
            "modinfo pf_ring | grep ^version",
            "# install the current release of PF_RING (its kernel module held references), then:",
            "modprobe -r pf_ring",
            "modprobe pf_ring",
        )
    else:
        commands = (("# put the package's name in place of PACKAGE",) if name == "PACKAGE" else ()) + (command,)
    return compose(
        "upgrade-component",
        situation,
        answers,
        title=f"Upgrade {name if name != 'PACKAGE' else 'the program that leaves the entries behind'}",
        commands=commands,
        undo=(undo,),
        persist=("# it lasts as long as the installation is not put back to the older version",),
        verify=verify,
        risk="The program restarts; its rules may be missing for a moment, and new connections fail meanwhile. "
        "Entries that it left behind stay until they are deleted (flush-entries).",
        scope="other",
        why="the entries are wrong because the program that should delete or set them does not; the kernel does "
        "what it was told",
    )


def scale_out(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """More hosts or a larger instance."""
    commands = {
        "aws": (
            "ethtool -S INTERFACE | grep allowance",
            "aws ec2 stop-instances --instance-ids INSTANCE",
            "aws ec2 modify-instance-attribute --instance-id INSTANCE --instance-type TYPE",
            "aws ec2 start-instances --instance-ids INSTANCE",
        ),
        "azure": ("az vm resize --resource-group GROUP --name NAME --size SIZE",),
        "gcp": (
            "gcloud compute instances stop NAME",
            "gcloud compute instances set-machine-type NAME --machine-type TYPE",
            "gcloud compute instances start NAME",
        ),
    }.get((situation.cloud or "").lower(), ())
    if not commands and dialect.kubernetes(situation):
        commands = (
            "kubectl get pods -A -o wide --field-selector spec.nodeName=NODE",
            "kubectl scale deployment NAME --replicas=NUMBER",
        )
    if not commands:
        commands = (
            "# add a host of the same kind and put it beside this one in the balancer or in DNS",
            dialect.talkers(situation),
        )
    return compose(
        "scale-out",
        situation,
        answers,
        title="Spread the load over more hosts, or a larger instance",
        commands=commands,
        undo=("# the same commands with the old size or number",),
        persist=("# the size is part of the machine's definition: change it there too (Terraform, scaling group)",),
        verify=(
            dialect.count_command(situation),
            "ethtool -S INTERFACE | grep allowance" if situation.cloud else dialect.drops_command(situation),
        ),
        risk="Resizing stops the machine: its connections are lost and its address may change. A balancer in front "
        "tracks connections too, and becomes the next table to watch. It does not help where the entries do not "
        "follow the load.",
        scope="other",
        why="each host and each instance has a limit of its own, so two of them have twice the room",
    )


def open_security_group(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """Security group rules that the platform does not have to track."""
    ports = [port for name, port in dialect.services(situation) if name == "tcp" and port]
    udp = [port for name, port in dialect.services(situation) if name == "udp" and port]
    named = [("tcp", port) for port in ports] + [("udp", port) for port in udp] or [("tcp", "PORT")]
    every = "IpRanges=[{CidrIp=0.0.0.0/0}],Ipv6Ranges=[{CidrIpv6=::/0}]"
    into = "aws ec2 authorize-security-group-ingress --group-id GROUP --ip-permissions"
    out = "aws ec2 authorize-security-group-egress --group-id GROUP --ip-permissions"
    opened = tuple(f"{into} 'IpProtocol={name},FromPort={port},ToPort={port},{every}'" for name, port in named)
    return compose(
        "open-security-group-untracked",
        situation,
        answers,
        title="Write the security group so that the platform does not track this service",
        commands=(
            "aws ec2 describe-security-groups --group-ids GROUP > group.before.json",
            *opened,
            f"{out} 'IpProtocol=-1,{every}'",
        ),
        undo=(
            *(line.replace("authorize-", "revoke-") for line in opened),
            (
                "# compare with group.before.json before you revoke the rule that lets all out: "
                f"{out.replace('authorize-', 'revoke-')} 'IpProtocol=-1,{every}'"
            ),
        ),
        persist=(
            "# the group keeps its rules; write them into its definition too (Terraform, CloudFormation)",
            (
                "# where it must stay tracked, let idle entries go sooner: aws ec2 "
                "modify-network-interface-attribute --network-interface-id ENI --connection-tracking-specification "
                "TcpEstablishedTimeout=350"
            ),
        ),
        verify=("ethtool -S INTERFACE | grep conntrack_allowance",),
        risk="Everybody reaches these ports of the instance: filter inside it, in rules that need no state, before "
        "you open the group. Both directions must be open to all addresses, or the platform goes on tracking; paths "
        "over a NAT gateway, a load balancer or a transparent firewall are tracked regardless. Connections that "
        "exist are dropped when their tracking changes.",
        scope="other",
        why="the allowance counts tracked connections of the instance, in the platform and not in this kernel: "
        "nf_conntrack_max has no part in it",
    )
