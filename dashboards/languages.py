"""The queries of the dashboards, in each query language of Grafana's InfluxDB data source."""

import re
from typing import Any, ClassVar

#: Variables that filter by a tag: name of the variable, its label, the tag.
FILTERS = (
    ("service", "Service", "service"),
    ("host", "Host", "hostname"),
    ("environment", "Environment", "environment"),
    ("endpoint", "Endpoint", "endpoint"),
    ("method", "Method", "method"),
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
