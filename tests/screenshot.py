"""Writes a screenshot of the status page: ``python tests/screenshot.py target/status.png``."""

import asyncio
import pathlib
import random
import sys
import tempfile
import threading

import web
from devtools import opened
from sprockets_influxdb import Client, testing
from sprockets_influxdb.status import StatusPage
from sprockets_influxdb.testing import Fault

#: Seconds of traffic before the screenshot.
_SECONDS = 20


def _record(client: Client, is_over: threading.Event) -> None:
    requests = client.series("example", "request", tags=("method",))
    while not is_over.wait(random.uniform(0.001, 0.02)):
        requests(method=random.choice(["GET", "POST"]), duration=random.random())


async def _take(url: str, path: pathlib.Path) -> None:
    async with opened(url) as page:
        await asyncio.sleep(_SECONDS)
        await page.wait_for("document.querySelector('#state').innerText === 'recording'")
        await page.screenshot(path)


def main(path: pathlib.Path) -> None:
    is_over = threading.Event()
    with testing.Server() as server, tempfile.TemporaryDirectory() as spool:
        server.inject(Fault.reject_lines("odd").times(1_000))
        with Client(
            server.url,
            auth_username="writer",
            auth_password="secret",
            base_tags={"service": "shop", "region": "eu"},
            spool=f"{spool}/spool",
            trigger_size=100,
            submission_interval=500,
        ) as client:
            client.record("example", "job", {}, {"odd": 1})
            thread = threading.Thread(target=_record, args=(client, is_over))
            thread.start()
            try:
                with web.uvicorn_serving(StatusPage(client)) as port:
                    asyncio.run(_take(f"http://127.0.0.1:{port}/", path))
            finally:
                is_over.set()
                thread.join()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
