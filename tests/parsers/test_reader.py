"""A whole paste into a snapshot: whose is what, what nobody read, and no text that breaks or stops it."""

import time
from pathlib import Path

import pytest

from tablefull.facts.claims import Claim
from tablefull.facts.host import KernelRelease
from tablefull.facts.kernel_log import LogLine
from tablefull.facts.ruleset import FwChain
from tablefull.facts.settings import Setting
from tablefull.parsers.block import Context, Line
from tablefull.parsers.reader import MAX_UNREAD, Reader, mentions, read_text

EXAMPLE = Path(__file__).parents[2] / "examples/xen-dom0.txt"
FULL = "nf_conntrack: table full, dropping packet"
READ = "sysctl net.netfilter.nf_conntrack_max"


def maxima(text):
    """Host → values of the limit, hosts in order."""
    return {host.name: [one.number for one in host.of(Setting)] for host in read_text(text).hosts}


def value(number):
    return f"net.netfilter.nf_conntrack_max = {number}"


def test_the_xen_incident_has_two_machines():
    dom0, domu = read_text(EXAMPLE.read_text()).hosts
    assert (dom0.name, dom0.role, domu.name, domu.role) == ("Dom0", "dom0", "DomU", "domu")
    log = list(dom0.of(LogLine))
    assert [line.number for line in log] == [321, *[None] * 10]
    assert [one.nodename for one in dom0.of(KernelRelease)] == ["MYHOST"]
    assert [one.number for one in dom0.of(Setting)] == [1548576]
    (load,) = dom0.of(Claim)
    assert (load.quantity, load.value) == ("hit", 1e7)
    assert [chain.chain for chain in dom0.of(FwChain)] == [
        "PREROUTING", "INPUT", "OUTPUT", "POSTROUTING", "INPUT", "FORWARD", "OUTPUT",
    ]  # fmt: skip
    assert len(list(domu.of(FwChain))) == 7
    assert not list(domu.of(LogLine))


def test_prompts_of_two_machines():
    text = f"root@web1:~# {READ}\n{value(1)}\nroot@web2:~# {READ}\n{value(2)}\nroot@web1:~# {READ}\n{value(3)}"
    assert maxima(text) == {"web1": [1, 3], "web2": [2]}


def test_the_name_of_the_kernel_and_of_the_prompt_are_one():
    text = f"{value(1)}\nLinux web1 5.15.0-91-generic #101-Ubuntu SMP x86_64 GNU/Linux\nroot@web1:~# {READ}\n{value(2)}"
    assert maxima(text) == {"web1": [1, 2]}


def test_a_log_of_two_machines():
    text = (
        f"Nov 23 10:00:00 web1 kernel: {FULL}\nNov 23 10:00:01 web2 kernel: {FULL}\nNov 23 10:00:02 web1 kernel: {FULL}"
    )
    hosts = read_text(text).hosts
    assert [(host.name, len(list(host.of(LogLine)))) for host in hosts] == [("web1", 2), ("web2", 1)]


def test_headings():
    assert maxima(f"=== web1 ===\n{value(1)}\n=== web2 ===\n{value(2)}") == {"web1": [1], "web2": [2]}
    assert maxima(f"On the master:\n{value(1)}\nOn the worker:\n{value(2)}") == {"master": [1], "worker": [2]}
    assert maxima(f"Inside the VM:\n{value(1)}\nOn the guest:\n{value(2)}") == {"VM": [1, 2]}
    assert maxima(f"{value(1)}\nOn the server:\n{value(2)}") == {"server": [1, 2]}
    assert maxima(f"{value(1)}\nInside the container:\n{value(2)}") == {"this host": [1], "container": [2]}


def test_ssh():
    text = f"$ ssh web1 {READ}\n{value(1)}\n$ ssh root@web2 'cat /proc/sys/net/netfilter/nf_conntrack_max'\n2\n$ {READ}\n{value(3)}"
    assert maxima(text) == {"web1": [1], "web2": [2], "this host": [3]}
    assert maxima(f"$ ssh web1\n$ {READ}\n{value(1)}") == {"web1": [1]}
    assert maxima(
        f"root@adm:~# {READ}\n{value(9)}\nroot@adm:~# ssh web1 {READ}\n{value(1)}\nroot@adm:~# {READ}\n{value(8)}"
    ) == {
        "adm": [9, 8],
        "web1": [1],
    }


def test_wrapped_in_everything():
    raw = (
        "﻿> > &nbsp;[12.5] nf_conntrack: table full, dropping\r\n> > packet.\r\n```\r\n> \x1b[1m"
        + value(5)
        + "\x1b[0m\r\n"
    )
    (host,) = read_text(raw).hosts
    (line,) = host.of(LogLine)
    assert (line.stamp.uptime_s, line.quoted, line.origin.line) == (12.5, False, 1)
    (setting,) = host.of(Setting)
    assert (setting.number, setting.origin.line) == (5, 4)


def test_chinese_around_machine_lines():
    text = "服务器日志如下：\nkernel：nf_conntrack：table full，dropping packet。\n当前 nf_conntrack_max为655360，约 1300 QPS"
    (host,) = read_text(text).hosts
    assert [line.kind for line in host.of(LogLine)] == ["table-full"]
    assert [one.number for one in host.of(Setting)] == [655360]
    assert [one.per_s for one in host.of(Claim)] == [1300]


def test_what_nobody_read():
    snapshot = read_text("Some_unknown_word: 17\nA sentence.")
    assert [(one.origin.line, one.origin.text) for one in snapshot.unread] == [(1, "Some_unknown_word: 17")]
    assert len(read_text("Some_unknown_word: 17\n" * 500).unread) == MAX_UNREAD


def test_nothing_at_all():
    assert read_text("").hosts == []
    assert read_text("\n \n\t\n").hosts == []


def test_documents_of_a_bundle():
    reader = Reader()
    reader.document("a", ["65536"], host="web1", path="proc/sys/net/netfilter/nf_conntrack_max")
    reader.document("b", [value(7)], host="web2")
    assert {host.name: [one.number for one in host.of(Setting)] for host in reader.snapshot.hosts} == {
        "web1": [65536],
        "web2": [7],
    }


def test_mentions_in_a_sentence():
    text = "Ubuntu 12.04 with kernel 3.2.0-24, 16 GB RAM and 10 requests per second"
    kinds = {type(one).__name__ for one in mentions(Line(1, text, text), Context("-"))}
    assert {"Distribution", "KernelRelease", "Memory", "Claim"} <= kinds


HOSTILE = [
    "a", "1", " ", ".", "-", "/", "[", "]", "(", "{", "<", ">", "&", "=", ":", "|", "'", '"', "@", "#", "$", "%", "\t", "\x1b[", "é",
    "a ", "a.", "a-", "a/", "1.", "1,", "1 ", "1/", "1:", "a@", "a:", "net.", "net.a ", "[1.5] ", "10:00:00 ", "a=", "k ", "per ", "to ",
    "<br>", "<p ", "&amp;", "Nov 23 ", "sysctl ", "echo ", "cat /proc/sys/a ", "conntrack ", "table full ", "nf_conntrack_max ", "on the ",
    "pod/", '{"', "/etc/a", "1-", "100k-", "kernel: ", "x=\"", "~/", "git:(", "timeout is ", "messages suppressed ",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize(
    "frame",
    ["{}", "[1.5] {} table full", "root@{}", "$ cat {}", "net.a{} = 5", "10{} requests", "On {}:", "sysctl -w {}"],
)
def test_no_expression_is_more_than_linear(piece, frame):
    """Eight times one line takes about eight times as long; measured against itself in the same run."""

    def seconds(size):
        line = frame.format(piece * (size // len(piece)))
        began = time.thread_time()
        read_text(line)
        return time.thread_time() - began

    read_text(frame.format(piece))
    small = min(seconds(1500), seconds(1500))
    # The best of some: a machine that does other work in between is no pattern that backtracks.
    assert min(seconds(12_000) for _ in range(3)) < 8 * 6 * small + 0.25
    assert min(seconds(100_000) for _ in range(3)) < 70 * 6 * small + 0.5
