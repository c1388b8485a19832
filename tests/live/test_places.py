"""Which files a collection opens: plain ones, each once, and none that acts or waits when it is read."""

from fnmatch import fnmatch

import pytest

from tablefull.live import places
from tablefull.live.collection import for_reader
from tablefull.live.evidence import NEVER

CONFIGURED = tuple(name for names, _ in places.CONFIGURATION for name in names)
EVERY = (
    *places.SYSCTL_FOLDERS,
    *places.SYSCTLS_OF_NAMESPACE,
    *places.FILES_OF_NAMESPACE,
    *places.TABLES,
    *places.FILES_OF_HOST,
    *places.MODULE_PARAMETERS,
    *CONFIGURED,
)


@pytest.mark.parametrize("path", EVERY)
def test_a_place_is_a_plain_path_below_the_root(path: str) -> None:
    assert path == path.strip("/")
    assert not {"", ".", ".."} & set(path.split("/"))
    assert path.split("/", maxsplit=1)[0] in {"proc", "sys", "etc", "run", "usr", "lib"}
    assert path.isascii()
    assert " " not in path
    assert "*" not in path


@pytest.mark.parametrize("path", EVERY)
def test_no_place_waits_or_acts(path: str) -> None:
    assert not any(fnmatch(path, pattern) for pattern in NEVER)
    assert "trace_pipe" not in path
    assert not path.endswith(("/flush", "drop_caches", "compact_memory"))  # writing or reading these acts
    assert not path.startswith(("etc/shadow", "etc/ssl", "etc/passwd"))


def test_each_place_is_named_once() -> None:
    assert len(EVERY) == len(set(EVERY))


def test_the_limits_and_the_counters_are_among_them() -> None:
    assert "proc/sys/net/netfilter" in places.SYSCTL_FOLDERS
    assert "proc/sys/net/nf_conntrack_max" in places.SYSCTLS_OF_NAMESPACE
    assert "proc/sys/net/ipv4/ip_conntrack_max" in places.SYSCTLS_OF_NAMESPACE  # up to v2.6.19 and as its alias after
    assert "proc/net/stat/nf_conntrack" in places.FILES_OF_NAMESPACE
    assert places.TABLES == ("proc/net/nf_conntrack", "proc/net/ip_conntrack")
    assert "sys/module/nf_conntrack/parameters" in places.MODULE_PARAMETERS


def test_what_every_machine_has_is_collected() -> None:
    assert set(places.EXPECTED) <= set(places.FILES_OF_HOST)


def test_what_every_machine_has_is_read() -> None:
    assert all(for_reader(path) for path in places.EXPECTED)


def test_a_witness_is_a_name_as_proc_prints_it() -> None:
    # TASK_COMM_LEN is 16 with its zero byte: include/linux/sched.h
    assert all(0 < len(name) <= 15 for name in places.WITNESSES)


def test_a_word_of_the_command_line_tells_no_secret() -> None:
    line = "BOOT_IMAGE=/vmlinuz root=UUID=1 password=x ip=10.0.0.1 nf_conntrack.hashsize=8 mem=4G luks.key=y".split()
    kept = [word for word in line if any(wanted in word for wanted in places.BOOT_WORDS)]
    assert kept == ["BOOT_IMAGE=/vmlinuz", "nf_conntrack.hashsize=8", "mem=4G"]


def test_the_states_of_tcp_as_the_kernel_numbers_them() -> None:
    # include/net/tcp_states.h: TCP_ESTABLISHED = 1 … TCP_CLOSING, TCP_NEW_SYN_RECV = 12, printed as %02X
    assert sorted(places.TCP_STATES) == [f"{number:02X}" for number in range(1, 13)]
    assert {places.TCP_STATES[number] for number in ("01", "06", "0A")} == {"ESTABLISHED", "TIME_WAIT", "LISTEN"}
    assert places.TCP_STATES["0C"] == places.TCP_STATES["03"] == "SYN_RECV"
