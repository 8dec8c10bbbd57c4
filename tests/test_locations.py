"""Where files may be, and what leaves with them: folders, patterns, links, pipes; ids replaced at the door."""

from __future__ import annotations

import hashlib
import os
import signal

import pytest
from study_folder import TABLES, TOML, write

from icsat_helpers import clean, cli


def lines(folder):
    return [str(problem) for problem in clean.check(folder)]


@pytest.fixture
def outside(tmp_path, monkeypatch):
    monkeypatch.delenv("ICSAT_ALLOW_OUTSIDE", raising=False)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "goals.csv").write_text(TABLES["goals"])
    return tmp_path / "elsewhere" / "goals.csv"


@pytest.mark.parametrize(
    "source", ["../elsewhere/goals.csv", "../elsewhere/*.csv", "../elsewhere", "{}", "link.csv", "links"]
)
def test_a_file_outside_needs_leave(source, outside, tmp_path, monkeypatch):
    folder = write(tmp_path / "study", TOML + f'[tables.goals]\nsource = "{source.format(outside)}"\n', goals=None)
    (folder / "link.csv").symlink_to(outside)
    (folder / "links").symlink_to(outside.parent)
    assert lines(folder) == [f"goals ({source.format(outside)}): expected a file inside the study's folder"]
    monkeypatch.setenv("ICSAT_ALLOW_OUTSIDE", "1")
    assert lines(folder) == [] and len(clean.load(folder).table("goals")) == 2


def test_a_link_in_the_place_of_a_table_needs_leave_too(outside, tmp_path, monkeypatch, capsys):
    folder = write(tmp_path / "study", goals=None)
    (folder / "goals.csv").symlink_to(outside)
    assert cli.main(["check", str(folder)]) == 1
    assert capsys.readouterr().out == "goals (goals.csv): expected a file inside the study's folder\n"
    monkeypatch.setenv("ICSAT_ALLOW_OUTSIDE", "")  # put back afterwards
    assert cli.main(["check", str(folder), "--allow-outside"]) == 0
    assert os.environ["ICSAT_ALLOW_OUTSIDE"] == "1"


def test_a_study_reached_by_a_link_is_inside_itself(tmp_path):
    write(tmp_path / "real", TOML + '[tables.goals]\nsource = "goals.csv"\n')
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert lines(tmp_path / "link") == []


def test_a_folder_and_a_pattern_are_several_files_and_brackets_may_be_a_name(tmp_path):
    first, second = TABLES["external_ratings"].splitlines()[:2], TABLES["external_ratings"].splitlines()[2]
    for source in ("parts", "parts/2026*.csv", "parts/**/2026*.csv"):
        folder = write(
            tmp_path / source[:9].strip("/"),
            TOML + f'[tables.external_ratings]\nsource = "{source}"\n',
            external_ratings=None,
        )
        (folder / "parts").mkdir(exist_ok=True)
        (folder / "parts" / "2026Q1.csv").write_text("\n".join(first) + "\n")
        (folder / "parts" / "2026Q2.csv").write_text(first[0] + "\n" + second + "\n")
        (folder / "parts" / ".hidden.csv").write_text("x")
        (folder / "parts" / "notes.md").write_text("x")
        assert len(clean.load(folder).table("external_ratings")) == 2, source
    folder = write(tmp_path / "b", TOML + '[tables.goals]\nsource = "goals [1].csv"\n', goals=None)
    (folder / "goals [1].csv").write_text(TABLES["goals"])
    assert lines(folder) == []


def _late(*_):
    raise TimeoutError("a pipe was waited for")


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    signal.signal(signal.SIGALRM, _late)
    signal.alarm(30)
    for source in ("pipe.csv", "nothing.csv", "."):
        folder = write(tmp_path / f"s{len(source)}", TOML + f'[tables.goals]\nsource = "{source}"\n', goals=None)
        os.mkfifo(folder / "pipe.csv")
        (folder / "nothing.csv").symlink_to(folder / "absent.csv")
        found = lines(folder)
        assert len(found) >= 1 and found[0].startswith(f"goals ({source}): expected"), found
    signal.alarm(0)


IDS = TOML + '[privacy]\npseudonymise = "ICSAT_TEST_KEY"\n'


def test_ids_are_keyed_hashes_everywhere_and_nowhere_what_they_were(tmp_path, monkeypatch):
    monkeypatch.setenv("ICSAT_TEST_KEY", "k" * 20)
    mail = {name: text.replace("ann", "ann@example.org") for name, text in TABLES.items()}
    mail["people"] = (
        mail["people"].replace("performance\n", "performance,manager\n").replace(",4\n", ",4,ann@example.org\n")
    )
    mail["people"] = mail["people"].replace("voluntary,5\n", "voluntary,5,ann@example.org\n").replace(",,,\n", ",,,,\n")
    study = clean.load(write(tmp_path, IDS, **mail))
    expected = hashlib.blake2b(b"ann@example.org", key=b"k" * 20, digest_size=16).hexdigest()
    for name in ("people", "service_ratings", "morale"):
        assert expected in set(study.table(name)["person_id"]), name
    text = "".join(frame.to_csv() for frame in study.tables.values()) + study.changes.to_csv() + repr(study)
    assert "ann" not in text and "manager" not in study.table("people")
    assert ("pseudonymise", "manager", 3) in set(
        study.changes[["rule", "column", "rows"]].itertuples(index=False, name=None)
    )


def test_a_long_key_counts_whole(tmp_path, monkeypatch):
    write(tmp_path, IDS)
    ids = []
    for key in ("k" * 100, "k" * 99 + "l"):
        monkeypatch.setenv("ICSAT_TEST_KEY", key)
        ids.append(set(clean.load(tmp_path).table("people")["person_id"]))
    assert not ids[0] & ids[1]
