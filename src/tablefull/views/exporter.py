"""The metrics: what was exposed, as families of Prometheus and OpenMetrics.

The trap: a metric that is 0 where nothing was seen makes an alert silent for ever. What was not seen is an absent
series, and ``tablefull_unseen`` says so with words that never change (a number in a label would be a new series each
time). Names and types of the ten that node_exporter has are its own, gauges all of them, and its textfile collector
refuses a file that repeats one: so a file leaves them out.
"""

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from tablefull import __version__
from tablefull.facts.origin import Hole
from tablefull.live.export_facts import TableFacts, full_share, meaning

if TYPE_CHECKING:
    from tablefull.live.export_spaces import Counts
    from tablefull.twin.forecast import Forecast
    from tablefull.watch.exposing import Exposed

NODE_STATISTICS = (*("found", "invalid", "ignore", "insert", "insert_failed", "drop", "early_drop", "search_restart"),)
# What node_exporter has not. The first version that counts each: kernel/uapi.py.
OWN_STATISTICS = ("clash_resolve", "chain_toolong", "error")
NETNS_STATISTICS = ("drop", "early_drop", "insert_failed", "chain_toolong")
MOST_UNSEEN = 50
LONGEST_LABEL = 200
_DIGITS = re.compile(r"\d+")


class Cost(NamedTuple):
    """What the exporter itself takes. ``scrape_s``: of the scrape before; None for the first."""

    cpu_s: float
    resident_bytes: int | None
    scrape_s: float | None
    scrapes: int


def cost(scrape_s: float | None, scrapes: int) -> Cost:
    """Of this process, now."""
    resident = None
    try:
        words = Path("/proc/self/statm").read_text("ascii").split()
        resident = int(words[1]) * _page_bytes()
    except (OSError, ValueError, IndexError):
        pass
    return Cost(time.process_time(), resident, scrape_s, scrapes)


def _page_bytes() -> int:
    import resource

    return resource.getpagesize()


def families(exposed: "Exposed", own: Cost, node_names: bool = True) -> Iterator[Any]:
    """Every metric family with something in it."""
    from prometheus_client.core import CounterMetricFamily as Counter
    from prometheus_client.core import GaugeMetricFamily as Gauge
    from prometheus_client.core import InfoMetricFamily as Info

    build = Info("tablefull_build", "The program that exposes this.")
    build.add_metric([], {"version": __version__, "python": ".".join(map(str, sys.version_info[:3]))})
    yield build
    if exposed.table is not None:
        yield from _table(exposed.table, node_names, Gauge, Counter)
    if exposed.counts is not None:
        yield from _netns(exposed.counts, Gauge, Counter)
    yield from _composition(exposed, Gauge)
    yield from _forecast(exposed.forecasts, Gauge)
    yield from _own(exposed, own, Gauge, Counter)
    holes = [*exposed.holes, *_silent(exposed)]
    unseen = Gauge(
        "tablefull_unseen",
        "1 for what could not be seen: its series are absent, which is not 0.",
        labels=["what", "why"],
    )
    for what, why in sorted({(hole.what, steady(hole)) for hole in holes})[:MOST_UNSEEN]:
        unseen.add_metric([_label(what), _label(why)], 1)
    yield unseen


def steady(hole: Hole) -> str:
    """The reason without its numbers, and the remedy: the same words each time."""
    why = _DIGITS.sub("N", hole.why)
    return f"{why}; {hole.remedy}" if hole.remedy else why


def _label(text: str) -> str:
    """A label's value: what UTF-8 cannot say is spelled out; what quotes and line ends do is the library's business.

    A long one is cut and ends in a sum of the whole: two that begin alike are still two series.
    """
    plain = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(plain) <= LONGEST_LABEL:
        return plain
    return f"{plain[: LONGEST_LABEL - 9]}…{crc32(plain.encode()):08x}"


def _silent(exposed: "Exposed") -> Iterator[Hole]:
    """What the kernel shows as a number and means nothing by, and what has no value."""
    table = exposed.table
    if table is None:
        return
    for name in NODE_STATISTICS:
        if name in table.dead:
            yield Hole(f"node_nf_conntrack_stat_{name}", "always zero on this kernel: it is not counted")
        elif table.counters and name not in table.counters:
            yield Hole(f"node_nf_conntrack_stat_{name}", "this kernel does not tell it")
    for name in OWN_STATISTICS:
        if table.counters and name not in table.counters:
            yield Hole(f"tablefull_stat_{name}", "this kernel does not tell it")
    if table.limit == 0:
        yield Hole("tablefull_limit_ratio", "nf_conntrack_max is zero: there is no limit")


def _help(name: str, release: str) -> str:
    """What it counts on this kernel."""
    told = meaning(name, release)
    return f"{told[:1].upper()}{told[1:]} (Linux {release})." if told else f"The kernel's counter {name}."


def _table(facts: TableFacts, node_names: bool, gauge: Any, counter: Any) -> Iterator[Any]:
    if node_names:
        for name, value, text in (
            ("entries", facts.count, "Number of currently allocated flow entries for connection tracking."),
            ("entries_limit", facts.limit, "Maximum size of connection tracking table."),
        ):
            if value is not None:
                yield gauge(f"node_nf_conntrack_{name}", text, value=value)
        for name in NODE_STATISTICS:
            if name in facts.counters:
                text = _help(name, facts.release)
                yield gauge(f"node_nf_conntrack_stat_{name}", text, value=facts.counters[name])
    if facts.count is not None:
        yield gauge("tablefull_entries", "Entries of this network namespace.", value=facts.count)
    if facts.limit is not None:
        yield gauge("tablefull_limit", "nf_conntrack_max: one number for the whole host; 0 is none.", value=facts.limit)
    if facts.buckets is not None:
        yield gauge("tablefull_buckets", "nf_conntrack_buckets, of the table that all share.", value=facts.buckets)
    share = full_share(facts.count, facts.limit)
    if share is not None:
        yield gauge("tablefull_limit_ratio", "Entries of this namespace by the limit, 0 to 1.", value=share)
    for name in OWN_STATISTICS:
        if name in facts.counters:
            yield counter(f"tablefull_stat_{name}", _help(name, facts.release), value=facts.counters[name])


def _netns(counts: "Counts", gauge: Any, counter: Any) -> Iterator[Any]:
    entries = gauge("tablefull_netns_entries", "Entries of a network namespace.", labels=["netns"])
    ratio = gauge("tablefull_netns_limit_ratio", "The same by the limit, which holds for each alone.", labels=["netns"])
    about = gauge("tablefull_netns_info", "Who is in it.", labels=["netns", "role", "container", "command"])
    losses = {
        name: counter(f"tablefull_netns_stat_{name}", f"The counter {name} of a namespace.", labels=["netns"])
        for name in NETNS_STATISTICS
    }
    for one in counts.shown:
        key = [_label(one.place.key)]
        entries.add_metric(key, one.count)
        share = full_share(one.count, counts.limit)
        if share is not None:
            ratio.add_metric(key, share)
        words = (one.place.role, one.place.container, one.place.command)
        about.add_metric([*key, *map(_label, words)], 1)
        for name, family in losses.items():
            if one.counters is not None and name in one.counters:
                family.add_metric(key, one.counters[name])
    yield from (entries, ratio, about, *losses.values())
    yield gauge("tablefull_netns_counted", "Namespaces that were counted.", value=len(counts.shown) + counts.rest)
    yield gauge(
        "tablefull_netns_rest_entries", "Entries of the namespaces that are not shown one by one.",
        value=counts.rest_entries,
    )  # fmt: skip


def _composition(exposed: "Exposed", gauge: Any) -> Iterator[Any]:
    if not exposed.composition:
        return
    labels = ["netns", "by", "key"]
    family = gauge("tablefull_composition_ratio", "Share of the entries, as sampled.", labels=labels)
    low = gauge("tablefull_composition_ratio_low", "Where its 95 % interval begins.", labels=labels)
    high = gauge("tablefull_composition_ratio_high", "Where its 95 % interval ends.", labels=labels)
    read = gauge("tablefull_composition_read_entries", "Entries that were looked at.", labels=labels[:2])
    for made in exposed.composition:
        read.add_metric([_label(made.key), made.by], made.read)
        for part in made.parts:
            words = [_label(made.key), made.by, _label(part.key)]
            family.add_metric(words, part.share)
            low.add_metric(words, part.low)
            high.add_metric(words, part.high)
    yield from (family, low, high, read)


def _forecast(forecasts: "dict[str, Forecast]", gauge: Any) -> Iterator[Any]:
    known = {key: told for key, told in forecasts.items() if told.kind != "unknown"}
    if not known:
        return
    seconds = gauge(
        "tablefull_seconds_to_full",
        "Until the table is full, where that is to be expected within the horizon: 0.05, 0.5 and 0.95 of the chances.",
        labels=["netns", "chance"],
    )
    chance = gauge("tablefull_full_probability", "Of being full within the horizon.", labels=["netns"])
    for key, told in known.items():
        for share, value in (("0.05", told.low_s), ("0.5", told.median_s), ("0.95", told.high_s)):
            if value is not None:
                seconds.add_metric([_label(key), share], value)
        if told.chance is not None:
            chance.add_metric([_label(key)], told.chance)
    horizon_s = max(told.horizon_s for told in known.values())
    yield from (seconds, chance)
    yield gauge("tablefull_forecast_horizon_seconds", "How far the forecast looks.", value=horizon_s)


def _own(exposed: "Exposed", own: Cost, gauge: Any, counter: Any) -> Iterator[Any]:
    yield counter("tablefull_exporter_cpu_seconds", "CPU that the exporter took, all threads.", value=own.cpu_s)
    if own.resident_bytes is not None:
        text = "Memory that the exporter holds."
        yield gauge("tablefull_exporter_resident_memory_bytes", text, value=own.resident_bytes)
    if own.scrape_s is not None:
        yield gauge("tablefull_exporter_scrape_duration_seconds", "Of the scrape before this one.", value=own.scrape_s)
    yield counter("tablefull_exporter_scrapes", "Scrapes that were answered before this one.", value=own.scrapes)
    ages = gauge("tablefull_look_age_seconds", "How long ago this was looked at.", labels=["look"])
    spent = counter("tablefull_look_cpu_seconds", "CPU that looking for it took.", labels=["look"])
    for name, age_s in exposed.ages_s.items():
        ages.add_metric([name], age_s)
    for name, cpu_s in exposed.cpu_s.items():
        spent.add_metric([name], cpu_s)
    yield from (ages, spent)


def stamp(now: float) -> Any:
    """When a file was written, since 1970: one that is no longer written looks like a quiet host otherwise."""
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily("tablefull_textfile_written_timestamp_seconds", "When this file was written.", value=now)


class Collected:
    """A collector of families that are there already, as the library wants one."""

    def __init__(self, found: list[Any]) -> None:
        self._found = found

    def collect(self) -> list[Any]:
        """They."""
        return self._found


def text_of(found: list[Any], accept: str = "") -> tuple[bytes, str]:
    """The families as text, and its type: OpenMetrics where that is accepted, else Prometheus."""
    from prometheus_client.exposition import choose_encoder

    encode, kind = choose_encoder(accept)
    # A family without a sample would be a name that says nothing.
    return encode(Collected([one for one in found if one.samples])), kind  # type: ignore[arg-type, unused-ignore]
