"""The memory of lines that wait."""

import sink
from sample import FIELDS, NOWHERE, TAGS


def ours_memory():
    import sprockets_influxdb as influxdb

    influxdb.install(
        NOWHERE,
        max_buffer_size=10**9,
        max_buffer_bytes=10**9,
        shutdown_timeout=0,
        tag_hostname=False,
    )
    count = 500_000

    def record(times):
        for _ in range(times):
            influxdb.record("bench", "request", {"endpoint": "/api/v1/users/{id}", **TAGS}, FIELDS)

    record(1_000)
    before = private()
    record(count)
    used = private() - before
    measurement = influxdb.Measurement("bench", "request")
    measurement.set_tags({"endpoint": "/api/v1/users/{id}", **TAGS})
    measurement.fields = FIELDS
    return {"bytes": used / count, "line": len(measurement.marshall()) + 1}


def ours_first_lines():
    """What a process takes that records now and then: ten lines, one after the other."""
    import sprockets_influxdb as influxdb

    with sink.running() as url:
        before = private()
        influxdb.install(url)
        for n in range(10):
            influxdb.record("bench", "request", TAGS, {"n": n})
            assert influxdb.flush_sync(30)["pending"] == 0
        return {"kib": private() / 1024 - before / 1024}


def private():
    """The memory of this process, without the pages of files, which processes share."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024
