"""Statements of a real SQLAlchemy with SQLite."""

import asyncio
import gc
import importlib.util
import weakref
from typing import Any

import pytest

import sprockets_influxdb as influxdb
from sprockets_influxdb import _sql, testing

pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")

import sqlalchemy
from sqlalchemy import orm, pool

from sprockets_influxdb.sqlalchemy import instrument


def engine(**options: Any) -> sqlalchemy.Engine:
    engine = sqlalchemy.create_engine("sqlite://", poolclass=pool.StaticPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
    instrument(engine, **options)
    return engine


def points(server: testing.Server, database: str = "db") -> list[testing.Point]:
    influxdb.flush_sync()
    return server.points(database)


class User(orm.declarative_base()):  # type: ignore[misc]
    __tablename__ = "users"
    id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
    name = sqlalchemy.Column(sqlalchemy.String)


class TestStatements:
    def test_each_statement_is_a_point(self, client: testing.Server) -> None:
        db = engine(database="db")
        with orm.Session(db) as session:
            session.execute(sqlalchemy.insert(User), [{"name": "a"}, {"name": "b"}])
            session.commit()
            session.execute(sqlalchemy.update(User).values(name=User.name + "x"))
            assert session.scalars(sqlalchemy.select(User.name).order_by(User.id)).all() == [
                "ax",
                "bx",
            ]
            session.execute(sqlalchemy.delete(User))
            session.commit()
        found = points(client)
        assert [(point.tags["operation"], point.fields.get("rows")) for point in found] == [
            ("INSERT", 2),
            ("UPDATE", 2),
            ("SELECT", None),
            ("DELETE", 2),
        ]
        for point in found:
            assert point.measurement == "sql"
            assert point.tags["table"] == "users"
            assert point.tags["outcome"] == "ok"
            assert isinstance(point.fields["duration"], float)
        db.dispose()

    def test_a_statement_may_have_a_name(self, client: testing.Server) -> None:
        db = engine(database="db", measurement="statements")
        with db.connect() as connection:
            options = {"influxdb_name": "one"}
            connection.execute(sqlalchemy.text("SELECT 1"), execution_options=options)
        [point] = points(client)
        assert point.measurement == "statements"
        assert point.tags == {"operation": "SELECT", "outcome": "ok", "name": "one"}
        db.dispose()

    def test_a_failed_statement_is_a_point_with_its_exception(self, client: testing.Server) -> None:
        db = engine(database="db")
        insert = sqlalchemy.text("INSERT INTO users (name) VALUES ('a')")
        with db.connect() as connection:
            connection.execute(insert)
            with pytest.raises(sqlalchemy.exc.IntegrityError):
                connection.execute(insert)
            with pytest.raises(sqlalchemy.exc.OperationalError):
                connection.execute(sqlalchemy.text("SELECT * FROM nowhere"))
        ok, *errors = points(client)
        assert ok.tags["outcome"] == "ok"
        assert [(point.tags["table"], point.fields["exception"]) for point in errors] == [
            ("users", "sqlite3.IntegrityError"),
            ("nowhere", "sqlite3.OperationalError"),
        ]
        assert {point.tags["outcome"] for point in errors} == {"error"}
        db.dispose()

    def test_a_second_call_replaces_the_first(self, client: testing.Server) -> None:
        db = engine(database="first")
        instrument(db, database="db")
        with db.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))
        assert len(points(client)) == 1
        assert client.points("first") == []
        db.dispose()

    def test_tables_are_bounded(self, client: testing.Server) -> None:
        db = engine(database="db")
        with db.connect() as connection:
            for number in range(210):
                with pytest.raises(sqlalchemy.exc.OperationalError):
                    connection.execute(sqlalchemy.text(f"SELECT 1 FROM table{number}"))
        tables = [point.tags["table"] for point in points(client)]
        assert len(set(tables)) == 201
        assert tables.count("(other)") == 10
        db.dispose()

    def test_a_statement_does_not_notice_what_fails(
        self, client: testing.Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        db = engine()
        with db.connect() as connection:
            assert connection.execute(sqlalchemy.text("SELECT 7")).scalar() == 7
        assert "a measurement 'sql' is not recorded: ValueError" in caplog.text
        db.dispose()

    def test_an_engine_is_not_kept(self) -> None:
        db = engine(database="db")
        db.dispose()
        reference = weakref.ref(db)
        del db
        gc.collect()
        assert reference() is None

    @pytest.mark.skipif(
        importlib.util.find_spec("aiosqlite") is None, reason="aiosqlite is not installed"
    )
    def test_an_engine_for_asyncio(self, client: testing.Server) -> None:
        from sqlalchemy.ext import asyncio as sqlalchemy_asyncio

        async def main() -> None:
            db = sqlalchemy_asyncio.create_async_engine("sqlite+aiosqlite://")
            instrument(db, database="db")
            async with db.connect() as connection:
                await connection.execute(sqlalchemy.text("SELECT 1"))
            await db.dispose()

        asyncio.run(main())
        [point] = points(client)
        assert point.tags == {"operation": "SELECT", "outcome": "ok"}


@pytest.mark.parametrize(
    ("statement", "operation", "table"),
    [
        ("SELECT 1", "SELECT", None),
        ("select a from b", "SELECT", "b"),
        ('SELECT a FROM "my ""table" WHERE x = 1', "SELECT", 'my ""table'),
        ("SELECT a FROM `b`.`c`", "SELECT", "b.c"),
        ("SELECT a FROM [dbo].[users]", "SELECT", "dbo.users"),
        ("SELECT EXTRACT(year FROM created) FROM orders", "SELECT", "orders"),
        ("SELECT * FROM (SELECT a FROM b) AS c", "SELECT", "b"),
        ("SELECT ' FROM x', a FROM b", "SELECT", "b"),
        ("/* FROM x */ SELECT a -- FROM y\nFROM b JOIN c ON true", "SELECT", "b"),
        ("(SELECT a FROM b) UNION (SELECT a FROM c)", "SELECT", "b"),
        ("WITH x AS (SELECT a FROM b) SELECT * FROM x", "SELECT", "x"),
        ("WITH x AS (SELECT 1) INSERT INTO b SELECT * FROM x", "INSERT", "b"),
        ("INSERT OR REPLACE INTO b VALUES (1)", "INSERT", "b"),
        ("UPDATE ONLY b SET a = (SELECT 1 FROM c)", "UPDATE", "b"),
        ("UPDATE OR IGNORE b SET a = 1", "UPDATE", "b"),
        ("DELETE FROM b", "DELETE", "b"),
        ("CREATE TABLE IF NOT EXISTS b (a INT)", "CREATE", "b"),
        ("CREATE INDEX i ON b (a)", "CREATE", None),
        ("TRUNCATE b", "TRUNCATE", "b"),
        ("PRAGMA foreign_keys", "PRAGMA", None),
        ("BEGIN", "BEGIN", None),
        ("EXPLAIN SELECT a FROM b", "EXPLAIN", "b"),
        ("SELECT a FROM", "SELECT", None),
        ("UPDATE", "UPDATE", None),
        ("SELECT a FROM b.", "SELECT", "b"),
        ("FLUSH TABLES", "OTHER", None),
        ("", "OTHER", None),
        ("'unterminated", "OTHER", None),
        (")))SELECT((((", "SELECT", None),
    ],
)
def test_the_shape_of_a_statement(statement: str, operation: str, table: str | None) -> None:
    assert _sql.shape(statement) == (operation, table)
