"""How long 2 million ratings in a CSV file take to be checked, cleaned and scored, and how much memory.

``python -m tests.bench_reading`` (``--rows N``, ``--comments`` for quoted text in one row of twenty).
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

SECONDS, GIGABYTES = 20, 2
ITEMS = [f"q{i}" for i in range(1, 10)]
SCORED = """
import sys, time
from icsat_helpers import clean, scores
start = time.perf_counter()
study = clean.load(sys.argv[1])
read = time.perf_counter() - start
found = scores.unit_scores(study, "internal")
print(f"read, checked and cleaned {read:.1f} s, scored {time.perf_counter() - start - read:.1f} s")
print(len(study.table("service_ratings")), "ratings,", len(found), "unit scores")
"""


def write(folder: Path, rows: int, comments: bool) -> None:
    """Write ratings by 20,000 people of 200 units over 12 quarters."""
    rng = np.random.default_rng(1)
    person, t = rng.integers(0, 20_000, rows), rng.integers(0, 12, rows)
    ratings = pd.DataFrame(
        {
            "period": [f"{2024 + i // 4}Q{i % 4 + 1}" for i in t],
            "customer_unit": [f"unit-{i % 200:03d}" for i in person],
            "provider_unit": [f"unit-{i:03d}" for i in rng.integers(0, 200, rows)],
            "person_id": [f"P{i:05d}" for i in person],
        }
    )
    for item in ITEMS:
        ratings[item] = rng.integers(1, 6, rows)
    if comments:
        ratings["comment"] = np.where(rng.random(rows) < 0.05, 'slow, they say "wait"\nthen nothing', "")
    ratings["answered_at"] = "2026-09-" + pd.Series(rng.integers(1, 31, rows)).astype(str).str.zfill(2)
    ratings.to_csv(folder / "service_ratings.csv", index=False)
    pd.DataFrame({"unit_id": [f"unit-{i:03d}" for i in range(200)]}).to_csv(folder / "units.csv", index=False)
    items = [f'[items.{name}]\ntable = "service_ratings"\nscale = "s{int(name[1:]) % 4}"\n' for name in ITEMS]
    (folder / "study.toml").write_text('contract = 1\n[study]\nname = "Bench"\n' + "".join(items))


def main() -> int:
    """Measure one run in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--comments", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), asked.rows, asked.comments)
        print(f"{asked.rows} rows, {(Path(folder) / 'service_ratings.csv').stat().st_size / 1e6:.0f} MB")
        subprocess.run([sys.executable, "-c", SCORED, folder], check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu, memory = used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20
    print(f"processor {cpu:.1f} s (user {used.ru_utime:.1f}), at most {memory:.2f} GB")
    return int(cpu > SECONDS or memory > GIGABYTES)


if __name__ == "__main__":
    sys.exit(main())
