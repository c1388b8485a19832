"""Stand-ins for one import: they say what the real modules say, and nobody finds them afterwards."""

import inspect
import platform
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from tablefull.views import quick


@given(st.text(max_size=200))
def test_a_text_is_cleaned_as_the_real_module_cleans_it(text: str) -> None:
    assert quick._Inspect("inspect").cleandoc(text) == inspect.cleandoc(text)


def test_any_other_word_is_the_real_module_s() -> None:
    stands_in = quick._Inspect("inspect")
    assert stands_in.isfunction is inspect.isfunction
    assert stands_in.currentframe() is not None
    assert quick._Platform("platform").machine is platform.machine
    assert quick._Platform("platform").system() == platform.system()


def after(code: str) -> str:
    """What a fresh interpreter prints after click was imported so."""
    begin = "from tablefull.views import quick; quick.import_click(); quick.import_msgspec(); import sys, click; "
    return subprocess.run([sys.executable, "-c", begin + code], capture_output=True, text=True, check=True).stdout


def test_nobody_finds_a_stand_in() -> None:
    assert after("print([one in sys.modules for one in ('inspect', 'platform', 'typing_extensions')])") == (
        "[False, False, False]\n"
    )
    assert after("import inspect, platform; print(inspect.isclass(int), platform.system())") == "True Linux\n"
    assert after("import uuid; print(uuid.uuid4().version, click.UUID.name)") == "4 uuid\n"


def test_what_is_there_already_is_taken() -> None:
    code = (
        "import inspect, platform; from tablefull.views import quick; quick.import_click(); import click; "
        "print(click.core.inspect is inspect)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True\n"


def test_click_works_with_it() -> None:
    """Help of several lines, a default that is a function, the frames that a version option looks at."""
    code = """
@click.command()
@click.option("--one", default=lambda: "made", help="first\\n  second")
@click.version_option("7", package_name="x")
def it(one): click.echo(one)
from click.testing import CliRunner
print(repr(CliRunner().invoke(it, []).output), CliRunner().invoke(it, ["--help"]).output.count("first second"))
print(CliRunner().invoke(it, ["--version"]).output)
"""
    assert after(f"exec({code!r})") == "'made\\n' 1\nit, version 7\n\n"
