"""Default timeouts on both sides of each change, and a fresh namespace of the running kernel."""

import os
import subprocess

import pytest

from tablefull.kernel import sysctls, timeouts
from tablefull.kernel.identity import parse_release


@pytest.mark.parametrize(
    ("name", "release", "seconds"),
    [
        ("nf_conntrack_tcp_timeout_established", "2.6.18-194.el5", 432000),
        ("nf_conntrack_tcp_timeout_established", "6.18.2", 432000),
        ("nf_conntrack_tcp_timeout_syn_sent", "3.2.0-24-generic", 120),
        ("nf_conntrack_tcp_timeout_syn_recv", "3.2.0-24-generic", 60),
        ("nf_conntrack_tcp_timeout_fin_wait", "3.2.0-24-generic", 120),
        ("nf_conntrack_tcp_timeout_close_wait", "3.2.0-24-generic", 60),
        ("nf_conntrack_tcp_timeout_last_ack", "3.2.0-24-generic", 30),
        ("nf_conntrack_tcp_timeout_time_wait", "3.2.0-24-generic", 120),
        ("nf_conntrack_tcp_timeout_close", "3.2.0-24-generic", 10),
        ("nf_conntrack_tcp_timeout_max_retrans", "3.2.0-24-generic", 300),
        ("nf_conntrack_udp_timeout", "4.4.217", 30),
        ("nf_conntrack_udp_timeout_stream", "4.20.0", 180),
        ("nf_conntrack_udp_timeout_stream", "5.0.1", 120),
        ("nf_conntrack_udp_timeout_stream", "4.18.0-147.el8.x86_64", 180),
        ("nf_conntrack_generic_timeout", "6.1.20", 600),
        ("nf_conntrack_icmp_timeout", "6.1.20", 30),
        ("nf_conntrack_sctp_timeout_established", "6.0.19", 432000),
        ("nf_conntrack_sctp_timeout_established", "6.1.20", 210),
        ("nf_conntrack_sctp_timeout_established", "5.15.135", 210),
        ("nf_conntrack_sctp_timeout_shutdown_sent", "6.6.9", 3),
        ("nf_conntrack_gre_timeout_stream", "6.6.9", 180),
        ("nf_conntrack_dccp_timeout_open", "4.19.78", 43200),
    ],
)
def test_defaults(name: str, release: str, seconds: int) -> None:
    assert timeouts.default_s(name, parse_release(release)).value == seconds


def test_what_never_moved_needs_no_version() -> None:
    assert timeouts.default_s("nf_conntrack_tcp_timeout_established", None).value == 432000
    assert timeouts.default_s("nf_conntrack_udp_timeout_stream", None).basis == "unknown"
    assert timeouts.default_s("nf_conntrack_max", None).basis == "unknown"


def test_openwrt_ships_its_own() -> None:
    router = parse_release("Linux OpenWrt 5.15.134 #0 SMP mips GNU/Linux")
    shipped = timeouts.shipped_s("nf_conntrack_tcp_timeout_established", router)
    assert (shipped.value, shipped.basis) == (7440, "vendor")
    assert timeouts.shipped_s("nf_conntrack_tcp_timeout_close", router).value == 10


def test_tables_name_real_settings() -> None:
    assert set(timeouts.STATES) <= set(timeouts.DEFAULTS)
    assert set(timeouts.TIMEOUT_OF_TCP_STATE.values()) <= set(timeouts.DEFAULTS)
    assert set(timeouts.SWITCH_DEFAULTS) <= set(sysctls.NAMES)
    assert set(timeouts.DEFAULTS) - set(sysctls.NAMES) == {"nf_conntrack_tcp_timeout_syn_sent2"}


@pytest.mark.realkernel
def test_a_fresh_namespace_of_the_running_kernel() -> None:
    kernel = parse_release(os.uname().release)
    seen = 0
    for name in [*timeouts.DEFAULTS, *timeouts.SWITCH_DEFAULTS]:
        read = subprocess.run(
            ["unshare", "-n", "cat", sysctls.proc_path(name)], capture_output=True, text=True, check=False
        )
        if read.returncode == 0:
            seen += 1
            expected = timeouts.SWITCH_DEFAULTS.get(name, timeouts.default_s(name, kernel).value)
            assert int(read.stdout) == expected, name
    assert seen > 20
