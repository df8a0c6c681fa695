"""One measurement for each request of a Tornado application."""

REQUEST_DATABASE = "sprockets_influxdb.database"


class InfluxDBMixin:
    pass
