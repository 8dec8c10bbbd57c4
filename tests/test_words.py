"""Words: catalogues that lack nothing, numbers in each language's way."""

from __future__ import annotations

import pytest

from icsat_helpers import words
from tests import catalogues


@pytest.fixture(autouse=True)
def english_again():
    yield
    words.speak("en")


@pytest.mark.parametrize("language", words.LANGUAGES[1:])
def test_every_message_is_translated_and_none_is_left_over(language):
    known = {each.id: each.string for each in catalogues.read(language) if each.id}
    said = catalogues.messages()
    assert {text: where for text, where in said.items() if not known.get(text)} == {}
    assert sorted(known.keys() - said.keys()) == []


@pytest.mark.parametrize("language", words.LANGUAGES[1:])
def test_translations_keep_placeholders_headings_and_are_translated(language):
    same = []
    for each in catalogues.read(language):
        if each.id:
            assert catalogues.placeholders(each.string) == catalogues.placeholders(each.id), each.id
            assert each.string.count("\n#") == each.id.count("\n#"), each.id
            same += [each.id] if each.string == each.id and len(each.id) > 25 else []
    assert same == []


def test_numbers_follow_the_language():
    words.speak("de")
    assert (words.number(1234.5), words.number(-0.0512), words.fixed(2.5, 2)) == ("1.234", "−0,051", "2,5")
    words.speak("fr")
    assert words.fixed(0.25, 2) == "0,25"


def test_what_a_catalogue_lacks_is_english_or_an_error_where_that_is_asked(monkeypatch):
    words.speak("fr")
    monkeypatch.delenv("ICSAT_WORDS", raising=False)
    assert words.say("nobody says {n} of this", n=3) == "nobody says 3 of this"
    monkeypatch.setenv("ICSAT_WORDS", "strict")
    with pytest.raises(KeyError, match=r"fr\.po has no translation of 'nobody"):
        words.say("nobody says {n} of this", n=3)


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError, match="'xx': there are en, fr, de"):
        words.speak("xx")
