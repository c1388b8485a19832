"""How a scene gets its room: by hand for hosts of every kind; the lock by two holders."""

from pathlib import Path

import pytest
from tests.realkernel import host_limits

from tablefull.errors import KernelRefused
from tablefull.lab import room

GIB = 1 << 30


@pytest.mark.parametrize(
    ("given", "how", "limit", "ballast"),
    [
        # wanted, consent, limit, fullest, buckets, memory
        ((400, False, 262144, 0, 262144, 8 * GIB), "ballast", 262144, 261744),
        ((400, True, 262144, 0, 262144, 8 * GIB), "lowered", 1000, 600),
        ((5000, True, 262144, 10, 262144, 8 * GIB), "lowered", 5000, 0),
        ((400, True, 262144, 20_000, 262144, 8 * GIB), "lowered", 41_000, 40_600),
        ((400, True, 262144, 100_000, 262144, 8 * GIB), "shown", 262144, 0),
        ((400, True, 800, 0, 1024, 8 * GIB), "ballast", 800, 400),
        ((400, False, 0, 0, 262144, 8 * GIB), "shown", 0, 0),
        ((400, False, 1_548_576, 0, 1_548_576, 64 * GIB), "shown", 1_548_576, 0),
        ((400, False, 262144, 0, 16384, 8 * GIB), "shown", 262144, 0),
        ((400, False, 262144, 0, 262144, GIB // 4), "shown", 262144, 0),
    ],
    ids=[
        "this host", "consent", "a wish above the host's use", "a busy host", "too busy", "a limit that is low already",
        "no limit", "the incident's limit", "few buckets", "little memory",
    ],
)  # fmt: skip
def test_the_choice(given: tuple[int, bool, int, int, int, int], how: str, limit: int, ballast: int) -> None:
    chosen = room.choose(*given)
    assert (chosen.how, chosen.limit, chosen.ballast, chosen.before) == (how, limit, ballast, given[2])
    assert bool(chosen.why) == (how == "shown") == (not chosen.fills)


def test_a_lowered_limit_leaves_the_host_twice_what_it_holds() -> None:
    for fullest in (0, 1, 999, 29_000):
        chosen = room.choose(100, True, 262144, fullest, 262144, GIB)
        assert chosen.limit >= 2 * fullest + 1000


def test_the_lock_is_the_one_that_tests_take() -> None:
    assert room.LOCK == host_limits.LOCK


def test_two_share_and_one_is_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LOCK", tmp_path / "lock")
    told: list[str] = []
    with (
        room.locked(False, lambda _: True, told.append),
        room.locked(False, lambda _: True, told.append),
        pytest.raises(KeyboardInterrupt),
        room.locked(True, lambda _: False, told.append),
    ):
        pass
    with room.locked(True, lambda _: True, told.append):
        pass
    assert told == ["another lab or test on this host holds nf_conntrack_max; waiting for its end"]


def test_without_tracking_there_is_no_scene(tmp_path: Path) -> None:
    with pytest.raises(KernelRefused, match="loads no module"):
        room.number(tmp_path / "nf_conntrack_max")


def test_the_guardian_knows_before_it_is_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "max"
    limit.write_text("262144\n")
    monkeypatch.setattr(room.guardian, "MAX", limit)
    noted: list[tuple[dict[str, object], str]] = []
    chosen = room.choose(400, True, 262144, 0, 262144, GIB)
    room.lower(chosen, lambda **facts: noted.append((facts, limit.read_text())))
    assert noted == [({"max_before": 262144, "max_lowered": 1000}, "262144\n")]
    assert limit.read_text() == "1000\n"
