"""Patterns that wait: nothing is compiled before its first use."""

import re

import pytest

from tablefull.parsers.pattern import lazy


def test_compiled_once_at_the_first_use(monkeypatch):
    compiled = []
    real = re.compile
    monkeypatch.setattr(re, "compile", lambda pattern, flags=0: compiled.append(pattern) or real(pattern, flags))
    digits = lazy(r"(\d+)x", re.IGNORECASE)
    assert compiled == []
    assert digits.search("12X")[1] == "12"
    assert digits.sub("-", "1x2x") == "--"
    assert digits.match("a") is None
    assert compiled == [r"(\d+)x"]


def test_what_a_pattern_does_not_have():
    with pytest.raises(AttributeError):
        _ = lazy("a").no_such_thing


def test_a_broken_pattern_is_refused_at_its_first_use():
    broken = lazy("(")
    with pytest.raises(re.error):
        broken.match("(")
