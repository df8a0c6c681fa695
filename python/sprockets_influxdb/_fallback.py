"""The response to a request that Tornado's ``FallbackHandler`` passes to another application.

That application writes to the request's connection, often after the handler has finished.
"""

import asyncio
from collections.abc import Callable
from typing import Any


class FallbackConnection:
    """Passes everything to a request's connection, and notes the response.

    :param connection: the request's connection
    :param ended: called when the response is finished, or the connection is closed or detached
    """

    def __init__(self, connection: Any, ended: Callable[[], None]) -> None:
        self._connection = connection
        self._ended = ended
        #: ``None`` before the response begins.
        self.status_code: int | None = None
        #: Bytes of the body.
        self.length = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def write_headers(self, start_line: Any, headers: Any, chunk: bytes | None = None) -> Any:
        future = self._connection.write_headers(start_line, headers, chunk)
        if not _has_failed(future):
            self.status_code = start_line.code
            self.length += len(chunk or b"")
        return future

    def write(self, chunk: bytes) -> Any:
        future = self._connection.write(chunk)
        if not _has_failed(future):
            self.length += len(chunk)
        return future

    def finish(self) -> None:
        try:
            self._connection.finish()
        finally:
            self._ended()

    def detach(self) -> Any:
        try:
            return self._connection.detach()
        finally:
            self._ended()

    def set_close_callback(self, callback: Callable[[], object] | None) -> None:
        def closed() -> None:
            try:
                if callback is not None:
                    callback()
            finally:
                self._ended()

        self._connection.set_close_callback(closed)


def _has_failed(future: object) -> bool:
    return isinstance(future, asyncio.Future) and future.done() and future.exception() is not None
