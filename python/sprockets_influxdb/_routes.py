"""Which route of a Starlette or FastAPI application a request took, as the whole template of its path. They tell the
route, but not where it is mounted or included, so the routes are gone through once.
"""

import re
import sys
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any, NamedTuple, TypeAlias

from sprockets_influxdb._requests import handler_name

#: So many objects that are no route's are remembered.
_MOST = 1_000


class Route(NamedTuple):
    """What leads to an endpoint."""

    template: str
    handler: str | None


#: A route, and what the whole path matches.
_Way: TypeAlias = tuple[Route, "re.Pattern[str]"]


class Routes:
    """The routes of the application that the requests of a middleware are for."""

    def __init__(self) -> None:
        self._router: object = None
        #: What can be reached in one way only, by its identity.
        self.plain: dict[int, Route] = {}
        #: The ways to a route, or to an endpoint, by its identity; it is kept, so that this stays its own.
        self._known: dict[int, tuple[object, list[_Way]]] = {}

    def of(self, scope: MutableMapping[str, Any]) -> Route | None:
        """The route that a request took; ``None`` if no route matched."""
        router = scope.get("router")
        if router is None:
            return None
        if router is not self._router:
            self._router = router
            self._look()
        for key in ("route", "endpoint"):
            target = scope.get(key)
            if target is None:
                continue
            known = self._known.get(id(target))
            route = None if known is None else _taken(known[1], scope)
            if route is None and (known is None or known[1]):
                # Routes can be added while the application runs.
                self._look()
                known = self._known.setdefault(id(target), (target, []))
                route = _taken(known[1], scope)
            if route is not None:
                return route
        return None

    def _look(self) -> None:
        misses = [(target, ways) for target, ways in self._known.values() if not ways]
        self._known = {id(target): (target, ways) for target, ways in misses[-_MOST:]}
        for targets, way in _ways(getattr(self._router, "routes", ()), ""):
            for target in targets:
                ways = self._known.setdefault(id(target), (target, []))[1]
                if way[0] not in [route for route, _ in ways]:
                    ways.append(way)
        self.plain = {key: ways[0][0] for key, (_, ways) in self._known.items() if len(ways) == 1}


def _taken(ways: list[_Way], scope: MutableMapping[str, Any]) -> Route | None:
    for route, pattern in ways:
        if len(ways) == 1 or pattern.fullmatch(_path(scope)):
            return route
    return None


def _path(scope: MutableMapping[str, Any]) -> str:
    """The path as it was before anything was mounted; servers have the root path in it or not."""
    path, root = str(scope.get("path", "")), str(scope.get("app_root_path", scope.get("root_path", "")))
    return path.removeprefix(root) if root else path


def _ways(routes: Iterable[Any], prefix: str) -> Iterator[tuple[list[object], _Way]]:
    """What leads to an endpoint, each with what tells that it was taken."""
    for route in _with_included(routes):
        original = getattr(route, "original_route", route)
        template = prefix + (getattr(route, "path", None) or "")
        inner = getattr(route, "routes", None)
        endpoint = getattr(route, "endpoint", None)
        if endpoint is None:
            # What is mounted.
            endpoint = getattr(route, "app", None)
        if inner:
            # A path that none of these matches is not matched.
            yield from _ways(inner, template)
            continue
        handler = None if endpoint is None else handler_name(endpoint)
        way = Route(template or "/", handler), _pattern(template, is_mount=not hasattr(original, "endpoint"))
        yield [target for target in (original, endpoint) if target is not None], way


def _with_included(routes: Iterable[Any]) -> Iterable[Any]:
    """FastAPI keeps the routers that another includes as they are, and says itself what becomes of their routes."""
    fastapi = sys.modules.get("fastapi.routing")
    contexts: Any = getattr(fastapi, "iter_route_contexts", None)
    return routes if contexts is None else contexts(list(routes))


def _pattern(template: str, is_mount: bool) -> "re.Pattern[str]":
    parts = re.split(r"(\{[^}]*\})", template)
    wild = (re.escape(part) if not part.startswith("{") else ".*" if ":path}" in part else "[^/]+" for part in parts)
    return re.compile("".join(wild) + ("(/.*)?" if is_mount else ""), re.DOTALL)
