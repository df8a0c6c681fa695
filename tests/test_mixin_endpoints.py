"""The tag ``endpoint`` is the pattern of a request's rule, and never a part of the request."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from tornado import httputil, routing, web
from tornado.routing import (
    AnyMatches,
    HostMatches,
    PathMatches,
    ReversibleRuleRouter,
    Rule,
    RuleRouter,
)

import sprockets_influxdb as influxdb
from serving import SETTINGS, Hello, Missing, Recording, request, send


def application(*rules: Any, **settings: Any) -> web.Application:
    return web.Application(list(rules), **SETTINGS, **settings)


class Other(Hello):
    pass


class MethodMatches(routing.Matcher):
    def __init__(self, method: str) -> None:
        self.method = method

    def match(self, request: httputil.HTTPServerRequest) -> dict[str, Any] | None:
        return {} if request.method == self.method else None


class Below(PathMatches):
    """Matches all paths below a path."""

    def match(self, request: httputil.HTTPServerRequest) -> dict[str, Any] | None:
        return {} if request.path.startswith("/below/") else None


class Own(routing.Router):
    """A router without rules."""

    def __init__(self) -> None:
        self.application: web.Application | None = None

    def find_handler(self, request: httputil.HTTPServerRequest, **kwargs: Any) -> Any:
        assert self.application is not None
        if request.path == "/own/nothing":
            return None
        return self.application.get_handler_delegate(request, Hello)


class OwnRules(Own, RuleRouter):
    """Has rules, and does not use them."""

    def __init__(self) -> None:
        Own.__init__(self)
        self.rules = [Rule(PathMatches(r"/own/(x)"), Hello)]


def with_router_of_its_own(router: Own) -> web.Application:
    router.application = application(
        Rule(PathMatches(r"/own/.*"), router), default_handler_class=Missing
    )
    return router.application


def with_a_circle() -> web.Application:
    made = application((r"/x", Hello))
    made.wildcard_router.add_rules([Rule(PathMatches("/circle"), made.wildcard_router)])
    return made


def with_default_host() -> web.Application:
    made = application((r"/x", Other), default_host="main.example")
    made.add_handlers(r"main\.example", [(r"/(x|y)", Hello)])
    return made


def with_added_handlers() -> web.Application:
    made = application((r"/x", Other))
    made.add_handlers(r"a\.example", [(r"/added/(\d+)", Hello)])
    made.add_handlers(r"b\.example", [(r"/added/(\w+)", Hello)])
    return made


HOST_FIRST = [
    (HostMatches(r"a\.example"), [(r"/only", Other), (r"/only/too", Hello)]),
    (r"/(x)", Hello),
]

#: Application, host and path of the request, and the endpoint.
ROUTES: dict[str, tuple[Callable[[], Any], str, str, str]] = {
    "tuple": (lambda: application((r"/hello/(\w+)", Hello)), "a", "/hello/you", r"/hello/(\w+)"),
    "tuple with a name": (
        lambda: application((r"/hello", Hello, {}, "name")),
        "a",
        "/hello",
        "/hello",
    ),
    "pattern with an end": (lambda: application((r"/hello$", Hello)), "a", "/hello", "/hello"),
    "pattern with a dollar": (
        lambda: application((r"/hello\$$", Hello)),
        "a",
        "/hello$",
        r"/hello\$",
    ),
    "URLSpec": (lambda: application(routing.URLSpec(r"/hello", Hello)), "a", "/hello", "/hello"),
    "URLSpec with a name": (
        lambda: application(routing.URLSpec("/hello", Hello, name="name")),
        "a",
        "/hello",
        "/hello",
    ),
    "url": (
        lambda: application(web.url(r"/(?P<name>\w+)", Hello)),
        "a",
        "/hello",
        r"/(?P<name>\w+)",
    ),
    "handler as a string": (
        lambda: application(web.url("/hello", "serving.Hello")),
        "a",
        "/hello",
        "/hello",
    ),
    "compiled": (
        lambda: application(Rule(PathMatches(re.compile(r"/he")), Hello)),
        "a",
        "/hello",
        "/he",
    ),
    "any": (lambda: application(Rule(AnyMatches(), Hello)), "a", "/hello", "(any)"),
    "any with a name": (
        lambda: application(Rule(AnyMatches(), Hello, name="all")),
        "a",
        "/hello",
        "all",
    ),
    "innermost name": (
        lambda: application(
            Rule(AnyMatches(), [Rule(AnyMatches(), Hello, name="inner")], name="outer")
        ),
        "a",
        "/hello",
        "inner",
    ),
    "any in a pattern": (
        lambda: application(Rule(PathMatches(r"/outer/.*"), [Rule(AnyMatches(), Hello)])),
        "a",
        "/outer/x",
        "/outer/.*",
    ),
    "pattern in any": (lambda: application(Rule(AnyMatches(), [(r"/x", Hello)])), "a", "/x", "/x"),
    "innermost of three": (
        lambda: application(
            Rule(PathMatches("/a.*"), [Rule(PathMatches("/a/b.*"), [(r"/a/b/(c)", Hello)])])
        ),
        "a",
        "/a/b/c",
        "/a/b/(c)",
    ),
    "first of two": (
        lambda: application((r"/(x|y)", Hello), (r"/(\w)", Hello)),
        "a",
        "/x",
        "/(x|y)",
    ),
    "second of two": (
        lambda: application((r"/(x|y)", Hello), (r"/(\w)", Hello)),
        "a",
        "/z",
        r"/(\w)",
    ),
    "first of two classes": (
        lambda: application((r"/(x)", Other), (r"/(\w)", Hello)),
        "a",
        "/z",
        r"/(\w)",
    ),
    "matcher of its own": (
        lambda: application(
            Rule(MethodMatches("POST"), [(r"/(x)", Hello)]),
            Rule(MethodMatches("GET"), [(r"/(\w)", Hello)]),
        ),
        "a",
        "/x",
        r"/(\w)",
    ),
    "matcher of a kind": (
        lambda: application(Rule(Below("/below/?"), Hello)),
        "a",
        "/below/x",
        "/below/?",
    ),
    "host rule": (lambda: application(*HOST_FIRST), "a.example", "/only/too", "/only/too"),
    "host rule whose routes do not match": (
        lambda: application(*HOST_FIRST),
        "a.example",
        "/x",
        "/(x)",
    ),
    "host rule of another host": (lambda: application(*HOST_FIRST), "b.example", "/x", "/(x)"),
    "added handlers": (with_added_handlers, "a.example", "/added/1", r"/added/(\d+)"),
    "added handlers of another host": (
        with_added_handlers,
        "b.example",
        "/added/1",
        r"/added/(\w+)",
    ),
    "default host": (with_default_host, "else.example", "/y", "/(x|y)"),
    "application in an application": (
        lambda: application(
            Rule(PathMatches("/in/.*"), application(("/in/(.*)", Hello))), ("/(.*)", Hello)
        ),
        "a",
        "/in/x",
        "/in/(.*)",
    ),
    "application in a router": (
        lambda: RuleRouter([Rule(PathMatches("/in/.*"), application(("/in/(.*)", Hello)))]),
        "a",
        "/in/x",
        "/in/(.*)",
    ),
    "application in a reversible router": (
        lambda: ReversibleRuleRouter(
            [Rule(PathMatches("/in/.*"), application(("/in/(.*)", Hello)), name="in")]
        ),
        "a",
        "/in/x",
        "/in/(.*)",
    ),
    "application in a router in an application": (
        lambda: application(
            Rule(
                PathMatches("/in/.*"),
                RuleRouter([Rule(AnyMatches(), application(("/in/x", Hello)))]),
            )
        ),
        "a",
        "/in/x",
        "/in/x",
    ),
    "application in a host rule": (
        lambda: RuleRouter(
            [Rule(HostMatches("a"), application(("/x", Hello))), Rule(AnyMatches(), application())]
        ),
        "a",
        "/x",
        "/x",
    ),
    "router of its own": (lambda: with_router_of_its_own(Own()), "a", "/own/x", "/own/.*"),
    "router with rules of its own": (
        lambda: with_router_of_its_own(OwnRules()),
        "a",
        "/own/x",
        "/own/.*",
    ),
    "router within itself": (with_a_circle, "a", "/x", "/x"),
}


@pytest.mark.parametrize("name", ROUTES)
def test_it_is_the_pattern_of_the_rule_that_routed(recording: Recording, name: str) -> None:
    make, host, path, endpoint = ROUTES[name]
    assert request(make(), path, headers={"Host": host}).code == 200
    assert recording.point().tags["endpoint"] == endpoint


def test_it_follows_rules_that_are_added_while_serving(recording: Recording) -> None:
    serving = application((r"/(x)", Hello))
    request(serving, "/x")
    serving.add_handlers(r".*", [(r"/(y)", Hello)])
    request(serving, "/y")
    serving.wildcard_router.add_rules([(r"/(z)", Hello)])
    request(serving, "/z")
    assert [point.tags["endpoint"] for point in recording.points()] == ["/(x)", "/(y)", "/(z)"]


def test_static_files_and_redirects_have_one(recording: Recording, tmp_path: Any) -> None:
    class Static(influxdb.InfluxDBMixin, web.StaticFileHandler):
        pass

    class Redirect(influxdb.InfluxDBMixin, web.RedirectHandler):
        pass

    (tmp_path / "a.txt").write_text("text")
    serving = application(
        (r"/old/(.*)", Redirect, {"url": "/new/{0}"}),
        static_path=str(tmp_path),
        static_handler_class=Static,
    )
    assert [
        request(serving, path).code for path in ("/static/a.txt", "/static/b.txt", "/old/x")
    ] == [200, 404, 301]
    found = [(point.tags["endpoint"], point.tags["status_code"]) for point in recording.points()]
    assert found == [("/static/(.*)", "200"), ("/static/(.*)", "404"), ("/old/(.*)", "301")]


class TestUnmatched:
    def test_all_paths_share_one_value(self, recording: Recording) -> None:
        request(
            application((r"/hello", Hello), default_handler_class=Missing), "/wp-admin/setup.php"
        )
        point = recording.point()
        assert (point.tags["endpoint"], point.tags["status_code"]) == (
            influxdb.tornado.UNMATCHED,
            "404",
        )

    def test_nothing_is_recorded_by_tornados_own_handler(self, recording: Recording) -> None:
        assert request(application((r"/hello", Hello)), "/else").code == 404
        assert recording.points() == []

    def test_the_default_handler_class_may_have_rules_too(self, recording: Recording) -> None:
        serving = application((r"/hello", Missing), default_handler_class=Missing)
        request(serving, "/hello")
        request(serving, "/else")
        assert [point.tags["endpoint"] for point in recording.points()] == ["/hello", "(unmatched)"]

    def test_a_host_without_a_rule(self, recording: Recording) -> None:
        serving = application(default_handler_class=Missing)
        serving.add_handlers(r"a\.example", [(r"/x", Missing)])
        request(serving, "/x", headers={"Host": "b.example"})
        assert recording.point().tags["endpoint"] == "(unmatched)"

    def test_a_default_host_is_not_used_behind_a_proxy(self, recording: Recording) -> None:
        serving = with_default_host()
        serving.settings["default_handler_class"] = Missing
        request(serving, "/y", headers={"Host": "else.example", "X-Real-Ip": "192.0.2.1"})
        assert recording.point().tags["endpoint"] == "(unmatched)"


#: Paths that scanners request.
HOSTILE = [
    b"GET /.env HTTP/1.1",
    b"GET /.git/config HTTP/1.1",
    b"GET //hello/you HTTP/1.1",
    b"GET /hello/you/ HTTP/1.1",
    b"GET /hello/../../etc/passwd HTTP/1.1",
    b"GET /hello/%2e%2e%2fetc%2fpasswd HTTP/1.1",
    b"GET /hello/%00 HTTP/1.1",
    b"GET /%ff%fe HTTP/1.1",
    b"GET /\xff\xfe HTTP/1.1",
    b"GET /%0d%0aSet-Cookie:a=b HTTP/1.1",
    b"GET /a,endpoint=b\\ c HTTP/1.1",
    b"GET /${jndi:ldap://x/a} HTTP/1.1",
    b"GET /?a=<script>alert(1)</script> HTTP/1.1",
    b"GET /" + b"a" * 8000 + b" HTTP/1.1",
    b"GET http://b.example/x HTTP/1.1",
    b"GET * HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"FOO /hello/you HTTP/1.1",
    b"get /hello/you HTTP/1.1",
    b"PROPFIND /hello/you HTTP/1.1",
    b"CONNECT b.example:443 HTTP/1.1",
    b"POST /cgi-bin/../../bin/sh HTTP/1.1",
]


def test_no_scanner_adds_a_value(recording: Recording) -> None:
    serving = application(
        (r"/hello/(\w+)", Hello), (r"/hello", Hello, {}, "name"), default_handler_class=Missing
    )
    replies = send(serving, b"GET /hello HTTP/1.1", b"GET /hello/you HTTP/1.1", *HOSTILE)
    # Requests that are not HTTP are refused before there is a handler.
    answered = [reply for reply in replies if not reply.startswith(b"HTTP/1.1 400")]
    points = recording.points()
    assert len(points) == len(answered) > len(HOSTILE) / 2
    assert {point.tags["endpoint"] for point in points} == {
        r"/hello/(\w+)",
        "/hello",
        "(unmatched)",
    }
    assert {point.tags["method"] for point in points} == {"GET", "OPTIONS", "POST", "(unknown)"}
