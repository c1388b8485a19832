"""Pasted text made plain; expected lines are what a person would have typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.parsers.block import Line
from tablefull.parsers.clean import MAX_LINE, clean, clean_line

LOG = "[12.5] nf_conntrack: table full, dropping packet"


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        (LOG, LOG),
        (LOG + "  \r\n", LOG),
        ("\ufeff" + LOG, LOG),
        ("ï»¿" + LOG, LOG),
        ("\x1b[31m[12.5] \x1b[1mnf_conntrack\x1b[0m: table full, dropping packet\x1b[K", LOG),
        ("[12.5] \x1b]8;;http://x\x07nf_conntrack\x1b]8;;\x07: table full, dropping packet", LOG),
        ("[12.5] [01;31m[Knf_conntrack[m[K: table full, dropping packet", LOG),
        ("^[[33m[12.5] nf_conntrack: table full, dropping packet^[[0m", LOG),
        ("[12.5] nf_conn\u200btrack: ta\u00adble\u00a0full, dropping\u2007packet", LOG),
        ("> " + LOG, LOG),
        ("> > " + LOG, LOG),
        (">> " + LOG, LOG),
        (" > >" + LOG, LOG),
        ("&gt; &gt; " + LOG, LOG),
        (">  pkts bytes target", " pkts bytes target"),
        ("> ", ""),
        (">", ""),
        ("a &lt;b&gt; &#39;c&#x27; &quot;d&quot; &amp; e&nbsp;f", "a <b> 'c' \"d\" & e f"),
        ("a &amp;gt; b", "a > b"),
        ("&bogus; & x", "&bogus; & x"),
        ("<pre><code class='x'>" + LOG + "</code></pre>", LOG),
        ("<td>net.netfilter.nf_conntrack_max</td><td>65536</td>", "net.netfilter.nf_conntrack_max 65536"),
        ("`" + LOG + "`", LOG),
        ("```console", ""),
        ("~~~", ""),
        ("``` ", ""),
        ("nf_conntrack：table full，dropping packet。", "nf_conntrack:table full,dropping packet."),
        ("１２３ ＝ ４", "123 = 4"),
        ("“a” ‘b’", "\"a\" 'b'"),
        ("10%\r50%\r100%", "100%"),
        ("b\x08bo\x08ol\x08ld\x08d", "bold"),
        ("nul\x00s", "nuls"),
        ("\tct state established", "\tct state established"),
        ("<4>[12.5] x", "<4>[12.5] x"),
        ("if a > b < c", "if a > b < c"),
        ("[m]", "[m]"),
        ("", ""),
    ],
)
def test_one_line(raw, plain):
    assert clean_line(raw) == plain


def test_numbers_and_the_line_as_it_stood():
    assert clean(["> a", "b\r\n"], first=4) == [Line(4, "a", "> a"), Line(5, "b", "b")]


def test_lines_of_one_html_line_share_its_number():
    lines = clean(["x", "[1.5] a<br>[1.6] b<br/>c</p>", "d"])
    assert [(line.number, line.text) for line in lines] == [
        (1, "x"),
        (2, "[1.5] a"),
        (2, "[1.6] b"),
        (2, "c"),
        (3, "d"),
    ]


@pytest.mark.parametrize(
    ("halves", "whole"),
    [
        (["[12.5] nf_conntrack: table full, dropping", "packet."], "[12.5] nf_conntrack: table full, dropping packet."),
        (["[12.5] nf_conntrack: table full,", "dropping packet"], "[12.5] nf_conntrack: table full, dropping packet"),
        (["[12.5] nf_conntrack: table", "full, dropping packet"], "[12.5] nf_conntrack: table full, dropping packet"),
        (["[12.5] nf_conntrack:", "table full, dropping packet"], "[12.5] nf_conntrack: table full, dropping packet"),
        (
            ["Nov 23 10:00:00 web1 kernel:", "nf_conntrack: table full, dropping packet"],
            "Nov 23 10:00:00 web1 kernel: nf_conntrack: table full, dropping packet",
        ),
        (["> [12.5]", "> nf_conntrack: table full, dropping packet"], LOG),
        (["[1.5] net_ratelimit: 321", "callbacks suppressed"], "[1.5] net_ratelimit: 321 callbacks suppressed"),
        (["[1.5] net_ratelimit:", "321 callbacks suppressed"], "[1.5] net_ratelimit: 321 callbacks suppressed"),
        (["[1.5] net_ratelimit: 321 callbacks", "suppressed"], "[1.5] net_ratelimit: 321 callbacks suppressed"),
        (["net.netfilter.nf_conntrack_max", "= 65536"], "net.netfilter.nf_conntrack_max = 65536"),
        (["net.netfilter.nf_conntrack_max =", "65536"], "net.netfilter.nf_conntrack_max = 65536"),
        (
            ["The server is under about 10M hits", "per day, mostly small files."],
            "The server is under about 10M hits per day, mostly small files.",
        ),
        (
            ["kernel:", "nf_conntrack: table full, dropping", "packet"],
            "kernel: nf_conntrack: table full, dropping packet",
        ),
    ],
)
def test_a_line_a_mail_client_broke(halves, whole):
    (line,) = clean(halves)
    assert (line.number, line.text) == (1, whole)
    assert line.raw == " ".join(halves)


@pytest.mark.parametrize(
    "lines",
    [
        ["net.netfilter.nf_conntrack_max", "65536"],
        ["nf_conntrack: table full, dropping packet", "packet loss follows"],
        ["$ cat /proc/sys/net/netfilter/nf_conntrack_max", "65536"],
        ["[see below]", "nf_conntrack: table full"],
        ["65536", "= is the limit"],
        ["", "= 7"],
        ["a short line", "per day"],
    ],
)
def test_lines_of_their_own_stay_apart(lines):
    assert [line.text for line in clean(lines)] == lines


def test_a_very_long_line_is_cut():
    assert len(clean_line("a" * (MAX_LINE + 10))) == MAX_LINE


@given(st.text(max_size=300))
def test_any_text_gives_lines(text):
    raw = text.splitlines()
    lines = clean(raw)
    assert all(1 <= line.number <= len(raw) for line in lines)
    assert all("\n" not in line.text and "\r" not in line.text for line in lines)
