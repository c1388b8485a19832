"""The process beside the screen: it diagnoses, writes a bundle, tells its failures, and ends."""

import io
from pathlib import Path

import msgspec

from tablefull.watch import judge
from tablefull.watch.judge import Answer, Judge, Request, serve


def test_each_line_is_answered_with_a_line(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(judge, "judged", lambda: judge.Judged(headline="x", full="no", severity="none"))
    asked = [Request(), Request(bundle=str(tmp_path / "no/such/place.tar.gz"))]
    requests = io.BytesIO(b"".join(msgspec.json.encode(each) + b"\n" for each in asked) + b"garbage\n")
    answers = io.BytesIO()
    serve(requests, answers)
    told = [msgspec.json.decode(line, type=Answer) for line in answers.getvalue().splitlines()]
    assert told[0].judged is not None
    assert told[0].judged.headline == "x"
    assert told[1].failed
    assert told[2].failed


def test_a_diagnosis_of_this_host_and_its_bundle(tmp_path: Path) -> None:
    one = Judge()
    try:
        answer = one.diagnose()
        assert answer.failed is None
        assert answer.judged is not None
        assert answer.judged.full in ("yes", "no", "unknown")
        wrote = one.write_bundle(str(tmp_path / "b.tar.gz"))
        assert wrote.wrote_bytes == (tmp_path / "b.tar.gz").stat().st_size > 0
        child = one._child
        assert child is not None
        child.kill()
        child.wait()
        assert one.diagnose().failed is None  # another one is started
    finally:
        one.stop()
    assert one._child is None
    assert one.diagnose().failed == "it was stopped"
