"""Memory; expected values come from free and /proc/meminfo of the capture, or are read off the text."""

from hypothesis import given
from machine_text import CAPTURE, COMMANDS, LINES, facts_of, holds_for, is_linear, line_of, lines_of

from tablefull.parsers.block import Context
from tablefull.parsers.memory import mentions, read

KIB = 1024
OLD = """             total       used       free     shared    buffers     cached
Mem:       8174456    7971212     203244          0     286484    6543208
-/+ buffers/cache:    1141520    7032936
Swap:      2096472        192    2096280"""


def one(text, command=None, path=None):
    (fact,) = facts_of(read, text, command, path)
    return fact.total_bytes, fact.available_bytes


def test_the_old_columns():
    assert one(OLD) == (8174456 * KIB, 7032936 * KIB)
    assert one("\n".join(OLD.splitlines()[1:2])) == (8174456 * KIB, (203244 + 286484 + 6543208) * KIB)


def test_this_capture_in_every_unit():
    def numbers(name):
        words = (CAPTURE / "commands" / name).read_text().splitlines()[1].split()
        return int(words[1]), int(words[-1])

    for name, command, unit in (
        ("free", "free", KIB),
        ("free-m", "free -m", KIB**2),
        ("free-wb", "free -w -b", 1),
        ("busybox-free", "free", KIB),
    ):
        total, available = numbers(name)
        text = (CAPTURE / "commands" / name).read_text()
        assert one(text, command) == (total * unit, available * unit)
        assert one(text) == (total * unit, available * unit), "without its command"
    total, available = one((CAPTURE / "commands/free-h").read_text(), "free -h")
    kib = numbers("free")[0] * KIB
    assert abs(total - kib) < KIB**3
    assert available > 0


def test_top_and_localized():
    assert one(
        "KiB Mem : 16266300 total,  1234567 free,  5353000 used,  2223 buff/cache\nKiB Swap: 0 total, 0 free, 0 used. 3421700 avail Mem"
    ) == (16266300 * KIB, 3421700 * KIB)
    german = "              gesamt       benutzt     frei      gemns.  Puffer/Cache verfügbar\nSpeicher:    16094036     5028448     1014932      415524    10050656    10306760"
    assert one(german) == (16094036 * KIB, 10306760 * KIB)


def test_meminfo():
    text = (CAPTURE / "proc/meminfo").read_text()
    shown = {line.split()[0]: int(line.split()[1]) * KIB for line in text.splitlines()}
    assert one(text) == (shown["MemTotal:"], shown["MemAvailable:"])
    assert one(
        "MemTotal:        1026312 kB\nMemFree:           60000 kB\nBuffers:            1000 kB\nCached:            20000 kB"
    ) == (1026312 * KIB, 81000 * KIB)
    assert one("MemTotal:        1026312 kB") == (1026312 * KIB, None)


def said(text):
    return [(f.total_bytes, f.stated) for f in mentions(line_of(text), Context("-"))]


def test_mentions():
    assert said("After the update v0.58.5 -> v0.59.1; 16GB of RAM and no load:") == [(16 << 30, True)]
    assert said("NAT on a fresh 1 GB Debian/Ubuntu VPS. A few active peers") == [(1 << 30, True)]
    assert said("The box has 512 MB RAM") == [(512 << 20, True)]
    assert said("Limit is the default 262144 (more than 4 GiB of RAM).") == []
    assert said("after a pod has received some 3 GB of data") == []


def test_other_lines_are_not_claimed():
    for text in ("Mem: 16GB", "free as in beer", "total used", "total 64"):
        assert read(lines_of(text), 0, Context("-", "free -m")) is None


@given(LINES, COMMANDS)
def test_any_text_is_answered(texts, command):
    holds_for(read, texts, command)


def test_time_is_linear():
    is_linear(read)
