"""What a reader is told, in the language of the report: messages with their places filled, numbers, periods.

The English text is a message's key; ``locale/fr.po`` and ``de.po`` hold the others, and any gettext tool edits them. A
message without a translation is said in English; with the environment variable ICSAT_WORDS=strict it is an error.
"""

from __future__ import annotations

import contextlib
import datetime
import math
import os
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "fr", "de")
CATALOGUES = Path(__file__).parent / "locale"
VARIABLE = "ICSAT_LANGUAGE"
"""The environment variable that tells a kernel the language of its run, before its notebook has loaded the study."""

_spoken: list[str] = []
_PERIOD = re.compile(r"(\d{4})([QHM])(\d+)")


def speak(language: str) -> None:
    """Say everything from here on in one of `LANGUAGES`; "" for English."""
    if language and language not in LANGUAGES:
        raise ValueError(f"language {language!r}: there are {', '.join(LANGUAGES)}")
    _spoken[:] = [language or "en"]


@contextlib.contextmanager
def speaking(language: str) -> Iterator[None]:
    """Speak a language for a while."""
    before = spoken()
    speak(language)
    try:
        yield
    finally:
        speak(before)


def spoken() -> str:
    """Language that is spoken."""
    told = os.environ.get(VARIABLE, "")
    return _spoken[0] if _spoken else told if told in LANGUAGES else "en"


def say(text: str, /, **values: Any) -> str:
    """Say a message and fill its places; a number with a fraction gets two significant digits.

    Examples
    --------
    >>> say("{share} of {n} people answered.", share=0.5, n=12)
    '0.5 of 12 people answered.'
    """
    told = _translated(text, strict=os.environ.get("ICSAT_WORDS") == "strict")
    return told.format(**{name: _written(value) for name, value in values.items()}) if values else told


def say_each(*texts: str) -> tuple[str, ...]:
    """Say several messages, such as the head of a table."""
    return tuple(say(text) for text in texts)


def say_sentences(text: str) -> str:
    """Say a text whose sentences are messages."""
    return " ".join(say(each) for each in re.split(r"(?<=[.]) ", text))


def message(text: str) -> str:
    """Mark a text that is said later, so that catalogues get to know it."""
    return text


def known(name: str) -> str:
    """Say a name from the data, such as that of a scale, if catalogues know it; else it stays as it is."""
    return _translated(name, strict=False)


def _translated(text: str, strict: bool) -> str:
    if spoken() == "en" or not text.strip():
        return text
    found = catalogue(spoken()).get(text)
    if found is None and strict:
        raise KeyError(f"{spoken()}.po has no translation of {text!r}")
    return text if found is None else found


@cache
def catalogue(language: str) -> dict[str, str]:
    """Translated messages of a language by their English text."""
    from babel.messages.pofile import read_po

    with (CATALOGUES / f"{language}.po").open("rb") as file:
        entries = read_po(file, locale=language)
    return {str(each.id): str(each.string) for each in entries if each.id and each.string and not each.fuzzy}


# ---------------------------------------------------------------- numbers and periods


def _written(value: Any) -> Any:
    if isinstance(value, bool):
        return say("yes") if value else say("no")
    if isinstance(value, int):
        return fixed(value, 0)
    return number(value) if isinstance(value, float) else value


def number(value: float) -> str:
    """Two significant digits as people read them, a true minus sign.

    Examples
    --------
    >>> number(4.132), number(-0.0512), number(0.0), number(1234.5)
    ('4.1', '−0.051', '0', '1,234')
    """
    digits = 0 if value == 0 or not math.isfinite(value) else max(0, 1 - math.floor(math.log10(abs(value))))
    return fixed(value, digits)


def fixed(value: float, digits: int) -> str:
    """A number with at most so many decimals, a true minus sign; a dash where there is none.

    Examples
    --------
    >>> fixed(0.12345, 3), fixed(2.0, 2), fixed(-0.0001, 2)
    ('0.123', '2', '0')
    """
    if not math.isfinite(value):
        return "–"
    text = f"{value:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return local("0" if text == "-0" else text)


def places(value: float, digits: int, sign: str = "") -> str:
    """A number with exactly so many decimals; `sign` "+" shows that of a positive one too.

    Examples
    --------
    >>> places(0.5, 2), places(-0.001, 2), places(3, 1, "+")
    ('0.50', '0.00', '+3.0')
    """
    return local(f"{round(value, digits) + 0.0:{sign},.{digits}f}") if math.isfinite(value) else "–"


def significant(value: float) -> str:
    """Up to six significant digits."""
    return local(f"{value:g}")


def local(text: str) -> str:
    """A number written the English way, in the signs of the language."""
    group, point = _signs(spoken())
    return text.translate({ord(","): group, ord("."): point, ord("-"): "−"})


@cache
def _signs(language: str) -> tuple[str, str]:
    if language == "en":
        return ",", "."
    from babel.numbers import get_decimal_symbol, get_group_symbol

    return get_group_symbol(language), get_decimal_symbol(language)


def period(label: str) -> str:
    """A period as its readers write it; in English its label.

    Examples
    --------
    >>> period("2026Q3")
    '2026Q3'
    >>> with speaking("fr"):
    ...     period("2026Q3"), period("2026M03"), period("2026")
    ('T3 2026', 'mars 2026', '2026')
    """
    found = _PERIOD.fullmatch(label)
    if found is None or spoken() == "en":
        return label
    from babel.dates import format_date

    year, kind, part = int(found[1]), found[2], int(found[3])
    if kind == "H":
        return say("H{part} {year}", part=part, year=str(year))
    month = part if kind == "M" else 3 * part
    return str(format_date(datetime.date(year, month, 1), {"Q": "QQQ y", "M": "MMMM y"}[kind], locale=spoken()))


def listed(names: Iterable[str]) -> str:
    """Names as a sentence lists them.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    *first, last = names
    return say("{first} and {last}", first=", ".join(first), last=last) if first else str(last)


def series(parts: Iterable[str]) -> str:
    """Phrases in a row.

    Examples
    --------
    >>> series(["one thing", "another"])
    'one thing; another'
    """
    return say("; ").join(parts)


def upper(text: str) -> str:
    """A phrase at the beginning of a sentence."""
    return text[:1].upper() + text[1:]
