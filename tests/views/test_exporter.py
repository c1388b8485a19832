"""Metrics: node_exporter's names beside its own, hostile labels through the library's parser and promtool, no false zero."""

import re
import subprocess
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tablefull.facts.origin import Hole
from tablefull.live.export_composition import Composition, Part
from tablefull.live.export_facts import TableFacts
from tablefull.live.export_spaces import Counted, Counts, Place
from tablefull.twin.forecast import Forecast
from tablefull.views.exporter import MOST_UNSEEN, Cost, cost, families, stamp, steady, text_of
from tablefull.watch.exposing import Exposed

OWN = Cost(1.5, 30_000_000, 0.002, 7)
# As Debian's prometheus-node-exporter 1.5.0 writes them on Linux 6.18.
NODE_NAMES = (
    "entries entries_limit stat_drop stat_early_drop stat_found stat_ignore stat_insert stat_insert_failed stat_invalid "
    "stat_search_restart"
).split()
HOSTILE = [
    'a"b',
    "a\\b",
    "a\nb",
    'x"} 1\nevil{a="',
    "\\n",
    "é\u202e",
    "\udcff",
    "",
    "{}",
    "#",
    "\x00\x1b[2J",
    "a" * 5000,
]


def table(**more: object) -> TableFacts:
    names = "found invalid ignore insert insert_failed drop early_drop search_restart clash_resolve chain_toolong error"
    counters = {name: number + 1 for number, name in enumerate(names.split())} | {"ignore": 0}
    facts = TableFacts(count=10, limit=40, buckets=16, counters=counters, dead=("new", "ignore"), release="6.18.0")
    for name, value in more.items():
        setattr(facts, name, value)
    return facts


def samples(
    exposed: Exposed, accept: str = "", node_names: bool = True
) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    text, _ = text_of(list(families(exposed, OWN, node_names)), accept)
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            key = tuple(sorted(sample.labels.items()))
            assert key not in found.setdefault(sample.name, {}), "a series twice"
            found[sample.name][key] = sample.value
    return found


def test_the_ten_names_and_their_type() -> None:
    text, kind = text_of(list(families(Exposed(table=table()), OWN)))
    assert kind.startswith("text/plain; version=0.0.4")
    told = re.findall(r"^# TYPE node_nf_conntrack_(\w+) (\w+)$", text.decode(), re.MULTILINE)
    assert sorted(told) == sorted((name, "gauge") for name in NODE_NAMES)
    found = samples(Exposed(table=table()))
    assert found["node_nf_conntrack_entries"][()] == 10
    assert found["node_nf_conntrack_entries_limit"][()] == 40
    assert found["node_nf_conntrack_stat_drop"][()] == 6
    assert found["tablefull_stat_chain_toolong_total"][()] == 10
    assert found["tablefull_stat_clash_resolve_total"][()] == 9
    assert found["tablefull_limit_ratio"][()] == 0.25


def test_a_file_for_node_exporter_repeats_none_of_its_names() -> None:
    assert not [name for name in samples(Exposed(table=table()), node_names=False) if name.startswith("node_")]


def unseen(exposed: Exposed) -> dict[str, str]:
    return {
        dict(key)["what"]: dict(key)["why"]
        for key, value in samples(exposed).get("tablefull_unseen", {}).items()
        if value == 1
    }


def test_what_is_not_known_is_absent_and_named() -> None:
    hole = Hole("/proc/sys/net/netfilter/nf_conntrack_max", "permission denied", "run it as root")
    exposed = Exposed(table=table(limit=None, holes=[hole]), holes=[hole])
    found = samples(exposed)
    for name in ("node_nf_conntrack_entries_limit", "tablefull_limit", "tablefull_limit_ratio"):
        assert name not in found
    assert unseen(exposed)[hole.what] == "permission denied; run it as root"


def test_a_counter_that_this_kernel_never_moves_is_told_as_such() -> None:
    assert "not counted" in unseen(Exposed(table=table()))["node_nf_conntrack_stat_ignore"]
    old = table(counters={"drop": 1}, dead=())
    told = unseen(Exposed(table=old))
    assert {"node_nf_conntrack_stat_search_restart", "tablefull_stat_chain_toolong"} <= set(told)
    assert "tablefull_stat_chain_toolong_total" not in samples(Exposed(table=old))


def test_no_limit_is_no_ratio() -> None:
    exposed = Exposed(table=table(limit=0))
    assert "tablefull_limit_ratio" not in samples(exposed)
    assert samples(exposed)["node_nf_conntrack_entries_limit"][()] == 0
    assert "no limit" in unseen(exposed)["tablefull_limit_ratio"]


def test_the_reason_does_not_change_with_its_numbers() -> None:
    one = Hole("x", "not shown for 3 of 812 processes", "run it as root")
    assert steady(one) == steady(Hole("x", "not shown for 4 of 9 processes", "run it as root"))


def test_series_are_bounded() -> None:
    exposed = Exposed(holes=[Hole(f"network namespace n{number}", "gone") for number in range(1000)])
    assert len(samples(exposed)["tablefull_unseen"]) == MOST_UNSEEN


def everything(words: list[str]) -> Exposed:
    shown = [
        Counted(Place(word + str(at), at, role="container", command=word, container=word), at, {"drop": at, "early_drop": 1})
        for at, word in enumerate(words)
    ]  # fmt: skip
    forecast = Forecast(kind="fills", horizon_s=60, why="", median_s=5.0, low_s=1.0, chance=0.9)
    return Exposed(
        table=table(),
        counts=Counts(shown=shown, limit=100, rest=2, rest_entries=9),
        composition=[Composition(word + str(at), "state", 9, (Part(word, 0.5, 0.4, 0.6), Part(word + "other", 0.5, 0.4, 0.6)))
                     for at, word in enumerate(words)],
        forecasts={word + str(at): forecast for at, word in enumerate(words)},
        holes=[Hole(word + str(at), word, word) for at, word in enumerate(words)],
        ages_s={"netns": 1.0},
        cpu_s={"netns": 0.5},
    )  # fmt: skip


def plain(word: str) -> str:
    return word.encode("utf-8", "backslashreplace").decode()


def test_hostile_names_come_back_as_they_were() -> None:
    words = [word for word in HOSTILE if len(word) < 100]
    exposed = everything(words)
    found = samples(exposed)
    keys = {dict(key)["netns"] for key in found["tablefull_netns_entries"]}
    assert keys == {plain(word + str(at)) for at, word in enumerate(words)}
    assert {dict(key)["command"] for key in found["tablefull_netns_info"]} == {plain(word) for word in words}
    assert "evil" not in found
    openmetric, kind = text_of(list(families(exposed, OWN)), "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert openmetric.endswith(b"# EOF\n")
    again = {family.name: family for family in openmetrics.text_string_to_metric_families(openmetric.decode())}
    assert {sample.labels["netns"] for sample in again["tablefull_netns_entries"].samples} == keys


@given(st.lists(st.text(st.characters(codec=None, exclude_categories=()), max_size=300), max_size=6, unique=True))
def test_any_name_at_all(words: list[str]) -> None:
    found = samples(everything(words))
    assert len(found.get("tablefull_netns_entries", {})) == len(words)
    assert all(len(value) <= 200 for keys in found.values() for key in keys for _, value in key)


def test_promtool_finds_nothing_wrong(program: Callable[[str], str]) -> None:
    text, _ = text_of([*families(everything(HOSTILE), OWN), stamp(1.7e9)])
    done = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_forecasts() -> None:
    level = Forecast(kind="levels", horizon_s=86400, why="", chance=0.01)
    exposed = Exposed(forecasts={"init": level, "x": Forecast(kind="unknown", horizon_s=86400, why="")})
    found = samples(exposed)
    assert "tablefull_seconds_to_full" not in found
    assert found["tablefull_full_probability"] == {(("netns", "init"),): 0.01}
    found = samples(everything(["a"]))
    assert found["tablefull_seconds_to_full"] == {
        (("chance", "0.05"), ("netns", "a0")): 1, (("chance", "0.5"), ("netns", "a0")): 5,
    }  # fmt: skip


def test_counts_and_the_rest() -> None:
    found = samples(everything(["a", "b"]))
    assert found["tablefull_netns_counted"][()] == 4
    assert found["tablefull_netns_rest_entries"][()] == 9
    assert found["tablefull_netns_limit_ratio"][("netns", "b1"),] == 0.01
    assert found["tablefull_netns_stat_drop_total"][("netns", "b1"),] == 1
    assert "tablefull_netns_stat_insert_failed_total" not in found


def test_its_own_cost() -> None:
    own = cost(None, 0)
    assert own.cpu_s > 0
    assert own.resident_bytes is not None
    assert 1e6 < own.resident_bytes < 1e10
    text, _ = text_of(list(families(Exposed(), Cost(1.0, None, None, 0))))
    assert b"resident" not in text
    assert b"scrape_duration" not in text
    assert b"tablefull_build_info" in text
