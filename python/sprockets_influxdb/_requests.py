"""What there is to configure of the measurements of requests. Nothing here needs Tornado."""

import os
from typing import NamedTuple

#: The application's setting that names the database (bucket) of its requests.
REQUEST_DATABASE = "sprockets_influxdb.database"

_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


class RequestTags(NamedTuple):
    """Which of a request's many-valued properties are tags; the others are fields."""

    remote_ip: bool = True
    correlation_id: bool = True


def request_tags() -> RequestTags:
    """What the environment says.

    :raises ValueError: for a value that is not a boolean; the message names the variable
    """
    return RequestTags(_boolean("INFLUXDB_TAG_REMOTE_IP"), _boolean("INFLUXDB_TAG_CORRELATION_ID"))


def _boolean(variable: str) -> bool:
    text = os.environ.get(variable, "")
    if not text:
        return True
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        expected = "true, false, 1, 0, yes, no, on or off"
        raise ValueError(f'{variable}: "{text}" is not a boolean: expected {expected}') from None
