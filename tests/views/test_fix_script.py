"""Plans handed over: scripts that are run by shells, playbooks that are read back, pages for a ticket."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from fix_plans import EVIL, PLAN, hostile

from tablefull.fixes.act import Command, Commanded, HostPlan, OwnFile, SetValue
from tablefull.views import fix_script, fix_text

SHELLS = [one for one in ("dash", "bash", "busybox") if shutil.which(one)]


def shell_words(name: str) -> list[str]:
    return [name, "sh"] if name == "busybox" else [name]


def with_acts(*acts: SetValue | OwnFile) -> HostPlan:
    step = msgspec.structs.replace(PLAN.steps[0], acts=acts, verify=())
    return msgspec.structs.replace(PLAN, steps=(step,), told=())


@pytest.mark.parametrize("name", SHELLS)
def test_a_script_checks_then_writes_and_says_what_it_did(name: str, tmp_path: Path) -> None:
    value, file = tmp_path / "value", tmp_path / "made/file"
    value.write_text("4096\t87380\n")
    script = fix_script.shell(
        [with_acts(SetValue(str(value), "4096 87380", "1 2"), OwnFile(str(file), "a = 'b'\n$(id)\n", mode=0o600))]
    )
    done = subprocess.run(shell_words(name), input=script, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert value.read_text() == "1 2\n"
    assert file.read_text() == "a = 'b'\n$(id)\n"
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", SHELLS)
def test_a_script_stops_where_something_moved(name: str, tmp_path: Path) -> None:
    value, file = tmp_path / "value", tmp_path / "file"
    value.write_text("7\n")
    done = subprocess.run(
        shell_words(name), input=fix_script.shell([with_acts(SetValue(str(value), "1", "2"))]), text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    assert "reads 7, and was 1" in done.stderr
    assert value.read_text() == "7\n"
    file.write_text("mine\n")
    done = subprocess.run(
        shell_words(name), input=fix_script.shell([with_acts(OwnFile(str(file), "ours\n"))]), text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    assert file.read_text() == "mine\n"


@pytest.mark.parametrize("name", SHELLS)
def test_no_text_of_a_stranger_is_run(name: str, tmp_path: Path) -> None:
    path = tmp_path / "value"
    path.write_text(EVIL + "\n")
    script = fix_script.shell([hostile(str(path))])
    subprocess.run([*shell_words(name), "-n"], input=script, text=True, check=True)
    before = set(Path("/tmp").iterdir())
    subprocess.run(shell_words(name), input=script, text=True, capture_output=True, check=False, cwd=tmp_path)
    assert not Path("/tmp/owned").exists()
    assert Path("/tmp/owned") not in set(Path("/tmp").iterdir()) - before
    for line in script.splitlines():
        assert "\x1b" not in line or not line.startswith("#")


NOTHING = HostPlan(
    fix="notrack", host="web", netns="blue", title="do not track", refused="a rule needs them: '$(touch /tmp/owned)'"
)
ADVICE = HostPlan(fix="fix-dns-path", host="web", title="DNS", told=("it collides",), typed=("echo {a}\nb", "# back:"))


@pytest.mark.parametrize("name", SHELLS)
def test_a_script_without_a_step_does_not_look_like_success(name: str) -> None:
    for plans, said in (([NOTHING], "notrack is not offered here"), ([ADVICE], "told, not done"), ([], "no step")):
        script = fix_script.shell(plans)
        assert "to take" not in script
        done = subprocess.run(shell_words(name), input=script, text=True, capture_output=True, check=False)
        assert done.returncode == 4
        assert said in done.stderr
    assert not Path("/tmp/owned").exists()


def test_a_playbook_without_a_step_fails_with_the_reason() -> None:
    plays = json.loads(fix_script.ansible([NOTHING, ADVICE]).partition("\n[")[2].join(("[", "")))
    told = [play["tasks"][0]["ansible.builtin.fail"]["msg"] for play in plays]
    assert "not offered here: a rule needs them" in told[0]
    assert "for a person to type" in told[1]


def test_commands_to_type_stand_as_they_are() -> None:
    page = fix_script.markdown([ADVICE])
    assert "```sh\necho {a}\nb\n# back:\n```" in page
    script = fix_script.shell([ADVICE])
    assert "# to type: echo {a}\n# b\n" in script
    assert "# notrack on web, network namespace blue: do not track" in fix_script.shell([NOTHING])
    assert "web, network namespace blue" in fix_script.ansible([NOTHING])
    assert "web, network namespace blue" in fix_script.markdown([NOTHING])


def test_a_comment_has_no_second_line() -> None:
    script = fix_script.shell([hostile()])
    assert "\nlines" not in script
    assert "# to know: two\n# lines" in script


def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("needs shellcheck (scripts/test-packages names its package)")
    script = tmp_path / "fix.sh"
    script.write_text(fix_script.shell([PLAN]))
    done = subprocess.run(["shellcheck", "-s", "sh", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_namespace_is_entered_without_a_shell_of_ours() -> None:
    plan = msgspec.structs.replace(PLAN, netns="web;reboot")
    script = fix_script.shell([plan])
    assert "ip netns exec 'web;reboot' nft -f -" in script
    assert "nsenter --net=/proc/77/ns/net --" in fix_script.shell([msgspec.structs.replace(PLAN, netns="77")])


def playbook(text: str) -> list[dict[str, object]]:
    """As YAML reads it: comments aside it is JSON, which is YAML."""
    assert text.startswith("---\n")
    body = "\n".join(line for line in text.split("\n")[1:] if not line.startswith("#"))
    found: list[dict[str, object]] = json.loads(body)
    return found


def strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return strings(list(value.values()))
    return [one for each in value for one in strings(each)] if isinstance(value, list) else [str(value)]


def test_a_playbook_has_a_task_for_every_act() -> None:
    (play,) = playbook(fix_script.ansible([PLAN]))
    assert play["hosts"] == "web1"
    assert play["become"] is True
    tasks = play["tasks"]
    assert isinstance(tasks, list)
    kinds = [next(key for key in task if key.startswith("ansible.")) for task in tasks]
    assert kinds == ["ansible.builtin.command"] * 4 + ["ansible.builtin.copy"]
    assert tasks[1]["register"] == "tablefull_look_0"
    assert tasks[2]["when"] == "not ((tablefull_look_0.rc | default(1)) == 0)"
    assert tasks[2]["ansible.builtin.command"] == {"argv": ["nft", "-f", "-"], "stdin": "add table inet t\n"}


def test_no_text_of_a_stranger_is_a_template() -> None:
    import jinja2

    text = fix_script.ansible([hostile()])
    assert all(character.isprintable() or character == "\n" for character in text)
    (play,) = playbook(text)
    template = jinja2.Environment(keep_trailing_newline=True)
    for said in strings(play):
        assert "49" not in template.from_string(said).render()
    tasks = play["tasks"]
    assert isinstance(tasks, list)
    copied = next(task for task in tasks if "ansible.builtin.copy" in task)["ansible.builtin.copy"]
    assert template.from_string(copied["content"]).render() == EVIL


def test_a_page_for_a_ticket() -> None:
    text = fix_script.markdown([PLAN])
    assert "## raise-max on web1" in text
    assert "printf '%s\\n' 262144 >/proc/sys/net/netfilter/nf_conntrack_max" in text
    evil = fix_script.markdown([hostile()])
    assert "\x1b" not in evil
    assert "<b>" not in re.sub(r"```.*?```", "", evil, flags=re.DOTALL)


def _typed(page: str) -> str:
    """What a person copies from a page: the first block of commands."""
    return page.partition("```sh\n")[2].partition("\n```")[0]


@pytest.mark.parametrize("name", SHELLS)
def test_what_is_copied_from_a_page_overwrites_nobodys_file(name: str, tmp_path: Path) -> None:
    """The page has none of the script's own functions: what guards a file must not need them."""
    file = tmp_path / "made/file"
    typed = _typed(fix_script.markdown([with_acts(OwnFile(str(file), "a\n\nb'\n", mode=0o600))]))
    for wanted in ("a\n\nb'\n", "mine\n"):
        done = subprocess.run(shell_words(name), input=typed, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert file.read_text() == wanted or wanted == "mine\n"
        file.write_text("mine\n")
    assert file.read_text() == "mine\n"
    assert "somebody made it meanwhile" in done.stdout


@pytest.mark.parametrize("name", SHELLS)
def test_what_is_copied_from_a_page_says_that_it_is_so_already(name: str, tmp_path: Path) -> None:
    act = Commanded("a rule", do=(Command(("touch", str(tmp_path / "x"))),), undo=(), done=Command(("true",)))
    step = msgspec.structs.replace(PLAN.steps[0], acts=(act,), verify=())
    typed = _typed(fix_script.markdown([msgspec.structs.replace(PLAN, steps=(step,), told=())]))
    done = subprocess.run(shell_words(name), input=typed, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a rule: is so already\n", "")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("netns", "words"),
    [("web 1", "ip netns exec 'web 1'"), ("7", "nsenter --net=/proc/7/ns/net --"), (None, "")],
)
def test_what_shows_that_it_worked_looks_into_the_namespace(netns: str | None, words: str) -> None:
    step = msgspec.structs.replace(PLAN.steps[0], scope="netns", verify=(Command(("cat", "/proc/sys/a")),))
    plan = msgspec.structs.replace(PLAN, netns=netns, steps=(step,))
    line = f"{words} cat /proc/sys/a".strip()
    assert f"# verify: {line}\n" in fix_script.shell([plan])
    assert f"\n{line}\n" in fix_script.markdown([plan]).partition("See that it worked:")[2]
    assert f"verify    {line}\n" in fix_text.plans([plan], 80, "").plain()
