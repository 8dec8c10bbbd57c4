"""Reports in French and German: nothing of what an executive sees at once is left in English, no number changes."""

from __future__ import annotations

import base64
import csv
import json
import re
from html import unescape

import pytest
from conftest import ROOT

ENGLISH = re.compile(r"\b(the|and|of|with|was|were|is|are|by|from|to|not|more|units|points|score)\b")
FOREIGN = {"fr": {"points", "score", "is"}, "de": {"was", "is"}}  # of these words, those that the language has too
CODES = ("id", "notebook", "verdict", "rung", "direction", "unit", "warnings", "method")


def seen_at_once(page):
    """Return the text of a page without what unfolds, with that of its figures and their alternative text."""
    text = re.sub(r"<style.*?</style>|<title>.*?</title>", "", page, flags=re.S)
    text = re.sub(r'<details class="method">.*?</details>\s*</section>', "", text, flags=re.S)
    for drawn in re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', text):
        text += " ".join(re.findall(r"<text[^>]*>([^<]*)", base64.b64decode(drawn).decode()))
    text += " ".join(re.findall(r'(?:alt|aria-label|data-label)=[\'"]([^\'"]*)', text))
    return unescape(re.sub(r"<[^>]*>", " ", text))


def names():
    """Names in the example's data."""
    with (ROOT / "data" / "example" / "units.csv").open(encoding="utf-8", newline="") as file:
        return [row["unit_name"] for row in csv.DictReader(file)]


@pytest.fixture(params=["fr", "de"])
def report(request):
    """Language and text of the executive's page."""
    folder = request.getfixturevalue({"fr": "in_french", "de": "in_german"}[request.param])
    return request.param, (folder / "index.html").read_text(encoding="utf-8")


def test_no_english_is_left(report):
    language, page = report
    assert f'<html lang="{language}">' in page
    seen = seen_at_once(page)
    assert len(seen) > 10_000
    assert {"fr": "Hypothèse nulle.", "de": "Nullhypothese."}[language] in page  # said before the study is loaded
    for name in names():
        seen = seen.replace(name, "")
    left = [found for found in ENGLISH.finditer(seen) if found[0] not in FOREIGN[language]]
    assert [seen[max(0, found.start() - 60) : found.end() + 60] for found in left] == []


def test_numbers_have_a_decimal_comma(report):
    language, page = report
    seen = seen_at_once(page)
    assert len(re.findall(r"\d,\d", seen)) > 200
    point = re.findall(r"\d\.\d{3}\b" if language == "fr" else r"\d\.\d{1,2}\b", seen)
    assert point == []


def test_what_machines_read_is_the_same_in_every_language(published, in_french):
    english, french = (json.loads((folder / "findings.json").read_text()) for folder in (published, in_french))
    assert english["metrics"] == french["metrics"]
    for one, other in zip(english["findings"], french["findings"], strict=True):
        assert {key: one[key] for key in CODES} == {key: other[key] for key in CODES}
        figures = [{k: v for k, v in each.items() if isinstance(v, int | float)} for each in (one, other)]
        assert figures[0] == figures[1]
        for part in ("checks", "sensitivity"):
            assert [each["name"] for each in one[part]] == [each["name"] for each in other[part]]
        assert one["sentence"] != other["sentence"]
