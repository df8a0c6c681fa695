"""A real Redis, for tests of Celery, RQ and the client of Redis."""

import importlib.util
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from programs import bound

NEEDS_CELERY = pytest.mark.skipif(
    importlib.util.find_spec("celery") is None or importlib.util.find_spec("redis") is None,
    reason="Celery or its client of Redis is not installed",
)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[pathlib.Path]:
    """The socket of a real Redis. Without one, the test is skipped."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    with tempfile.TemporaryDirectory() as directory:
        socket = pathlib.Path(directory, "redis.sock")
        options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", directory]
        process = subprocess.Popen(
            bound(["redis-server", *options]), stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            is_ready = any("eady to accept connections" in line for line in process.stdout)
            assert is_ready, "redis-server ended before it was ready"
            yield socket
        finally:
            process.kill()
            process.communicate()


@pytest.fixture
def redis_socket(redis_server: pathlib.Path) -> pathlib.Path:
    """The socket of an empty Redis."""
    redis = pytest.importorskip("redis")
    with redis.Redis(unix_socket_path=str(redis_server)) as client:
        client.flushall()
    return redis_server
