"""Who was asked, who answered, what is missing."""

import re

import nbformat
import pandas as pd
import pytest

import icsat_helpers as ic
from icsat_helpers import changes, health, levels, progress, response
from icsat_helpers.project import ROOT
from icsat_helpers.release import exposed


def test_who_was_asked_is_who_was_at_work(example):
    asked = response.invited(example)
    people = example.table("people")
    end = pd.Timestamp("2026-09-30")
    here = (people["hired_on"] <= end) & (people["left_on"].isna() | (people["left_on"] > end))
    assert len(asked) == here.sum()
    assert 0.5 < asked["answered"].mean() < 0.8


def test_response_has_wilson_intervals(example):
    found = response.of_units(example)
    assert (found["low"] <= found["share"]).all()
    assert (found["share"] <= found["high"]).all()
    assert found["n"].sum() == len(response.invited(example))
    assert "Payroll" in set(found["name"])


def test_odds_of_answering(example):
    page = response.who_answers(response.invited(example), "answered ~ C(associate_type) + tenure + good", 5)
    assert "tenure" in page.text
    assert not re.search(r"P\d{5}", page.html)


def test_what_is_unknown_of_everybody_is_left_out(example):
    asked = response.invited(example).assign(performance=float("nan"))
    page = response.who_answers(asked, "answered ~ C(associate_type) + good", 5)
    assert "good" not in page.text
    assert "cannot be compared" in response.who_answers(asked, "answered ~ good", 5).text


def test_missing_items(example):
    found = health.missing_items(example, "internal")
    assert found["share"].between(0.005, 0.05).all()
    assert len(found) == 9


def test_the_mean_is_over_people(example):
    found = levels.level(example, "internal").set_index("t")
    people = ic.scores.person_scores(example, "internal")
    assert found.at[example.t, "value"] == pytest.approx(people.loc[people["t"] == example.t, "score"].mean())
    assert found.at[example.t, "low"] < found.at[example.t, "value"] < found.at[example.t, "high"]


def test_metrics_have_the_contracts_names(example):
    rows = health.metrics(example, "01-data-health").rows
    assert {row.name for row in rows} == {"response_rate", "mean", "favourable_share"}
    assert {"internal", "internal.quality", "morale", "external"} <= {row.of for row in rows}


def test_a_period_with_three_people_has_no_metric(tmp_path):
    (tmp_path / "study.toml").write_text(
        'contract = 1\n[study]\nname = "S"\n[items.fast]\ntable = "service_ratings"\nscale = "speed"\n'
    )
    (tmp_path / "service_ratings.csv").write_text(
        "period,customer_unit,provider_unit,person_id,fast\n" + "".join(f"2026Q1,it,hr,p{i},4\n" for i in range(3))
    )
    assert health.metrics(ic.load(tmp_path), "01-data-health").rows == ()


def test_a_period_of_two_people_is_hidden_in_the_trend(tmp_path):
    toml = 'contract = 1\n[study]\nname = "S"\n[items.fast]\ntable = "service_ratings"\nscale = "speed"\n'
    (tmp_path / "study.toml").write_text(toml)
    rows = [f"2026Q{q},it,hr,p{i},{1 + i % 5}" for q, n in ((1, 2), (2, 9), (3, 9)) for i in range(n)]
    (tmp_path / "service_ratings.csv").write_text(
        "period,customer_unit,provider_unit,person_id,fast\n" + "\n".join(rows) + "\n"
    )
    study = ic.load(tmp_path)
    trend = levels.level(study, "internal")
    assert trend["value"].isna().tolist() == [True, False, False]
    assert trend["low"].isna().all()  # one unit: no interval
    chart = ic.charts.trend(trend, ["2026Q1", "2026Q2", "2026Q3"], "Mean")
    assert "2026Q1" not in chart.alt
    assert "One period is hidden" in chart.alt
    assert "nan" not in chart.alt


def test_odds_do_not_show_who_answered(example):
    asked = response.invited(example)
    asked.loc[asked.index[0], "associate_type"] = "distributor of one"
    page = response.who_answers(asked, "answered ~ C(associate_type) + tenure", 5)
    assert "of one" not in page.text


def test_a_site_asks_its_own_people(example):
    north = ic.load(example.folder, site="North")
    units = example.table("units")
    home = set(units.loc[units["site"] == "North", "unit_id"])
    assert set(response.invited(north)["unit"]) == home


# ---------------------------------------------------------------- what the rates say of small units


def asked(folder, units, site=""):
    """A study of units, name to (people, of whom answered, site)."""
    folder.mkdir(exist_ok=True)
    (folder / "study.toml").write_text(
        'contract = 1\n[study]\nname = "S"\n[items.fast]\ntable = "service_ratings"\nscale = "speed"\n'
    )
    people = [(f"{unit}{i}", unit, i < yes) for unit, (n, yes, _) in units.items() for i in range(n)]
    tables = {
        "units": ["unit_id,site", *(f"{unit},{place}" for unit, (_, _, place) in units.items())],
        "people": ["person_id,unit_id", *(f"{who},{unit}" for who, unit, _ in people)],
        "service_ratings": [
            "period,customer_unit,provider_unit,person_id,fast",
            *(f"2026Q3,{unit},{next(iter(units))},{who},4" for who, unit, answered in people if answered),
        ],
    }
    for name, lines in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return ic.load(folder, site=site)


def audited(*studies, what=response.said):
    return exposed([said.plain() for study in studies for said in what(study)], [], 5)


FULL = {"a": (3, 3, ""), "b": (6, 6, ""), "c": (21, 20, "")}
SMALL = {
    "everybody": FULL,
    "nobody of the hidden": {"a": (3, 0, ""), "b": (6, 0, ""), "c": (21, 20, "")},
    "only small ones": {f"u{i}": (3, 3, "") for i in range(6)},
    "two who are alone": {"a": (3, 3, "north"), "b": (30, 20, "north"), "c": (4, 0, "south"), "d": (18, 9, "south")},
}


@pytest.mark.parametrize("units", SMALL.values(), ids=SMALL)
def test_the_rates_tell_nothing_of_a_small_unit(tmp_path, units):
    study = asked(tmp_path / "s", units)
    assert audited(study) == []
    assert response.of_units(study)["share"].isna().any()


def test_without_the_gate_the_audit_names_the_small_unit(tmp_path, monkeypatch):
    study = asked(tmp_path / "s", FULL)
    monkeypatch.setattr(response, "suppressed", lambda n, minimum: n < minimum)
    monkeypatch.setattr(response, "grain", lambda *_: 0.0)
    assert audited(asked(tmp_path / "s", FULL)) == [], "the rate of the whole is too coarse even so"
    monkeypatch.setattr(response, "blurred", lambda share, people, minimum: (share, 0.0))
    assert audited(study) == ["2026Q3: who answered in unit a"]


def test_where_all_answered_the_whole_tells_small_units_unless_it_is_coarse(tmp_path, monkeypatch):
    monkeypatch.setattr(response, "blurred", lambda share, people, minimum: (share, 0.0))
    assert len(audited(asked(tmp_path / "s", SMALL["only small ones"]))) == 6


def test_what_is_hidden_enters_the_whole_coarsely(tmp_path):
    """Nine of the thirty are hidden: of them seven and a half are counted, for it may be five to nine."""
    study = asked(tmp_path / "s", FULL)
    rate = response.rates(study).iloc[0]
    assert rate["n"] == 30 and rate["value"] == pytest.approx(26.75 / 30) and rate["half"] == pytest.approx(2.25 / 30)
    assert "About 89% of 30 people answered." in response.advice(study, response.invited(study)).text


def test_a_whole_without_small_units_is_exact(tmp_path):
    study = asked(tmp_path / "s", {"b": (6, 6, ""), "c": (21, 20, "")})
    assert response.rates(study).iloc[0]["value"] == pytest.approx(26 / 27)
    assert health.metrics(study, "01-data-health").rows[0].value == pytest.approx(26 / 27)


SITES = {"a": (3, 3, "north"), "b": (6, 6, "north"), "c": (9, 9, "north"), "d": (4, 4, "south"), "e": (9, 9, "south"),
         "f": (12, 11, "south")}  # fmt: skip


def test_what_a_site_hides_the_whole_hides(tmp_path):
    every = [asked(tmp_path / "s", SITES, site=site) for site in ("", "north", "south")]
    assert audited(*every) == []
    hidden = [set(found.loc[found["shown"] != "", "unit"]) for found in map(response.of_units, every)]
    assert hidden == [{"a", "b", "d", "e"}, {"a", "b"}, {"d", "e"}]
    whole, north, south = (response.rates(study).iloc[0] for study in every)
    assert whole["n"] * whole["value"] == pytest.approx(north["n"] * north["value"] + south["n"] * south["value"])


def test_sites_that_hide_less_than_the_whole_are_named(tmp_path, monkeypatch):
    every = [asked(tmp_path / "s", SITES, site=site) for site in ("", "north", "south")]
    monkeypatch.setattr(response, "blurred", lambda share, people, minimum: (share, 0.0))
    assert "2026Q3: who answered in unit a" in audited(*every)


# ---------------------------------------------------------------- what the reports of sites tell beside that of all


@pytest.fixture()
def quiet_north(tmp_path):
    """A study of three sites; in its first quarter three people answered in the north. All reports of the second."""
    (tmp_path / "study.toml").write_text(
        'contract = 1\n[study]\nname = "S"\n[items.fast]\ntable = "service_ratings"\nscale = "speed"\n'
    )
    (tmp_path / "units.csv").write_text("unit_id,site\na,north\nb,south\nc,east\n")
    sizes = {("2026Q2", "a"): 3, ("2026Q2", "b"): 9, ("2026Q2", "c"): 12}
    sizes |= {("2026Q3", unit): 14 for unit in "abc"}

    def load(score=lambda i: 1 + i * i % 5):
        rows = [f"{q},{unit},c,{unit}{i},{score(i)}" for (q, unit), n in sizes.items() for i in range(n)]
        (tmp_path / "service_ratings.csv").write_text(
            "period,customer_unit,provider_unit,person_id,fast\n" + "\n".join(rows) + "\n"
        )
        return [ic.load(tmp_path, site=site) for site in ("", "north", "south", "east")]

    return load


def levels_said(study):
    return levels.said(study, "internal")


@pytest.mark.parametrize("name", ["mean", "favourable_share"])
def test_a_site_too_small_does_not_follow_from_the_others(quiet_north, name):
    every = quiet_north()
    assert audited(*every, what=levels_said) == []
    shown = [health.history(study, name, "internal").dropna(subset=["value"])["t"].tolist() for study in every]
    t = every[0].t
    assert shown == [[t - 1, t], [t], [t], [t - 1, t]]
    assert [changes.since(study, name, "internal") is None for study in every] == [False, True, True, False]


@pytest.mark.parametrize("name", ["mean", "favourable_share"])
def test_where_all_say_the_same_the_whole_would_tell_of_a_small_site(quiet_north, name):
    every = quiet_north(lambda i: 5)
    assert audited(*every, what=levels_said) == []
    shown = [health.history(study, name, "internal").dropna(subset=["value"])["t"].tolist() for study in every]
    assert shown == [[every[0].t]] * 4


def test_what_a_site_does_not_show_no_other_page_of_it_says(quiet_north):
    whole, _, south, east = map(progress.organisation, quiet_north())
    assert "2026Q2" in whole.text and "2026Q2" in east.text and "2026Q2" not in south.text


def test_the_audit_names_a_site_that_follows_from_the_others(quiet_north, monkeypatch):
    def only_small(rows, minimum, _):
        return rows.groupby("part")["person"].nunique() < minimum

    monkeypatch.setattr(levels, "suppress_parts", only_small)
    named = {f"2026Q2: {name} {of}, site north" for name in ("mean", "favourable_share") for of in ("internal",)}
    assert {*audited(*quiet_north(), what=levels_said)} == named


def test_the_notebook_hands_on_what_its_figures_say_to_the_audit() -> None:
    cells = nbformat.read(ROOT / "notebooks" / "01-data-health.ipynb", 4).cells
    source = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    assert len(re.findall(r"charts\.(?:shares|trend)\([^()]*, said\)", source)) == 2
    assert "ic.response.said(data)" in source and "ic.levels.said(data, measure)" in source
