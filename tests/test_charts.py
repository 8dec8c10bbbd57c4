"""Figures: intervals, words, the same bytes for the same data."""

from xml.etree import ElementTree

import numpy as np
import pytest

import icsat_helpers as ic
from icsat_helpers import charts, disclosure, words


@pytest.fixture(scope="module")
def relation(example):
    panel = ic.unit_panel(example, "internal", "external")
    tested = ic.strongest(example, panel)
    design, main = tested.design, tested.slope
    return charts.relation(design, main, ic.plain_design(panel).fit(), "Satisfaction", "Score"), main


def test_the_interval_of_a_slope_closes_at_zero(relation):
    chart, main = relation
    (axes,) = chart.figure.axes
    band = max((c.get_paths()[0].vertices for c in axes.collections if c.get_paths()), key=len)
    at_zero = band[np.abs(band[:, 0]) < 0.005, 1]
    assert np.abs(at_zero).max() < 0.05
    low, high = main.estimate.interval()
    end = band[band[:, 0] == band[:, 0].max()]
    assert {round(y, 6) for y in end[:, 1]} == {round(low * end[0, 0], 6), round(high * end[0, 0], 6)}


def test_a_dot_holds_as_many_units_as_a_group_must_have_people(example):
    panel = ic.unit_panel(example, "internal", "external")
    tested, plain = ic.strongest(example, panel), ic.plain_design(panel).fit()
    few, many = (charts.relation(tested.design, tested.slope, plain, "x", "y", minimum) for minimum in (5, 30))
    dots = [len(chart.figure.axes[0].lines[0].get_xdata()) for chart in (few, many)]
    assert dots[0] == charts.BINS
    assert 1 <= dots[1] < 429 / 30


def test_alt_text_states_the_numbers(relation):
    chart, main = relation
    for value in (main.estimate.value, *main.estimate.interval()):
        assert words.number(value) in chart.alt
    html = chart._repr_mimebundle_()["text/html"]
    assert f'alt="{chart.alt}"' in html
    assert "data:image/svg+xml;base64," in html


def test_the_same_data_gives_the_same_bytes(example):
    levels = ic.levels.level(example, "internal")
    one, two = (charts.trend(levels, [example.label(t) for t in levels["t"]], "Mean").svg() for _ in range(2))
    assert one == two
    assert "http://" not in one.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )


def test_what_is_hidden_is_named_without_a_number(example):
    rates = disclosure.publishable(ic.response.of_units(example), "n", 9, ["answered", "share", "low", "high"])
    chart = charts.shares(rates, "name", "share", "low", "high", "Response")
    hidden = int((rates["shown"] != "").sum())
    assert hidden > 1
    assert f"{hidden} hidden" in chart.alt
    (axes,) = chart.figure.axes
    assert len(axes.lines[0].get_xdata()) == len(rates) - hidden


def test_claims_are_drawn_in_the_claims_direction():
    finding = {
        "id": "H3", "verdict": "supported", "direction": -1, "estimate": -1.0, "ci_low": -1.5, "ci_high": -0.5,
        "standardised": -0.5, "smallest_effect": 0.2,
    }  # fmt: skip
    blank = {"estimate": None, "standardised": None}
    others = [{"id": "H1", "verdict": "not_estimable", **blank}, {"id": "H2", "verdict": "not_tested", **blank}]
    chart = charts.claims([*others, finding])
    assert chart.alt.endswith("H1: Cannot be answered; H2: Not tested; H3: Supported, 0.5 (0.25 to 0.75).")
    drawn = [text.get_text() for text in chart.figure.axes[0].texts]
    assert drawn == ["Supported", "Not tested", "Cannot be answered"]  # from the bottom


def test_a_chart_has_no_groups_that_do_nothing(example):
    levels = ic.levels.level(example, "internal")
    drawn = charts.trend(levels, [example.label(t) for t in levels["t"]], "Mean").svg()
    elements = list(ElementTree.fromstring(drawn).iter())
    named = [each for each in elements if each.tag.endswith("}g") and not set(each.attrib) - {"id"}]
    assert not named and not any("style" in each.attrib for each in elements)
    assert elements[0].attrib["stroke-linecap"] == "butt"  # as the style of all elements said
    assert "Mean" in [each.text for each in elements]
