"""The incident and a hostile paste, as text."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
XEN = ROOT / "examples" / "xen-dom0.txt"

HOSTILE = (
    "On web<script>alert(1)</script>1 we see ``` and \x1b]0;owned\x07\x1b[2J\x1b[31m and \u202eevil\u202c\n"
    "[  100.000001] net_ratelimit: 321 callbacks suppressed\n"
    "[  100.000002] nf_conntrack: table full, dropping packet. <img src=x onerror=alert(1)> [red]b[/red] \x1b[5m\n"
    "[  100.000003] nf_conntrack: table full, dropping packet. ``` # heading | cell | @everyone \x9b31m\n"
    "$ cat /proc/sys/net/netfilter/nf_conntrack_max\n"
    "65536\n"
    "$ cat /proc/sys/net/netfilter/nf_conntrack_count\n"
    "65536\n"
)
