"""How often the diagnosis of a public report is right: the shared incidents, and the further sets beside this file.

Each report's evidence takes the path of ``tablefull diagnose - --format json``, in one process, and is compared with
its labels. A label may hold several causes and fixes, the main one first. Exit code 1 where a required figure of the
shared set is missed.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tablefull.fixes.diagnosis import diagnose
from tablefull.parsers.reader import read_text

HERE = Path(__file__).resolve().parent
FURTHER = HERE / "incidents"
# Of the shared set, in percent; a wrong "yes" is a person sent after the wrong table, so none is allowed.
REQUIRED = {"first": 90.0, "three": 97.0, "fix": 85.0}
REQUIRED_SET = "incidents"


@dataclass(frozen=True)
class Scored:
    """One report: what we said beside what its labels say."""

    id: str
    set: str
    kind: str
    label: str
    causes: tuple[str, ...]
    fixes: tuple[str, ...]
    our_causes: tuple[str, ...]
    our_fix: str | None
    table_full: str
    really_full: bool

    @property
    def first(self) -> bool:
        """Our first cause is one of the labelled."""
        return bool(self.our_causes) and self.our_causes[0] in self.causes

    @property
    def strict(self) -> bool:
        """Our first cause is the label's first."""
        return self.our_causes[:1] == self.causes[:1]

    @property
    def three(self) -> bool:
        """The label's first cause is among our first three."""
        return self.causes[0] in self.our_causes[:3]

    @property
    def fix(self) -> bool:
        """Our first fix is one of the labelled."""
        return self.our_fix in self.fixes

    @property
    def false_yes(self) -> bool:
        """We say that a table was full which was not."""
        return self.table_full == "yes" and not self.really_full


def find_shared() -> Path | None:
    """``shared/incidents/incidents.jsonl`` beside the checkout, however deep the checkout lies under it."""
    for folder in HERE.parents:
        path = folder / "shared" / "incidents" / "incidents.jsonl"
        if path.exists():
            return path
    return None


def reports(path: Path) -> list[dict[str, object]]:
    """The reports of one file, one JSON object a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def score(path: Path) -> list[Scored]:
    """Every report of a file, diagnosed and compared."""
    scored = []
    for report in reports(path):
        diagnosis = diagnose(read_text(str(report["evidence"])))
        causes, fixes = _words(report["causes"]), _words(report["fixes"])
        full = bool(report["is_conntrack_exhaustion"])
        scored.append(
            Scored(
                id=str(report["id"]),
                set=path.stem,
                kind="full" if full else str(report.get("negative_kind") or "not full"),
                label=causes[0],
                causes=causes,
                fixes=fixes,
                our_causes=tuple(cause.cause for cause in diagnosis.causes),
                our_fix=diagnosis.fixes[0].id if diagnosis.fixes else None,
                table_full=diagnosis.full.state,
                really_full=full,
            )
        )
    return scored


def _words(value: object) -> tuple[str, ...]:
    return tuple(str(word) for word in value) if isinstance(value, list) else ()


def figures(rows: Iterable[Scored]) -> dict[str, float]:
    """Counts, and the four rates in percent, of some reports."""
    rows = list(rows)
    count = len(rows)
    told = Counter((row.table_full, row.really_full) for row in rows)
    return {
        "n": count,
        **{
            name: round(100 * sum(getattr(row, name) for row in rows) / count, 1) if count else 0.0
            for name in ("first", "strict", "three", "fix")
        },
        "yes_true": told["yes", True],
        "yes_false": told["yes", False],
        "no_true": told["no", True],
        "unknown": told["unknown", True] + told["unknown", False],
    }


HEADER = ("n", "first", "strict", "three", "fix", "yes_true", "yes_false", "no_true", "unknown")
TITLES = ("n", "first %", "strict %", "of 3 %", "fix %", "yes/full", "yes/not", "no/full", "unknown")


def table(title: str, groups: dict[str, list[Scored]]) -> str:
    """Groups as rows, figures as columns."""
    lines = [f"{title:32}" + "".join(f"{name:>9}" for name in TITLES)]
    for name, rows in groups.items():
        values = figures(rows)
        lines.append(
            f"{name:32}"
            + "".join(
                f"{values[key]:9.1f}" if key in ("first", "strict", "three", "fix") else f"{values[key]:9.0f}"
                for key in HEADER
            )
        )
    return "\n".join(lines)


def grouped(rows: list[Scored], key: str) -> dict[str, list[Scored]]:
    """Rows by one of their fields, in the order of the field's name."""
    groups: dict[str, list[Scored]] = {}
    for row in sorted(rows, key=lambda row: str(getattr(row, key))):
        groups.setdefault(str(getattr(row, key)), []).append(row)
    return groups


def missed(rows: list[Scored]) -> list[str]:
    """Every report with something wrong: what we said and what the labels say."""
    lines = []
    for row in rows:
        wrong = [name for name in ("first", "three", "fix") if not getattr(row, name)]
        if row.false_yes:
            wrong.append("false yes")
        if row.really_full and row.table_full == "no":
            wrong.append("false no")
        if wrong:
            said = ", ".join(row.our_causes[:3]) or "nothing"
            lines.append(
                f"{row.set}/{row.id}: {', '.join(wrong)}\n"
                f"    said {said}; fix {row.our_fix}; table full {row.table_full}\n"
                f"    labelled {', '.join(row.causes)}; fixes {', '.join(row.fixes)}"
            )
    return lines


def shortfalls(rows: list[Scored]) -> list[str]:
    """Required figures that these reports miss."""
    have = figures(rows)
    short = [f"{name} {have[name]} % < {least} %" for name, least in REQUIRED.items() if have[name] < least]
    if have["yes_false"]:
        short.append(f"table_full yes on {have['yes_false']:.0f} reports where it is not")
    return short


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", nargs="?", type=Path, help="incidents.jsonl; found beside the checkout by default")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    arguments = parser.parse_args()
    shared = arguments.shared or find_shared()
    rows: list[Scored] = []
    required: list[Scored] = []
    if shared is not None:
        required = score(shared)
        rows += required
    for path in sorted(FURTHER.glob("*.jsonl")):
        rows += score(path)
    short = shortfalls(required) if required else []
    if arguments.json:
        print(
            json.dumps(
                {
                    "sets": {name: figures(some) for name, some in grouped(rows, "set").items()},
                    "kinds": {name: figures(some) for name, some in grouped(rows, "kind").items()},
                    "causes": {name: figures(some) for name, some in grouped(rows, "label").items()},
                    "reports": [asdict(row) for row in rows],
                    "short": short,
                    "required_set_seen": bool(required),
                }
            )
        )
    else:
        print(table("set", grouped(rows, "set")), end="\n\n")
        for name, some in grouped(rows, "set").items():
            print(table(f"{name}, by kind", grouped(some, "kind")), end="\n\n")
        print(table("all, by first labelled cause", grouped(rows, "label")), end="\n\n")
        lines = missed(rows)
        print(f"{len(lines)} missed in something" + (":" if lines else ""))
        print("\n".join(lines))
        if not required:
            print("the shared set is not beside this checkout: the required figures were not measured")
        else:
            have = figures(required)
            for name, least in REQUIRED.items():
                met = "met" if have[name] >= least else "MISSED"
                print(f"{REQUIRED_SET}: {name:6} {have[name]:6} %   goal: at least {least:g} %   {met}")
        for line in short:
            print(f"required and missed: {line}")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
