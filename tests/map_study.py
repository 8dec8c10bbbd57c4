"""Does the service map find the truth? Simulated organisations through the functions that the notebook calls.

    python -m tests.map_study                   shares of variance, and ranks
    python -m tests.map_study --no-providers    no provider is better than another: how often are they ranked?

Not part of the test suite: 40 organisations take some three minutes. Counted are the errors of the shares of
``truth.toml``, the 95% rank intervals that hold a provider's true rank, and the organisations with a ranking.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

import icsat_helpers as ic
from icsat_helpers import organisation, service, simulate


def one(seed: int, providers: bool) -> dict[str, Any]:
    """Simulate an organisation and draw its service map."""
    effects = {} if providers else {name: 0.0 for name in simulate.EFFECTS if name.startswith("programme_")}
    seen: list[organisation.Units] = []
    draw = organisation.draw_units

    def kept(*given: Any) -> organisation.Units:
        units = draw(*given)
        seen.append(units)
        return units

    level = {} if providers else {"PROVIDER": 0.0, "PROVIDER_MOVE": 0.0}
    with patch.multiple(organisation, draw_units=kept, **level), tempfile.TemporaryDirectory() as folder:
        simulated = simulate.organisation(seed=seed, effects=effects)
        simulate.write(simulated, folder)
        study = ic.load(folder)
    found = service.served(study)
    ranking = service.ranking(found)
    assert found.model is not None
    truth = simulated.truth["variance_shares"]
    result = {f"error of {name}": found.model.shares[name] - share for name, share in truth.items()}
    result |= {"p": ranking.p, "reliability": ranking.reliability, "ranked": ranking.frame is not None}
    if ranking.frame is not None:
        units = seen[0]  # the next is the large world of the estimands
        true = pd.Series(-units.provider[:, -1], units.ids).reindex(ranking.frame["provider"]).rank().to_numpy()
        low, high = ranking.frame["rank_low"], ranking.frame["rank_high"]
        result |= {"rank held": ((low <= true) & (true <= high)).mean(), "ranks wide": (high - low).mean()}
    return result


def main() -> None:
    """Run the study and print its counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--organisations", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=2000)
    parser.add_argument("--no-providers", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    seeds = range(asked.first_seed, asked.first_seed + asked.organisations)
    with ProcessPoolExecutor(asked.jobs) as pool:
        rows = pd.DataFrame(pool.map(one, seeds, [not asked.no_providers] * len(seeds)))
    table = pd.DataFrame({"mean": rows.mean(), "se": rows.astype(float).std() / np.sqrt(len(rows))})
    print(table.assign(ratio=table["mean"] / table["se"]).round(4).to_string())
    print(f"ranked: {int(rows['ranked'].sum())} of {len(rows)}; p below .05: {int((rows['p'] < 0.05).sum())}")


if __name__ == "__main__":
    os.environ |= dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1")
    main()
