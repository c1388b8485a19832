"""Lines as /proc/net prints them; loopback's MTU is 65536 in every namespace (drivers/net/loopback.c)."""

from pathlib import Path

import pytest

from tablefull.live.reached import address, interfaces, mtu, sessions

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue
   0: 0100000A:0016 4D01090A:D431 01 00000000:00000000
   1: 0100000A:0050 0201090A:D432 01 00000000:00000000
   2: 00000000:0016 00000000:0000 0A 00000000:00000000
   3: 0100000A:0016 0301090A:D432 06 00000000:00000000
"""


def test_open_sessions_of_port_22() -> None:
    assert sessions(TCP) == ["10.9.1.77"]
    assert sessions("") == []
    assert sessions(TCP, 80) == ["10.9.1.2"]
    assert sessions(TCP, 443) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0100007F", "127.0.0.1"),
        ("0000000000000000FFFF00004E01090A", "10.9.1.78"),
        ("B80D0120000000000000000001000000", "2001:db8::1"),
        ("xyz", None),
        ("01", None),
    ],
)
def test_addresses(text: str, wanted: str | None) -> None:
    assert address(text) == wanted


def test_the_default_route_or_what_there_is() -> None:
    routes = (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
        "eth1\t0000090A\t00000000\t1\t0\t0\t0\t00FFFFFF\n"
        "eth0\t00000000\t0100000A\t3\t0\t0\t0\t00000000\n"
    )
    devices = "head\nhead\n    lo: 0 0\n  eth0: 1 2\n"
    assert interfaces(routes, devices) == ["eth0"]
    assert interfaces("", devices) == ["eth0"]
    assert interfaces("", "") == []


def test_the_mtu_of_loopback() -> None:
    assert mtu("lo") == int(Path("/sys/class/net/lo/mtu").read_text())
    assert mtu("$(reboot)") is None
