"""The command: words and exit codes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from collection import write_study

from icsat_helpers import batch, cli
from icsat_helpers.plans import Request
from icsat_helpers.project import ROOT


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Catch what `run` is asked for."""
    requests: list[Request] = []
    monkeypatch.setattr(batch, "run", lambda request: requests.append(request) or 0)
    return requests


def test_run_without_a_word_is_the_latest_period_of_the_example(asked: list[Request]) -> None:
    assert cli.main(["run"]) == 0
    assert asked == [Request()]
    assert (asked[0].study, asked[0].output, asked[0].period) == ("data/example", "outputs", "")


def test_run_passes_everything_on(asked: list[Request]) -> None:
    words = "run 2026Q3 --study s --output o --notebook a --notebook b --site x --site y --by-site"
    words += " --parameter p=1 --jobs 3 --timeout 9.5 --scheduler tcp:1 --force"
    assert cli.main(words.split()) == 0
    assert asked == [
        Request(
            period="2026Q3",
            study="s",
            output="o",
            notebooks=("a", "b"),
            sites=("x", "y"),
            by_site=True,
            parameters=("p=1",),
            jobs=3,
            timeout=9.5,
            scheduler="tcp:1",
            force=True,
        )
    ]


@pytest.mark.parametrize(
    "words", [[], ["rnu"], ["run", "--jobs", "many"], ["run", "--notebok", "x"], ["run", "--per", "x"]]
)
def test_what_it_does_not_know_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(words)
    assert stopped.value.code == 2
    assert "usage: icsat" in capsys.readouterr().err


def test_help_names_what_is_built(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    said = capsys.readouterr().out
    assert [word in said for word in ("run", "check", "new", "simulate")] == [True] * 4


def test_check_lists_every_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(tmp_path / "study")
    (study / "unit_scores.csv").write_text("period,unit_id,measure,value\n2026Q7,U1,internal,3\n2026Q2,U1,internal,x\n")
    assert cli.main(["check", str(study)]) == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 2
    assert "2026Q7" in said.out
    assert "Traceback" not in said.err


def test_check_of_nothing_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(tmp_path / "nowhere")]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_check_says_what_can_be_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(write_study(tmp_path / "study"))]) == 0
    first, *questions = capsys.readouterr().out.splitlines()
    assert first.startswith("ready")
    assert any(line.startswith("H1 ") and "cannot be answered: " in line for line in questions)


def test_every_claim_has_a_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(ROOT / "data" / "example")]) == 0
    claims = [line.split() for line in capsys.readouterr().out.splitlines() if re.match(r"H\d ", line)]
    assert len(claims) == 7
    assert all((ROOT / "notebooks" / f"{claim[1]}.ipynb").is_file() for claim in claims)


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        ("internal_to_moral=1", "did you mean internal_to_morale"),
        ("internal_to_morale=much", "the value a number"),
        ("internal_to_morale", "the value a number"),
        ("all=nan", "the value a number"),
        ("all=inf", "the value a number"),
    ],
)
def test_effects_are_strict(effect: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["simulate", str(tmp_path / "made"), "--effect", effect]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


def test_simulate_sets_effects_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from icsat_helpers import simulate

    seen: dict[str, Any] = {}
    monkeypatch.setattr(simulate, "organisation", lambda **given: seen.update(given))
    monkeypatch.setattr(simulate, "write", lambda made, folder: None)
    words = ["--effect", "all=0", "--effect", "internal_to_morale=0.5", "--units", "6", "--seed", "3"]
    assert cli.main(["simulate", str(tmp_path / "made"), *words]) == 0
    assert (seen["units"], seen["seed"]) == (6, 3)
    assert {name for name, value in seen["effects"].items() if value} == {"internal_to_morale"}
    assert set(seen["effects"]) == set(simulate.EFFECTS)


def test_simulate_does_not_write_over_a_real_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(tmp_path / "study")
    before = (study / "study.toml").read_text()
    assert cli.main(["simulate", str(study)]) == 2
    assert "was not simulated" in capsys.readouterr().err
    assert (study / "study.toml").read_text() == before


def test_simulate_refuses_an_organisation_of_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["simulate", str(tmp_path / "made"), "--people", "0"]) == 2
    assert "people" in capsys.readouterr().err


def test_a_simulated_study_is_written_and_ready(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "made"
    assert cli.main(["simulate", str(folder), "--units", "6", "--people", "60", "--periods", "3"]) == 0
    assert cli.main(["check", str(folder)]) == 0
    assert "ready" in capsys.readouterr().out


def test_the_command_starts_without_science() -> None:
    code = (
        "import sys; from icsat_helpers import cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit: pass\n"
        "print([name for name in ('pandas', 'scipy', 'papermill') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.endswith("[]\n")
