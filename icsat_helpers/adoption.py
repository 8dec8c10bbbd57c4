"""Which units started which programme when, what is said of them, and which programmes can be judged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from icsat_helpers.halves import cell_scores
from icsat_helpers.inference import FEWEST_UNITS, Array
from icsat_helpers.randomisation import arrangements
from icsat_helpers.scores import scale_scores, unit_scores
from icsat_helpers.staggered import FEW, Effects, Mask, apart, group_time
from icsat_helpers.study import Study
from icsat_helpers.words import say

FEWEST_PERIODS = 2  # after the start, that of the start included: it is seldom a whole one
ARRANGEMENTS = 20  # with so many or fewer ways to place the starts nothing is unusual


@dataclass(frozen=True, slots=True)
class Rollout:
    """A programme: who started when, and the outcome it may have moved.

    Attributes
    ----------
    name : str
    units : tuple of str, N
        Units with an outcome in any period.
    periods : tuple of int, T
        Numbers of the periods with an outcome; rows and columns below count in these.
    outcome : ndarray, N x T
        Rating by customers net of who they are, or the unit's own satisfaction; NaN where there is none, after the
        programme's end, and for units that had it from the first period on.
    start : ndarray, N
        Column of the first period with the programme (T where it has not been measured yet), infinite for never.
    others : ndarray, N x K
        Columns in which other programmes start in the unit.
    people : dict of int to int
        People behind the treated units at each period since the start; empty where unknown.
    followed : int or None
        People behind them from the start on; None where unknown.
    providers : bool
        Whether units are rated by their customers; else the outcome is their own satisfaction.
    random : bool
        Whether all its units were assigned at random.
    unseen : int
        Units with the programme that have no outcome.
    """

    name: str
    units: tuple[str, ...]
    periods: tuple[int, ...]
    outcome: Array
    start: Array
    others: Array
    people: dict[int, int]
    followed: int | None
    providers: bool
    random: bool
    unseen: int

    @property
    def clean(self) -> Array:
        """Outcome where it cannot have moved by other programmes, N x T."""
        return apart(self.outcome, self.start, self.others)

    @property
    def seen_after(self) -> Array:
        """Periods after the start in which each unit can be compared with the last one before it, N."""
        clean, columns = self.clean, np.arange(len(self.periods))
        base = np.isfinite(clean[np.arange(len(clean)), np.clip(self._column - 1, 0, None)]) & (self._column > 0)
        count = (np.isfinite(clean) & (columns >= self.start[:, None])).sum(axis=1)
        return np.where(base & np.isfinite(self.start), count, 0)

    @property
    def treated(self) -> Mask:
        """Units that say something on the programme, N."""
        return np.asarray(self.seen_after > 0)

    @property
    def controls(self) -> Mask:
        """Units that never start it and can be followed before any other programme, N."""
        return np.isinf(self.start) & (np.isfinite(self.clean).sum(axis=1) > 1)

    @property
    def spread(self) -> float:
        """Standard deviation between units of their mean outcome; 0 where there are none."""
        known = np.isfinite(self.outcome)
        here = known.any(axis=1)
        means = np.where(known, self.outcome, 0.0).sum(axis=1)[here] / known.sum(axis=1)[here]
        return float(np.std(means, ddof=1)) if len(means) > 1 else 0.0

    @property
    def _column(self) -> Array:
        return np.where(np.isfinite(self.start), self.start, 0).astype(int)

    def effects(self, never: bool = False) -> Effects:
        """Group-time effects, with all units and with each left out."""
        return group_time(self.clean, self.start, never)

    def rows(self) -> pd.DataFrame:
        """Return the clean outcome in long form: unit, period, first (0 for never), rating."""
        n, t = np.nonzero(np.isfinite(self.clean))
        periods = np.array([*self.periods, self.periods[-1] + 1])
        first = np.where(np.isfinite(self.start), periods[self._column], 0)
        frame = {"unit": np.array(self.units)[n], "period": periods[t], "first": first[n]}
        return pd.DataFrame({**frame, "rating": self.clean[n, t]})


def provider_effects(study: Study) -> pd.DataFrame:
    """Return what a provider's customers say in a period, net of who they are.

    Effects of provider-periods fitted jointly with effects of persons, one sparse least-squares fit; a level means
    nothing across connected components, so each provider is followed in its largest. Where most answers come from
    people who cannot be followed from one period to another: plain means.

    Returns
    -------
    DataFrame
        unit (the provider), t, value.
    """
    return study.once("provider_effects", lambda: _provider_effects(_sheets(study)))


def _sheets(study: Study) -> pd.DataFrame:
    """Answer sheets on providers: unit (the provider), t, person, linked, score."""
    if not study.has("service_ratings"):
        return pd.DataFrame({"unit": [], "t": [], "person": [], "linked": [], "score": []})
    sheets = scale_scores(study, "internal")[["provider", "t", "person", "linked", "internal"]].dropna()
    return sheets.rename(columns={"provider": "unit", "internal": "score"})


def _provider_effects(sheets: pd.DataFrame) -> pd.DataFrame:
    keys = ["unit", "t"]
    followed = sheets["linked"] & (sheets.groupby("person")["t"].transform("nunique") > 1)
    net = bool(followed.mean() >= 0.5) if len(sheets) else False
    rows = sheets[sheets["linked"] & (sheets.groupby("person")["t"].transform("size") > 1)] if net else sheets
    cells = rows.groupby(keys).size().rename("n").reset_index()
    code = rows.groupby(keys).ngroup().to_numpy()
    person, score = pd.factorize(rows["person"])[0], rows["score"].to_numpy(dtype=float)
    value, component = cell_scores(code, person, score, len(cells), net)
    cells = cells.assign(value=value, component=component)
    size = cells.groupby(["unit", "component"])["n"].sum().reset_index().sort_values("n", kind="stable")
    main = size.drop_duplicates("unit", keep="last").set_index("unit")["component"]
    return cells.loc[cells["component"] == cells["unit"].map(main), [*keys, "value"]].reset_index(drop=True)


def rollouts(study: Study) -> list[Rollout]:
    """Return the programmes of a study, by name; none where nothing is measured."""
    return study.once("rollouts", lambda: _rollouts(study))


def _rollouts(study: Study) -> list[Rollout]:
    table, sheets = study.table("programmes"), _sheets(study)
    outcome = provider_effects(study) if len(sheets) else unit_scores(study, "internal")
    if table.empty or outcome.empty:
        return []
    wide = outcome.pivot(index="unit", columns="t", values="value").sort_index()
    first = table.groupby(["unit_id", "programme"])["started_t"].min().unstack().reindex(wide.index)
    places = np.searchsorted(wide.columns.to_numpy(), first.fillna(0).to_numpy()).astype(float)
    starts = pd.DataFrame(places, first.index, first.columns).where(first.notna(), np.inf)
    behind = sheets.assign(person=pd.factorize(sheets["person"])[0]) if len(sheets) else outcome
    row, column = wide.index.get_indexer(behind["unit"]), wide.columns.get_indexer(behind["t"])
    behind = behind.assign(row=row, column=column)[(row >= 0) & (column >= 0)]
    return [_rollout(table[table["programme"] == name], str(name), wide, starts, behind) for name in starts.columns]


def _rollout(table: pd.DataFrame, name: str, wide: pd.DataFrame, starts: pd.DataFrame, behind: pd.DataFrame) -> Rollout:
    start = starts[name].to_numpy()
    ended = table.groupby("unit_id")["ended_t"].max().reindex(wide.index).astype(float)
    people, followed = _people(behind.assign(event=behind["column"] - start[behind["row"]]))
    gone = wide.columns.to_numpy()[None, :] > ended.fillna(np.inf).to_numpy()[:, None]
    return Rollout(
        name=name,
        units=tuple(map(str, wide.index)),
        periods=tuple(map(int, wide.columns)),
        outcome=np.where(gone | (start == 0)[:, None], np.nan, wide.to_numpy(dtype=float)),
        start=start,
        others=starts.drop(columns=name).to_numpy(),
        people=people,
        followed=followed,
        providers="person" in behind,
        random="assigned" in table and bool((table["assigned"] == "random").all()),
        unseen=int((~table["unit_id"].isin(wide.index)).sum()),
    )


def _people(behind: pd.DataFrame) -> tuple[dict[int, int], int | None]:
    """People behind the treated units, by period since the start and after it; of aggregates their n, where known."""
    rows = behind[np.isfinite(behind["event"])]
    if "person" in rows:
        count, followed = rows.groupby("event")["person"].nunique(), rows.loc[rows["event"] >= 0, "person"].nunique()
    else:
        count = rows.groupby("event")["n"].sum(min_count=1)
        followed = count[count.index >= 0].max()
    return {int(event): int(n) for event, n in count.items() if n > 0}, int(followed) if followed > 0 else None


def young(rollout: Rollout) -> bool:
    """Whether a programme has just started: its units have too few periods after the start, and more will come."""
    lately = np.isfinite(rollout.start) & (rollout.start > len(rollout.periods) - FEWEST_PERIODS)
    return bool(lately.any() and rollout.seen_after.max(initial=0) < FEWEST_PERIODS)


def shortfall(rollout: Rollout, minimum: int) -> str:
    """Why a programme cannot be judged, or ""; known from who started when and who answered, before any effect."""
    has, treated, controls = np.isfinite(rollout.start), rollout.treated, rollout.controls
    waiting, here = has & (rollout.start > 0), np.isfinite(rollout.outcome).any(axis=1)
    if not has.any():
        return (
            say("no provider with it has been rated") if rollout.providers else say("no unit with it has been measured")
        )
    if not waiting.any():
        return say("it started before the first measured period")
    if young(rollout):
        return say("it has just started")
    if rollout.seen_after.max() < FEWEST_PERIODS:
        return say("no unit can be followed from before its start to two periods after it, apart from other programmes")
    if not np.isfinite(rollout.effects().after()[0]) or not controls.any():
        return say("no unit without a programme is left to compare with")
    if (treated | controls).sum() < FEWEST_UNITS:
        n = int((treated | controls).sum())
        return say("only {n} units can be compared; at least {needed} are needed", n=n, needed=FEWEST_UNITS)
    if treated.sum() < FEW and arrangements(rollout.start[here]) <= ARRANGEMENTS:
        n, units = int(treated.sum()), len(rollout.units)
        return say("{n} of {units} units with it are too few to be told from chance", n=n, units=units)
    if rollout.followed is not None and rollout.followed < minimum:
        return say("it would describe fewer than {n} people", n=minimum)
    return ""
