"""Spellings, life times and permissions, and the files of the running kernel."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.kernel import sysctls
from tablefull.kernel.identity import parse_release


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("net.netfilter.nf_conntrack_max", "nf_conntrack_max"),
        ("net/netfilter/nf_conntrack_max", "nf_conntrack_max"),
        ("/proc/sys/net/netfilter/nf_conntrack_max", "nf_conntrack_max"),
        ("net.nf_conntrack_max", "nf_conntrack_max"),
        ("net.ipv4.ip_conntrack_max", "nf_conntrack_max"),
        ("net.ipv4.netfilter.ip_conntrack_max", "nf_conntrack_max"),
        ("nf_conntrack_max", "nf_conntrack_max"),
        ("-net.netfilter.nf_conntrack_max = 65536", "nf_conntrack_max"),
        ("bundle/proc/sys/net/ipv4/netfilter/ip_conntrack_count", "nf_conntrack_count"),
        ("net.ipv4.netfilter.ip_conntrack_tcp_timeout_established", "nf_conntrack_tcp_timeout_established"),
        ("/sys/module/nf_conntrack/parameters/hashsize", "hashsize"),
        ("/sys/module/ip_conntrack/parameters/hashsize", "hashsize"),
        ("nf_conntrack.hashsize", "hashsize"),
        ("nf_conntrack.acct", "nf_conntrack_acct"),
        ("net.core.message_burst", "net.core.message_burst"),
        ("/proc/sys/net/bridge/bridge-nf-call-iptables", "net.bridge.bridge-nf-call-iptables"),
        ("net.ipv4.tcp_max_orphans", "net.ipv4.tcp_max_orphans"),
        ("net.netfilter.nf_flowtable_tcp_timeout", "nf_flowtable_tcp_timeout"),
        ("net.netfilter.nf_log_all_netns", "net.netfilter.nf_log_all_netns"),
        ("/proc/sys/net/ipv4/conf/eth0.100/rp_filter", "net.ipv4.conf.eth0/100.rp_filter"),
        ("", ""),
    ],
)
def test_one_name_for_every_spelling(spelling: str, name: str) -> None:
    assert sysctls.canonical(spelling) == name


@given(st.text())
def test_canonical_never_raises(text: str) -> None:
    sysctls.canonical(text)


@given(st.sampled_from(sorted(sysctls.NAMES)))
def test_names_survive_their_own_path(name: str) -> None:
    assert sysctls.canonical(sysctls.proc_path(name)) == name
    assert sysctls.canonical(name) == name


def test_the_key_on_each_stack() -> None:
    old, new = parse_release("2.6.18-194.el5"), parse_release("2.6.32-5-amd64")
    assert sysctls.dotted("nf_conntrack_max", old).value == "net.ipv4.netfilter.ip_conntrack_max"
    assert sysctls.dotted("nf_conntrack_max", new).value == "net.netfilter.nf_conntrack_max"
    assert sysctls.dotted("nf_conntrack_max", None).value == "net.netfilter.nf_conntrack_max"
    assert sysctls.dotted("net.core.message_cost", old).value == "net.core.message_cost"
    assert sysctls.dotted("hashsize", new).value is None
    assert sysctls.proc_path("hashsize", old) == "/sys/module/ip_conntrack/parameters/hashsize"
    assert sysctls.proc_path("net.ipv4.conf.eth0/100.rp_filter") == "/proc/sys/net/ipv4/conf/eth0.100/rp_filter"


@pytest.mark.parametrize(
    ("name", "release", "there"),
    [
        ("nf_conntrack_helper", "3.4.113", False),
        ("nf_conntrack_helper", "4.19.78", True),
        ("nf_conntrack_helper", "6.1.20", False),
        ("nf_conntrack_timestamp", "2.6.38", False),
        ("nf_conntrack_timestamp", "3.2.0-24-generic", True),
        ("nf_conntrack_default_on", "4.12.0", True),
        ("nf_conntrack_default_on", "4.14.177", False),
        ("nf_conntrack_tcp_ignore_invalid_rst", "5.11.0", False),
        ("nf_conntrack_tcp_ignore_invalid_rst", "5.14.0-162.12.1.el9_1", True),
        ("nf_conntrack_dccp_timeout_open", "6.14.0", True),
        ("nf_conntrack_dccp_timeout_open", "6.17.0", False),
        ("nf_conntrack_udplite_timeout", "4.10.0", True),
        ("nf_conntrack_udplite_timeout", "4.12.0", False),
        ("nf_conntrack_sctp_timeout_heartbeat_sent", "4.2.8", False),
        ("nf_conntrack_sctp_timeout_heartbeat_sent", "3.10.0-1160.el7.x86_64", True),
        ("nf_conntrack_tcp_timeout_syn_sent2", "6.18.2", False),
        ("nf_conntrack_tcp_timeout_unacknowledged", "2.6.18-194.el5", False),
    ],
)
def test_life_of_a_setting(name: str, release: str, there: bool) -> None:
    assert sysctls.exists(name, parse_release(release)).value is there


def test_existence_without_a_version_or_a_name_is_unknown() -> None:
    assert sysctls.exists("nf_conntrack_max", None).basis == "unknown"
    assert sysctls.exists("net.core.message_cost", parse_release("6.1.0")).basis == "unknown"


@pytest.mark.parametrize(
    ("release", "where", "may"),
    [
        ("3.10.4", "child", True),
        ("5.4.0", "child", True),
        ("5.11.2", "child", True),
        ("5.10.102", "child", False),
        ("5.13.1", "child", False),
        ("6.18.44", "child", False),
        ("5.4.0", "userns", False),
        ("5.9.2", "userns", False),
        ("4.4.0-21-generic", "init", True),
        ("5.10.0-19-amd64", "child", None),
    ],
)
def test_who_writes_the_limit(release: str, where: sysctls.Where, may: bool | None) -> None:
    assert sysctls.writable("nf_conntrack_max", parse_release(release), where).value is may


def test_a_write_from_a_container_says_what_it_changes() -> None:
    assert "whole host" in sysctls.writable("nf_conntrack_max", parse_release("4.4.0-21-generic"), "child").source


def test_buckets_and_count() -> None:
    assert sysctls.writable("nf_conntrack_buckets", parse_release("4.7.4")).value is False
    assert sysctls.writable("nf_conntrack_buckets", parse_release("4.8.15")).value is True
    assert sysctls.writable("hashsize", parse_release("3.2.71")).value is True
    assert sysctls.writable("hashsize", parse_release("6.18.2"), "child").value is False
    assert sysctls.writable("nf_conntrack_count", None).value is False
    assert sysctls.is_count_readonly("nf_conntrack_count")


def test_what_a_namespace_owns() -> None:
    assert sysctls.is_per_netns("nf_conntrack_max", parse_release("6.18.2")).value is False
    assert sysctls.is_per_netns("nf_conntrack_tcp_timeout_established", parse_release("3.4.113")).value is False
    assert sysctls.is_per_netns("nf_conntrack_tcp_timeout_established", parse_release("3.6.5")).value is True
    assert sysctls.is_per_netns("net.core.message_cost", None).basis == "unknown"


@pytest.mark.realkernel
def test_against_the_running_kernel() -> None:
    kernel = parse_release(os.uname().release)
    listing = subprocess.run(
        ["unshare", "-n", "stat", "-c", "%a %n", *sorted(_paths())], capture_output=True, text=True, check=False
    ).stdout
    modes = {sysctls.canonical(path): mode for mode, path in (line.split() for line in listing.splitlines())}
    assert modes
    for name in sysctls.NAMES:
        if name in sysctls.PARAMETERS:
            continue
        if name in modes:
            assert sysctls.exists(name, kernel).value is True, name
            may = sysctls.writable(name, kernel, "child").value
            assert may is (int(modes[name], 8) & 0o200 != 0), name


@pytest.mark.realkernel
def test_no_setting_of_the_running_kernel_is_missing_from_the_table() -> None:
    here = {sysctls.canonical(str(path)) for path in Path("/proc/sys/net/netfilter").glob("nf_conntrack_*")}
    assert {name for name in here if "frag6" not in name} <= set(sysctls.NAMES)


def _paths() -> list[str]:
    return [sysctls.proc_path(name) for name in sysctls.NAMES if name not in sysctls.PARAMETERS]
