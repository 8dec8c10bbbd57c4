"""The answer of a database to one question, which may only read; its address is never said.

The database itself refuses to write: the transaction (PostgreSQL) or the connection (SQLite, DuckDB) is read-only.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import re
import sqlite3
import threading
import time
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from icsat_helpers.confined import Cells
from icsat_helpers.problems import Unreadable, clipped
from icsat_helpers.spreadsheets import as_text

SECONDS = 120.0
"""How long a database may take to answer."""

_SAYABLE = ("25", "42", "57014")  # SQL states whose message holds names of the query and no data: writing, names, time
_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
Answer = tuple[list[str], list[Any]]


def read(query: str, variable: str) -> Cells:
    """Ask the database whose address stands in an environment variable.

    Raises
    ------
    Unreadable
        Without an address, without an answer, or where the database refuses the question; it never holds the
        address, nor what the database holds.
    """
    address = os.environ.get(variable, "").strip()
    kind = re.match("(postgres|sqlite|duckdb)[a-z+0-9]*:", address)
    if not kind:
        raise Unreadable(f"an address of PostgreSQL, SQLite or DuckDB in the environment variable {variable}")
    try:
        names, rows = {"postgres": _postgres, "sqlite": _sqlite, "duckdb": _duckdb}[kind[1]](address, query)
    except ImportError:
        raise Unreadable("the packages for databases: pip install 'icsat-helpers[sql]'") from None
    except Unreadable:
        raise
    except Exception as error:  # noqa: BLE001  what drivers raise is their own affair, and may hold the address
        raise Unreadable(_expected(error, address, variable)) from None
    columns = [[_text(cell) for cell in column] for column in zip(*rows, strict=True)] or [[] for _ in names]
    return Cells(names, columns, range(1, len(rows) + 1))


def sha256(cells: Cells) -> str:
    """Return the fingerprint of an answer, as a file has one."""
    return hashlib.sha256(repr((cells.names, cells.columns)).encode()).hexdigest()


def _postgres(address: str, query: str) -> Answer:
    import sqlalchemy

    url = sqlalchemy.make_url(re.sub("^postgres:", "postgresql:", address)).set(drivername="postgresql+psycopg")
    # Prepared at once, for the server prepares one statement only: none can follow that ends the transaction.
    careful = {"connect_timeout": 10, "prepare_threshold": 0}
    engine = sqlalchemy.create_engine(url, connect_args=careful, poolclass=sqlalchemy.NullPool)
    with engine.connect().execution_options(postgresql_readonly=True, no_parameters=True) as connection:
        connection.exec_driver_sql(f"set local statement_timeout = {int(1000 * SECONDS)}")
        # A cursor reads; nothing else, such as a copy to a file or program of the server, can be declared as one.
        connection.exec_driver_sql(f"declare answer no scroll cursor for {query}")
        result = connection.exec_driver_sql("fetch all from answer")
        return list(result.keys()), [tuple(row) for row in result]


def _sqlite(address: str, query: str) -> Answer:
    path = address.partition(":///")[2].partition("?")[0]
    connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)  # one statement is all it executes
    try:
        late = time.monotonic() + SECONDS
        connection.set_progress_handler(lambda: int(time.monotonic() > late), 10_000)
        connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY)
        cursor = connection.execute(query)
        return [column[0] for column in cursor.description or ()], cursor.fetchall()
    finally:
        connection.close()


def _duckdb(address: str, query: str) -> Answer:
    import duckdb

    path = address.partition(":///")[2].partition("?")[0]
    locked: dict[str, Any] = {"enable_external_access": "false", "lock_configuration": "true"}
    with duckdb.connect(path, read_only=True, config=locked) as connection:
        if len(connection.extract_statements(query)) != 1:
            raise Unreadable("one statement")
        timer = threading.Timer(SECONDS, connection.interrupt)
        timer.start()
        try:
            cursor = connection.execute(query)
            return [column[0] for column in cursor.description or ()], cursor.fetchall()
        finally:
            timer.cancel()


def _expected(error: Exception, address: str, variable: str) -> str:
    """Return why a database did not answer: its own words only where they can hold neither data nor the address."""
    cause: Any = getattr(error, "orig", None) or error
    state, words = getattr(cause, "sqlstate", None), " ".join(type(cause).__name__.split())
    if state and state.startswith(_SAYABLE):
        words = cause.diag.message_primary or words
    elif isinstance(cause, sqlite3.Error | sqlite3.Warning) or words in (
        "CatalogException",
        "BinderException",
        "ParserException",
    ):
        words = str(cause).splitlines()[0]
    secrets = [part for part in re.split(r"[:/@?&=]+", address)[1:] if len(part) > 3]
    words = type(cause).__name__ if any(secret in words for secret in secrets) else words
    return (
        f"an answer of the database at the address in the environment variable {variable}; found {clipped(words, 120)}"
    )


def _text(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes | memoryview | list | dict | tuple):
        raise Unreadable("text, numbers or dates", value=f"a value of type {type(value).__name__}")
    aware = isinstance(value, datetime.datetime) and value.tzinfo is not None
    return as_text(value.isoformat() if aware else value)
