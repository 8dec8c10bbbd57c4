"""Organisations whose truth is known, as a survey and the systems beside it would record them.

The latent answer of a person is found by inverting the mean of a rounded and clipped answer, so that one point
of an effect is one point of the expected recorded answer.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from icsat_helpers import organisation as world
from icsat_helpers.organisation import Array, Units

EFFECTS: dict[str, float] = {
    "internal_to_morale": 0.5,
    "morale_to_external": 3.0,
    "internal_to_external": 4.0,
    "internal_to_retention": -1.0,
    "performance_to_retention": -0.5,
    "internal_to_productivity": 0.08,
    "associate_difference": 0.0,
    "programme_communication": 0.25,
    "programme_feedback": 0.20,
    "programme_training": 0.15,
    "programme_recognition": 0.0,
}
RESOURCES = Path(__file__).parent / "resources"
RATING, SCALE, ITEM = 0.50, 0.30, 0.95  # latent noise of a rating, of a scale within it, of an item
MISSING, TWICE, STRAIGHT, COMMENT = 0.02, 0.015, 0.02, 0.05  # shares of what real data suffers from
OFFSETS = np.array([0.1, -0.1])  # some items are easier to agree with


@dataclass(frozen=True, slots=True)
class Organisation:
    """Tables of a study, its ``study.toml`` and the truth behind them."""

    tables: dict[str, pd.DataFrame]
    study_toml: str
    truth: dict[str, dict[str, float]]


def organisation(
    units: int = 39,
    people: int = 1100,
    periods: int = 12,
    seed: int = 1,
    effects: dict[str, float] | None = None,
) -> Organisation:
    """Simulate an organisation.

    Parameters
    ----------
    units : int
        Departments, suppliers, contractor firms and distributors together, at least 2.
    people, periods, seed : int
        Associates at any one time, quarters up to 2026Q3, and the seed.
    effects : dict, optional
        Values that replace those of `EFFECTS`.

    Raises
    ------
    ValueError
        For an unknown effect, or fewer than 2 units, 2 people a unit or 1 period.

    Examples
    --------
    >>> small = organisation(units=6, people=60, periods=4, seed=3)
    >>> len(small.tables["units"]), small.truth["effects"]["internal_to_morale"]
    (6, 0.5)
    """
    unknown = sorted(set(effects or {}) - set(EFFECTS))
    if unknown:
        raise ValueError(f"unknown effects: {', '.join(unknown)}; there are: {', '.join(EFFECTS)}")
    if units < 2 or people < 2 * units or periods < 1:
        raise ValueError("an organisation needs at least 2 units, 2 people a unit and 1 period")
    value = {**EFFECTS, **(effects or {})}
    rng = np.random.default_rng(seed)
    what = world.draw_units(rng, units, periods, value)
    people_table, quarters = world.draw_people(rng, what, people, periods, value)
    answers = quarters[quarters["answers"]].reset_index(drop=True)
    words = tomllib.loads((RESOURCES / "organisation.toml").read_text(encoding="utf-8"))
    names = _names(what.kind, words)
    morale = _morale_levels(rng, what, value)
    tables = {
        "units": pd.DataFrame({"unit_id": what.ids, "unit_name": names, "kind": what.kind, "site": _sites(what.kind)}),
        "people": people_table,
        "service_ratings": _ratings(rng, what, answers, people_table, words["comments"], periods),
        "morale": _morale(rng, what, morale, answers, people_table, periods),
        "external_ratings": _external(rng, what, morale, value, periods),
        "operations": _operations(rng, what, quarters, value, periods),
        "programmes": _programme_table(what, periods),
        "goals": _goals(rng, what),
    }
    truth = {"effects": value, "estimands": estimands(value, periods), "variance_shares": _shares(what, value)}
    return Organisation(tables, _study_toml(seed), truth)


def write(simulated: Organisation, folder: str | Path) -> None:
    """Write an organisation to `folder`: ``study.toml``, ``truth.toml`` and one CSV a table."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / "study.toml").write_text(simulated.study_toml, encoding="utf-8", newline="\n")
    lines = ["# What was put into this organisation, and the value that each finding's estimate should be near."]
    for block, values in simulated.truth.items():
        lines += ["", f"[{block}]", *(f'"{name}" = {float(value):.6g}' for name, value in values.items())]
    (target / "truth.toml").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    for name, table in simulated.tables.items():
        table.to_csv(target / f"{name}.csv", index=False, lineterminator="\n", encoding="utf-8")


def estimands(effects: dict[str, float], periods: int) -> dict[str, float]:
    """The models' slopes on noise-free scores, with as many periods and very many units.

    Carry-over of satisfaction, short panels and paths through morale all enter a slope; so it is computed on
    3,900 units from a fixed seed, not read off the effects.
    """
    return dict(_estimands(tuple(sorted(effects.items())), periods))


@lru_cache(maxsize=8)
def _estimands(given: tuple[tuple[str, float], ...], periods: int) -> dict[str, float]:
    effects = dict(given)
    what = world.draw_units(np.random.default_rng(20260930), 3900, periods, effects)
    internal = what.common
    employees, associates = (
        world.common_morale(what, effects),
        world.common_morale(what, effects, associate=True),
    )
    external = effects["internal_to_external"] * internal + effects["morale_to_external"] * employees  # one period on
    now = internal[:, 2:-1]
    own, extra = effects["internal_to_retention"], effects["performance_to_retention"]
    result = {"H3": own + world.GOOD_SHARE * extra, "H3.performance": extra}
    if periods >= 3:
        result["H1"] = _within_slope(external[:, 2:-1], now)
        result["H2"] = _within_slope(employees[:, 3:], now)
        result["H4"] = effects["internal_to_productivity"]
        result["H6"] = _within_slope(associates[:, 3:], now)
    if periods >= 4:
        result["H5"] = result["H2"] * _within_slope(external[:, 3:-1], employees[:, 3:-1], internal[:, 3:-1])
    treated = what.programmes["programme"].value_counts()
    if len(treated):
        parts = {name: effects[f"programme_{name}"] for name in world.PROGRAMMES}
        result |= {f"H7.{name}": value for name, value in parts.items()}
        result["H7"] = float(np.average(list(parts.values()), weights=treated[list(parts)]))
    return dict(sorted(result.items()))


def _within_slope(outcome: Array, *regressors: Array) -> float:
    """First coefficient after removing unit (row) and period (column) means of balanced arrays."""

    def within(values: Array) -> Array:
        centred = values - values.mean(axis=1, keepdims=True)
        return (centred - centred.mean(axis=0)).ravel()

    design = np.column_stack([within(r) for r in regressors])
    return float(np.linalg.lstsq(design, within(outcome), rcond=None)[0][0])


def _shares(what: Units, effects: dict[str, float]) -> dict[str, float]:
    """Variance shares of one person's internal score of one provider, in the last period."""
    noise = 0.9**2 * (RATING**2 + SCALE**2 / 4 + ITEM**2 / 8)  # a recorded answer moves .9 for a latent 1
    gained = np.zeros(len(what.ids))  # every programme has started by then
    np.add.at(gained, what.programmes["unit"], [effects[f"programme_{name}"] for name in what.programmes["programme"]])
    parts = {
        "provider": world.PROVIDER**2 + world.PROVIDER_MOVE**2 + float(gained.var(ddof=1)),
        "customer": world.CUSTOMER**2 + world.MOVE**2,
        "relationship": world.PAIR**2,
        "person": world.LENIENCY**2 + world.MOOD**2,
    }
    total = sum(parts.values()) + noise
    return {name: value / total for name, value in parts.items()}


# ---------------------------------------------------------------- answers


def _latent(expected: Array, noise: float) -> Array:
    """Latent mean whose rounded and clipped answer has this expectation."""
    grid = np.linspace(-2, 8, 1001)
    cuts = np.array([1.5, 2.5, 3.5, 4.5])
    recorded = 1 + sum(ndtr((grid + o - cut) / noise) for cut in cuts for o in OFFSETS) / len(OFFSETS)
    return np.interp(np.clip(expected, 1.05, 4.95), recorded, grid)


def _items(rng: np.random.Generator, expected: Array, blocks: list[int], reversed_: list[int], rating: float) -> Array:
    """Answers (n x items) around an expectation: `blocks` gives the number of items of each scale."""
    n, k = len(expected), sum(blocks)
    latent = _latent(expected, np.sqrt(rating**2 + SCALE**2 + ITEM**2)) + rng.normal(0, rating, n)
    scale = np.repeat(rng.normal(0, SCALE, (n, len(blocks))), blocks, axis=1)
    latent = latent[:, None] + scale + rng.normal(0, ITEM, (n, k)) + np.resize(OFFSETS, k)
    answers = np.clip(np.rint(latent), 1, 5)
    answers[:, reversed_] = 6 - answers[:, reversed_]
    straight = rng.random(n) < STRAIGHT
    answers[straight] = np.clip(np.rint(expected[straight]), 1, 5)[:, None]
    answers[rng.random((n, k)) < MISSING] = np.nan
    return answers


def _frame(answers: Array, table: str) -> pd.DataFrame:
    items = tomllib.loads((RESOURCES / "questionnaire.toml").read_text(encoding="utf-8"))["items"]
    names = [name for name, item in items.items() if item["table"] == table]
    return pd.DataFrame(answers, columns=names).astype("Int64")


def _twice(rng: np.random.Generator, frame: pd.DataFrame) -> pd.DataFrame:
    """Some people answer twice; the second answer is a day later and its first item is one point higher."""
    again = frame[rng.random(len(frame)) < TWICE].copy()
    again["answered_at"] += np.timedelta64(1, "D")
    item = next(name for name in frame if name.endswith("_1"))
    again[item] = (again[item] % 5) + 1
    both = pd.concat([frame, again]).sort_index(kind="stable").reset_index(drop=True)
    both["answered_at"] = both["answered_at"].dt.strftime("%Y-%m-%d")
    return both


def _ratings(
    rng: np.random.Generator,
    what: Units,
    answers: pd.DataFrame,
    people: pd.DataFrame,
    words: dict[str, Any],
    periods: int,
) -> pd.DataFrame:
    """Each respondent rates 2 to 6 of the 3 to 8 providers they use: planned-missing cells."""
    used = what.users.shape[1]
    person = answers["person"].to_numpy()
    order = rng.random((len(people), used)).argsort(axis=1).argsort(axis=1)
    uses = (order < rng.integers(3, 9, len(people))[:, None])[person]
    rank = np.where(uses, rng.random(uses.shape), 2.0).argsort(axis=1).argsort(axis=1)
    rates = uses & (rank < rng.integers(2, 7, len(answers))[:, None])
    row, place = np.nonzero(rates)
    unit, t = answers["unit"].to_numpy()[row], answers["t"].to_numpy()[row]
    expected = what.served[unit, place, t + 2] + answers["own"].to_numpy()[row]
    frame = pd.DataFrame(
        {
            "period": np.array(world.period_labels(periods))[t],
            "customer_unit": what.ids[unit],
            "provider_unit": what.ids[what.users[unit, place]],
            "person_id": people["person_id"].to_numpy()[person[row]],
        }
    )
    frame = frame.join(_frame(_items(rng, expected, [2, 2, 2, 2, 1], [7], RATING), "service_ratings"))
    frame["language"] = people["language"].to_numpy()[person[row]]
    frame["comment"] = _comments(rng, frame, words)
    frame["answered_at"] = answers["day"].to_numpy()[row]
    return _twice(rng, frame)


def _comments(rng: np.random.Generator, frame: pd.DataFrame, words: dict[str, Any]) -> Array:
    """Few people comment: on the scale they rate lowest, or in praise."""
    scales = ["communication", "responsiveness", "quality", "productivity"]
    low = frame[[f"{scale}_1" for scale in scales]].astype(float).fillna(3).to_numpy()
    theme = np.where(low.min(axis=1) >= 4, "praise", np.array(scales)[low.argmin(axis=1)])
    says = np.full(len(frame), None, dtype=object)
    for i in np.flatnonzero(rng.random(len(frame)) < COMMENT):
        says[i] = rng.choice(words[str(theme[i])][frame["language"].iat[i]])
    return says


def _morale_levels(rng: np.random.Generator, what: Units, effects: dict[str, float]) -> dict[bool, Array]:
    """Common morale of employees (False) and of associates (True), N x (T + 2), with shocks of its own."""
    shape = what.common.shape
    noise = rng.normal(0, 0.15, (shape[0], 1)) + rng.normal(0, 0.03, shape[1]) + rng.normal(0, 0.08, shape)
    return {who: world.common_morale(what, effects, associate=who) + noise for who in (False, True)}


def _morale(
    rng: np.random.Generator,
    what: Units,
    levels: dict[bool, Array],
    answers: pd.DataFrame,
    people: pd.DataFrame,
    periods: int,
) -> pd.DataFrame:
    """Pulse answers of those who rated (but for one in twenty); leniency and mood are in them too."""
    kept = answers[rng.random(len(answers)) < 0.95]
    unit, t = kept["unit"].to_numpy(), kept["t"].to_numpy()
    level = np.where(kept["associate"], levels[True][unit, t + 2], levels[False][unit, t + 2])
    expected = level + (0.5 * kept["leniency"] + 0.8 * kept["mood"]).to_numpy() + rng.normal(0, 0.25, len(kept))
    frame = pd.DataFrame(
        {
            "period": np.array(world.period_labels(periods))[t],
            "unit_id": what.ids[unit],
            "person_id": people["person_id"].to_numpy()[kept["person"]],
        }
    )
    frame = frame.join(_frame(_items(rng, expected, [2, 3, 1], [1], 0.0), "morale"))
    frame["answered_at"] = kept["day"].to_numpy()
    return _twice(rng, frame)


# ---------------------------------------------------------------- outcomes


def _external(
    rng: np.random.Generator, what: Units, morale: dict[bool, Array], effects: dict[str, float], periods: int
) -> pd.DataFrame:
    """Answers of external customers, 0 to 100; beta-distributed, so that their mean is exactly what it should be."""
    n = len(what.ids)
    before = effects["internal_to_external"] * (what.common - world.MEAN) + effects["morale_to_external"] * (
        morale[False] - 3.5
    )
    level = (
        70 + rng.normal(0, 4, (n, 1)) + rng.normal(0, 0.5, periods) + rng.normal(0, 0.7, (n, periods)) + before[:, 1:-1]
    )
    typical = np.exp(rng.uniform(np.log(35), np.log(200), n))
    count = np.clip(rng.poisson(typical[:, None], (n, periods)), 20, 200)
    unit, t = np.repeat(np.indices((n, periods)).reshape(2, -1), count.ravel(), axis=1)
    mean = np.clip(level, 30, 95)[unit, t] / 100
    score = np.rint(100 * rng.beta(9 * mean, 9 * (1 - mean)))
    recommend = np.clip(np.rint(score / 10 + rng.normal(0, 1, len(score))), 0, 10)
    frame = pd.DataFrame({"period": np.array(world.period_labels(periods))[t], "unit_id": what.ids[unit]})
    return frame.assign(score=score.astype(int), recommend=recommend.astype(int))


def _operations(
    rng: np.random.Generator, what: Units, quarters: pd.DataFrame, effects: dict[str, float], periods: int
) -> pd.DataFrame:
    n = len(what.ids)
    heads = quarters.groupby(["unit", "t"]).size().unstack("t").to_numpy()
    past = what.common[:, 1:-1] - world.MEAN
    log_rate = rng.normal(1, 0.3, (n, 1)) + rng.normal(0, 0.02, periods) + rng.normal(0, 0.04, (n, periods))
    hours = np.rint(heads * 450 * rng.uniform(0.95, 1.05, (n, periods)))
    output = np.rint(hours * np.exp(log_rate + effects["internal_to_productivity"] * past))
    requests = rng.poisson(heads * 8.0)
    response = np.exp(rng.normal(2, 0.3, (n, 1)) + rng.normal(0, 0.15, (n, periods)))
    rework = rng.beta(4, 76, (n, periods))
    frame = pd.DataFrame({"period": np.tile(world.period_labels(periods), n), "unit_id": np.repeat(what.ids, periods)})
    return frame.assign(
        output=output.ravel().astype(int), hours=hours.ravel().astype(int), requests=requests.ravel(),
        first_response_hours=response.ravel().round(2), rework_rate=rework.ravel().round(4),
    )  # fmt: skip


# ---------------------------------------------------------------- small tables


def _names(kind: Array, words: dict[str, Any]) -> list[str]:
    pools = {
        "internal": "departments",
        "supplier": "suppliers",
        "contractor": "contractors",
        "distributor": "distributors",
    }
    taken = dict.fromkeys(pools, 0)
    names = []
    for one in kind:
        pool, i = words[pools[one]], taken[one]
        names.append(pool[i] if i < len(pool) else f"{pool[i % len(pool)]} {i // len(pool) + 1}")
        taken[one] += 1
    return names


def _sites(kind: Array) -> Array:
    return np.where(kind == "internal", np.resize(["North", "Centre", "South"], len(kind)), "Partners")


def _programme_table(what: Units, periods: int) -> pd.DataFrame:
    rows = what.programmes
    started = np.array(world.period_labels(periods))[rows["start"].to_numpy(dtype=int)]
    frame = pd.DataFrame({"unit_id": what.ids[rows["unit"].to_numpy(dtype=int)], "programme": rows["programme"]})
    return frame.assign(started=started, ended=None, assigned=None)


def _goals(rng: np.random.Generator, what: Units) -> pd.DataFrame:
    chosen = np.sort(rng.choice(len(what.ids), min(10, len(what.ids)), replace=False))
    targets = rng.choice([3.2, 3.4, 3.5, 3.6, 3.8], len(chosen))
    return pd.DataFrame({"provider_unit": what.ids[chosen], "target": targets, "scale": None, "period": world.LATEST})


def _study_toml(seed: int) -> str:
    head = (
        "# A simulated organisation: made by `icsat simulate`, its truth is in truth.toml.\n"
        'contract = 1\n\n[study]\nname = "Example Group"\nfrequency = "quarter"\nminimum_group = 5\nlanguage = "en"\n\n'
        "[answer_scale]\nminimum = 1\nmaximum = 5\nfavourable = 4\n\n"
    )
    questionnaire = (RESOURCES / "questionnaire.toml").read_text(encoding="utf-8")
    return head + questionnaire.split("\n\n", 1)[1]
