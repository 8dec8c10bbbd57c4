"""The real notebooks by the real runner: the example, an organisation in which nothing is true, real studies."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html import escape

import nbformat
import pytest
from conftest import ROOT, real_study

from icsat_helpers import cli, simulate

CLAIMS = (
    "04-external-customers", "05-morale", "06-retention", "07-productivity", "08-service-profit-chain", "09-associates",
)  # fmt: skip


def run(folder, output, *words):
    code = cli.main(["run", "--study", str(folder), "--output", str(output), *words])
    assert code == 0
    (period,) = [path for path in output.iterdir() if path.is_dir() and not path.name.startswith(".")]
    found = json.loads((period / "findings.json").read_text())
    return period, {finding["id"]: finding for finding in found["findings"]}


@pytest.fixture(scope="module")
def example_run(published):
    found = json.loads((published / "findings.json").read_text())
    return published, {finding["id"]: finding for finding in found["findings"]}


def test_the_example_is_answered(example_run):
    period, findings = example_run
    assert period.name == "2026Q3"
    truth = simulate.estimands(simulate.EFFECTS, 12)
    programmes = {name for name in truth if name.startswith("H7")}
    assert set(findings) == {*truth, "H4.first_response", "H4.rework"}
    rungs = {name: "intervention" if name in programmes else "precedence" for name in findings}
    assert {name: finding["rung"] for name, finding in findings.items()} == rungs
    for name, finding in findings.items():
        half = (finding["ci_high"] - finding["ci_low"]) / 2
        assert abs(finding["estimate"] - truth.get(name, 0.0)) < 1.5 * half, name  # three standard errors
    assert findings["H1"]["p_adjusted"] == pytest.approx(min(1, 7 * findings["H1"]["p"]), rel=1e-4)
    assert findings["H3"]["warnings"] == ["between_persons"]


def test_the_run_leaves_what_the_contract_names(example_run):
    period, _ = example_run
    names = {path.name for path in period.iterdir()}
    stems = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    made = json.loads((period / "manifest.json").read_text())["pdf"]["made"]  # not where Pango is missing
    assert names == {"index.html", "findings.json", "data-changes.csv", "manifest.json", *["index.pdf"] * made} | {
        f"{stem}.{ending}" for stem in stems for ending in ("html", "ipynb")
    }
    metrics = json.loads((period / "findings.json").read_text())["metrics"]
    assert {"response_rate", "mean", "favourable_share"} <= {metric["name"] for metric in metrics}
    shares = {m["name"]: m["value"] for m in metrics if m["name"].startswith("variance_share.")}
    assert set(shares) == {f"variance_share.{part}" for part in ("provider", "customer", "relationship", "person")}


def test_no_output_shows_a_row_about_a_person(example_run):
    period, _ = example_run
    for path in period.iterdir():
        if path.suffix == ".pdf":  # drawn from index.html
            continue
        assert not re.search(r"\bP\d{5}\b", path.read_text(encoding="utf-8")), path.name


def test_pages_load_nothing(example_run):
    period, _ = example_run
    for path in period.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:image/|#)""", text), path.name
        assert "<script" not in text


def test_the_summary_says_what_the_findings_say(example_run):
    period, findings = example_run
    text = (period / "00-executive-summary.html").read_text(encoding="utf-8")
    for name in ("H1", "H2", "H4", "H6", "H7"):
        assert escape(findings[name]["sentence"]) in text, name
    assert "Not tested in this run." not in text


def test_every_figure_has_words(example_run):
    period, _ = example_run
    for path in period.glob("0*.html"):
        for alt in re.findall(r"<img[^>]*?\balt=\"([^\"]*)\"", path.read_text(encoding="utf-8")):
            assert len(alt) > 40, path.name
            assert re.search(r"\d", alt)


def test_no_effect_is_found_where_there_is_none(tmp_path):
    nothing = dict.fromkeys(simulate.EFFECTS, 0.0)
    simulate.write(simulate.organisation(seed=11, effects=nothing), tmp_path / "null")
    _, findings = run(tmp_path / "null", tmp_path / "out", *[w for name in CLAIMS for w in ("--notebook", name)])
    assert {finding["verdict"] for finding in findings.values()} <= {"inconclusive", "negligible"}


def test_small_units_are_hidden_not_dropped(tmp_path):
    simulate.write(simulate.organisation(units=12, people=40, periods=4, seed=2), tmp_path / "tiny")
    units = (tmp_path / "tiny" / "people.csv").read_text().count("unit-01,")
    period, _ = run(tmp_path / "tiny", tmp_path / "out", "--notebook", "01-data-health")
    assert units > 0
    text = (period / "01-data-health.html").read_text(encoding="utf-8")
    assert "hidden because they describe too few people" in text
    hidden = int(re.search(r"(\d+) hidden because", text)[1])
    assert hidden == 12  # units of three or four people


@pytest.mark.parametrize("kind", ["aggregates", "persons"])
def test_five_names_of_a_study_are_enough(tmp_path, kind):
    """A study with one period, and one that is degenerate: every notebook ends well and says what is missing."""
    (tmp_path / "s").mkdir()
    head = 'contract = 1\n[study]\nname = "S"\nfrequency = "year"\n'
    if kind == "aggregates":
        rows = "".join(f"2025,u{i},internal,3,,\n2025,u{i},external,{i},,\n" for i in range(7))
        (tmp_path / "s" / "unit_scores.csv").write_text("period,unit_id,measure,value,n,source\n" + rows)
    else:
        head += '[items.fast]\ntable = "service_ratings"\nscale = "speed"\n'
        rows = "".join(f"202{y},u{i % 6},u9,p{i},4\n" for i in range(18) for y in (4, 5))
        (tmp_path / "s" / "service_ratings.csv").write_text(
            "period,customer_unit,provider_unit,person_id,fast\n" + rows
        )
        people = "".join(f"p{i},u{i % 6},{'2025-03-01' if i == 3 else ''}\n" for i in range(18))
        (tmp_path / "s" / "people.csv").write_text("person_id,unit_id,left_on\n" + people)
    (tmp_path / "s" / "study.toml").write_text(head)
    _, findings = run(tmp_path / "s", tmp_path / "out")
    assert {finding["verdict"] for finding in findings.values()} == {"not_estimable"}
    assert all(finding["reason"] for finding in findings.values())


def test_new_york_schools(tmp_path):
    _, findings = run(real_study("nyc-schools-2011"), tmp_path)
    one = findings["H1"]
    assert (one["rung"], one["verdict"], one["n_units"]) == ("association", "supported", 299)
    assert one["standardised"] == pytest.approx(0.471, abs=5e-4)
    assert one["warnings"] == ["attenuated"]
    assert "goes with at least" in one["sentence"]
    assert findings["H3"]["verdict"] == "not_estimable"
    assert "left_on" in findings["H3"]["reason"]


def test_federal_agencies(tmp_path):
    _, findings = run(real_study("fevs-2020-2024"), tmp_path, *[w for name in CLAIMS for w in ("--notebook", name)])
    morale = findings.pop("H2")
    assert morale["rung"] == "precedence"
    assert {"same_source", "attenuated"} <= set(morale["warnings"])
    assert "self-reported" in morale["sentence"]
    assert {name: finding["verdict"] for name, finding in findings.items()} == dict.fromkeys(findings, "not_estimable")


def test_soldiers(tmp_path):
    _, findings = run(real_study("bh1996"), tmp_path)
    morale = findings.pop("H2")
    assert (morale["rung"], morale["verdict"]) == ("association", "supported")
    assert morale["standardised"] == pytest.approx(0.451, abs=0.01)  # same people .607
    assert any("correlation 0.61, of disjoint halves 0.45" in row["name"] for row in morale["sensitivity"])
    assert {finding["verdict"] for finding in findings.values()} == {"not_estimable"}


def test_two_periods_in_one_folder_say_what_changed(tmp_path):
    words = ("--study", str(ROOT / "data" / "example"), "--output", str(tmp_path), "--notebook", "00-executive-summary")
    for period in ("2026Q2", "2026Q3"):
        words_now = ("--notebook", "08-service-profit-chain", "--notebook", "01-data-health")
        assert cli.main(["run", period, *words, *words_now]) == 0
    text = (tmp_path / "2026Q3" / "00-executive-summary.html").read_text(encoding="utf-8")
    assert re.search(r"Verdict unchanged \(estimate [\d.]+ then\)\. Why: new data\.", text)
    assert "change since 2026Q2" in text
    tables = json.loads((tmp_path / "2026Q2" / "manifest.json").read_text())["tables"]
    assert len(tables["morale"]) == 64


def test_papermill_alone_and_from_the_notebooks_folder(tmp_path):
    words = [
        sys.executable,
        "-m",
        "papermill",
        "notebooks/04-external-customers.ipynb",
        str(tmp_path / "a.ipynb"),
    ]
    words += ["-p", "period", "2026Q2", "-p", "study", "data/example", "--no-progress-bar"]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    text = (tmp_path / "a.ipynb").read_text()
    assert '"period": "2026Q2"' in text
    folder = tmp_path / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder)
    notebook = nbformat.read(folder / "00-executive-summary.ipynb", as_version=4)
    from nbclient import NotebookClient

    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(ROOT / "notebooks")}}).execute()
    assert "2026Q3" in json.dumps(notebook)
