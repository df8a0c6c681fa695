"""The route of a request to a Starlette or FastAPI application, as the full template of its path.

The scope has the matched route, but not where it is mounted or included. So all routes of the
application are indexed once.
"""

import re
import sys
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any, NamedTuple, TypeAlias

from sprockets_influxdb._requests import handler_name

#: Maximum number of remembered objects that belong to no route.
_MAX_MISSES = 1_000


class Route(NamedTuple):
    """A template of a path, and the name of its handler."""

    template: str
    handler: str | None


#: A route, and the pattern of its full path.
_Candidate: TypeAlias = tuple[Route, "re.Pattern[str]"]


class Routes:
    """The routes of the application inside a middleware."""

    def __init__(self) -> None:
        self._router: object = None
        #: Routes of objects with one candidate, by the object's ``id()``.
        self.plain: dict[int, Route] = {}
        #: Candidates of each route or endpoint object, by its ``id()``. The object is kept, so that
        #: no other object gets this ``id()``.
        self._known: dict[int, tuple[object, list[_Candidate]]] = {}

    def of(self, scope: MutableMapping[str, Any]) -> Route | None:
        """Return the route of a request. ``None`` if no route matched."""
        router = scope.get("router")
        if router is None:
            return None
        if router is not self._router:
            self._router = router
            self._index()
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

    def _index(self) -> None:
        misses = [(target, found) for target, found in self._known.values() if not found]
        self._known = {id(target): (target, found) for target, found in misses[-_MAX_MISSES:]}
        for targets, candidate in _candidates(getattr(self._router, "routes", ()), ""):
            for target in targets:
                found = self._known.setdefault(id(target), (target, []))[1]
                if candidate[0] not in [route for route, _ in found]:
                    found.append(candidate)
        self.plain = {
            key: found[0][0] for key, (_, found) in self._known.items() if len(found) == 1
        }


def _match(candidates: list[_Candidate], scope: MutableMapping[str, Any]) -> Route | None:
    for route, pattern in candidates:
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
        pattern = _pattern(template, is_mount=not hasattr(original, "endpoint"))
        targets = [target for target in (original, endpoint) if target is not None]
        yield targets, (Route(template or "/", handler), pattern)


def _with_included(routes: Iterable[Any]) -> Iterable[Any]:
    """Return the routes, with those of included routers. FastAPI keeps such routers as they are."""
    fastapi = sys.modules.get("fastapi.routing")
    contexts: Any = getattr(fastapi, "iter_route_contexts", None)
    return routes if contexts is None else contexts(list(routes))


def _pattern(template: str, is_mount: bool) -> "re.Pattern[str]":
    parts = re.split(r"(\{[^}]*\})", template)
    wild = (
        re.escape(part) if not part.startswith("{") else ".*" if ":path}" in part else "[^/]+"
        for part in parts
    )
    return re.compile("".join(wild) + ("(/.*)?" if is_mount else ""), re.DOTALL)
