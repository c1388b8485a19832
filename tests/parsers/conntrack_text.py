"""How the tests of the table's parsers hand text over, and the text they try to break them with."""

import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st

from tablefull.facts.origin import Fact
from tablefull.parsers.block import Context, Line, Read
from tablefull.parsers.clean import clean

CAPTURES = Path(__file__).parents[1] / "captures"
PLAIN = CAPTURES / "debian-12-conntrack"
ACCOUNTED = CAPTURES / "debian-12-conntrack-acct"
Parser = Callable[..., Read | None]

_PIECES = st.sampled_from(
    "tcp      6|udp      17|unknown 2|unknown  253 597|ipv4     2|ipv6 10|431999|ESTABLISHED|SYN_SENT|LISTEN|src=1.2.3.4|dst=|"
    "src=|dst=::1|sport=1|dport=443|type=8|code=0|id=|srckey=0x0|[UNREPLIED]|[ASSURED]|[OFFLOAD]|[HW_OFFLOAD]|mark=0|zone=1|use=2|"
    "use=|packets=1|bytes=²|proto=6|l3proto = 2|master-src=1|[NEW]|[DESTROY]|[12.5]|...|3 flow entries have been shown.|"
    "cpu=0|cpu=|found=1|drop=5|insert_failed=0|cpu=0 \tfound=0 drop=1|entries|searched|clashres|entries  searched found|entries 12|"
    'searched 5|found 1|0000000d|00000000 00000000|0000000|12|<flow|<flow>|<flow type="new">|<meta direction="original">|'
    '<layer4 protonum="6" protoname="tcp">|<src>1</src>|</meta>|</flow>|<conntrack>|</conntrack>|<?xml|<!ENTITY a "&a;">|&amp;|'
    "99999999999999999999999999999999|٣|²|\u2003|\t|=|,|:|[|<|>".split("|")
)
LINES = st.lists(
    st.one_of(
        st.text(max_size=60),
        st.lists(st.one_of(_PIECES, st.text(max_size=5)), max_size=14).map(" ".join),
        st.lists(_PIECES, max_size=20).map(" ".join),
    ),
    min_size=1,
    max_size=12,
)
COMMANDS = st.sampled_from(
    (None, "conntrack -L", "conntrack -C", "conntrack -S", "while true; do conntrack -C; sleep 1; done", "conntrack -L -p tcp",
     "conntrack -L | wc -l", "conntrack -C; sysctl -n net.netfilter.nf_conntrack_max")
)  # fmt: skip


def captured(capture: Path, name: str) -> list[Line]:
    """A file of a capture as the reader hands it to a parser."""
    return clean((capture / name).read_text().splitlines())


def facts_of(read: Parser, text: str | list[Line], command: str | None = None, path: str | None = None) -> list[Fact]:
    """The facts of a text that has to be one block from its first line to its last, with nothing unread."""
    lines = clean(text.splitlines()) if isinstance(text, str) else text
    answer = read(lines, 0, Context("-", command, path))
    assert answer is not None, text
    assert answer.used == len(lines), (answer.used, len(lines))
    assert not answer.unread, answer.unread
    return answer.facts


def refuses(read: Parser, text: str, command: str | None = None) -> bool:
    """Whether the parser answers None at the first line."""
    return read(clean(text.splitlines()), 0, Context("-", command)) is None


def holds_for(read: Parser, texts: list[str], command: str | None) -> None:
    """The contract: an answer that uses at least one line and no more than there are, or None, whatever the text."""
    lines = [Line(number, text, text) for number, text in enumerate(texts, 1)]
    for at in range(len(lines)):
        answer = read(lines, at, Context("-", command))
        if answer is not None:
            assert 1 <= answer.used <= len(lines) - at
            assert all(fact.origin.line >= at + 1 for fact in answer.facts)


_N = 40_000
ADVERSARIAL = (
    "a" * _N, "src=" * _N, " src=" * _N, "src=1 " * _N, "tcp 6 1 src=" + "a" * _N, "tcp " * _N + "src=1", "1 " * _N + "src=1",
    "tcp 6 1 src=1 dst=2 " + "sport=1 dport=2 " * _N, "[" * _N + " tcp 6 src=1", "A" * _N + " src=", "tcp 6 1 " + "A_" * _N + " src=1",
    "cpu=0 " + "drop=1 " * _N, "drop=1 " * _N, "cpu=0 " * _N, "entries  searched " + "found " * _N, "entries  searched" + " " * _N + "x",
    "0" * _N, "00000000 " * _N, "00000000" + " " * _N + "x", ":" * _N, " " * _N + "x", "9" * _N,
    "<flow" * _N, "<flow " * _N, "<" * _N, "<a" * _N, "<flow>" + "<a>" * _N, "<flow " + "a=" * _N + ">", "<flow " + "a='" * 60 + ">" * _N,
    "<flow><" + "a" * _N, "<flow>" + "&amp;" * _N, "entries " + " " * _N + "1x", "tcp 6 1 src=1 dst=2 sport=1 dport=2 src=" + " " * _N,
)  # fmt: skip


def seconds(read: Parser, texts: list[str], command: str | None) -> float:
    """How long the parser takes over every block of these lines, asked the way the reader asks."""
    lines = [Line(number, text, text) for number, text in enumerate(texts, 1)]
    context = Context("-", command)
    begun = time.thread_time()
    at = 0
    while at < len(lines):
        answer = read(lines, at, context)
        at += answer.used if answer is not None else 1
    return time.thread_time() - begun


def is_linear(read: Parser, command: str | None = None) -> None:
    """Nothing costs its length squared, in one line, in a thousand pieces or as three thousand lines that are alike."""
    for text in ADVERSARIAL:
        assert seconds(read, [text], command) < 1.5, text[:60]
        short = [text[start : start + 60] for start in range(0, min(len(text), 60_000), 60)]
        assert seconds(read, short, command) < 1.5, text[:60]
        assert seconds(read, [text[:60]] * 3000, command) < 1.5, text[:60]
