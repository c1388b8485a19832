"""The switches, at the trees where each was seen and at their neighbours."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.kernel.changes import CHANGES, has
from tablefull.kernel.identity import parse_release, version_text


@pytest.mark.parametrize(
    ("change", "release", "value", "basis"),
    [
        ("gc-worker", "4.8.15", False, "version"),
        ("gc-worker", "4.9.115", True, "version"),
        ("gc-worker", "3.10.0-1160.el7.x86_64", False, "version"),
        ("early-drop-walk", "4.16.13", False, "version"),
        ("early-drop-walk", "4.18.0-147.el8.x86_64", True, "vendor"),
        ("early-drop-walk", "4.14.177", True, "version"),
        ("early-drop-walk", "4.14.32-coreos", None, "unknown"),
        ("early-drop-walk", "4.19.78", True, "version"),
        ("big-host-tier", "3.19.8", False, "version"),
        ("big-host-tier", "3.10.0-1160.el7.x86_64", True, "vendor"),
        ("unack-cap", "2.6.32-642.el6.x86_64", True, "vendor"),
        ("unack-cap", "3.10.4", False, "version"),
        ("compat-sysctls", "4.8.15", True, "version"),
        ("compat-sysctls", "4.9.115", False, "version"),
        ("load-line", "4.14.177", True, "version"),
        ("load-line", "4.16.13", False, "version"),
        ("gc-120s", "5.15.16", True, "version"),
        ("gc-120s", "5.18.1", False, "version"),
        ("rst-other-direction", "6.18.2", None, "unknown"),
        ("rst-other-direction", "6.18.44", True, "version"),
        ("rst-other-direction", "6.19.0", False, "version"),
        ("child-netns-max-readonly", "5.10.0-19-amd64", None, "unknown"),
        ("child-netns-max-readonly", "5.12.3", False, "version"),
        ("dccp-gone", "6.17.0", True, "version"),
        ("suppressed-exact", "6.14.0", False, "version"),
        ("hooks-by-rule", "4.13.4", False, "version"),
        ("hooks-by-rule", "4.18.0-147.el8.x86_64", True, "version"),
    ],
)
def test_switches(change: str, release: str, value: bool | None, basis: str) -> None:
    answer = has(change, parse_release(release))
    assert (answer.value, answer.basis) == (value, basis)
    assert answer.source


def test_no_kernel_no_answer() -> None:
    assert has("gc-worker", None).basis == "unknown"
    with pytest.raises(KeyError):
        has("no-such-change", None)


def test_the_table_is_well_formed() -> None:
    for name, change in CHANGES.items():
        assert name == name.lower()
        assert change.what
        assert change.source
        assert change.until is None or change.until > change.since
        for point in change.backports:
            if isinstance(point, str):
                assert point.startswith("el")
            else:
                assert len(point) == 3
                assert point < change.since or change.until is not None, name


@given(st.sampled_from(sorted(CHANGES)), st.integers(2, 7), st.integers(0, 40), st.integers(0, 400))
def test_value_and_basis_agree(change: str, major: int, minor: int, patch: int) -> None:
    answer = has(change, parse_release(f"{major}.{minor}.{patch}"))
    assert (answer.value is None) == (answer.basis == "unknown")


def test_the_documentation_holds_the_same_table() -> None:
    page = (Path(__file__).parents[2] / "docs/kernel/README.md").read_text()
    for name, change in CHANGES.items():
        backports = ", ".join(p if isinstance(p, str) else version_text(p) for p in change.backports)
        gone = version_text(change.until) if change.until else ""
        row = f"| `{name}` | {change.what} | {version_text(change.since)} | {backports} | {gone} | {change.source} |"
        assert row in page, name
