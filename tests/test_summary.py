"""The executive summary says what findings.json holds, and no more."""

import dataclasses
import json

import pytest

import icsat_helpers as ic
from icsat_helpers import summary


def finding(name, verdict, estimate=1.0):
    return {
        "id": name, "claim": f"Claim {name}", "verdict": verdict, "sentence": f"Sentence of {name} <b>.",
        "rung": "precedence", "estimate": estimate, "standardised": estimate / 5, "smallest_effect": 0.5,
        "detectable_effect": 1.0, "direction": 1, "ci_low": estimate - 1, "ci_high": estimate + 1,
        "warnings": ["attenuated"],
        "checks": [{"name": "own_score", "passed": False, "detail": "too noisy"}],
    }  # fmt: skip


def metric(name, of, value, low=None, high=None, n=100):
    return {"name": name, "of": of, "value": value, "ci_low": low, "ci_high": high, "n": n, "notebook": "x"}


@pytest.fixture
def written(example, tmp_path):
    def write(period, *findings, study="Example Group", metrics=(), tables=None):
        (tmp_path / period).mkdir(exist_ok=True)
        found = {"study": study, "findings": list(findings), "metrics": list(metrics)}
        if tables is not None:
            (tmp_path / period / "manifest.json").write_text(json.dumps({"study": study, "tables": tables}))
        (tmp_path / period / "findings.json").write_text(json.dumps(found))
        return summary.results(example, str(tmp_path))

    return write


def test_one_row_a_claim_and_what_changed(example, written):
    written("2026Q2", finding("H1", "inconclusive"))
    found = written("2026Q3", finding("H1", "supported"), finding("H3.performance", "supported"))
    text = summary.claims_table(example, found).text
    assert "Supported (rung: precedence) | Sentence of H1 <b>. | Was: Not clear yet (estimate 1 then). Why:" in text
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


def test_revised_data_are_named(example, written):
    """The manifest of the period before holds what each table was then."""
    from icsat_helpers import clean, fingerprints

    then = fingerprints.of_tables(clean.load(example.folder, "2026Q2").tables)
    written("2026Q2", finding("H1", "supported", 2.0), tables={**then, "people": "another"})
    found = written("2026Q3", finding("H1", "supported"))
    assert found.revised == ["people"]
    assert "Why: new data; revised data (people)." in summary.claims_table(example, found).text


def test_the_first_screen_says_score_change_and_interval(example, written):
    shown = [
        metric("mean", "internal", 3.4912, 3.42, 3.57, 710),
        metric("favourable_share", "internal", 0.524),
        metric("response_rate", "internal", 0.65, 0.62, 0.68),
        metric("mean", "internal.quality", 3.0),
        metric("icc1", "internal", 0.1),
    ]
    page = summary.headline(example, written("2026Q3", metrics=shown))
    lines = page.text.splitlines()
    assert lines[0] == "Example Group, 2026Q3 | now (95% interval) | change since 2026Q2 | people"
    levels = ic.levels.level(example, "internal").set_index("t")["value"]
    trend = f"{levels.iloc[0]:.2f} in 2023Q4, {levels.iloc[-1]:.2f} in 2026Q3"
    assert lines[1].startswith(f"Internal satisfaction ({trend}) | 3.49 (3.42 to 3.57) | −0.04 (−0.12 to +0.04) | 710")
    assert [line.split(" | ")[1] for line in lines[2:]] == ["52%", "65% (62 to 68)"]
    assert page.html.count("<img alt='") == 3 and f"alt='{trend}'" in page.html


def test_a_line_over_time_has_every_period_that_may_be_shown(example):
    rates = ic.health.history(example, "response_rate", "internal").set_index("t")["value"]
    assert rates[example.t] == pytest.approx(ic.response.invited(example)["answered"].mean())
    assert len(rates) == len(ic.health.history(example, "mean", "internal")) and rates.notna().all()
    settings = dataclasses.replace(example.settings, minimum_group=100_000)
    few = dataclasses.replace(example, settings=settings)
    for name in ("mean", "favourable_share", "response_rate"):
        assert ic.health.history(few, name, "internal")["value"].isna().all()


def test_a_change_that_rounds_to_nothing_has_no_sign():
    assert summary._interval(-0.001, -0.2, 0.1, share=False, sign=True) == "0.00 (−0.20 to +0.10)"
    assert summary._interval(0.004, None, None, share=True, sign=True) == "0 points"


def test_who_is_not_heard(example, small):
    """Units of which about half or fewer answered are named; those too small to show are only counted."""
    from dataclasses import replace

    rows = summary.of_units(example)
    low = rows[(rows["share"] < 0.5) & (rows["n"] >= 5)]
    text = summary.not_heard(example).text
    assert all(name in text for name in low["name"])
    assert not any(name in text for name in rows.loc[rows["share"] >= 0.5, "name"])
    strict = replace(example, settings=replace(example.settings, minimum_group=int(low["n"].max()) + 1))
    hidden = summary.not_heard(strict).text
    assert not any(name in hidden for name in low["name"])
    assert "units are not shown" in hidden
    nobody = replace(example, tables={k: v for k, v in example.tables.items() if k != "people"})
    assert "no table people" in summary.not_heard(nobody).text


def test_parts_stand_below_their_claims(example, written):
    found = written("2026Q3", finding("H7.training", "supported"), finding("H3.performance", "inconclusive"))
    assert [line.split(" | ")[0] for line in summary.parts_table(found).text.splitlines()[1:]] == [
        "H3.performance",
        "H7.training",
    ]
    assert summary.parts_table(written("2026Q3", finding("H1", "supported"))).html == ""


def test_the_chart_holds_every_claim(example, written):
    chart = summary.claims_chart(example, written("2026Q3", finding("H1", "supported")))
    assert chart.alt.count("Not tested") == 6
    assert all(f"H{i}:" in chart.alt for i in range(1, 8))
    assert "H1: Supported, 0.2 (0 to 0.4)" in chart.alt


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"verdict": "inconclusive"}, "About 4 times as many units or periods"),
        ({"verdict": "inconclusive", "detectable_effect": 5.0}, "More of the same will not do"),
        ({"verdict": "inconclusive", "detectable_effect": 0.5}, "A few more periods"),
        ({"verdict": "supported"}, "A programme started at different times"),
        ({"verdict": "supported", "rung": "association"}, "Three or more periods"),
        ({"verdict": "negligible"}, "Nothing"),
        ({"verdict": "not_estimable", "rung": "none"}, "The data that are named there"),
        ({"warnings": ["same_source"]}, "asked of different people"),
    ],
)
def test_what_it_takes_to_know_more(changed, said):
    found = finding("H1", "supported") | changed
    assert said in summary.to_know_more(found)
    assert ("Answers of persons" in summary.to_know_more(found)) == (
        "attenuated" in found["warnings"] and found["verdict"] in ("supported", "inconclusive")
    )


def test_published_relations_are_marked_as_context(written):
    text = summary.context(written("2026Q3", finding("H1", "supported"))).text
    assert "H1 | customer satisfaction | 0.32 | 0.2" in text
    assert "H3 | turnover | −0.36 | –" in text
    assert "context only" in text
    assert "no yardstick" in text


def test_three_things_stand_first(written):
    metrics = [
        {"name": "favourable_share", "of": "internal.quality", "value": 0.514},
        {"name": "favourable_share", "of": "internal.responsiveness", "value": 0.6},
        {"name": "urgency", "of": "internal.quality", "value": 0.5},
        {"name": "urgency", "of": "internal.responsiveness", "value": 0.4},
        *({"name": "lower_half", "of": name, "value": 3.0} for name in ("Payroll", "IT", "Fleet", "Legal")),
    ]
    parts = [finding("H7.training", "supported"), finding("H7.feedback", "inconclusive")]
    said = summary.first(written("2026Q3", *parts, metrics=metrics)).text.splitlines()
    assert len(said) == 3
    assert "Improve quality" in said[0]
    assert "51%" in said[0]
    assert "Payroll, IT, Fleet:" in said[1]
    assert "Extend training" in said[2]
    assert "Nothing is proven yet" in summary.first(written("2026Q3")).text
