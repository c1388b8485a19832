import gzip
from pathlib import Path

import pytest

from tablefull.live.parts import CONNTRACK, IPSET, NFTABLES, Parts
from tablefull.live.proc import Proc


@pytest.fixture
def modular(tmp_path: Path) -> Path:
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/version").write_text("Linux version 6.1.0")
    (tmp_path / "proc/sys/kernel/osrelease").write_text("6.1.0\n")
    (tmp_path / "proc/sys/kernel/modules_disabled").write_text("0\n")
    (tmp_path / "proc/modules").write_text("nf_tables 303104 1 - Live 0x0\nnf_tables_x 1 0 - Live 0x0\n")
    return tmp_path


def test_a_loaded_module_is_there_and_a_longer_name_is_not_it(modular: Path) -> None:
    parts = Parts(Proc(modular))
    assert parts.have(NFTABLES) is True
    assert parts.askable(NFTABLES)
    assert parts.have(CONNTRACK) is None
    assert not parts.askable(CONNTRACK)


def test_a_folder_of_sys_module_is_enough(modular: Path) -> None:
    (modular / "sys/module" / CONNTRACK).mkdir(parents=True)
    assert Parts(Proc(modular)).have(CONNTRACK) is True


def test_modules_builtin_names_what_never_stands_in_proc_modules(modular: Path) -> None:
    folder = modular / "lib/modules/6.1.0"
    folder.mkdir(parents=True)
    (folder / "modules.builtin").write_text("kernel/net/netfilter/nf_conntrack_netlink.ko\nkernel/fs/ext4/ext4.ko\n")
    parts = Parts(Proc(modular))
    assert parts.have(CONNTRACK) is True
    assert parts.have(IPSET) is False


@pytest.mark.parametrize(("option", "have"), [("y", True), ("m", False)])
def test_the_configuration_tells_built_in_from_module(modular: Path, option: str, have: bool) -> None:
    text = f"CONFIG_NF_CT_NETLINK={option}\n# CONFIG_IP_SET is not set\n"
    (modular / "proc/config.gz").write_bytes(gzip.compress(text.encode()))
    parts = Parts(Proc(modular))
    assert parts.have(CONNTRACK) is have
    assert parts.have(IPSET) is False


def test_a_broken_configuration_tells_nothing(modular: Path) -> None:
    (modular / "proc/config.gz").write_bytes(gzip.compress(b"CONFIG_IP_SET=y\n" * 99)[:-20])
    assert Parts(Proc(modular)).have(IPSET) is None


def test_where_nothing_can_be_loaded_everything_may_be_asked(modular: Path) -> None:
    (modular / "proc/sys/kernel/modules_disabled").write_text("1\n")
    assert Parts(Proc(modular)).askable(IPSET)


def test_a_kernel_without_modules_has_no_list_of_them(modular: Path) -> None:
    (modular / "proc/modules").unlink()
    assert Parts(Proc(modular)).askable(IPSET)


def test_an_unreadable_proc_is_no_kernel_without_modules(tmp_path: Path) -> None:
    assert not Parts(Proc(tmp_path)).askable(IPSET)
