"""Commands of the real client to a real Redis."""

import asyncio
import importlib
import pathlib
from typing import Any

import pytest

import sprockets_influxdb as influxdb
from sprockets_influxdb import testing
from sprockets_influxdb.redis import instrument

redis: Any = pytest.importorskip("redis", reason="the client of Redis is not installed")


def points(server: testing.Server) -> list[testing.Point]:
    influxdb.flush_sync()
    return server.points("db")


def check(server: testing.Server, socket: pathlib.Path) -> None:
    """Checks what the commands of the two tests below have recorded."""
    found = points(server)
    assert [(point.tags["command"], point.tags["outcome"]) for point in found] == [
        ("SET", "ok"),
        ("GET", "ok"),
        ("LPUSH", "error"),
        ("PIPELINE", "ok"),
        ("WATCH", "ok"),
        ("GET", "ok"),
        ("PIPELINE", "ok"),
    ]
    for point in found:
        assert point.measurement == "redis"
        assert point.tags["host"] == str(socket)
        assert isinstance(point.fields["duration"], float)
    assert found[2].fields["exception"] == "redis.exceptions.ResponseError"
    assert [point.fields.get("commands") for point in found[3::3]] == [2, 1]


def test_each_command_and_pipeline_is_a_point(
    client: testing.Server, redis_socket: pathlib.Path
) -> None:
    with redis.Redis(unix_socket_path=str(redis_socket)) as commands:
        instrument(commands, database="first")
        # This replaces the first.
        instrument(commands, database="db")
        assert commands.set("a", 1)
        assert commands.get("a") == b"1"
        with pytest.raises(redis.ResponseError):
            commands.lpush("a", 1)
        with commands.pipeline() as pipeline:
            assert pipeline.incr("a").incr("a").execute() == [2, 3]
        with commands.pipeline() as pipeline:
            pipeline.watch("a")
            assert pipeline.get("a") == b"3"
            pipeline.multi()
            assert pipeline.incr("a").execute() == [4]
    check(client, redis_socket)
    assert client.points("first") == []


def test_each_command_and_pipeline_is_a_point_with_asyncio(
    client: testing.Server, redis_socket: pathlib.Path
) -> None:
    # Its types know no pipeline that returns itself.
    redis_asyncio: Any = importlib.import_module("redis.asyncio")

    async def main() -> None:
        async with redis_asyncio.Redis(unix_socket_path=str(redis_socket)) as commands:
            instrument(commands, database="db")
            assert await commands.set("a", 1)
            assert await commands.get("a") == b"1"
            with pytest.raises(redis.ResponseError):
                await commands.lpush("a", 1)
            async with commands.pipeline() as pipeline:
                assert await pipeline.incr("a").incr("a").execute() == [2, 3]
            async with commands.pipeline() as pipeline:
                await pipeline.watch("a")
                assert await pipeline.get("a") == b"3"
                pipeline.multi()
                assert await pipeline.incr("a").execute() == [4]

    asyncio.run(main())
    check(client, redis_socket)


def test_commands_are_bounded(client: testing.Server, redis_socket: pathlib.Path) -> None:
    with redis.Redis(unix_socket_path=str(redis_socket)) as commands:
        instrument(commands, database="db")
        for number in range(310):
            with pytest.raises(redis.ResponseError):
                commands.execute_command(f"x{number}".encode())
    names = [point.tags["command"] for point in points(client)]
    assert names.count("(other)") == 10


def test_a_command_does_not_notice_what_fails(
    client: testing.Server, redis_socket: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    with redis.Redis(unix_socket_path=str(redis_socket)) as commands:
        instrument(commands)
        assert commands.set("a", 1)
        assert commands.pipeline().get("a").execute() == [b"1"]
    assert "has no database" in caplog.text


def test_the_host_of_a_server_has_its_port() -> None:
    from sprockets_influxdb.redis import _host

    assert _host(redis.Redis(host="example.com")) == "example.com:6379"
    assert _host(object()) is None
