"""Delivery: the pauses of an event loop, and the time until a server has everything."""

import asyncio
import gc
import http.client
import logging
import time
import urllib.parse
import urllib.request

from sample import TAGS, classic


def create(url):
    body = urllib.parse.urlencode({"q": "CREATE DATABASE bench"}).encode()
    urllib.request.urlopen(f"{url}/query", body).read()


def event_loop(influxdb, url):
    figures = {}

    async def main():
        influxdb.install(f"{url}/write")
        influxdb.set_max_buffer_size(100_000)
        influxdb.set_trigger_size(100_000)
        record = classic(influxdb, influxdb.add_measurement)
        start = time.perf_counter()
        for _ in range(10_000):
            record()
        figures["adding_ms"] = (time.perf_counter() - start) * 1e3
        await asyncio.sleep(0)
        gc.collect()
        gc.disable()
        longest, last = 0.0, time.perf_counter()
        flushed = influxdb.flush()
        while not flushed.done():
            await asyncio.sleep(0)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
        figures["pause_ms"] = longest * 1e3

    asyncio.run(main())
    return figures


def ours_loop(url):
    import sprockets_influxdb as influxdb

    return event_loop(influxdb, url)


def original_loop(url):
    import sprockets_influxdb as influxdb

    logging.disable(logging.CRITICAL)
    return event_loop(influxdb, url)


DELIVERED = 200_000


def by_hand(url):
    create(url)
    start, cpu = time.perf_counter(), time.process_time()
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    lines = []

    def post():
        connection.request("POST", "/write?db=bench&precision=ns", "\n".join(lines).encode())
        reply = connection.getresponse()
        reply.read()
        assert reply.status == 204
        lines.clear()

    for n in range(DELIVERED):
        tags = ",".join([f"{name}={value}" for name, value in TAGS.items()])
        lines.append(
            f"by_hand,{tags} content_length={n}i,duration={n / 7},cached=true {time.time_ns()}"
        )
        if len(lines) == 10_000:
            post()
    return {"s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}


def ours_delivering(url):
    import sprockets_influxdb as influxdb

    create(url)
    start, cpu = time.perf_counter(), time.process_time()
    influxdb.install(url, overflow="block", block_timeout=60_000, tag_hostname=False)
    for n in range(DELIVERED):
        influxdb.record(
            "bench", "ours", TAGS, {"content_length": n, "duration": n / 7, "cached": True}
        )
    report = influxdb.shutdown_sync(60)
    figures = {"s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}
    assert report["pending"] == 0
    assert influxdb.stats()["delivered"] == DELIVERED
    return figures
