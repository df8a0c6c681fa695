"""Rate-limited warnings. The native module calls :func:`warn` as well."""

import contextlib
import logging
import time
import traceback

LOGGER = logging.getLogger("sprockets_influxdb")

#: Minimum time between two warnings of one kind, in seconds.
_INTERVAL = 60.0

#: When each kind was logged last, by the exception's class, and how many were not logged since.
_warned: dict[str, tuple[float, int]] = {}


def warn(error: BaseException, what: str = "a request is not recorded as it should be") -> None:
    """Log a warning, at most once a minute for each class of exception.

    :param error: the exception
    :param what: what happened
    """
    now, kind = time.monotonic(), type(error).__name__
    last, held_back = _warned.get(kind, (-_INTERVAL, 0))
    if now - last < _INTERVAL:
        _warned[kind] = last, held_back + 1
        return
    _warned[kind] = now, 0
    more = ""
    if held_back:
        were = "warning like this was" if held_back == 1 else "warnings like this were"
        more = f"; {held_back} {were} not logged since the last one"
    try:
        LOGGER.warning("%s: %s: %s%s", what, kind, error, more)
    except Exception:
        print_error()


def print_error() -> None:
    """Print the exception that a filter or handler of the log has raised, as :mod:`logging` does.
    Neither what is measured nor the messages that follow must fail for it.
    """
    if logging.raiseExceptions:
        # The standard error output may be closed.
        with contextlib.suppress(Exception):
            traceback.print_exc()
