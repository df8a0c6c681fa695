"""What the middlewares for ASGI, WSGI, Flask and Django share. Nothing here needs a framework."""

import difflib
import functools
import inspect
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from sprockets_influxdb import _native
from sprockets_influxdb._clients import Client

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


def recorder(place: str = "", /, **options: "Unpack[RequestOptions]") -> _native.Recorder:
    """Return what records the requests of one application, by the options of its middleware.

    :param place: where the options are set, for the log
    :raises TypeError: for an unknown option
    """
    check_names(options)
    has_warned = False

    def warn_once(error: Exception) -> None:
        nonlocal has_warned
        if not has_warned:
            has_warned = True
            where = f"{place}: " if place else ""
            LOGGER.warning("the requests of this application are not recorded: %s%s", where, error)

    return _native.Recorder(options, warn_once)


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
