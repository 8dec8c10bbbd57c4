"""Are programmes judged rightly? Many simulated organisations through the functions that the notebook calls.

    python -m tests.programme_study --organisations 400
    python -m tests.programme_study --organisations 400 --effect all=0

Not part of the test suite: 400 organisations take some ten minutes on two cores. Counted are, for H7 and each
programme, the 95% intervals that hold what was planted, the verdicts, and p below .05 before any correction.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pandas as pd

import icsat_helpers as ic
from icsat_helpers import simulate
from tests.simulation_study import counts

KEPT = ("estimate", "ci_low", "ci_high", "p", "verdict")


def organisation(seed: int, effects: dict[str, float]) -> list[dict[str, Any]]:
    """Simulate one organisation, write it, load it, and judge its programmes as notebook 11 does."""
    simulated = simulate.organisation(seed=seed, effects=effects)
    with tempfile.TemporaryDirectory() as folder:
        simulate.write(simulated, folder)
        study = ic.load(folder)
    programmes = ic.adoption.rollouts(study)
    judged = [each for each in programmes if not ic.adoption.shortfall(each, study.settings.minimum_group)]
    found = ic.programmes.findings(study, programmes, [ic.effects.effect(each) for each in judged])
    rows = []
    for finding in found:
        row = {"claim": finding.id, "seed": seed, "truth": simulated.truth["estimands"][finding.id]}
        row |= {name: getattr(finding, name) for name in KEPT}
        moved = [check.passed for check in finding.checks if check.name == "pre_trend"]
        rows.append({**row, "n_units": finding.n_units, "still": all(moved), "few": "treated_units" in str(finding)})
    return rows


def main() -> None:
    """Run the study and print its counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--organisations", type=int, default=400)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--effect", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    effects: dict[str, float] = {}
    for name, _, value in (effect.partition("=") for effect in asked.effect):
        effects |= {key: float(value) for key in (simulate.EFFECTS if name == "all" else [name])}
    seeds = range(asked.first_seed, asked.first_seed + asked.organisations)
    with ProcessPoolExecutor(asked.jobs) as pool:
        found = pd.DataFrame([row for rows in pool.map(organisation, seeds, [effects] * len(seeds)) for row in rows])
    judged = found[found["estimate"].notna()]
    beside = judged.groupby("claim").agg(few_treated=("few", "sum"), pre_trend_fails=("still", lambda s: (~s).sum()))
    print(counts(judged).join(beside).round(3).to_string())
    print(f"not estimable: {(found['estimate'].isna()).sum()} of {len(found)}")


if __name__ == "__main__":
    os.environ |= dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1")
    main()
