"""One measurement for each command to Redis::

from sprockets_influxdb.redis import instrument

redis = redis.Redis()
instrument(redis, database="example")
"""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sprockets_influxdb._clients import Client
from sprockets_influxdb._integrations import Bounded, Recorder, observe, original_of
from sprockets_influxdb._options import INTEGRATION_NAMES, with_hints

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

__all__ = ["instrument"]

#: Maximum number of different commands of a client.
_LIMIT = 300


@with_hints(INTEGRATION_NAMES)
def instrument(
    redis_client: "Redis | AsyncRedis",
    *,
    measurement: str = "redis",
    database: str | None = None,
    client: Client | None = None,
) -> None:
    """Record each command of a client, and each pipeline as one, when the reply is there. A second
    call replaces the first.

    - Tags: ``command`` (``GET``, ``PIPELINE`` …), ``host`` (with the port, or the path of the
      socket), ``outcome`` (``ok`` or ``error``).
    - Fields: ``duration`` (seconds, with the time that a command such as ``BLPOP`` blocks),
      ``commands`` (of a pipeline), ``exception`` (its class).

    Publish and subscribe connections are not recorded. A command that cannot be recorded is a
    warning in the log, at most one a minute.

    :param redis_client: the client, of ``redis`` or ``redis.asyncio``
    :param measurement: the name of the measurements
    :param database: the database (bucket) of InfluxDB; default: that of the client
    :param client: the client of InfluxDB; default: the installed one
    :raises TypeError: for a database that is not a string, and for an object that is not a client
    """
    recorder = Recorder(
        measurement, ("command", "host", "outcome"), database=database, client=client
    )
    commands = _Commands(recorder, _host(redis_client))
    observe(redis_client, "execute_command", recorder, commands.describe)
    commands.observe_pipelines(redis_client)


class _Commands:
    """The commands of one client."""

    def __init__(self, recorder: Recorder, host: str | None) -> None:
        self._recorder = recorder
        self._host = host
        self._names = Bounded(_LIMIT)

    def describe(
        self,
        arguments: tuple[Any, ...],
        _keywords: Mapping[str, Any],
        reply: Any,
        error: BaseException | None,
    ) -> dict[str, object]:
        name = arguments[0]
        if isinstance(name, bytes):
            name = name.decode()
        return self._items(self._names(str(name).upper()), error)

    def observe_pipelines(self, redis_client: Any) -> None:
        """Observe the pipelines that a client makes from now on."""
        original = original_of(redis_client.pipeline)

        @functools.wraps(original)
        def pipeline(*arguments: Any, **more: Any) -> Any:
            made = original(*arguments, **more)
            try:
                self._observe_pipeline(made)
            except Exception as error:
                self._recorder.warn(error)
            return made

        pipeline._observed = pipeline, original  # type: ignore[attr-defined]
        redis_client.pipeline = pipeline

    def _observe_pipeline(self, pipeline: Any) -> None:
        count = 0

        def describe(
            _arguments: tuple[Any, ...],
            _keywords: Mapping[str, Any],
            _replies: Any,
            error: BaseException | None,
        ) -> dict[str, object]:
            return {**self._items("PIPELINE", error), "commands": count}

        observe(pipeline, "execute", self._recorder, describe)
        observed = pipeline.execute

        @functools.wraps(observed)
        def execute(*arguments: Any, **more: Any) -> Any:
            # Executing empties the pipeline.
            nonlocal count
            count = len(pipeline) if hasattr(pipeline, "__len__") else 0
            return observed(*arguments, **more)

        pipeline.execute = execute
        if hasattr(pipeline, "immediate_execute_command"):
            # After WATCH, commands are sent at once.
            observe(pipeline, "immediate_execute_command", self._recorder, self.describe)

    def _items(self, command: str, error: BaseException | None) -> dict[str, object]:
        outcome = "ok" if error is None else "error"
        return {"command": command, "host": self._host, "outcome": outcome}


def _host(redis_client: Any) -> str | None:
    options = getattr(getattr(redis_client, "connection_pool", None), "connection_kwargs", {})
    if "path" in options:
        return str(options["path"])
    if "host" in options:
        return f"{options['host']}:{options.get('port', 6379)}"
    return None
