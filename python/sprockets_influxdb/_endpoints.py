"""Which rule of an application routed a request. Tornado does not tell its handlers, so the rules are asked again; only
their matchers are, which may have no side effects, and only those of rules that lead to the handler's class.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tornado import httputil, routing, web

from sprockets_influxdb import _native

#: The endpoint of requests that no rule matched.
UNMATCHED = _native.UNMATCHED
#: The endpoint of requests that were routed by rules without a pattern for the path, and without a name.
ANY_PATH = "(any)"


#: Lists of rules, and what was in them.
_Known = list[tuple[list[routing.Rule], list[routing.Rule]]]


class _Route(NamedTuple):
    """A way through the rules to a handler."""

    #: The patterns that the path has to match.
    patterns: tuple[Callable[[str], object], ...]
    #: What else has to match the request.
    matchers: tuple[Callable[[httputil.HTTPServerRequest], object], ...]
    endpoint: str


class Endpoints:
    """The endpoints of an application: for each class of handlers the routes that lead to it, in Tornado's order."""

    def __init__(self, application: web.Application) -> None:
        self._router = application.default_router
        self._look()

    def of(self, handler_class: type, request: httputil.HTTPServerRequest) -> str:
        """The endpoint of a request that this class handles.

        Of the rules that led to it, that is the pattern of the innermost that has one, without the ``$`` at its end;
        rules without any are told by the name of the innermost, or as :data:`ANY_PATH`.
        """
        for rules, known in self._known:
            # Rules are compared by identity: this costs nanoseconds.
            if rules != known:
                self._look()
                break
        path = request.path
        plain = self._plain.get(handler_class)
        if plain is not None:
            pattern, endpoint = plain
            if pattern(path) is not None:
                return endpoint
        # A router of the application's own cannot be asked. That it was one is believed when nothing else matches.
        for routes in (self._routes.get(handler_class, ()), self._opaque):
            for patterns, matchers, endpoint in routes:
                if all(pattern(path) is not None for pattern in patterns) and all(
                    matcher(request) is not None for matcher in matchers
                ):
                    return endpoint
        return UNMATCHED

    def _look(self) -> None:
        known: _Known = []
        routes: dict[type, list[_Route]] = {}
        opaque: list[_Route] = []
        for rules in _ways(self._router, (), known):
            target = rules[-1].target
            if isinstance(target, type) and issubclass(target, web.RequestHandler):
                routes.setdefault(target, []).append(_route(rules))
            elif not isinstance(target, web.Application):
                # Handlers of another application ask that one.
                opaque.append(_route(rules))
        plain: dict[type, tuple[Callable[[str], object], str]] = {}
        for handler_class, ways in routes.items():
            if len(ways[0].patterns) == 1 and not ways[0].matchers:
                plain[handler_class] = ways[0].patterns[0], ways[0].endpoint
        self._known, self._routes, self._opaque, self._plain = known, routes, opaque, plain


def _ways(
    router: routing.RuleRouter, outer: tuple[routing.Rule, ...], known: _Known
) -> Iterator[tuple[routing.Rule, ...]]:
    """Each rule that leads to something other than further rules, after those that lead to it."""
    known.append((router.rules, list(router.rules)))
    for rule in router.rules:
        rules = (*outer, rule)
        if not _has_rules(rule.target):
            yield rules
        elif rule not in outer:
            yield from _ways(rule.target, rules, known)


def _has_rules(target: object) -> bool:
    """Whether a rule's target is a router that goes by its rules alone."""
    return isinstance(target, routing.RuleRouter) and type(target).find_handler is routing.RuleRouter.find_handler


def _route(rules: tuple[routing.Rule, ...]) -> _Route:
    patterns: list[Callable[[str], object]] = []
    matchers: list[Callable[[httputil.HTTPServerRequest], object]] = []
    endpoint = next((rule.name for rule in reversed(rules) if rule.name), ANY_PATH)
    for rule in rules:
        matcher = rule.matcher
        if isinstance(matcher, routing.PathMatches):
            endpoint = _without_end(matcher.regex.pattern) or endpoint
        if type(matcher) is routing.PathMatches:
            # Its match() would take the path apart as well, for arguments.
            patterns.append(matcher.regex.match)
        elif type(matcher) is not routing.AnyMatches:
            matchers.append(matcher.match)
    return _Route(tuple(patterns), tuple(matchers), endpoint)


def _without_end(pattern: Any) -> str:
    """A pattern without the ``$`` that ends it, which is not one that has been escaped."""
    text = str(pattern)
    while text.endswith("$"):
        shorter = text[:-1]
        if (len(shorter) - len(shorter.rstrip("\\"))) % 2:
            break
        text = shorter
    return text
