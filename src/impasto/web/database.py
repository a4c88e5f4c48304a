"""The database behind the records: its tables, and transactions in SQLite or PostgreSQL."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any, Literal

import sqlalchemy as sql
from sqlalchemy import event
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from impasto.errors import one_line
from impasto.web.entities import NAME_LENGTH, PRESET_NAME_LENGTH, RecordsError

SCHEMA_VERSION = 1
"""Version of the tables; others are refused.

A table that an earlier impasto does not know, and need not, leaves it as it is: `PRESETS` is made
where it is missing, and its rows go with their owner though it be that impasto which deletes the
owner.
"""

UNAVAILABLE = (DBAPIError, PoolTimeoutError)
"""What is raised where the database cannot be used just now."""

Trouble = Literal["busy", "full", "broken"]
"""Why a database fails: for a moment, for want of room, or until its host mends it."""

METADATA = sql.MetaData()
FACTS = sql.Table(
    "facts",
    METADATA,
    sql.Column("name", sql.String(40), primary_key=True),
    sql.Column("value", sql.Text, nullable=False),
)
OWNERS = sql.Table(
    "owners",
    METADATA,
    sql.Column("id", sql.String(64), primary_key=True),
    sql.Column("created", sql.Double, nullable=False),
    sql.Column("seen", sql.Double, nullable=False),
    # When a job of theirs was taken last: who waits longest is next.
    sql.Column("served", sql.Double, nullable=False, default=0.0),
)
PICTURES = sql.Table(
    "pictures",
    METADATA,
    sql.Column("id", sql.String(22), primary_key=True),
    sql.Column("owner", sql.ForeignKey("owners.id"), nullable=False),
    sql.Column("kind", sql.String(10), nullable=False),
    sql.Column("name", sql.String(NAME_LENGTH), nullable=False),
    sql.Column("state", sql.String(10), nullable=False, index=True),
    sql.Column("fault", sql.JSON(none_as_null=True)),
    sql.Column("width", sql.Integer),
    sql.Column("height", sql.Integer),
    sql.Column("bytes", sql.BigInteger),
    sql.Column("sha256", sql.String(64)),
    sql.Column("has_alpha", sql.Boolean),
    sql.Column("job", sql.String(22)),
    sql.Column("created", sql.Double, nullable=False, index=True),
    sql.Column("deleted", sql.Double, index=True),
    sql.Index("pictures_of", "owner", "created"),
)
JOBS = sql.Table(
    "jobs",
    METADATA,
    sql.Column("id", sql.String(22), primary_key=True),
    sql.Column("owner", sql.ForeignKey("owners.id"), nullable=False),
    sql.Column("label", sql.String(NAME_LENGTH), nullable=False),
    sql.Column("state", sql.String(10), nullable=False, index=True),
    sql.Column("request", sql.JSON, nullable=False),
    sql.Column("strength", sql.Double),
    sql.Column("wanted", sql.String(10)),
    sql.Column("device", sql.String(40)),
    sql.Column("crashes", sql.Integer, nullable=False, default=0),
    sql.Column("fault", sql.JSON(none_as_null=True)),
    sql.Column("note", sql.Text, nullable=False, default=""),
    sql.Column("progress", sql.JSON(none_as_null=True)),
    sql.Column("losses", sql.JSON, nullable=False, default=list),
    sql.Column("result", sql.String(22)),
    sql.Column("shared", sql.Boolean, nullable=False, default=False),
    sql.Column("created", sql.Double, nullable=False, index=True),
    sql.Column("started", sql.Double),
    sql.Column("finished", sql.Double),
    sql.Column("deleted", sql.Double, index=True),
    # Whether it was stopped in the middle by no wish of its owner's, and so goes first.
    sql.Column("interrupted", sql.Boolean, nullable=False, default=False),
    # The boot of the machine that it was taken in.
    sql.Column("boot", sql.String(64)),
    # What a search looks in, in lower case.
    sql.Column("words", sql.Text, nullable=False),
    sql.Index("jobs_of", "owner", "created"),
)
PRESETS = sql.Table(
    "presets",
    METADATA,
    sql.Column("owner", sql.ForeignKey("owners.id", ondelete="CASCADE"), primary_key=True),
    # The browser's choice, so that asking again does nothing twice; others may have the same one.
    sql.Column("id", sql.String(22), primary_key=True),
    sql.Column("name", sql.String(PRESET_NAME_LENGTH), nullable=False),
    sql.Column("options", sql.JSON, nullable=False),
)


class Database:
    """An open database, whose tables are there.

    Args:
        url: as SQLAlchemy writes it.
        wait: seconds that a change waits while another process is writing.

    Raises:
        RecordsError: it cannot be opened, or is of another version.
    """

    def __init__(self, url: str, *, wait: float) -> None:
        try:
            parsed = make_url(url)
            self._sqlite = parsed.get_backend_name() == "sqlite"
            if self._sqlite:
                self._engine = sql.create_engine(
                    parsed, connect_args={"timeout": wait}, hide_parameters=True
                )
                _prepare_sqlite(self._engine)
            else:
                # What visitors wrote is not for the log.
                self._engine = sql.create_engine(parsed, pool_pre_ping=True, hide_parameters=True)
            self._make_tables()
        except (SQLAlchemyError, ImportError, ValueError) as error:
            raise RecordsError(
                f"the database cannot be opened ({reason_of(error)}); check --database"
            ) from None

    def _make_tables(self) -> None:
        with self.change() as change:
            METADATA.create_all(change)
            found = change.scalar(sql.select(FACTS.c.value).where(FACTS.c.name == "schema"))
            if found is None:
                change.execute(FACTS.insert().values(name="schema", value=str(SCHEMA_VERSION)))
            elif found != str(SCHEMA_VERSION):
                raise RecordsError(
                    f"the database is of version {one_line(found)}, this impasto works with "
                    f"{SCHEMA_VERSION}; use the impasto that made it, or another --data folder"
                )

    def probe(self, value: str) -> None:
        """Reads a little of everything and writes a value.

        Raises:
            SQLAlchemyError: the database cannot do that.
        """
        with self.change() as change:
            for table in (OWNERS, PICTURES, JOBS, PRESETS):
                change.execute(table.select().limit(1)).all()
            change.execute(FACTS.delete().where(FACTS.c.name == "probed"))
            change.execute(FACTS.insert().values(name="probed", value=value))

    def close(self) -> None:
        """Lets go of it."""
        self._engine.dispose()

    @contextlib.contextmanager
    def look(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self._engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def change(self) -> Iterator[Connection]:
        """A transaction that no other one runs beside, so that what it reads stays true."""
        with self._engine.connect() as connection:
            connection.execution_options(impasto_change=True)
            with connection.begin():
                if not self._sqlite:
                    # SQLite has one writer at a time anyway.
                    connection.execute(sql.text("SELECT pg_advisory_xact_lock(1768846451)"))
                yield connection


def _prepare_sqlite(engine: sql.Engine) -> None:
    """Several processes read while one writes; who wants to write waits instead of failing."""

    @event.listens_for(engine, "connect")
    def _(connection: Any, _record: Any) -> None:
        # Transactions are begun below, not by the driver.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        # A reader that turns writer in the middle could not wait: what it read would be old.
        changes = connection.get_execution_options().get("impasto_change")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if changes else "BEGIN")


def reason_of(error: Exception) -> str:
    """What a database says, without the address, in which a password may stand, and without what
    was to be written."""
    inner = getattr(error, "orig", None) or error
    return one_line(str(inner).strip().splitlines()[0] if str(inner).strip() else repr(inner))


def trouble(error: SQLAlchemyError) -> Trouble:
    """What is the matter with a database that did not do what it was asked.

    SQLite's result codes are at sqlite.org/rescode.html, PostgreSQL's in appendix A of its manual.
    """
    inner = getattr(error, "orig", None)
    if isinstance(inner, sqlite3.Error):
        # The lower eight bits are the kind of fault; some come before SQLite itself is asked.
        return _SQLITE.get(getattr(inner, "sqlite_errorcode", 1) & 0xFF, "broken")
    state = getattr(inner, "sqlstate", None)
    if state == "53100":
        return "full"
    if inner is None or (state is not None and state[:2] in ("23", "40", "53", "55")):
        return "busy"
    return "broken"


_SQLITE: dict[int, Trouble] = {
    sqlite3.SQLITE_FULL: "full",
    **dict.fromkeys(
        (
            *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT),
            # Somebody else was quicker.
            *(sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_CONSTRAINT),
        ),
        "busy",
    ),
}
