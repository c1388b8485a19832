"""Every exception is one line and one exit code (DESIGN section 3)."""

import pytest

from tablefull import errors
from tablefull.errors import KernelRefused, ParseError, StalePlan, TablefullError, Unreadable, UsageError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("no such id: raise-mx"), 2),
        (ParseError("a count is no number", "dump.txt", 7, "cpu=x"), 2),
        (Unreadable("/proc/net/nf_conntrack", "permission denied", "run as root"), 3),
        (KernelRefused("EPERM"), 4),
        (StalePlan("nf_conntrack_max moved"), 4),
    ],
)
def test_code_and_line(error: TablefullError, code: int) -> None:
    assert error.exit_code == code
    assert isinstance(error, TablefullError)
    assert str(error)
    assert "\n" not in str(error)


def test_the_codes_of_the_contract() -> None:
    assert (errors.EXIT_FINE, errors.EXIT_FINDING, errors.EXIT_USAGE, errors.EXIT_BLIND, errors.EXIT_REFUSED) == (
        0,
        1,
        2,
        3,
        4,
    )


def test_a_broken_text_says_where() -> None:
    error = ParseError("a count is no number", "dump.txt", 7, "cpu=x")
    assert str(error) == "dump.txt:7: a count is no number"
    assert (error.source, error.line, error.text) == ("dump.txt", 7, "cpu=x")
    assert str(ParseError("empty", "dump.txt")) == "dump.txt: empty"


def test_unreadable_says_what_would_help() -> None:
    error = Unreadable("/proc/net/nf_conntrack", "permission denied", "run as root", 13)
    assert str(error) == "/proc/net/nf_conntrack: permission denied; run as root"
    assert error.errno == 13
