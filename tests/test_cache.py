"""A study that is held is the study."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distributions
from pathlib import Path

import filelock
import pandas as pd
import pytest
import study_folder

import icsat_helpers as ic
from icsat_helpers import cache, fingerprints, kernels, plans
from icsat_helpers.project import ROOT
from icsat_helpers.study import ASKED, TABLES


def test_what_is_held_is_what_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = "\ufeff" + study_folder.TOML.replace('name = "Small"', 'name = "Été"')
    folder = study_folder.write(tmp_path / "study", toml, people=study_folder.TABLES["people"].replace("\n", ",\n"))
    read = ic.load(folder, "2026Q1")
    cache.hold(read, tmp_path / "held", "key")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "held"))
    (folder / "morale.csv").unlink()  # a run uses the data it began with
    held = ic.load(folder, "2026Q1")
    for field in ("settings", "period", "site", "sha256", "folder"):
        assert getattr(held, field) == getattr(read, field)
    pd.testing.assert_frame_equal(held.changes, read.changes)
    assert list(held.tables) == list(read.tables)
    for name, frame in read.tables.items():
        pd.testing.assert_frame_equal(held.tables[name], frame)
        assert held.tables[name].dtypes.tolist() == frame.dtypes.tolist()
    assert "morale" in held.tables
    assert "morale" not in ic.load(folder, "2026Q2").tables  # another period is not what is held
    with pytest.raises(ValueError, match="Lyon"):
        ic.load(folder, "2026Q1", "Lyon")


def test_a_study_s_fingerprint_is_of_all_it_is_read_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = study_folder.write(tmp_path / "study")
    output = folder / "outputs"
    prints = [fingerprints.of_study(folder, output)]

    def now() -> str:
        prints.append(fingerprints.of_study(folder, output))
        return prints[-1]

    output.mkdir()
    (output / "table.csv").write_text("what a run left")
    (folder / ".git").mkdir()
    (folder / ".git" / "x.csv").write_text("")
    os.utime(folder / "morale.csv", (1, 1))
    assert now() == prints[0]
    (folder / "more").mkdir()
    (folder / "more" / "x.csv").write_text("1")
    assert now() != prints[-2]
    (folder / "more" / "x.csv").write_text("2")
    assert now() != prints[-2]
    (folder / "study.toml").write_text(study_folder.TOML + '[privacy]\npseudonymise = "ICSAT_TEST_KEY"\n')
    assert now() != prints[-2]
    monkeypatch.setenv("ICSAT_TEST_KEY", "another")
    assert now() != prints[-2]
    monkeypatch.setattr(fingerprints, "helpers", lambda: "another")
    assert now() != prints[-2]
    assert len(set(prints)) == len(prints) - 1
    (folder / "study.toml").write_text(study_folder.TOML + '[database]\nurl_variable = "X"\n')
    assert now() == ""  # what it holds cannot be told without asking it


def test_what_is_the_same_for_all_sites_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = study_folder.write(tmp_path / "study")
    study = ic.load(folder, "2026Q1")
    made = []

    def make() -> pd.DataFrame:
        made.append(pd.DataFrame({"row": ["a"], "cell": [len(made) > 0]}))
        return made[-1]

    def seen(site: str, key: str) -> pd.DataFrame:
        there = dataclasses.replace(study, site=site)
        place = tmp_path / "cache" / (site or "whole") / "study"
        cache.hold(there, place, key)
        monkeypatch.setenv(cache.VARIABLE, str(place))
        return cache.across_sites(there, "hidden", {"hidden": make})

    pd.testing.assert_frame_equal(seen("North", "key"), made[0])
    pd.testing.assert_frame_equal(seen("South", "key"), made[0])
    assert len(made) == 1
    seen("South", "another key")  # the data has changed
    assert len(made) == 2 and len([*(tmp_path / "cache").glob("*.arrow")]) == 1
    for path in (tmp_path / "cache").glob("*.arrow"):
        path.write_bytes(b"torn")
    seen("South", "another key")
    assert len(made) == 3
    seen("", "key")  # the whole has no sites beside it
    seen("South", "")  # what it was made from is not known
    assert len(made) == 5


def test_while_another_kernel_makes_one_thing_the_next_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = dataclasses.replace(ic.load(study_folder.write(tmp_path / "study"), "2026Q1"), site="South")
    cache.hold(study, tmp_path / "South" / "study", "key")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "South" / "study"))
    made: list[str] = []
    then = threading.Event()
    makes = {
        "now": lambda: made.append("now") or pd.DataFrame({"of": ["now"]}),
        "then": lambda: made.append("then") or then.set() or pd.DataFrame({"of": ["then"]}),
    }
    with ThreadPoolExecutor(1) as pool:
        with filelock.FileLock(tmp_path / "now.lock"):  # as another kernel that is making it
            waits = pool.submit(cache.across_sites, study, "now", makes)
            assert then.wait(20) and not waits.done()
        assert waits.result()["of"].tolist() == ["now"]
    assert cache.across_sites(study, "then", makes)["of"].tolist() == ["then"]
    assert made == ["then", "now"]


def test_what_all_tables_say_is_made_once_and_depends_on_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = study_folder.write(tmp_path / "study")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "held"))
    made = []

    def seen(key: str) -> list[ic.claims.Question]:
        cache.hold(ic.load(folder, "2026Q1"), tmp_path / "held", key)
        there = ic.load(folder, "2026Q1")  # as the next kernel does
        ASKED.clear()
        return ic.claims.questions(there)

    first = ic.claims.questions(ic.load(folder, "2026Q1"))
    monkeypatch.setattr(ic.claims, "_questions", lambda study: made.append(study.period) or first)
    assert seen("key") == seen("key") == first
    assert made == ["2026Q1"] and {*TABLES} == ASKED
    seen("another key")  # the data has changed
    with ic.words.speaking("fr"):
        seen("another key")
    seen("")  # what it was made from is not known
    assert len(made) == 4


def test_who_takes_what_is_held_does_without_pandera() -> None:
    """It takes a third of a second to import, in the process that kernels wait for."""
    imported = kernels.modules(name for each in plans.collect(plans.Request()).notebooks for name in each.imports)
    code = (
        "import sys; from icsat_helpers.forkserver import _import\n"
        f"for module in {imported}: _import(module)\n"
        "sys.exit(' '.join({'pandera', 'pyreadstat', 'papermill'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stderr, done.returncode) == ("\n", 1)  # nothing to name


def test_packages_are_those_that_are_installed() -> None:
    def plain(found: Mapping[str, str]) -> dict[str, str]:
        return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found.items()}

    assert plain(fingerprints.packages()) == plain({each.name: each.version for each in distributions()})
