"""One measurement for each request of a Flask application. Only this module needs Flask."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import flask
from werkzeug.exceptions import MethodNotAllowed

from sprockets_influxdb._native import RequestGuard, measurement_in
from sprockets_influxdb._requests import check_names, handler_name
from sprockets_influxdb._warnings import warn
from sprockets_influxdb.wsgi import InfluxDBMiddleware

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from sprockets_influxdb._requests import RequestOptions

__all__ = ["InfluxDB", "init_app"]

#: The key of the request in the WSGI environment, for the hooks.
_REQUEST = "sprockets_influxdb.request"


class InfluxDB:
    """Records each request of a Flask application::

        app = Flask(__name__)
        influxdb = InfluxDB(app, database="example")

    or, with a factory, ``influxdb = InfluxDB(database="example")`` and later
    ``influxdb.init_app(app)``. Views and hooks find the measurement at ``flask.g.influxdb``.
    ``endpoint`` is the rule, for example ``/users/<int:user>``, and ``handler`` is the view, also
    if a hook responds. The order of extensions and hooks does not matter.

    :param app: the application
    :param options: see :class:`~sprockets_influxdb._requests.RequestOptions`
    :raises TypeError: for an unknown option
    """

    def __init__(self, app: flask.Flask | None = None, **options: "Unpack[RequestOptions]") -> None:
        check_names(options)
        self._options = options
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask, **options: "Unpack[RequestOptions]") -> None:
        """Record the requests of an application. Options given here take precedence.

        :raises TypeError: for an unknown option
        """
        merged: RequestOptions = {**self._options, **options}
        app.wsgi_app = _Middleware(app.wsgi_app, **merged)  # type: ignore[method-assign]
        # Before any hook: a hook that responds ends the request.
        flask.request_started.connect(_started, app)
        flask.got_request_exception.connect(_failed, app)


def init_app(app: flask.Flask, **options: "Unpack[RequestOptions]") -> None:
    """Record the requests of an application: the same as ``InfluxDB(app, **options)``."""
    InfluxDB(app, **options)


class _Middleware(InfluxDBMiddleware):
    def _record(
        self, request: RequestGuard, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        environ[_REQUEST] = request
        return super()._record(request, environ, start_response)


def _started(_app: flask.Flask, **_more: object) -> None:
    """Called when Flask has routed the request, before all hooks and the view."""
    try:
        request = flask.request._get_current_object()  # type: ignore[attr-defined]
        flask.g.influxdb = measurement_in(request.environ)
        recorded: RequestGuard | None = request.environ.get(_REQUEST)
        if recorded is None:
            return
        rule = request.url_rule or _rule_of_other_methods()
        if rule is not None:
            view: Any = flask.current_app.view_functions.get(rule.endpoint)
            recorded.route(rule.rule, handler_name(getattr(view, "view_class", view)))
    except Exception as error:
        warn(error)


def _rule_of_other_methods() -> Any:
    """Return the rule that matches the path, if it matches no method of the rule."""
    error = flask.request.routing_exception
    adapter = flask.globals.request_ctx.url_adapter
    if not isinstance(error, MethodNotAllowed) or not error.valid_methods or adapter is None:
        return None
    rule, _ = adapter.match(method=next(iter(error.valid_methods)), return_rule=True)
    return rule


def _failed(_app: flask.Flask, exception: BaseException, **_more: object) -> None:
    request: RequestGuard | None = flask.request.environ.get(_REQUEST)
    if request is not None:
        request.fail(exception)
