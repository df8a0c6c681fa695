"""The route of a request to a Starlette or FastAPI application, as the full template of its path.

The scope has the matched route, but not where it is mounted or included. So all routes of the
application are indexed once.
"""

import re
import sys
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any, NamedTuple

from sprockets_influxdb._native import RouteTable
from sprockets_influxdb._requests import handler_name

#: Maximum number of remembered objects that belong to no route.
_MAX_MISSES = 1_000

#: Maximum number of middlewares around an application that are searched for its router.
_MAX_DEPTH = 100

#: The type of a websocket's scope, and the "method" of its routes.
_WEBSOCKET = "websocket"


class Route(NamedTuple):
    """A template of a path, and the name of its handler."""

    template: str
    handler: str | None


class _Candidate(NamedTuple):
    """A route, the pattern of its full path, and its methods. ``None``: any method."""

    route: Route
    pattern: "re.Pattern[str]"
    methods: "frozenset[str] | None"


class Routes:
    """The routes of the application inside a middleware.

    :param app: the application
    """

    def __init__(self, app: object) -> None:
        self._app = app
        self._router: object = None
        self._candidates: list[_Candidate] = []
        #: Routes of objects with one candidate, by the object's ``id()``.
        self.plain = RouteTable({})
        #: Candidates of each route or endpoint object, by its ``id()``. The object is kept, so that
        #: no other object gets this ``id()``.
        self._known: dict[int, tuple[object, list[_Candidate]]] = {}

    def of(self, scope: MutableMapping[str, Any]) -> Route | None:
        """Return the route of a request. ``None`` if no route matched."""
        router = scope.get("router")
        is_routed = router is not None
        if not is_routed:
            router = self._find_router(scope)
            if router is None:
                return None
        if router is not self._router:
            self._router = router
            self._index()
        if not is_routed:
            return self._of_path(scope)
        for key in ("route", "endpoint"):
            target = scope.get(key)
            if target is None:
                continue
            known = self._known.get(id(target))
            route = None if known is None else _match(known[1], scope)
            if route is None and (known is None or known[1]):
                # Routes may be added while the application runs.
                self._index()
                known = self._known.setdefault(id(target), (target, []))
                route = _match(known[1], scope)
            if route is not None:
                return route
        return None

    def _find_router(self, scope: MutableMapping[str, Any]) -> object:
        routing = sys.modules.get("starlette.routing")
        app: Any = scope.get("app", self._app) if routing is not None else None
        for _ in range(_MAX_DEPTH):
            if app is None:
                break
            router: object = getattr(app, "router", app)
            if isinstance(router, routing.Router):  # type: ignore[union-attr]
                return router
            app = getattr(app, "app", None)
        return None

    def _of_path(self, scope: MutableMapping[str, Any]) -> Route | None:
        """Match the path, as the scope has no route: a middleware between this one and the router
        passed a copy of the scope, or responded itself.
        """
        path, is_websocket = _path(scope), scope["type"] == _WEBSOCKET
        method = _WEBSOCKET if is_websocket else scope.get("method")
        matching = [candidate for candidate in self._candidates if candidate[1].fullmatch(path)]
        for route, _, methods in matching:
            if methods is None or method in methods:
                return route
        others = (route for route, _, methods in matching if _WEBSOCKET not in (methods or ()))
        return None if is_websocket else next(others, None)

    def _index(self) -> None:
        misses = [(target, found) for target, found in self._known.values() if not found]
        self._known = {id(target): (target, found) for target, found in misses[-_MAX_MISSES:]}
        self._candidates = []
        for targets, candidate in _candidates(getattr(self._router, "routes", ()), ""):
            self._candidates.append(candidate)
            for target in targets:
                found = self._known.setdefault(id(target), (target, []))[1]
                if candidate.route not in [other.route for other in found]:
                    found.append(candidate)
        self.plain = RouteTable(
            {key: found[0].route for key, (_, found) in self._known.items() if len(found) == 1}
        )


def _match(candidates: list[_Candidate], scope: MutableMapping[str, Any]) -> Route | None:
    for route, pattern, _ in candidates:
        if len(candidates) == 1 or pattern.fullmatch(_path(scope)):
            return route
    return None


def _path(scope: MutableMapping[str, Any]) -> str:
    """Return the full path. Servers include the root path in it or not."""
    path, root = (
        str(scope.get("path", "")),
        str(scope.get("app_root_path", scope.get("root_path", ""))),
    )
    return path.removeprefix(root) if root else path


def _candidates(routes: Iterable[Any], prefix: str) -> Iterator[tuple[list[object], _Candidate]]:
    """Yield each route to an endpoint, with the objects of a scope that identify it."""
    for route in _with_included(routes):
        original = getattr(route, "original_route", route)
        template = prefix + (getattr(route, "path", None) or "")
        inner = getattr(route, "routes", None)
        endpoint = getattr(route, "endpoint", None)
        if endpoint is None:
            # A mounted application.
            endpoint = getattr(route, "app", None)
        if inner:
            # A path that matches none of the inner routes is not matched.
            yield from _candidates(inner, template)
            continue
        handler = None if endpoint is None else handler_name(endpoint)
        is_mount = not hasattr(original, "endpoint")
        is_websocket = not is_mount and not hasattr(original, "methods")
        methods = {_WEBSOCKET} if is_websocket else getattr(route, "methods", None)
        candidate = _Candidate(
            Route(template or "/", handler),
            _pattern(template, is_mount),
            None if methods is None else frozenset(methods),
        )
        yield [target for target in (original, endpoint) if target is not None], candidate


def _with_included(routes: Iterable[Any]) -> Iterable[Any]:
    """Return the routes, with those of included routers. FastAPI keeps such routers as they are."""
    fastapi = sys.modules.get("fastapi.routing")
    contexts: Any = getattr(fastapi, "iter_route_contexts", None)
    return routes if contexts is None else contexts(list(routes))


def _pattern(template: str, is_mount: bool) -> "re.Pattern[str]":
    parts = re.split(r"(\{[^}]*\})", template)
    wild = (_parameter(part) if part.startswith("{") else re.escape(part) for part in parts)
    return re.compile("".join(wild) + ("(/.*)?" if is_mount else ""), re.DOTALL)


def _parameter(part: str) -> str:
    """Return the pattern of a parameter such as ``{user:int}``."""
    _, _, kind = part[1:-1].partition(":")
    convertors: Any = getattr(sys.modules.get("starlette.convertors"), "CONVERTOR_TYPES", {})
    pattern = getattr(convertors.get(kind), "regex", ".*" if kind == "path" else "[^/]+")
    return f"(?:{pattern})"
