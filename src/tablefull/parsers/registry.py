"""Which parser may begin at a line: cheap substrings, so that a parser's module is imported only when its format appears.

A row is tried where one of ``hints`` stands in the line, or where one of ``commands`` stands in the command or the path that
printed it. Earlier rows win. A hint is a prefilter, not a proof: the parser itself decides.
"""

from typing import NamedTuple


class Row(NamedTuple):
    """``module`` is a file of this folder with a function ``read``."""

    module: str
    hints: tuple[str, ...]
    commands: tuple[str, ...] = ()


ROWS: tuple[Row, ...] = (
    # the kernel's log
    Row("kernel_log", ("conntrack: ", "suppressed", "overflow", "flooding", "orphaned", "memory", "allocation", "martian")),
    # the table and its counters
    Row("conntrack_xml", ("<conntrack", "<flow")),
    Row("conntrack_stat", ("entries  searched", "entries  clashres", "entries searched", "entries clashres")),
    Row("conntrack_counters", ("cpu=", "insert_failed="), ("conntrack -C", "conntrack --count", "conntrack -S")),
    Row("conntrack_entries", ("src=", "flow entries have been shown")),
    # firewalls, sets, bridges, namespaces
    Row("iptables_save", ("*nat", "*filter", "*raw", "*mangle", "*security", "-A ", "-P ", "-N ")),
    Row("iptables_list", ("Chain ", "Bridge chain")),
    Row("nft_json", ('"nftables"',)),
    Row("nft_text", ("table ip", "table inet", "table bridge", "table arp", "table netdev")),
    Row("ipset", ("Name: ", "create ", "ipset v"), ("ipset",)),
    Row("bridge", ("bridge name", "master ", "bridge_slave"), ("brctl", "bridge link", "ip -d link")),
    Row("netns", (), ("ip netns", "lsns")),
    # the machine
    Row("module_list", ("Module  ", "_conntrack", "nf_nat", "ip_nat", "bridge", "Live 0x"), ("lsmod", "/proc/modules")),
    Row("modinfo", ("filename: ", "vermagic:"), ("modinfo",)),
    Row("uname", ("Linux ", "kernel", "Kernel"), ("uname", "/proc/version")),
    Row("distribution", ("Distributor ID", "Description:", "PRETTY_NAME", "ID=", "release ", "VERSION", "Codename"),
        ("os-release", "lsb_release", "-release", "/etc/issue")),
    Row("memory", ("Mem:", "MemTotal", "total  "), ("free", "/proc/meminfo")),
    Row("slab", ("conntrack", "slabinfo - version", "OBJS ACTIVE"), ("slabinfo", "slabtop")),
    Row("sockets", ("TCP:", "Total:", "ESTAB", "TIME_WAIT", "TIME-WAIT", "CLOSE_WAIT", "SYN_RECV", "Tcp:", "TcpExt:", "Ip:", "Udp:"),
        ("ss ", "netstat")),
    Row("ethtool", ("NIC statistics", "allowance"), ("ethtool",)),
    Row("cilium", ("CT: ", "cilium", "Cilium", "BPF maps"), ("cilium",)),
    Row("kube_proxy", ("conntrack-", "conntrack:", "nf_conntrack", "kube-proxy", "conntrack.go", "maxPerCore", "tcpEstablishedTimeout"),
        ("kube-proxy", "kubectl")),
    Row("containers", ("docker", "Docker", "containerd"), ("docker", "containerd", "crictl")),
    # last, because its lines are the least distinctive
    Row("sysctl", ("=", ":"), ("sysctl", "/proc/sys/", "/sys/module/", "cat ", "echo ")),
)
