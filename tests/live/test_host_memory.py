"""MemTotal, or nothing."""

from pathlib import Path

from tablefull.live.host_memory import memory_bytes
from tablefull.live.proc import Proc


def test_memory(tmp_path: Path) -> None:
    assert memory_bytes(Proc(tmp_path)) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:        1024 kB\nMemFree: 1 kB\n")
    assert memory_bytes(Proc(tmp_path)) == 1 << 20
    (tmp_path / "proc/meminfo").write_text("MemTotal: many kB\n")
    assert memory_bytes(Proc(tmp_path)) is None
