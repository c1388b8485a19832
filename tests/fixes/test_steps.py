import msgspec
import pytest
from live_trees import HOSTILE, TREES, host

from tablefull.errors import UsageError
from tablefull.fixes import act, catalog
from tablefull.fixes.act import Commanded, Flush, HostPlan, OwnFile, SetValue
from tablefull.fixes.live_host import Options
from tablefull.fixes.steps import MAKERS, plan

ASKED = Options(ports=("tcp/80",), where="proto=udp", limit=1 << 21)


def everything(root, name: str, **more: object) -> list[HostPlan]:
    return [plan(fix, host(root / fix, name, **more), ASKED) for fix in catalog.MAKERS]  # type: ignore[arg-type]


def words(made: HostPlan) -> list[str]:
    found: list[str] = []
    for step in made.steps:
        for one in step.verify:
            found += one.argv
        for one_act in step.acts:
            if isinstance(one_act, SetValue):
                found += [one_act.path, one_act.after]
            elif isinstance(one_act, OwnFile):
                found += [one_act.path, *one_act.after.split()]
            elif isinstance(one_act, Commanded):
                for command in (*one_act.do, *one_act.undo, *one_act.first, one_act.done):
                    found += [*command.argv, *command.stdin.split()]
    return found


def programs(made: HostPlan) -> set[str]:
    commands = [one for step in made.steps for one in step.verify]
    for step in made.steps:
        for one in step.acts:
            if isinstance(one, Commanded):
                commands += [*one.do, *one.undo, *one.first, one.done]
    return {command.argv[0] for command in commands}


def test_every_maker_is_a_fix_of_the_catalogue() -> None:
    assert MAKERS.keys() <= catalog.MAKERS.keys()


@pytest.mark.parametrize("name", TREES)
def test_every_fix_is_planned_refused_or_told_on_every_host(tmp_path, name: str) -> None:
    for made in everything(tmp_path, name):
        assert made.steps or made.refused or made.told, made.fix
        assert not (made.steps and made.refused), made.fix
        assert act.read(act.write(made)) == made
        for step in made.steps:
            assert step.acts, step.title
            assert step.before, step.title
            assert step.after, step.title
            assert step.risk, step.title
            assert step.undo, step.title
            for one in step.acts:
                assert not isinstance(one, Commanded) or (one.do and one.undo and one.done.argv), one
                assert isinstance(one, SetValue | OwnFile | Commanded | Flush)


@pytest.mark.parametrize("name", TREES)
def test_nothing_from_evidence_is_a_word_of_a_command(tmp_path, name: str) -> None:
    """Hostile host names, interfaces, comments in rules, modules, bridges: told at most, and no shell is ever named."""
    nasty = HOSTILE.replace("\n", " ").replace("/", "")
    rules = (
        ":INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
        f'[0:0] -A INPUT -i {nasty.split()[0]} -m comment --comment "{nasty}" -j ACCEPT\n'
    )
    files = {
        "proc/net/route": f"head\n{nasty.split()[0]}\t00000000\t0\t3\t0\t0\t0\t00000000\t0\t0\t0\n",
        f"sys/module/nf_conntrack/holders/{nasty}": "",
        "proc/66/comm": nasty,
        "etc/modules": f"{nasty}\n",
    }
    for made in everything(tmp_path, name, hostname=nasty, rules={"ip filter": rules}, files=files):
        assert not programs(made) & {"sh", "bash", "ash", "dash", "env", "xargs", "eval", "awk", "python3"}
        for word in words(made):
            assert "reboot" not in word, (made.fix, word)
            assert "`" not in word, (made.fix, word)


def test_a_plan_is_plain_data(tmp_path) -> None:
    made = plan("raise-max", host(tmp_path, "debian-12"), ASKED)
    assert msgspec.json.decode(act.write(made))["fix"] == "raise-max"


def test_what_no_host_can_do_alone_is_told(tmp_path) -> None:
    made = plan("scale-out", host(tmp_path, "debian-12"), Options())
    assert made.steps == ()
    assert any("host" in line for line in made.told)


def test_an_unknown_fix(tmp_path) -> None:
    with pytest.raises(UsageError, match="no fix is called"):
        plan(HOSTILE, host(tmp_path, "debian-12"), Options())
