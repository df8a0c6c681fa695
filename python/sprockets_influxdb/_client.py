"""The package's functions on the one client of the process."""

import asyncio
import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from sprockets_influxdb import _native

if TYPE_CHECKING:
    from typing_extensions import Unpack

LOGGER = logging.getLogger("sprockets_influxdb")

#: Arguments whose settings have other names.
_SETTINGS = {"auth_username": "user", "auth_password": "password"}
_ARGUMENTS = {setting: argument for argument, setting in _SETTINGS.items()}

#: The default. Only its identity tells it from a caller's 1.0, which takes precedence over the
#: environment.
_EVERY_BATCH = float("1.0")

_shutdown: "asyncio.Future[bool] | None" = None


class Options(TypedDict, total=False):
    """The options of :func:`install` beside its positional arguments: settings by name, durations
    in milliseconds. ``None`` leaves a setting alone.
    """

    api: Literal["v1", "v2", "v3"] | None
    block_timeout: int | None
    ca_file: str | None
    enabled: bool | None
    environment: str | None
    gzip: bool | None
    host: str | None
    max_batch_bytes: int | None
    max_buffer_bytes: int | None
    org: str | None
    overflow: Literal["newest", "oldest", "block"] | None
    port: int | None
    precision: Literal["ns", "us", "ms", "s"] | None
    retention_policy: str | None
    scheme: Literal["http", "https"] | None
    shutdown_timeout: int | None
    spool: str | None
    spool_max_bytes: int | None
    spool_sync: Literal["process", "interval", "always"] | None
    tag_hostname: bool | None
    timeout: int | None
    token: str | None


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
    **options: "Unpack[Options]",
) -> bool | None:
    """Installs the client, for the rest of the process. An argument takes precedence over the
    environment, the environment over the default. This function can be registered as a start
    callback of a Tornado application, ``(application, io_loop)``.

    :param url: URL of the server (``INFLUXDB_URL``; else scheme, host and port)
    :param auth_username: user name (``INFLUXDB_USER``)
    :param auth_password: password (``INFLUXDB_PASSWORD``)
    :param submission_interval: milliseconds that the first measurement of a batch waits, unless the
        trigger size is reached (``INFLUXDB_INTERVAL``; 60000)
    :param max_batch_size: maximum number of measurements in one request
        (``INFLUXDB_MAX_BATCH_SIZE``; 10000)
    :param max_clients: maximum number of concurrent requests
    :param base_tags: tags of every measurement
    :param max_buffer_size: capacity of the buffer in measurements (``INFLUXDB_MAX_BUFFER_SIZE``;
        25000)
    :param trigger_size: number of waiting measurements that are sent at once
        (``INFLUXDB_TRIGGER_SIZE``; 5000)
    :param sample_probability: probability that a batch is sent rather than dropped
        (``INFLUXDB_SAMPLE_PROBABILITY``; 1.0)
    :param io_loop: ignored, deprecated
    :param options: any other setting by its name, as :func:`settings` lists them, durations in
        milliseconds: ``api``, ``block_timeout``, ``ca_file``, ``enabled``, ``environment``,
        ``gzip``, ``host``, ``max_batch_bytes``, ``max_buffer_bytes``, ``org``, ``overflow``,
        ``port``, ``precision``, ``retention_policy``, ``scheme``, ``shutdown_timeout``, ``spool``,
        ``spool_max_bytes``, ``spool_sync``, ``tag_hostname``, ``timeout``, ``token``
    :returns: ``True`` when this call installed the client, ``False`` (with a warning in the log)
        when there was one already, ``None`` when ``INFLUXDB_ENABLED`` turns it off
    :raises ValueError: for an argument or a variable that cannot be used; the message names it, and
        what is expected
    """
    if _is_application(url):
        # A start callback is called with the application and the loop.
        url = auth_username = None
    if io_loop is not None:
        _deprecated(
            "the argument io_loop of install() is ignored: flush() and shutdown() use the "
            "running loop"
        )
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
            kind = type(base_tags).__name__
            raise ValueError(
                f"base_tags: a value of type {kind}: expected a dict of names and values"
            )
        texts = ((name, _native.base_tag_text(name, value)) for name, value in base_tags.items())
        tags = [(_text(name), text) for name, text in texts if text is not None]
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
    """Sends what is buffered.

    :returns: a future of the running (or current) event loop: ``True`` when everything that was
        added before the call is decided (delivered, rejected or dropped), ``False`` when the
        shutdown timeout comes first, or when something was added after the shutdown, and so dropped
    """
    return _future(_event_loop(), _native.flush_begin())


def shutdown(*_ignored: object) -> "asyncio.Future[bool]":
    """Accepts no more measurements, and sends what is buffered. Extra arguments are ignored, so
    that this can be registered as a shutdown callback of an application.

    :returns: a future as that of :func:`flush`; a second call returns the same one
    """
    global _shutdown
    loop = _event_loop()
    if _shutdown is None or _shutdown.cancelled() or _shutdown.get_loop() is not loop:
        _shutdown = _future(loop, _native.shutdown_begin())
    return _shutdown


def settings() -> dict[str, Any]:
    """The configuration in force, by the names that :func:`install` takes. Secrets are masked,
    durations are in milliseconds, and ``base_tags`` is a dict.
    """
    return {_ARGUMENTS.get(name, name): value for name, value in _native.settings().items()}


def forget() -> None:
    """Resets the state of this module to that before :func:`install`."""
    global _shutdown
    _shutdown = None


# The future belongs to the parent, on a loop that the child may continue to use.
os.register_at_fork(after_in_child=forget)


def set_auth_credentials(username: str | None, password: str | None) -> None:
    """User name and password; ``None`` for none."""
    _configure(auth_username=username or "", auth_password=password or "")


def set_base_url(url: str) -> None:
    """URL of the server. A path in it is used as it is; otherwise the path of the API is added.

    :raises ValueError: for what is not an ``http`` or ``https`` URL
    """
    _configure(url=url)


def set_max_batch_size(limit: int) -> None:
    """Maximum number of measurements in one request.

    :raises ValueError: for a number below 1
    """
    _configure(max_batch_size=limit)


def set_max_buffer_size(limit: int) -> None:
    """Capacity of the buffer in measurements.

    :raises ValueError: for a number below 1
    """
    _configure(max_buffer_size=limit)


def set_max_clients(limit: int) -> None:
    """Maximum number of concurrent requests.

    :raises ValueError: for a number below 1
    """
    _configure(max_clients=limit)


def set_sample_probability(probability: float) -> None:
    """Probability that a batch is sent rather than dropped.

    :raises ValueError: for a number outside 0 to 1
    """
    _configure(sample_probability=probability)


def set_timeout(milliseconds: int) -> None:
    """The submission interval in milliseconds: how long the first measurement of a batch waits,
    unless the trigger size is reached.

    :raises ValueError: for a negative number
    """
    _configure(submission_interval=milliseconds)


def set_trigger_size(limit: int) -> None:
    """Number of waiting measurements that are sent at once.

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
    """Settings as the core reads them, without those that are ``None``."""
    texts = []
    for name, value in options.items():
        if value is None:
            continue
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif not isinstance(value, int | float | str):
            kind = type(value).__name__
            raise ValueError(
                f"{name}: a value of type {kind}: expected a str, an int, a float or a bool"
            )
        elif isinstance(value, float) and value.is_integer():
            # Release 2.2.1 took 1000.0 for 1000.
            value = int(value)
        texts.append((_SETTINGS.get(name, name), _text(value)))
    return texts


def _text(value: object) -> str:
    """The ``str()`` of a value. Lone surrogates, which UTF-8 cannot encode, are replaced."""
    return str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@contextlib.contextmanager
def _argument_names() -> Iterator[None]:
    """Renames settings in errors of the core to the arguments of this module."""
    try:
        yield
    except ValueError as error:
        message = str(error)
        for setting, argument in _ARGUMENTS.items():
            if message.startswith(f"{setting}: "):
                raise ValueError(argument + message.removeprefix(setting)) from None
        raise


def _future(
    loop: asyncio.AbstractEventLoop, flushing: _native.Flush | None
) -> "asyncio.Future[bool]":
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
            future.set_result(report["pending"] == 0 and report["closed"] == 0)

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
    """Return this thread's loop. Set a new one if there is none, as Tornado does."""
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
