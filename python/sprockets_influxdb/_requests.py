"""What there is to configure of the measurements of requests, and what the middlewares for ASGI, WSGI and Django share.
Nothing here needs a framework.
"""

import functools
import inspect
import logging
import os
import time
from collections.abc import Callable, Iterable
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from sprockets_influxdb import _native

LOGGER = logging.getLogger("sprockets_influxdb")

#: The application's setting that names the database (bucket) of its requests.
REQUEST_DATABASE = "sprockets_influxdb.database"

#: By which names requests are recorded.
Names: TypeAlias = Literal["sprockets", "opentelemetry"]

#: Seconds between two warnings of the same kind.
_QUIET = 60.0

_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}

_warned: dict[str, float] = {}

_Subject = TypeVar("_Subject")


class RequestTags(NamedTuple):
    """Which of a request's many-valued properties are tags; the others are fields."""

    remote_ip: bool = True
    correlation_id: bool = True


def request_tags(default: bool = True) -> RequestTags:
    """What the environment says, and where it says nothing, the default.

    :raises ValueError: for a value that is not a boolean; the message names the variable
    """
    variables = ("INFLUXDB_TAG_REMOTE_IP", "INFLUXDB_TAG_CORRELATION_ID")
    return RequestTags(*(_boolean(variable, default) for variable in variables))


class Requests(Generic[_Subject]):
    """Begins with the requests of one application, as its middleware was told. What it was told may be wrong: then the
    log says so, once, and none is recorded.
    """

    def __init__(
        self,
        *,
        database: str | None = None,
        measurement: str = "request",
        names: Names = "sprockets",
        leave_out: Iterable[str] = (),
        skip: Callable[[_Subject], bool] | None = None,
        correlation_id_header: str = "correlation-id",
        remote_ip_header: str | None = None,
        **unknown: object,
    ) -> None:
        self._skip = skip
        self._recorder: _native.Recorder | None = None
        try:
            if unknown:
                raise ValueError(f"there is no option {next(iter(unknown))!r}")
            if skip is not None and not callable(skip):
                raise ValueError(f"skip is {skip!r}: expected a function")
            if isinstance(leave_out, str):
                raise ValueError(f"leave_out is {leave_out!r}: expected a list of names")
            tags = request_tags(default=False)
            self._recorder = _native.Recorder(
                _name("database", database),
                _name("measurement", measurement),
                _name("names", names),
                [_name("leave_out", name) for name in leave_out],
                [name for name, is_tag in tags._asdict().items() if is_tag],
                _name("correlation_id_header", correlation_id_header),
                None if remote_ip_header is None else _name("remote_ip_header", remote_ip_header),
            )
        except (TypeError, ValueError) as error:
            self._give_up(error)

    @property
    def is_recording(self) -> bool:
        return self._recorder is not None

    def asgi(self, scope: Any) -> "_native.Request | None":
        """Begins with a request that ASGI describes; ``None`` if it is not to be recorded."""
        recorder = self._recorder
        if recorder is None or (self._skip is not None and self._skips(scope)):
            return None
        try:
            return recorder.asgi(scope)
        except Exception as error:
            self._give_up(error)
            return None

    def wsgi(self, environ: dict[str, Any], subject: _Subject) -> "_native.Request | None":
        """Begins with a request that WSGI describes; ``None`` if it is not to be recorded."""
        recorder = self._recorder
        if recorder is None or (self._skip is not None and self._skips(subject)):
            return None
        try:
            return recorder.wsgi(environ)
        except Exception as error:
            self._give_up(error)
            return None

    def _skips(self, subject: _Subject) -> bool:
        assert self._skip is not None
        try:
            return bool(self._skip(subject))
        except Exception as error:
            warn(error)
            return False

    def _give_up(self, error: Exception) -> None:
        """With a client that the environment cannot describe, it is the first request that finds out."""
        self._recorder = None
        LOGGER.warning("the requests of this application are not recorded: %s", error)


def warn(error: BaseException, what: str = "a request is not recorded as it should be") -> None:
    """Has the log tell what went wrong with a request: once a minute, whatever is of one kind."""
    now, kind = time.monotonic(), type(error).__name__
    if now - _warned.get(kind, -_QUIET) >= _QUIET:
        _warned[kind] = now
        LOGGER.warning("%s: %s: %s", what, kind, error)


def handler_name(handler: object) -> str:
    """``module.qualname`` of a function or a class, or of the class of what is neither."""
    try:
        return _handler_name(handler)
    except TypeError:
        # One that has no hash.
        return _handler_name.__wrapped__(handler)


@functools.lru_cache(maxsize=1_000)
def _handler_name(handler: Any) -> str:
    while isinstance(handler, functools.partial):
        handler = handler.func
    handler = inspect.unwrap(handler) if callable(handler) else handler
    if not hasattr(handler, "__qualname__"):
        handler = type(handler)
    return f"{getattr(handler, '__module__', '')}.{getattr(handler, '__qualname__', '')}"


def _name(option: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        what = "is missing" if value is None else f"is {value!r}"
        raise ValueError(f"{option} {what}: expected a str that is not empty")
    return value


def _boolean(variable: str, default: bool) -> bool:
    text = os.environ.get(variable, "")
    if not text:
        return default
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        expected = "true, false, 1, 0, yes, no, on or off"
        raise ValueError(f'{variable}: "{text}" is not a boolean: expected {expected}') from None
