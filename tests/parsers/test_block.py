"""What parsers are given and answer."""

from tablefull.facts.origin import Origin
from tablefull.parsers.block import Context, Line, Read


def test_an_origin_keeps_the_line_as_it_stood():
    line = Line(7, "net.core.somaxconn = 128", "> net.core.somaxconn = 128")
    assert Context("paste.txt").origin(line) == Origin("paste.txt", 7, "> net.core.somaxconn = 128")


def test_defaults():
    assert (Context("-").command, Context("-").path) == (None, None)
    assert Read(1, []).unread == ()
