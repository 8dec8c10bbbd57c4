"""The service map's page: what it shows, hides and says."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from test_margins import attack, safe

import icsat_helpers as ic
from icsat_helpers import charts, service, servicemap
from icsat_helpers.inference import jackknife


@pytest.fixture(scope="module")
def drawn(example):
    return servicemap.service_map(example)


def words(page):
    return page.alt if isinstance(page, charts.Chart) else page.text


def everything(study, found):
    parts = (servicemap.describe, servicemap.heat_map, servicemap.ranks, servicemap.table, servicemap.variance,
             servicemap.sensitivity, servicemap.advice)  # fmt: skip
    return "\n".join([*(words(part(found)) for part in parts), ic.sensitivity.table(servicemap.checks(found)).text])


def test_every_relation_of_fewer_people_is_hidden_and_cannot_be_worked_out(example, drawn):
    minimum = example.settings.minimum_group
    table = drawn.served.ratings.rename(columns={"provider": "row", "unit": "column"})
    people = table.groupby(["row", "column"])["person"].nunique()
    assert all(drawn.hidden.cells.at[key] for key in people.index[people < minimum])
    assert safe(attack(table, drawn.hidden, minimum))
    assert drawn.hidden.cells.to_numpy().sum() < 1.25 * (people < minimum).sum()


def test_the_figure_draws_no_hidden_mean(drawn):
    figure = servicemap.heat_map(drawn).figure
    (mesh,) = [
        part for part in figure.axes[0].collections if part.get_array() is not None and part.get_array().ndim == 2
    ]
    values = np.ma.filled(mesh.get_array(), np.nan)
    order = drawn.providers["provider"]
    columns = drawn.names[drawn.hidden.columns.index].sort_values().index
    cells = drawn.hidden.cells.loc[order, columns].to_numpy()
    assert np.isnan(values[:-2, :-2][cells]).all()
    assert np.isnan(values[:-2, -1][drawn.hidden.rows[order]]).all()
    assert np.isnan(values[-1, :-2][drawn.hidden.columns[columns]]).all()
    shown = drawn.served.ratings.groupby(["provider", "unit"])["score"].mean().unstack().loc[order, columns].to_numpy()
    np.testing.assert_allclose(values[:-2, :-2][~cells], shown[~cells])


def test_the_alt_text_names_the_three_strongest_and_weakest_visible_relations(drawn):
    means = (
        drawn.served.ratings.groupby(["provider", "unit"])["score"]
        .mean()
        .unstack()
        .mask(drawn.hidden.cells)
        .stack()
        .dropna()
    )
    ends = means.sort_values()
    for (provider, unit), value in [*ends.head(3).items(), *ends.tail(3).items()]:
        assert f"{drawn.names[provider]} for {drawn.names[unit]} {value:.1f}" in servicemap.heat_map(drawn).alt


def test_hidden_providers_are_nowhere_and_their_place_says_nothing(drawn):
    hidden = drawn.providers.loc[~drawn.providers["shown"]]
    assert len(hidden) > 0
    assert drawn.providers["shown"].is_monotonic_decreasing
    assert hidden["mean"].isna().all()
    for page in (servicemap.ranks(drawn), servicemap.table(drawn), servicemap.advice(drawn)):
        assert not any(name in words(page) for name in hidden["name"])


def test_ranks_are_shown_as_what_they_are(drawn):
    text = servicemap.ranks(drawn).alt
    assert re.search(r"At the top: [^:]+, rank 1 to \d+ of", text)
    assert "Each rank alone lies in its interval with 95%" in text


def test_no_ranking_is_said_in_words_and_names_stand_in_their_own_order(small, monkeypatch):
    monkeypatch.setattr(ic.service, "SIGNIFICANT", 0.0)
    monkeypatch.setattr(servicemap, "SIGNIFICANT", 0.0)
    found = servicemap.service_map(small)
    text = everything(small, found)
    assert found.ranking.frame is None
    assert "Providers are not ranked" in text and "order of their names" in text
    assert found.providers["name"].is_monotonic_increasing
    assert not re.search(r"rank \d|Start with", text)
    monkeypatch.setattr(ic.service, "SIGNIFICANT", 0.05)
    assert servicemap.service_map(small).ranking.frame is not None  # so that the guard has something to stop


def test_metrics_are_the_contracts(example, drawn):
    rows = servicemap.metrics(drawn, "03-service-map").rows
    found = {metric.name: metric for metric in rows if metric.name != "lower_half"}
    assert list(found) == [f"variance_share.{name}" for name in ("provider", "customer", "relationship", "person")]
    assert {metric.of for metric in found.values()} == {"internal"}
    for name, metric in found.items():
        assert metric.value == drawn.served.model.shares[name.removeprefix("variance_share.")]
    low = {metric.of for metric in rows if metric.name == "lower_half"}
    shown = drawn.providers[drawn.providers["shown"]]
    assert low == set(shown.loc[shown["rank_low"] > (len(drawn.providers) + 1) / 2, "name"])


def test_favourable_shares_have_the_jackknifes_spread(example):
    """Where the effective number is not capped, Wilson's interval is about as wide as the jackknife's."""
    found = service.favourable(example).set_index("provider")
    answers = ic.scores.favourable_answers(example, "internal")
    answers = answers[answers["t"] == example.t]
    ratios = []
    for provider, part in answers.groupby("provider"):
        sums = part.groupby("unit")[["yes", "answers"]].sum()
        assert found.at[provider, "share"] == pytest.approx(sums["yes"].sum() / sums["answers"].sum())
        if len(sums) < 5:
            assert np.isnan(found.at[provider, "share_low"])
            continue
        left = sums.sum() - sums
        low, high = jackknife(found.at[provider, "share"], (left["yes"] / left["answers"]).to_numpy()).interval()
        ratios.append((found.at[provider, "share_high"] - found.at[provider, "share_low"]) / (high - low))
        assert (
            0 <= found.at[provider, "share_low"] <= found.at[provider, "share"] <= found.at[provider, "share_high"] <= 1
        )
    assert 0.8 < np.median(ratios) < 1.1


TOML = """
contract = 1
[study]
name = "Small"
[items.fast]
table = "service_ratings"
scale = "responsiveness"
"""


def study(tmp_path, rows, goals=""):
    (tmp_path / "study.toml").write_text(TOML)
    (tmp_path / "service_ratings.csv").write_text("period,customer_unit,provider_unit,person_id,fast\n" + "".join(rows))
    if goals:
        (tmp_path / "goals.csv").write_text("provider_unit,target,scale,period\n" + goals)
    return ic.load(tmp_path)


DEGENERATE = {
    "one unit, one provider": [f"2026Q1,u1,v1,p{i},{1 + i % 5}\n" for i in range(12)],
    "constant answers": [f"2026Q1,u{i % 6},v{i % 2},p{i},4\n" for i in range(18)],
    "all give the highest": [f"2026Q1,u{i % 6},v{i % 2},p{i},5\n" for i in range(70)],
    "one person": ["2026Q1,u1,v1,p1,4\n"],
    "a unit of one": [f"2026Q1,u{i // 6},v{j},p{i},{1 + (3 * i + j) % 5}\n" for i in range(31) for j in range(3)],
    "nobody is known": [f"2026Q1,u{i // 6},v{j},,{1 + (3 * i + j) % 5}\n" for i in range(31) for j in range(3)],
    "no answer": ["2026Q1,u1,v1,p1,\n"] * 3,
    "each rates itself": [f"2026Q1,u{i % 6},u{i % 6},p{i},{1 + (i * i) % 5}\n" for i in range(60)],
}


@pytest.mark.parametrize("rows", DEGENERATE.values(), ids=DEGENERATE)
def test_a_degenerate_study_ends_well(tmp_path, rows):
    data = study(tmp_path, rows, "v1,3,,\nv9,4,responsiveness,2026Q1\n")
    found = servicemap.service_map(data)
    text = everything(data, found) + ic.progress.organisation(data).text + ic.progress.providers(data, found).text
    text += ic.progress.goals_page(data, found).text
    assert "nan" not in text.lower().split()
    assert found.ranking.frame is not None or "not ranked" in text or "no service map" in text
    servicemap.metrics(found, "03-service-map")


def test_a_study_without_ratings_says_which_table_it_wants(study_of_scores):
    data = study_of_scores(6, 2)
    found = servicemap.service_map(data)
    assert everything(data, found).count("the study has no table service_ratings") >= 4
    assert servicemap.metrics(found, "x").rows == ()


def test_too_few_people_are_not_even_counted(tmp_path):
    data = study(tmp_path, ["2026Q1,u1,v1,p1,4\n", "2026Q1,u2,v1,p2,3\n", "2026Q1,u2,v2,p2,1\n"])
    found = servicemap.service_map(data)
    assert words(servicemap.describe(found)) == "Fewer people rated than may be described."
    assert servicemap.metrics(found, "x").rows == ()


def test_forty_by_forty_is_readable():
    """Names do not overlap: each row and column has its own 13 points, for type of 7."""
    rng = np.random.default_rng(1)
    names = [f"Department number {i}" for i in range(40)]
    values = pd.DataFrame(rng.normal(3.3, 0.5, (40, 40)), names, names).rename_axis(
        index="provider", columns="customer unit"
    )
    margins = (values.mean(axis=1), values.mean())
    made = charts.heatmap(values, values < 3, "Mean score", margins)
    axes = made.figure.axes[0]
    made.figure.canvas.draw()
    box = axes.get_window_extent().transformed(made.figure.dpi_scale_trans.inverted())
    assert box.width * 72 / 42 > 9 and box.height * 72 / 42 > 9
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(one.y0 >= two.y1 - 1 for one, two in pairwise(boxes))
    assert len(made.svg()) < 2_000_000
