"""Clients that a program makes, beside the installed one or instead of it."""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from sprockets_influxdb import _native
from sprockets_influxdb._dataframe import FrameReport, write
from sprockets_influxdb._futures import event_loop, future_of
from sprockets_influxdb._native import Rejected
from sprockets_influxdb._options import (
    DATAFRAME_NAMES,
    Options,
    argument_names,
    arguments,
    check,
    tags,
    texts,
    with_hints,
)
from sprockets_influxdb._rejected import check as check_function
from sprockets_influxdb._timing import Timed

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from sprockets_influxdb._types import Dataframe


class Client(_native.BaseClient):
    """Records measurements and delivers them to one server. A process can have several clients::

        with Client("http://metrics:8086", base_tags={"service": "hello"}) as client:
            client.record("example", "job", {"queue": "mail"}, {"rows": 3})

    An argument takes precedence over the environment, the environment over the default. At the end
    of a ``with`` or ``async with`` block the client is shut down, within the shutdown timeout. A
    client that is not shut down delivers at the end of the process, as the installed one does, and
    starts with an empty buffer in a forked child. Any thread may use it.

    The arguments are those of :func:`install`. All but ``url`` are keywords.

    :raises ValueError: for an argument or a variable that cannot be used; the message names it, and
        what is expected
    :raises TypeError: for an unknown argument
    """

    #: The future of a shutdown, and the process that it belongs to.
    _shut_down: "tuple[int, asyncio.Future[bool]] | None" = None

    def __init__(
        self,
        url: str | None = None,
        *,
        auth_username: str | None = None,
        auth_password: str | None = None,
        submission_interval: int | None = None,
        max_batch_size: int | None = None,
        max_clients: int | None = None,
        base_tags: Mapping[str, object] | None = None,
        max_buffer_size: int | None = None,
        trigger_size: int | None = None,
        sample_probability: float | None = None,
        on_rejected: Callable[[Rejected], object] | None = None,
        **options: "Unpack[Options]",
    ) -> None:
        check(options)
        check_function(on_rejected)
        with argument_names():
            self._open(
                texts(
                    url=url,
                    auth_username=auth_username,
                    auth_password=auth_password,
                    submission_interval=submission_interval,
                    max_batch_size=max_batch_size,
                    max_clients=max_clients,
                    max_buffer_size=max_buffer_size,
                    trigger_size=trigger_size,
                    sample_probability=sample_probability,
                    **options,
                ),
                tags(base_tags),
                on_rejected,
            )

    def flush(self) -> "asyncio.Future[bool]":
        """Sends what is buffered.

        :returns: a future, as :func:`flush` does
        """
        return future_of(event_loop(), self._flush())

    def shutdown(self) -> "asyncio.Future[bool]":
        """Accepts no more measurements, and sends what is buffered.

        :returns: a future, as :func:`shutdown` does; a second call returns the same one
        """
        loop = event_loop()
        if self._shut_down is not None:
            process, future = self._shut_down
            # A forked child has a loop of its own, or continues to use the parent's.
            if process == os.getpid() and future.get_loop() is loop and not future.cancelled():
                return future
        future = future_of(loop, self._shutdown())
        self._shut_down = (os.getpid(), future)
        return future

    def timed(
        self,
        *place: str,
        field: str = "duration",
        tags: Mapping[str, object] | None = None,
        outcome: bool = False,
    ) -> Timed:
        """Records how long something takes: see :func:`timed`."""
        return Timed(place, field, tags, outcome, self.add_measurement)

    @with_hints(DATAFRAME_NAMES)
    def write_dataframe(
        self,
        frame: "Dataframe",
        measurement: str,
        *misplaced: NoReturn,
        database: str | None = None,
        tag_columns: Iterable[str] = (),
        field_columns: Iterable[str] | None = None,
        timestamp_column: str | None = None,
        timeout: float | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> FrameReport:
        """Writes a data frame: see :func:`write_dataframe`."""
        return write(
            self,
            frame,
            measurement,
            *misplaced,
            database=database,
            tag_columns=tag_columns,
            field_columns=field_columns,
            timestamp_column=timestamp_column,
            timeout=timeout,
            progress=progress,
        )

    def settings(self) -> dict[str, Any]:
        """The configuration in force: see :func:`settings`."""
        return arguments(self._settings())

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown_sync()

    async def __aenter__(self) -> "Self":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.shutdown()
