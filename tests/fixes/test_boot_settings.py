"""Lines of files of settings by hand; tests/realkernel/test_boot_order.py asks the programs that read them."""

import pytest
from tests.fixes.boot_trees import tree

from tablefull.fixes import boot_settings
from tablefull.fixes.boot_settings import applied, entries, merged, slashed, taken
from tablefull.fixes.boot_tree import Fragment

MAX = "net/netfilter/nf_conntrack_max"


def fragment(text: str, name: str = "a.conf") -> Fragment:
    return Fragment(name, f"/etc/sysctl.d/{name}", text)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("net.netfilter.nf_conntrack_max", MAX),
        ("net/netfilter/nf_conntrack_max", MAX),
        ("net.ipv4.conf.eth0/5.forwarding", "net/ipv4/conf/eth0.5/forwarding"),
        ("net/ipv4/conf/eth0.5/forwarding", "net/ipv4/conf/eth0.5/forwarding"),
    ],
)
def test_spellings_of_a_key(written: str, read: str) -> None:
    assert slashed(written) == read


def test_lines_of_a_file() -> None:
    text = "# a = 1\n; b = 2\n\n  -net.netfilter.nf_conntrack_max =  7 8 \nno assignment\n-net/x\n"
    assert [(one.key, one.value, one.line) for one in entries(fragment(text))] == [(MAX, "7 8", 4), ("net/x", None, 6)]


def test_a_pattern_passes_over_what_is_named() -> None:
    files = [fragment("net.netfilter.nf_conntrack_max = 1\nnet.netfilter.nf_conntrack_* = 2\n")]
    assert [one.value for one in applied(files, [MAX], "systemd")] == ["1"]
    assert [one.value for one in applied(files, [MAX], "line by line")] == ["1"]
    assert [one.value for one in applied(files, ["net/netfilter/nf_conntrack_acct"], "procps")] == ["2"]
    assert applied(files, ["net/netfilter/nf_conntrack_x/y"], "procps") == []


def test_a_dash_is_read_by_newer_programs_alone() -> None:
    files = [fragment("-net.netfilter.nf_conntrack_max = 1\n")]
    assert [one.value for one in applied(files, [MAX], "systemd")] == ["1"]
    assert applied(files, [MAX], "line by line") == []


def test_a_bare_name_takes_back_under_systemd_alone() -> None:
    files = [fragment("net.netfilter.nf_conntrack_max = 1\n-net.netfilter.nf_conntrack_max\n")]
    assert applied(files, [MAX], "systemd") == []
    assert [one.value for one in applied(files, [MAX], "procps")] == ["1"]
    assert [one.value for one in merged(files)] == [None]


def test_the_last_file_of_each_program() -> None:
    planned = {"/etc/sysctl.d/99-zz.conf": "", "/run/sysctl.d/50-r.conf": "", "/etc/sysctl.d/60-own.conf": ""}
    debian = tree("debian-12", planned)
    assert [one.path for one in boot_settings.of_systemd(debian)][-3:] == [
        "/usr/lib/sysctl.d/99-protect-links.conf",
        "/etc/sysctl.d/99-sysctl.conf",
        "/etc/sysctl.d/99-zz.conf",
    ]
    assert boot_settings.of_procps(debian)[-1].path == "/etc/sysctl.conf"
    alpine = [one.path for one in boot_settings.of_alpine(tree("alpine", planned))]
    assert alpine == [
        "/usr/lib/sysctl.d/00-alpine.conf",
        "/etc/sysctl.d/60-own.conf",
        "/etc/sysctl.d/99-zz.conf",
        "/etc/sysctl.conf",
        "/run/sysctl.d/50-r.conf",
    ]


def test_alpine_takes_out_what_a_nearer_folder_has() -> None:
    planned = {"/etc/sysctl.d/00-alpine.conf": "x=1\n", "/run/sysctl.d/b.conf": "", "/etc/sysctl.d/b.conf": ""}
    found = [one.path for one in boot_settings.of_alpine(tree("alpine", planned))]
    assert found == ["/etc/sysctl.d/00-alpine.conf", "/etc/sysctl.conf", "/run/sysctl.d/b.conf"]


def test_red_hat_6_reads_the_folder_only_where_its_script_does() -> None:
    planned = {"/etc/sysctl.d/90-own.conf": ""}
    assert [one.path for one in boot_settings.of_initscripts(tree("rhel-6", planned))] == ["/etc/sysctl.conf"]
    planned["/etc/rc.d/init.d/functions"] = "for file in /etc/sysctl.d/*.conf; do sysctl -e -p $file; done\n"
    found = [one.path for one in boot_settings.of_initscripts(tree("rhel-6", planned))]
    assert found == ["/etc/sysctl.d/90-own.conf", "/etc/sysctl.conf"]


def test_ubuntu_of_old_reads_the_folder_and_then_the_file() -> None:
    found = [one.name for one in boot_settings.of_folder_then_conf(tree("ubuntu-12.04"))]
    assert found == ["10-console-messages.conf", "10-network-security.conf", "sysctl.conf"]


@pytest.mark.parametrize(
    ("text", "number"),
    [("41 # five", "41"), ("42#", None), ("43;", None), ("0x20", "32"), (" 46", "46"), ("+47", None), ("", None)],
)
def test_what_the_kernel_takes_of_a_text(text: str, number: str | None) -> None:
    # Measured on 6.18, nf_conntrack_udp_timeout; tests/realkernel/test_boot_order.py asks again.
    assert taken(text) == number
