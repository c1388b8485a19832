"""Which parser may begin at a line: cheap substrings, so that a parser is imported only when its format appears.

A row is tried where one of ``hints`` stands in the line, or where one of ``commands`` stands in the command or the
path that printed it. Earlier rows win. A hint is a prefilter, not a proof: the parser itself decides.
"""

from typing import NamedTuple


class Row(NamedTuple):
    """``module`` is a file of this folder with a function ``read``."""

    module: str
    hints: tuple[str, ...]
    commands: tuple[str, ...] = ()


ROWS: tuple[Row, ...] = (
    # the kernel's log
    Row(
        "kernel_log",
        (
            "conntrack:",
            "table full",
            "suppressed",
            "overflow",
            "flooding",
            "orphaned",
            "memory",
            "allocation",
            "martian",
            "nf_ct_",
            "bad checksum",
            "filtering via",
            "maximum limit of",
            "conntrack version",
            "falling back to vmalloc",
            "helper assignment",
            "arp_cache",
            "oom-killer",
            '"MESSAGE"',
        ),
    ),
    # the table and its counters
    Row("conntrack_xml", ("<conntrack", "<flow")),
    Row("conntrack_stat", ("entries  searched", "entries  clashres", "entries searched", "entries clashres")),
    Row(
        "conntrack_counters",
        ("cpu=", "insert_failed=", "entries   ", " /proc/net/nf_conntrack", " /proc/net/ip_conntrack"),
        ("conntrack -C", "conntrack --count", "conntrack -S", "wc -l"),
    ),
    Row("conntrack_entries", ("src=", "flow entries have been shown", "tcp      6 ", "udp      17 ")),
    # firewalls, sets, bridges, namespaces
    Row(
        "iptables_save",
        ("*nat", "*filter", "*raw", "*mangle", "-A ", "-I ", "-P ", "-N ", "tables-save", "tables-legacy tables"),
    ),
    Row("iptables_list", ("Chain ", "Bridge chain", "Bridge table")),
    Row("nft_json", ('"nftables"',)),
    Row("nft_text", ("table ip", "table inet", "table bridge", "table arp", "table netdev", "nft add", "nft insert")),
    Row("ipset", ("Name: ", "create ", "ipset v"), ("ipset",)),
    Row("bridge", ("bridge name", "master ", "bridge_slave"), ("brctl", "bridge link", "type bridge")),
    Row("netns", (" TYPE NPROCS",), ("ip netns", "lsns")),
    # the machine
    Row(
        "module_list",
        (
            "Module  ",
            "Module Size",
            "_conntrack ",
            "_conntrack\t",
            "_conntrack_ipv",
            "_conntrack_netlink",
            "nf_nat",
            "ip_nat",
            "br_netfilter",
            "Live 0x",
        ),
        ("lsmod", "/proc/modules"),
    ),
    Row("modinfo", ("filename: ", "vermagic:"), ("modinfo",)),
    Row(
        "uname",
        ("Linux version ", "GNU/Linux", " SMP", " #", "Kernel: ", "Kernel Version", "kernelVersion", "Kernel Release"),
        ("uname", "/proc/version", "osrelease"),
    ),
    Row(
        "distribution",
        (
            "Distributor ID",
            "Description:",
            "PRETTY_NAME",
            "ID=",
            " release ",
            "NAME=",
            "Codename:",
            "DISTRIB_",
            "Operating System",
            "OS Image",
            "osImage",
            "No LSB",
            " LTS",
        ),
        ("os-release", "lsb_release", "-release", "/etc/issue", "debian_version", "openwrt_version"),
    ),
    Row(
        "memory",
        ("Mem:", "Mem :", "MemTotal", "MemFree", "MemAvailable", "total  ", "Speicher:", "Total Memory"),
        ("free", "/proc/meminfo"),
    ),
    Row("uptime", (), ("/proc/uptime",)),
    Row(
        "slab",
        ("_conntrack ", "_conntrack_expect", "_conntrack_f", "slabinfo - version", "OBJS ACTIVE", "Active / Total"),
        ("slabinfo", "slabtop", "vmstat -m"),
    ),
    Row(
        "sockets",
        (
            "TCP:",
            "Total: ",
            "ESTAB",
            "_WAIT",
            "-WAIT",
            "SYN_",
            "SYN-",
            "LAST_ACK",
            "LISTEN",
            "Recv-Q",
            "sockets: used",
            "UNREPLIED",
        ),
        ("ss ", "netstat", "sockstat"),
    ),
    Row(
        "protocol_counters",
        ("Tcp:", "TcpExt", "Ip:", "Udp:", "IpExt:", "#kernel", "listen queue of", "LISTEN sockets"),
        ("netstat -s", "nstat", "/proc/net/snmp", "/proc/net/netstat"),
    ),
    Row("ethtool", ("NIC statistics", "_allowance_"), ("ethtool",)),
    Row(
        "cilium",
        (
            "CT: ",
            "cilium_",
            "Cilium:",
            "CiliumAgent",
            "subsys=",
            "bpf-ct-",
            "BPF Maps",
            "NAT masquerade",
            "KubeProxyReplacement",
            "xx drop",
            "TCP OUT ",
            "TCP IN ",
            "UDP OUT ",
            "conntrack-gc-interval",
        ),
        ("cilium", "hubble"),
    ),
    Row(
        "kube_proxy",
        (
            "--conntrack-",
            "conntrack:",
            "conntrack.go",
            "maxPerCore",
            "tcpEstablishedTimeout",
            "tcpCloseWaitTimeout",
            "kube-proxy --",
            "parameters/hashsize:",
            "et sysctl ",
            "Setting nf_conntrack_max",
            "conntrack hashsize",
            "ProxyServer",
            "sysfs is",
            "_conntrack_max: ",
        ),
        ("kube-proxy",),
    ),
    Row(
        "containers",
        (
            "ocker version",
            "Docker Engine",
            "erver Version:",
            "ontainer Runtime Version",
            "ontainerRuntimeVersion",
            "Kubelet Version",
            "containerd://",
            "docker://",
            "cri-o://",
            "containerd ",
            "podman version",
            "RuntimeName",
            "RuntimeVersion",
            "bridge-nf-call-",
            "container=",
            "security.nesting",
            "linux.kernel_modules",
            "Virtualization:",
            "Containers: ",
        ),
        ("docker ", "podman ", "containerd", "crictl", "detect-virt"),
    ),
    # last, because its lines are the least distinctive
    Row(
        "sysctl",
        ("=", ":", "| ", "net.netfilter.", "net.ipv4.", "/proc/sys/"),
        ("sysctl", "/proc/sys/", "/sys/module/", "cat ", "echo "),
    ),
)
