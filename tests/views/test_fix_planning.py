"""From the words of a call to options and plans."""

from pathlib import Path

import msgspec
import pytest
from fix_plans import PLAN

from tablefull.errors import UsageError
from tablefull.fixes.act import write
from tablefull.views import fix_planning
from tablefull.views.fix_planning import Asked

SAID: dict[str, object] = dict.fromkeys(
    "from_file netns persist where limit buckets rate burst way invalid mss wscale i_know probe yes place".split()
) | {"ports": (), "addresses": (), "sources": (), "timeouts": ()}


def asked(*words: str, ids: tuple[str, ...] = (), **said: object) -> Asked:
    return Asked(ids=ids, said=SAID | said, words=["fix", *words])


def test_timeouts_by_any_of_their_names() -> None:
    words = ("tcp_timeout_established=1h", "nf_conntrack_udp_timeout=9", "net.netfilter.nf_conntrack_icmp_timeout=2m")
    assert fix_planning._timeouts(words) == {
        "nf_conntrack_tcp_timeout_established": 3600,
        "nf_conntrack_udp_timeout": 9,
        "nf_conntrack_icmp_timeout": 120,
    }


@pytest.mark.parametrize("word", ["udp_timeout", "=5", "udp/timeout=5", "udp_timeout=soon", "a b=1"])
def test_what_is_no_timeout(word: str) -> None:
    with pytest.raises(UsageError):
        fix_planning._timeouts((word,))


def test_the_line_to_type_is_the_line_that_was_typed() -> None:
    line = fix_planning._again(
        asked("notrack", "--port", "udp/53", "--format", "text", "--where", "a {b}", ids=("notrack",))
    )
    assert line.format("notrack") == "sudo tablefull fix notrack --port udp/53 --where 'a {b}' --apply"


def test_a_plan_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(write(PLAN))
    assert fix_planning.plans(asked(from_file=str(path))).plans == [PLAN]
    path.write_bytes(msgspec.json.encode({"schema": fix_planning.SCHEMA, "plans": [PLAN]}))
    assert fix_planning.plans(asked(from_file=str(path))).plans == [PLAN]
    (moved,) = fix_planning.plans(asked(from_file=str(path), netns="web")).plans
    assert moved.netns == "web"


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"plans": 3}', '{"fix": "x"}'])
def test_what_is_no_plan(tmp_path: Path, content: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(content)
    with pytest.raises(UsageError, match="no plan of tablefull fix"):
        fix_planning.plans(asked(from_file=str(path)))
    with pytest.raises(UsageError, match="no such file"):
        fix_planning.plans(asked(from_file=str(tmp_path / "nowhere")))


def test_one_fix_at_a_time_is_applied() -> None:
    with pytest.raises(UsageError, match="one fix at a time"):
        fix_planning.apply(asked(ids=("raise-max", "notrack")), 60.0, 3.0)
    with pytest.raises(UsageError, match="HOST:PORT"):
        fix_planning.apply(asked(ids=("raise-max",), probe="here"), 60.0, 3.0)


def test_nothing_to_fix_names_what_another_user_did_not_see(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    unseen = ("/proc/slabinfo", "nft list ruleset", "the kernel's log", "/proc/net/nf_conntrack")
    found = fix_planning.Found([], "No entry table is full.", False, unseen)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    fix_planning.tell_why_none(found)
    said = capsys.readouterr().err
    assert "nothing to fix here: No entry table is full. Not seen: the kernel's log, nft list ruleset, " in said
    assert said.endswith(" and 1 more; run it as root to be sure\n")
    assert fix_planning.half_seen(unseen)
    assert not fix_planning.half_seen(())
    monkeypatch.setattr("os.geteuid", lambda: 0)
    fix_planning.tell_why_none(found)
    assert "Not seen" not in capsys.readouterr().err
    assert not fix_planning.half_seen(unseen)
