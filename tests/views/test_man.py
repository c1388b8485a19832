"""The manual page is roff that a formatter accepts, and says what --help says."""

import subprocess
from collections.abc import Callable

import click

from tablefull.views import cli
from tablefull.views.man import page, roff


def _page() -> str:
    return page(cli.cli, click.Context(cli.cli, info_name="tablefull"), "2026-01-31")


def test_no_text_becomes_a_request() -> None:
    assert roff(".hidden\n'quoted'\n-x \\e") == "\\&.hidden\n\\(aqquoted\\(aq\n\\-x \\ee"


def test_mandoc_has_nothing_to_say(program: Callable[[str], str]) -> None:
    done = subprocess.run(
        [program("mandoc"), "-T", "lint", "-W", "warning"], input=_page(), capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
    assert done.returncode == 0


def test_every_command_and_option_is_in_it() -> None:
    text = _page()
    for name in cli.COMMANDS:
        assert f".SS tablefull {name}" in text
    for option in ("--format", "--explain-rules", "--redact", "--warning", "--debug"):
        assert roff(option) in text
    assert "\b" not in text
