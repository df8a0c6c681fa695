"""A headless Chromium, by the DevTools protocol."""

import asyncio
import base64
import json
import pathlib
import re
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tornado import websocket

import browser

_CHROMIUM = browser.chromium()

NEEDS_CHROMIUM = pytest.mark.skipif(_CHROMIUM is None, reason="there is no chromium here")

#: Seconds after which what a page should show is missing.
_DEADLINE = 30


class Page:
    """A page, or the browser itself if it has no session."""

    def __init__(self, connection: Any, session: str | None = None) -> None:
        self._connection = connection
        self._session = session
        self._number = 0
        #: What the page has logged as an error, and exceptions that it has not caught.
        self.errors: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        self._number += 1
        request = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            request["sessionId"] = self._session
        await self._connection.write_message(json.dumps(request))
        while True:
            message = json.loads(await self._connection.read_message())
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(json.dumps(message["params"]))
            if message.get("id") == self._number and message.get("sessionId") == self._session:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    async def open(self, url: str) -> None:
        await self.call("Page.enable")
        await self.call("Runtime.enable")
        await self.call("Log.enable")
        await self.call("Page.navigate", url=url)
        await self.wait_for("document.readyState === 'complete'")

    async def read(self, expression: str) -> Any:
        """The value of an expression of JavaScript."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def text(self, selector: str) -> str:
        """What is shown of an element. Empty if it is hidden."""
        text: str = await self.read(
            "(element => element.checkVisibility() ? element.innerText : '')"
            f"(document.querySelector({json.dumps(selector)}))"
        )
        return text

    async def wait_for(self, condition: str) -> None:
        async def wait() -> None:
            while not await self.read(f"Boolean({condition})"):
                await asyncio.sleep(0.05)

        try:
            await asyncio.wait_for(wait(), _DEADLINE)
        except asyncio.TimeoutError:
            shown = await self.read("document.body.innerText")
            pytest.fail(f"not so: {condition}\n{shown}\n{self.errors}")

    async def click(self, selector: str) -> None:
        """Click where the element is, as with a mouse."""
        where = await self.read(
            f"(box => [box.x + box.width / 2, box.y + box.height / 2])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=where[0],
                y=where[1],
                button="left",
                clickCount=1,
            )

    async def type(self, text: str) -> None:
        await self.call("Input.insertText", text=text)

    async def screenshot(self, path: pathlib.Path) -> None:
        """Write the whole page as a PNG."""
        picture = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(picture["data"]))


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Page]:
    """Open a page in a browser of its own."""
    assert _CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                _CHROMIUM,
                "--headless",
                # Tests run as root in containers.
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--disable-gpu",
                "--no-first-run",
                "--remote-debugging-port=0",
                f"--user-data-dir={profile}",
                "--window-size=1100,1200",
                "about:blank",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        try:
            address = await asyncio.wait_for(asyncio.to_thread(_address, process.stderr), _DEADLINE)
            connection = await websocket.websocket_connect(
                address, max_message_size=64 * 1024 * 1024
            )
            try:
                browser = Page(connection)
                target = await browser.call("Target.createTarget", url="about:blank")
                attached = await browser.call(
                    "Target.attachToTarget", targetId=target["targetId"], flatten=True
                )
                page = Page(connection, attached["sessionId"])
                await page.open(url)
                yield page
            finally:
                connection.close()
                while await connection.read_message() is not None:
                    pass
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


def _address(stderr: Any) -> str:
    for line in stderr:
        found = re.search(r"DevTools listening on (ws://\S+)", line)
        if found:
            return found[1]
    pytest.fail("chromium did not start")
