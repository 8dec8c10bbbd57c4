"""Only what depends on a change runs again; what has been found stays, and so do the files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from collection import SAY_RUN, STUDY, answer_at_once, node, write, write_study

from icsat_helpers import batch, fingerprints, study
from icsat_helpers.plans import Request
from icsat_helpers.project import ROOT

ALL = ["00-executive-summary", "01-scores", "02-goals", "03-silent"]
Ran = Callable[[], list[str]]


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """Notebooks that ask for one table, for one that is absent, and one that does not say what it asks for."""
    return answer_at_once(
        monkeypatch, tmp_path / "ran", n00_executive_summary=[], n01_scores=["unit_scores"], n02_goals=["goals"]
    )


@pytest.fixture
def request_(tmp_path: Path, ran: Ran, capsys: pytest.CaptureFixture[str]) -> Request:
    """A request that has been run once."""
    parameters = "\n".join(f'{name}: str = ""' for name in ("period", "study", "site", "output", "language"))
    own = node(SAY_RUN, parameters=parameters + "\ndraws: int = 1")
    names = {"n00_executive_summary": node(SAY_RUN), "n01_scores": own}
    collection = write(tmp_path / "notebooks", **names, n02_goals=node(SAY_RUN), n03_silent=node(SAY_RUN))
    request = Request(study=str(write_study(tmp_path / "study")), output=str(tmp_path / "out"), collection=collection)
    assert batch.run(request) == 0
    assert ran() == ALL
    capsys.readouterr()
    return request


def place(request: Request) -> Path:
    return Path(request.output) / "2026Q2"


def test_nothing_runs_again_where_nothing_changed(
    request_: Request, ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in place(request_).iterdir()}
    assert batch.run(request_) == 0
    assert ran() == []
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[:4]] == ["unchanged"] * 4
    assert {path: path.stat().st_mtime_ns for path in place(request_).iterdir()} == before
    assert batch.run(replace(request_, force=True)) == 0
    assert ran() == ALL
    assert batch.run(replace(request_, force=True, notebooks=("01-scores",))) == 0
    assert ran() == ["00-executive-summary", "01-scores"]


def test_an_unchanged_run_imports_no_science(request_: Request) -> None:
    code = (
        "import sys; from pathlib import Path; from icsat_helpers import batch\n"
        f"code = batch.run(batch.Request(study={request_.study!r}, output={request_.output!r}, "
        f"collection=Path({str(request_.collection)!r})))\n"
        "sys.exit(code or ' '.join({'pandas', 'numpy', 'pyarrow', 'papermill', 'nbformat', 'babel'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stderr, done.returncode) == ("\n", 1)  # nothing to name
    assert done.stdout.count(" unchanged") == 4


def _edit(request: Request) -> Request:
    write(request.collection, n02_goals=node(SAY_RUN, "1"))
    return request


def _ask(request: Request) -> Request:
    return replace(request, parameters=("draws=2",))


def _change_scores(request: Request) -> Request:
    write_study(Path(request.study), score=3.9)
    return request


def _add_goals(request: Request) -> Request:
    (Path(request.study) / "goals.csv").write_text("provider_unit,target\nU1,4\n")
    return request


def _add_units(request: Request) -> Request:  # which no notebook asked for, but for the silent one
    (Path(request.study) / "units.csv").write_text("unit_id\nU1\nU2\n")
    return request


def _settle(request: Request) -> Request:
    with (Path(request.study) / "study.toml").open("a") as toml:
        toml.write('language = "fr"\n')
    return request


def _translate(request: Request) -> Request:
    return replace(request, parameters=("language=de",))


def _report_before(request: Request) -> Request:
    before = Path(request.output) / "2026Q1" / "findings.json"
    before.parent.mkdir()
    before.write_text(json.dumps({"study": STUDY, "findings": [], "metrics": []}))
    return request


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_edit, ["02-goals"]), (_ask, ["01-scores"]), (_change_scores, ["01-scores", "03-silent"]),
        (_add_goals, ["02-goals", "03-silent"]), (_add_units, ["03-silent"]), (_settle, ALL[1:]), (_report_before, []),
        (_translate, ALL[1:]),
    ],
)  # fmt: skip
def test_what_depends_on_a_change_runs_again_and_the_summary(
    request_: Request, ran: Ran, change: Callable[[Request], Request], expected: list[str]
) -> None:
    changed = change(request_)
    assert batch.run(changed) == 0
    assert ran() == ["00-executive-summary", *expected]
    assert batch.run(changed) == 0
    assert ran() == []
    manifest = json.loads((place(request_) / "manifest.json").read_text())
    hashes = {name: fingerprints.of_file(path) for path in Path(request_.study).iterdir() for name in [path.stem]}
    assert manifest["data"] == {name + ".toml" * (name == "study"): value for name, value in hashes.items()}
    assert manifest["notebooks"][2]["data"] == {
        "study.toml": hashes["study"], "goals": hashes.get("goals")
    }  # fmt: skip


def test_pages_are_made_anew_without_running(request_: Request, ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    page = place(request_) / "02-goals.html"
    text = page.read_text()
    page.unlink()
    assert batch.run(request_) == 0
    assert page.read_text() == text
    page.write_text("from an older version of the pages")
    monkeypatch.setattr(fingerprints, "pages", lambda: "another")
    assert batch.run(request_) == 0
    assert page.read_text() == text
    assert ran() == []


def test_a_study_tells_what_it_was_asked_for(small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "ASKED", set())
    assert not small.has("goals") or len(small.table("goals"))
    small.table("unit_scores")
    assert {"goals", "unit_scores"} == study.ASKED
    assert "morale" in small.tables  # who looks at everything
    assert {"morale", "people", "programmes"} <= study.ASKED
