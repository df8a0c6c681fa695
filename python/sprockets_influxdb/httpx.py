"""One measurement for each request of a client of httpx::

from sprockets_influxdb.httpx import instrument

client = httpx.AsyncClient()
instrument(client, database="example")
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sprockets_influxdb._clients import Client
from sprockets_influxdb._http_client import Requests
from sprockets_influxdb._integrations import observe
from sprockets_influxdb._options import INTEGRATION_NAMES, with_hints

if TYPE_CHECKING:
    import httpx

__all__ = ["instrument"]


@with_hints(INTEGRATION_NAMES)
def instrument(
    http_client: "httpx.Client | httpx.AsyncClient",
    *,
    measurement: str = "http_client",
    endpoint: "Callable[[httpx.Request], str | None] | None" = None,
    database: str | None = None,
    client: Client | None = None,
) -> None:
    """Record each request of a client, when its response is there. Its redirects are included. A
    second call replaces the first.

    - Tags: ``method``, ``host`` (with the port, if the URL has one), ``status_code``, ``outcome``
      (``ok``; ``error`` from 400 on and for exceptions), ``endpoint`` (what the function of that
      name returns). After 200 hosts or endpoints, further ones are ``(other)``.
    - Fields: ``duration`` (seconds; with ``stream``, until the headers are there),
      ``content_length`` (if the response has the header), ``exception`` (its class).

    A request that cannot be recorded is a warning in the log, at most one a minute.

    :param http_client: the client
    :param measurement: the name of the measurements
    :param endpoint: returns the tag ``endpoint`` of a request, such as ``"/users/{id}"``; default:
        there is no such tag, as paths have no bound
    :param database: the database (bucket); default: that of the client
    :param client: the client of InfluxDB; default: the installed one
    :raises TypeError: for a database that is not a string, and for an object that is not a client
    """
    requests = Requests(measurement, endpoint, database, client)
    observe(http_client, "send", requests.recorder, requests.describe)
