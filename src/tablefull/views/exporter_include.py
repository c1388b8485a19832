"""What another call wrote with ``--textfile``, added to what the server exposes: the composition, and nothing else.

The trap: the file comes from a process with more rights and goes to everybody who may scrape. Only names of the
composition pass, only so many, and only while the file is fresh: one that is no longer written is not shown as if it
were today's.
"""

import math
import os
import stat
from typing import Any

from tablefull.facts.origin import Hole

NAMES = (
    "tablefull_composition_ratio",
    "tablefull_composition_ratio_low",
    "tablefull_composition_ratio_high",
    "tablefull_composition_read_entries",
)
LABELS = frozenset(("netns", "by", "key"))
UNSEEN = "tablefull_unseen"
MOST_BYTES, MOST_SERIES = 1 << 20, 5000
TOO_OLD_S = 300.0
WHAT = "composition"


class Included:
    """The file behind ``--include``, read again when it changed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._read: tuple[int, int, int] | None = None
        self._families: list[Any] = []
        self._holes: list[Hole] = []

    def families(self, now: float) -> tuple[list[Any], list[Hole]]:
        """The families in it, with its age in seconds, and what it could not see; ``now``: since 1970."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            return [], [Hole(WHAT, f"the file of --include: {(error.strerror or str(error)).lower()}")]
        try:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode) or about.st_size > MOST_BYTES:
                return [], [Hole(WHAT, "the file of --include is no file of tablefull export")]
            age_s = now - about.st_mtime
            if not -TOO_OLD_S < age_s < TOO_OLD_S:
                return [], [Hole(WHAT, "the file of --include is too old")]
            which = (about.st_ino, about.st_mtime_ns, about.st_size)
            if which != self._read:
                with os.fdopen(os.dup(descriptor), "rb") as file:
                    text = file.read(MOST_BYTES).decode("utf-8", "replace")
                self._families, self._holes = parsed(text)
                self._read = which
        except OSError as error:
            return [], [Hole(WHAT, f"the file of --include: {(error.strerror or str(error)).lower()}")]
        finally:
            os.close(descriptor)
        if not self._families:
            return [], self._holes
        from prometheus_client.core import GaugeMetricFamily

        age = GaugeMetricFamily(
            "tablefull_included_age_seconds", "Age of the file of --include.", value=max(age_s, 0.0)
        )
        return [*self._families, age], self._holes


def parsed(text: str) -> tuple[list[Any], list[Hole]]:
    """The composition in a text of metrics and what it names as unseen; a hole where it cannot be read."""
    from prometheus_client.parser import text_string_to_metric_families

    found: list[Any] = []
    holes: list[Hole] = []
    series = 0
    try:
        for family in text_string_to_metric_families(text):
            if family.name == UNSEEN:
                holes += [
                    Hole(sample.labels["what"], sample.labels["why"])
                    for sample in family.samples
                    if sample.labels.get("what", "").startswith(WHAT) and "why" in sample.labels
                ]
            if family.name not in NAMES:
                continue
            family.samples = [sample for sample in family.samples if _good(sample, family.name)]
            series += len(family.samples)
            if series > MOST_SERIES:
                return [], [Hole(WHAT, "the file of --include holds too many series")]
            found.append(family)
    except Exception:  # noqa: BLE001 - the library raises whatever a broken line makes it stumble over
        return [], [Hole(WHAT, "the file of --include is damaged")]
    if not found and not holes:
        holes.append(Hole(WHAT, "the file of --include holds none"))
    return found, holes


def _good(sample: Any, name: str) -> bool:
    """Whether a sample is one that we would have written."""
    return (
        sample.name == name
        and set(sample.labels) <= LABELS
        and math.isfinite(sample.value)
        and sample.value >= 0
        and (sample.value <= 1 or name.endswith("_entries"))
        and sample.timestamp is None
    )
