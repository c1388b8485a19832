"""What every test may ask for, and the count of those that could not run.

A skip is an answer, never a silence: kernel tests that did not run are counted with their reasons at the end, and where CI
is set a kernel test without root is a failure.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache

import pytest
from hypothesis import HealthCheck, settings

IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
KERNEL_MARKS = ("realkernel", "vm")
COMPARED = "packets compared, "  # properties of tests/realkernel/test_twin.py
CLONE_NEWNET = 0x40000000  # include/uapi/linux/sched.h

# A machine under load is not a failing test: no profile has a deadline. CI is repeatable and its database would not last.
settings.register_profile("dev", deadline=None, max_examples=100)
settings.register_profile("ci", deadline=None, max_examples=200, derandomize=True, database=None, print_blob=True)
settings.register_profile(
    "fuzz",
    deadline=None,
    max_examples=int(os.environ.get("FUZZ_INPUTS", "20000")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IN_CI else "dev"))


# What a shell starts with `&` ignores Ctrl-C, and so would all that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@cache
def _why_no_namespace() -> str | None:
    """Why this process cannot make a network namespace; None where it can. Tried in a child, so nothing changes here."""
    attempt = (
        "import ctypes, os, sys\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        f"sys.exit(0 if libc.unshare({CLONE_NEWNET}) == 0 else os.strerror(ctypes.get_errno()))\n"
    )
    child = subprocess.run([sys.executable, "-c", attempt], capture_output=True, text=True, check=False)
    return None if child.returncode == 0 else f"a network namespace is refused: {child.stderr.strip()}"


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: many kernel tests wait for a timeout, a server or another machine."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Other machines boot first: they take longest, and what they wait for is nobody else's."""
    items.sort(key=lambda item: item.get_closest_marker("vm") is None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, with the reason; in CI a missing root is a failure instead."""
    if item.get_closest_marker("realkernel"):
        if os.geteuid() != 0:
            if IN_CI:
                pytest.fail("a kernel test needs root, and CI is set: run it as root", pytrace=False)
            pytest.skip("needs root")
        if why := _why_no_namespace():
            pytest.skip(why)
    if item.get_closest_marker("vm") and shutil.which("qemu-system-x86_64") is None:
        pytest.skip("needs qemu-system-x86_64 (Debian package qemu-system-x86)")


@pytest.fixture
def program() -> Callable[[str], str]:
    """``program("conntrack")`` is the path of that program, or the test is skipped with its name as the reason."""

    def find(name: str) -> str:
        path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if path is None:
            pytest.skip(f"needs {name} (scripts/test-packages names its package)")
        return path

    return find


def _is_kernel_test(report: pytest.TestReport) -> bool:
    return any(mark in report.keywords for mark in KERNEL_MARKS) or report.nodeid.startswith(
        ("tests/realkernel/", "tests/vm/")
    )


def _reason(report: pytest.TestReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """How many kernel tests ran, how many did not, and for which reasons."""
    yield
    stats = terminalreporter.stats
    ran = sum(1 for outcome in ("passed", "failed") for report in stats.get(outcome, []) if _is_kernel_test(report))
    compared: Counter[str] = Counter()
    seeds: set[object] = set()
    for report in stats.get("passed", []):
        for name, value in getattr(report, "user_properties", []):
            if name.startswith(COMPARED):
                compared[name.removeprefix(COMPARED)] += value
            elif name == "seed":
                seeds.add(value)
    skipped = Counter(_reason(report) for report in stats.get("skipped", []) if _is_kernel_test(report))
    if not ran and not skipped:
        return
    terminalreporter.section("kernel tests")
    terminalreporter.write_line(f"{ran} ran, {skipped.total()} skipped")
    if compared:
        shown = ", ".join(f"{name} {count:,}" for name, count in compared.items())
        named = ", ".join(sorted(map(str, seeds)))
        terminalreporter.write_line(f"kernel and twin agree on {compared.total():,} packets (seeds {named}): {shown}")
    for reason, count in skipped.most_common():
        terminalreporter.write_line(f"  {count:4}  {reason}")
