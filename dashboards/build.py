"""Writes the Grafana dashboards: ``python dashboards/build.py``.

There is one for each query language of Grafana's InfluxDB data source: InfluxQL (InfluxDB 1.x, and
3.x), Flux (2.x) and SQL (3.x), and one for OpenTelemetry's names. They have the same panels.
"""

import json
import pathlib
from collections.abc import Callable
from typing import Any

from languages import FILTERS, Flux, InfluxQl, Language, OpenTelemetry, Sql

HERE = pathlib.Path(__file__).parent
DATA_SOURCE = {"type": "influxdb", "uid": "${datasource}"}
Panel = dict[str, Any]
Query = str | dict[str, str]

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
