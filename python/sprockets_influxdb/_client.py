"""The package's functions on the one client of the process."""

import asyncio
import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from sprockets_influxdb import _native

LOGGER = logging.getLogger("sprockets_influxdb")

#: Names of arguments that the core's settings have others for.
_SETTINGS = {"auth_username": "user", "auth_password": "password"}
_ARGUMENTS = {setting: argument for argument, setting in _SETTINGS.items()}

#: The default, told by its identity from a 1.0 of the caller's, which wins over the environment.
_EVERY_BATCH = float("1.0")

_shutdown: "asyncio.Future[bool] | None" = None


def install(
    url: str | None = None,
    auth_username: str | None = None,
    auth_password: str | None = None,
    submission_interval: int | None = None,
    max_batch_size: int | None = None,
    max_clients: int = 10,
    base_tags: Mapping[str, Any] | None = None,
    max_buffer_size: int | None = None,
    trigger_size: int | None = None,
    sample_probability: float = _EVERY_BATCH,
    *,
    io_loop: object = None,
    **options: Any,
) -> bool | None:
    """Installs the client, for the rest of the process. An argument wins over the environment, the environment over the
    default. As it stands it can be registered as a Tornado application's start callback, ``(application, io_loop)``.

    :param url: the server's URL (``INFLUXDB_URL``; else of scheme, host and port)
    :param auth_username: user name (``INFLUXDB_USER``)
    :param auth_password: password (``INFLUXDB_PASSWORD``)
    :param submission_interval: milliseconds until fewer measurements than the trigger size are submitted
        (``INFLUXDB_INTERVAL``; 60000)
    :param max_batch_size: the most measurements in one request (``INFLUXDB_MAX_BATCH_SIZE``; 10000)
    :param max_clients: the most requests at a time
    :param base_tags: tags of every measurement
    :param max_buffer_size: the most measurements that wait (``INFLUXDB_MAX_BUFFER_SIZE``; 25000)
    :param trigger_size: so many measurements are submitted at once (``INFLUXDB_TRIGGER_SIZE``; 5000)
    :param sample_probability: that a batch is submitted rather than dropped (``INFLUXDB_SAMPLE_PROBABILITY``; 1.0)
    :param io_loop: ignored, deprecated
    :param options: any other setting by its name, as :func:`settings` lists them, times in milliseconds: ``api``,
        ``token``, ``org``, ``retention_policy``, ``precision``, ``gzip``, ``timeout``, ``shutdown_timeout``,
        ``ca_file``, ``spool``, ``spool_sync``, ``spool_max_bytes``, ``overflow``, ``block_timeout``,
        ``max_buffer_bytes``, ``max_batch_bytes``, ``tag_hostname``, ``environment``, ``enabled``, ``scheme``,
        ``host``, ``port``
    :returns: ``True`` when this call installed the client, ``False`` (with a warning in the log) when there was one
        already, ``None`` when ``INFLUXDB_ENABLED`` turns it off
    :raises ValueError: for an argument or a variable that cannot be used; the message names it, and what is expected
    """
    if _is_application(url):
        # Registered as the application's start callback, which is called with the application and the loop.
        url = auth_username = None
    if io_loop is not None:
        _deprecated("the argument io_loop of install() is ignored: flush() and shutdown() use the loop that is running")
    arguments = {
        "url": url,
        "auth_username": auth_username,
        "auth_password": auth_password,
        "submission_interval": submission_interval,
        "max_batch_size": max_batch_size,
        "max_clients": max_clients,
        "max_buffer_size": max_buffer_size,
        "trigger_size": trigger_size,
        "sample_probability": None if sample_probability is _EVERY_BATCH else sample_probability,
        **options,
    }
    # The middlewares read these when the first request comes, which is too late for an error.
    _native.check_request_variables()
    tags = None
    if base_tags is not None:
        if not isinstance(base_tags, Mapping):
            raise ValueError(
                f"base_tags: a value of type {type(base_tags).__name__}: expected a dict of names and values"
            )
        tags = [(_text(name), _text(value)) for name, value in base_tags.items() if value is not None]
    with _argument_names():
        installed = _native.install(_texts(arguments), tags)
    if installed is False:
        LOGGER.warning("a client is installed already: this call of install() changes nothing")
    elif installed is None:
        LOGGER.warning("the client is not enabled: measurements are dropped, and counted")
    return installed


def _is_application(value: object) -> bool:
    web = sys.modules.get("tornado.web")
    return web is not None and isinstance(value, web.Application)


def flush(*_ignored: object) -> "asyncio.Future[bool]":
    """Submits what is buffered.

    :returns: a future of the running (or current) event loop: ``True`` when everything that was added before the call
        has been decided (delivered, rejected or dropped), ``False`` when the shutdown timeout came first
    """
    return _future(_event_loop(), _native.flush_begin())


def shutdown(*_ignored: object) -> "asyncio.Future[bool]":
    """Takes no more measurements, and submits what is buffered. Extra arguments are ignored, so that an application can
    have it called when it shuts down.

    :returns: a future as that of :func:`flush`; a second call returns the same one
    """
    global _shutdown
    loop = _event_loop()
    if _shutdown is None or _shutdown.cancelled() or _shutdown.get_loop() is not loop:
        _shutdown = _future(loop, _native.shutdown_begin())
    return _shutdown


def settings() -> dict[str, Any]:
    """The configuration in force, by the names that :func:`install` takes; secrets are masked, times in milliseconds,
    and ``base_tags`` is a dict.
    """
    rows = _native.settings()
    in_force = {_ARGUMENTS.get(name, name): _typed(value, default) for name, value, default, _ in rows}
    return {**in_force, "base_tags": _native.base_tags()}


def forget() -> None:
    """Back to the state before :func:`install`, as far as it is kept here."""
    global _shutdown
    _shutdown = None


# The future is the parent's, on a loop that the child may go on with.
os.register_at_fork(after_in_child=forget)


def set_auth_credentials(username: str | None, password: str | None) -> None:
    """User name and password; ``None`` for none."""
    _configure(auth_username=username or "", auth_password=password or "")


def set_base_url(url: str) -> None:
    """The server's URL. One with a path is used as it stands; otherwise the API's own path is added.

    :raises ValueError: for what is not an ``http`` or ``https`` URL
    """
    _configure(url=url)


def set_max_batch_size(limit: int) -> None:
    """The most measurements in one request.

    :raises ValueError: for a number below 1
    """
    _configure(max_batch_size=limit)


def set_max_buffer_size(limit: int) -> None:
    """The most measurements that wait; by default, those that come when there are so many are dropped.

    :raises ValueError: for a number below 1
    """
    _configure(max_buffer_size=limit)


def set_max_clients(limit: int) -> None:
    """The most requests at a time.

    :raises ValueError: for a number below 1
    """
    _configure(max_clients=limit)


def set_sample_probability(probability: float) -> None:
    """The probability that a batch is submitted rather than dropped.

    :raises ValueError: for a number outside 0 to 1
    """
    _configure(sample_probability=probability)


def set_timeout(milliseconds: int) -> None:
    """The submission interval: how long fewer measurements than the trigger size wait, in milliseconds.

    :raises ValueError: for a negative number
    """
    _configure(submission_interval=milliseconds)


def set_trigger_size(limit: int) -> None:
    """So many measurements are submitted at once.

    :raises ValueError: for a number below 1
    """
    _configure(trigger_size=limit)


def set_clients(limit: int) -> None:
    """Deprecated: :func:`set_max_clients`."""
    _deprecated("set_clients() is now set_max_clients()")
    set_max_clients(limit)


def set_io_loop(_io_loop: object) -> None:
    """Deprecated, and without effect."""
    _deprecated("set_io_loop() has no effect: flush() and shutdown() use the loop that is running")


def _configure(**options: Any) -> None:
    with _argument_names():
        _native.configure(_texts(options))


def _texts(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Settings as the core reads them; those that are ``None`` are left alone."""
    texts = []
    for name, value in options.items():
        if value is None:
            continue
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif not isinstance(value, int | float | str):
            kind = type(value).__name__
            raise ValueError(f"{name}: a value of type {kind}: expected a str, an int, a float or a bool")
        elif isinstance(value, float) and value.is_integer():
            # Release 2.2.1 took 1000.0 for 1000.
            value = int(value)
        texts.append((_SETTINGS.get(name, name), _text(value)))
    return texts


def _text(value: object) -> str:
    """The ``str()`` of a value, which UTF-8 can have: lone surrogates are replaced."""
    return str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@contextlib.contextmanager
def _argument_names() -> Iterator[None]:
    """Has the core's errors name the arguments as they are called here."""
    try:
        yield
    except ValueError as error:
        message = str(error)
        for setting, argument in _ARGUMENTS.items():
            if message.startswith(f"{setting}: "):
                raise ValueError(argument + message.removeprefix(setting)) from None
        raise


def _typed(value: str, default: str) -> Any:
    """A setting's text as what its default is."""
    like = default.partition(";")[0]
    if like in ("true", "false"):
        return value == "true"
    for kind in (int, float):
        try:
            kind(like)
            return kind(value)
        except ValueError:
            continue
    return value or None


def _future(loop: asyncio.AbstractEventLoop, flushing: _native.Flush | None) -> "asyncio.Future[bool]":
    future: asyncio.Future[bool] = loop.create_future()
    if flushing is None:
        future.set_result(True)
        return future

    def done() -> None:
        report = flushing.report()
        if report is None:
            return
        loop.remove_reader(flushing.fileno())
        if not future.done():
            future.set_result(report["pending"] == 0)

    loop.add_reader(flushing.fileno(), done)
    return future


def _event_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        loop = _current_event_loop()
        if loop.is_closed():
            raise RuntimeError(
                "the current event loop is closed: use flush_sync() or shutdown_sync()"
            ) from None
        return loop


def _current_event_loop() -> asyncio.AbstractEventLoop:
    """Return the loop that is set for this thread. Set a new one if there is none, as Tornado does."""
    with warnings.catch_warnings():
        # Python 3.12 and 3.13 warn before they set a new loop. Python 3.14 raises instead.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return asyncio.get_event_loop()
        except RuntimeError:
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            return loop


def _deprecated(message: str) -> None:
    warnings.warn(message, DeprecationWarning, stacklevel=3)
