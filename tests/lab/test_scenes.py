"""The scenes there are, before anything is made: what they promise exists, and what they ask of ``fix`` it understands."""

from pathlib import Path

import click
import pytest

from tablefull.errors import UsageError
from tablefull.fixes.catalog import FIXES
from tablefull.lab.play import LEAST_S, TITLES, wanted
from tablefull.lab.scene import Scene
from tablefull.lab.scenes import SCENES
from tablefull.lab.stage import Stage
from tablefull.rules.meanings import CAUSES
from tablefull.views.commands_fix import fix
from tablefull.wire.selection import parse

EACH = pytest.mark.parametrize("kind", SCENES.values(), ids=SCENES)


def test_the_issue_names_seven() -> None:
    assert set(SCENES) == {
        "xen-dom0", "nat-gateway", "http-server", "dns-resolver", "syn-flood", "asymmetric-router", "container-limit",
    }  # fmt: skip


@EACH
def test_its_words_are_there(kind: type[Scene]) -> None:
    assert set(kind.texts) == set(TITLES)
    assert kind.fix in FIXES
    assert set(kind.expected) <= set(CAUSES)
    assert kind.__doc__
    assert len(kind.summary) < 100


@EACH
def test_fix_understands_what_it_is_asked(kind: type[Scene]) -> None:
    for words in kind(Stage(kind.name)).repairs():
        assert words[0] in FIXES
        context = fix.make_context("fix", list(words))
        assert isinstance(context, click.Context)
        if (where := context.params.get("where")) is not None:
            parse(where)


@EACH
def test_it_fills_before_it_is_over(kind: type[Scene]) -> None:
    """What live traffic is to fill comes at the rate within the part of the scene that is for it."""
    entries = wanted(kind, 100.0, 30.0)
    assert entries == int(100 * kind.entries_per_request * 0.35 * 30 * 0.8)
    assert wanted(kind, 10.0, LEAST_S) == 150


@EACH
def test_its_ballast_may_not_be_evicted(kind: type[Scene]) -> None:
    assert kind.kind.status & 1 << 2  # IPS_ASSURED: include/uapi/linux/netfilter/nf_conntrack_common.h
    assert 0 < kind.kind.least_s < kind.kind.most_s < 432000


def test_a_missing_kernel_part_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: "bridge" not in str(path) and real(path))
    assert "modprobe br_netfilter" in SCENES["xen-dom0"].missing()
    assert "bridge" not in SCENES["http-server"].missing()


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tablefull.lab.scene.found", lambda name: None if name == "hping3" else f"/usr/sbin/{name}")
    assert "hping3 is not installed" in SCENES["syn-flood"].missing()
    assert "hping3" not in SCENES["http-server"].missing()


def test_the_selection_is_checked_for_real() -> None:
    with pytest.raises(UsageError):
        parse("state=ESTABLISHD")
