"""The status page in a browser: it shows what happens, and its controls work."""

import asyncio
import contextlib
import pathlib
from collections.abc import Iterator

import pytest

import sprockets_influxdb as influxdb
import web
from devtools import NEEDS_CHROMIUM, Page, opened
from sprockets_influxdb import Client, testing
from sprockets_influxdb.status import StatusPage
from sprockets_influxdb.testing import Fault

pytestmark = NEEDS_CHROMIUM


@pytest.fixture
def own(server: testing.Server, tmp_path: pathlib.Path) -> Iterator[Client]:
    with Client(
        server.url,
        auth_username="me",
        auth_password="hunter2",
        base_tags={"region": "<b>eu</b>"},
        spool=str(tmp_path / "spool"),
        trigger_size=1,
    ) as client:
        yield client


def card(name: str) -> str:
    return f"[data-name={name}] b"


async def state(page: Page, expected: str) -> None:
    await page.wait_for(f"document.querySelector('#state').innerText === '{expected}'")


async def counts(page: Page, name: str, count: str) -> None:
    await page.wait_for(f"document.querySelector('{card(name)}')?.innerText === '{count}'")


def test_it_shows_what_happens_and_pauses(server: testing.Server, own: Client) -> None:
    async def look(url: str) -> None:
        async with opened(url) as page:
            await state(page, "recording")
            await counts(page, "added", "0")
            assert await page.text("#error") == "none"
            assert not await page.text("#drops")

            # It follows without a reload.
            for number in range(1_234):
                own.record("db", "m", {}, {"n": number})
            own.flush_sync(20)
            await counts(page, "delivered", "1,234")
            assert await page.text(card("pending")) == "0"

            # Paused, it stays as it is. Then it goes on.
            await page.click("#pause")
            assert await page.text("#pause") == "Resume"
            own.record("db", "m", {}, {"n": 0})
            own.flush_sync(20)
            assert await page.read("timer") == 0
            assert await page.text(card("delivered")) == "1,234"
            await page.click("#pause")
            assert await page.text("#pause") == "Pause"
            await counts(page, "delivered", "1,235")

            # What is lost is said.
            server.inject_always(Fault.error(400, "unable to parse"))
            own.record("db", "m", {}, {"n": 0})
            own.flush_sync(20)
            await counts(page, "rejected", "1")
            assert "unable to parse" in await page.text("#error")
            await page.wait_for(
                "document.querySelector('#spool').innerText.includes('unable to parse')"
            )
            assert page.errors == []

    with web.uvicorn_serving(StatusPage(own)) as port:
        asyncio.run(look(f"http://127.0.0.1:{port}/"))


def test_settings_are_masked_and_can_be_filtered(own: Client) -> None:
    async def look(url: str) -> None:
        async with opened(url) as page:
            await page.wait_for("document.querySelector('[data-name=auth_password]')")
            shown = await page.text("#settings")
            assert "hunter2" not in await page.read("document.documentElement.outerHTML")
            assert "***" in shown
            # A tag is text, not markup.
            assert "region=<b>eu</b>" in shown
            await page.click("#filter")
            await page.type("trigger")
            await page.wait_for(
                "[...document.querySelector('#settings').rows].filter(r => !r.hidden).length === 1"
            )
            assert (await page.text("#settings")).split() == ["trigger", "size", "1"]
            # The filter holds when the numbers are refreshed.
            before = await page.text("#updated")
            await page.wait_for(f"document.querySelector('#updated').innerText !== {before!r}")
            assert (await page.text("#settings")).split() == ["trigger", "size", "1"]
            await page.click("#json")
            await page.wait_for("location.search === '?format=json'")
            assert '"trigger_size": 1' in await page.read("document.body.innerText")

    with web.wsgiref_serving(StatusPage(own).wsgi) as port:
        asyncio.run(look(f"http://127.0.0.1:{port}/"))


def test_a_server_that_has_stopped_is_said(server: testing.Server) -> None:
    async def look() -> None:
        with contextlib.ExitStack() as stack:
            port = stack.enter_context(web.uvicorn_serving(StatusPage()))
            async with opened(f"http://127.0.0.1:{port}/") as page:
                await state(page, "no client yet")
                assert not await page.text("#configuration")
                influxdb.install(server.url, enabled=False)
                await state(page, "disabled")
                await asyncio.to_thread(stack.close)
                await page.wait_for(
                    "document.querySelector('#state').innerText.startsWith('not reachable')"
                )

    asyncio.run(look())


def test_each_process_has_its_own_numbers() -> None:
    """Responses of several processes, as of gunicorn's workers, are not mixed."""

    class Workers(StatusPage):
        number = 0

        def snapshot(self) -> dict[str, object]:
            self.number += 1
            process = 10 + self.number % 2
            found = super().snapshot()
            found["stats"]["added"] = process * 100
            return {**found, "process": process}

    async def look(url: str) -> None:
        async with opened(url) as page:
            await page.wait_for("document.querySelector('#processes').options.length === 2")
            first = await page.read("document.querySelector('#processes').value")
            for _ in range(2):
                assert await page.text(card("added")) == "1,100"
                before = await page.read("processes.values().next().value.length")
                await page.wait_for(f"processes.values().next().value.length > {before}")
            assert first.startswith("process 11 on ")
            await page.read(
                "(select => { select.selectedIndex = 1;"
                " select.dispatchEvent(new Event('change')); })"
                "(document.querySelector('#processes'))"
            )
            await counts(page, "added", "1,000")

    with web.wsgiref_serving(Workers().wsgi) as port:
        asyncio.run(look(f"http://127.0.0.1:{port}/"))
