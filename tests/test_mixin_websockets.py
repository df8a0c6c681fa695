"""A websocket is recorded when it closes, a refused one when the refusal is sent."""

import asyncio
from typing import Any

import pytest
from tornado import web, websocket

import sprockets_influxdb as influxdb
from serving import SETTINGS, Recording, connect, request

HEADERS = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
HANDSHAKE = "\r\n".join(
    ["GET / HTTP/1.1", "Host: a", *map(": ".join, HEADERS.items()), "\r\n"]
).encode()


class Echo(influxdb.InfluxDBMixin, websocket.WebSocketHandler):
    async def on_message(self, message: str | bytes) -> None:
        if message == "close":
            self.close(1000)
        else:
            await self.write_message(message)


def application(handler: Any) -> web.Application:
    return web.Application([("/", handler)], **SETTINGS)


def text(message: bytes) -> bytes:
    """A message in the format of a client, with a mask of zeros."""
    return bytes([0x81, 0x80 | len(message), 0, 0, 0, 0]) + message


async def open_websocket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HANDSHAKE)
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize("by", ["client", "server", "nobody"])
def test_one_is_recorded_when_it_closes(recording: Recording, by: str) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await open_websocket(reader, writer)
        writer.write(text(b"hello") + text(b"you"))
        await reader.readuntil(b"you")
        assert influxdb.stats()["added"] == 0
        if by == "nobody":
            return writer.transport.abort()
        if by == "server":
            writer.write(text(b"close"))
            assert (await reader.readexactly(4))[0] == 0x88
        writer.write(b"\x88\x82\0\0\0\0\x03\xe8")
        await reader.read()

    connect(recording, application(Echo), client)
    recording.is_one(101, len("hello") + len("you"))


def test_one_has_what_its_handler_sets_until_it_closes(recording: Recording) -> None:
    class Counting(Echo):
        def open(self) -> None:
            self.influxdb.set_field("opened", 1)

        def on_close(self) -> None:
            self.influxdb.set_field("closed", 1)

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await open_websocket(reader, writer)
        writer.close()

    connect(recording, application(Counting), client)
    fields = recording.point().fields
    assert (fields["opened"], fields["closed"]) == (1, 1)


@pytest.mark.parametrize("where", ["open", "on_message"])
def test_one_that_raises_is_recorded(recording: Recording, where: str) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("on purpose")

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await open_websocket(reader, writer)
        writer.write(text(b"x"))
        await reader.read()

    connect(recording, application(type("Failing", (Echo,), {where: fail})), client)
    recording.is_one(101, 0)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Upgrade": "h2c"}, 400),
        ({"Sec-WebSocket-Version": "1"}, 426),
        ({"Origin": "http://else.example"}, 403),
    ],
)
def test_a_refused_one_has_the_status_of_the_refusal(
    recording: Recording, headers: dict[str, str], code: int
) -> None:
    response = request(application(Echo), headers={**HEADERS, **headers})
    assert response.code == code
    recording.is_one(code, len(response.body))


def test_one_that_prepare_refuses_has_the_status_of_the_refusal(recording: Recording) -> None:
    class Refusing(Echo):
        def prepare(self) -> None:
            raise web.HTTPError(401)

    response = request(application(Refusing), headers=HEADERS)
    assert response.code == 401
    recording.is_one(401, len(response.body))
