"""The products and foreign replies that ``sprockets_influxdb.testing`` plays."""

import json
import urllib.error
import urllib.request

import pytest

from sprockets_influxdb import flush_sync, install, record, testing
from sprockets_influxdb.testing import Fault


def post(url: str, body: str) -> tuple[int, str]:
    """The status and the text of the response."""
    try:
        with urllib.request.urlopen(url, body.encode()) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_every_product_stores_what_the_client_sends() -> None:
    for product in testing.products():
        testing.reset()
        with testing.Server(product) as server:
            install(server.url)
            record("d", "m", {"t": "a"}, {"f": 1.5})
            flush_sync(10)
            [point] = server.points("d")
            assert (point.tags["t"], point.fields) == ("a", {"f": 1.5}), product
    testing.reset()


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="expected one of strict, "):
        testing.Server("influxdb-9")
    with pytest.raises(ValueError, match="captive-portal, "):
        Fault.foreign_reply("apache-400")
    with pytest.raises(ValueError, match="full-disk, "):
        Fault.server_error("fire")


def test_influxdb_3_names_the_bad_line() -> None:
    with testing.Server("influxdb-3.6") as server:
        status, text = post(f"{server.url}/api/v3/write_lp?db=d", "m f=1 1\nbad")
        assert (status, json.loads(text)["data"][0]["line_number"]) == (400, 2)
        assert server.created_databases() == ["d"]
        server.inject(Fault.server_error("shutdown"))
        status, text = post(f"{server.url}/api/v2/write?bucket=d", "m f=1 1")
        assert status == 400
        assert "wal is shutdown and not accepting writes" in text
        server.create_database("e")
        assert server.created_databases() == ["d", "e"]
        assert post(f"{server.url}/write?db=d", "dd,a=1,a=2 f=1 1")[0] == 204
        assert server.unreadable_tables("d") == ["dd"]


def test_foreign_replies_store_nothing() -> None:
    with testing.Server() as server:
        for name in testing.foreign_replies():
            if name.startswith("redirect"):
                continue
            server.inject(Fault.foreign_reply(name).for_every_request())
            post(f"{server.url}/write?db=d", "m f=1 1")
        assert server.points() == []
        assert len(server.writes()) == len(testing.foreign_replies()) - 2


def test_an_early_response_to_a_large_body() -> None:
    with testing.Server() as server:
        fault = Fault.foreign_reply("nginx-413").when_body_exceeds(1000)
        server.inject_always(fault.lingering(0.1).unannounced())
        assert post(f"{server.url}/write?db=d", "m f=1 1")[0] == 204
        assert post(f"{server.url}/write?db=d", "m f=1 1\n" * 1000)[0] == 413
