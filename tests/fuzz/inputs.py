"""Inputs for the fuzz tests and the long campaign: pieces of every format, mixed and mutilated; one seed, one input."""

import random
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

LINES = r"""
[11458852.811075] nf_conntrack: table full, dropping packet.
[Mon Nov 23 10:00:00 2026] nf_conntrack: nf_conntrack: table full, dropping packet
<4>1 2026-11-23T10:00:00.000+01:00 web1 kernel - - - nf_conntrack: table full, dropping packet
2026-11-23T10:00:00.123456789Z stdout F nf_conntrack: table full in netns 4026532000, dropping packet
Nov 23 10:00:00 web1 kernel: [11458852.811075] net_ratelimit: 321 callbacks suppressed
Nov 23 10:00:05 web2 last message repeated 12 times
Nov 23 10:00:06 web1 kernel: message repeated 3 times: [ nf_conntrack: table full, dropping packet]
{"MESSAGE":"nf_conntrack: table full, dropping packet","_HOSTNAME":"web1","__REALTIME_TIMESTAMP":"1700000000123456"}
{"MESSAGE":[110,102,95,99,111,110,110,116,114,97,99,107,58,32,116,97,98,108,101,32,102,117,108,108],"_HOSTNAME":"web1"}
Fri Dec 16 10:09:21 2022 kern.warn kernel: [36572.424531] nf_conntrack: expectation table full
kern  :warn  : [   12.811075] TCP: too many orphaned sockets
[  +0.000005] neighbour: arp_cache: neighbor table overflow!
ip_conntrack: maximum limit of 16384 entries exceeded
nf_conntrack: VPS 1042 table full, dropping packet
nf_conntrack version 0.5.0 (16384 buckets, 65536 max)
     37 nf_conntrack: table full, dropping packet
/var/log/messages-20261123:99:Nov 23 10:00:00 web1 kernel: nf_conntrack: falling back to vmalloc.
net.netfilter.nf_conntrack_max = 262144
net.netfilter.nf_conntrack_tcp_timeout_established = 432000
/proc/sys/net/netfilter/nf_conntrack_count:262144
==> /proc/sys/net/netfilter/nf_conntrack_max <==
262144
-1
99999999999999999999
# /etc/sysctl.d/nf.conf
options nf_conntrack hashsize=32768
$ cat /proc/sys/net/netfilter/nf_conntrack_{count,max}
root@web1:~# sysctl -w net.netfilter.nf_conntrack_max=524288
$ ssh root@web2 'cat /proc/sys/net/netfilter/nf_conntrack_max'
# echo 32768 > /sys/module/nf_conntrack/parameters/hashsize
sysctl: setting key "net.netfilter.nf_conntrack_max": Read-only file system
iptables on Dom0:
iptables on one of the DomUs:
=== web-3 ===
The server is under about 10M hits / day load, 1300 qps, 60k connections (151335/262144), 96-core.
We changed net.netfilter.nf_conntrack_tcp_timeout_close_wait from 60 to 3600; established timeout is 5 day
$ uname -a
Linux MYHOST 3.2.0-24-generic #37-Ubuntu SMP Wed Apr 25 08:43:22 UTC 2012 x86_64 x86_64 x86_64 GNU/Linux
Linux version 5.15.0-91-generic (buildd@lcy02) (gcc (Ubuntu 11.4.0) 11.4.0) #101-Ubuntu SMP
Description:    Ubuntu 12.04 LTS
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
VERSION_ID="12"
tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=43000 dport=80 src=10.0.0.2 dst=10.0.0.1 sport=80 dport=43000 [ASSURED] mark=0 use=1
ipv4     2 udp      17 29 src=10.0.0.1 dst=10.0.0.2 sport=5353 dport=53 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=53 dport=5353 mark=0 use=2
 [NEW] tcp      6 120 SYN_SENT src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1
conntrack v1.4.6 (conntrack-tools): 3 flow entries have been shown.
cpu=0   found=0 invalid=137 insert=0 insert_failed=139 drop=7 early_drop=7 error=0 search_restart=8 clash_resolve=1
entries  searched found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error expect_new
000004d2  00000001 00000002 00000003 00000004 00000005 00000006 00000007 00000008 00000009 0000000a 0000000b 0000000c
<conntrack><flow><meta direction="original"><layer3 protonum="2" protoname="ipv4"><src>10.0.0.1</src></layer3></meta></flow></conntrack>
Chain PREROUTING (policy ACCEPT 23155 packets, 1390K bytes)
 pkts bytes target     prot opt in     out     source               destination
  12   720 MASQUERADE  all  --  any    eth0    10.0.0.0/8           anywhere             random-fully
-A POSTROUTING -s 10.0.0.0/8 -o eth0 -j MASQUERADE
[12:720] -A PREROUTING -p udp -m udp --dport 53 -j CT --notrack
*nat
:PREROUTING ACCEPT [23155:1390000]
COMMIT
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
	}
{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": "ip", "name": "nat", "handle": 1}}]}
create blocked hash:ip family inet hashsize 1024 maxelem 65536
Name: blocked
bridge name	bridge id		STP enabled	interfaces
xenbr0		8000.001e67000000	no		eth0
        NS TYPE NPROCS   PID USER COMMAND
Module                  Size  Used by
nf_conntrack          172032  6 xt_conntrack,nf_nat,xt_nat
nf_conntrack 172032 6 xt_conntrack,nf_nat, Live 0xffffffffc0a00000
filename:       /lib/modules/5.15.0/kernel/net/netfilter/nf_conntrack.ko
Mem:       8174456    7971212     203244          0     286484    6543208
MemTotal:        1026312 kB
nf_conntrack        34543  34576    320   12    1 : tunables    0    0    0 : slabdata   2882   2882      0
Total: 1663 (kernel 1689)
TCP:   1655 (estab 1556, closed 39, orphaned 40, synrecv 0, timewait 39/0), ports 0
  12345 ESTABLISHED
TcpExt:
    23450 TCP sockets finished time wait in fast timer
    5 times the listen queue of a socket overflowed
NIC statistics:
     conntrack_allowance_exceeded: 1234
xx drop (CT: Map insertion failed) flow 0x0 to endpoint 0, identity 2->0: 10.0.0.1:80 -> 10.0.0.2:443
TCP OUT 10.0.0.1:43000 -> 10.0.0.2:80 expires=12345 RxPackets=1 RxBytes=60 RxFlagsSeen=0x02
level=warning msg="CT map full" subsys=ct
I0823 17:40:52.912090       1 conntrack.go:59] "Setting nf_conntrack_max" nfConntrackMax=786432
--conntrack-max-per-core=32768 --conntrack-min=131072
maxPerCore: 32768
  Container Runtime Version:  containerd://1.7.2
Virtualization: lxc
	net.bridge.bridge-nf-call-iptables = 1
> &gt; [31mnf_conntrack[m: table full, dropping<br>
packet.
日志：nf_conntrack：table full，dropping packet。 nf_conntrack_max为655360
```
| net.netfilter.nf_conntrack_max | 65,536 |
- name: net.netfilter.nf_conntrack_max
  value: "262144"
""".strip("\n").split("\n")

PIECES = (
    "\x1b[31m", "\r", "\x00", "\ufeff", "\u200b", "&amp;lt;", "<br>", "\t", "  ", "\\", '"', "'", "{", "}", "[", "]", "(", ")", "=",
    ":", "|", "/", "-", ">", "<", "#", "$", "%", "@", "²", "٣", "１２", "é", "\ud7ff", "0", "-1", "1e9", "99999999999999999999999",
    "NaN", "4294967296", "0x", "net.", "conntrack", "table full", "suppressed", "kernel:", "timeout", "udp", "Chain ", "src=", "ssh ",
    "/proc/sys/", "cpu=", "1970-13-99T99:99:99Z", "Feb 30 25:61:61", "[99999999999999.9]", "10.0.0.1", "::1", "5.15.0-", "10M hits / day",
)  # fmt: skip
ENCODINGS = ("utf-8", "latin-1")
LONG = 2000  # one input in this many repeats a piece to some ten thousand characters


@cache
def documents() -> tuple[str, ...]:
    """Whole captures and examples of the project, cut to their first two hundred lines."""
    paths = [
        *sorted((ROOT / "examples").glob("*.txt")),
        *sorted(path for path in (ROOT / "tests/captures").rglob("*") if path.is_file()),
    ]
    return tuple("\n".join(path.read_text("utf-8", "replace").splitlines()[:200]) for path in paths)


def _line(chance: random.Random) -> str:
    if chance.random() < 0.8:
        return chance.choice(LINES)
    lines = chance.choice(documents()).split("\n")
    at = chance.randrange(len(lines))
    return "\n".join(lines[at : at + chance.randrange(1, 6)])


def _mutated(text: str, chance: random.Random) -> str:
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(text) + 1)
        to = min(len(text), at + chance.randrange(1, 30))
        match chance.randrange(7):
            case 0:
                text = text[:at] + text[to:]
            case 1:
                text = text[:to] + text[at:]
            case 2:
                text = text[:at] + chance.choice(PIECES) + text[at:]
            case 3:
                text = text[:at] + chance.choice(PIECES) + text[to:]
            case 4:
                middle = list(text[at:to])
                chance.shuffle(middle)
                text = text[:at] + "".join(middle) + text[to:]
            case 5:
                text = text[:at]
            case _:
                text = (
                    text[:at] + chr(chance.choice((chance.randrange(128), chance.randrange(0x3000)))) + text[at + 1 :]
                )
    return text


def made(seed: int) -> str:
    """The input of one seed: always the same text."""
    chance = random.Random(seed)
    if seed % LONG == 0:
        piece = chance.choice((*PIECES, *LINES, "a", "1", " ", "1.", "a ", "a-", "a/"))
        return _mutated(piece * (chance.randrange(1_000, 40_000) // len(piece)), chance)
    if chance.random() < 0.05:
        return chance.randbytes(chance.randrange(200)).decode(chance.choice(ENCODINGS), "replace")
    lines = [_line(chance) for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5)))]
    return _mutated("\n".join(lines), chance)
