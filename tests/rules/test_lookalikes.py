"""Each look-alike by its own line, and none of them is a full table."""

import pytest

from tablefull.fixes.diagnosis import diagnose
from tablefull.parsers.reader import read_text
from tablefull.rules.case import Case
from tablefull.rules.engine import run
from tablefull.rules.fullness import fullness
from tablefull.rules.lookalikes import LOOK_ALIKES

LINES = {
    "neighbour-table": "[771.2] neighbour: arp_cache: neighbor table overflow!",
    "time-wait-buckets": "[771.2] TCP: time wait bucket table overflow",
    "orphans": "[771.2] TCP: too many orphaned sockets",
    "tcp-memory": "[771.2] TCP: out of memory -- consider tuning tcp_mem",
    "listen-queue": "[771.2] TCP: request_sock_TCP: Possible SYN flooding on port 8443. Sending cookies.",
    "route-cache": "[771.2] dst cache overflow",
    "martian": "[771.2] IPv4: martian source 10.0.4.1 from 127.0.0.1, on dev eth0",
    "udp-checksum": "[771.2] UDP: bad checksum. From 10.1.1.1:53 to 10.1.1.2:33012 ulen 120",
    "page-allocation": "[771.2] swapper/1: page allocation failure: order:1, mode:0x20",
    "ipset": "ipset v6.38: Hash is full, cannot add more elements",
    "disk-full": "write /var/lib/docker/tmp: no space left on device",
    "worker-connections": "2024/01/02 10:00:00 [alert] 7#7: 1024 worker_connections are not enough",
    "file-descriptors": "accept4(): too many open files",
    "ipvs-timeout": "ipvsadm -l --timeout: Timeout (tcp tcpfin udp): 900 120 300",
    "ephemeral-ports": "connect(): cannot assign requested address",
    "offload-or-mtu": "tcpdump: 10.0.0.1.8472 > 10.0.0.2.8472: [bad udp cksum 0xffff -> 0x1c2d!]",
    "netlink-buffer": "recvmsg(netlink): ENOBUFS, messages were lost",
    "offloaded-entry": "Why has this entry no time left: [OFFLOAD] mark=0 use=3",
    "count-lag": "conntrack -C shows 812, and the count falls at once when I list the table.",
    "refused": "curl: (7) Failed to connect: Connection refused",
    "own-conntrack": "The nebula overlay keeps connections of its own in user space.",
    "kernel-warning": "[771.2] WARNING: CPU: 1 PID: 88 at net/core/dst.c:285 dst_release+0x45/0x60()",
    "cpu-or-network": "ethtool -S: rx_missed_errors: 99211",
}


def test_each_has_its_line_here() -> None:
    assert set(LINES) == {one.id for one in LOOK_ALIKES}


@pytest.mark.parametrize("which", sorted(LINES))
def test_named_by_its_own_line(which: str) -> None:
    case = Case(read_text(LINES[which]))
    best = run(case).findings[0]
    assert (best.cause, best.look_alike) == ("not-conntrack", which)
    assert best.why.startswith(next(one.what for one in LOOK_ALIKES if one.id == which))
    assert best.fixes == ("none",)
    assert best.evidence
    assert fullness(case).state != "yes"


@pytest.mark.parametrize("which", sorted(LINES))
def test_suppressed_callbacks_beside_it_change_nothing(which: str) -> None:
    told = diagnose(read_text("[771.1] net_ratelimit: 321 callbacks suppressed\n" + LINES[which]))
    assert told.full.state != "yes"
    assert told.causes[0].cause == "not-conntrack"
    assert told.loss is None


@pytest.mark.parametrize("which", ["neighbour-table", "listen-queue", "orphans"])
def test_beside_the_entry_tables_own_line_the_table_comes_first(which: str) -> None:
    told = diagnose(read_text(LINES[which] + "\n[771.3] nf_conntrack: table full, dropping packet"))
    assert told.full.state == "yes"
    assert told.causes[0].cause != "not-conntrack"


def test_counters_clear_connection_tracking() -> None:
    counters = "cpu=0 found=1 invalid=2 insert=0 insert_failed=0 drop=0 early_drop=0"
    best = run(Case(read_text(f"Requests are slow since yesterday, is it conntrack?\n{counters}"))).findings[0]
    assert (best.cause, best.look_alike) == ("not-conntrack", "cleared")


def test_a_quiet_host_of_which_nobody_complains_has_no_finding() -> None:
    assert run(Case(read_text("cpu=0 found=1 invalid=2 insert=0 insert_failed=0 drop=0 early_drop=0"))).findings == ()


def test_silence_about_tracking_is_a_weak_reason() -> None:
    best = run(Case(read_text("My printer is out of paper."))).findings[0]
    assert (best.look_alike, best.confidence) == ("unrelated", 0.3)
