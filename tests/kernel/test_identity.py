"""Release strings as they stand in the incidents and in distributions; expected numbers are read off the string by eye."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.kernel import identity
from tablefull.kernel.identity import KernelVersion, at_least, between, enterprise, parse_release, pick


@pytest.mark.parametrize(
    ("text", "numbers", "vendor", "hidden"),
    [
        ("3.2.0-24-generic", (3, 2, 0), "ubuntu", True),
        ("2.6.32-431.el6.x86_64", (2, 6, 32), "el6", False),
        ("4.14.32-coreos", (4, 14, 32), "coreos", False),
        ("5.14.0-162.12.1.el9_1", (5, 14, 0), "el9", True),
        ("5.14.0-162.12.1.el9_1.0.2.x86_64", (5, 14, 0), "el9", True),
        ("6.1.0-41-rt-amd64", (6, 1, 0), "debian", True),
        ("2.6.18-194.el5", (2, 6, 18), "el5", False),
        ("2.6.18-194.el5xen", (2, 6, 18), "el5", False),
        ("5.4.72-v8+", (5, 4, 72), "raspberrypi", False),
        ("4.15.0-1023-aws", (4, 15, 0), "ubuntu", True),
        ("4.15.0-1023-azure", (4, 15, 0), "azure", True),
        ("5.4.0-1023-gke", (5, 4, 0), "gke", True),
        ("2.6.32-042stab120.18", (2, 6, 32), "openvz", False),
        ("5.10.102.1-microsoft-standard-WSL2", (5, 10, 102), "wsl", False),
        ("4.14.186-146.268.amzn2.x86_64", (4, 14, 186), "amzn", False),
        ("2.6.32.43-0.4.1.xs1.8.0.835.170778xen", (2, 6, 32), "xen", False),
        ("2.6.32-5-xen-amd64", (2, 6, 32), "debian", False),
        ("3.16.0-4-686-pae", (3, 16, 0), "debian", True),
        ("6.12.33+deb13-cloud-amd64", (6, 12, 33), "debian", False),
        ("4.19.0+1", (4, 19, 0), "xen", True),
        ("5.10.133+", (5, 10, 133), "cos", False),
        ("4.14.35-1902.300.11.el7uek.x86_64", (4, 14, 35), "uek", False),
        ("6.1.1-1.el7.elrepo.x86_64", (6, 1, 1), "elrepo", False),
        ("5.15.102-1-pve", (5, 15, 102), "proxmox", False),
        ("6.6.1-arch1-1", (6, 6, 1), "arch", False),
        ("4.4.217", (4, 4, 217), None, False),
        ("6.18.44-fc-v657", (6, 18, 44), None, False),
    ],
)
def test_release_strings(text: str, numbers: tuple[int, int, int], vendor: str | None, hidden: bool) -> None:
    kernel = parse_release(text)
    assert kernel is not None
    assert (kernel.major, kernel.minor, kernel.patch) == numbers
    assert kernel.vendor == vendor
    assert kernel.patch_hidden is hidden
    assert kernel.release == text
    assert kernel.basis == "shown"


def test_uname_a_and_proc_version() -> None:
    uname = parse_release("Linux MYHOST 3.2.0-24-generic #37-Ubuntu SMP Wed Apr 25 08:43:22 UTC 2012 x86_64 GNU/Linux")
    assert uname is not None
    assert uname.release == "3.2.0-24-generic"
    host = parse_release("Linux web-4.2 5.4.0-42-generic #46-Ubuntu SMP x86_64 GNU/Linux")
    assert host is not None
    assert (host.major, host.minor) == (5, 4)
    version = parse_release(
        "Linux version 5.10.0-19-amd64 (debian-kernel@lists.debian.org) (gcc-10 (Debian 10.2.1-6) 10.2.1) "
        "#1 SMP Debian 5.10.149-2 (2022-10-21)"
    )
    assert version is not None
    assert (version.patch, version.patch_hidden) == (149, False)
    signature = parse_release("Ubuntu 3.2.0-24.37-generic 3.2.14")
    assert signature is not None
    assert (signature.minor, signature.release) == (2, "3.2.0-24.37-generic")


@pytest.mark.parametrize("text", ["", "iptables v1.8.7", "no version here", "10.0.0.1", "bad.2.6"])
def test_no_kernel(text: str) -> None:
    assert parse_release(text) is None


@given(st.text())
def test_parse_never_raises(text: str) -> None:
    kernel = parse_release(text)
    assert kernel is None or kernel.major >= 2


@given(st.integers(2, 9), st.integers(0, 99), st.integers(1, 400))
def test_plain_versions_are_read_back(major: int, minor: int, patch: int) -> None:
    kernel = parse_release(f"{major}.{minor}.{patch}")
    assert kernel is not None
    assert (kernel.major, kernel.minor, kernel.patch) == (major, minor, patch)
    assert at_least(kernel, major, minor, patch)
    assert not at_least(kernel, major, minor, patch + 1)


def test_a_hidden_patch_level_decides_nothing() -> None:
    debian = parse_release("6.1.0-41-rt-amd64")
    assert at_least(debian, 6, 1) is True
    assert at_least(debian, 6, 1, 20) is None
    assert at_least(debian, 6, 2) is False
    assert at_least(debian, 6, 0, 19) is True
    assert at_least(None, 2, 6) is None


def test_between_is_inclusive_by_line() -> None:
    kernel = parse_release("4.6.7")
    assert between(kernel, (3, 5), (4, 6)) is True
    assert between(kernel, (4, 7), None) is False
    assert between(None, (3, 5), None) is None


def test_enterprise_generation() -> None:
    assert enterprise(parse_release("2.6.32-042stab120.18")) == 6
    assert enterprise(parse_release("3.10.0-957.12.2.vz7.96.21")) == 7
    assert enterprise(parse_release("4.18.0-147.el8.x86_64")) == 8
    assert enterprise(parse_release("4.14.35-1902.300.11.el7uek.x86_64")) is None
    assert enterprise(parse_release("3.2.0-24-generic")) is None


def test_pick_takes_the_last_row_reached() -> None:
    rows = (((2, 6, 18), "a"), ((4, 9), "b"), ((5, 15), "c"))
    assert pick(parse_release("4.14.1"), rows) == "b"
    assert pick(parse_release("2.6.9"), rows) is None
    assert pick(None, rows) is None


def test_words_for_a_report() -> None:
    assert identity.text(None) == "unknown kernel"
    assert identity.text(KernelVersion(4, 9, 3, "")) == "4.9.3"
    assert identity.version_text((2, 6, 18)) == "2.6.18"
