"""The password in ``os.environ``, and in the environment of other processes."""

import pytest

from programs import Start, end
from sprockets_influxdb import testing


class TestPassword:
    """The password is hidden in ``os.environ``, and reaches other processes all the same."""

    CHILD = (
        "import sprockets_influxdb as i; i.record('db', 'm', {}, {'number': 1}); "
        "assert i.flush_sync()['delivered']"
    )

    @pytest.fixture(autouse=True)
    def _password(self, server: testing.Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("INFLUXDB_USER", "user")
        monkeypatch.setenv("INFLUXDB_PASSWORD", "hünter2")

    def assert_authorized(self, server: testing.Server, count: int) -> None:
        headers = {dict(request.headers).get("authorization") for request in server.requests()}
        assert headers == {"Basic dXNlcjpow7xudGVyMg=="}
        assert len(server.points()) == count

    @pytest.mark.parametrize(
        "look",
        [
            "os.environ['INFLUXDB_PASSWORD']",
            "os.environ.copy()['INFLUXDB_PASSWORD']",
            "{**os.environ}['INFLUXDB_PASSWORD']",
            "os.environ",
            "dict(os.environ)",
            "repr(os.environ.copy())",
            "__import__('json').dumps(dict(os.environ))",
            "__import__('pickle').dumps(dict(os.environ))",
            "f\"{os.environ['INFLUXDB_PASSWORD']:>20}\"",
            "os.environ['INFLUXDB_PASSWORD'] + '!'",
            "vars(os.environ['INFLUXDB_PASSWORD'].__class__)",
            "os.environ._data",
        ],
    )
    def test_code_of_the_process_does_not_see_it(self, start: Start, look: str) -> None:
        stdout, _ = end(start(f"influxdb.install()\nprint({look})"))
        assert "nter2" not in stdout
        assert "XXXXXXX" in stdout or "vars" in look

    @pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
    def test_children_of_multiprocessing_get_it(
        self, server: testing.Server, start: Start, method: str
    ) -> None:
        process = start(f"""
            import multiprocessing
            if __name__ == "__main__":
                influxdb.install()
                child = multiprocessing.get_context({method!r}).Process(target=add)
                child.start()
                child.join()
        """)
        end(process)
        self.assert_authorized(server, 1)

    @pytest.mark.parametrize(
        "environment", ["None", "os.environ", "dict(os.environ)", "{**os.environ, 'A': 'b'}"]
    )
    def test_children_of_subprocess_get_it(
        self, server: testing.Server, start: Start, environment: str
    ) -> None:
        process = start(f"""
            import subprocess
            influxdb.install()
            add()
            subprocess.run([sys.executable, "-c", {self.CHILD!r}], env={environment}, check=True)
        """)
        end(process)
        self.assert_authorized(server, 2)

    def test_a_program_that_replaces_itself_gets_it(
        self, server: testing.Server, start: Start
    ) -> None:
        process = start(f"""
            influxdb.install()
            os.execv(sys.executable, [sys.executable, "-c", {self.CHILD!r}])
        """)
        end(process)
        self.assert_authorized(server, 1)

    def test_a_program_that_tornado_reloads_gets_it(
        self, server: testing.Server, start: Start
    ) -> None:
        process = start("""
            from tornado import autoreload
            add()
            influxdb.flush_sync()
            if "RELOADED" not in os.environ:
                os.environ["RELOADED"] = "1"
                autoreload._reload()
        """)
        end(process)
        self.assert_authorized(server, 2)

    def test_it_is_read_again_by_another_installation(
        self, server: testing.Server, start: Start
    ) -> None:
        process = start("""
            from sprockets_influxdb import testing
            for _ in range(2):
                influxdb.install()
                add()
                influxdb.flush_sync()
                testing.reset()
        """)
        end(process)
        self.assert_authorized(server, 2)

    def test_a_changed_password_is_hidden_as_well(self, start: Start) -> None:
        stdout, _ = end(
            start("""
            from sprockets_influxdb import testing
            influxdb.install()
            os.environ["INFLUXDB_PASSWORD"] = "new"
            testing.reset()
            influxdb.install()
            print(os.environ["INFLUXDB_PASSWORD"])
            """)
        )
        assert stdout == "XXX\n"

    def test_a_password_that_a_parent_has_lost_is_warned_of(self, start: Start) -> None:
        _, stderr = end(start("influxdb.install()", INFLUXDB_PASSWORD="XXXXXXX"))
        assert "INFLUXDB_PASSWORD consists of X only" in stderr
