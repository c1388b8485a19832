"""The fixes of another host, from its bundle or a paste: commands for a person there, never acts here.

The trap: evidence says what a host was, not what it is. So nothing of it can be applied: the text form is the
diagnosis's own page of fixes, and the script is made of its commands as they are, a note where a person has to think.
"""

import json
import sys

from tablefull import __version__
from tablefull.errors import EXIT_BLIND, EXIT_FINE
from tablefull.fixes.diagnosis import Diagnosis, diagnose
from tablefull.fixes.plan import Plan
from tablefull.views import json_
from tablefull.views.output import emit, say
from tablefull.views.terminal import Page, harmless, wants_colour, width_of


def show(paths: tuple[str, ...], form: str, output: str | None) -> int:
    """The best fixes for what these files show. The exit code."""
    from tablefull.views.commands_diagnose import read_evidence

    found = diagnose(read_evidence(paths).snapshot)
    if not any(plan.id != "none" for plan in found.fixes):
        say(f"tablefull: nothing to fix in {' and '.join(map(harmless, paths))}: {found.headline}")
        return EXIT_FINE if found.full.state == "no" else EXIT_BLIND
    if form == "json":
        fixes = json.loads(json_.render(found))["fixes"]
        whole = {"schema": "tablefull/fix-evidence/1", "tool": __version__, "fixes": fixes}
        emit(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", output, utf8=True)
    elif form == "markdown":
        from tablefull.views import markdown

        emit(markdown.fixes(found), output, utf8=True)
    elif form == "sh":
        emit(shell(found), output, utf8=True)
    elif form == "ansible":
        emit(ansible(found), output, utf8=True)
    else:
        from tablefull.views import text

        page: Page = text.fixes(found, 80 if output else width_of(sys.stdout))
        emit(page.coloured() if output is None and wants_colour(sys.stdout) else page.plain(), output)
    return EXIT_FINE


def shell(found: Diagnosis) -> str:
    """The first fix as a script; the others behind it as comments."""
    lines = ["#!/bin/sh", "# Made by tablefull fix from evidence. Read it before you run it; it needs root.", "set -eu"]
    for number, plan in enumerate(found.fixes):
        lines += ["", *_comments(f"{plan.id} on {plan.host}: {plan.title}"), *_comments(f"Risk: {plan.risk}")]
        for heading, commands in (
            ("", plan.commands),
            ("to make it last:", plan.persist),
            ("to see that it worked:", plan.verify),
            ("to take it back:", plan.undo),
        ):
            if heading:
                lines.append(f"# {heading}")
            for command in commands:
                lines += command.split("\n") if number == 0 and not heading else _comments(command)
    return "\n".join(lines) + "\n"


def _comments(text: str) -> list[str]:
    return [f"# {harmless(line)}" for line in text.split("\n")]


def ansible(found: Diagnosis) -> str:
    """The first fix as a playbook; YAML by being JSON behind a comment."""
    from tablefull.views.fix_script import as_yaml, untemplated

    plan: Plan = found.fixes[0]
    tasks = [
        {"name": untemplated(f"{plan.id} {number}"), "ansible.builtin.shell": {"cmd": untemplated(command)}}
        for number, command in enumerate((one for one in plan.commands if not one.startswith("#")), 1)
    ]
    play = [
        {
            "name": untemplated(harmless(f"{plan.id}: {plan.title}")),
            "hosts": untemplated(harmless(plan.host)),
            "become": True,
            "gather_facts": False,
            "tasks": tasks,
        }
    ]
    notes = [line for command in plan.commands if command.startswith("#") for line in _comments(command.lstrip("# "))]
    head = ["---", *_comments(f"Made by tablefull fix from evidence. Risk: {plan.risk}"), *notes]
    return "\n".join(head) + "\n" + as_yaml(play) + "\n"
