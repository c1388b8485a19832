"""A plan handed over: as a shell script that checks before it writes, as an Ansible playbook, as Markdown.

The trap: what is handed over is run later, and elsewhere, by a program that quotes by its own rules. So every value
goes through that program's quoting whatever it holds, the script stops where a value is no longer what the plan saw,
and nothing that a host's evidence said stands in it except as a quoted word or a comment without a line's end.
"""

import json
import shlex
from collections.abc import Sequence

from tablefull.fixes.act import Act, Command, Commanded, Flush, HostPlan, OwnFile, SetValue, Step
from tablefull.views.fix_text import SCOPE, entering, predicted
from tablefull.views.terminal import harmless

_SCRIPT = r"""
say() { printf '%s\n' "$*" >&2; }
stop() { say "tablefull: $*"; exit 4; }
same() { [ "$(tr -s '[:space:]' ' ' <"$1" | sed 's/ $//')" = "$2" ]; }
change() { # file before after
    [ -r "$1" ] || stop "$1: it is not there"
    if same "$1" "$3"; then say "$1: is $3 already"; return; fi
    same "$1" "$2" || stop "$1: reads $(cat "$1"), and was $2 when the plan was made"
    printf '%s\n' "$3" >"$1"
    say "$1: $2 -> $3"
}
"""


def shell(plans: Sequence[HostPlan]) -> str:
    """A script for sh: it does the steps in order, and stops with 4 at the first that does not stand as planned."""
    lines = ["#!/bin/sh", "# Made by tablefull fix. Read it before you run it; it needs root.", "set -eu"]
    lines += [_comment(f"{plan.fix} on {_place(plan)}: {plan.title}") for plan in plans]
    lines.append(_SCRIPT.strip("\n"))
    for plan in plans:
        lines += _told(plan)
        if not plan.steps:
            lines.append(f"say {shlex.quote(_undone(plan))}")
            continue
        for number, step in enumerate(plan.steps, 1):
            lines += ["", _comment(f"{plan.fix} {number}: {step.title} ({SCOPE[step.scope]})")]
            lines += [_comment(f"before: {step.before}; after: {step.after}"), _comment(f"risk: {step.risk}")]
            prefix = entering(plan, step)
            for act in step.acts:
                lines += _act(act, prefix)
            lines += [_comment(f"verify: {shlex.join([*prefix, *command.argv])}") for command in step.verify]
        lines += ["", _comment(f"to take {plan.fix} back:")]
        for step in reversed(plan.steps):
            for act in reversed(step.acts):
                lines += [_comment(line) for line in _undo(act, entering(plan, step))]
    if not any(plan.steps for plan in plans):
        lines.append("stop 'nothing was done: this script holds no step'")
    return "\n".join(lines) + "\n"


def _act(act: Act, prefix: list[str], typed: bool = False) -> list[str]:
    """The lines that do it. ``typed``: by a person, one by one, so without the script's own functions."""
    say = r"printf '%s\n'" if typed else "say"
    if isinstance(act, SetValue):
        if typed:
            return [_value(act.path, act.after, prefix)]
        words = shlex.join([act.path, act.before, act.after])
        if not prefix:
            return [f"change {words}"]
        own = _SCRIPT.partition("say()")[2]
        return [f"{shlex.join(prefix)} sh -euc {shlex.quote('say()' + own + 'change ' + words)}"]
    if isinstance(act, OwnFile):
        path = shlex.quote(act.path)
        folder = shlex.quote(act.path.rpartition("/")[0] or "/")
        lines = [f"mkdir -p {folder}", f"printf '%s' {shlex.quote(act.after)} >{path}", f"chmod {act.mode:o} {path}"]
        if act.before is not None:
            return lines
        made = shlex.quote(f"{act.path}: somebody made it meanwhile")
        if typed:
            return [f"if [ -e {path} ]; then {say} {made}; else", *lines, "fi"]
        return [f"if [ -e {path} ]; then stop {made}; fi", *lines]
    if isinstance(act, Commanded):
        asks = [f"{_line(command, prefix)} >/dev/null 2>&1" for command in (*act.first, act.done)]
        asked = " && ".join([*asks[:-1], f"! {asks[-1]}" if act.turned else asks[-1]])
        body = "\n".join(f"    {_line(command, prefix)}" for command in act.do)
        return [f"if {asked}; then {say} {shlex.quote(f'{act.what}: is so already')}; else", body, "fi"]
    return [_comment("entries are deleted by tablefull, which names each one whole:"), _flush(act, prefix)]


def _value(path: str, value: str, prefix: list[str]) -> str:
    """The line that writes a value to a file of the kernel's."""
    write = f"printf '%s\\n' {shlex.quote(value)} >{shlex.quote(path)}"
    return shlex.join([*prefix, "sh", "-c", write]) if prefix else write


def _undo(act: Act, prefix: list[str]) -> list[str]:
    if isinstance(act, SetValue):
        return [_value(act.path, act.before, prefix)]
    if isinstance(act, OwnFile):
        if act.before is None:
            return [f"rm {shlex.quote(act.path)}"]
        return [f"printf '%s' {shlex.quote(act.before)} >{shlex.quote(act.path)}"]
    if isinstance(act, Commanded):
        return [_line(command, prefix) for command in act.undo]
    return ["deleted entries do not come back"]


def _flush(act: Flush, prefix: list[str]) -> str:
    return shlex.join([*prefix, "tablefull", "fix", "flush-entries", "--where", act.where, "--apply", "--yes"])


def _line(command: Command, prefix: list[str]) -> str:
    words = shlex.join([*prefix, *command.argv])
    return f"printf '%s' {shlex.quote(command.stdin)} | {words}" if command.stdin else words


def _comment(text: str) -> str:
    return "\n".join(f"# {harmless(line)}" for line in text.split("\n"))


def _place(plan: HostPlan) -> str:
    return plan.host if plan.netns is None else f"{plan.host}, network namespace {plan.netns}"


def _undone(plan: HostPlan) -> str:
    """Why nothing is done for a plan without steps, in one line that a terminal may show."""
    why = f"not offered here: {plan.refused}" if plan.refused else "told, not done: it is for a person to type"
    return harmless(f"tablefull: {plan.fix} is {why}")


def _told(plan: HostPlan) -> list[str]:
    lines = [_comment(f"not offered: {plan.refused}")] if plan.refused else []
    lines += [_comment(f"to know: {line}") for line in plan.told]
    return lines + [_comment(f"to type: {line}") for line in plan.typed]


def ansible(plans: Sequence[HostPlan]) -> str:
    """A playbook. It is YAML by being JSON behind a comment, so that no value can be read as anything but itself."""
    plays = []
    for plan in plans:
        tasks: list[dict[str, object]] = []
        for step in plan.steps:
            for act in step.acts:
                tasks += _tasks(step, act, entering(plan, step))
        if not tasks:
            tasks = [{"name": "Nothing is done here", "ansible.builtin.fail": {"msg": _raw(_undone(plan))}}]
        plays.append(
            {
                "name": _raw(f"{plan.fix} on {_place(plan)}: {plan.title}"),
                "hosts": _raw(plan.host),
                "become": True,
                "gather_facts": False,
                "tasks": tasks,
            }
        )
    head = (
        "---\n# Made by tablefull fix. Read it before you run it: ansible-playbook --check shows what would change.\n"
    )
    notes = [line for plan in plans for line in _told(plan)]
    return head + "".join(f"{line}\n" for line in notes) + as_yaml(plays) + "\n"


def _commanded_tasks(step: Step, act: Commanded, prefix: list[str]) -> list[dict[str, object]]:
    """Look, and do only where it is not so already. Each look waits for the one before: it may only be asked then."""
    tasks: list[dict[str, object]] = []
    asked: list[str] = []
    for number, command in enumerate((*act.first, act.done)):
        name = f"tablefull_look_{number}"
        task: dict[str, object] = {
            "name": _raw(f"{step.title}: look"),
            "ansible.builtin.command": {"argv": [untemplated(word) for word in (*prefix, *command.argv)]},
            "register": name,
            "failed_when": False,
            "changed_when": False,
            "check_mode": False,
        }
        if asked:
            task["when"] = " and ".join(asked)
        tasks.append(task)
        turned = act.turned and number == len(act.first)
        asked.append(f"({name}.rc | default({0 if turned else 1})) {'!=' if turned else '=='} 0")
    for command in act.do:
        do: dict[str, object] = {"argv": [untemplated(word) for word in (*prefix, *command.argv)]}
        if command.stdin:
            do["stdin"] = untemplated(command.stdin)
        tasks.append(
            {
                "name": _raw(f"{step.title}: {act.what}"),
                "ansible.builtin.command": do,
                "when": f"not ({' and '.join(asked)})",
            }
        )
    return tasks


def as_yaml(value: object) -> str:
    """JSON that is YAML too: YAML takes no pair of surrogates, and nothing that does not print."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "".join(one if one.isprintable() or one == "\n" else f"\\u{min(ord(one), 0xFFFD):04x}" for one in text)


def _raw(text: str) -> str:
    """Text of one line as Ansible's templates leave it."""
    return untemplated(harmless(text))


def untemplated(text: str) -> str:
    """A text that a template gives back as it is: as a string of the template's own where it looks like a template."""
    return "{{ " + json.dumps(text) + " }}" if any(sign in text for sign in ("{{", "{%", "{#")) else text


def _tasks(step: Step, act: Act, prefix: list[str]) -> list[dict[str, object]]:
    name = _raw(step.title)
    if isinstance(act, SetValue):
        lines = "\n".join([_SCRIPT.strip("\n"), f"change {shlex.join([act.path, act.before, act.after])}"])
        words = [untemplated(word) for word in (*prefix, "sh", "-euc", lines)]
        return [
            {
                "name": name,
                "ansible.builtin.command": {"argv": words},
                "register": "tablefull",
                "changed_when": "'already' not in tablefull.stderr",
            }
        ]
    if isinstance(act, OwnFile):
        copy = {"dest": untemplated(act.path), "content": untemplated(act.after), "mode": f"{act.mode:04o}"}
        return [{"name": name, "ansible.builtin.copy": copy | {"force": act.before is not None}}]
    if isinstance(act, Commanded):
        return _commanded_tasks(step, act, prefix)
    return [
        {
            "name": name,
            "ansible.builtin.command": {"argv": [untemplated(word) for word in shlex.split(_flush(act, prefix))]},
        }
    ]


def markdown(plans: Sequence[HostPlan]) -> str:
    """The plans as a page for a ticket."""
    from tablefull.views.markdown import fenced, inline

    parts: list[str] = []
    for plan in plans:
        parts += [f"## {plan.fix} on {inline(_place(plan))}", inline(plan.title)]
        if plan.refused:
            parts.append(f"**Not offered here:** {inline(plan.refused)}")
        for number, step in enumerate(plan.steps, 1):
            parts.append(f"### {number}. {inline(step.title)} ({SCOPE[step.scope]})")
            rows = [("Before", step.before), ("After", step.after), ("Risk", step.risk), ("Undo", step.undo)]
            if step.predicted is not None:
                rows.insert(3, ("Effect", predicted(step.predicted)))
            parts.append("\n".join(f"- {name}: {inline(text)}" for name, text in rows))
            prefix = entering(plan, step)
            lines = [part for act in step.acts for line in _act(act, prefix, typed=True) for part in line.split("\n")]
            parts.append(fenced(map(harmless, lines), "sh"))
            if step.verify:
                looks = (harmless(shlex.join([*prefix, *one.argv])) for one in step.verify)
                parts += ["See that it worked:", fenced(looks, "sh")]
        if plan.told:
            parts.append("\n".join(f"- {inline(line)}" for line in plan.told))
        if plan.typed:
            lines = [part for line in plan.typed for part in line.split("\n")]
            parts += ["For a person to type:", fenced(map(harmless, lines), "sh")]
    return "\n\n".join(parts) + "\n"
