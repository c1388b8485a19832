"""What is said after a change, from looks at a table that are given, and from a real port."""

import socket
from collections.abc import Iterator

import pytest

from tablefull.errors import UsageError
from tablefull.facts.origin import Hole
from tablefull.fixes import verify
from tablefull.live.occupancy import Occupancy


def held(count: int | Hole, drop: int = 0) -> Occupancy:
    return Occupancy(count, 1000, ({"drop": drop, "early_drop": 0, "found": 3},))


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("text", ["192.0.2.1", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:70000", ":80", "a:b", "a:²"])
def test_a_probe_names_host_and_port(text: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        verify.probe_target(text)


def test_brackets_hold_an_address_of_ipv6() -> None:
    assert verify.probe_target("[2001:db8::1]:443") == ("2001:db8::1", 443)


def test_a_port_that_is_open_and_one_that_is_not(port: int) -> None:
    assert verify.probe(f"127.0.0.1:{port}", None) == ""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert verify.probe(f"127.0.0.1:{taken.getsockname()[1]}", None) == "connection refused"


def test_before_and_after_of_a_table(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    looks = iter([held(1000, 0), held(1000, 50), held(900, 50), held(850, 50)])
    monkeypatch.setattr(verify, "look", lambda proc, space: next(looks))
    target = f"127.0.0.1:{port}"
    seen = verify.before(None, target, over_s=0.01)
    assert seen.probe == ""
    assert seen.rates is not None
    assert seen.rates["drop"] > 100
    found = verify.after(seen, None, target, list, (), over_s=0.0)
    assert found.wrong == []
    assert "1000 entries before, 900 → 850 of 1000" in found.lines[1]
    assert any(line.startswith("drop: ") and line.endswith("→ 0.0 a second") for line in found.lines)
    assert f"{target} answers" in found.lines


def test_only_what_worked_before_speaks_against_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "look", lambda proc, space: held(1))
    monkeypatch.setattr(verify, "probe", lambda target, space: "no answer")
    worked = verify.Before(held(1), None, "")
    did_not = verify.Before(held(1), None, "no answer")
    assert verify.after(worked, None, "h:1", list, (), 0.0).wrong == ["h:1 answered before and does not now: no answer"]
    assert verify.after(did_not, None, "h:1", list, (), 0.0).wrong == []


def test_what_could_not_be_seen_is_no_good_news(monkeypatch: pytest.MonkeyPatch) -> None:
    hole = Hole("/proc", "permission denied")
    monkeypatch.setattr(verify, "look", lambda proc, space: Occupancy(hole, hole, hole))
    found = verify.after(verify.Before(held(1), None, None), None, None, list, (), 0.0)
    assert "could not be seen" in " ".join(found.lines)
    assert "unknown" in " ".join(found.lines)


def test_a_value_that_does_not_read_as_written_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "look", lambda proc, space: held(1))
    found = verify.after(verify.Before(held(1), None, None), None, None, lambda: ["max reads 3"], (), 0.0)
    assert found.wrong == ["max reads 3"]


def test_a_name_is_asked_for_once(port: int) -> None:
    assert verify.resolved(f"localhost:{port}", None) in (f"127.0.0.1:{port}", f"[::1]:{port}")
    assert verify.resolved("no-such-name.invalid:1", None) == "no-such-name.invalid:1"
