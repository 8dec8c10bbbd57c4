"""Does the method find the truth? Many simulated organisations through the functions that the notebooks call.

    python -m tests.simulation_study --organisations 400
    python -m tests.simulation_study --organisations 400 --effect all=0

Not part of the test suite: 400 organisations take some twenty minutes on two cores. Counted are the 95% intervals
that hold the estimand of ``truth.toml``, the verdicts, and p below .05 before any correction for several claims.
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
from icsat_helpers.evidence import Finding

HOLDS = "95% interval holds"


def organisation(seed: int, effects: dict[str, float]) -> list[dict[str, Any]]:
    """Simulate one organisation, write it, load it, and test H1 and H3 in it."""
    simulated = simulate.organisation(seed=seed, effects=effects)
    with tempfile.TemporaryDirectory() as folder:
        simulate.write(simulated, folder)
        study = ic.load(folder)
    truth = simulated.truth["estimands"]
    return [
        {
            "claim": name,
            "seed": seed,
            "truth": truth[name.split(",")[0]],
            "estimate": f.estimate,
            "se": (f.ci_high - f.ci_low) / 4,
            "low": f.ci_low,
            "high": f.ci_high,
            "p": f.p,
            "verdict": f.verdict,
        }
        for name, f in {**external(study), **retention(study)}.items()
        if f.estimate is not None and f.ci_low is not None and f.ci_high is not None
    ]


def external(study: Any) -> dict[str, Finding]:
    """H1 as notebook 04 tests it, and the plain slope beside it."""
    claim = ic.hypothesis("H1", study)
    panel = ic.unit_panel(study, claim.exposure, claim.outcome)
    design, main, attenuated, _ = ic.strongest(study, panel)
    plain = ic.plain_design(panel)
    words = ("One point more", "points")
    return {
        "H1": ic.evidence.of_slope(claim, panel, design, main, attenuated, words=words),
        "H1, plain slope": ic.evidence.of_slope(claim, panel, plain, plain.fit(), True, words=words),
    }


def retention(study: Any) -> dict[str, Finding]:
    """H3 and its part as notebook 06 tests them, and the raw own score beside them."""
    claim, part = ic.hypothesis("H3", study), ic.hypothesis("H3.performance", study)
    people, half_a, half_b = ic.risk_set(study)
    split, raw = ic.leaving_hazard(people, half_a, half_b), ic.leaving_hazard(people)
    return {
        "H3": ic.evidence.of_hazard(claim, split.average, split, sensitivity=(), checks=()),
        "H3.performance": ic.evidence.of_hazard(part, split.interaction, split, sensitivity=(), checks=()),
        "H3, raw own score": ic.evidence.of_hazard(claim, raw.average, raw, sensitivity=(), checks=()),
    }


def counts(rows: pd.DataFrame) -> pd.DataFrame:
    """One line a claim: mean estimate, spread, coverage, verdicts."""
    rows = rows.assign(
        holds=(rows["low"] <= rows["truth"]) & (rows["truth"] <= rows["high"]), significant=rows["p"] < 0.05
    )
    table = rows.groupby("claim").agg(
        organisations=("seed", "size"),
        truth=("truth", "mean"),
        mean=("estimate", "mean"),
        sd=("estimate", "std"),
        se=("se", "mean"),
        holds=("holds", "sum"),
        p_below_05=("significant", "sum"),
    )
    verdicts = rows.groupby(["claim", "verdict"]).size().unstack(fill_value=0)
    return table.join(verdicts).rename(columns={"holds": HOLDS})


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
        found = list(pool.map(organisation, seeds, [effects] * len(seeds), chunksize=4))
    print(counts(pd.DataFrame([row for rows in found for row in rows])).round(3).to_string())


if __name__ == "__main__":
    os.environ |= dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1")
    main()
