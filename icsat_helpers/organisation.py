"""The world behind a simulated organisation: units, what moves them, people and how long they stay.

Everything is in points of *expected recorded answers*, and what happens to a unit is driven by its common
score, never by the realised mean of the people who happened to answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from icsat_helpers.periods import period_end, period_label, period_number

Array = npt.NDArray[Any]

PROGRAMMES = ("communication", "feedback", "training", "recognition")
LATEST = "2026Q3"

# Standard deviations. Shares of a rating's variance follow: provider about 20%, customer unit 6%, pair 8%, person 20%.
PROVIDER, CUSTOMER, PAIR, LENIENCY, MOOD = 0.40, 0.15, 0.25, 0.35, 0.19
PROVIDER_MOVE = 0.05  # change of a provider between periods, not carried over
MOVE, MOVE_CARRIED = 0.17, 0.4  # change of a unit's common score between periods, and how much carries over
MEAN, GOOD_SHARE = 3.35, 0.35  # mean answer; share of good performers
LIST = 10  # providers that the people of a unit use
VOLUNTARY, OTHER = 0.024, 0.007  # hazards a quarter of an average person


@dataclass(frozen=True, slots=True)
class Units:
    """Units (N), the providers each uses (L), over the periods (T) and two before them.

    Attributes
    ----------
    ids, kind : array, N
    users : array of int, N x L, the providers that each unit uses
    provider : array, N x (T + 2), what each provider adds to what its customers say
    served : array, N x L x (T + 2), expected recorded answer of the unit's average person
    programmes : DataFrame of unit, programme, start (0 to T - 1), one row a programme in a provider
    """

    ids: Array
    kind: Array
    users: Array
    provider: Array
    served: Array
    programmes: pd.DataFrame

    @property
    def common(self) -> Array:
        """Common score of each unit, N x (T + 2)."""
        return self.served.mean(axis=1)


def period_labels(periods: int) -> list[str]:
    """Labels of that many quarters up to `LATEST`."""
    last = period_number(LATEST, "quarter")
    return [period_label(t, "quarter") for t in range(last - periods + 1, last + 1)]


def draw_units(rng: np.random.Generator, n: int, periods: int, effects: dict[str, float]) -> Units:
    """Draw `n` units: of every 39 nine are suppliers, contractor firms or distributors."""
    outside = round(n * 9 / 39)
    kinds = ["supplier"] * 4 + ["contractor"] * 3 + ["distributor"] * 2
    kind = np.array(["internal"] * (n - outside) + sorted(np.resize(kinds, outside), key=kinds.index))
    liking = rng.gumbel(size=(n, n)) + rng.normal(0, 0.7, n)
    np.fill_diagonal(liking, -np.inf)
    users = np.argsort(-liking, axis=1)[:, : min(LIST, n - 1)]
    programmes = _programmes(rng, n, periods)
    total = periods + 2
    provider = rng.normal(0, PROVIDER, (n, 1)) + rng.normal(0, PROVIDER_MOVE, (n, total))
    for row in programmes.itertuples():
        provider[row.unit, row.start + 2 :] += effects[f"programme_{row.programme}"]
    move = rng.normal(0, MOVE, (n, total))
    for t in range(1, total):
        move[:, t] = MOVE_CARRIED * move[:, t - 1] + np.sqrt(1 - MOVE_CARRIED**2) * move[:, t]
    customer = rng.normal(0, CUSTOMER, (n, 1)) + move + rng.normal(0, 0.04, total)
    pair = rng.normal(0, PAIR, (*users.shape, 1))
    served = MEAN + provider[users] + customer[:, None, :] + pair
    return Units(np.array([f"unit-{i + 1:02d}" for i in range(n)]), kind, users, provider, served, programmes)


def _programmes(rng: np.random.Generator, n: int, periods: int) -> pd.DataFrame:
    """Which provider starts which programme when: six or seven of 39, spread over the middle periods."""
    each = max(1, round(6.5 * n / 39)) if periods > 2 else 0
    window = np.arange(max(1, periods // 4), max(2, periods - 2))
    parts = [
        pd.DataFrame(
            {
                "unit": np.sort(rng.choice(n, each, replace=False)),
                "programme": name,
                "start": rng.choice(window, each),
            }
        )
        for name in PROGRAMMES
    ]
    return pd.concat(parts, ignore_index=True)


def common_morale(units: Units, effects: dict[str, float], associate: bool = False) -> Array:
    """Expected morale of a unit's average person, N x (T + 2); each period follows the satisfaction of the last."""
    slope = effects["internal_to_morale"] + (effects["associate_difference"] if associate else 0.0)
    before = np.concatenate([units.common[:, :1], units.common[:, :-1]], axis=1)
    return 3.5 + slope * (before - MEAN)


def draw_people(
    rng: np.random.Generator, units: Units, people: int, periods: int, effects: dict[str, float]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw the people and their quarters.

    Returns
    -------
    people : DataFrame, one row a person, as the table of the contract
    quarters : DataFrame, one row a person and period of work: person (row in people), unit, t, own (what the
        person adds to what the unit's average person says), leniency, mood, associate, day, answers
    """
    home, kind = _seats(rng, units, people)
    size = (periods, len(home))
    spell = _spells(rng, units.common[home].T[2:], size, effects)
    person = pd.factorize((spell["number"] * len(home) + np.arange(len(home))).ravel())[0]
    quarters = pd.DataFrame({name: values.ravel() for name, values in spell.items() if name != "number"})
    quarters.insert(0, "t", np.repeat(np.arange(periods), len(home)))
    quarters.insert(0, "unit", np.tile(home, periods))
    quarters.insert(0, "person", person)
    quarters["associate"] = np.tile(kind, periods) != "employee"
    first = quarters.drop_duplicates("person")
    leaving = quarters[quarters["reason"] != ""].set_index("person").reindex(first["person"])
    table = pd.DataFrame(
        {
            "person_id": [f"P{i + 1:05d}" for i in range(len(first))],
            "unit_id": units.ids[first["unit"]],
            "associate_type": np.tile(kind, periods)[first.index],
            "hired_on": first["hired"].dt.strftime("%Y-%m-%d").to_numpy(),
            "left_on": leaving["left"].dt.strftime("%Y-%m-%d").to_numpy(),
            "leave_reason": leaving["reason"].to_numpy(),
            "performance": np.where(
                first["good"], rng.choice([4, 4, 5], len(first)), rng.choice([1, 2, 3, 3, 3], len(first))
            ),
            "language": rng.choice(["en", "fr", "de"], len(first), p=[0.5, 0.3, 0.2]),
        }
    )
    return table, quarters


def _seats(rng: np.random.Generator, units: Units, people: int) -> tuple[Array, Array]:
    """Unit and associate type of each place of work: departments of very different size, small firms."""
    inside = units.kind == "internal"
    raw = np.where(inside, np.exp(rng.permutation(np.linspace(0, np.log(24), len(inside)))), 3.5)
    size = np.maximum(5, np.round(raw * people / raw.sum())).astype(int)
    if people < 5 * len(size):
        size = np.maximum(2, np.round(raw * 0 + people / len(size))).astype(int)
    home = np.repeat(np.arange(len(size)), size)
    own = np.where(inside, "employee", units.kind)[home]
    return home, np.where((own == "employee") & (rng.random(len(home)) < 0.08), "contractor", own)


def _spells(
    rng: np.random.Generator, common: Array, size: tuple[int, int], effects: dict[str, float]
) -> dict[str, Array]:
    """Walk through the quarters; a place that someone leaves is filled in the next one. Arrays of T x places."""
    labels = period_labels(size[0])
    ends = np.array([period_end(period_number(label, "quarter"), "quarter") for label in labels], "datetime64[D]")
    leniency, shock = rng.normal(0, LENIENCY, size), rng.normal(0, MOOD, size)
    mood, good = shock.copy(), rng.random(size) < GOOD_SHARE
    hired = ends[:, None] - rng.integers(50, 85, size).astype("timedelta64[D]")
    hired[0] -= rng.exponential(1400, size[1]).astype("timedelta64[D]")
    left = ends[:, None] - rng.integers(0, 85, size).astype("timedelta64[D]")
    day = ends[:, None] - rng.integers(5, 45, size).astype("timedelta64[D]")
    chance, which = rng.random(size), np.where(rng.random(size) < 0.5, "involuntary", "other")
    reason, number = np.full(size, "", dtype="<U11"), np.zeros(size, dtype=int)
    for t in range(1, size[0]):
        stays = reason[t - 1] == ""
        number[t] = number[t - 1] + ~stays
        mood[t] = np.where(stays, 0.5 * mood[t - 1] + np.sqrt(0.75) * shock[t], shock[t])
        for trait in (leniency, good, hired):
            trait[t] = np.where(stays, trait[t - 1], trait[t])
        own = common[t - 1] + leniency[t - 1] + mood[t - 1] - MEAN
        slope = effects["internal_to_retention"] + effects["performance_to_retention"] * good[t]
        novice = (left[t] - hired[t]).astype(int) < 365
        voluntary = 1 - np.exp(-VOLUNTARY * np.exp(slope * own + 0.4 * novice))
        reason[t] = np.where(chance[t] < voluntary, "voluntary", np.where(chance[t] > 1 - OTHER, which[t], ""))
        reason[t] = np.where(stays, reason[t], "")
    gone_before = (reason != "") & (left <= day)
    eager = rng.normal(0, 0.2, size[1])
    willing = 1 / (1 + np.exp(-(0.6 + eager + 0.5 * (common + leniency + mood - MEAN))))
    answers = (rng.random(size) < willing) & ~gone_before & (hired < day)
    return {
        "number": number, "own": leniency + mood, "leniency": leniency, "mood": mood, "good": good, "day": day,
        "hired": hired, "left": left, "reason": reason, "answers": answers,
    }  # fmt: skip
