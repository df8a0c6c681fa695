"""The rule of a Tornado application that routed a request.

Tornado does not pass the rule to handlers. So the matchers of the rules for the handler's class are
called again. Matchers must not have side effects.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tornado import httputil, routing, web

from sprockets_influxdb import _native

#: The endpoint of requests that no rule matched.
UNMATCHED = _native.UNMATCHED
#: The endpoint of requests whose rules have neither a pattern for the path nor a name.
ANY_PATH = "(any)"


#: Lists of rules, each with a copy from when it was indexed.
Snapshots = list[tuple[list[routing.Rule], list[routing.Rule]]]


class _Route(NamedTuple):
    """A path through nested rules to a handler."""

    #: The patterns that the path must match.
    patterns: tuple[Callable[[str], object], ...]
    #: Other matchers that must match the request.
    matchers: tuple[Callable[[httputil.HTTPServerRequest], object], ...]
    endpoint: str


class Endpoints:
    """The endpoints of an application: the routes to each class of handlers, in Tornado's order.

    :param application: the application
    :param learn: called now, and whenever the rules have changed, with the rules that the endpoints
        follow from, and the endpoints of the classes to which a single route leads
    """

    def __init__(
        self,
        application: web.Application,
        learn: Callable[[Snapshots, dict[type, str]], None],
    ) -> None:
        self._router = application.default_router
        self._learn = learn
        self._index()

    def of(self, handler_class: type, request: httputil.HTTPServerRequest) -> str:
        """Return the endpoint of a request that is handled by this class.

        This is the pattern of the innermost rule that has one, without its trailing ``$``. If no
        rule has a pattern, it is the name of the innermost rule that has one, or :data:`ANY_PATH`.
        """
        for rules, known in self._known:
            # Rules compare by identity, in nanoseconds.
            if rules != known:
                self._index()
                break
        path = request.path
        # Routers of the application's own cannot be asked. They are assumed when nothing matches.
        for routes in (self._routes.get(handler_class, ()), self._opaque):
            for patterns, matchers, endpoint in routes:
                if all(pattern(path) is not None for pattern in patterns) and all(
                    matcher(request) is not None for matcher in matchers
                ):
                    return endpoint
        return UNMATCHED

    def _index(self) -> None:
        known: Snapshots = []
        routes: dict[type, list[_Route]] = {}
        opaque: list[_Route] = []
        for rules in _paths(self._router, (), known):
            target = rules[-1].target
            if isinstance(target, type) and issubclass(target, web.RequestHandler):
                routes.setdefault(target, []).append(_route(rules))
            elif not isinstance(target, web.Application):
                # Handlers of another application use that application's endpoints.
                opaque.append(_route(rules))
        self._known, self._routes, self._opaque = known, routes, opaque
        single = {
            handler_class: to_it[0].endpoint
            for handler_class, to_it in routes.items()
            if len(to_it) == 1 and not opaque
        }
        self._learn(known, single)


def _paths(
    router: routing.RuleRouter, outer: tuple[routing.Rule, ...], known: Snapshots
) -> Iterator[tuple[routing.Rule, ...]]:
    """Yield each rule whose target is not a list of rules, after the rules that lead to it."""
    known.append((router.rules, list(router.rules)))
    for rule in router.rules:
        rules = (*outer, rule)
        if not _has_rules(rule.target):
            yield rules
        elif rule not in outer:
            yield from _paths(rule.target, rules, known)


def _has_rules(target: object) -> bool:
    """Return whether a rule's target is a router that only uses its rules."""
    return (
        isinstance(target, routing.RuleRouter)
        and type(target).find_handler is routing.RuleRouter.find_handler
    )


def _route(rules: tuple[routing.Rule, ...]) -> _Route:
    patterns: list[Callable[[str], object]] = []
    matchers: list[Callable[[httputil.HTTPServerRequest], object]] = []
    endpoint = next((rule.name for rule in reversed(rules) if rule.name), ANY_PATH)
    for rule in rules:
        matcher = rule.matcher
        if isinstance(matcher, routing.PathMatches):
            endpoint = _without_end(matcher.regex.pattern) or endpoint
        if type(matcher) is routing.PathMatches:
            # Its match() would parse the arguments in the path as well.
            patterns.append(matcher.regex.match)
        elif type(matcher) is not routing.AnyMatches:
            matchers.append(matcher.match)
    return _Route(tuple(patterns), tuple(matchers), endpoint)


def _without_end(pattern: Any) -> str:
    """Return a pattern without its trailing ``$``, unless that is escaped."""
    text = str(pattern)
    while text.endswith("$"):
        shorter = text[:-1]
        if (len(shorter) - len(shorter.rstrip("\\"))) % 2:
            break
        text = shorter
    return text
