"""Which options go together: what none of the named fixes takes is refused, and nothing is changed."""

import click
import pytest

from tablefull.errors import UsageError
from tablefull.fixes import steps
from tablefull.views import fix_words
from tablefull.views.commands_fix import fix


def typed(*words: str) -> dict[str, str]:
    """Through click's own parser, without running the command."""
    return fix_words.given(fix.make_context("fix", list(words)))


def test_what_was_typed_and_nothing_else() -> None:
    assert typed("raise-max", "--max", "9", "--format", "text") == {"limit": "--max", "form": "--format"}
    assert typed("-o", "x") == {"output": "--output"}
    assert typed() == {}


def test_every_option_of_a_fix_is_one_of_the_command_and_every_fix_is_one_there_is() -> None:
    names = {one.name for one in fix.params if isinstance(one, click.Option)}
    assert set(fix_words.MEANT) <= names
    assert {taker for takers in fix_words.MEANT.values() for taker in takers} <= set(steps.MAKERS)


@pytest.mark.parametrize(
    ("words", "fixes", "said"),
    [
        (("--max", "9"), ("notrack",), r"^--max is for raise-max and raise-expect-max, not for notrack"),
        (("--where", "udp"), ("raise-max", "notrack"), r"^--where is for flush-entries, not for raise-max, notrack"),
        (("--max", "9"), ("notrack", "raise-max"), ""),
        (("--persist", "--netns", "x"), ("notrack",), ""),
    ],
)
def test_an_option_of_another_fix(words: tuple[str, ...], fixes: tuple[str, ...], said: str) -> None:
    if not said:
        fix_words.of_these(typed(*words), fixes)
        return
    with pytest.raises(UsageError, match=said):
        fix_words.of_these(typed(*words), fixes)


def test_options_beside_what_takes_none() -> None:
    fix_words.only(typed("--status", "--state", "x"), ("asked", "place"), "--status")
    with pytest.raises(UsageError, match=r"^--confirm goes without --netns, --probe$"):
        fix_words.only(typed("--confirm", "--netns", "x", "--probe", "h:1"), ("confirm",), "--confirm")
