"""Records measurements in running applications and delivers them to InfluxDB.

Measurements are buffered, batched, retried and accounted for, without slowing the application down.
Names and signatures are those of release 2.2.1. New arguments are keyword-only.
"""

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from sprockets_influxdb import _import_path as _import_path  # First: it repairs `sys.path`.
from sprockets_influxdb import _lifecycle, _native
from sprockets_influxdb._client import (
    flush,
    install,
    installed,
    set_auth_credentials,
    set_base_url,
    set_clients,
    set_io_loop,
    set_max_batch_size,
    set_max_buffer_size,
    set_max_clients,
    set_sample_probability,
    set_timeout,
    set_trigger_size,
    settings,
    shutdown,
)
from sprockets_influxdb._clients import Client
from sprockets_influxdb._dataframe import FrameReport, write_dataframe
from sprockets_influxdb._native import (
    Measurement,
    Rejected,
    Series,
    add_measurement,
    flush_sync,
    record,
    series,
    shutdown_sync,
    stats,
)
from sprockets_influxdb._options import Options
from sprockets_influxdb._requests import REQUEST_DATABASE
from sprockets_influxdb._timing import Timed, timed

if TYPE_CHECKING:
    from sprockets_influxdb.tornado import InfluxDBMixin

for _public in (
    Client,
    FrameReport,
    Options,
    Timed,
    add_measurement,
    flush_sync,
    record,
    series,
    shutdown_sync,
    stats,
    timed,
    write_dataframe,
):
    _public.__module__ = __name__

__version__: str = _native.VERSION
version_info: tuple[int, ...] = tuple(int(part) for part in __version__.split("."))
USER_AGENT: str = f"sprockets-influxdb/v{__version__}"

_lifecycle.watch()

__all__ = [
    "REQUEST_DATABASE",
    "USER_AGENT",
    "Client",
    "FrameReport",
    "InfluxDBMixin",
    "Measurement",
    "Options",
    "Rejected",
    "Series",
    "Timed",
    "__version__",
    "add_measurement",
    "flush",
    "flush_sync",
    "install",
    "installed",
    "record",
    "series",
    "set_auth_credentials",
    "set_base_url",
    "set_clients",
    "set_io_loop",
    "set_max_batch_size",
    "set_max_buffer_size",
    "set_max_clients",
    "set_sample_probability",
    "set_timeout",
    "set_trigger_size",
    "settings",
    "shutdown",
    "shutdown_sync",
    "stats",
    "timed",
    "version_info",
    "write_dataframe",
]


if importlib.util.find_spec("tornado") is None:
    # `import *` works without Tornado. (Type checkers must not see this.)
    globals()["__all__"].remove("InfluxDBMixin")


def __getattr__(name: str) -> Any:
    # Tornado is loaded on first use. Without it, this raises an ImportError that names the extra.
    if name in ("InfluxDBMixin", "tornado"):
        module = importlib.import_module("sprockets_influxdb.tornado")
        return module if name == "tornado" else module.InfluxDBMixin
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
