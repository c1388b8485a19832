"""The required figures on the shared incidents, where they stand beside this checkout."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "bench_incidents.py"


def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_incidents", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_required_figures() -> None:
    bench = benchmark()
    path = bench.find_shared()
    if path is None:
        pytest.skip("shared/incidents/incidents.jsonl is not beside this checkout")
    rows = bench.score(path)
    assert len(rows) == 50
    assert bench.shortfalls(rows) == [], "\n".join(bench.missed(rows))


@pytest.mark.parametrize("name", ["reports-a", "reports-b"])
def test_no_full_table_is_invented_in_further_reports(name: str) -> None:
    bench = benchmark()
    rows = bench.score(bench.FURTHER / f"{name}.jsonl")
    assert len(rows) == 60
    assert [row.id for row in rows if row.false_yes] == []
    assert [row.id for row in rows if row.really_full and row.table_full == "no"] == []
