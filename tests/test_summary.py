"""The executive summary says what findings.json holds, and no more."""

import json

import pytest

from icsat_helpers import summary


def finding(name, verdict, estimate=1.0):
    return {
        "id": name, "verdict": verdict, "sentence": f"Sentence of {name} <b>.", "estimate": estimate,
        "warnings": ["attenuated"],
        "checks": [{"name": "own_score", "passed": False, "detail": "too noisy"}],
    }  # fmt: skip


@pytest.fixture
def written(example, tmp_path):
    def write(period, *findings, study="Example Group"):
        (tmp_path / period).mkdir(exist_ok=True)
        found = {"study": study, "findings": list(findings), "metrics": []}
        (tmp_path / period / "findings.json").write_text(json.dumps(found))
        return summary.results(example, str(tmp_path))

    return write


def test_one_row_a_claim_and_what_changed(example, written):
    written("2026Q2", finding("H1", "inconclusive"))
    found = written("2026Q3", finding("H1", "supported"), finding("H3.performance", "supported"))
    text = summary.claims_table(example, found).text
    assert "Supported | Sentence of H1 <b>. | Was: not clear yet." in text
    assert [line.split(" | ")[0] for line in text.splitlines()[1:]] == [f"H{i}" for i in range(1, 8)]
    assert "Not tested in this run." in text
    assert "&lt;b&gt;" in summary.claims_table(example, found).html


def test_another_studys_findings_are_not_read(written):
    assert written("2026Q3", finding("H1", "supported"), study="Somebody else").findings == []


def test_steps_begin_with_what_is_supported(written):
    found = written("2026Q3", finding("H1", "inconclusive"), finding("H3", "supported"))
    steps = summary.next_steps(found).text.splitlines()
    assert steps[0].startswith("1. H3: keep")
    assert steps[1].startswith("2. H1: measure on")


def test_checks_that_failed_are_said(written):
    text = summary.cautions(written("2026Q3", finding("H1", "supported"))).text
    assert "own score | too noisy" in text
    assert "noisy and could not be corrected" in text


def test_without_results_it_says_what_to_do(example, tmp_path):
    found = summary.results(example, str(tmp_path))
    assert "icsat run" in summary.headline(example, found).text
    assert "icsat check" in summary.next_steps(found).text


def test_findings_of_a_site_are_found_by_the_runners_own_folder(example, tmp_path):
    from dataclasses import replace

    from icsat_helpers.results import folder

    place = folder(tmp_path, "2026Q3", "Zürich Süd")
    place.mkdir(parents=True)
    found = {"study": "Example Group", "findings": [finding("H1", "supported")], "metrics": []}
    (place / "findings.json").write_text(json.dumps(found))
    assert len(summary.results(replace(example, site="Zürich Süd"), str(tmp_path)).findings) == 1
