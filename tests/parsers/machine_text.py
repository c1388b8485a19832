"""How these tests hand text to a parser, and the text they try to break it with."""

import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st

from tablefull.facts.origin import Fact
from tablefull.parsers.block import Context, Line, Read

CAPTURE = Path(__file__).parents[1] / "captures" / "debian-12-machine"
Parser = Callable[..., Read | None]

_PIECES = st.sampled_from(
    "Module Size Used by|nf_conntrack 139264 5 xt_conntrack,|Mem: 1 2 3 4 5 6|MemTotal: 12 kB|Linux x 5.4 #1|Linux version 5.4 (|"
    "Kernel: 5.4|ID=|NAME=|Release:|Distributor ID:|slabinfo - version: 2.1|ip_conntrack 1 2 3 4 5 6|TCP:  1 (estab 1|Total: 1|Tcp:|"
    "TcpExt:|TcpExt: a b|TcpExt: 1 2|12 TIME_WAIT|tcp 0 0 a b LISTEN|ESTAB 0 0 a b|NIC statistics:|conntrack_allowance_exceeded: 1|"
    "BPF Maps: x|TCP OUT a -> b|CT: Map insertion failed|conntrack:|min: 1|--conntrack-min=1|Client:|Version: 1.2|docker://1.2|"
    "filename: /x.ko|vermagic: 5.4|1 state|²|9999999999999999999999999999|…|\t|:|=|,|(|[".split("|")
)
LINES = st.lists(
    st.one_of(st.text(max_size=60), st.lists(st.one_of(_PIECES, st.text(max_size=6)), max_size=4).map(" ".join)),
    min_size=1,
    max_size=12,
)
COMMANDS = st.sampled_from(
    (
        None,
        "lsmod",
        "free -m",
        "free",
        "uname -r",
        "cat /proc/slabinfo",
        "netstat -ant",
        "ss -s",
        "nstat",
        "ethtool -S eth0",
        "docker version",
        "cilium status",
        "modinfo nf_nat",
        "modinfo",
        "lsb_release -a",
        "cat /etc/os-release",
        "kube-proxy",
        "systemd-detect-virt",
    )
)


def lines_of(text: str) -> list[Line]:
    return [Line(number, line, line) for number, line in enumerate(text.splitlines(), 1)]


def facts_of(read: Parser, text: str, command: str | None = None, path: str | None = None) -> list[Fact]:
    """The facts of a text that has to be one block from its first line to its last."""
    lines = lines_of(text)
    answer = read(lines, 0, Context("-", command, path))
    assert answer is not None, text
    assert answer.used == len(lines), (answer.used, len(lines))
    return answer.facts


def line_of(text: str) -> Line:
    return Line(1, text, text)


def holds_for(read: Parser, texts: list[str], command: str | None) -> None:
    """The contract: an answer that uses at least one line and no more than there are, or None, whatever the text."""
    lines = [Line(number, text, text) for number, text in enumerate(texts, 1)]
    for at in range(len(lines)):
        answer = read(lines, at, Context("-", command))
        if answer is not None:
            assert 1 <= answer.used <= len(lines) - at
            assert all(fact.origin.line >= at + 1 for fact in answer.facts)


ADVERSARIAL = (
    "a" * 200_000,
    "1 " * 100_000,
    "nf_conntrack " * 20_000,
    "kernel " * 30_000,
    "Linux 5." * 25_000,
    "Ubuntu " * 30_000,
    "1 GB a a " * 20_000,
    'level= subsys= msg="' + "\\" * 100_000,
    "--conntrack-min " * 10_000,
    "cilium_" * 30_000,
    "TCP:  1 (" + "estab 1, " * 20_000,
    "conntrack_allowance_exceeded" * 8_000,
    "1h" * 100_000,
    "Default: " * 20_000 + "--conntrack-min int32",
)
REPEATED = (
    "1 state",
    "No LSB modules are available.",
    "NAME=x",
    "Tcp: a",
    "ESTAB 0 0 a b",
    "Mem:",
    "MemFree: 1 kB",
    "conntrack:",
    "x 1 2 3 4 5",
    "Client:",
    "nf_conntrack 139264 5 a,",
    "Active / Total",
    "min: 1",
    "BPF Maps: x",
    "Total: 1",
    "TCP OUT a",
    "1 2 3",
    "7",
)


def is_linear(read: Parser) -> None:
    """One long line, and ten thousand lines that each look like a beginning, are read in well under a second a text."""
    for text in ADVERSARIAL:
        start = time.thread_time()
        read([line_of(text)], 0, Context("-"))
        assert time.thread_time() - start < 1.0, text[:40]
    for text in REPEATED:
        lines = [Line(number, text, text) for number in range(1, 5001)]
        start = time.thread_time()
        at = 0
        while at < len(lines):
            answer = read(lines, at, Context("-"))
            at += answer.used if answer else 1
        assert time.thread_time() - start < 2.0, text
