"""What the commands answer, read from their contracts; and what is no answer."""

import json

import pytest

from tablefull.errors import KernelRefused
from tablefull.lab import answers


def test_a_diagnosis() -> None:
    found = answers.diagnosed(
        json.dumps(
            {
                "verdict": {"table_full": "yes", "headline": "Yes."},
                "causes": [{"id": "bridge-nf", "confidence": 0.76, "why": "it is 1"}],
                "fixes": [{"id": "disable-bridge-nf"}],
            }
        ),
        "",
    )
    assert (found.table_full, found.causes[0].id, found.fixes) == ("yes", "bridge-nf", ("disable-bridge-nf",))


def test_who_asks_and_not_who_only_takes_part() -> None:
    rule = {"what": "stateful filter", "by": ["conntrack"], "where": ["iptables filter old"], "asks": True}
    bridge = {"what": "bridge-nf", "by": ["bridge"], "where": [], "asks": False}
    space = {"active": {"IPv4": {"state": "yes"}, "IPv6": {"state": "no"}}, "reasons": [rule, bridge]}
    found = answers.asked(json.dumps({"namespaces": [space]}), "")
    assert found.active == ("IPv4 yes", "IPv6 no")
    assert found.reasons == ("stateful filter (iptables filter old)",)


def test_a_table_beside_the_count() -> None:
    top = [{"key": f"tcp {number}", "share": 0.1} for number in range(9)]
    found = answers.counted(json.dumps({"entries": 5, "sampled": True, "by": {"state": {"top": top}}}), "", 6)
    assert (found.entries, found.count, found.sampled, len(found.states)) == (5, 6, True, answers.MOST_STATES)


@pytest.mark.parametrize(
    ("text", "complaint", "says"),
    [("", "", "it said nothing"), ("", "no right", "no right"), ("Killed", "", "Killed"), ("[]", "", "something else")],
)
def test_no_answer_is_no_guess(text: str, complaint: str, says: str) -> None:
    with pytest.raises(KernelRefused, match=says):
        answers.diagnosed(text, complaint)
