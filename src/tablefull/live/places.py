"""Where the facts stand on a Linux machine: which files a collection reads, host by host and namespace by namespace.

The trap: a folder of ``/proc/sys`` may hold files that act when read or written; only names listed here, and only
files of the two folders that hold nothing but tunables, are opened.
"""

# Folders whose every file is a plain tunable, per network namespace.
SYSCTL_FOLDERS = ("proc/sys/net/netfilter", "proc/sys/net/ipv4/netfilter", "proc/sys/net/bridge")
# conntrack's own tunables exist only where it is loaded; the rest tell the look-alikes apart.
SYSCTLS_OF_NAMESPACE = tuple(
    f"proc/sys/net/{name}"
    for name in (
        "nf_conntrack_max ipv4/ip_conntrack_max ipv4/ip_forward ipv6/conf/all/forwarding ipv4/ip_local_port_range "
        "ipv4/ip_local_reserved_ports "
        "ipv4/tcp_fin_timeout ipv4/tcp_tw_reuse ipv4/tcp_tw_recycle ipv4/tcp_max_tw_buckets ipv4/tcp_max_orphans "
        "ipv4/tcp_max_syn_backlog ipv4/tcp_syncookies ipv4/tcp_keepalive_time ipv4/tcp_keepalive_intvl "
        "ipv4/tcp_keepalive_probes ipv4/tcp_mem ipv4/conf/all/rp_filter ipv4/conf/all/log_martians ipv4/vs/conntrack "
        "core/somaxconn ipv4/neigh/default/gc_thresh1 ipv4/neigh/default/gc_thresh2 ipv4/neigh/default/gc_thresh3 "
        "ipv6/neigh/default/gc_thresh1 ipv6/neigh/default/gc_thresh2 ipv6/neigh/default/gc_thresh3"
    ).split()
)
FILES_OF_NAMESPACE = (
    "proc/net/stat/nf_conntrack", "proc/net/stat/ip_conntrack", "proc/net/sockstat", "proc/net/sockstat6",
    "proc/net/netstat",
    "proc/net/snmp", "proc/net/ip_tables_names", "proc/net/ip6_tables_names", "proc/net/dev",
)  # fmt: skip
TABLES = ("proc/net/nf_conntrack", "proc/net/ip_conntrack")

FILES_OF_HOST = (
    "proc/version", "proc/sys/kernel/osrelease", "proc/sys/kernel/hostname", "proc/modules", "proc/meminfo",
    "proc/slabinfo",
    "proc/uptime", "proc/loadavg", "proc/net/softnet_stat", "sys/devices/system/cpu/possible",
    "sys/devices/system/cpu/online",
    "proc/sys/net/core/netdev_max_backlog", "proc/sys/net/core/message_burst", "proc/sys/net/core/message_cost",
    "proc/sys/kernel/printk_ratelimit", "proc/sys/kernel/printk_ratelimit_burst", "proc/sys/kernel/dmesg_restrict",
    "proc/sys/kernel/modules_disabled", "proc/sys/fs/file-max", "proc/sys/fs/file-nr", "proc/sys/kernel/pid_max",
    "etc/os-release", "etc/lsb-release", "etc/redhat-release", "etc/debian_version", "etc/alpine-release",
    "etc/openwrt_release",
)  # fmt: skip
# Files that are there on every machine that can be read at all: their absence is a hole, another's is an answer.
EXPECTED = ("proc/version", "proc/meminfo", "proc/slabinfo", "proc/sys/kernel/osrelease")
MODULE_PARAMETERS = ("sys/module/nf_conntrack/parameters", "sys/module/ip_conntrack/parameters")
# Of these configuration files only the lines that hold one of the words are kept.
CONFIGURATION = (
    (("etc/sysctl.conf", "etc/ufw/sysctl.conf"), ("net.", "net/", "conntrack", "bridge", "kernel.printk")),
    (
        ("etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d", "lib/sysctl.d"),
        ("net.", "net/", "conntrack", "bridge", "kernel.printk"),
    ),
    (
        ("etc/modprobe.conf", "etc/modprobe.d", "run/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d"),
        ("conntrack", "nf_", "xt_", "ip_tables", "iptable_", "nft", "netfilter", "bridge"),
    ),
    (
        ("etc/modules", "etc/modules-load.d", "run/modules-load.d", "usr/lib/modules-load.d"),
        ("conntrack", "nf_", "xt_", "ip_tables", "iptable_", "nft", "netfilter", "bridge"),
    ),
    (("etc/sysconfig/iptables-config", "etc/default/ufw"), ("MODULES", "IPT_", "ENABLED", "FORWARD")),
)
# Of the kernel's command line only words about these are kept: it may hold anything, passwords too.
BOOT_WORDS = ("conntrack", "nf_", "mem=", "hugepage", "isolcpus", "ipv6.", "maxcpus", "nr_cpus", "BOOT_IMAGE")
# Programs whose presence says who sets the limit or fills the table: names of /proc/PID/comm, cut at fifteen
# characters there.
WITNESSES = frozenset(
    "kube-proxy kubelet dockerd containerd cilium-agent calico-node flanneld firewalld ovs-vswitchd libvirtd xenstored "
    "xenconsoled named unbound dnsmasq coredns haproxy nginx squid keepalived crio podman fail2ban-server suricata "
    "conntrackd tor".split()
)
# include/net/tcp_states.h
TCP_STATES = {
    "01": "ESTABLISHED", "02": "SYN_SENT", "03": "SYN_RECV", "04": "FIN_WAIT1", "05": "FIN_WAIT2", "06": "TIME_WAIT",
    "07": "CLOSE", "08": "CLOSE_WAIT", "09": "LAST_ACK", "0A": "LISTEN", "0B": "CLOSING", "0C": "SYN_RECV",
}  # fmt: skip
