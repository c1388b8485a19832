"""Links inside a tree, planned files, the order of fragments."""

from pathlib import Path

import pytest

from tablefull.fixes.boot_tree import NOWHERE, Tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc/sysctl.d").mkdir(parents=True)
    (tmp_path / "usr/lib/sysctl.d").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "etc/sysctl.conf").write_text("a=1\n")
    (tmp_path / "etc/sysctl.d/99-sysctl.conf").symlink_to("../sysctl.conf")
    (tmp_path / "etc/sysctl.d/50-off.conf").symlink_to("/dev/null")
    (tmp_path / "etc/sysctl.d/60-far.conf").symlink_to("/usr/lib/sysctl.d/10-v.conf")
    (tmp_path / "etc/sysctl.d/70-loop.conf").symlink_to("70-loop.conf")
    (tmp_path / "usr/lib/sysctl.d/10-v.conf").write_text("v=1\n")
    (tmp_path / "usr/lib/sysctl.d/50-off.conf").write_text("off=1\n")
    return tmp_path


def test_links_stay_inside_the_tree(root: Path) -> None:
    tree = Tree(root)
    assert tree.resolve("/etc/sysctl.d/99-sysctl.conf") == "/etc/sysctl.conf"
    assert tree.resolve("/etc/sysctl.d/60-far.conf") == "/usr/lib/sysctl.d/10-v.conf"
    assert tree.resolve("/lib/sysctl.d/10-v.conf") == "/usr/lib/sysctl.d/10-v.conf"
    assert tree.resolve("/etc/sysctl.d/50-off.conf") == NOWHERE
    assert tree.resolve("/etc/sysctl.d/70-loop.conf") is None
    assert tree.text("/etc/sysctl.d/60-far.conf") == "v=1\n"
    assert tree.resolve("/../../etc/sysctl.conf") == "/etc/sysctl.conf"


def test_fragments_by_name_the_first_folder_counts(root: Path) -> None:
    folders = ("/etc/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
    found = Tree(root, {"/etc/sysctl.d/10-v.conf": "mine=1\n"}).fragments(folders)
    assert [(one.path, one.text) for one in found] == [
        ("/etc/sysctl.d/10-v.conf", "mine=1\n"),
        ("/etc/sysctl.d/60-far.conf", "v=1\n"),
        ("/etc/sysctl.d/99-sysctl.conf", "a=1\n"),
    ]


def test_planned_files_stand_where_no_folder_is(root: Path) -> None:
    tree = Tree(root, {"/etc/modules-load.d/x.conf": "nf_conntrack\n"})
    assert tree.names("/etc/modules-load.d") == ["x.conf"]
    assert tree.executable("/etc/modules-load.d/x.conf")
    assert not tree.exists("/etc/modules-load.d/y.conf")
    assert tree.fragment("/etc/modules-load.d/y.conf") is None


def test_what_is_no_file_is_none_and_never_raises(root: Path) -> None:
    tree = Tree(root)
    assert tree.text("/etc") is None
    assert tree.text("/etc/sysctl.d/50-off.conf") is None
    assert tree.text("/a\0b") is None
    assert tree.names("/not") == []
    assert not tree.is_file("/etc/sysctl.d")
