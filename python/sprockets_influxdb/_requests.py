"""What the middlewares for ASGI, WSGI, Flask and Django share. Nothing here needs a framework."""

import difflib
import functools
import inspect
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from sprockets_influxdb import _native
from sprockets_influxdb._clients import Client
from sprockets_influxdb._warnings import warn

if TYPE_CHECKING:
    from typing_extensions import Unpack

LOGGER = logging.getLogger("sprockets_influxdb")

#: The setting of a Tornado application that names the database (bucket) of its requests.
REQUEST_DATABASE = "sprockets_influxdb.database"

#: The names that attributes are recorded by.
Names: TypeAlias = Literal["sprockets", "opentelemetry"]


class RequestOptions(TypedDict, total=False):
    """The options of the middlewares. None is required where there is a default database.

    An unknown option is an error when the application is built: a ``TypeError``, in Django an
    ``ImproperlyConfigured``. If an option has a value that cannot be used, nothing is recorded, and
    the log says so once.

    No request fails because of its measurement:

    - Every handler has a measurement. If the request is not recorded, as the client is disabled,
      the request is skipped or the configuration cannot be used, the measurement takes any value
      and is dropped. Its ``is_recording`` is false.
    - Tags and fields that the handler sets take precedence over attributes. A field that has the
      name of a tag replaces it, and is a warning.
    - A value that cannot be stored is left out, and is a warning, at most one a minute.
    """

    #: The client that records. Default: the installed one.
    client: Client | None
    #: The database (bucket) of the measurements. Default: the default database of the client
    #: (``INFLUXDB_DATABASE``).
    database: str | None
    #: The name of the measurements. Default: ``"request"``.
    measurement: str
    #: ``"sprockets"`` (default), or ``"opentelemetry"`` for the names of OpenTelemetry's semantic
    #: conventions for HTTP servers.
    names: Names
    #: Names of tags and fields that are not recorded. Default: none.
    leave_out: Iterable[str]
    #: Called with a request (ASGI: the scope, WSGI and Flask: the environment, Django: the
    #: request). Requests for which it returns true are not recorded. Default: all are recorded.
    skip: Callable[[Any], bool] | None
    #: The request header that has the correlation id. Default: ``"correlation-id"``.
    correlation_id_header: str
    #: The request header that has the client's address, as a proxy in front writes it. Default:
    #: the address of the connection's peer.
    remote_ip_header: str | None


def check_names(options: Iterable[str]) -> None:
    """Raise ``TypeError`` if there is no such option."""
    names = RequestOptions.__annotations__
    for option in options:
        if option not in names:
            similar = difflib.get_close_matches(option, names, 1)
            hint = f": did you mean {similar[0]!r}?" if similar else f", only {', '.join(names)}"
            raise TypeError(f"there is no option {option!r}{hint}")


class Requests:
    """Begins to record the requests of one application, by the options of its middleware.

    :param place: where the options are set, for the log
    :raises TypeError: for an unknown option
    """

    def __init__(self, place: str = "", /, **options: "Unpack[RequestOptions]") -> None:
        self._place = place
        check_names(options)
        self._recorder: _native.Recorder | None = None
        self._has_warned = False
        self._skip = options.pop("skip", None)
        try:
            if self._skip is not None and not callable(self._skip):
                raise ValueError(f"skip is {self._skip!r}: expected a function")
            self._recorder = _native.Recorder(options)
        except ValueError as error:
            self._disable(error)

    @property
    def is_recording(self) -> bool:
        """Whether requests are recorded at all."""
        return self._recorder is not None

    def asgi(self, scope: Any) -> "_native.RequestGuard | None":
        """Begin to record the request of an ASGI scope. ``None`` if it is not to be recorded."""
        recorder, request = self._recorder, None
        if recorder is not None and (self._skip is None or not self._skips(scope)):
            try:
                request = recorder.asgi(scope)
            except LookupError as error:
                self._warn_once(error)
            except Exception as error:
                self._disable(error)
        if request is None:
            _native.measurement_in(scope)
        return request

    def wsgi(self, environ: dict[str, Any], subject: Any) -> "_native.RequestGuard | None":
        """Begin to record the request of a WSGI environment. ``None`` if it is not to be recorded.

        :param environ: the environment
        :param subject: the argument for ``skip``
        """
        recorder, request = self._recorder, None
        if recorder is not None and (self._skip is None or not self._skips(subject)):
            try:
                request = recorder.wsgi(environ)
            except LookupError as error:
                self._warn_once(error)
            except Exception as error:
                self._disable(error)
        if request is None:
            _native.measurement_in(environ)
        return request

    def _skips(self, subject: Any) -> bool:
        assert self._skip is not None
        try:
            return bool(self._skip(subject))
        except Exception as error:
            warn(error)
            return False

    def _disable(self, error: Exception) -> None:
        # A wrong variable of the client is found when the first request comes.
        self._recorder = None
        self._warn_once(error)

    def _warn_once(self, error: Exception) -> None:
        if not self._has_warned:
            self._has_warned = True
            place = f"{self._place}: " if self._place else ""
            LOGGER.warning("the requests of this application are not recorded: %s%s", place, error)


def handler_name(handler: object) -> str:
    """Return ``module.qualname`` of a function or class, or of the class of any other object."""
    try:
        return _handler_name(handler)
    except TypeError:
        # The handler is not hashable.
        return _handler_name.__wrapped__(handler)


@functools.lru_cache(maxsize=1_000)
def _handler_name(handler: Any) -> str:
    while isinstance(handler, functools.partial):
        handler = handler.func
    handler = inspect.unwrap(handler) if callable(handler) else handler
    if not hasattr(handler, "__qualname__"):
        handler = type(handler)
    return f"{getattr(handler, '__module__', '')}.{getattr(handler, '__qualname__', '')}"
