"""A server that demands a certificate of its clients."""

import http.server
import pathlib
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

import sprockets_influxdb as influxdb
from sprockets_influxdb import testing

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl here")

Pair = tuple[pathlib.Path, pathlib.Path]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    """Certificates and their keys: of two authorities, of a server, and of a client of each."""
    directory = tmp_path_factory.mktemp("certificates")
    made: dict[str, Pair] = {}

    def make(name: str, authority: str | None = None) -> None:
        path, key = directory / f"{name}.pem", directory / f"{name}.key"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]
        command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", f"/CN={name}"]
        command += ["-addext", f"basicConstraints=critical,CA:{'FALSE' if authority else 'TRUE'}"]
        if authority:
            command += ["-addext", "subjectAltName=DNS:localhost"]
            command += ["-CA", str(made[authority][0]), "-CAkey", str(made[authority][1])]
        command += ["-keyout", str(key), "-out", str(path)]
        subprocess.run(command, check=True, capture_output=True)
        made[name] = path, key

    make("authority")
    make("other-authority")
    make("server", "authority")
    make("client", "authority")
    make("stranger", "other-authority")
    return made


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.send_header("X-Influxdb-Version", "1.8.10")
        self.end_headers()

    def log_message(self, *_ignored: object) -> None:
        pass


@pytest.fixture
def url(files: dict[str, Pair]) -> Iterator[str]:
    """The URL of a server that demands a certificate that the first authority signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files["server"])
    context.load_verify_locations(files["authority"][0])
    context.verify_mode = ssl.CERT_REQUIRED

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: object, address: object) -> None:
            # On the thread of the connection: a handshake may wait.
            with context.wrap_socket(request, server_side=True) as secure:  # type: ignore[arg-type]
                self.RequestHandlerClass(secure, address, self)  # type: ignore[arg-type]

        def handle_error(self, *_ignored: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"https://localhost:{server.server_port}"
        server.shutdown()


def last_error(expected: str) -> str:
    """The last error once it is as expected. An alert may come when a request fails already."""
    deadline = time.monotonic() + 30
    while True:
        influxdb.flush_sync(0.1)
        error = str(influxdb.stats()["last_error"])
        if expected in error or time.monotonic() > deadline:
            return error


@pytest.mark.parametrize("is_one_file", [True, False])
def test_a_client_with_a_certificate_delivers(
    url: str, files: dict[str, Pair], tmp_path: pathlib.Path, is_one_file: bool
) -> None:
    certificate, key = files["client"]
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    ca_file = str(files["authority"][0])
    if is_one_file:
        influxdb.install(url, ca_file=ca_file, client_cert=str(both))
    else:
        influxdb.install(url, ca_file=ca_file, client_cert=str(certificate), client_key=str(key))
    influxdb.record("db", "m", {}, {"n": 1})
    assert influxdb.flush_sync(20)["delivered"] == 1


def test_other_clients_are_told_what_to_set(url: str, files: dict[str, Pair]) -> None:
    ca_file = str(files["authority"][0])
    influxdb.install(url, ca_file=ca_file, shutdown_timeout=0)
    influxdb.record("db", "m", {}, {"n": 1})
    expected = "set INFLUXDB_CLIENT_CERT and INFLUXDB_CLIENT_KEY"
    assert expected in last_error(expected)
    testing.reset()
    certificate, key = map(str, files["stranger"])
    influxdb.install(
        url, ca_file=ca_file, client_cert=certificate, client_key=key, shutdown_timeout=0
    )
    influxdb.record("db", "m", {}, {"n": 1})
    expected = "check the argument client_cert"
    assert expected in last_error(expected)


def test_an_unverified_server_is_one_loud_warning(
    url: str, files: dict[str, Pair], caplog: pytest.LogCaptureFixture
) -> None:
    certificate, key = map(str, files["client"])
    influxdb.install(url, tls_verify=False, client_cert=certificate, client_key=key)
    influxdb.record("db", "m", {}, {"n": 1})
    assert influxdb.flush_sync(20)["delivered"] == 1
    influxdb.set_timeout(1000)
    testing.reset()
    messages = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    [warning] = [message for message in messages if "NOT VERIFIED" in message]
    assert "set the argument tls_verify to true" in warning


def test_a_key_of_another_certificate_is_an_error(files: dict[str, Pair]) -> None:
    certificate, key = str(files["client"][0]), str(files["stranger"][1])
    with pytest.raises(ValueError, match=r"^client_key: .* has a key that cannot be used"):
        influxdb.install(client_cert=certificate, client_key=key)
