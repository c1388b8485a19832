"""``tablefull top`` beside the running kernel: what it shows is what the kernel says, and it leaves nothing behind."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.realkernel.table_space import table_space
from tests.views.top_terminal import children, terminal

pytestmark = pytest.mark.realkernel


def test_a_table_that_fills_is_shown_snapped_and_left(tmp_path: Path, program: Callable[[str], str]) -> None:
    modules = Path("/proc/modules").read_text("utf-8") if Path("/proc/modules").exists() else ""
    with table_space(limit=4000) as space:
        space.fill(3700)
        with terminal("--netns", space.name, "--by", "dport", "--snapshots", str(tmp_path)) as held:
            held.until("3,700 of 4,000")
            held.until("HIGH")
            held.until("udp/53")
            held.until("diagnose ")
            space.fill(3900)  # those that are there stay
            held.until("3,900")
            held.until("ALMOST FULL")
            held.press("/udp\r")
            held.until("where udp")
            held.press("2")
            held.until(f"{space.name} (shown)"[:18])
            held.press("s")
            held.until("wrote ", 60)
            beside = children(held.program.pid)
            held.press("q")
            assert held.ended() == 0
            assert held.restored()
            assert "Traceback" not in held.text()
        assert beside  # the process that diagnoses
        assert all(not Path(f"/proc/{pid}").exists() for pid in beside)
        count = space.run(program("conntrack"), "-C").strip()
        assert count == "3900"
    (bundle,) = tmp_path.glob("tablefull-*.tar.gz")
    listed = subprocess.run(["tar", "tzf", str(bundle)], capture_output=True, text=True, check=True).stdout
    assert re.search(r"MANIFEST\.json", listed)
    assert modules == (Path("/proc/modules").read_text("utf-8") if Path("/proc/modules").exists() else "")


def test_a_full_table_refuses_and_it_is_shown(program: Callable[[str], str]) -> None:
    """Packets on lo that a rule tracks: half a second of them are more than there is room for."""
    send = (
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setblocking(False)\n"
        "for at in range(1500):\n    try: s.sendto(b'x', (f'127.1.{at >> 8}.{at & 255}', 9))\n    except OSError: pass\n"
    )
    with table_space(limit=1000) as space:
        space.run("ip", "link", "set", "lo", "up")
        space.run(program("iptables-legacy"), "-A", "OUTPUT", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT")
        with terminal("--netns", space.name, "--no-diagnose", size=(140, 50)) as held:
            held.until(" of 1,000")
            held.until("Kernel log")
            space.run("python3", "-c", send)
            held.until("FULL")
            held.until("packets refused")
            counters = space.run(program("conntrack"), "-S")
            drops = sum(int(number) for number in re.findall(r"\bdrop=(\d+)", counters))
            held.until(f"{drops:,}")
            held.press("q")
            assert held.ended() == 0
    assert drops > 400


def test_a_namespace_that_goes_away_is_told(tmp_path: Path) -> None:
    with table_space() as space:
        space.fill(10)
        held_by = terminal("--netns", space.name, "--no-diagnose", "--history", str(tmp_path / "none"))
        held = held_by.__enter__()
        held.until("10 of ")
    try:
        held.until("the count cannot be seen")
        held.press("q")
        assert held.ended() == 0
        assert "Traceback" not in held.text()
    finally:
        held_by.__exit__(None, None, None)
