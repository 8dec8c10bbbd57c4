"""Change and goals on a page: what may be said of few people."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import icsat_helpers as ic
from icsat_helpers import progress, servicemap


@pytest.fixture(scope="module")
def drawn(example):
    return servicemap.service_map(example)


def row(people, before, same):
    return pd.DataFrame({"people": [people], "people_before": [before], "people_same": [same]}).assign(
        **dict.fromkeys(["total", "total_low", "total_high", *progress.SPLIT], 0.1)
    )


@pytest.mark.parametrize(
    ("people", "total", "split"),
    [
        ((20, 20, 10), True, True),
        ((20, 20, 4), True, False),  # four stayed
        ((20, 20, 17), True, False),  # three came: the means give away what they say
        ((16, 20, 16), True, False),  # four went
        ((20, 20, 20), True, True),  # nobody came or went
        ((4, 20, 0), False, False),
        ((20, 4, 0), False, False),
    ],
)
def test_a_split_tells_nothing_of_few_people(people, total, split):
    found = progress.publishable_change(row(*people), 5)
    assert len(found) == total
    if total:
        assert found[progress.SPLIT].notna().to_numpy().all() == split


def test_the_organisations_change_is_that_of_its_means(example):
    text = progress.organisation(example).text
    means = ic.scores.person_scores(example, "internal").groupby("t")["score"].mean()
    for t, label in ((example.t - 1, "2026Q2"), (example.t - 4, "2025Q3")):
        assert f"Since {label}" in text
        assert f"from {means[t]:.2f} to {means[example.t]:.2f}" in text


def test_providers_hidden_in_either_periods_map_have_no_change(example, drawn):
    text = progress.providers(example, drawn).text
    ratings = ic.scores.rating_scores(example)
    for t, part in zip(progress.compared(example), re.split(r"(?=provider \| people)", text)[1:], strict=True):
        then = servicemap.hidden_parts(example, ratings[ratings["t"] == t])
        listed = {line.split(" | ")[0] for line in part.splitlines()}
        for provider in drawn.providers["provider"]:
            hidden = drawn.hidden.rows[provider] or then.rows.get(provider, True)
            assert (drawn.names[provider] in listed) != hidden


def test_a_year_has_no_other_last_year(study_of_scores):
    study = study_of_scores(6, 3)
    assert progress.compared(study) == [study.t - 1]
    assert "no earlier period" in progress.organisation(study).text


def test_goals_are_listed_and_small_providers_hidden(example, drawn):
    text = progress.goals_page(example, drawn).text
    judged = ic.goals.judge(example).set_index("provider")
    hidden = set(drawn.providers.loc[~drawn.providers["shown"], "provider"]) & set(judged.index)
    assert hidden
    for provider, goal in judged.iterrows():
        (line,) = [line for line in text.splitlines() if line.startswith(f"{drawn.names[provider]} |")]
        if provider in hidden:
            assert line.endswith(servicemap.HIDDEN) and f"{goal['value']:.2f}" not in line
        else:
            assert line.endswith(goal["status"]) and f"{goal['value']:.2f}" in line
            assert np.isfinite(goal["probability"])
    assert text.startswith(f"Of {len(judged)} goals:")
