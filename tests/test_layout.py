"""What the house promises of its own files."""

import re
import subprocess
from pathlib import Path

import pytest

from tablefull.fixes.catalog import FIXES
from tablefull.rules.meanings import CAUSES

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src/tablefull"
MODULES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))
MOST_LINES = 500
VAGUE = frozenset("util utils helper helpers common base misc manager managers handler handlers".split())
# Written so that this file does not hold what it looks for.
REGISTRIES = re.compile(rb"pypi[.]org|python[h]osted|deb[.]debian[.]org|registry[.]npmjs")
WORKPLACES = re.compile(rb"(?<![\w.~-])/(?:work|farm)/")
CACHES = frozenset(".git .venv build dist .hypothesis .pytest_cache .mypy_cache .ruff_cache __pycache__".split())


def committed() -> list[Path]:
    """The files under version control; where this tree is none (an unpacked release), all but caches."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        paths = [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not CACHES & set(path.relative_to(ROOT).parts)]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def test_the_modules_are_found() -> None:
    assert Path("__main__.py") in MODULES
    assert Path("live/streams.py") in MODULES


@pytest.mark.parametrize("module", [path for path in MODULES if path.name != "__init__.py"], ids=str)
def test_every_module_has_its_mirror(module: Path) -> None:
    mirror = ROOT / "tests" / module.parent / f"test_{module.name}"
    assert mirror.is_file(), f"{module} is to be tested by {mirror.relative_to(ROOT)}"
    assert re.search(r"^\s*(?:async )?def test_", mirror.read_text("utf-8"), re.MULTILINE), f"no test in {mirror}"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_module_is_longer_than_one_sitting(module: Path) -> None:
    assert len((SOURCE / module).read_bytes().splitlines()) <= MOST_LINES


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_name_that_says_nothing(module: Path) -> None:
    assert not VAGUE & {part.strip("_") for part in module.with_suffix("").parts}


@pytest.mark.parametrize("pattern", [REGISTRIES, WORKPLACES], ids=["registry", "workplace"])
def test_no_file_names_where_packages_come_from_or_where_it_was_written(pattern: re.Pattern[bytes]) -> None:
    paths = committed()
    assert ROOT / "pyproject.toml" in paths
    named = {str(path.relative_to(ROOT)): match[0] for path in paths if (match := pattern.search(path.read_bytes()))}
    assert named == {}


def test_the_patterns_find_what_they_look_for() -> None:
    for parts in (("pypi", "org"), ("deb", "debian", "org"), ("registry", "npmjs", "org")):
        assert REGISTRIES.search(b"https://" + ".".join(parts).encode() + b"/simple")
    assert REGISTRIES.search(b"files." + b"python" + b"hosted.org")
    for folder in (b"work", b"farm"):
        assert WORKPLACES.search(b"see /" + folder + b"/main")
        assert WORKPLACES.search(b"/" + folder + b"/")
        assert not WORKPLACES.search(b"src/" + folder + b"/x")


@pytest.mark.parametrize("name", sorted({*CAUSES, *FIXES}))
def test_every_cause_and_every_fix_has_its_page(name: str) -> None:
    page = ROOT / "docs/causes" / f"{name}.md"
    assert page.is_file()
    assert name in page.read_text("utf-8")
