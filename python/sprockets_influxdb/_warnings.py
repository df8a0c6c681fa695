"""Rate-limited warnings. The native module calls :func:`warn` as well."""

import contextlib
import logging
import os
import re
import sys
import time
import traceback

LOGGER = logging.getLogger("sprockets_influxdb")

#: Minimum time between two warnings of one text, in seconds.
_INTERVAL = 60.0

#: Maximum number of texts that are told apart. The others share the limit of their exception.
_MAX_TEXTS = 50

#: When each text was logged last, without its numbers, and how many were not logged since.
_warned: dict[tuple[str, ...], tuple[float, int]] = {}

_NUMBERS = re.compile(r"\d+")

_PACKAGE = os.path.dirname(__file__) + os.sep


def warn(error: BaseException, what: str = "a request is not recorded as it should be") -> None:
    """Log a warning, at most once a minute for each text.

    :param error: the exception
    :param what: what happened
    """
    now, kind = time.monotonic(), type(error).__name__
    key: tuple[str, ...] = (kind, what, _NUMBERS.sub("", _text(error)))
    if key not in _warned and len(_warned) >= _MAX_TEXTS:
        key = (kind,)
    last, held_back = _warned.get(key, (-_INTERVAL, 0))
    if now - last < _INTERVAL:
        _warned[key] = last, held_back + 1
        return
    _warned[key] = now, 0
    more = ""
    if held_back:
        were = "warning like this was" if held_back == 1 else "warnings like this were"
        more = f"; {held_back} {were} not logged since the last one"
    try:
        LOGGER.warning("%s: %s: %s%s", what, kind, error, more)
    except Exception:
        print_error()


def warn_of_request(error: BaseException, endpoint: object) -> None:
    """Log that a request of this endpoint is not recorded as it should be."""
    of = "" if endpoint is None else f" of {endpoint}"
    warn(error, f"a request{of} is not recorded as it should be")


def warn_of_value(error: BaseException) -> None:
    """Log that a value is left out that the calling code sets. The native module calls this."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    code = frame.f_code
    place = f"{os.path.basename(code.co_filename)}:{frame.f_lineno}, in {code.co_name}"
    warn(error, f"a value is not recorded ({place})")


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return ""


def print_error() -> None:
    """Print the exception that a filter or handler of the log has raised, as :mod:`logging` does.
    Neither what is measured nor the messages that follow must fail for it.
    """
    if logging.raiseExceptions:
        # The standard error output may be closed.
        with contextlib.suppress(Exception):
            traceback.print_exc()
