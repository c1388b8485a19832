"""Hosts as trees of files, as the kernels and distributions of each era lay them out, and the programs' answers there.

Layouts: /proc/modules and /sys/module of 3.2 and 2.6.32 as printed in reports of that time; /proc/sys/net by
docs/kernel; service files by the packages ufw, iptables-services, iptables-persistent, iptables (Alpine).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tablefull.facts.origin import Hole
from tablefull.fixes.live_host import LiveHost, Sample
from tablefull.live.programs import Ran

HOSTILE = "$(reboot);`id`|x&y\n-j DROP"

_TIMEOUTS = {
    "generic_timeout": 600, "icmp_timeout": 30, "tcp_timeout_close": 10, "tcp_timeout_close_wait": 60,
    "tcp_timeout_established": 432000, "tcp_timeout_fin_wait": 120, "tcp_timeout_last_ack": 30,
    "tcp_timeout_syn_recv": 60, "tcp_timeout_syn_sent": 120, "tcp_timeout_time_wait": 120, "tcp_loose": 1,
    "tcp_be_liberal": 0, "udp_timeout": 30, "udp_timeout_stream": 180,
}  # fmt: skip


def _tracker(maximum: int, buckets: int, count: int, *, stem: str = "net/netfilter/nf_conntrack") -> dict[str, str]:
    found = {f"proc/sys/{stem}_{name}": f"{value}\n" for name, value in _TIMEOUTS.items()}
    return found | {
        f"proc/sys/{stem}_max": f"{maximum}\n",
        f"proc/sys/{stem}_buckets": f"{buckets}\n",
        f"proc/sys/{stem}_count": f"{count}\n",
    }


def _modules(*rows: tuple[str, int, str]) -> dict[str, str]:
    """``(name, references, holders by comma)`` as /proc/modules and /sys/module show them."""
    found = {
        "proc/modules": "".join(
            f"{name} 16384 {count} {holders + ',' if holders else '-'} Live 0x0000000000000000\n"
            for name, count, holders in rows
        )
    }
    for name, count, holders in rows:
        found[f"sys/module/{name}/refcnt"] = f"{count}\n"
        found[f"sys/module/{name}/initstate"] = "live\n"
        for holder in filter(None, holders.split(",")):
            found[f"sys/module/{name}/holders/{holder}"] = ""
    return found


def _memory(total_kb: int, free_kb: int, *, available_kb: int | None = None) -> dict[str, str]:
    told = f"MemTotal: {total_kb} kB\nMemFree: {free_kb} kB\n"
    if available_kb is not None:
        told += f"MemAvailable: {available_kb} kB\n"
    return {"proc/meminfo": told + "Buffers: 1024 kB\nCached: 2048 kB\n"}


def _programs(*paths: str) -> dict[str, str]:
    return dict.fromkeys(paths, "#!program\n")


# Tracking that only listing the nat table has loaded, on a Xen host that bridges.
NAT_LISTED = _modules(
    ("iptable_nat", 0, ""),
    ("nf_nat", 1, "iptable_nat"),
    ("nf_conntrack_ipv4", 3, "iptable_nat,nf_nat"),
    ("nf_conntrack", 3, "iptable_nat,nf_nat,nf_conntrack_ipv4"),
    ("nf_defrag_ipv4", 1, "nf_conntrack_ipv4"),
    ("iptable_filter", 0, ""),
    ("ip_tables", 2, "iptable_nat,iptable_filter"),
    ("x_tables", 3, "iptable_nat,iptable_filter,ip_tables"),
    ("bridge", 0, ""),
)

TREES: dict[str, dict[str, str]] = {
    "ubuntu-12.04": {
        "proc/sys/kernel/osrelease": "3.2.0-24-generic\n",
        "proc/version": "Linux version 3.2.0-24-generic (buildd@crested) #37-Ubuntu SMP\n",
        "etc/os-release": 'NAME="Ubuntu"\nVERSION="12.04 LTS, Precise Pangolin"\nID=ubuntu\nVERSION_ID="12.04"\n',
        "etc/init/rc-sysinit.conf": "start on filesystem\n",
        "sbin/initctl": "",
        "etc/init.d/x": "",
        "etc/ufw/ufw.conf": "ENABLED=no\nLOGLEVEL=low\n",
        "proc/net/ip_tables_names": "nat\nfilter\n",
        "proc/net/if_inet6": "00000000000000000000000000000001 01 80 10 80 lo\n",
        "proc/net/ip6_tables_names": "",
        "proc/sys/net/bridge/bridge-nf-call-iptables": "1\n",
        "proc/sys/net/bridge/bridge-nf-call-ip6tables": "1\n",
        "proc/sys/net/bridge/bridge-nf-call-arptables": "1\n",
        "proc/sys/net/ipv4/ip_forward": "0\n",
        "proc/sys/net/ipv4/tcp_syncookies": "0\n",
        "sys/module/nf_conntrack/parameters/hashsize": "65536\n",
        **_tracker(1548576, 65536, 1548576),
        **NAT_LISTED,
        **_memory(33554432, 20971520),
        **_programs("sbin/iptables", "sbin/ip6tables", "sbin/iptables-restore", "sbin/ip6tables-restore"),
    },
    "rhel-6": {
        "proc/sys/kernel/osrelease": "2.6.32-642.6.2.el6.x86_64\n",
        "etc/redhat-release": "CentOS release 6.8 (Final)\n",
        "etc/rc.d/init.d/iptables": "",
        "etc/init.d/iptables": "",
        "etc/rc.d/rc3.d/S08iptables": "",
        "etc/rc.d/rc3.d/S08ip6tables": "",
        "var/lock/subsys/iptables": "",
        "var/lock/subsys/ip6tables": "",
        "etc/sysconfig/iptables": "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n",
        "etc/sysconfig/iptables-config": 'IPTABLES_MODULES="nf_conntrack_ftp"\nIPTABLES_MODULES_UNLOAD="yes"\n',
        "proc/net/ip_tables_names": "filter\n",
        "proc/net/ip6_tables_names": "filter\n",
        "proc/net/if_inet6": "00000000000000000000000000000001 01 80 10 80 lo\n",
        "proc/sys/net/ipv4/ip_forward": "0\n",
        "proc/sys/net/ipv4/tcp_syncookies": "0\n",
        "sys/module/nf_conntrack/parameters/hashsize": "16384\n",
        **_tracker(65536, 16384, 60000),
        **_modules(
            ("nf_conntrack_ftp", 0, ""),
            ("nf_conntrack_ipv4", 1, ""),
            ("nf_conntrack", 2, "nf_conntrack_ftp,nf_conntrack_ipv4"),
            ("nf_defrag_ipv4", 1, "nf_conntrack_ipv4"),
            ("iptable_filter", 1, ""),
            ("ip_tables", 1, "iptable_filter"),
        ),
        **_memory(4194304, 3145728),
        **_programs("sbin/iptables", "sbin/ip6tables", "sbin/iptables-restore", "sbin/ip6tables-restore"),
    },
    "debian-12": {
        "proc/sys/kernel/osrelease": "6.1.0-18-amd64\n",
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
        "run/systemd/system/x": "",
        "usr/lib/systemd/system/nftables.service": "",
        "etc/systemd/system/sysinit.target.wants/nftables.service": "",
        "etc/nftables.conf": "flush ruleset\n",
        "proc/net/if_inet6": "00000000000000000000000000000001 01 80 10 80 lo\n",
        "proc/sys/net/ipv4/ip_forward": "0\n",
        "proc/sys/net/ipv4/tcp_syncookies": "1\n",
        "proc/sys/net/ipv4/tcp_timestamps": "1\n",
        "proc/sys/net/ipv4/tcp_rmem": "4096\t131072\t6291456\n",
        "proc/sys/net/netfilter/nf_conntrack_expect_max": "4096\n",
        "proc/net/route": "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n",
        "sys/class/net/eth0/mtu": "1500\n",
        "sys/module/nf_conntrack/parameters/hashsize": "262144\n",
        **_tracker(262144, 262144, 200000),
        **_modules(
            ("nft_ct", 2, ""),
            ("nf_conntrack", 1, "nft_ct"),
            ("nf_defrag_ipv4", 1, "nf_conntrack"),
            ("nf_defrag_ipv6", 1, "nf_conntrack"),
            ("nf_tables", 20, "nft_ct"),
        ),
        **_memory(16777216, 1048576, available_kb=12582912),
        **_programs("usr/sbin/nft"),
    },
    "alpine": {
        "proc/sys/kernel/osrelease": "6.6.14-0-lts\n",
        "etc/os-release": 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.17.2\n',
        "etc/alpine-release": "3.17.2\n",
        "lib/modules/6.6.14-0-lts/modules.builtin": "kernel/fs/ext4/ext4.ko\n",
        "run/openrc/started/iptables": "",
        "etc/runlevels/default/iptables": "",
        "sbin/openrc": "",
        "etc/iptables/rules-save": "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n",
        "proc/net/ip_tables_names": "filter\nraw\n",
        "proc/net/ip6_tables_names": "",
        "proc/sys/net/ipv4/ip_forward": "1\n",
        "sys/module/nf_conntrack/parameters/hashsize": "65536\n",
        **_tracker(65536, 65536, 65000),
        **_modules(
            ("xt_conntrack", 0, ""),
            ("nf_conntrack", 1, "xt_conntrack"),
            ("nf_defrag_ipv4", 1, "nf_conntrack"),
            ("iptable_raw", 0, ""),
            ("iptable_filter", 0, ""),
        ),
        **_memory(1048576, 262144, available_kb=524288),
        **_programs("sbin/iptables", "sbin/ip6tables", "sbin/iptables-restore", "sbin/ip6tables-restore"),
    },
    "el5": {
        "proc/sys/kernel/osrelease": "2.6.18-194.el5\n",
        "etc/redhat-release": "CentOS release 5.5 (Final)\n",
        "etc/rc.d/init.d/iptables": "",
        "proc/net/ip_tables_names": "filter\n",
        "sys/module/ip_conntrack/parameters/hashsize": "8192\n",
        "proc/sys/net/ipv4/ip_conntrack_max": "65536\n",
        **_tracker(65536, 8192, 60000, stem="net/ipv4/netfilter/ip_conntrack"),
        **_modules(("ip_conntrack", 0, "")),
        **_memory(2097152, 1048576),
        **_programs("sbin/iptables", "sbin/iptables-restore"),
    },
}


class Answers:
    """What programs that only look would print; every other one is not installed."""

    def __init__(self, printed: Mapping[str, str]) -> None:
        self.printed = printed
        self.asked: list[str] = []

    def __call__(self, argv: Sequence[str], *, timeout_s: float, most_lines: int | None = None) -> Ran | Hole:
        line = " ".join(argv)
        self.asked.append(line)
        if line in self.printed:
            return Ran(self.printed[line].encode(), 0)
        return Hole(line, f"the program {argv[0]} is not installed", "")


def plant(root: Path, files: Mapping[str, str | None]) -> Path:
    """The files below ``root``; None takes one away."""
    for name, content in files.items():
        path = root / name
        if content is None:
            path.unlink(missing_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def host(
    root: Path,
    name: str,
    *,
    files: Mapping[str, str | None] | None = None,
    rules: Mapping[str, str] | None = None,
    nft: str | None = None,
    hostname: str = "web01",
    sample: Sample | None = None,
) -> LiveHost:
    """This host: ``rules`` are saved tables by ``ip filter``, ``nft`` what ``nft list ruleset`` prints.

    A table that is there and has no rules given is printed empty.
    """
    tree: dict[str, str | None] = {**TREES[name], "proc/sys/kernel/hostname": f"{hostname}\n", **(files or {})}
    plant(root, tree)
    printed: dict[str, str] = {}
    for family, tool in (("ip", "iptables"), ("ip6", "ip6tables")):
        for table in (tree.get(f"proc/net/{family}_tables_names") or "").split():
            text = (rules or {}).get(f"{family} {table}", _EMPTY[table])
            printed[f"{tool}-legacy-save -c -t {table}"] = (
                f"# Generated by {tool}-save v1.4.7\n*{table}\n{text}COMMIT\n"
            )
    if nft is not None:
        printed["nft -t list ruleset"] = nft
    elif "nf_tables" in (tree.get("proc/modules") or ""):
        printed["nft -t list ruleset"] = "table inet empty {\n}\n"
    return LiveHost(root, run=Answers(printed), sample=sample)


def _chains(*names: str) -> str:
    return "".join(f":{name} ACCEPT [0:0]\n" for name in names)


_EMPTY = {
    "filter": _chains("INPUT", "FORWARD", "OUTPUT"),
    "nat": _chains("PREROUTING", "POSTROUTING", "OUTPUT"),
    "raw": _chains("PREROUTING", "OUTPUT"),
    "mangle": _chains("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
}
FILTER, NAT = _EMPTY["filter"], _EMPTY["nat"]
