"""One measurement for each request of a session of requests::

from sprockets_influxdb.requests import instrument

session = requests.Session()
instrument(session, database="example")
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sprockets_influxdb._clients import Client
from sprockets_influxdb._http_client import Requests
from sprockets_influxdb._integrations import observe
from sprockets_influxdb._options import INTEGRATION_NAMES, with_hints

if TYPE_CHECKING:
    import requests

__all__ = ["instrument"]


@with_hints(INTEGRATION_NAMES)
def instrument(
    session: "requests.Session",
    *,
    measurement: str = "http_client",
    endpoint: "Callable[[requests.PreparedRequest], str | None] | None" = None,
    database: str | None = None,
    client: Client | None = None,
) -> None:
    """Record each request of a session, when its response is there. Its redirects are included. A
    second call replaces the first.

    - Tags: ``method``, ``host`` (with the port, if the URL has one), ``status_code``, ``outcome``
      (``ok``; ``error`` from 400 on and for exceptions), ``endpoint`` (what the function of that
      name returns). After 200 hosts or endpoints, further ones are ``(other)``.
    - Fields: ``duration`` (seconds; with ``stream``, until the headers are there),
      ``content_length`` (if the response has the header), ``exception`` (its class).

    A request that cannot be recorded is a warning in the log, at most one a minute.

    :param session: the session
    :param measurement: the name of the measurements
    :param endpoint: returns the tag ``endpoint`` of a request, such as ``"/users/{id}"``; default:
        there is no such tag, as paths have no bound
    :param database: the database (bucket); default: that of the client
    :param client: the client of InfluxDB; default: the installed one
    :raises TypeError: for a database that is not a string, and for an object that is not a client
    """
    recorded = Requests(measurement, endpoint, database, client)
    # For redirects, `send` calls itself.
    observe(session, "send", recorded.recorder, recorded.describe, is_nested=True)
