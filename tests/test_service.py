"""Providers are told apart only where they differ: what each term of the model guards against, and ranks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from test_crossed import ratings

from icsat_helpers import crossed, service


def seen(frames, *without):
    """In how many of the frames providers are found, with the terms that are left."""
    terms = {name: columns for name, columns in service.TERMS.items() if name not in without}
    return sum(crossed.fit(frame, "score", terms).p("provider") < 0.05 for frame in frames)


def test_relations_and_persons_left_out_are_read_as_providers_where_there_are_none():
    """Provider and customer unit alone find providers in most organisations in which there are none.

    With one row a person and provider it is the relations that do it: a provider's few customers happen to get on
    well with it. Persons alone do not, for their leniency is as independent from row to row as any noise.
    """
    frames = [
        ratings(seed, units=6, per_unit=20, providers=12, rate=6, sd=(0, 0.2, 0.5, 0.4, 0.5))
        for seed in range(100, 106)
    ]
    assert seen(frames, "relationship", "person") >= 4
    assert seen(frames) <= 1


def test_persons_left_out_are_read_as_providers_where_they_answer_more_than_once():
    frames = []
    for seed in range(200, 208):
        once = ratings(seed, units=1, per_unit=30, providers=10, rate=3, sd=(0, 0, 0, 0.5, 0))
        four = once.loc[once.index.repeat(4)].reset_index(drop=True)
        frames.append(four.assign(score=four["score"] + np.random.default_rng(seed + 1000).normal(0, 0.5, len(four))))
    assert seen(frames, "person") >= 5
    assert seen(frames) <= 1


def found(frame):
    return service.Served(frame, crossed.fit(frame, "score", service.TERMS), "")


def test_providers_that_do_not_differ_are_not_ranked():
    assert service.ranking(found(ratings(9, sd=(0.0, 0.2, 0.3, 0.4, 0.5)))).frame is None


def test_significant_differences_in_unreliable_scores_are_not_ranked(monkeypatch):
    frame = ratings(21, units=12, per_unit=6, providers=30, rate=4, sd=(0.3, 0.1, 0.1, 0.4, 0.8))
    ranks = service.ranking(found(frame))
    assert ranks.p < 0.05
    assert ranks.reliability < service.RELIABLE
    assert ranks.frame is None
    monkeypatch.setattr(service, "RELIABLE", 0.0)
    assert service.ranking(found(frame)).frame is not None


def test_rank_intervals_are_those_of_joint_draws():
    """Two providers that are almost surely the same distance apart keep their order, however uncertain both are."""
    together = np.array([[1.0, 0.999, 0.0], [0.999, 1.0, 0.0], [0.0, 0.0, 0.0001]])
    predicted = crossed.Prediction(pd.Index(list("abc")), np.array([3.0, 3.3, 9.0]), together, np.ones(3))
    low, high = service.rank_intervals(predicted)
    assert low.tolist() == [3, 2, 1]
    assert high.tolist() == [3, 2, 1]
    apart = crossed.Prediction(predicted.levels, predicted.mean, np.diag(np.diag(together)), np.ones(3))
    assert service.rank_intervals(apart)[0].tolist() == [2, 2, 1]


def test_rank_intervals_hold_the_true_ranks():
    """Six organisations of twelve providers: 90% or more, some three standard errors below 95%."""
    held = []
    for seed in range(6):
        frame = ratings(seed, units=12, per_unit=5, providers=12, rate=5, sd=(0, 0.2, 0.2, 0.4, 0.5))
        code = frame.groupby("provider").ngroup()
        effect = np.random.default_rng(seed).normal(0, 0.5, code.max() + 1)
        ranks = service.ranking(found(frame.assign(score=frame["score"] + effect[code])))
        true = pd.Series(-effect).rank().to_numpy()
        held += [*((ranks.frame["rank_low"] <= true) & (true <= ranks.frame["rank_high"]))]
        assert (ranks.frame["rank_high"] - ranks.frame["rank_low"]).mean() < 8
    assert np.mean(held) >= 0.90


def test_means_of_providers_without_a_term_of_their_own():
    frame = pd.DataFrame({"unit": "u", "provider": "v", "person": list("abcd"), "score": [1.0, 2.0, 3.0, 5.0]})
    one = service.provider_means(found(frame)).iloc[0]
    assert (one["n"], one["mean"], one["se"]) == (4, pytest.approx(2.75), pytest.approx(frame["score"].sem()))


def test_the_same_study_gives_the_same_ranks(small):
    one, two = (service.ranking(service.served(small)) for _ in range(2))
    assert one.p == two.p
    assert one.frame is None or one.frame.equals(two.frame)


def test_a_study_without_ratings_says_which_table_it_wants(study_of_scores):
    study = study_of_scores(6, 2)
    nothing = service.served(study)
    assert nothing.model is None and "service_ratings" in nothing.reason
    assert service.ranking(nothing).frame is None
    assert service.provider_means(nothing).empty
