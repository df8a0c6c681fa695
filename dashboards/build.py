"""Writes the Grafana dashboards: ``python dashboards/build.py``.

There is one for each query language of Grafana's InfluxDB data source: InfluxQL (InfluxDB 1.x, and
3.x), Flux (2.x) and SQL (3.x), and one for OpenTelemetry's names. They have the same panels.
"""

import json
import pathlib
import re
from collections.abc import Callable
from typing import Any, ClassVar

HERE = pathlib.Path(__file__).parent
DATA_SOURCE = {"type": "influxdb", "uid": "${datasource}"}
Panel = dict[str, Any]
Query = str | dict[str, str]

#: Variables that filter by a tag: name of the variable, its label, the tag.
FILTERS = (
    ("service", "Service", "service"),
    ("host", "Host", "hostname"),
    ("environment", "Environment", "environment"),
    ("endpoint", "Endpoint", "endpoint"),
    ("method", "Method", "method"),
)

BASE_TAGS = (
    "Service and Environment list the values of base tags. They are empty unless you set "
    "base_tags={'service': …} and ENVIRONMENT."
)
NO_BASE_TAGS = (
    "It does not filter by service and environment: without such a base tag there is no column."
)
NOT_TORNADO = "Empty for services with the Tornado mixin, which does not record it."
GRPC_ONLY = "Empty unless a service records gRPC calls, as with tonic. Status 0 is success."
TAGS_OR_FIELDS = (
    "client_ip and request_id are fields. The Tornado mixin, and others with "
    "INFLUXDB_TAG_REMOTE_IP=true and INFLUXDB_TAG_CORRELATION_ID=true, record the tags remote_ip "
    "and correlation_id instead: their columns are empty otherwise."
)


class InfluxQl:
    """Queries in InfluxQL."""

    name = "InfluxQL"
    file = "requests.json"
    about = "InfluxDB 1.x, or 3.x by InfluxQL"
    measurements = "SHOW MEASUREMENTS"
    where = "$timeFilter AND " + " AND ".join(f'"{tag}" =~ /^${name}$/' for name, _, tag in FILTERS)

    def values(self, tag: str) -> str:
        return f'SHOW TAG VALUES FROM "$measurement" WITH KEY = "{tag}"'

    def _select(self, what: str, more: str = "", group: str = "") -> str:
        query = f'SELECT {what} FROM "$measurement" WHERE {self.where}'
        return query + (f" AND {more}" if more else "") + (f" {group}" if group else "")

    def count(self, more: str) -> str:
        return self._select('count("duration")', self._condition(more))

    def percentile(self, field: str, percent: int) -> str:
        return self._select(f'percentile("{field}", {percent})')

    def rate(self, by: str = "", more: str = "") -> str:
        groups = "time($__interval)" + (f', "{by}"' if by else "")
        what = 'count("duration") * 1000 / $__interval_ms'
        return self._select(what, self._condition(more), f"GROUP BY {groups} fill(0)")

    def bytes_rate(self, field: str) -> str:
        what = f'sum("{field}") * 1000 / $__interval_ms'
        return self._select(what, group="GROUP BY time($__interval) fill(0)")

    def percentile_over_time(self, field: str, percent: int, by: str = "") -> str:
        groups = "time($__interval)" + (f', "{by}"' if by else "")
        return self._select(
            f'percentile("{field}", {percent})', group=f"GROUP BY {groups} fill(none)"
        )

    def endpoints(self) -> str:
        columns = [
            'count("duration") AS "requests"',
            *(f'percentile("duration", {percent}) AS "p{percent}"' for percent in (50, 95, 99)),
            'max("duration") AS "slowest"',
            'sum("content_length") AS "bytes sent"',
        ]
        return self._select(", ".join(columns), group='GROUP BY "endpoint", "method"')

    def slowest(self) -> str:
        columns = ["method", "endpoint", "status_code", "client_ip", "request_id"]
        columns += ["remote_ip", "correlation_id"]
        listed = ", ".join(f'"{column}"' for column in columns)
        return self._select(f'top("duration", 20) AS "duration", {listed}')

    def exceptions(self) -> str:
        columns = ["exception", "method", "endpoint", "status_code", "request_id"]
        listed = ", ".join(f'"{column}"' for column in [*columns, "correlation_id"])
        return self._select(listed, "\"exception\" != ''", "ORDER BY time DESC LIMIT 100")

    @staticmethod
    def _condition(more: str) -> str:
        conditions = {
            "": "",
            "5xx": '"status_code" =~ /^5/',
            "499": "\"status_code\" = '499'",
            "grpc": '"grpc_status" =~ /./',
        }
        return conditions[more]

    def target(self, query: str, format_: str, alias: str) -> dict[str, Any]:
        target = {"rawQuery": True, "query": query, "resultFormat": format_}
        return target | ({"alias": alias} if alias else {})


class OpenTelemetry(InfluxQl):
    """Queries in InfluxQL for middlewares with ``names="opentelemetry"``."""

    name = "OpenTelemetry"
    file = "requests-opentelemetry.json"
    about = InfluxQl.about + ', with names="opentelemetry"'
    names: ClassVar = {
        "endpoint": "http.route",
        "method": "http.request.method",
        "status_code": "http.response.status_code",
        "grpc_status": "rpc.grpc.status_code",
        "content_length": "http.server.response.body.size",
        "request_length": "http.server.request.body.size",
        "duration": "http.server.request.duration",
        "client_ip": "client.address",
        "request_id": "request.id",
        "exception": "error.type",
    }

    def _renamed(self, query: str) -> str:
        # Names of results stay.
        for ours, theirs in self.names.items():
            query = re.sub(f'(?<!AS )"{ours}"', f'"{theirs}"', query)
        return query

    def values(self, tag: str) -> str:
        return self._renamed(super().values(tag))

    def target(self, query: str, format_: str, alias: str) -> dict[str, Any]:
        tag = alias.removeprefix("$tag_")
        alias = f"[[tag_{self.names[tag]}]]" if tag != alias else alias
        return super().target(self._renamed(query), format_, alias)


class Sql:
    """Queries in SQL. A tag that no point has is no column, so only tags that always are filter."""

    name = "SQL"
    file = "requests-sql.json"
    about = "InfluxDB 3.x by SQL"
    measurements = (
        "SELECT DISTINCT table_name FROM information_schema.tables WHERE table_schema = 'iox'"
    )
    filters = tuple(filter_ for filter_ in FILTERS if filter_[0] not in ("service", "environment"))
    table = '"${measurement}"'
    where = "$__timeFilter(time) AND " + " AND ".join(
        f"\"{tag}\" ~ '^(${{{name}:regex}})$'" for name, _, tag in filters
    )

    def values(self, tag: str) -> str:
        return f"SELECT DISTINCT \"{tag}\" FROM {self.table} WHERE time > now() - interval '1 day'"

    def _select(self, what: str, more: str = "", rest: str = "") -> str:
        query = f"SELECT {what} FROM {self.table} WHERE {self.where}"
        return query + (f" AND {more}" if more else "") + (f" {rest}" if rest else "")

    def count(self, more: str) -> str:
        return self._select('count("duration") AS "requests"', self._condition(more))

    def percentile(self, field: str, percent: int) -> str:
        return self._select(f'approx_percentile_cont("{field}", {percent / 100}) AS "p{percent}"')

    def _over_time(self, what: str, by: str, more: str = "") -> str:
        column = f', "{by}"' if by else ""
        return self._select(
            f'$__dateBin(time) AS "time"{column}, {what}',
            self._condition(more),
            f"GROUP BY 1{', 2' if by else ''} ORDER BY 1",
        )

    def rate(self, by: str = "", more: str = "") -> str:
        return self._over_time('count("duration") * 1000.0 / $__interval_ms AS "rate"', by, more)

    def bytes_rate(self, field: str) -> str:
        return self._over_time(f'sum("{field}") * 1000.0 / $__interval_ms AS "{field}"', "")

    def percentile_over_time(self, field: str, percent: int, by: str = "") -> str:
        what = f'approx_percentile_cont("{field}", {percent / 100}) AS "p{percent}"'
        return self._over_time(what, by)

    def endpoints(self) -> str:
        columns = ['"endpoint"', '"method"', 'count("duration") AS "requests"']
        for percent in (50, 95, 99):
            percentile = f'approx_percentile_cont("duration", {percent / 100})'
            columns.append(f'{percentile} AS "p{percent}"')
        columns += ['max("duration") AS "slowest"', 'sum("content_length") AS "bytes sent"']
        return self._select(", ".join(columns), rest='GROUP BY "endpoint", "method"')

    def slowest(self) -> str:
        columns = "time, duration, method, endpoint, status_code"
        return self._select(columns, rest="ORDER BY duration DESC LIMIT 20")

    def exceptions(self) -> str:
        columns = "time, exception, method, endpoint, status_code"
        return self._select(columns, "exception <> ''", "ORDER BY time DESC LIMIT 100")

    @staticmethod
    def _condition(more: str) -> str:
        conditions = {
            "": "",
            "5xx": "\"status_code\" LIKE '5%'",
            "499": "\"status_code\" = '499'",
            "grpc": '"grpc_status" IS NOT NULL',
        }
        return conditions[more]

    def target(self, query: str, format_: str, _alias: str) -> dict[str, Any]:
        return {"rawSql": query, "rawQuery": True, "format": format_, "dataset": "iox"}


class Flux:
    """Queries in Flux."""

    name = "Flux"
    file = "requests-flux.json"
    about = "InfluxDB 2.x"
    measurements = 'import "influxdata/influxdb/schema"\nschema.measurements(bucket: "${bucket}")'

    def values(self, tag: str) -> str:
        return (
            'import "influxdata/influxdb/schema"\n'
            f'schema.measurementTagValues(bucket: "${{bucket}}", measurement: "${{measurement}}", '
            f'tag: "{tag}")'
        )

    def _from(self, fields: list[str], more: str = "") -> list[str]:
        conditions = [
            f'(not exists r["{tag}"] or r["{tag}"] =~ /^${{{name}:regex}}$/)'
            if name in ("service", "environment")
            else f'r["{tag}"] =~ /^${{{name}:regex}}$/'
            for name, _, tag in FILTERS
        ]
        listed = " or ".join(f'r._field == "{field}"' for field in fields)
        lines = [
            'from(bucket: "${bucket}")',
            "|> range(start: v.timeRangeStart, stop: v.timeRangeStop)",
            f'|> filter(fn: (r) => r._measurement == "${{measurement}}" and ({listed}))',
            f"|> filter(fn: (r) => {' and '.join(conditions)})",
        ]
        condition = {
            "": "",
            "5xx": "r.status_code =~ /^5/",
            "499": 'r.status_code == "499"',
            "grpc": "exists r.grpc_status",
        }[more]
        return lines + ([f"|> filter(fn: (r) => {condition})"] if condition else [])

    def count(self, more: str) -> str:
        return "\n".join([*self._from(["duration"], more), "|> group()", "|> count()"])

    def percentile(self, field: str, percent: int) -> str:
        quantile = f"|> quantile(q: {percent / 100})"
        return "\n".join([*self._from([field]), "|> group()", quantile])

    def rate(self, by: str = "", more: str = "") -> str:
        return self._per_second(self._from(["duration"], more), by, "count")

    def bytes_rate(self, field: str) -> str:
        return self._per_second(self._from([field]), "", "sum")

    @staticmethod
    def _per_second(lines: list[str], by: str, function: str) -> str:
        columns = f'columns: ["{by}"]' if by else ""
        window = f"|> aggregateWindow(every: v.windowPeriod, fn: {function})"
        seconds = "float(v: int(v: v.windowPeriod)) / 1000000000.0"
        per_second = f"|> map(fn: (r) => ({{r with _value: float(v: r._value) / ({seconds})}}))"
        return "\n".join([*lines, f"|> group({columns})", window, per_second])

    def percentile_over_time(self, field: str, percent: int, by: str = "") -> str:
        columns = f'columns: ["{by}"]' if by else ""
        quantile = f"(column, tables=<-) => tables |> quantile(q: {percent / 100}, column: column)"
        window = f"|> aggregateWindow(every: v.windowPeriod, createEmpty: false, fn: {quantile})"
        return "\n".join([*self._from([field]), f"|> group({columns})", window])

    def endpoints(self) -> str:
        lines = self._from(["duration"])
        columns = 'columns: ["endpoint", "method"]'
        steps = [f"data = {lines[0]}", *lines[1:], f"|> group({columns})"]
        tables = {"requests": "count()", "slowest": "max()"}
        tables |= {f"p{percent}": f"quantile(q: {percent / 100})" for percent in (50, 95, 99)}
        for name, function in tables.items():
            value = "float(v: r._value)"
            mapped = f'{{endpoint: r.endpoint, method: r.method, what: "{name}", _value: {value}}}'
            steps.append(f"t_{name} = data |> {function} |> map(fn: (r) => ({mapped}))")
        steps.append(f"union(tables: [{', '.join(f't_{name}' for name in tables)}])")
        steps.append("|> group()")
        key = 'rowKey: ["endpoint", "method"], columnKey: ["what"], valueColumn: "_value"'
        steps.append(f"|> pivot({key})")
        return "\n".join(steps)

    def slowest(self) -> str:
        columns = '["_time", "_value", "method", "endpoint", "status_code"]'
        top = "|> top(n: 20)"
        return "\n".join(
            [*self._from(["duration"]), "|> group()", top, f"|> keep(columns: {columns})"]
        )

    def exceptions(self) -> str:
        columns = '["_time", "_value", "method", "endpoint", "status_code"]'
        newest = '|> sort(columns: ["_time"], desc: true)\n|> limit(n: 100)'
        return "\n".join(
            [*self._from(["exception"]), "|> group()", newest, f"|> keep(columns: {columns})"]
        )

    def target(self, query: str, _format: str, _alias: str) -> dict[str, Any]:
        return {"query": query}


Language = InfluxQl | Sql | Flux


def panels(language: Language) -> list[Panel]:
    """Return all panels, from top to bottom."""
    make = Panels(language)
    make.stat("Requests/s", {"requests/s": language.rate()}, "reqps", calc="mean")
    make.stat("5xx errors", {"": language.count("5xx")}, "short", red=True)
    make.stat("p95 latency", {"": language.percentile("duration", 95)}, "s")
    make.stat(
        "Client disconnects",
        {"": language.count("499")},
        "short",
        "Requests whose client was gone before the response began: status 499.",
    )
    make.series("Requests/s by status", {"$tag_status_code": language.rate("status_code")}, "reqps")
    percents = (50, 95, 99)
    latencies = {f"p{n}": language.percentile_over_time("duration", n) for n in percents}
    make.series("Latency", latencies, "s", "Until the last byte of the response.")
    make.series(
        "p95 latency by endpoint",
        {"$tag_endpoint": language.percentile_over_time("duration", 95, "endpoint")},
        "s",
    )
    make.series(
        "5xx errors/s by endpoint", {"$tag_endpoint": language.rate("endpoint", "5xx")}, "reqps"
    )
    make.table("Endpoints", language.endpoints(), "", "requests", width=24)
    make.series(
        "p95 time to first byte by endpoint",
        {"$tag_endpoint": language.percentile_over_time("time_to_first_byte", 95, "endpoint")},
        "s",
        NOT_TORNADO,
    )
    traffic = {
        "sent": language.bytes_rate("content_length"),
        "received": language.bytes_rate("request_length"),
    }
    make.series("Traffic", traffic, "Bps", "Bodies of responses and of requests.")
    make.table("Slowest requests", language.slowest(), TAGS_OR_FIELDS, "duration")
    make.table("Exceptions", language.exceptions(), "Empty if no request failed.", "")
    make.series(
        "gRPC calls/s by status",
        {"$tag_grpc_status": language.rate("grpc_status", "grpc")},
        "reqps",
        GRPC_ONLY,
    )
    return make.panels


class Panels:
    """Places panels in rows, from left to right."""

    def __init__(self, language: Language) -> None:
        self.panels: list[Panel] = []
        self._language = language
        self._x = self._y = 0

    def _add(self, panel: Panel, about: str, queries: dict[str, str], format_: str) -> None:
        width = panel["gridPos"]["w"]
        if self._x + width > 24:
            self._x, self._y = 0, self._y + self.panels[-1]["gridPos"]["h"]
        panel["gridPos"] |= {"x": self._x, "y": self._y}
        self._x += width
        panel = {"id": len(self.panels) + 1, "datasource": DATA_SOURCE} | panel
        if about:
            panel["description"] = about
        panel["targets"] = [
            {"datasource": DATA_SOURCE, "refId": chr(ord("A") + number)}
            | self._language.target(query, format_, alias)
            for number, (alias, query) in enumerate(queries.items())
        ]
        self.panels.append(panel)

    def stat(
        self,
        title: str,
        queries: dict[str, str],
        unit: str,
        about: str = "",
        calc: str = "lastNotNull",
        red: bool = False,
    ) -> None:
        steps = [{"color": "green", "value": 0}]
        steps += [{"color": "red", "value": 1}] if red else []
        panel = {
            "title": title,
            "type": "stat",
            "gridPos": {"w": 6, "h": 4},
            "fieldConfig": {
                "defaults": {
                    "color": {"mode": "thresholds"},
                    "mappings": [],
                    "thresholds": {"mode": "absolute", "steps": steps},
                    "unit": unit,
                    "noValue": "-" if unit == "s" else "0",
                },
                "overrides": [],
            },
            "options": {
                "reduceOptions": {"calcs": [calc], "fields": "", "values": False},
                "colorMode": "value",
                "graphMode": "none",
                "textMode": "value",
                "justifyMode": "auto",
                "orientation": "auto",
            },
        }
        self._add(panel, about, queries, "time_series")

    def series(self, title: str, queries: dict[str, str], unit: str, about: str = "") -> None:
        is_stacked = "by status" in title
        panel = {
            "title": title,
            "type": "timeseries",
            "gridPos": {"w": 12, "h": 8},
            "fieldConfig": {
                "defaults": {
                    "color": {"mode": "palette-classic"},
                    "mappings": [],
                    "thresholds": {
                        "mode": "absolute",
                        "steps": [{"color": "green", "value": 0}],
                    },
                    "unit": unit,
                    "min": 0,
                    "custom": {
                        "drawStyle": "line",
                        "lineWidth": 1,
                        "fillOpacity": 40 if is_stacked else 10,
                        "showPoints": "never",
                        "spanNulls": False,
                        "stacking": {"mode": "normal" if is_stacked else "none", "group": "A"},
                    },
                },
                "overrides": [],
            },
            "options": {
                "legend": {
                    "displayMode": "list",
                    "placement": "bottom",
                    "showLegend": True,
                    "calcs": [],
                },
                "tooltip": {"mode": "multi", "sort": "desc"},
            },
        }
        self._add(panel, about, queries, "time_series")

    def table(self, title: str, query: str, about: str, sorted_by: str, width: int = 12) -> None:
        units = {"/^(p\\d\\d|slowest|duration)$/": "s", "/^bytes sent$/": "bytes"}
        overrides: list[dict[str, Any]] = [
            {
                "matcher": {"id": "byRegexp", "options": pattern},
                "properties": [{"id": "unit", "value": unit}],
            }
            for pattern, unit in units.items()
        ]
        if title == "Endpoints":
            hidden = [{"id": "custom.hidden", "value": True}]
            matcher = {"id": "byName", "options": "Time"}
            overrides.append({"matcher": matcher, "properties": hidden})
        sort = {"sortBy": [{"displayName": sorted_by, "desc": True}]} if sorted_by else {}
        panel = {
            "title": title,
            "type": "table",
            "gridPos": {"w": width, "h": 9},
            "fieldConfig": {
                "defaults": {
                    "color": {"mode": "palette-classic"},
                    "mappings": [],
                    "thresholds": {
                        "mode": "absolute",
                        "steps": [{"color": "green", "value": 0}],
                    },
                },
                "overrides": overrides,
            },
            "options": {"showHeader": True, "cellHeight": "sm", **sort},
        }
        self._add(panel, about, {"": query}, "table")


def variables(language: Language) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "influxdb",
            "refresh": 1,
            "regex": "",
            "hide": 0,
            "multi": False,
            "includeAll": False,
            "options": [],
        }
    ]
    if isinstance(language, Flux):
        text = {"name": "bucket", "label": "Bucket", "type": "textbox", "hide": 0, "options": []}
        found.append(
            text | {"query": "example", "current": {"text": "example", "value": "example"}}
        )
    found.append(
        _variable("measurement", "Measurement", _query(language, language.measurements))
        | {"current": {"text": "request", "value": "request"}}
    )
    filters = language.filters if isinstance(language, Sql) else FILTERS
    for name, label, tag in filters:
        everything = {"multi": True, "includeAll": True, "allValue": ".*"}
        chosen = {"current": {"text": ["All"], "value": ["$__all"]}}
        found.append(
            _variable(name, label, _query(language, language.values(tag))) | everything | chosen
        )
    return found


def _query(language: Language, query: str) -> Query:
    if isinstance(language, Sql):
        return {"refId": "variable", "rawSql": query, "query": query}
    return query


def _variable(name: str, label: str, query: Query) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATA_SOURCE,
        "query": query,
        "refresh": 2,
        "sort": 1,
        "regex": "",
        "hide": 0,
        "skipUrlSync": False,
        "multi": False,
        "includeAll": False,
        "options": [],
    }


def dashboard(language: Language) -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    is_default = type(language) is InfluxQl
    suffix = "" if is_default else f" ({language.name})"
    slug = "" if is_default else f"-{language.name.lower()}"
    return {
        "title": f"Requests{suffix}",
        "uid": f"sprockets-influxdb-requests{slug}",
        "description": (
            f"Requests that the middlewares of sprockets-influxdb record, in {language.about}. "
            + (NO_BASE_TAGS if isinstance(language, Sql) else BASE_TAGS)
        ),
        "tags": ["sprockets-influxdb"],
        "schemaVersion": 42,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "timepicker": {},
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "links": [],
        "preload": False,
        "annotations": {
            "list": [
                {
                    "builtIn": 1,
                    "datasource": {"type": "grafana", "uid": "-- Grafana --"},
                    "enable": True,
                    "hide": True,
                    "iconColor": "rgba(0, 211, 255, 1)",
                    "name": "Annotations & Alerts",
                    "type": "dashboard",
                }
            ]
        },
        "templating": {"list": variables(language)},
        "panels": panels(language),
    }


LANGUAGES: tuple[Callable[[], Language], ...] = (InfluxQl, OpenTelemetry, Flux, Sql)


def files() -> dict[str, str]:
    """Return the text of each dashboard by its file's name."""
    return {
        language.file: json.dumps(dashboard(language), indent=2, ensure_ascii=False) + "\n"
        for language in (make() for make in LANGUAGES)
    }


if __name__ == "__main__":
    for name, text in files().items():
        (HERE / name).write_text(text, encoding="utf-8")
