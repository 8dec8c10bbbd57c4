"""Words: catalogues that lack nothing, numbers and periods in each language's way."""

from __future__ import annotations

import re

import catalogues
import pytest

from icsat_helpers import listing, parameters, words
from icsat_helpers.evidence import p_text, percent_change

ALIKE = {  # that are the same in the other language
    "fr": {
        "## Provenance", "CFI", "Code", "ICC(1)", "ICC(2)", "ICC(2) {value}", "Pages", "Points", "Programmes", "RMSEA",
        "SRMR", "TLI", "Verdict", "alpha", "association", "communication", "configural", "instrument", "intervention",
        "programme", "satisfaction", "site", "table", "verdict", "{measure} (table unit_scores)",
    },
    "de": {"ICC(1)", "ICC(2)", "ICC(2) {value}", "CFI", "RMSEA", "SRMR", "TLI", "Code"},
}  # fmt: skip


@pytest.fixture(autouse=True)
def english_again():
    yield
    words.speak("en")


@pytest.mark.parametrize("language", words.LANGUAGES[1:])
def test_every_message_is_translated_and_none_is_left_over(language):
    known = {each.id: each.string for each in catalogues.read(language) if each.id and not each.fuzzy}
    said = catalogues.messages()
    assert {text: where for text, where in said.items() if not known.get(text)} == {}
    assert sorted(known.keys() - said.keys()) == []


@pytest.mark.parametrize("language", words.LANGUAGES[1:])
def test_translations_keep_places_headings_and_code_and_are_translations(language):
    same = set()
    for each in catalogues.read(language):
        if each.id:
            assert catalogues.places(each.string) == catalogues.places(each.id), each.id
            kept = re.compile(r"^#+ |`[^`]+`", re.M)
            assert kept.findall(each.string) == kept.findall(each.id), each.id
            if each.string == each.id and len(re.sub(r"\{\w+\}|\W", "", each.id)) > 2:
                same.add(each.id)
    assert same == ALIKE[language]


def test_french_has_no_space_that_may_break_before_its_marks():
    for each in catalogues.read("fr"):
        assert not re.search(r" [:;?!%»]|« ", re.sub(r"`[^`]+`", "", each.string)), each.string


def test_a_message_that_a_catalogue_lacks_is_noticed(tmp_path, monkeypatch):
    for language in words.LANGUAGES[1:]:
        text = (words.CATALOGUES / f"{language}.po").read_text(encoding="utf-8")
        (tmp_path / f"{language}.po").write_text(re.sub(r'(?<=msgid "Supported"\nmsgstr ")\w+', "", text))
    monkeypatch.setattr(catalogues, "CATALOGUES", tmp_path)
    with pytest.raises(AssertionError, match="Supported"):
        test_every_message_is_translated_and_none_is_left_over("fr")
    catalogues.update()  # what is there already stays
    assert catalogues.read("de").get("Contradicted").string == "Widerlegt"
    assert catalogues.glossary(tmp_path / "de.po").startswith("# Deutsch")


def test_markers_are_found_in_code():
    source = (
        'say("a {n}", n=1); x.say_each("b", "c", d); message("e"); Check("f_g", True, say("h")); other("i"); say(j)'
    )
    assert sorted(catalogues.marked(source)) == ["a {n}", "b", "c", "e", "f g", "h"]


def test_numbers_follow_the_language():
    words.speak("de")
    assert (words.number(1234.5), words.number(-0.0512), words.places(2.5, 2)) == ("1.234", "−0,051", "2,50")
    assert (p_text(0.0231), p_text(0.0001), percent_change(-0.5)) == ("0,023", "unter 0,001", "39\u00a0% weniger")
    assert listing.listing([(1234, 0.5)], ("a", "b")).text.endswith("1.234 | 0,5")
    words.speak("fr")
    assert (words.number(12345.6), words.fixed(0.25, 2)) == ("12\u202f346", "0,25")
    assert listing.span(0.1, -0.2, 0.3, sign="+") == "+0,10 (−0,20 à +0,30)"


@pytest.mark.parametrize(
    ("label", "french", "german"),
    [
        ("2026Q3", "T3 2026", "Q3 2026"),
        ("2026H1", "S1 2026", "1. Halbjahr 2026"),
        ("2026M03", "mars 2026", "März 2026"),
        ("2026", "2026", "2026"),
    ],
)
def test_periods_follow_the_language(label, french, german):
    assert words.period(label) == label
    for language, said in (("fr", french), ("de", german)):
        with words.speaking(language):
            assert words.period(label) == said
    assert words.spoken() == "en"


def test_what_a_catalogue_lacks_is_english_or_an_error_where_that_is_asked(monkeypatch):
    words.speak("fr")
    monkeypatch.delenv("ICSAT_WORDS", raising=False)
    assert words.say("nobody says {n} of this", n=3) == "nobody says 3 of this"
    monkeypatch.setenv("ICSAT_WORDS", "strict")
    with pytest.raises(KeyError, match=r"fr\.po has no translation of 'nobody"):
        words.say("nobody says {n} of this", n=3)
    assert (words.known("communication of whales"), words.known("quality")) == ("communication of whales", "qualité")


def test_data_with_braces_is_said_as_it_is():
    assert words.say("{name} ({share}%)", name="{x}", share="5") == "{x} (5%)"


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError, match="'xx': there are en, fr, de"):
        words.speak("xx")
    with pytest.raises(parameters.RequestError, match="'xx' is not en, fr, de"):
        parameters.refuse_language("xx")
