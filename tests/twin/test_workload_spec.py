"""What a --workload may say, and how it is told where it does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.errors import UsageError
from tablefull.twin.workload_spec import KINDS, Distribution, parse, seconds


def test_the_example_of_the_readme() -> None:
    spec = parse("http:rate=116,keepalive=5s")
    assert (spec.kind, spec.number("rate"), spec.ns("keepalive")) == ("http", 116.0, 5_000_000_000)
    assert (spec.word("close"), spec.count("port"), spec.end_s) == ("server", 80, None)


def test_a_kind_alone_has_its_defaults() -> None:
    for kind in KINDS:
        assert parse(kind).word("arrival") == "poisson"


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5.0), ("5s", 5.0), ("250ms", 0.25), ("2h", 7200.0), ("1d", 86400.0), ("5m", 300.0), ("30us", 3e-5),
     ("1.5h", 5400.0), ("x", None), ("-5s", None), ("5 s", None), ("", None)],
)  # fmt: skip
def test_times(text: str, value: float | None) -> None:
    found = seconds(text)
    assert found == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("http:rate=5k", "rate", 5000.0),
        ("http:rate=1.5M", "rate", 1.5e6),
        ("http:rate=100/s", "rate", 100.0),
        ("http:loss=2%", "loss", 0.02),
        ("http:loss=0.02", "loss", 0.02),
        ("idle:count=1M", "count", 1_000_000),
        ("http:start=10s,duration=20s", "start", 10.0),
        ("http:lifetime=lognormal(30s,1.5),rate=3", "rate", 3.0),
        ("http:lifetime=lognormal(30s,1.5),rate=3", "lifetime", Distribution("lognormal", 30.0, 1.5)),
        ("http:lifetime=30s", "lifetime", Distribution("fixed", 30.0)),
        ("http:lifetime=pareto(1s,1.2)", "lifetime", Distribution("pareto", 1.0, 1.2)),
    ],
)
def test_values(text: str, name: str, value: object) -> None:
    assert parse(text).values[name] == value


def test_a_duration_counts_from_the_start() -> None:
    assert parse("dns:start=10s,duration=20s").end_s == 30.0


def test_sources_are_of_the_family() -> None:
    network = parse("synflood:sources=10.1.2.3/8").values["sources"]
    assert network is not None
    assert (network.base, network.free_bits) == (0x0A000000, 24)  # type: ignore[union-attr]
    assert parse("synflood:sources=2001:db8::/32,family=6").values["sources"].free_bits == 96  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "there are http"),
        ("htpp:rate=1", "did you mean http?"),
        ("http:rat=1", "did you mean rate"),
        ("http:", "name=value is wanted"),
        ("http:rate=1,", "name=value is wanted"),
        ("http:rate", "name=value is wanted"),
        ("http:rate=1,rate=2", "given twice"),
        ("http:rate=many", "a number a second"),
        ("http:rate=0", "1e-09 to 1e+08"),
        ("http:requests=1.5", "a whole number"),
        ("http:keepalive=soon", "a time, such as"),
        ("http:loss=2", "0 to 0.9"),
        ("http:close=never", "there are server, client, rst, none"),
        ("http:lifetime=exp(1s,2)", "lognormal(30s,1.5)"),
        ("http:lifetime=pareto(1s,0)", "lognormal(30s,1.5)"),
        ("http:lifetime=uniform(9s,1s)", "lognormal(30s,1.5)"),
        ("http:family=5", "there are 4, 6"),
        ("synflood:sources=2001:db8::/32", "a network of the workload's family"),
        ("dns:port=70000", "0 to 65535"),
        ("dns:keepalive=5s", "dns has no option"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_there_is(text: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(text)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


@given(st.text(st.sampled_from("htpdnsrate:=,()%.0123456789 kmslifeogn"), max_size=50))
def test_any_text_is_a_spec_or_a_usage_error(text: str) -> None:
    for given_text in (text, "http:" + text):
        try:
            parse(given_text)
        except UsageError:
            continue


@pytest.mark.parametrize(
    ("distribution", "mean_s"),
    [
        (Distribution("fixed", 3.0), 3.0),
        (Distribution("exp", 3.0), 3.0),
        (Distribution("uniform", 1.0, 5.0), 3.0),
        (Distribution("lognormal", 3.0, 0.5), 3.0 * np.exp(0.125)),  # median * e^(sigma^2 / 2)
        (Distribution("pareto", 2.0, 3.0), 3.0),  # least * alpha / (alpha - 1)
    ],
)
def test_samples_have_the_mean_they_should(distribution: Distribution, mean_s: float) -> None:
    chance = np.random.Generator(np.random.PCG64(1))
    found = distribution.sample_ns(chance, 200_000).mean() / 1e9
    assert found == pytest.approx(mean_s, rel=0.02)
    assert distribution.mean_s == pytest.approx(mean_s)


def test_a_heavy_tail_ends_somewhere() -> None:
    chance = np.random.Generator(np.random.PCG64(1))
    assert Distribution("pareto", 1e9, 0.01).sample_ns(chance, 1000).max() <= 10 * 366 * 86400 * 10**9
