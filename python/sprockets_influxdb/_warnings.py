"""Rate-limited warnings. The native module calls :func:`warn` as well."""

import logging
import time

LOGGER = logging.getLogger("sprockets_influxdb")

#: Minimum time between two warnings of one kind, in seconds.
_INTERVAL = 60.0

#: When each kind was logged last, by the exception's class.
_warned: dict[str, float] = {}


def warn(error: BaseException, what: str = "a request is not recorded as it should be") -> None:
    """Log a warning, at most once a minute for each class of exception.

    :param error: the exception
    :param what: what happened
    """
    now, kind = time.monotonic(), type(error).__name__
    if now - _warned.get(kind, -_INTERVAL) >= _INTERVAL:
        _warned[kind] = now
        LOGGER.warning("%s: %s: %s", what, kind, error)
