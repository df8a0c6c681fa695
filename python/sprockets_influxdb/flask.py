"""One measurement for each request of a Flask application. Only this module needs Flask."""

from typing import TYPE_CHECKING, Any

import flask
from werkzeug.exceptions import MethodNotAllowed

from sprockets_influxdb._native import FlaskRoutes, WsgiRequest, measurement_in
from sprockets_influxdb._requests import check_names, handler_name
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
        app.wsgi_app = _Middleware(app, **merged)  # type: ignore[method-assign]
        globals_class = app.app_ctx_globals_class
        if not hasattr(globals_class, "influxdb"):
            made: Any = type("Globals", (_Globals, globals_class), {})
            app.app_ctx_globals_class = made
        flask.got_request_exception.connect(_failed, app)


def init_app(app: flask.Flask, **options: "Unpack[RequestOptions]") -> None:
    """Record the requests of an application: the same as ``InfluxDB(app, **options)``."""
    InfluxDB(app, **options)


class _Attribute:
    """The measurement of the current request, found on access."""

    def __get__(self, instance: object, owner: type) -> Any:
        if instance is None:
            return self
        if not flask.has_request_context():
            raise AttributeError("influxdb: there is no request")
        return measurement_in(flask.request.environ)


class _Globals:
    """What ``flask.g`` has beside an application's own attributes."""

    influxdb = _Attribute()

    def get(self, name: str, default: Any = None) -> Any:
        if name == "influxdb":
            return getattr(self, name, default)
        return super().get(name, default)  # type: ignore[misc]

    def __contains__(self, name: str) -> bool:
        if name == "influxdb":
            return hasattr(self, name)
        return super().__contains__(name)  # type: ignore[misc,no-any-return]


class _Middleware(InfluxDBMiddleware):
    def __init__(self, app: flask.Flask, **options: "Unpack[RequestOptions]") -> None:
        super().__init__(app.wsgi_app, **options)
        self._flask = app
        self._routes = FlaskRoutes(app, self._search)

    def _search(self, environ: dict[str, Any]) -> tuple[Any, Any, tuple[str, str]] | None:
        """Return rule, view and route of a request. They are remembered for the rule."""
        request = environ.get("werkzeug.request")
        if request is None:
            return None
        rule = request.url_rule or self._rule_of_other_methods(request)
        if rule is None:
            return None
        view: Any = self._flask.view_functions.get(rule.endpoint)
        return rule, view, (rule.rule, handler_name(getattr(view, "view_class", view)))

    def _rule_of_other_methods(self, request: flask.Request) -> Any:
        """Return the rule that matches the path, if it matches no method of the rule."""
        error = request.routing_exception
        if not isinstance(error, MethodNotAllowed) or not error.valid_methods:
            return None
        adapter = self._flask.create_url_adapter(request)
        if adapter is None:
            return None
        rule, _ = adapter.match(method=next(iter(error.valid_methods)), return_rule=True)
        return rule


def _failed(_app: flask.Flask, exception: BaseException, **_more: object) -> None:
    request: WsgiRequest | None = flask.request.environ.get(_REQUEST)
    if request is not None:
        request.fail(exception)
