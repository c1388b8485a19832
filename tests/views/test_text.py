"""What a person reads: everything there, in the order it is needed, in 80 columns."""

import pytest

from tablefull.fixes.diagnosis import Diagnosis
from tablefull.views import text
from tablefull.views.terminal import columns

ORDER = ["TABLE FULL: YES", "WHAT WAS LOST", "WHY", "THE NUMBERS", "WHAT TO DO", "WHAT TO LOOK AT NEXT", "HOSTS"]


def test_sections_stand_in_the_order_of_need(xen: Diagnosis) -> None:
    plain = text.render(xen, 80).plain()
    places = [plain.index(heading) for heading in ORDER]
    assert places == sorted(places)


def test_severity_is_a_word(xen: Diagnosis) -> None:
    assert f"SEVERITY: {xen.severity.upper()}" in text.render(xen, 80).plain()


def test_evidence_is_quoted_with_its_place(xen: Diagnosis) -> None:
    assert "xen-dom0.txt:38" in text.render(xen, 80).plain()


@pytest.mark.parametrize("width", [1, 40, 60, 80, 140, 500])
def test_sentences_keep_to_the_width_and_commands_stay_whole(xen: Diagnosis, width: int) -> None:
    page = text.render(xen, width)
    commands = {command for plan in xen.fixes[:1] for command in plan.commands}
    for command in commands:
        if not command.startswith("#"):
            assert command in page.plain()
    for line in page.lines:
        if line and line[-1][1] not in ("command", "strong") and not line[0][0].startswith("TABLE FULL"):
            assert columns("".join(piece for piece, _ in line)) <= max(page.width, 60)


def test_every_fix_in_full_when_asked(xen: Diagnosis) -> None:
    plain = text.render(xen, 80, all_fixes=True).plain()
    for plan in xen.fixes:
        for command in plan.commands:
            if not command.lstrip().startswith("#"):
                assert command in plain


def test_rules_are_listed_when_asked(xen: Diagnosis) -> None:
    plain = text.render(xen, 80, rules=True).plain()
    assert "RULES" in plain
    for outcome in xen.outcomes:
        assert outcome.rule in plain.replace("\n", " ")


def test_hostile_evidence_cannot_act(hostile: Diagnosis) -> None:
    page = text.render(hostile, 80, rules=True, all_fixes=True)
    plain = page.plain()
    assert all(character.isprintable() or character in "\n\t" for character in plain)
    assert "\\x1b[5m" in plain
    assert "[red]b[/red]" in plain
