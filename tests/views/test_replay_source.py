"""Events are told from packets without taking anything from a pipe."""

import io
import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.live.plan_events import steady
from tests.live.replay_captures import at, query, written

from tablefull.views import replay_source


def test_events_and_packets(tmp_path: Path) -> None:
    text = "\n".join(steady(3)).encode()
    (tmp_path / "events.txt").write_bytes(text)
    capture = written(tmp_path / "x.pcap", at((0, query(1))))
    with ExitStack() as stack:
        found = replay_source.events_of(stack, str(tmp_path / "events.txt"), None, [])
        assert found is not None
        assert found.read() == text
        assert replay_source.events_of(stack, str(capture), None, []) is None
        assert replay_source.events_of(stack, str(tmp_path / "none"), None, []) is None


def test_a_pipe_of_packets_loses_nothing(tmp_path: Path) -> None:
    content = written(tmp_path / "x.pcap", at((0, query(1)))).read_bytes()
    held = io.BufferedReader(io.BytesIO(content))  # type: ignore[arg-type]
    with ExitStack() as stack:
        assert replay_source.events_of(stack, "-", held, []) is None
    assert held.read() == content


def test_only_pipes_are_held(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    both = os.open(tmp_path / "pipe", os.O_RDWR)
    with ExitStack() as stack:
        assert replay_source.held_of(stack, str(tmp_path / "file")) is None
        assert replay_source.held_of(stack, str(tmp_path / "pipe")) is not None
    os.close(both)


def test_what_tells_nothing_is_unreadable_and_what_tells_something_is_not() -> None:
    from tablefull.errors import Unreadable
    from tablefull.live.replay_events import Recording

    with pytest.raises(Unreadable, match=r"e\.txt: no event with a time in 98 lines; conntrack -E -o timestamp"):
        replay_source.dated("e.txt", Recording("e.txt", lines=98, undated=98), [])
    replay_source.dated("e.txt", Recording("e.txt", lines=98, events=1), [])
    replay_source.told_something(None)
