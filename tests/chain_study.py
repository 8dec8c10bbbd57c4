"""Does the chain find the truth? Many simulated organisations through the functions that notebook 08 calls.

    python -m tests.chain_study --organisations 400
    python -m tests.chain_study --organisations 400 --effect all=0

Counted as in `tests.simulation_study`; beside the headline stand the percentile interval of units drawn again,
unit averages as they are, and the two slopes, each strong or weak by its first-stage F.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

import icsat_helpers as ic
from icsat_helpers import chain, simulate
from icsat_helpers.inference import WEAK_F
from tests.simulation_study import counts


def by_functions(study: Any) -> dict[str, dict[str, Any]]:
    """H5 as notebook 08 tests it, and its parts."""
    claim, found = ic.hypothesis("H5", study), chain.tested(study)
    finding, halves = chain.finding(claim, study, found), found.halves
    said = {"H5": {key: getattr(finding, key) for key in ("estimate", "ci_low", "ci_high", "p", "verdict")}}
    if halves is None:
        return said
    plain = replace(found, chain=chain.chain(study, chain.ORDER, halved=False))
    averages = chain.finding(claim, study, plain)
    said["H5, averages"] = {key: getattr(averages, key) for key in said["H5"]}
    low, high = halves.drawn()
    said["H5, bootstrap"] = said["H5"] | {"ci_low": low, "ci_high": high}
    for name, slope in (("a", halves.first), ("b", halves.second)):
        low, high = slope.estimate.interval()
        said[name] = {"estimate": slope.estimate.value, "ci_low": low, "ci_high": high, "p": slope.estimate.p}
        said[name]["verdict"] = "weak" if slope.first_stage_f < WEAK_F else "strong"
    return said


def organisation(seed: int, effects: dict[str, float]) -> list[dict[str, Any]]:
    """Simulate one organisation, write it, and test H5 in it."""
    simulated = simulate.organisation(seed=seed, effects=effects)
    with tempfile.TemporaryDirectory() as folder:
        simulate.write(simulated, folder)
        found = by_functions(ic.load(folder))
    truth = simulated.truth["estimands"] | {"a": simulated.truth["estimands"]["H2"]}
    truth["b"] = simulated.truth["effects"]["morale_to_external"]
    kept = [(name, one) for name, one in found.items() if one["estimate"] is not None]
    return [{"claim": name, "seed": seed, "truth": truth[name.split(",")[0]], **one} for name, one in kept]


def main() -> None:
    """Run the study and print its counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--organisations", type=int, default=400)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--effect", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rows", help="a CSV for the single organisations")
    asked = parser.parse_args()
    effects: dict[str, float] = {}
    for name, _, value in (effect.partition("=") for effect in asked.effect):
        effects |= {key: float(value) for key in (simulate.EFFECTS if name == "all" else [name])}
    seeds = range(asked.first_seed, asked.first_seed + asked.organisations)
    with ProcessPoolExecutor(asked.jobs) as pool:
        found = list(pool.map(partial(organisation, effects=effects), seeds))
    rows = pd.DataFrame([row for rows in found for row in rows])
    if asked.rows:
        rows.to_csv(asked.rows, index=False)
    print(counts(rows).round(3).to_string())


if __name__ == "__main__":
    os.environ |= dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1")
    main()
