"""The kernel's release in every form; expected values are read off the text, or come from uname itself."""

from hypothesis import given
from machine_text import CAPTURE, COMMANDS, LINES, facts_of, holds_for, is_linear, line_of, lines_of

from tablefull.parsers.block import Context
from tablefull.parsers.uname import mentions, read


def one(text, command=None, path=None):
    (fact,) = facts_of(read, text, command, path)
    return fact


def test_uname_a():
    fact = one(
        "Linux MYHOST 3.2.0-24-generic #37-Ubuntu SMP Wed Apr 25 08:43:22 UTC 2012 x86_64 x86_64 x86_64 GNU/Linux"
    )
    assert (fact.release, fact.nodename, fact.machine) == ("3.2.0-24-generic", "MYHOST", "x86_64")
    assert fact.build == "#37-Ubuntu SMP Wed Apr 25 08:43:22 UTC 2012"
    assert (
        one("Linux hifipi 5.4.72-v8+ #1356 SMP PREEMPT Thu Oct 22 13:58:52 BST 2020 aarch64 GNU/Linux").release
        == "5.4.72-v8+"
    )
    assert one("Linux OpenWrt 4.14.180 #0 SMP Sat May 16 18:32:20 2020 mips GNU/Linux").machine == "mips"


def test_wrapped_and_shortened():
    wrapped = "Linux host 2.6.18-194.el5 #1 SMP Fri Apr 2 14:58:14 EDT 2010\nx86_64 x86_64 x86_64 GNU/Linux"
    assert one(wrapped).machine == "x86_64"
    assert one("Linux 5.15.0-91-generic x86_64").nodename is None
    assert one("5.4.0-91-generic", "uname -r").release == "5.4.0-91-generic"
    assert one("4.19.76-linuxkit x86_64", "uname -rm").machine == "x86_64"


def test_this_capture():
    release = (CAPTURE / "commands/uname-r").read_text().strip()
    assert one((CAPTURE / "commands/uname-a").read_text()).release == release
    assert one((CAPTURE / "proc/version").read_text()).release == release
    assert one(release, "uname -r").release == release


def test_reports_of_others():
    assert one("[    0.000000] Linux version 4.4.217 (builder@host) (gcc version 7.3.0) #1 SMP").release == "4.4.217"
    assert one("            Kernel: Linux 5.15.0-91-generic\n      Architecture: x86-64").machine == "x86_64"
    assert one(" Kernel Version: 4.14.177-139.254.amzn2.x86_64").release == "4.14.177-139.254.amzn2.x86_64"
    assert one("  kernelVersion: 5.10.0").release == "5.10.0"


def test_prose_is_left_to_mentions():
    for text in (
        "Linux NAT worked well until a few days ago",
        "Kernel: it hangs",
        "kernel 5.4 is what I run",
        "Linux 5.4 is fine here",
        "Linux box 5.4 crashes",
    ):
        assert read(lines_of(text), 0, Context("-", "uname -r")) is None


def releases(text):
    return [f.release for f in mentions(line_of(text), Context("-"))]


def test_mentions():
    assert releases("Kubernetes 1.10.5 on Azure, CoreOS 1688.5.3, kernel 4.14.32-coreos") == ["4.14.32-coreos"]
    assert releases("Game server, 12 players, Ubuntu 16.04 i386, Linux kernel 4.4.217:") == ["4.4.217"]
    assert releases("Cilium 1.12.4, kernel 5.14.0-162.12.1.el9_1.0.2.x86_64, Kubernetes v1.25.5+rke2r2") == [
        "5.14.0-162.12.1.el9_1.0.2.x86_64"
    ]
    assert releases("Node with Docker and KVM, kernel 6.1.0-41-rt-amd64, libvirt 9.0.0") == ["6.1.0-41-rt-amd64"]
    assert releases("my kernel version is 3.10.") == ["3.10"]


def test_limits_and_distributions_are_not_running_kernels():
    for text in (
        "fixed in kernel 5.14",
        "needs Linux 4.9 or newer",
        "since kernel 5.19 events=2",
        "Rocky Linux 8.6",
        "Debian GNU/Linux 9",
        "kernels from 5.14 on have a fix",
        "kernel 5.14+",
        "Red Hat Enterprise Linux 7.9",
        "linux/amd64 2.0",
    ):
        assert releases(text) == [], text


@given(LINES, COMMANDS)
def test_any_text_is_answered(texts, command):
    holds_for(read, texts, command)


def test_time_is_linear():
    is_linear(read)
