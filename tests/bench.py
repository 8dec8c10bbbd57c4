"""How long a run takes, side by side in one go on this machine; and how long the answers of a large study.

    python -m tests.bench                      all of it: half an hour on two cores
    python -m tests.bench notebooks            a papermill loop, ordinary kernels, forked kernels, the floor
    python -m tests.bench sites --sites 1 8 32
    python -m tests.bench ratings --ratings 10000000

The loop starts ``papermill`` once a notebook, as one would write it in a shell. The floor is what no runner can
beat: the time in cells, everything imported, divided by the cores.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd

from icsat_helpers import cache, execution, kernels, plans, simulate
from icsat_helpers.plans import SUMMARY, Request
from icsat_helpers.project import ROOT

RATED = """
import json, time
begun = time.perf_counter()
{work}
took = time.perf_counter() - begun
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
# Not ru_maxrss, which counts what this process was before it ran Python.
print(json.dumps([took, peak / 2**20, {{f"{{unit}} {{period}}": [value, n] for unit, period, value, n in rows()}}]))
"""
OURS = """
import icsat_helpers as ic
study = ic.load({folder!r})
found = ic.scores.unit_scores(study, "internal")
rows = lambda: zip(found["unit"], map(study.label, found["t"]), found["value"], found["n"])"""
DUCK = """
import duckdb
duckdb.sql("SET enable_progress_bar = false")
half = "(coalesce({{0}}, {{1}}) + coalesce({{1}}, {{0}})) / 2.0 AS {{2}}"  # the mean of two, or the one there is
scales = ", ".join(half.format(scale + "_1", scale + "_2", scale) for scale in "ab")
found = duckdb.sql(f\"\"\"
    WITH answers AS ({answers}),
    sheets AS (SELECT customer_unit, period, person_id, {{scales}} FROM answers),
    scored AS (SELECT *, {{half.format("a", "b", "internal")}} FROM sheets),
    people AS (SELECT customer_unit, period, person_id, avg(internal) AS score FROM scored GROUP BY ALL)
    SELECT customer_unit, period, avg(score), count(score) FROM people GROUP BY ALL\"\"\").fetchall()
rows = lambda: found"""
EVERY_ROW = "SELECT * FROM '{folder}/service_ratings.parquet'"
SETTLED = """
    SELECT customer_unit, period, person_id, avg(a_1) AS a_1, avg(a_2) AS a_2, avg(b_1) AS b_1, avg(b_2) AS b_2
    FROM '{folder}/service_ratings.parquet' GROUP BY period, person_id, customer_unit, provider_unit"""
TOML = 'contract = 1\n[study]\nname = "Large"\n' + "".join(
    f'[items.{scale}_{n}]\ntable = "service_ratings"\nscale = "{scale}"\n' for scale in "ab" for n in (1, 2)
)


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["notebooks", "sites", "ratings"])
    parser.add_argument("--sites", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--ratings", type=int, default=10_000_000)
    given = parser.parse_args()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory(prefix="icsat-bench-") as folder:
        place = Path(folder)
        for what in given.what:
            {"notebooks": notebooks, "sites": sites, "ratings": ratings}[what](place, given)


def say(what: str, seconds: float, more: str = "") -> float:
    """Print one line."""
    print(f"{what:<44} {seconds:8.1f} s  {more}", flush=True)
    return seconds


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that something takes, in silence."""
    start = time.perf_counter()
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        work()
    return time.perf_counter() - start


def run(output: Path, *words: str, fork: str = "1") -> None:
    """Run the command in a process of its own, as an operator does; its failure is one."""
    command = [sys.executable, "-m", "icsat_helpers.cli", "run", "--output", str(output), *words]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=os.environ | {"ICSAT_FORK": fork})


def loop(output: Path, study: Path, site: str = "") -> None:
    """Run each notebook by a papermill of its own."""
    output.mkdir(parents=True)
    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb")):
        words = ["-p", "study", str(study), *(["-p", "site", site] if site else [])]
        command = [sys.executable, "-m", "papermill", str(path), str(output / path.name), *words, "--no-progress-bar"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def notebooks(place: Path, _: argparse.Namespace) -> None:
    """Print the loop, both kinds of kernels, the floor, and a rerun."""
    study, jobs = ROOT / "data" / "example", os.cpu_count() or 1
    looped = say("papermill loop", timed(lambda: loop(place / "loop", study)))
    ordinary = timed(lambda: run(place / "ordinary", "--jobs", str(jobs), fork="0"))
    say("this runner, ordinary kernels", ordinary, f"{looped / ordinary:.1f} times faster than the loop")
    forked = timed(lambda: run(place / "forked", "--jobs", str(jobs)))
    say("this runner, forked kernels", forked, f"{looped / forked:.1f} times faster than the loop")
    importing, cells = floor(place / "floor")
    bound = cells / jobs
    rendering = timed(lambda: ((place / "forked" / "2026Q3" / "index.html").unlink(), run(place / "forked")))
    say("floor: seconds in cells / cores", bound, f"{cells:.1f} s on {jobs} cores")
    say("one-time import", importing)
    say("rendering, and starting the command", rendering)
    say("1.6 times the floor + import + rendering", 1.6 * bound + importing + rendering, "to be held against forked")
    say("nothing changed", timed(lambda: run(place / "forked")))


def floor(output: Path) -> tuple[float, float]:
    """Return the seconds of importing once, and of all cells, one notebook after the other."""
    request = Request(output=str(output))
    asked = plans.collect(request)
    source = plans.Source(request.study, request.period, lambda: None)
    plan = plans.plan(request, asked, plans.check(request, source), source.folder)[0][0]
    cache.hold(source.load(), plan.held, plan.study.key)
    start = time.perf_counter()
    ours = kernels.Kernels(ROOT, {name for notebook in plan.notebooks for name in notebook.imports})
    ours.wait({name for notebook in plan.notebooks for name in notebook.imports})
    importing, cells = time.perf_counter() - start, 0.0
    for notebook in sorted(plan.notebooks, key=lambda each: each.name == SUMMARY):
        manager = ours.manager(float("inf"), {cache.VARIABLE: str(plan.held)})
        made = execution._papermill(notebook, plan.values_for(notebook), ROOT, manager)
        cells += sum(cell.metadata.get("papermill", {}).get("duration") or 0.0 for cell in made.cells)
    ours.close()
    return importing, cells


def sites(place: Path, given: argparse.Namespace) -> None:
    """Print how the time and the memory grow with the sites, against the loop on two of them."""
    study, most = place / "sites", max(given.sites)
    simulate.write(simulate.organisation(units=12 * most, people=360 * most, periods=8), study)
    units = pd.read_csv(study / "units.csv", dtype=str)
    units["site"] = [f"Site {n // 12 + 1:03d}" for n in range(len(units))]
    units.to_csv(study / "units.csv", index=False)
    names = sorted(units["site"].unique())
    looped = timed(lambda: [loop(place / "sites-loop" / name, study, name) for name in names[:2]]) / min(2, len(names))
    say("papermill loop, a site", looped)
    before = (0, 0.0)
    for count in sorted(given.sites):
        words = [word for name in names[:count] for word in ("--site", name)]
        with Memory() as memory:
            took = timed(lambda n=count, w=words: run(place / f"sites-{n}", "--study", str(study), "--jobs", "2", *w))
        each = (took - before[1]) / (count - before[0])
        more = f"{count * looped / took:.1f} times faster; {each:.2f} s a further site; {memory.most:.1f} GB at most"
        before = (count, say(f"this runner, {count} sites", took, more))


class Memory:
    """The most memory that this process and all it started have at once, in GB, shared pages counted once."""

    most = 0.0

    def __enter__(self) -> Memory:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.5):
            self.most = max(self.most, sum(map(_share, _family())) / 2**20)


def _family() -> list[int]:
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    family = [os.getpid()]
    for pid in family:
        family += [child for child, parent in parents.items() if parent == pid]
    return family


def _share(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def ratings(place: Path, given: argparse.Namespace) -> None:
    """Print unit-period scores of a large Parquet file: by this package, and the same aggregation by DuckDB.

    The same is what gives the same scores: one in thirty answers was given twice, and stands once. Without that DuckDB
    would need a third of the time, and the scores of some units would be others by more than .005.
    """
    folder, n = place / "large", given.ratings
    folder.mkdir()
    (folder / "study.toml").write_text(TOML)
    random = np.random.default_rng(1)
    person = random.integers(0, n // 40 + 1, n)
    frame = {
        "period": random.choice([f"{year}Q{quarter}" for year in (2024, 2025, 2026) for quarter in (1, 2, 3, 4)], n),
        "customer_unit": np.char.add("u", (person % 500).astype(str)),
        "provider_unit": random.integers(0, 50, n).astype(str),
        "person_id": np.char.add("p", person.astype(str)),
    } | {f"{scale}_{k}": random.integers(1, 6, n) for scale in "ab" for k in (1, 2)}  # fmt: skip
    pd.DataFrame(frame).to_parquet(folder / "service_ratings.parquet", index=False)
    seconds, scores = {}, {}
    ways = {"DuckDB, every row": (DUCK, EVERY_ROW), "DuckDB": (DUCK, SETTLED), "this package": (OURS, "")}
    for name, (code, answers) in ways.items():
        work = code.format(folder=str(folder), answers=answers.format(folder=str(folder)))
        script = RATED.format(work=work)
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
        took, memory, scores[name] = json.loads(done.stdout)
        seconds[name] = say(f"{n:,} ratings, {name}", took, f"{memory:.1f} GB at most")
    ours = scores.pop("this package")
    for name, theirs in scores.items():
        assert {key: n for key, (_, n) in theirs.items()} == {key: n for key, (_, n) in ours.items()}
        away = max(abs(value - ours[key][0]) for key, (value, _) in theirs.items())
        print(f"{len(ours)} scores, those of {name} are off by {away:.0e} at most")
        assert away < 1e-9 or name == "DuckDB, every row"
    print(f"{seconds['this package'] / seconds['DuckDB']:.1f} times DuckDB's time")


if __name__ == "__main__":
    main()
