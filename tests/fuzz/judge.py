"""What holds for any text: it is read, judged by every rule, and nothing breaks."""

from tablefull.facts.origin import Fact
from tablefull.parsers.reader import BROKE, Reader
from tablefull.rules.case import Case
from tablefull.rules.engine import run


def judge(text: str) -> None:
    """Raises AssertionError with a traceback in it, or whatever escaped, where the text breaks something."""
    reader = Reader()
    reader.document("-", text.splitlines())
    snapshot = reader.snapshot
    broke = [one for one in snapshot.unread if one.why.startswith(BROKE)]
    assert not broke, broke[0]
    length = text.count("\n") + len(text.splitlines()) + 1
    for host in snapshot.hosts:
        assert host.name
        for fact in host.facts:
            assert isinstance(fact, Fact)
            assert 1 <= fact.origin.line <= length, fact
    verdicts = run(Case(snapshot))
    broken = [outcome.detail for outcome in verdicts.outcomes if outcome.state == "broken"]
    assert not broken, broken[0]
    assert all(0 <= finding.confidence <= 1 for finding in verdicts.findings)
