"""Questions to databases: read only, one at a time, in time; the address stays unsaid."""

from __future__ import annotations

import sqlite3

import duckdb
import pytest
import same_study
from study_folder import TABLES, TOML, write

from icsat_helpers import clean, cli, databases
from icsat_helpers.problems import Unreadable

QUERY = '[database]\nurl_variable = "ICSAT_TEST_DATABASE"\n[tables.goals]\nquery = "{}"\n'


@pytest.fixture(scope="session")
def server():
    """A real PostgreSQL with one table."""
    with same_study.server() as address:
        yield address


@pytest.fixture(params=["postgres", "sqlite", "duckdb"])
def database(request, tmp_path, monkeypatch):
    """The address of a database with goals in it, in the variable that the tests name."""
    rows = "create table goals as select 'it' as provider_unit, 4.5 as target, 'secret' as word"
    if request.param == "postgres":
        import psycopg

        address = request.getfixturevalue("server")
        with psycopg.connect(address) as connection:
            connection.execute("drop table if exists goals")
            connection.execute(rows)
            connection.execute(
                "create or replace function writes() returns int as 'insert into goals values (''hr'', 1, ''x'') "
                "returning 1' language sql"
            )
    elif request.param == "sqlite":
        address = f"sqlite:///{tmp_path / 'goals.db'}"
        with sqlite3.connect(tmp_path / "goals.db") as connection:
            connection.execute(rows)
    else:
        address = f"duckdb:///{tmp_path / 'goals.duckdb'}"
        with duckdb.connect(str(tmp_path / "goals.duckdb")) as connection:
            connection.execute(rows)
    monkeypatch.setenv("ICSAT_TEST_DATABASE", address)
    return request.param


def ask(query: str):
    return databases.read(query, "ICSAT_TEST_DATABASE")


def test_an_answer_is_a_table(database):
    cells = ask("select provider_unit, target, null as scale, 'a%b' as more from goals where target > 1;")
    assert cells.names == ["provider_unit", "target", "scale", "more"]
    assert cells.columns == [["it"], ["4.5"], [None], ["a%b"]] and list(cells.rows) == [1]
    assert ask("select provider_unit from goals where 1 = 0").columns == [[]]


@pytest.mark.parametrize(
    "query",
    [
        "insert into goals values ('hr', 1, 'x')",
        "delete from goals",
        "drop table goals",
        "create table more (x int)",
        "select 1 as x; delete from goals",
        "select 1 as x; commit; delete from goals",
        "commit",
        "copy goals to '{folder}/stolen'",
        "copy (select 1) to program 'touch {folder}/stolen'",
        "attach '{folder}/stolen' as other",
        "vacuum into '{folder}/stolen'",
        "select writes()",
        "set transaction read write",
        "pragma journal_mode = wal",
    ],
)
def test_what_would_write_is_refused(database, query, tmp_path):
    before = ask("select * from goals").columns
    with pytest.raises(Unreadable):
        ask(query.format(folder=tmp_path))
    assert ask("select * from goals").columns == before and not (tmp_path / "stolen").exists()


def test_the_read_only_transaction_itself_refuses(server, monkeypatch):
    monkeypatch.setenv("ICSAT_TEST_DATABASE", server)
    with pytest.raises(Unreadable, match="read-only transaction"):
        ask("select setval(c.oid, 1) from pg_class c where relkind = 'S' union select lo_create(0)::int8")


def test_a_question_has_its_time(database, monkeypatch):
    monkeypatch.setattr(databases, "SECONDS", 0.3)
    slow = "with recursive t(n) as (select 1 union all select n + 1 from t where n < 2000000000) select count(*) from t"
    with pytest.raises(Unreadable):
        ask("select count(*) from range(100000000) a, range(100000) b" if database == "duckdb" else slow)


@pytest.mark.parametrize("query", ["select * from absent", "selekt", "select absent from goals"])
def test_what_is_wrong_with_a_question_is_said(database, query):
    with pytest.raises(Unreadable, match=r"absent|syntax") as refused:
        ask(query)
    assert len(str(refused.value).splitlines()) == 1


def test_data_are_not_said(database):
    with pytest.raises(Unreadable) as refused:
        ask("select cast(word as int) from goals where word like 's%'" if database != "sqlite" else "select x'00' as b")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "s3cretword",
        "mysql://me:s3cretword@s3crethost/s3cretbase",
        "postgresql://me:s3cretword@127.0.0.1:1/s3cretbase",
        "postgresql://me:s3cretword@@@::s3crethost/s3cretbase",
        "postgresql+psycopg://me:s3cretword@localhost:1/s3cretbase?nonsense=1",
        "sqlite:////nowhere/s3crethost/s3cretbase.db",
        "duckdb:////nowhere/s3crethost/s3cretbase.duckdb",
    ],
)
def test_an_address_is_never_said(address, tmp_path, monkeypatch, capsys, caplog):
    monkeypatch.setenv("ICSAT_TEST_DATABASE", address)
    study = write(tmp_path, TOML + QUERY.format("select 1"), goals=None)
    assert cli.main(["check", str(study)]) == 1
    said = "".join(capsys.readouterr()) + caplog.text
    assert "goals (query): expected" in said and "ICSAT_TEST_DATABASE" in said
    assert "s3cret" not in said and "nowhere" not in said


def test_words_of_a_database_that_hold_a_part_of_its_address_are_left_out():
    for words, said in (("no such table: s3cretbase", "OperationalError"), ("no such table: x", "no such table: x")):
        told = databases._expected(sqlite3.OperationalError(words), "sqlite:////nowhere/s3cretbase", "V")
        assert told == f"an answer of the database at the address in the environment variable V; found {said}"


def test_a_study_reads_its_table_and_a_query_needs_a_variable(database, tmp_path):
    folder = tmp_path / "study"
    toml = TOML + QUERY.format("select provider_unit, target from goals")
    study = clean.load(write(folder, toml, goals=None))
    assert study.table("goals")["target"].tolist() == [4.5] and len(study.sha256["goals"]) == 64
    write(folder, toml.replace('[database]\nurl_variable = "ICSAT_TEST_DATABASE"\n', ""), goals=None)
    assert [str(problem) for problem in clean.check(folder)] == [
        "study (study.toml), column tables.goals.query: expected url_variable under [database], for a query"
    ]
    write(folder, TOML + QUERY.format("select provider_unit, 9 as target from goals"), **{**TABLES, "goals": None})
    assert "goals (query), column target, row 1: found '9'" in str(clean.check(folder)[0])
