"""The dashboards are as ``dashboards/build.py`` writes them, and their SQL runs in DataFusion, the
engine of InfluxDB 3. ``crates/sprockets-influxdb/tests/dashboard.rs`` runs InfluxQL in influxd.
``scripts/check-with-node`` checks Grafana's schema, and Flux.
"""

import importlib.util
import json
import re
from types import ModuleType
from typing import Any

import pytest

from documents import ROOT

DASHBOARDS = ROOT / "dashboards"
LANGUAGES = tuple(sorted(path.name for path in DASHBOARDS.glob("*.json")))


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DASHBOARDS))
    spec = importlib.util.spec_from_file_location("build", DASHBOARDS / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load(name: str) -> dict[str, Any]:
    dashboard: dict[str, Any] = json.loads((DASHBOARDS / name).read_text(encoding="utf-8"))
    return dashboard


def test_the_files_are_generated(build: ModuleType) -> None:
    for name, text in build.files().items():
        assert (DASHBOARDS / name).read_text(encoding="utf-8") == text, "run `make generated`"


def test_all_languages_have_the_same_panels() -> None:
    shown = [
        [(panel["title"], panel["type"], panel["gridPos"]) for panel in load(name)["panels"]]
        for name in LANGUAGES
    ]
    assert len(shown) == 4
    assert all(panels == shown[0] for panels in shown)
    titles = {title for title, _, _ in shown[0]}
    assert {"Requests/s", "5xx errors", "p95 latency"} <= titles


def test_panels_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in load("requests.json")["panels"]]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))


@pytest.mark.parametrize("name", LANGUAGES)
def test_only_declared_variables_are_used(name: str) -> None:
    dashboard = load(name)
    declared = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{(\w+)", json.dumps(dashboard)))
    assert used <= declared


def test_sql_finds_rows() -> None:
    datafusion = pytest.importorskip("datafusion")
    context = datafusion.SessionContext()
    context.sql(
        """
        CREATE TABLE "request" AS SELECT
            now() AS "time", "endpoint", 'vm' AS "hostname", 'GET' AS "method", "status_code",
            "grpc_status", "exception", 0.2 AS "duration", 0.1 AS "time_to_first_byte",
            10 AS "content_length", 1 AS "request_length"
        FROM (VALUES
            ('/users/{user}', '200', NULL, NULL), ('/users/{user}', '500', NULL, 'ValueError'),
            ('/jobs', '499', NULL, NULL), ('/health.Check', '200', '0', NULL)
        ) AS t ("endpoint", "status_code", "grpc_status", "exception")
        """
    ).collect()
    dashboard = load("requests-sql.json")
    queries = [target["rawSql"] for panel in dashboard["panels"] for target in panel["targets"]]
    # The query for the names of measurements is InfluxDB's own.
    queries += [
        variable["query"]["rawSql"]
        for variable in dashboard["templating"]["list"]
        if variable["type"] == "query" and variable["name"] != "measurement"
    ]
    assert len(queries) > 15
    for query in queries:
        # As Grafana replaces its variables and macros.
        sql = re.sub(r"\$\{\w+:regex\}", ".*", query).replace("${measurement}", "request")
        sql = sql.replace("$__timeFilter(time)", "time >= now() - interval '1 hour'")
        sql = sql.replace("$__interval_ms", "10000")
        sql = sql.replace("$__dateBin(time)", "date_bin(interval '10 second', time)")
        assert "$" not in sql.replace(".*)$'", "")
        rows = sum(batch.num_rows for batch in context.sql(sql).collect())
        assert rows > 0, sql


def test_the_example_finds_its_files() -> None:
    yaml = pytest.importorskip("ruamel.yaml").YAML(typ="safe")
    folder = ROOT / "examples/grafana"
    services = yaml.load(folder / "compose.yaml")["services"]
    for volume in services["grafana"]["volumes"]:
        assert (folder / volume.split(":")[0]).exists(), volume
    dockerfile = (ROOT / services["service"]["build"]["dockerfile"]).read_text(encoding="utf-8")
    for source in re.findall(r"^COPY (\w\S+) ", dockerfile, re.MULTILINE):
        assert (ROOT / source).exists(), source
    [source] = yaml.load(folder / "provisioning/datasources/influxdb.yaml")["datasources"]
    assert source["url"] == services["service"]["environment"]["INFLUXDB_URL"]
    assert source["jsonData"]["dbName"] == services["influxdb"]["environment"]["INFLUXDB_DB"]
    assert (ROOT / "examples/fastapi/app.py").read_text().count('"example"') >= 1
