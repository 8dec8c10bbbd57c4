"""What several test files share: the example, small simulated organisations, the real studies where they are."""

from __future__ import annotations

import os
from pathlib import Path

import filelock
import numpy as np
import pytest

import icsat_helpers as ic
from icsat_helpers import cli, simulate, words

ROOT = Path(__file__).resolve().parent.parent
STUDIES = Path(os.environ.get("ICSAT_STUDIES", ROOT.parent / "shared" / "studies"))


def real_study(name: str) -> Path:
    """Folder of a real study; the test is skipped where it is absent."""
    folder = STUDIES / name
    if not folder.is_dir():
        pytest.skip(f"the real study {name} is not on this machine (ICSAT_STUDIES names its folder)")
    return folder


@pytest.fixture(autouse=True)
def _english():
    """Each test begins in English, and so do the fixtures of the next file, whatever was spoken here."""
    words.speak("en")
    yield
    words.speak("en")


@pytest.fixture(scope="session")
def example():
    """The embedded example, loaded once."""
    return ic.load(ROOT / "data" / "example")


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A small organisation: 12 units, 150 people, 6 quarters."""
    folder = tmp_path_factory.mktemp("small")
    simulate.write(simulate.organisation(units=12, people=150, periods=6, seed=5), folder)
    return ic.load(folder)


@pytest.fixture(scope="session")
def published_once(tmp_path_factory, worker_id):
    """A maker of runs, each made once, by whichever worker of the tests asks first; it returns the period's folder."""
    base = tmp_path_factory.getbasetemp()

    def make(name, *words):
        output = (base if worker_id == "master" else base.parent) / name
        with filelock.FileLock(f"{output}.lock"):
            if not list(output.glob("*/manifest.json")):
                assert cli.main(["run", "--output", str(output), *words]) == 0
        return next(output.glob("*/manifest.json")).parent

    return make


@pytest.fixture(scope="session")
def published(published_once):
    """The folder of a run of the example."""
    return published_once("published")


@pytest.fixture(scope="session")
def in_french(published_once):
    """The same in French; a message without a translation ends it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ICSAT_WORDS", "strict")
        return published_once("in-french", "--parameter", "language=fr")


@pytest.fixture(scope="session")
def in_german(published_once, tmp_path_factory):
    """A smaller organisation whose study.toml asks for German: other messages than the example's are needed."""
    folder = tmp_path_factory.mktemp("german")
    simulate.write(simulate.organisation(units=12, people=150, periods=6, seed=5), folder)
    toml = (folder / "study.toml").read_text(encoding="utf-8").replace('language = "en"', 'language = "de"')
    (folder / "study.toml").write_text(toml, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ICSAT_WORDS", "strict")
        return published_once("in-german", "--study", str(folder))


@pytest.fixture
def study_of_scores(tmp_path):
    """A maker of studies that hold unit averages only."""

    def make(units, periods, keep=lambda t: True, sources=("staff", "customers")):
        rng = np.random.default_rng(3)
        rows = [
            f"{2000 + t},u{unit},{measure},{rng.normal():.4f},,{source}"
            for unit in range(units)
            for t in range(periods)
            if keep(t)
            for measure, source in zip(("internal", "external"), sources, strict=True)
        ]
        text = "period,unit_id,measure,value,n,source\n" + "\n".join(rows) + "\n"
        (tmp_path / "unit_scores.csv").write_text(text)
        (tmp_path / "study.toml").write_text('contract = 1\n[study]\nname = "S"\nfrequency = "year"\n')
        return ic.load(tmp_path)

    return make
