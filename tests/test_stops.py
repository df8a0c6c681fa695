"""What was recorded before a server's graceful stop arrives.

One stop of each of some servers. ``STOPS=all`` runs all that ``stops`` has.
"""

import os

import pytest

import servers
import stops

IS_SHORT = os.environ.get("STOPS") != "all"


@pytest.mark.parametrize(("server", "application", "stop"), list(stops.cases(IS_SHORT)), ids=str)
def test_all_arrives(server: servers.Server, application: str, stop: str) -> None:
    if not server.is_here():
        pytest.skip(f"there is no {server.needs} here")
    assert stops.run(server, application, stop).arrived == servers.REQUESTS
