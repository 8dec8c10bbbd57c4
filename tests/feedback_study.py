"""Does the feedback rule keep false verdicts rare, and what does it cost? Panels in which the outcome leads back.

    python -m tests.feedback_study --panels 1000

Not part of the test suite. Each panel has 30 units and 12 periods of an exposure known from two halves of people and
an outcome known from two halves of answers; noise and true change within units are about equal. The outcome
moves the exposure a period later ("next") or in the same period ("same"), by as many standard deviations as
said; the outcome's own shocks carry over by .4 in some. Counted are verdicts with a slope of nothing (false) and with a
slope that matters (power), before the rule and after it, uncorrected for several claims.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from itertools import product

import numpy as np
import pandas as pd

from icsat_helpers import evidence, feedback
from icsat_helpers.designs import Design

UNITS, PERIODS, BURN = 30, 12, 10
NOISE_X, NOISE_Y = 1.2, 1.0  # of a half's mean; true change within units has SD 1
CELLS = [
    (strength, "next", carry) for strength, carry in product((0.0, 0.1, 0.2, 0.3, 0.5, -0.1, -0.3, -0.5), (0.0, 0.4))
]
CELLS += [(strength, "same", 0.4) for strength in (0.1, 0.2, 0.3, 0.5, -0.1, -0.3, -0.5)]


def panel(seed: int, truth: float, strength: float, way: str, carry: float, periods: int = PERIODS) -> Design:
    """Design of a panel in which the outcome moves the exposure by `strength`."""
    rng = np.random.default_rng(seed)
    n = periods + BURN
    x, y, error = np.zeros((3, UNITS, n))
    shock = rng.normal(size=(UNITS, n))
    for t in range(1, n):
        error[:, t] = carry * error[:, t - 1] + np.sqrt(1 - carry**2) * shock[:, t]
        y[:, t] = truth * x[:, t - 1] + error[:, t]
        x[:, t] = strength * y[:, t if way == "same" else t - 1] + rng.normal(size=UNITS)
    lasting = rng.normal(size=(2, UNITS, 1)) * 2
    x, y = x[:, BURN:] + lasting[0], y[:, BURN:] + 0.5 * lasting[0] + lasting[1]
    frame = pd.DataFrame({"unit": np.repeat(np.arange(UNITS), periods), "t": np.tile(np.arange(periods), UNITS)})
    frame = frame.assign(split=0, block=frame["unit"], weight=1.0)

    def ahead(values: np.ndarray, by: int) -> np.ndarray:
        return np.pad(values, ((0, 0), (0, by)), constant_values=np.nan)[:, by:].ravel()

    for half in "ab":
        seen_x = x + rng.normal(0, NOISE_X, x.shape)
        frame[f"half_{half}"], frame[f"exposure_next_{half}"] = seen_x.ravel(), ahead(seen_x, 1)
        frame[f"after_{half}"] = ahead(seen_x, 2)
        frame[f"outcome_{half}"] = (y + rng.normal(0, NOISE_Y, y.shape)).ravel()
    mean = frame[["outcome_a", "outcome_b"]].mean(axis=1).to_numpy().reshape(UNITS, periods)
    frame = frame.assign(outcome_next=ahead(mean, 1))
    return Design(frame.dropna(subset=["outcome_next"]), "outcome_next", ("half_a", "half_b"), True, "weight")


def judged(task: tuple[int, float, float, str, float, int]) -> dict[str, object]:
    """Verdict on one panel, before the rule and after it."""
    design = panel(*task)
    main, found = design.fit(), feedback.examine(design)
    before = evidence.verdict(main.estimate, 1, 0.1, main.estimate.p, False, task[-1] >= feedback.LONG)
    doubted = before in ("supported", "contradicted") and found.doubt(main.estimate.value)
    _, truth, strength, way, carry, periods = task
    return {
        "truth": truth, "feedback": strength, "in": way, "carry": carry, "periods": periods,
        "estimate": main.estimate.value, "before": before, "after": "inconclusive" if doubted else before,
        "seen": found.seen,
    }  # fmt: skip


def main() -> None:
    """Run the study and print its counts, in per cent of the panels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--panels", type=int, default=1000)
    parser.add_argument("--truth", type=float, action="append")
    parser.add_argument("--periods", type=int, default=PERIODS)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    tasks = [(seed, truth, *cell, asked.periods) for truth in asked.truth or [0.0, 0.25] for cell in CELLS
             for seed in range(asked.panels)]  # fmt: skip
    with ProcessPoolExecutor(asked.jobs) as pool:
        rows = pd.DataFrame(pool.map(judged, tasks, chunksize=50))
    for when in ("before", "after"):
        rows = rows.assign(
            **{f"{said}, {when}": 100.0 * (rows[when] == said) for said in ("supported", "contradicted")}
        )
    rows["feedback seen"] = 100.0 * rows["seen"]
    shown = (
        rows.drop(columns=["before", "after", "seen"]).groupby(["truth", "in", "carry", "feedback", "periods"]).mean()
    )
    print(shown.round(2).to_string())


if __name__ == "__main__":
    os.environ |= dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1")
    main()
