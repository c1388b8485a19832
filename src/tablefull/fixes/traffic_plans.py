"""Plans that change the traffic itself: how names are asked, how addresses are translated, how programs connect.

The trap: these are right more often than a larger table, and nobody can type them for somebody else. So each says what
to measure first, and gives commands where there are some.
"""

from tablefull.fixes import dialect
from tablefull.fixes.plan import Plan, Situation, compose
from tablefull.kernel import identity


def fix_dns_path(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """Questions one after the other, over TCP, or to a cache on the node."""
    options = "options single-request-reopen"
    if dialect.kubernetes(situation):
        wanted = '[{"name":"single-request-reopen"},{"name":"ndots","value":"2"}]'
        patch = f'{{"spec":{{"template":{{"spec":{{"dnsConfig":{{"options":{wanted}}}}}}}}}}}}}'
        clear = '{"spec":{"template":{"spec":{"dnsConfig":null}}}}'
        commands: tuple[str, ...] = (
            f"kubectl -n NAMESPACE patch deployment NAME --type merge -p '{patch}'",
            (
                "# for the whole cluster a cache on each node (NodeLocal DNSCache), which asks upstream over TCP "
                "and is not translated:"
            ),
            (
                "curl -fsSLO "
                "https://raw.githubusercontent.com/kubernetes/kubernetes/master/cluster/addons/dns/nodelocaldns/nodelocaldns.yaml"
            ),
            "DNS=$(kubectl -n kube-system get service kube-dns -o jsonpath={.spec.clusterIP})",
            (
                'sed -i "s/__PILLAR__LOCAL__DNS__/169.254.20.10/g; s/__PILLAR__DNS__DOMAIN__/cluster.local/g; '
                's/__PILLAR__DNS__SERVER__/$DNS/g" nodelocaldns.yaml'
            ),
            "kubectl apply -f nodelocaldns.yaml",
        )
        undo: tuple[str, ...] = (
            f"kubectl -n NAMESPACE patch deployment NAME --type merge -p '{clear}'",
            "kubectl delete -f nodelocaldns.yaml",
        )
        persist: tuple[str, ...] = (
            (
                "# put dnsConfig into the manifests or the chart's values; in IPVS mode set kubelet's --cluster-dns "
                "to 169.254.20.10"
            ),
        )
    else:
        commands = (
            "cp -n /etc/resolv.conf /etc/resolv.conf.before",
            (
                "grep -q single-request-reopen /etc/resolv.conf || "
                f"{dialect.lines_into('/etc/resolv.conf', options, append=True)}"
            ),
            (
                "# or every question over TCP (glibc 2.14 and later): "
                f"{dialect.lines_into('/etc/resolv.conf', 'options use-vc', append=True)}"
            ),
            "# or a cache on this host: with one (unbound, dnsmasq, systemd-resolved) most questions never leave it",
        )
        undo = ("cp /etc/resolv.conf.before /etc/resolv.conf",)
        persist = (_keep_resolver(situation, options),)
    return compose(
        "fix-dns-path",
        situation,
        answers,
        title="Take DNS off the path where two questions of one socket collide",
        commands=commands,
        undo=undo,
        persist=persist,
        verify=(
            "conntrack -S",
            (
                "# insert_failed should stand still; time ten lookups: for i in 1 2 3 4 5 6 7 8 9 10; do time "
                "getent ahosts example.com; done"
            ),
        ),
        risk="single-request-reopen and use-vc are read by glibc only: Alpine's musl and Go's own resolver ignore "
        "them, so there the cache is the way. Programs must be restarted to read resolv.conf. A wrong cache address "
        "stops name resolution for everything on the node: try it on one first. Nothing here is lost on a reboot of "
        "the firewall.",
        scope="other",
        why="two questions from one socket (A and AAAA) insert the same entry at once and one packet is dropped; "
        "the resolver waits 5 s. A few hundred insert_failed among millions are enough to be seen",
    )


def _keep_resolver(situation: Situation, options: str) -> str:
    kin = dialect.family(situation)
    if kin == "ubuntu" and not dialect.systemd(situation):
        return f"{dialect.lines_into('/etc/resolvconf/resolv.conf.d/base', options, append=True)} && resolvconf -u"
    if kin == "redhat":
        return dialect.lines_into("/etc/sysconfig/network", 'RES_OPTIONS="single-request-reopen"', append=True)
    if kin == "nixos":
        return '# in /etc/nixos/configuration.nix: networking.resolvconf.extraOptions = [ "single-request-reopen" ];'
    if kin == "openwrt":
        return "uci set dhcp.@dnsmasq[0].cachesize=1000 && uci commit dhcp && /etc/init.d/dnsmasq restart"
    return "# where DHCP or a network manager writes /etc/resolv.conf, put the option into its configuration instead"


def expand_snat_range(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """More ports, more addresses, and a random choice among them."""
    if situation.table == "cilium":
        patch = '{"data":{"bpf-nat-global-max":"1048576"}}'
        return compose(
            "expand-snat-range",
            situation,
            answers,
            title="Give Cilium's NAT map more room",
            commands=(
                "kubectl -n kube-system get configmap cilium-config -o yaml > cilium-config.before.yaml",
                f"kubectl -n kube-system patch configmap cilium-config --type merge -p '{patch}'",
                "kubectl -n kube-system rollout restart daemonset/cilium",
            ),
            undo=(
                "kubectl replace -f cilium-config.before.yaml",
                "kubectl -n kube-system rollout restart daemonset/cilium",
            ),
            persist=("helm upgrade cilium cilium/cilium -n kube-system --reuse-values --set bpf.natMax=1048576",),
            verify=("kubectl -n kube-system exec ds/cilium -c cilium-agent -- cilium bpf nat list | wc -l",),
            risk="A map of another size is a new one: translated connections break once on each node, node by node.",
            scope="other",
            why="each translated connection takes two entries of the NAT map, and each (address, destination, port) "
            "about 64000 ports",
        )
    random = "--random" if identity.at_least(situation.kernel, 3, 14) is False else "--random-fully"
    name = "net.ipv4.ip_local_port_range"
    cloud = {
        "aws": "# behind a NAT gateway: aws ec2 associate-nat-gateway-address --nat-gateway-id GATEWAY "
        "--allocation-ids ALLOCATION",
        "azure": "# outbound through a load balancer: az network lb outbound-rule update --resource-group GROUP "
        "--lb-name NAME --name RULE --outbound-ports 10000",
        "gcp": "# Cloud NAT: gcloud compute routers nats update NAT --router ROUTER --region REGION "
        "--min-ports-per-vm 1024",
    }.get((situation.cloud or "").lower())
    old = "-j MASQUERADE"
    commands: tuple[str, ...] = (
        "# this shows the rule to change:"
        if identity.at_least(situation.kernel, 4, 14)
        else "# this shows the rule to change (the nat table is in use already):",
        f"iptables -t nat -S POSTROUTING | grep -n -e '{old}' -e '-j SNAT'",
        f"iptables -t nat -I POSTROUTING -s NETWORK -o INTERFACE -j MASQUERADE {random}",
        (
            "# with more than one public address: iptables -t nat -I POSTROUTING -s NETWORK -o INTERFACE -j SNAT "
            f"--to-source ADDRESS-ADDRESS {random}"
        ),
    )
    if dialect.kubernetes(situation):
        commands += (
            (
                "# kube-proxy, flannel and Cilium add --random-fully by themselves in current versions: upgrade "
                "them instead of editing their chains"
            ),
        )
    if cloud:
        commands += (cloud,)
    # A translation without ports of its own takes 1024 to 65535 by itself [nf_nat_core.c get_unique_tuple; measured].
    commands += (
        "# for connections that this host opens itself; what it translates for others never asks for this range:",
        f"sysctl -w {name}='1024 65535'",
    )
    return compose(
        "expand-snat-range",
        situation,
        answers,
        title="Choose source ports from the whole range, at random, and from more addresses",
        commands=commands,
        undo=(
            f"# note the present value first: sysctl -n {name} (usually 32768 60999)",
            f"iptables -t nat -D POSTROUTING -s NETWORK -o INTERFACE -j MASQUERADE {random}",
        ),
        persist=(
            *_keep_range(situation, name),
            "# keep the rule where the present one is kept (the front end's own file)",
        ),
        verify=("conntrack -S", "iptables -t nat -L POSTROUTING -n -v | head", "ss -s"),
        risk="Existing translations stay, new ones take the new rule. Peers that allow one address only must learn "
        "the others. The wider port range may take ports that services above 1024 wait to bind: list those in "
        f"net.ipv4.ip_local_reserved_ports. {random} needs "
        + (
            "kernel 3.14 and iptables 1.6.2."
            if random == "--random-fully"
            else "no newer kernel; --random-fully came with 3.14."
        ),
        scope="netns",
        why="about 64000 ports for each (translated address, destination, destination port); picked in order, two "
        "CPUs pick the same and one packet is lost (insert_failed)",
    )


def _keep_range(situation: Situation, name: str) -> tuple[str, ...]:
    if dialect.family(situation) == "nixos":
        return (
            f'# in /etc/nixos/configuration.nix: boot.kernel.sysctl."{name}" = "1024 65535";',
            "nixos-rebuild switch",
        )
    line = f"{name} = 1024 65535"
    if dialect.keeps_sysctls(situation):
        return (dialect.lines_into("/etc/sysctl.d/90-tablefull-port-range.conf", line),)
    return (dialect.lines_into("/etc/sysctl.conf", line, append=True),)


def keepalive_or_pooling(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """Few long connections instead of many short ones."""
    return compose(
        "keepalive-or-pooling",
        situation,
        answers,
        title="Use one connection for many requests",
        commands=(
            "ss -tan | awk 'NR > 1 {print $1}' | sort | uniq -c | sort -rn",
            (
                "# nginx in front of a server: 'keepalive 64;' in upstream, 'proxy_http_version 1.1;' and "
                "'proxy_set_header Connection \"\";' in location"
            ),
            (
                "# haproxy: 'option http-keep-alive' and 'http-reuse safe'; Apache: 'KeepAlive On'; PHP, Python and "
                "Java clients: a connection pool"
            ),
            (
                "# where the programs hold idle connections open: sysctl -w net.ipv4.tcp_keepalive_time=600 (for "
                "sockets with SO_KEEPALIVE)"
            ),
        ),
        undo=("# take the line out of the program's configuration again and reload it",),
        persist=("# the program's configuration lasts; the sysctl belongs into a file of /etc/sysctl.d",),
        verify=(dialect.count_command(situation), "ss -s"),
        risk="Nobody loses a connection. The servers hold more idle connections: their own limits (workers, file "
        "descriptors) must allow it. A pool must throw away connections that the other side has closed, or requests "
        "fail now and then.",
        scope="other",
        why="each short connection leaves an entry for two minutes after its end (TIME_WAIT): at 1000 a second that "
        "is 120000 entries",
    )


def move_off_nat(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """Reach the busy service without translation."""
    cloud = {
        "aws": "aws ec2 create-vpc-endpoint --vpc-id VPC --service-name com.amazonaws.REGION.s3 --route-table-ids "
        "TABLE",
        "azure": "az network vnet subnet update --resource-group GROUP --vnet-name VNET --name SUBNET "
        "--service-endpoints Microsoft.Storage",
        "gcp": "gcloud compute networks subnets update SUBNET --region REGION --enable-private-ip-google-access",
    }.get(
        (situation.cloud or "").lower(),
        "# give the busy hosts public addresses or IPv6, or route to the service's network without translating it",
    )
    return compose(
        "move-off-nat",
        situation,
        answers,
        title="Reach the busy service without translation",
        commands=(dialect.talkers(situation), cloud),
        undo=("# delete the endpoint, route or address again: traffic then goes through the gateway as before",),
        persist=("# routes and endpoints stay; write them into the network's definition",),
        verify=(dialect.count_command(situation), dialect.talkers(situation)),
        risk="Connections open at the moment of the change break. Hosts with addresses of their own can be reached "
        "from outside: filter first.",
        scope="other",
        why="what is not translated need not be tracked by the gateway",
    )


def fix_application(situation: Situation, answers: tuple[str, ...]) -> Plan:
    """Find the program behind the entries."""
    return compose(
        "fix-application",
        situation,
        answers,
        title="Find the program that opens connections without end, and stop it",
        commands=(
            dialect.talkers(situation),
            "ss -tanp | awk 'NR > 1 {print $1, $NF}' | sort | uniq -c | sort -rn | head -20",
            "ss -uanp | head -20",
            (
                "# restart or stop that program, then mend its loop: back off after an error, close what is "
                "finished, reuse connections"
            ),
        ),
        undo=("# start the program again as it was",),
        persist=(
            (
                "# the program's own repair; a limit of its file descriptors (LimitNOFILE in its unit) bounds the "
                "next leak"
            ),
        ),
        verify=(dialect.count_command(situation), "ss -s"),
        risk="The users of that program, for the time of its restart. Its old entries stay until they expire.",
        scope="other",
        why="one program or pair of addresses owns most entries, so any limit fills; netns and containers hide it: "
        "look in each with ip netns exec or nsenter",
    )
