"""An application for gunicorn and uWSGI that records each request.

``INSTALL`` says whether its client is installed before or after the fork.
"""

import contextlib
import importlib
import os
from collections.abc import Callable, Iterable
from typing import Any

from matrix import add

import sprockets_influxdb as influxdb

if os.environ["INSTALL"] == "before":
    influxdb.install()


def application(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    add("request")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


def post_fork(_server: object, _worker: object) -> None:
    """For gunicorn."""
    if os.environ["INSTALL"] == "after":
        assert influxdb.install()


# The module is there only in a process of uWSGI's.
with contextlib.suppress(ImportError):
    importlib.import_module("uwsgidecorators").postfork(lambda: post_fork(None, None))
