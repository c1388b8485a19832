import re

from tablefull.wire import linktypes, loops


def test_names() -> None:
    assert linktypes.name_of(1) == "Ethernet (1)"
    assert linktypes.name_of(239) == "Linux NFLOG (239)"
    assert linktypes.name_of(9999) == "link type 9999"


def test_what_is_read_is_read_by_the_loops() -> None:
    assert {kind for kind in range(300) if loops._is_read(kind)} == linktypes.READ
    assert all(re.fullmatch(r".*[A-Za-z0-9] \(\d+\)", linktypes.name_of(kind)) for kind in linktypes.READ)
