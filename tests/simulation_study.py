"""Does the method find the truth? Many simulated organisations through the functions that the notebooks call.

    python -m tests.simulation_study --organisations 400 --rows effects.csv
    python -m tests.simulation_study --organisations 400 --rows null.csv --effect all=0
    python -m tests.simulation_study --organisations 400 --rows some.csv --claim H2 --claim H6
    python -m tests.simulation_study --organisations 20 --rows notebooks.csv --through-notebooks

Each claim stands beside what it would have been without one sound step ("plain slope", "same people").
Findings are added to the file as they come, so that a study can be made in several goes (other seeds, same file).
Not part of the test suite: 400 organisations take some twenty minutes on two cores. Counted are the 95% intervals
that hold the estimand of ``truth.toml``, the verdicts, and p below .05 before any correction for several claims.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

import icsat_helpers as ic
from icsat_helpers import cli, simulate
from icsat_helpers.evidence import Finding
from icsat_helpers.panel import Panel

HOLDS = "95% interval holds"


def organisation(seed: int, effects: dict[str, float], notebooks: bool, claims: list[str]) -> list[dict[str, Any]]:
    """Simulate one organisation, write it, and test the claims in it, by the functions or by the notebooks."""
    simulated = simulate.organisation(seed=seed, effects=effects)
    with tempfile.TemporaryDirectory() as folder:
        simulate.write(simulated, folder)
        found = by_notebooks(folder, claims) if notebooks else by_functions(ic.load(folder), claims)
    truth = {"H4.first_response": 0.0, "H4.rework": 0.0, **simulated.truth["estimands"]}
    kept = ("estimate", "ci_low", "ci_high", "p", "verdict")
    return [
        {"claim": name, "seed": seed, "truth": truth[name.split(",")[0]], **{key: finding[key] for key in kept}}
        for name, finding in found.items()
        if finding["estimate"] is not None
    ]


def by_notebooks(folder: str, claims: list[str]) -> dict[str, dict[str, Any]]:
    """Findings of a run of the claims' notebooks."""
    output = Path(folder) / "out"
    words = ["run", "--study", folder, "--output", str(output), "--jobs", "1"]
    for claim in claims:
        words += ["--notebook", ic.hypothesis(claim).notebook]
    with redirect_stdout(io.StringIO()):
        code = cli.main(words)
    if code:
        raise RuntimeError(f"the run ended with {code}")
    (path,) = output.glob("*/findings.json")
    return {finding["id"]: finding for finding in json.loads(path.read_text(encoding="utf-8"))["findings"]}


def by_functions(study: Any, claims: list[str]) -> dict[str, dict[str, Any]]:
    """Findings by the functions that the notebooks call, and what stands beside them."""
    found: dict[str, Finding] = {}
    for claim in claims:
        found |= TESTS[claim](study)
    return {name: asdict(finding) for name, finding in found.items()}


def slopes(name: str, study: Any, panel: Panel | None = None) -> dict[str, Finding]:
    """Claim on a slope over units as its notebook tests it; beside it the plain slope, and the same people for both."""
    claim = ic.hypothesis(name, study)
    panel = panel or ic.unit_panel(study, claim.exposure, claim.outcome)
    tested, design = ic.strongest(study, panel), ic.plain_design(panel)
    compared = {name: tested, f"{name}, plain slope": replace(tested, design=design, slope=design.fit())}
    if tested.design is not None and not isinstance(tested.design.outcome, str):
        same = replace(tested.design, outcome=tested.design.outcome[::-1])
        compared[f"{name}, same people"] = replace(tested, design=same, slope=same.fit())
    words = ("One point more", "{value} points")
    return {label: ic.evidence.of_slope(claim, panel, one, words=words) for label, one in compared.items()}


def productivity(study: Any) -> dict[str, Finding]:
    """H4 and its secondary outcomes."""
    found = slopes("H4", study)
    for part in ("H4.first_response", "H4.rework"):
        found[part] = slopes(part, study)[part]
    return found


def associates(study: Any) -> dict[str, Finding]:
    """H6 as notebook 09 tests it."""
    return slopes("H6", study, ic.associates.associates_panel(study))


def retention(study: Any) -> dict[str, Finding]:
    """H3 and its part as notebook 06 tests them, and the raw own score beside them."""
    claim, part = ic.hypothesis("H3", study), ic.hypothesis("H3.performance", study)
    people, half_a, half_b = ic.risk_set(study)
    split, raw = ic.leaving_hazard(people, half_a, half_b), ic.leaving_hazard(people)
    return {
        "H3": ic.evidence.of_hazard(claim, split.average, split),
        "H3.performance": ic.evidence.of_hazard(part, split.interaction, split),
        "H3, raw own score": ic.evidence.of_hazard(claim, raw.average, raw),
    }


TESTS = {
    "H1": partial(slopes, "H1"),
    "H2": partial(slopes, "H2"),
    "H3": retention,
    "H4": productivity,
    "H6": associates,
}


def counts(rows: pd.DataFrame) -> pd.DataFrame:
    """One line a claim: mean estimate, spread, coverage, verdicts."""
    rows = rows.assign(
        holds=(rows["ci_low"] <= rows["truth"]) & (rows["truth"] <= rows["ci_high"]),
        significant=rows["p"] < 0.05,
        se=(rows["ci_high"] - rows["ci_low"]) / 4,  # t(.975) is near 2
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
    parser.add_argument("--through-notebooks", action="store_true")
    parser.add_argument("--claim", action="append", choices=list(TESTS), help="these claims only")
    parser.add_argument("--rows", type=Path, required=True, help="CSV to which each organisation's findings are added")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    effects: dict[str, float] = {}
    for name, _, value in (effect.partition("=") for effect in asked.effect):
        effects |= {key: float(value) for key in (simulate.EFFECTS if name == "all" else [name])}
    seeds = range(asked.first_seed, asked.first_seed + asked.organisations)
    one = partial(organisation, effects=effects, notebooks=asked.through_notebooks, claims=asked.claim or list(TESTS))
    with ProcessPoolExecutor(asked.jobs) as pool:
        for rows in pool.map(one, seeds):
            pd.DataFrame(rows).to_csv(asked.rows, mode="a", index=False, header=not Path(asked.rows).exists())
    print(counts(pd.read_csv(asked.rows)).round(3).to_string())


if __name__ == "__main__":
    os.environ |= dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1")
    main()
