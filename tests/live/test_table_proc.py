"""Lines of /proc/net/nf_conntrack as rows: equal to what netlink says of the same entries."""

import pytest
from tests.realkernel.table_space import table_space

from tablefull.facts.origin import Origin
from tablefull.live.netlink import Netlink, in_namespace
from tablefull.live.table import rows
from tablefull.live.table_proc import row
from tablefull.live.table_proc import rows as lines
from tablefull.parsers.conntrack_entries import decode
from tablefull.wire import ctnetlink as at
from tablefull.wire.dimensions import named

NAMES = ("state", "source", "destination", "reply-source", "dport", "sport", "family", "zone", "mark", "nat", "status")


def test_a_line_by_hand() -> None:
    text = (
        "ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=203.0.113.1 sport=4000 dport=443 packets=5 bytes=500 "
        "src=10.0.0.9 dst=192.0.2.1 sport=8443 dport=4000 packets=4 bytes=400 [ASSURED] mark=7 zone=3 use=2"
    )
    entry = decode(text, Origin("-", 1, ""))
    assert entry is not None
    found = row(entry)
    assert (found[at.R_SRC], found[at.R_REPLY_SRC], found[at.R_REPLY_DST]) == (0x0A000001, 0x0A000009, 0xC0000201)
    assert (found[at.R_PROTO], found[at.R_STATE], found[at.R_TIMEOUT]) == (6, 3, 431999)
    assert (found[at.R_MARK], found[at.R_ZONE], found[at.R_PACKETS + 1], found[at.R_REPLY_BYTES + 1]) == (7, 3, 5, 400)
    assert found[at.R_STATUS] == 0b111110  # seen reply, assured, confirmed, translated at both ends
    assert found[at.R_PRESENT] & at.HAS_COUNTERS


@pytest.mark.realkernel
def test_as_netlink_says_it() -> None:
    with table_space() as space:
        space.fill(2000)
        with Netlink(namespace=space.path) as link:
            theirs = list(rows(link, at.Reader()))
        ours = in_namespace(space.path, lambda: list(lines()))

    def told(found: list[at.Row]) -> list[tuple[str, ...]]:
        said = []
        for each in found:
            words = []
            for name in NAMES:
                dimension = named(name)
                masks = dimension.masks or (0xFFFFFFFF,) * len(dimension.words)
                key = tuple(each[word] & mask for word, mask in zip(dimension.words, masks, strict=True))
                words.append(dimension.say(key))
            said.append(tuple(words))
        return sorted(said)

    assert told(ours) == told(theirs)


def test_no_such_file() -> None:
    with pytest.raises(OSError, match="No such file"):
        in_namespace(None, lambda: list(_without_files()))


def _without_files():
    from tablefull.live import table_proc

    paths, table_proc.PATHS = table_proc.PATHS, ("/nonexistent/one", "/nonexistent/two")  # type: ignore[assignment]
    try:
        yield from table_proc.rows()
    finally:
        table_proc.PATHS = paths
