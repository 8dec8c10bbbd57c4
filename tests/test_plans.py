"""What is asked for, site by site: who is reported, who is left out and named, and what is read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from collection import SAY_RUN, answer_at_once, node, write
from study_folder import TOML
from study_folder import write as write_study

from icsat_helpers import batch, cache, clean, plans, tables
from icsat_helpers.plans import Request

UNITS = "unit_id,site\n" + "".join(f"u{n},{site}\n" for n, site in enumerate(["Lyon", "Lyon", "Köln", "Bern", "Graz"]))
FIVE = "".join(f"2026Q2,u0,p{n},5\n2026Q2,u1,p{n},4\n" for n in range(5))  # five people of Lyon, two answers each
MORALE = f"period,unit_id,person_id,engaged\n{FIVE}" + "".join(f"2026Q2,u2,q{n},5\n" for n in range(4))
SCORES = "period,unit_id,measure,value,n,source\n2026Q2,u3,internal,3,,x\n2026Q1,u3,internal,3,,x\n"
PEOPLE = "person_id,unit_id\n" + "".join(f"r{n},u4\n" for n in range(6)) + "".join(f"q{n},u2\n" for n in range(9))


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    empty = dict.fromkeys(("service_ratings", "external_ratings", "operations", "programmes", "goals"))
    folder = write_study(
        tmp_path / "study", TOML, units=UNITS, morale=MORALE, unit_scores=SCORES, people=PEOPLE, **empty
    )
    collection = write(tmp_path / "notebooks", n00_executive_summary=node(SAY_RUN), n01_a=node(SAY_RUN))
    return Request(study=str(folder), output=str(tmp_path / "out"), collection=collection, by_site=True)


def test_people_of_sites(request_: Request) -> None:
    # Five who answered; four of nine who answered; scores that do not say of how many; people who were not asked.
    assert plans.people_of_sites(clean.load(request_.study)) == {"Bern": None, "Graz": 6, "Köln": 4, "Lyon": 5}


def test_sites_too_small_to_report_are_left_out_and_named(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = answer_at_once(monkeypatch, tmp_path / "ran")
    read = []
    monkeypatch.setattr(tables, "read", lambda folder, real=tables.read: read.append(folder) or real(folder))
    assert batch.run(request_) == 0
    assert len(read) == 1  # the study, once for all sites
    sites = ["Bern", "Graz"]
    assert ran() == [site + name for site in sites for name in ("00-executive-summary", "01-a")]
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Left out, for fewer than 5 people answered: Köln."
    assert said[1] == "Left out, for the whole less the others would tell of those few: Lyon."
    assert said[2].startswith("Bern: 01-a")
    place = Path(request_.output) / "2026Q2"
    assert sorted(path.name for path in place.iterdir()) == ["bern", "graz"]
    assert json.loads((place / "graz" / "findings.json").read_text())["site"] == "Graz"
    held = cache.held  # what a kernel of Graz would find
    monkeypatch.setenv(cache.VARIABLE, str(Path(request_.output) / ".cache" / "2026Q2" / "graz" / "study"))
    found = held(Path(request_.study), "2026Q2", "Graz")
    assert found is not None
    assert set(found.table("people")["unit_id"]) == {"u4"}

    assert batch.run(request_) == 0
    assert ran() == []
    assert len(read) == 1
    assert "Köln" in capsys.readouterr().out


def test_a_site_s_results_depend_on_who_belongs_to_it(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = answer_at_once(monkeypatch, tmp_path / "ran", n01_a=["morale"], n00_executive_summary=["morale"])
    request_ = replace(request_, by_site=False, sites=("Lyon",))
    assert batch.run(request_) == 0
    ran()
    (Path(request_.study) / "units.csv").write_text(UNITS.replace("u1,Lyon", "u1,Bern"))
    assert batch.run(request_) == 0
    assert ran() == ["Lyon00-executive-summary", "Lyon01-a"]


def test_no_site_to_report_is_refused(request_: Request, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(request_.study)
    (folder / "study.toml").write_text(TOML.replace('name = "Small"', 'name = "Small"\nminimum_group = 50'))
    (folder / "unit_scores.csv").unlink()
    assert batch.run(request_) == 2
    said = capsys.readouterr().err
    assert "No site of `units` can be reported" in said
    assert "Bern, Graz, Köln, Lyon" in said


def test_what_takes_long_is_begun_first_and_the_rest_in_order() -> None:
    notebooks = plans.collect(Request()).notebooks
    begun = [each.name for each in plans.in_turn(notebooks)]
    first = len(plans.BEGUN_FIRST)
    assert (*begun[:first],) == plans.BEGUN_FIRST
    assert begun[first:] == [each.name for each in notebooks if each.name not in plans.BEGUN_FIRST]
