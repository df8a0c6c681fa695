"""Recording a measurement: nanoseconds a call."""

from sample import best, classic, original, sampled_out


def ours_classic():
    influxdb = sampled_out()
    return {"ns": best(classic(influxdb, influxdb.add_measurement))}


def ours_one_call():
    influxdb = sampled_out()

    def record():
        influxdb.record(
            "bench",
            "request",
            {
                "handler": "app.handlers.RequestHandler",
                "endpoint": "/api/v1/users/{id}",
                "method": "GET",
                "status_code": "200",
            },
            {"content_length": 51234, "duration": 0.0234567, "cached": True},
        )

    return {"ns": best(record)}


def original_classic():
    influxdb = original()
    record = classic(influxdb, influxdb.add_measurement)
    sent = classic(influxdb, lambda measurement: measurement.marshall())
    made = classic(influxdb, lambda measurement: None)
    number = 20_000
    return {"ns": best(record, number, 5) + best(sent, number, 5) - best(made, number, 5)}


def questdb_row():
    from questdb.ingress import Buffer, TimestampNanos

    buffer = Buffer(protocol_version=1)

    def record():
        buffer.row(
            "request",
            symbols={
                "handler": "app.handlers.RequestHandler",
                "endpoint": "/api/v1/users/{id}",
                "method": "GET",
                "status_code": "200",
            },
            columns={"content_length": 51234, "duration": 0.0234567, "cached": True},
            at=TimestampNanos.now(),
        )
        if len(buffer) > 60_000:
            buffer.clear()

    return {"ns": best(record)}
