"""A scripted InfluxDB in the process, for tests of code that records measurements: it keeps what it is sent as points,
and fails on command. It needs no network, no container and no sleeping: tests wait for what they expect.

With pytest, ask for the fixture ``influxdb``::

    def test_a_job_is_recorded(influxdb):
        run_job()
        [point] = influxdb.wait_for_points(1)
        assert point.tags["queue"] == "mail"
        assert point.fields["rows"] == 3

Without it::

    with testing.Server() as server:
        sprockets_influxdb.install(server.url)
        ...
        sprockets_influxdb.flush_sync()
        points = server.points("example")
    testing.reset()

The client sends on threads of its own, so a test may wait within an event loop as well.
"""

import dataclasses
import types
from collections.abc import Iterable

from sprockets_influxdb import _client, _lifecycle, _native
from sprockets_influxdb._native import Fault, products, strangers

__all__ = ["Fault", "Point", "Request", "Server", "parse", "products", "reset", "strangers"]


@dataclasses.dataclass(frozen=True)
class Point:
    """A row as the server stores it: names and values without their escapes."""

    #: The measurement's name.
    measurement: str
    #: Tags by name.
    tags: dict[str, str]
    #: Fields by name, each of the type that is stored: ``1`` and ``1.0`` are equal in Python, but an ``int`` and a
    #: ``float`` here.
    fields: dict[str, float | int | bool | str]
    #: Nanoseconds since the epoch.
    timestamp: int


@dataclasses.dataclass(frozen=True)
class Request:
    """A request that reached the server, and what became of it."""

    #: In capitals, as it came.
    method: str
    #: Without the query.
    path: str
    #: Names and values, in the order in which they came.
    query: list[tuple[str, str]]
    #: Names and values, in the order in which they came.
    headers: list[tuple[str, str]]
    #: For a write, the database (bucket) that it is for.
    database: str | None
    #: Decompressed; empty if it was refused before it was read.
    body: bytes
    #: Bytes of body that came over the wire, before decompression.
    wire_length: int
    #: Lines in the body, good or bad.
    lines: int
    #: The status answered; ``None`` if there was no HTTP reply.
    status: int | None

    @property
    def text(self) -> str:
        """The body, as text."""
        return self.body.decode(errors="replace")

    def header(self, name: str) -> str | None:
        """The value of a header; its name in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def parameter(self, name: str) -> str | None:
        """The value of a parameter of the query."""
        return next((value for key, value in self.query if key == name), None)


class Server:
    """An InfluxDB of the test's own on a free port of the loopback interface. As a context manager it stops at the end
    of the block; what it has can still be looked at.

    It answers the write APIs of InfluxDB 1.x (``/write``), 2.x (``/api/v2/write``) and 3.x (``/api/v3/write_lp``), and
    ``/ping`` and ``/health``. Any database is there, anyone may write, and nothing goes wrong, until told otherwise. It
    is stricter than any InfluxDB: a line that one of the three would refuse is refused.

    With the name of a product it plays that product: ``Server("influxdb-3.6")`` answers and stores as InfluxDB 3.6.0
    does.
    """

    def __init__(self, product: str = "strict") -> None:
        """Starts a server.

        :param product: what it plays: one of :func:`products`, such as ``"influxdb-3.6"``
        :raises ValueError: for an unknown product
        """
        self._server = _native.Server(product)

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Server {self.url}>"

    @property
    def port(self) -> int:
        """The port that it listens on; the same after :meth:`restart`."""
        return self._server.port()

    @property
    def url(self) -> str:
        """Its URL, without a path: what :func:`sprockets_influxdb.install` takes."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Goes down: closes all connections, and refuses new ones. What is stored and recorded stays."""
        self._server.stop()

    def restart(self) -> None:
        """Comes up again on the same port, with everything it had; stops first if it is up."""
        self._server.restart()

    def require_basic(self, user: str, password: str) -> None:
        """Admits only this user."""
        self._server.require_basic(user, password)

    def require_token(self, token: str) -> None:
        """Admits only the holder of this token."""
        self._server.require_token(token)

    def require_nothing(self) -> None:
        """Admits everyone, as at the start."""
        self._server.require_nothing()

    def only_databases(self, databases: Iterable[str]) -> None:
        """Takes writes to these databases (or buckets) only, and answers 404 to others."""
        self._server.set_databases(list(databases))

    def any_database(self) -> None:
        """Takes writes to any database, as at the start."""
        self._server.set_databases()

    def max_body_size(self, size: int | None) -> None:
        """Answers 413 to bodies of more bytes than this on the wire; ``None`` lifts the limit."""
        self._server.max_body_size(size)

    def write_path(self, path: str) -> None:
        """Treats this path like ``/write``, as behind a proxy."""
        self._server.write_path(path)

    def inject(self, fault: Fault) -> None:
        """Has a fault happen to the next write that it fits, or to as many as it says. Of those that fit a write, the
        one injected first happens.
        """
        self._server.inject(fault)

    def inject_always(self, fault: Fault) -> None:
        """Has a fault happen to every write that it fits, until :meth:`clear_faults`."""
        self._server.inject_always(fault)

    def clear_faults(self) -> None:
        """Forgets all faults, and resets the connections that are in a black hole."""
        self._server.clear_faults()

    def clear(self) -> None:
        """Forgets points and requests. Settings and faults stay."""
        self._server.clear()

    def databases(self) -> list[str]:
        """The databases that have points, in alphabetical order."""
        return self._server.databases()

    def points(self, database: str | None = None) -> list[Point]:
        """The points of a database, by time; without one, those of all databases, one database after the other."""
        names = self.databases() if database is None else [database]
        return [Point(*point) for name in names for point in self._server.points(name)]

    def lines_received(self, database: str) -> int:
        """How many lines of a database were stored, counting those that overwrote a point: what was sent twice counts
        twice.
        """
        return self._server.lines_received(database)

    def connections(self) -> int:
        """How many connections were accepted."""
        return self._server.connections()

    def requests(self) -> list[Request]:
        """Every request, in the order in which they were answered."""
        return [Request(*request) for request in self._server.requests()]

    def writes(self) -> list[Request]:
        """The :meth:`requests` that were writes."""
        return [request for request in self.requests() if request.database is not None]

    def wait_for_points(self, count: int, timeout: float = 10, database: str | None = None) -> list[Point]:
        """Waits until there are at least so many points, in a database or in all of them together.

        :param count: the number of points
        :param timeout: the most to wait, in seconds
        :param database: one database (or bucket) alone
        :returns: the points, as :meth:`points` does
        :raises TimeoutError: when there are fewer at the end; the message says what came instead
        """
        if not self._server.wait_for_points(count, timeout, database):
            raise TimeoutError(f"{len(self.points(database))} of {count} points after {timeout} s; {self._seen()}")
        return self.points(database)

    def wait_for_requests(self, count: int, timeout: float = 10) -> list[Request]:
        """Waits until there were at least so many requests. One that is left without an answer counts from the moment
        its fault happens.

        :param count: the number of requests
        :param timeout: the most to wait, in seconds
        :returns: the requests, as :meth:`requests` does
        :raises TimeoutError: when there were fewer at the end; the message says which
        """
        if not self._server.wait_for_requests(count, timeout):
            raise TimeoutError(f"fewer than {count} requests after {timeout} s; {self._seen()}")
        return self.requests()

    def play(self, product: str) -> None:
        """Plays another product from the next request on: one of :func:`products`."""
        self._server.play(product)

    def open_paths(self, paths: Iterable[str]) -> None:
        """Needs no token for these paths when it plays InfluxDB 3."""
        self._server.open_paths(list(paths))

    def create_database(self, name: str) -> None:
        """Creates an empty database when it plays InfluxDB 3. A write creates it as well."""
        self._server.create_database(name)

    def created_databases(self) -> list[str]:
        """The databases that a played InfluxDB 3 lists, those without a point too."""
        return self._server.created_databases()

    def unreadable_tables(self, database: str) -> list[str]:
        """The tables of a database that a played InfluxDB 3 cannot read any more."""
        return self._server.unreadable_tables(database)

    def _seen(self) -> str:
        shown = [f"{request.method} {request.path} {request.status}" for request in self.requests()[-5:]]
        requests = f"the newest requests are {', '.join(shown)}" if shown else "there was no request"
        error = _native.stats()["last_error"]
        return f"{requests}; the client says: {error}" if error else requests


def parse(lines: str) -> list[Point]:
    """The points that lines of line protocol stand for: ``parse(measurement.marshall())``.

    :raises ValueError: for a line that one of InfluxDB 1.x, 2.x and 3.x would not store as it stands
    """
    return [Point(*point) for point in _native.parse(lines)]


def reset() -> None:
    """Back to the state before :func:`sprockets_influxdb.install`: no client, no base tags, books at zero. What was
    still buffered is lost; what the client logged is written.
    """
    _native.reset()
    _client.forget()
    _lifecycle.write_log()
