"""Log records that are measurements."""

import logging
import logging.config
import queue
from collections.abc import Iterator
from typing import Any

import pytest

import sprockets_influxdb as influxdb
from sprockets_influxdb import testing
from sprockets_influxdb.logging import InfluxDBHandler

LOGGER = logging.getLogger("service.orders")


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Removes the handlers of a test."""
    LOGGER.setLevel(logging.DEBUG)
    yield
    LOGGER.setLevel(logging.NOTSET)
    for logger in (logging.getLogger(), LOGGER):
        for handler in list(logger.handlers):
            if isinstance(handler, InfluxDBHandler):
                logger.removeHandler(handler)
    LOGGER.propagate = True


def handle(**options: Any) -> InfluxDBHandler:
    """Adds a handler to the root logger."""
    handler = InfluxDBHandler(**{"database": "db", **options})
    logging.getLogger().addHandler(handler)
    return handler


def handle_alone(**options: Any) -> None:
    """Adds a handler where no other one is: those of pytest format messages as well, and raise."""
    LOGGER.addHandler(InfluxDBHandler(**{"database": "db", **options}))
    LOGGER.propagate = False


def points(server: testing.Server) -> list[testing.Point]:
    influxdb.flush_sync()
    return server.points("db")


def test_a_record_is_a_point(client: testing.Server) -> None:
    handle()
    LOGGER.warning("order %d is late", 17)
    [point] = points(client)
    assert point.measurement == "log"
    assert point.tags == {"level": "WARNING", "logger": "service.orders"}
    assert point.fields.keys() == {"message", "file", "line"}
    assert point.fields["message"] == "order 17 is late"
    assert point.fields["file"] == __file__


def test_an_exception_is_recorded_with_its_traceback(client: testing.Server) -> None:
    handle()
    try:
        raise LookupError("on purpose")
    except LookupError:
        LOGGER.exception("failed")
    [point] = points(client)
    assert point.fields["exception"] == "LookupError"
    assert str(point.fields["traceback"]).endswith("LookupError: on purpose\n")


def test_attributes_may_be_tags_and_fields(client: testing.Server) -> None:
    handle(tags=["shop"], fields=["order", "total", "is_new", "cart", "absent"], measurement="m")
    extra = {"shop": 3, "order": 17, "total": 1.5, "is_new": True, "cart": ["a"], "more": 1}
    LOGGER.info("sold", extra=extra)
    LOGGER.info("closed")
    sold, closed = points(client)
    assert sold.measurement == "m"
    assert sold.tags["shop"] == "3"
    assert {name: sold.fields.get(name) for name in extra if name != "shop"} == {
        "order": 17,
        "total": 1.5,
        "is_new": True,
        "cart": "['a']",
        "more": None,
    }
    assert "shop" not in closed.tags


def test_levels_and_formatters_count_as_with_every_handler(client: testing.Server) -> None:
    handler = handle(level="WARNING")
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    LOGGER.info("no")
    LOGGER.error("yes")
    assert [point.fields["message"] for point in points(client)] == ["ERROR: yes"]


def test_what_this_package_logs_is_not_recorded(client: testing.Server) -> None:
    handle()
    for name in ("sprockets_influxdb", "sprockets_influxdb.more"):
        logging.getLogger(name).error("the server is down")
    logging.getLogger("sprockets_influxdb_of_another").error("recorded")
    assert [point.fields["message"] for point in points(client)] == ["recorded"]


def test_a_failing_delivery_does_not_feed_on_itself(server: testing.Server) -> None:
    influxdb.install(server.url, tag_hostname=False, submission_interval=1)
    server.inject_always(testing.Fault.error(503, "overloaded"))
    logging.getLogger("sprockets_influxdb").setLevel(logging.DEBUG)
    handle()
    LOGGER.error("once")
    server.wait_for_requests(3)
    assert influxdb.stats()["retries"] >= 1
    server.clear_faults()
    assert [point.fields["message"] for point in points(server)] == ["once"]
    logging.getLogger("sprockets_influxdb").setLevel(logging.NOTSET)


def test_what_is_logged_while_a_record_is_recorded_is_not(client: testing.Server) -> None:
    class Talkative:
        def __str__(self) -> str:
            LOGGER.error("converted")
            return "text"

    handle_alone(fields=["value"])
    LOGGER.error("%s", Talkative(), extra={"value": Talkative()})
    [point] = points(client)
    assert point.fields["message"] == "text"
    assert point.fields["value"] == "text"


def test_loggers_are_bounded(client: testing.Server) -> None:
    handle()
    for number in range(210):
        logging.getLogger(f"of.request{number}").error("no")
    names = [point.tags["logger"] for point in points(client)]
    assert names.count("(other)") == 10


def test_long_texts_are_cut(client: testing.Server) -> None:
    handle(fields=["value"])
    LOGGER.error("x" * 100_000, extra={"value": "y" * 100_000})
    [point] = points(client)
    assert len(str(point.fields["message"])) == len(str(point.fields["value"])) == 10_000


def test_a_message_that_does_not_fit_its_arguments_ends_nothing(
    client: testing.Server, capsys: pytest.CaptureFixture[str]
) -> None:
    handle_alone()
    LOGGER.error("%d", "text")
    assert "TypeError" in capsys.readouterr().err
    assert points(client) == []


def test_without_a_database_there_is_a_warning(
    client: testing.Server, caplog: pytest.LogCaptureFixture
) -> None:
    handle(database=None)
    LOGGER.error("a")
    LOGGER.error("b")
    [warning] = [each for each in caplog.records if "is not recorded" in each.message]
    assert "has no database" in warning.message


def test_a_configuration_may_name_it(client: testing.Server) -> None:
    handler = {"class": "sprockets_influxdb.logging.InfluxDBHandler", "database": "db"}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"influxdb": handler},
            "loggers": {"configured": {"handlers": ["influxdb"]}},
        }
    )
    logging.getLogger("configured").error("yes")
    assert [point.fields["message"] for point in points(client)] == ["yes"]
    logging.getLogger("configured").handlers.clear()


def test_names_are_checked() -> None:
    with pytest.raises(ValueError, match="'message' is used twice or reserved"):
        InfluxDBHandler(fields=["message"])
    with pytest.raises(ValueError, match="'a' is used twice"):
        InfluxDBHandler(fields=["a"], tags=["a"])
    with pytest.raises(TypeError, match="several names"):
        InfluxDBHandler(fields="order")


def test_records_are_filtered_and_need_no_lock(client: testing.Server) -> None:
    handler = handle()
    handler.addFilter(lambda record: "kept" in record.getMessage())
    LOGGER.info("kept")
    LOGGER.info("dropped")
    # Python 3.13 uses the lock of each handler without asking whether there is one.
    assert InfluxDBHandler.handle is not logging.Handler.handle
    assert [point.fields["message"] for point in points(client)] == ["kept"]


def test_what_on_rejected_logs_is_not_recorded(server: testing.Server) -> None:
    server.inject_always(testing.Fault.reject_lines("order"))
    lines: queue.Queue[str] = queue.Queue()

    def rejected(rejected: influxdb.Rejected) -> None:
        LOGGER.warning("rejected: %s", rejected.line)
        lines.put(rejected.line)

    influxdb.install(server.url, tag_hostname=False, on_rejected=rejected)
    handle_alone()
    LOGGER.warning("order 17 is late")
    assert influxdb.flush_sync()["rejected"] == 1
    lines.get(timeout=20)
    assert influxdb.flush_sync()["rejected"] == 0
    assert influxdb.stats()["rejected"] == 1
