"""The package's functions on the installed client."""

import asyncio
import logging
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sprockets_influxdb import _native
from sprockets_influxdb._clients import Client
from sprockets_influxdb._futures import event_loop
from sprockets_influxdb._native import Rejected
from sprockets_influxdb._options import Options, argument_names, arguments, check, tags, texts
from sprockets_influxdb._rejected import check as check_function

if TYPE_CHECKING:
    from typing_extensions import Unpack

LOGGER = logging.getLogger("sprockets_influxdb")

#: The default. Only its identity tells it from a caller's 1.0, which takes precedence over the
#: environment.
_EVERY_BATCH = float("1.0")

_installed: Client | None = None


def install(
    url: str | None = None,
    auth_username: str | None = None,
    auth_password: str | None = None,
    submission_interval: int | None = None,
    max_batch_size: int | None = None,
    max_clients: int = 10,
    base_tags: Mapping[str, object] | None = None,
    max_buffer_size: int | None = None,
    trigger_size: int | None = None,
    sample_probability: float = _EVERY_BATCH,
    *,
    io_loop: object = None,
    on_rejected: Callable[[Rejected], object] | None = None,
    **options: "Unpack[Options]",
) -> bool | None:
    """Installs the client that the functions of this module use. An argument takes precedence over
    the environment, the environment over the default. After :func:`shutdown`, another call installs
    a new client. This function can be registered as a start callback of a Tornado application,
    ``(application, io_loop)``.

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
    :param on_rejected: called with a :class:`Rejected` for each line that the server rejected, on a
        thread of the package's; at the end of the process, on the thread that ends it. What it
        raises is logged. It must not take long: 64 MiB of lines can wait for it
    :param options: any other setting by its name, as :func:`settings` lists them, durations in
        milliseconds: ``api``, ``block_timeout``, ``ca_file``, ``client_cert``, ``client_key``,
        ``database``, ``enabled``, ``environment``, ``gzip``, ``host``, ``max_batch_bytes``,
        ``max_buffer_bytes``, ``nats_creds``, ``nats_stream``, ``nats_subject``, ``org``,
        ``overflow``, ``port``, ``precision``, ``retention_policy``, ``scheme``,
        ``self_database``, ``shutdown_timeout``, ``spool``, ``spool_max_bytes``, ``spool_sync``,
        ``tag_hostname``, ``timeout``, ``tls_verify``, ``token``
    :returns: ``True`` when this call installed the client, ``False`` (with a warning in the log)
        when there is one that is not shut down, ``None`` when ``INFLUXDB_ENABLED`` turns it off
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
    check(options)
    check_function(on_rejected)
    # The middlewares read these when the first request comes, which is too late for an error.
    _native.check_request_variables()
    with argument_names():
        installed = _native.install(
            texts(
                url=url,
                auth_username=auth_username,
                auth_password=auth_password,
                submission_interval=submission_interval,
                max_batch_size=max_batch_size,
                max_clients=max_clients,
                max_buffer_size=max_buffer_size,
                trigger_size=trigger_size,
                sample_probability=None
                if sample_probability is _EVERY_BATCH
                else sample_probability,
                **options,
            ),
            tags(base_tags),
            on_rejected,
        )
    if installed is False:
        LOGGER.warning(
            "a client is installed already: this call of install() changes nothing; to install "
            "another one, call shutdown_sync() first"
        )
    elif installed is None:
        LOGGER.warning(
            "the client is not enabled: measurements are dropped, and counted; "
            "to record, set INFLUXDB_ENABLED=true"
        )
    return installed


def _is_application(value: object) -> bool:
    web = sys.modules.get("tornado.web")
    return web is not None and isinstance(value, web.Application)


def installed() -> Client | None:
    """Return the client that the functions of this module use, or ``None``.

    Without a call of :func:`install`, the first measurement makes one.
    """
    global _installed
    if _installed is None or not _installed._is_installed():
        client = Client.__new__(Client)
        _installed = client if client._attach() else None
    return _installed


def flush(*_ignored: object) -> "asyncio.Future[bool]":
    """Sends what is buffered.

    :returns: a future of the running (or current) event loop. It is ``True`` when everything that
        was added before the call is delivered, rejected or dropped. It is ``False`` if the shutdown
        timeout comes first, or if something was added after the shutdown and so dropped.
    """
    client = installed()
    return _nothing_to_do() if client is None else client.flush()


def shutdown(*_ignored: object) -> "asyncio.Future[bool]":
    """Accepts no more measurements, and sends what is buffered. Afterwards, :func:`install` can
    install another client. Extra arguments are ignored, so that this can be registered as a
    shutdown callback of an application.

    :returns: a future as that of :func:`flush`; a second call returns the same one
    """
    client = installed()
    return _nothing_to_do() if client is None else client.shutdown()


def _nothing_to_do() -> "asyncio.Future[bool]":
    future: asyncio.Future[bool] = event_loop().create_future()
    future.set_result(True)
    return future


def settings() -> dict[str, Any]:
    """The configuration in force, by the names that :func:`install` takes. Secrets are masked,
    durations are in milliseconds, and ``base_tags`` is a dict.
    """
    return arguments(_native.settings())


def forget() -> None:
    """Resets the state of this module to that before :func:`install`."""
    global _installed
    _installed = None


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
    with argument_names():
        _native.configure(texts(**options))


def _deprecated(message: str) -> None:
    warnings.warn(message, DeprecationWarning, stacklevel=3)
