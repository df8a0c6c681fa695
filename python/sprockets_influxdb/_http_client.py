"""What the integrations with clients of HTTP share."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from sprockets_influxdb._clients import Client
from sprockets_influxdb._integrations import OTHER, Bounded, Recorder

#: Maximum number of different hosts, and of endpoints, of a client.
_LIMIT = 200

_METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
)


class Requests:
    """The requests of one client.

    :param endpoint: returns the endpoint of a request; default: there is none
    """

    def __init__(
        self,
        measurement: str,
        endpoint: Callable[[Any], str | None] | None,
        database: str | None,
        client: Client | None,
    ) -> None:
        if endpoint is not None and not callable(endpoint):
            raise TypeError(f"endpoint is {endpoint!r}: expected a function")
        tags = ("method", "host", "endpoint", "status_code", "outcome")
        self.recorder = Recorder(measurement, tags, database=database, client=client)
        self._endpoint = endpoint
        self._hosts = Bounded(_LIMIT)
        self._endpoints = Bounded(_LIMIT)

    def describe(
        self,
        arguments: tuple[Any, ...],
        keywords: Mapping[str, Any],
        response: Any,
        error: BaseException | None,
    ) -> dict[str, object]:
        """Return the tags and fields of a call of ``send(request)``."""
        request = arguments[0] if arguments else keywords["request"]
        method = str(request.method).upper()
        endpoint = self._endpoint_of(request)
        items: dict[str, object] = {
            "method": method if method in _METHODS else OTHER,
            "host": self._hosts(_host(str(request.url))),
            "endpoint": None if endpoint is None else self._endpoints(str(endpoint)),
            "outcome": "ok" if error is None else "error",
        }
        if response is not None:
            items["status_code"] = response.status_code
            items["outcome"] = "ok" if response.status_code < 400 else "error"
            length = response.headers.get("content-length", "")
            if length.isdecimal():
                items["content_length"] = int(length)
        return items

    def _endpoint_of(self, request: Any) -> str | None:
        if self._endpoint is None:
            return None
        try:
            return self._endpoint(request)
        except Exception as error:
            self.recorder.warn(error)
            return None


def _host(url: str) -> str:
    """Return host and port of a URL, without a user's name and password."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()
