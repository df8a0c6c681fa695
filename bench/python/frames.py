"""Data frames of 30,000 rows, with two tags and four fields. The figures are nanoseconds a row."""

import time

ROWS = 30_000


def pandas_frame():
    import numpy
    import pandas

    chosen = numpy.random.default_rng(1)
    hosts = numpy.array([f"host-{number}.example.org" for number in range(100)], dtype=object)
    regions = numpy.array(["eu-central", "us-east", "ap-south"], dtype=object)
    return pandas.DataFrame(
        {
            "host": hosts[chosen.integers(0, 100, ROWS)],
            "region": regions[chosen.integers(0, 3, ROWS)],
            "load": chosen.random(ROWS),
            "jobs": chosen.integers(0, 1000, ROWS),
            "ok": chosen.random(ROWS) < 0.9,
            "state": regions[chosen.integers(0, 3, ROWS)],
        },
        index=pandas.date_range("2023-11-15", periods=ROWS, freq="s", tz="UTC", name="when"),
    )


def best(write, repeat=7):
    taken = []
    for _ in range(repeat):
        began = time.perf_counter()
        write()
        taken.append(time.perf_counter() - began)
    return min(taken) / ROWS * 1e9


def ours_frames():
    """Writes the rows, and waits until they are decided: all batches are sampled out."""
    import polars

    import sprockets_influxdb as influxdb

    influxdb.install("http://127.0.0.1:1", sample_probability=0.0, tag_hostname=False)
    frame = pandas_frame()
    arrow = polars.from_pandas(frame, include_index=True)
    options = {"database": "bench", "tag_columns": ["host", "region"]}

    def write(frame, **more):
        report = influxdb.write_dataframe(frame, "cpu", **options, **more)
        assert report["sampled_out"] == ROWS

    return {
        "pandas": best(lambda: write(frame)),
        "arrow": best(lambda: write(arrow, timestamp_column="when")),
    }


def influxdb_client_frames():
    """Makes the lines, and does not send them."""
    from influxdb_client import WritePrecision
    from influxdb_client.client.write.dataframe_serializer import DataframeSerializer
    from influxdb_client.client.write_api import PointSettings

    frame = pandas_frame()

    def write():
        serializer = DataframeSerializer(
            frame,
            PointSettings(),
            WritePrecision.NS,
            data_frame_measurement_name="cpu",
            data_frame_tag_columns=["host", "region"],
        )
        assert len(serializer.serialize()) == ROWS

    return {"pandas": best(write)}


def questdb_frames():
    """Makes the lines, and does not send them."""
    from questdb.ingress import Buffer

    frame = pandas_frame().reset_index()
    buffer = Buffer(protocol_version=1)

    def write():
        buffer.clear()
        buffer.dataframe(frame, table_name="cpu", symbols=["host", "region"], at="when")

    return {"pandas": best(write)}
