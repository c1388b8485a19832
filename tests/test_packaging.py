"""What is shipped beside the exporter: rules fire as their tests say, expressions name metrics that exist, rights are least."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.views.test_exporter import everything

from tablefull.views.exporter import Cost, families, stamp

ROOT = Path(__file__).resolve().parent.parent
PACKAGING = ROOT / "packaging"
RULES = PACKAGING / "prometheus/tablefull.rules.yml"
DASHBOARD = PACKAGING / "grafana/tablefull.json"
UNITS = sorted((PACKAGING / "systemd").glob("*.service"))
_NAME = re.compile(r"\b(?:tablefull|node_nf_conntrack)_\w+")
GIVEN_BY_PROMETHEUS = {"instance", "job"}


def exposed() -> dict[str, set[str]]:
    """Every series that the exporter can expose, with its labels."""
    found: dict[str, set[str]] = {}
    for family in [*families(everything(["a"]), Cost(1.0, 1, 1.0, 1)), stamp(1.0)]:
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    names = ("insert_failed", "chain_toolong")
    return found | {f"tablefull_netns_stat_{name}_total": {"netns"} for name in names}


def expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def queries() -> list[str]:
    variables = json.loads(DASHBOARD.read_text("utf-8"))["templating"]["list"]
    return [each["definition"] for each in variables if each["type"] == "query"]


def fires(text: str) -> str:
    """The rules without what is no expression."""
    return re.sub(r"^ +(?:summary|description): .*$", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("text", [*expressions(), *queries(), fires(RULES.read_text("utf-8"))])
def test_every_metric_and_label_named_is_exposed(text: str) -> None:
    known = exposed()
    names = _NAME.findall(text)
    assert names
    assert [name for name in names if name not in known] == []
    for name, labels in re.findall(r"(\w+)\{([^}]*)\}", text):
        if name not in known:
            continue
        used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', '""', labels)))
        assert used <= known[name] | GIVEN_BY_PROMETHEUS, (name, used)


def test_every_metric_has_its_line_in_the_documentation() -> None:
    text = (ROOT / "docs/metrics.md").read_text("utf-8")
    short = {f"node_nf_conntrack_stat_{name}" for name in re.findall(r"`_(\w+)`", text)}
    named = set(_NAME.findall(text)) | short
    known = set(exposed())
    assert known - named == set()
    assert named - known <= {"tablefull_included_age_seconds", *short}


def test_rules_and_their_tests(program: Callable[[str], str]) -> None:
    promtool = program("promtool")
    for words in (("check", "rules", str(RULES)), ("test", "rules", str(RULES.with_name("tablefull.rules.test.yml")))):
        done = subprocess.run([promtool, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text("utf-8"))
    tests = RULES.with_name("tablefull.rules.test.yml").read_text("utf-8")
    assert len(alerts) == len(set(alerts)) >= 9
    for alert in alerts:
        assert re.search(rf"alertname: {alert}\n\s+exp_alerts:\n\s+- exp_labels", tests), alert


def test_expressions_of_the_dashboard_are_promql(program: Callable[[str], str], tmp_path: Path) -> None:
    rules = []
    for number, expression in enumerate(expressions()):
        plain = expression.replace("$__rate_interval", "1m").replace("$by", "state")
        rules.append({"record": f"x:y{number}", "expr": re.sub(r"\$\w+", "x", plain)})
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "x", "rules": rules}]}))  # JSON is YAML
    done = subprocess.run([program("promtool"), "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def test_the_dashboard_s_panels_do_not_overlap() -> None:
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not taken & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_units_are_tight(unit: Path, program: Callable[[str], str]) -> None:
    """systemd-analyze's exposure, 0 to 10, is below 2: "OK"."""
    words = [program("systemd-analyze"), "security", "--offline=yes", "--threshold=20", str(unit)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "Unknown option" in done.stderr or "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze knows no --offline (before 250)")
    assert done.returncode == 0, done.stdout[-300:]


def test_units_are_understood(program: Callable[[str], str], tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    for path in (PACKAGING / "systemd").iterdir():
        text = path.read_text("utf-8").replace("/usr/bin/tablefull", shutil.which("true") or "/bin/true")
        (tmp_path / path.name).write_text(text)
    words = [analyze, "verify", *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_what_a_unit_calls_is_a_call(unit: Path) -> None:
    check_call(re.search(r"^ExecStart=/usr/bin/tablefull (.*)$", unit.read_text("utf-8"), re.MULTILINE)[1].split())


def check_call(words: list[str]) -> None:
    """Click takes the words; nothing is run."""
    from tablefull.views.commands_export import export

    assert words[0] == "export"
    export.make_context("export", words[1:])


@pytest.mark.parametrize("folder", ["base", "composition"])
def test_manifests(folder: str) -> None:
    """kubectl renders them; no container may more than it needs."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("needs kubectl, 1.21 or newer")
    words = [kubectl, "kustomize", str(PACKAGING / "kubernetes" / folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = done.stdout
    containers = text.count("readOnlyRootFilesystem: true")
    assert containers == (1 if folder == "base" else 2)
    for line in ("allowPrivilegeEscalation: false", "privileged: false", "- ALL"):
        assert text.count(line) == containers, line
    assert text.count("add:") == text.count("NET_ADMIN") == containers - 1
    assert "automountServiceAccountToken: false" in text
    assert "hostPath" not in text
    for args in re.findall(r"- args:\n((?:\s+- \S.*\n)+?)\s+(?:env|image):", text):
        check_call(
            [word.strip().removeprefix("- ").replace("$(NODE_IP)", "127.0.0.1") for word in args.strip().splitlines()]
        )


def test_the_image_runs_as_nobody_and_calls_what_there_is() -> None:
    text = (PACKAGING / "container/Containerfile").read_text("utf-8")
    assert re.search(r"^USER 65534:65534$", text, re.MULTILINE)
    check_call(json.loads(re.search(r"^CMD (\[.*\])$", text, re.MULTILINE)[1]))
    for name in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE)[0].split():
        assert (ROOT / name).exists()
