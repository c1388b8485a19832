"""One rule's finding on one text, for the tests of the rule files."""

from tablefull.parsers.reader import read_text
from tablefull.rules.case import Case
from tablefull.rules.engine import run
from tablefull.rules.finding import Finding


def found(text: str, cause: str) -> Finding | None:
    """The strongest finding of a cause, or None where its rule said nothing."""
    return next((one for one in run(Case(read_text(text))).findings if one.cause == cause), None)


def fired(text: str, cause: str) -> Finding:
    """The same where silence is a failure."""
    one = found(text, cause)
    assert one is not None, f"{cause} said nothing"
    return one


FULL = "nf_conntrack: table full, dropping packet\n"


def rows(count: int, form: str, **fields: object) -> str:
    """Rows of ``/proc/net/nf_conntrack`` from one form; ``{i}`` is the row's number from 0."""
    return "\n".join(form.format(i=number, **fields) for number in range(count)) + "\n"


TCP = (
    "ipv4     2 tcp      6 {left} {state} src=10.0.{i}.1 dst=192.0.2.7 sport=4{i:04} dport=443 {mark}"
    "src=192.0.2.7 dst=10.0.{i}.1 sport=443 dport=4{i:04} {assured}mark=0 use=2"
)
UDP = (
    "ipv4     2 udp      17 {left} src=10.0.{i}.1 dst=192.0.2.7 sport=4{i:04} dport={port} "
    "src=192.0.2.7 dst=10.0.{i}.1 sport={port} dport=4{i:04} mark=0 use=2"
)


def tcp(count: int, state: str, left: int = 60, mark: str = "", assured: str = "[ASSURED] ") -> str:
    """TCP rows in one state, each from another source."""
    return rows(count, TCP, left=left, state=state, mark=mark, assured=assured)


def udp(count: int, port: int, left: int = 25) -> str:
    """UDP rows to one port, each from another source."""
    return rows(count, UDP, left=left, port=port)
