"""One measurement for each request of a Flask application. This module needs Flask; the rest of the package does not
load it.
"""

from collections.abc import Callable, Iterable
from typing import Any

import flask
from werkzeug.exceptions import MethodNotAllowed

from sprockets_influxdb._native import Request
from sprockets_influxdb._requests import handler_name, warn
from sprockets_influxdb.wsgi import InfluxDBMiddleware

__all__ = ["InfluxDB", "init_app"]

#: Where the middleware leaves a request for the hooks.
_REQUEST = "sprockets_influxdb.request"


class InfluxDB:
    """Records each request of a Flask application::

        app = Flask(__name__)
        influxdb = InfluxDB(app, database="example")

    or, with a factory, ``influxdb = InfluxDB(database="example")`` and later ``influxdb.init_app(app)``. The options
    are those of :class:`sprockets_influxdb.wsgi.InfluxDBMiddleware`. ``endpoint`` is the rule, ``/users/<int:user>``,
    and ``handler`` the view. Views find the measurement at ``flask.g.influxdb``.
    """

    def __init__(self, app: flask.Flask | None = None, **options: Any) -> None:
        self._options = options
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask, **options: Any) -> None:
        """Records the requests of that application; options given here win."""
        app.wsgi_app = _Middleware(app.wsgi_app, **{**self._options, **options})  # type: ignore[method-assign]
        app.before_request(_routed)
        flask.got_request_exception.connect(_failed, app)


def init_app(app: flask.Flask, **options: Any) -> None:
    """Records the requests of that application: as ``InfluxDB(app, **options)``."""
    InfluxDB(app, **options)


class _Middleware(InfluxDBMiddleware):
    def _record(self, request: Request, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ[_REQUEST] = request
        return super()._record(request, environ, start_response)


def _routed() -> None:
    """Flask has routed the request, and not called the view."""
    request = flask.request._get_current_object()  # type: ignore[attr-defined]
    recorded: Request | None = request.environ.get(_REQUEST)
    if recorded is None:
        return
    try:
        flask.g.influxdb = recorded.measurement
        rule = request.url_rule or _rule_of_other_methods()
        if rule is not None:
            view: Any = flask.current_app.view_functions.get(rule.endpoint)
            recorded.route(rule.rule, handler_name(getattr(view, "view_class", view)))
    except Exception as error:
        warn(error)


def _rule_of_other_methods() -> Any:
    """The rule whose path it is, of a request with a method that the rule does not take."""
    error = flask.request.routing_exception
    adapter = flask.globals.request_ctx.url_adapter
    if not isinstance(error, MethodNotAllowed) or not error.valid_methods or adapter is None:
        return None
    rule, _ = adapter.match(method=next(iter(error.valid_methods)), return_rule=True)
    return rule


def _failed(_app: flask.Flask, exception: BaseException, **_more: object) -> None:
    request: Request | None = flask.request.environ.get(_REQUEST)
    if request is not None:
        request.fail(exception)
