"""Settings in every shape they are shown, written, wanted, set and refused in."""

import pytest

from tablefull.facts.settings import Refusal, Setting
from tablefull.parsers.block import Context
from tablefull.parsers.clean import clean
from tablefull.parsers.reader import read_text
from tablefull.parsers.sysctl import commanded, heading, names_read, read

MAX = "nf_conntrack_max"
COUNT = "nf_conntrack_count"


def settings(text):
    snapshot = read_text(text)
    return [(one.name, one.number, one.standing) for host in snapshot.hosts for one in host.of(Setting)]


def refusals(text):
    return [(one.name, one.error) for host in read_text(text).hosts for one in host.of(Refusal)]


@pytest.mark.parametrize(
    "line",
    [
        "net.netfilter.nf_conntrack_max = 65536",
        "net.netfilter.nf_conntrack_max=65536",
        "net.netfilter.nf_conntrack_max: 65536",
        "net.netfilter.nf_conntrack_max 65536",
        "net.netfilter.nf_conntrack_max -> 65536",
        "net.nf_conntrack_max = 65536",
        "net/netfilter/nf_conntrack_max = 65536",
        "net.ipv4.netfilter.ip_conntrack_max = 65536",
        "nf_conntrack_max = 65536",
        "/proc/sys/net/netfilter/nf_conntrack_max:65536",
        "/proc/sys/net/netfilter/nf_conntrack_max 65536",
        "net.netfilter.nf_conntrack_max = 65536  # was 32768",
        "  - net.netfilter.nf_conntrack_max = 65536",
        "| net.netfilter.nf_conntrack_max | 65536 |",
        "| `net.netfilter.nf_conntrack_max` | 65,536 | raised |",
        "net.netfilter.nf_conntrack_max = 65536\r",
        "net.netfilter.nf_conntrack_max\n= 65536",
        "<td>net.netfilter.nf_conntrack_max</td><td>65536</td>",
    ],
)
def test_one_line_shows_one_value(line):
    assert settings(line) == [(MAX, 65536, "shown")]


def test_other_values():
    assert settings("net.ipv4.tcp_mem = 188319\t251092\t376638") == [("net.ipv4.tcp_mem", 188319, "shown")]
    assert settings("net.netfilter.nf_conntrack_log_invalid = -1") == [("nf_conntrack_log_invalid", -1, "shown")]
    assert settings("net.ipv4.tcp_congestion_control = cubic") == [("net.ipv4.tcp_congestion_control", None, "shown")]
    assert settings("net.bridge.bridge-nf-call-iptables = 1") == [("net.bridge.bridge-nf-call-iptables", 1, "shown")]


def test_sysctl_a():
    text = """# sysctl -a | grep conntrack
net.netfilter.nf_conntrack_acct = 0
net.netfilter.nf_conntrack_buckets = 16384
net.netfilter.nf_conntrack_count = 65536"""
    assert settings(text) == [
        ("nf_conntrack_acct", 0, "shown"),
        ("nf_conntrack_buckets", 16384, "shown"),
        (COUNT, 65536, "shown"),
    ]


@pytest.mark.parametrize(
    "command",
    [
        "$ cat /proc/sys/net/netfilter/nf_conntrack_count /proc/sys/net/netfilter/nf_conntrack_max",
        "# cat /proc/sys/net/netfilter/nf_conntrack_count; cat /proc/sys/net/netfilter/nf_conntrack_max",
        "# cat /proc/sys/net/netfilter/nf_conntrack_count && cat /proc/sys/net/netfilter/nf_conntrack_max",
        "root@web1:~# cat /proc/sys/net/netfilter/nf_conntrack_{count,max}",
        "cat /proc/sys/net/netfilter/nf_conntrack_{count,max}",
        "# cd /proc/sys/net/netfilter; cat nf_conntrack_count nf_conntrack_max",
        "# sysctl -n net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max",
        "> cat /proc/sys/net/netfilter/nf_conntrack_{count,max}",
    ],
)
def test_bare_values_under_their_command(command):
    assert settings(command + "\n100\n65536\n") == [(COUNT, 100, "shown"), (MAX, 65536, "shown")]


def test_bare_values_apart():
    text = "# cat /proc/sys/net/netfilter/nf_conntrack_{count,max}\n100\n\n65536"
    assert settings(text) == [(COUNT, 100, "shown"), (MAX, 65536, "shown")]
    refused = "cat: /proc/sys/net/netfilter/nf_conntrack_count: No such file or directory"
    text = f"# cat /proc/sys/net/netfilter/nf_conntrack_{{count,max}}\n{refused}\n65536"
    assert settings(text) == [(MAX, 65536, "shown")]
    assert refusals(text) == [(COUNT, "no such file or directory")]


def test_the_same_file_again_and_again():
    text = "# while true; do cat /proc/sys/net/netfilter/nf_conntrack_count; sleep 1; done\n100\n101\n102"
    assert settings(text) == [(COUNT, 100, "shown"), (COUNT, 101, "shown"), (COUNT, 102, "shown")]


def test_a_number_without_its_command():
    assert settings("65536") == []


def test_values_of_a_tree():
    lines = clean(["65536"])
    (one,) = read(lines, 0, Context("bundle", path="proc/sys/net/netfilter/nf_conntrack_max")).facts
    assert (one.name, one.number) == (MAX, 65536)


def test_headings_of_head_and_grep():
    text = """$ head /proc/sys/net/netfilter/nf_conntrack_[cm]*
==> /proc/sys/net/netfilter/nf_conntrack_count <==
100

==> /proc/sys/net/netfilter/nf_conntrack_max <==
65536
"""
    assert settings(text) == [(COUNT, 100, "shown"), (MAX, 65536, "shown")]
    text = """$ grep . /proc/sys/net/netfilter/*
/proc/sys/net/netfilter/nf_conntrack_count:100
/proc/sys/net/netfilter/nf_conntrack_max:65536"""
    assert settings(text) == [(COUNT, 100, "shown"), (MAX, 65536, "shown")]


@pytest.mark.parametrize(
    "before",
    [
        "$ cat /etc/sysctl.conf",
        "cat /etc/sysctl.d/nf.conf",
        "# /etc/sysctl.d/nf.conf",
        "/etc/sysctl.d/99-nf.conf:",
        "In /etc/sysctl.conf:",
        "==> /etc/sysctl.conf <==",
        "**/etc/sysctl.d/nf.conf**",
        "# /etc/sysctl.d/nf.conf\n# the limit of this NAT box",
        "# /etc/sysctl.d/nf.conf\n\n",
        "boot.kernel.sysctl = {",
        "sysctls:",
    ],
)
def test_lines_of_a_configuration_file(before):
    assert settings(before + "\nnet.netfilter.nf_conntrack_max = 65536") == [(MAX, 65536, "configured")]


@pytest.mark.parametrize(
    "text",
    [
        'boot.kernel.sysctl."net.netfilter.nf_conntrack_max" = 65536;',
        'boot.kernel.sysctl = {\n  "net.netfilter.nf_conntrack_max" = lib.mkDefault 65536;\n};',
        '- name: raise\n  sysctl:\n    name: net.netfilter.nf_conntrack_max\n    value: "65536"\n    state: present',
        "sysctl: name=net.netfilter.nf_conntrack_max value=65536",
        "net.netfilter.nf_conntrack_max:\n  sysctl.present:\n    - value: 65536",
        "sysctl { 'net.netfilter.nf_conntrack_max': value => '65536' }",
        "/etc/sysctl.conf:net.netfilter.nf_conntrack_max=65536",
        "/etc/sysctl.d/9-nf.conf:12:net.netfilter.nf_conntrack_max = 65536",
        "$ echo 'net.netfilter.nf_conntrack_max=65536' | sudo tee -a /etc/sysctl.conf",
        "# echo net.netfilter.nf_conntrack_max=65536 >> /etc/sysctl.conf",
    ],
)
def test_configured_in_other_ways(text):
    assert settings(text) == [(MAX, 65536, "configured")]


def test_a_file_ends_where_something_else_begins():
    file = "# /etc/sysctl.d/nf.conf\nnet.netfilter.nf_conntrack_max = 131072\n"
    shown = "net.netfilter.nf_conntrack_max = 65536"
    for between in ("$ sysctl net.netfilter.nf_conntrack_max", "\nBut the kernel says:", "and yet sysctl shows"):
        assert settings(f"{file}{between}\n{shown}") == [(MAX, 131072, "configured"), (MAX, 65536, "shown")]


def test_module_options():
    assert settings("options nf_conntrack hashsize=32768") == [("hashsize", 32768, "configured")]
    assert settings("# modprobe nf_conntrack hashsize=32768") == [("hashsize", 32768, "commanded")]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("sysctl -w net.netfilter.nf_conntrack_max=65536", [(MAX, 65536)]),
        ("sudo /sbin/sysctl -w net.nf_conntrack_max=65536", [(MAX, 65536)]),
        ("sysctl net.netfilter.nf_conntrack_max=65536", [(MAX, 65536)]),
        ('sysctl -w "net.netfilter.nf_conntrack_max = 65536"', [(MAX, 65536)]),
        ("sysctl -w net.netfilter.nf_conntrack_max=1 net.core.somaxconn=2", [(MAX, 1), ("net.core.somaxconn", 2)]),
        ("sysctl -w net.core.somaxconn=2; sysctl -w net.nf_conntrack_max=3", [("net.core.somaxconn", 2), (MAX, 3)]),
        ("echo 65536 > /proc/sys/net/netfilter/nf_conntrack_max", [(MAX, 65536)]),
        ("echo 393216 | sudo tee -a /sys/module/nf_conntrack/parameters/hashsize", [("hashsize", 393216)]),
        ("sysctl -a | grep conntrack", []),
        ("sysctl -p /etc/sysctl.conf", []),
        ("echo hello", []),
    ],
)
def test_commands_that_write(command, expected):
    (line,) = clean([command])
    found = commanded(line, Context("-"))
    assert [(one.name, one.number) for one in found] == expected
    assert all(one.standing == "commanded" for one in found)


@pytest.mark.parametrize(
    ("line", "name", "error"),
    [
        (
            "sysctl: cannot stat /proc/sys/net/netfilter/nf_conntrack_max: No such file or directory",
            MAX,
            "no such file or directory",
        ),
        ('sysctl: setting key "net.netfilter.nf_conntrack_max": Read-only file system', MAX, "read-only file system"),
        ("sysctl: permission denied on key 'net.netfilter.nf_conntrack_max'", MAX, "permission denied"),
        ('error: "net.netfilter.nf_conntrack_max" is an unknown key', MAX, "unknown key"),
        ("sysctl: error: 'net.netfilter.nf_conntrack_max' is an unknown key", MAX, "unknown key"),
        (
            "systemd-sysctl[321]: Couldn't write '7' to 'net/netfilter/nf_conntrack_max', ignoring: No such file or directory",
            MAX,
            "no such file or directory",
        ),
        ("-bash: /proc/sys/net/netfilter/nf_conntrack_max: Permission denied", MAX, "permission denied"),
        ("sh: can't create /proc/sys/net/netfilter/nf_conntrack_max: Permission denied", MAX, "permission denied"),
        (
            "tee: /sys/module/nf_conntrack/parameters/hashsize: Operation not supported",
            "hashsize",
            "operation not supported",
        ),
        ("open /proc/sys/net/netfilter/nf_conntrack_max: permission denied", MAX, "permission denied"),
    ],
)
def test_refusals(line, name, error):
    assert refusals(line) == [(name, error)]


def test_a_refusal_that_does_not_name_the_file():
    text = "# echo 9 > /sys/module/nf_conntrack/parameters/hashsize\n-bash: echo: write error: Operation not supported"
    assert refusals(text) == [("hashsize", "operation not supported")]
    assert refusals("-bash: echo: write error: Operation not supported") == []


@pytest.mark.parametrize(
    "text",
    ["net.netfilter.nf_conntrack_max", "the limit net.netfilter.nf_conntrack_max was raised", "a = 5", "12:30", ""],
)
def test_no_setting(text):
    assert settings(text) == []


@pytest.mark.parametrize("text", ["", "# raise it", "==> a b <==", "http://example.org/", "a: b", "-" * 200, "###"])
def test_no_heading(text):
    assert heading(text) is None


def test_names_read():
    assert names_read("sysctl -a") == []
    assert names_read("cat /proc/sys/net/netfilter/*") == []
    assert names_read("sudo cat /proc/sys/a/b | head") == ["/proc/sys/a/b"]
