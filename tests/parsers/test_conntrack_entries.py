"""Rows of the table: what the kernel and conntrack printed for entries of known making, and the shapes of older ones."""

import pytest
from conntrack_text import ACCOUNTED, COMMANDS, LINES, PLAIN, captured, facts_of, holds_for, is_linear, refuses
from hypothesis import given
from hypothesis import strategies as st

from tablefull.facts.entry import Composition, CtTuple, Entry, EntryCount
from tablefull.facts.origin import Origin
from tablefull.parsers.block import Context, Line
from tablefull.parsers.clean import clean
from tablefull.parsers.conntrack_entries import BLOCK, compose, fold, read

ORIGIN = Origin("-", 1, "")
TCP = (
    "ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=40000 dport=443 "
    "src=10.0.0.2 dst=10.0.0.1 sport=443 dport=40000 [ASSURED] mark=0 zone=0 use=2"
)
# What the capture's program made (CAPTURE.toml): destination port or ICMP type, and how far it got.
MADE = {
    ("icmp", 8), ("icmpv6", 128), ("udplite", 99), ("tcp", 5202), ("udp", 53), ("udp", 123), ("tcp", 5201), ("tcp", 21),
    ("sctp", 2000), ("tcp", 8080), ("unknown", None), ("gre", None),
}  # fmt: skip


def one(text, command=None) -> Entry:
    (entry,) = facts_of(read, text, command)
    assert isinstance(entry, Entry)
    return entry


def entries(capture, name) -> list[Entry]:
    return [fact for fact in facts_of(read, captured(capture, name)) if isinstance(fact, Entry)]


def by_use(rows: list[Entry]) -> dict[tuple[str, int | None], Entry]:
    return {(e.l4proto, e.original.dport if e.original.icmp_type is None else e.original.icmp_type): e for e in rows}


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("proc/net/nf_conntrack", True),
        ("commands/conntrack-L", False),
        ("commands/conntrack-L-o-extended", True),
        ("commands/conntrack-L-o-timestamp-id-ktimestamp", False),
    ],
)
def test_the_same_table_in_every_listing(name, family):
    for capture, rows in ((PLAIN, 13), (ACCOUNTED, 14)):
        found = entries(capture, name)
        assert len(found) == rows
        assert {key for key in by_use(found) if key != ("tcp", 22)} == MADE
        assert {e.family for e in found} == ({"ipv4", "ipv6"} if family else {None})


def test_columns_of_the_capture():
    use = by_use(entries(PLAIN, "proc/net/nf_conntrack"))
    open_one = use["tcp", 5201]
    assert (open_one.state, open_one.remaining_s, open_one.assured, open_one.unreplied) == (
        "ESTABLISHED",
        431997,
        True,
        False,
    )
    assert open_one.original == CtTuple("10.9.0.1", "10.9.0.1", 59386, 5201)
    assert open_one.reply == CtTuple("10.9.0.1", "10.9.0.1", 5201, 59386)
    assert (open_one.protonum, open_one.mark, open_one.zone, open_one.use, open_one.packets_original) == (
        6,
        0,
        0,
        2,
        None,
    )
    closed = use["tcp", 8080]
    assert (closed.state, closed.remaining_s, closed.mark) == ("TIME_WAIT", 117, 42)
    assert use["udp", 53].zone == 7
    assert (use["udp", 123].zone, use["udp", 123].unreplied, use["udp", 123].state) == (3, True, None)
    assert use["icmp", 8].original == CtTuple("10.9.0.1", "10.9.0.77", None, None, 8, 0, 77)
    assert use["icmpv6", 128].reply == CtTuple(*["fd09:0000:0000:0000:0000:0000:0000:0001"] * 2, None, None, 129, 0, 77)
    assert (use["unknown", None].protonum, use["unknown", None].remaining_s) == (253, 597)
    assert (use["gre", None].protonum, use["gre", None].remaining_s, use["gre", None].state) == (47, 27, None)
    assert (use["sctp", 2000].state, use["sctp", 2000].remaining_s) == ("CLOSED", 7)
    assert by_use(entries(PLAIN, "commands/conntrack-L"))["tcp", 21].helper == "ftp"


def test_accounting():
    use = by_use(entries(ACCOUNTED, "commands/conntrack-L-o-timestamp-id-ktimestamp"))
    ftp = use["tcp", 21]
    assert (ftp.packets_original, ftp.bytes_original, ftp.packets_reply, ftp.bytes_reply) == (5, 390, 4, 266)
    assert (ftp.helper, ftp.use, ftp.mark) == ("ftp", 1, 0)
    assert use["gre", None].packets_reply == 0


def test_events():
    for name, stamped in (("commands/conntrack-E", False), ("commands/conntrack-E-o-timestamp-id-extended", True)):
        found = entries(PLAIN, name)
        assert [sum(e.event == event for e in found) for event in ("NEW", "UPDATE", "DESTROY")] == [14, 24, 1]
        assert all((e.timestamp_s is not None) == stamped for e in found)
        (gone,) = [e for e in found if e.event == "DESTROY"]
        assert (gone.original.dport, gone.state, gone.remaining_s, gone.unreplied) == (443, "CLOSE", 119, True)
    composition = compose(entries(PLAIN, "commands/conntrack-E"))
    assert composition is not None
    assert (composition.rows, composition.events) == (0, 39)


def test_the_closing_sentence():
    (count,) = [
        f for f in facts_of(read, captured(PLAIN, "commands/conntrack-L-o-extended")) if isinstance(f, EntryCount)
    ]
    assert (count.count, count.how) == (13, "listed")
    text = "conntrack v1.4.6 (conntrack-tools): 3 flow entries have been shown."
    assert [f.count for f in facts_of(read, text, "conntrack -L")] == [3]
    assert facts_of(read, text, "conntrack -L -p tcp --state TIME_WAIT") == []
    assert facts_of(read, text, "conntrack -L -s 10.0.0.1") == []
    assert refuses(read, "conntrack v1.4.7 (conntrack-tools): 39 flow events have been shown.")
    assert refuses(read, "conntrack v1.4.7 (conntrack-tools): 0 expectations have been shown.")


def test_expectations_are_no_rows():
    for name in ("proc/net/nf_conntrack_expect", "commands/conntrack-L-expect"):
        lines = captured(ACCOUNTED, name)
        rows = [line for line in lines if "src=" in line.text]
        assert len(rows) == 1
        assert facts_of(read, rows) == []
    assert refuses(read, "300 proto=6 src=10.0.0.1 dst=10.0.0.2 sport=0 dport=5001")


def test_old_listings():
    two_four = "tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1024 dport=22 src=10.0.0.2 dst=10.0.0.1 sport=22 dport=1024 [ASSURED] use=1 "
    entry = one(two_four)
    assert (entry.family, entry.assured, entry.mark, entry.use) == (None, True, None, 1)
    acct = one(
        "udp      17 29 src=10.0.0.1 dst=10.0.0.2 sport=53 dport=53 packets=1 bytes=60 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 "
        "sport=53 dport=53 packets=0 bytes=0 mark=0 secmark=0 use=1"
    )
    assert (acct.unreplied, acct.bytes_original, acct.packets_reply, acct.remaining_s) == (True, 60, 0, 29)
    unknown = one("unknown  2 588 src=10.0.0.1 dst=224.0.0.1 [UNREPLIED] src=224.0.0.1 dst=10.0.0.1 use=1")
    assert (unknown.l4proto, unknown.protonum, unknown.remaining_s) == ("unknown", 2, 588)
    secctx = one(
        TCP.replace("zone=0", "secctx=system_u:object_r:unlabeled_t:s0 zone=5 delta-time=77").replace(
            "use=2", "use=2 labels=a,b"
        )
    )
    assert (secctx.zone, secctx.use) == (5, 2)
    assert one("tcp 6 60 LISTEN src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 use=1").state == "SYN_SENT2"
    dccp = one(
        "ipv4 2 dccp 33 43200 OPEN src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 use=1"
    )
    assert (dccp.protonum, dccp.state, dccp.remaining_s) == (33, "OPEN", 43200)


def test_offload_prints_neither_timeout_nor_state():
    text = (
        "tcp      6 src=192.168.1.10 dst=10.0.1.1 sport=42984 dport=5201 packets=2 bytes=112 src=10.0.1.1 dst=10.0.1.2 sport=5201 "
        "dport=42984 packets=1 bytes=60 [{}] mark=0 use=2"
    )
    for flag in ("OFFLOAD", "HW_OFFLOAD"):
        entry = one(text.format(flag))
        assert (entry.remaining_s, entry.state, entry.assured) == (None, None, False)
        assert (entry.offload, entry.hw_offload) == (flag == "OFFLOAD", flag == "HW_OFFLOAD")
        assert entry.reply == CtTuple("10.0.1.1", "10.0.1.2", 5201, 42984)


def test_anonymised():
    entry = one(
        "ipv4     2 tcp      6 363090 ESTABLISHED src=xx.xx.xx.73 dst= sport=80 dport=63423 [UNREPLIED] "
        "src=yy.yy.yy.61 dst=xx.xx.xx.73 sport=63423 dport=80 mark=0 secmark=0 use=2"
    )
    assert entry.original == CtTuple("xx.xx.xx.73", "", 80, 63423)
    assert entry.unreplied
    redacted = one(
        "tcp 6 10 CLOSE src=[REDACTED] dst=x.x.x.x sport=xxx dport=443 src=x.x.x.x dst=[REDACTED] sport=443 dport=xxx use=1"
    )
    assert redacted.original == CtTuple("[REDACTED]", "x.x.x.x", None, 443)


@pytest.mark.parametrize(
    "prefix", ["/proc/net/nf_conntrack:", "     12 ", "17:", "router-1  | ", "Nov  3 10:00:00 gw dump: "]
)
def test_what_stands_before_a_row(prefix):
    entry, plain = one(prefix + TCP), one(TCP)
    assert (entry.family, entry.original, entry.state, entry.remaining_s) == (
        "ipv4",
        plain.original,
        "ESTABLISHED",
        431999,
    )
    assert one("/proc/net/ip_conntrack:" + TCP.removeprefix("ipv4     2 ")).l4proto == "tcp"


def test_wrapped_rows():
    plain = one(TCP)
    spaces = [at for at, character in enumerate(TCP) if character == " " and at >= TCP.index(" src=")]
    assert len(spaces) == 12
    for at in spaces:
        entry = one(TCP[:at] + "\n" + TCP[at + 1 :])
        assert (entry.original, entry.reply, entry.state) == (plain.original, plain.reply, plain.state), at
        assert (entry.assured, entry.use, entry.family, entry.remaining_s) == (True, 2, "ipv4", 431999), at
    first, second = facts_of(read, TCP.replace(" sport=443", "\nsport=443") + "\n" + TCP)
    assert (first.reply, first.use) == (second.reply, second.use) == (CtTuple("10.0.0.2", "10.0.0.1", 443, 40000), 2)
    assert (first.origin.line, second.origin.line) == (1, 3)
    inside = one(TCP.replace("sport=443", "spo\nrt=443"))
    assert inside.reply == CtTuple("10.0.0.2", "10.0.0.1", 443, 40000)
    assert one(TCP.replace("dport=443", "dport=4\n43")).original.dport == 443


def test_cut_rows():
    lines = clean([TCP, "ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.1 ds"])
    answer = read(lines, 0, Context("-"))
    assert answer is not None
    assert (answer.used, len(answer.facts), [line.number for line, _ in answer.unread]) == (2, 1, [2])
    partial = one("ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=40000 dport=443 ...")
    assert (partial.original.dport, partial.reply) == (443, None)


def test_sentences_are_not_claimed():
    for text in (
        "the entry has src=1.2.3.4 and more",
        "IN=eth0 SRC=10.0.0.1 src=x",
        '<img src="http://x/">',
        "tcp and udp",
        "src=1.2.3.4",
    ):
        assert refuses(read, text), text


def test_a_long_listing_comes_in_blocks():
    lines = clean([TCP] * (BLOCK + 5))
    answer = read(lines, 0, Context("-"))
    assert answer is not None
    assert (answer.used, len(answer.facts)) == (BLOCK, BLOCK)


def test_composition():
    lines = (PLAIN / "proc/net/nf_conntrack").read_text().splitlines()
    composition = Composition(first=ORIGIN)
    assert fold(lines, composition, "x") == 13
    assert composition.by_l4proto == {
        "tcp": 4,
        "udp": 2,
        "icmp": 2,
        "icmpv6": 1,
        "udplite": 1,
        "sctp": 1,
        "unknown": 1,
        "gre": 1,
    }
    assert composition.by_state == {"ESTABLISHED": 3, "TIME_WAIT": 1, "CLOSED": 1}
    assert (composition.assured, composition.unreplied, composition.offload) == (4, 5, 0)
    assert composition.unreplied_by_state == {"udplite": 1, "udp": 1, "CLOSED": 1, "unknown": 1, "gre": 1}
    assert composition.remaining_over_3600_s == 3
    assert composition.by_dport["tcp/5201"] == composition.by_dport["gre"] == 1
    assert composition.by_source == {"10.9.0.1": 11, "fd09:0000:0000:0000:0000:0000:0000:0001": 2}
    assert composition.kept[0].origin == Origin("x", 1, lines[0])
    assert compose([]) is None


def same(texts: list[str]) -> None:
    composition = Composition(first=ORIGIN)
    composition.kept.extend([one(TCP)] * Composition.KEEP)  # so that every row is counted the quick way
    reference = Composition(first=ORIGIN, kept=list(composition.kept))
    counted = fold(texts, composition, "-")
    for text in texts:
        answer = read([Line(1, text, text)], 0, Context("-"))
        for fact in answer.facts if answer is not None else ():
            if isinstance(fact, Entry):
                reference.add(fact)
    assert composition == reference
    assert counted == reference.rows


def test_counting_is_reading():
    for capture in (PLAIN, ACCOUNTED):
        for name in ("proc/net/nf_conntrack", "commands/conntrack-L", "commands/conntrack-E"):
            same((capture / name).read_text().splitlines())


ROWS = st.tuples(
    st.sampled_from(["", "ipv4     2 ", "ipv6     10 ", "ipv4 3 ", "    [NEW] ", "3 "]),
    st.sampled_from(["tcp      6 ", "udp 17 ", "tcp 17 ", "sctp 132 ", "unknown 2 ", "icmp 1 "]),
    st.sampled_from(["", "0 ", "3600 ", "3601 ", "431999 ", "10000000000 "]),
    st.sampled_from(["", "ESTABLISHED ", "LISTEN ", "SYN_SENT ", "x "]),
    st.sampled_from(
        [
            "src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 ",
            "src= dst=2 sport=1 dport=2 ",
            "src=1 dst=2 sport=1 dport=٣ ",
            "src=1 dst=a=b ",
        ]
    ),
    st.sampled_from(["", "packets=1 bytes=2 ", "zone-orig=3 "]),
    st.sampled_from(["", "[UNREPLIED] "]),
    st.sampled_from(["", "src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1 ", "src=2 dst=1 "]),
    st.sampled_from(["", "[ASSURED] ", "[OFFLOAD] ", "[HW_OFFLOAD] "]),
    st.sampled_from(
        [
            "",
            "mark=0 use=1",
            "mark=0 [ASSURED]",
            "mark=1 zone=2 use=2 [UNREPLIED]",
            "mark=0 zone=0 use=2 ...",
            "mark=0 src=9",
        ]
    ),
).map("".join)


@given(st.lists(ROWS, max_size=5))
def test_counting_any_row_is_reading_it(rows):
    same([row for row in rows if "dst=" in row])


@given(LINES, COMMANDS)
def test_any_text(texts, command):
    holds_for(read, texts, command)
    fold(texts, Composition(first=ORIGIN), "-")


def test_no_text_is_slow():
    is_linear(read)
