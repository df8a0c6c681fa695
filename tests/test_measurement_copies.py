"""A ``Measurement`` can be copied and pickled, and so can one of a subclass."""

import copy
import pickle
from collections.abc import Callable

import pytest

import sprockets_influxdb
from sprockets_influxdb import Measurement, add_measurement, flush_sync, install, testing


class Request(Measurement):
    """A subclass with its own ``__init__``."""

    def __init__(self, handler: object, *, sampled: bool) -> None:
        super().__init__("requests", "request")
        self.handler = handler
        self.sampled = sampled
        self.set_tag("handler", handler)


@pytest.mark.parametrize(
    "duplicate",
    [
        copy.copy,
        copy.deepcopy,
        *(lambda m, p=p: pickle.loads(pickle.dumps(m, p)) for p in (2, 3, 4, 5)),
    ],
)
def test_a_copy_is_equal_and_independent(duplicate: Callable[[Measurement], Measurement]) -> None:
    for original in (Measurement("db", "m"), Request("Main", sampled=True)):
        original.set_field("n", 1)
        original.set_tag("t", 2)
        original.timestamp = 1.5
        duplicated = duplicate(original)
        assert type(duplicated) is type(original)
        assert vars(duplicated) == vars(original)
        assert (duplicated.database, duplicated.name, duplicated.timestamp) == (
            original.database,
            original.name,
            1.5,
        )
        assert duplicated.marshall() == original.marshall()
        duplicated.fields = {}
        assert original.fields == {"n": 1}


def test_a_copy_is_another_point(client: testing.Server) -> None:
    measurement = Measurement("db", "m")
    measurement.set_field("n", 1)
    add_measurement(measurement)
    add_measurement(copy.deepcopy(measurement))
    add_measurement(pickle.loads(pickle.dumps(measurement)))
    flush_sync()
    assert len(client.points()) == 3


def test_the_class_is_pickled_by_its_public_name() -> None:
    assert pickle.loads(pickle.dumps(Measurement)) is sprockets_influxdb.Measurement
    assert b"_native" not in pickle.dumps(Measurement("db", "m"))


def test_a_subclass_can_be_copied() -> None:
    install(base_tags={"region": "eu"}, tag_hostname=False)
    request = Request("Main", sampled=False)
    assert request.tags == {"region": "eu", "handler": "Main"}
    assert (request.database, request.name, request.sampled) == ("requests", "request", False)
