"""Variables that look like settings, and that nothing reads, are a warning with our name."""

import pytest

from receiver import Launch, Receiver

PROGRAM = """
import logging
logging.basicConfig(format="%(levelname)s %(message)s")
"""


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("INFLUXDB_TRIGER_SIZE", "did you mean INFLUXDB_TRIGGER_SIZE?"),
        ("INFLUXDB_USERNAME", "set INFLUXDB_USER"),
        ("INFLUXDB_V2_TOKEN", "set INFLUXDB_TOKEN"),
        ("INFLUXDB3_AUTH_TOKEN", "set INFLUXDB_TOKEN"),
        ("INFLUXDB_DB", "set INFLUXDB_DATABASE"),
    ],
)
@pytest.mark.parametrize("installs", [True, False])
def test_an_unknown_name_is_one_warning(
    receiver: Receiver, launch: Launch, name: str, advice: str, installs: bool
) -> None:
    first = "influxdb.install()" if installs else ""
    # A change of a setting, and another client, do not repeat it.
    program = f"{first}\nadd('m')\ninfluxdb.set_timeout(1000)\nwith influxdb.Client(): pass"
    _, stderr = launch(PROGRAM + program, **{name: "hunter2"}).end()
    warning = f"WARNING {name} is set, and nothing reads it: {advice}"
    assert stderr.splitlines() == [warning]
    assert "hunter2" not in stderr
    assert receiver.arrived() == {"m": 1}


def test_variables_of_others_are_no_warning(receiver: Receiver, launch: Launch) -> None:
    variables = {
        # Kubernetes, and links of Docker.
        "INFLUXDB_PORT": "tcp://10.0.0.1:8086",
        "INFLUXDB_PORT_8086_TCP_ADDR": "10.0.0.1",
        "INFLUXDB_SERVICE_HOST": "10.0.0.1",
        "INFLUXDB_SERVICE_PORT_HTTP": "8086",
        "INFLUXDB_NAME": "/web/influxdb",
        "INFLUXDB_ENV_INFLUXDB_DB": "x",
        # Those of the server's image, in a file that containers share.
        "INFLUXDB_ADMIN_USER": "x",
        "INFLUXDB_HTTP_AUTH_ENABLED": "true",
        "DOCKER_INFLUXDB_INIT_MODE": "setup",
        # Another client's, while ours is set.
        "INFLUXDB_V2_URL": "http://db",
        # Empty is unset.
        "INFLUXDB_TIMOUT": "",
    }
    _, stderr = launch(PROGRAM + "add('m')", **variables).end()
    assert stderr == ""
    assert receiver.arrived() == {"m": 1}
