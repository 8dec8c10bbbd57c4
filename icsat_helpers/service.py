"""How each provider is rated in a period, net of who its customers are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from icsat_helpers import crossed
from icsat_helpers.inference import FEWEST_UNITS, NotEstimable, jackknife
from icsat_helpers.scores import favourable_answers, rating_scores
from icsat_helpers.sensitivity import SIGNIFICANT
from icsat_helpers.study import Study
from icsat_helpers.words import say

TERMS = {
    "provider": ["provider"],
    "customer": ["unit"],
    "relationship": ["unit", "provider"],
    "person": ["person"],
}
DRAWS, SEED = 4000, 20260930
RELIABLE = 0.5  # mean reliability of the providers' scores from which they may be ranked


@dataclass(frozen=True, slots=True)
class Served:
    """The ratings of a period and the model of them.

    Attributes
    ----------
    ratings : DataFrame
        unit, provider, t, person, score: one row a person and provider.
    model : Crossed or None
    reason : str
        Why there is no model, else "".
    asked : bool
        Whether the study has such ratings at all.
    """

    ratings: pd.DataFrame
    model: crossed.Crossed | None
    reason: str
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Ranking:
    """Whether providers may be ranked, and their ranks.

    Attributes
    ----------
    frame : DataFrame or None
        provider, rank_low, rank_high (marginal 95%, 1 is best); None where they can't be told apart.
    p : float
        Boundary likelihood-ratio p of the providers' variance; NaN without such a term.
    reliability : float
        Mean over providers; NaN likewise.
    """

    frame: pd.DataFrame | None
    p: float
    reliability: float


def served(study: Study, measure: str = "internal", t: int | None = None) -> Served:
    """Fit ``score ~ 1 + (1|provider) + (1|customer) + (1|provider:customer) + (1|person)`` to a period's ratings."""
    if not study.has("service_ratings"):
        return Served(rating_scores(study), None, say("the study has no table service_ratings"), asked=False)
    every = rating_scores(study, measure)
    ratings = every[every["t"] == (study.t if t is None else t)].reset_index(drop=True)
    try:
        return Served(ratings, crossed.fit(ratings, "score", TERMS), "")
    except NotEstimable as why:
        return Served(ratings, None, str(why))


def provider_means(found: Served) -> pd.DataFrame:
    """Predicted mean of each provider: what an average person of an average customer unit says of it.

    Returns
    -------
    DataFrame
        provider, n (people), mean, se, low, high (95%, from the predictive distribution; NaN without a model).
    """
    people = found.ratings.groupby("provider")["person"].nunique().rename("n").reset_index()
    if found.model is None:
        plain = found.ratings.groupby("provider")["score"].mean().to_numpy()
        return people.assign(mean=plain, se=np.nan, low=np.nan, high=np.nan)
    mean, se = np.full(len(people), found.model.mean), np.full(len(people), found.model.mean_se)
    if "provider" in found.model.levels:
        predicted = found.model.predict("provider")
        mean, se = predicted.mean, np.sqrt(np.diag(predicted.covariance))
    half = stats.norm.ppf(0.975) * se
    return people.assign(mean=mean, se=se, low=mean - half, high=mean + half)


def ranking(found: Served) -> Ranking:
    """Ranks of providers with intervals from joint draws, where providers can be told apart at all."""
    if found.model is None or "provider" not in found.model.levels:
        return Ranking(None, float("nan"), float("nan"))
    predicted, p = found.model.predict("provider"), found.model.p("provider")
    reliability = float(predicted.reliability.mean())
    if p >= SIGNIFICANT or reliability < RELIABLE:
        return Ranking(None, p, reliability)
    low, high = rank_intervals(predicted)
    frame = pd.DataFrame({"provider": predicted.levels, "rank_low": low, "rank_high": high})
    return Ranking(frame, p, reliability)


def rank_intervals(predicted: crossed.Prediction, draws: int = DRAWS) -> tuple[np.ndarray, np.ndarray]:
    """Marginal 95% intervals of ranks (1 is the highest mean) from joint draws of the predictive distribution.

    Examples
    --------
    >>> sure = crossed.Prediction(pd.Index(["a", "b"]), np.array([3.0, 4.0]), np.eye(2) / 1e4, np.ones(2))
    >>> [ends.tolist() for ends in rank_intervals(sure)]
    [[2, 1], [2, 1]]
    """
    values, vectors = np.linalg.eigh(predicted.covariance)
    noise = np.random.default_rng(SEED).standard_normal((draws, len(values)))
    drawn = predicted.mean + noise * np.sqrt(values.clip(0)) @ vectors.T
    ranks = (-drawn).argsort(axis=1).argsort(axis=1) + 1
    low, high = np.quantile(ranks, [0.025, 0.975], axis=0, method="inverted_cdf")
    return low.astype(int), high.astype(int)


def favourable(study: Study) -> pd.DataFrame:
    """Share of favourable answers on each provider in the reported period, with an interval clustered by unit.

    Wilson's interval on the effective number of answers, after leaving out one customer unit at a time (Korn &
    Graubard 1998); none below five units.

    Returns
    -------
    DataFrame
        provider, share, share_low, share_high.
    """
    columns = ["provider", "share", "share_low", "share_high"]
    if not study.has("service_ratings"):
        return pd.DataFrame(columns=columns)
    answers = favourable_answers(study, "internal")
    answers = answers[(answers["t"] == study.t) & (answers["answers"] > 0)]
    sums = answers.groupby(["provider", "unit"])[["yes", "answers"]].sum()
    rows = [(provider, *_share(part.to_numpy(dtype=float))) for provider, part in sums.groupby(level=0)]
    return pd.DataFrame(rows, columns=columns)


def _share(parts: np.ndarray) -> tuple[float, float, float]:
    """Share and interval from each unit's favourable and all answers (units x 2)."""
    whole = parts.sum(axis=0)
    share = float(whole[0] / whole[1])
    if len(parts) < FEWEST_UNITS:
        return share, np.nan, np.nan
    left = whole - parts
    estimate = jackknife(share, left[:, 0] / left[:, 1])
    effective = float(whole[1])
    if estimate.se > 0:
        wider = stats.norm.ppf(0.975) / stats.t.ppf(0.975, estimate.dof)
        effective = min(effective, share * (1 - share) / estimate.se**2 * wider**2)
    low, high = proportion_confint(share * effective, effective, method="wilson")
    return share, float(low), float(high)
