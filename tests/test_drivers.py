"""Which rows say what drives an outcome, what to fix first, and the page that shows it."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pandas as pd
import pyfixest as pf
import pytest
import statsmodels.formula.api as smf
from conftest import ROOT, real_study

import icsat_helpers as ic
from icsat_helpers import cli, drivers, priorities, shapley
from icsat_helpers.drivers import Drivers, Rows

HEAD = 'contract = 1\n[study]\nname = "S"\n[answer_scale]\nminimum = 1\nmaximum = 5\n'
ITEM = '[items.{name}]\ntable = "{table}"\nscale = "{name}"\n'


def write(folder, ratings, morale=None):
    """Write a study whose scales have one item each."""
    folder.mkdir(exist_ok=True)
    keys = ["period", "customer_unit", "provider_unit", "person_id", "unit_id"]
    toml = HEAD
    for table, frame in (("service_ratings", ratings), ("morale", morale)):
        if frame is not None:
            toml += "".join(ITEM.format(name=name, table=table) for name in frame if name not in keys)
            frame.to_csv(folder / f"{table}.csv", index=False)
    (folder / "study.toml").write_text(toml)
    return folder


def ratings_of(seed=1, units=8, people=15, providers=10, each=4, lenient=0.0):
    """Ratings of several providers by each person; `speed` drives `overall`, `form` does not."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(units * people), each)
    mild = rng.normal(size=units * people)[person] * lenient
    frame = pd.DataFrame(
        {
            "period": "2026Q1",
            "customer_unit": [f"u{p % units}" for p in person],
            "provider_unit": [f"v{v}" for p in range(units * people) for v in rng.permutation(providers)[:each]],
            "person_id": [f"p{p}" for p in person],
        }
    )
    scores = rng.normal(size=(len(frame), 3)) * 0.5
    frame["speed"], frame["form"] = scores[:, 0], scores[:, 1]
    frame["overall"] = (0.0 if lenient else 1.0) * frame["speed"] + scores[:, 2]
    values = frame[["speed", "form", "overall"]].add(3 + mild, axis=0).clip(1, 5).round(3)
    return frame.assign(**values)


@pytest.fixture(scope="module")
def found(example):
    return drivers.drivers(example)


def test_each_outcome_has_its_own_level(found, example):
    rows = {one.outcome: one.rows for one in found}
    assert list(rows) == ["overall", "morale", "external", "retention"]
    assert [rows[name].later for name in rows] == [False, True, True, True]
    assert [rows[name].self_reported for name in rows] == [True, False, False, False]
    assert rows["overall"].frame["t"].unique().tolist() == [example.t]
    assert {one.importance.n_clusters for one in found} == {39}


def test_the_outcome_is_the_next_periods(found, example):
    rows = next(one.rows for one in found if one.outcome == "external").frame
    later = ic.scores.unit_scores(example, "external").set_index(["unit", "t"])["value"]
    expected = later.reindex(pd.MultiIndex.from_arrays([rows["unit"], rows["t"] + 1])).to_numpy()
    assert rows["outcome"].to_numpy() == pytest.approx(expected)


def test_morale_is_that_of_other_people(tmp_path):
    """Only a person's mood moves both; between people of one unit it must not count as a driver."""
    rng = np.random.default_rng(3)
    mood = rng.normal(size=320)
    who = {"period": "2026Q1", "person_id": [f"p{i}" for i in range(320)]}
    unit = [f"u{i % 40}" for i in range(320)]
    ratings = pd.DataFrame({**who, "customer_unit": unit, "provider_unit": "hr"})
    for scale in ("speed", "form"):
        ratings[scale] = (3 + 0.5 * mood + 0.3 * rng.normal(size=320)).clip(1, 5)
    morale = pd.DataFrame({**who, "unit_id": unit, "energy": (3 + 0.5 * mood).clip(1, 5)})
    study = ic.load(write(tmp_path / "s", ratings, morale))
    assert _r2(study, drivers._averages(study, ["speed", "form"], "morale", 0)) > 0.5
    one = next(d for d in drivers.drivers(study) if d.outcome == "morale")
    assert one.importance.r2 < 0.15
    assert not one.rows.self_reported


def _r2(study, frame):
    return shapley.importance(frame.assign(t=0), ["speed", "form"], "outcome", draws=9).r2


def test_who_is_lenient_does_not_count(tmp_path):
    study = ic.load(write(tmp_path / "s", ratings_of(lenient=1.0)))
    one = next(d for d in drivers.drivers(study) if d.outcome == "overall")
    assert one.importance.r2 < 0.05
    people = one.rows.frame.groupby("person")[["speed", "form", "outcome"]].mean()
    assert smf.ols("outcome ~ speed + form", people).fit().rsquared > 0.5


def test_a_driver_is_found_and_what_does_nothing_is_not(tmp_path):
    study = ic.load(write(tmp_path / "s", ratings_of()))
    some = drivers.drivers(study)
    ranked = priorities.priorities(study, some)
    assert [(p.scale, p.proven) for p in ranked] == [("speed", True), ("form", False)]
    assert set(some[0].rows.frame["unit"]) == {f"v{i}" for i in range(10)}  # what raters share is the provider
    text = priorities.advice(some, ranked).text
    assert "Improve speed: where it is rated higher, overall satisfaction (self-reported) is higher" in text
    assert "form" not in text


def test_one_rating_a_person_compares_people(tmp_path):
    study = ic.load(write(tmp_path / "s", ratings_of(each=1)))
    one = next(d for d in drivers.drivers(study) if d.outcome == "overall")
    assert one.rows.level == "differences between people in 2026Q1"
    assert set(one.rows.frame["unit"]) == {f"u{i}" for i in range(8)}
    assert one.importance.n_rows == 120


def test_a_scale_that_few_are_asked_costs_no_rows(tmp_path):
    ratings = ratings_of()
    ratings["rare"] = ratings["speed"].where(ratings.index < 30)
    one = next(d for d in drivers.drivers(ic.load(write(tmp_path / "s", ratings))) if d.outcome == "overall")
    assert one.rows.scales == ["speed", "form"]
    assert one.importance.n_rows == len(ratings)


def test_the_order_of_rows_does_not_matter(small, tmp_path):
    shutil.copytree(small.folder, tmp_path / "s")
    for table in ("service_ratings", "morale", "people", "external_ratings"):
        frame = pd.read_csv(tmp_path / "s" / f"{table}.csv", dtype=str)
        frame.sample(frac=1, random_state=1).to_csv(tmp_path / "s" / f"{table}.csv", index=False)
    for one, other in zip(drivers.drivers(small), drivers.drivers(ic.load(tmp_path / "s")), strict=True):
        assert one.reason == other.reason
        if one.importance is not None:
            for name in ("share", "low", "high", "chance"):
                assert getattr(one.importance, name) == pytest.approx(getattr(other.importance, name), rel=1e-9), name


def test_aggregates_are_differences_between_units():
    study = ic.load(real_study("nyc-schools-2011"))
    one = next(d for d in drivers.drivers(study) if d.outcome == "external")
    table = study.table("unit_scores").pivot(index="unit_id", columns="measure", values="value")
    table.columns = table.columns.str.replace("internal.", "", regex=False)
    fit = smf.ols("external ~ communication + engagement + expectations + safety", table.dropna()).fit()
    assert one.importance.r2 == pytest.approx(fit.rsquared)
    assert (one.importance.n_clusters, one.rows.level) == (299, "differences between units")
    assert "favourable" not in priorities.advice([one], priorities.priorities(study, [one])).text


# ---------------------------------------------------------------- what is said


def made(share, chance, slope, scales=("speed", "form"), outcome="overall", ahead=0.5):
    k = len(share)
    values = {name: np.array(v, dtype=float) for name, v in (("share", share), ("chance", chance), ("slope", slope))}
    order = np.where(np.arange(k)[:, None] < np.arange(k), ahead, 1 - ahead)
    return Drivers(
        outcome,
        Rows("a unit over time", pd.DataFrame({"unit": [], "t": []}), list(scales)),
        shapley.Importance(
            **values, low=values["share"] / 2, high=values["share"] * 2, vif=np.ones(k), ahead=order,
            r2=float(sum(share)), n_rows=50, n_clusters=10,
        ),
    )  # fmt: skip


@pytest.fixture
def study(tmp_path):
    ratings = ratings_of()
    return ic.load(write(tmp_path / "s", ratings.assign(form=(ratings["form"] + 1.5).clip(upper=5))))  # most favourable


def test_important_and_weak_comes_first(study):
    ranked = priorities.priorities(study, [made([0.2, 0.3], [0.1, 0.1], [0.4, 0.5])])
    assert [p.scale for p in ranked] == ["speed", "form"]
    assert ranked[0].favourable < 0.5 < ranked[1].favourable
    assert ranked[0].urgency == pytest.approx(0.4 * (1 - ranked[0].favourable))


def test_what_is_not_proven_is_never_first(study):
    ranked = priorities.priorities(study, [made([0.4, 0.1], [0.5, 0.05], [0.4, 0.5])])
    assert [(p.scale, p.proven) for p in ranked] == [("form", True), ("speed", False)]
    assert ranked[1].share == 0.4  # unproven, not zero


def test_what_works_the_other_way_is_no_priority(study):
    some = [made([0.4, 0.1], [0.1, 0.2], [-0.6, 0.3])]
    assert not any(p.proven for p in priorities.priorities(study, some))


def test_nothing_proven_is_said(study):
    some = [made([0.1, 0.1], [0.2, 0.2], [0.3, 0.3])]
    assert "Nothing is proven" in priorities.advice(some, priorities.priorities(study, some)).text


def test_an_open_order_is_said(study):
    for ahead, settled in ((0.97, True), (0.8, False)):
        some = [made([0.3, 0.2], [0.1, 0.1], [0.5, 0.4], ahead=ahead)]
        text = priorities.advice(some, priorities.priorities(study, some)).text
        assert ("not settled" in text) != settled


def test_outcomes_without_a_proven_scale_are_named(study):
    some = [made([0.3, 0.2], [0.1, 0.1], [0.5, 0.4]), made([0.1, 0.1], [0.2, 0.2], [0.3, 0.3], outcome="external")]
    assert "For external score no scale is proven" in priorities.advice(some, priorities.priorities(study, some)).text


def test_the_map_draws_the_unproven_hollow(study):
    chart = priorities.priority_map(study, made([0.4, 0.1], [0.1, 0.2], [0.5, 0.3]))
    (axes,) = chart.figure.axes
    fills = {line.get_label(): line.get_markerfacecolor() for line in axes.lines}
    assert fills["not proven"] == "white"
    assert fills["proven"] != "white"
    heights = {line.get_label(): line.get_ydata().tolist() for line in axes.lines}
    assert heights["not proven"] == [10]
    assert "form (not proven)" in {text.get_text() for text in axes.texts}
    assert "form 10.0% (5.0 to 20.0), not proven" in chart.alt


def test_any_name_of_a_scale_can_be_fitted_and_drawn(tmp_path):
    odd = {"speed": "$x^{$ <b>", "form": "a+b (h): `1st`"}
    folder = write(tmp_path / "s", ratings_of())
    toml = (folder / "study.toml").read_text()
    for name, scale in odd.items():
        toml = toml.replace(f'scale = "{name}"', f'scale = "{scale}"')
    (folder / "study.toml").write_text(toml)
    study = ic.load(folder)
    one = drivers.drivers(study)[0]
    fit = pf.feols(one.rows.formula, one.rows.table, weights="weight")
    assert fit._r2_within == pytest.approx(one.importance.r2)
    assert "<svg" in priorities.priority_map(study, one).svg()


def test_the_level_of_few_people_is_hidden(tmp_path):
    toml = (write(tmp_path / "s", ratings_of(people=1, units=4, each=3)) / "study.toml").read_text()
    (tmp_path / "s" / "study.toml").write_text(toml)
    assert priorities.today(ic.load(tmp_path / "s")).isna().all(axis=None)


def test_favourable_of_a_scale_counts_its_own_items(example):
    table = example.table("service_ratings")
    now = table.loc[table["t"] == example.t, ["quality_1", "quality_2"]].to_numpy()
    expected = (now >= 4).sum() / np.isfinite(now).sum()
    assert priorities.today(example).at["quality", "favourable"] == pytest.approx(expected)


# ---------------------------------------------------------------- the notebook


def run(folder, output):
    assert cli.main(["run", "--study", str(folder), "--output", str(output), "--notebook", "10-drivers"]) == 0
    (page,) = output.glob("*/10-drivers.html")
    return page.read_text(encoding="utf-8")


def test_the_notebook_on_the_example(tmp_path):
    text = run(ROOT / "data" / "example", tmp_path)
    assert "sum of the Shapley shares" in text
    assert text.count("<figure>") == 4
    assert not re.search(r"\bP\d{5}\b", text)
    pairs = re.findall(r"R-squared within ([\d.]+), sum of the Shapley shares ([\d.]+)", text)
    assert len(pairs) == 4
    assert all(fitted == summed for fitted, summed in pairs)
    assert json.loads(next(tmp_path.glob("*/findings.json")).read_text())["findings"] == []


def test_the_notebook_says_what_is_missing(tmp_path):
    ratings = ratings_of(units=1, people=6).assign(speed=3, form=3, overall=3)
    text = run(write(tmp_path / "s", ratings), tmp_path / "out")
    assert "the outcome does not vary" in text
    assert "the study has no morale" in text
    assert "To answer it, the study needs answers to two or more scales" in text


def test_a_study_without_scales_says_so(tmp_path):
    (tmp_path / "study.toml").write_text(HEAD)
    (tmp_path / "unit_scores.csv").write_text("period,unit_id,measure,value\n2026Q1,u1,internal,3\n")
    for one in drivers.drivers(ic.load(tmp_path)):
        assert "does not have two scales" in one.reason
        assert "cannot be answered" in priorities.priority_map(ic.load(tmp_path), one).text
