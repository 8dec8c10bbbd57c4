"""What a reader is told, in the language of the report: message catalogues beside this file, numbers by Babel.

The English text is the message's key. `icsat_helpers/locale/fr.po` and `de.po` hold the others; a translator edits
them with any gettext tool. A message that has no translation is said in English, and with the environment variable
ICSAT_WORDS=strict it is an error, so that a run in that mode shows what a catalogue lacks.
"""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "fr", "de")
CATALOGUES = Path(__file__).parent / "locale"
_spoken = ["en"]


def speak(language: str) -> None:
    """Say everything from here on in one of `LANGUAGES`; "" for English."""
    if language and language not in LANGUAGES:
        raise ValueError(f"language {language!r}: there are {', '.join(LANGUAGES)}")
    _spoken[0] = language or "en"


def language() -> str:
    """Language that is spoken."""
    return _spoken[0]


@cache
def catalogue(name: str) -> dict[str, str]:
    """Translated messages of a language by their English text."""
    from babel.messages.pofile import read_po

    with (CATALOGUES / f"{name}.po").open("rb") as file:
        entries = read_po(file, locale=name)
    return {str(each.id): str(each.string) for each in entries if each.id and each.string and not each.fuzzy}


def message(text: str) -> str:
    """Mark a text that is said later, so that catalogues get to know it."""
    return text


def say(text: str, /, **values: Any) -> str:
    """Say a message, its placeholders filled; numbers with a fraction get two significant digits.

    Examples
    --------
    >>> say("{share} of {n} people answered.", share=0.5, n=12)
    '0.5 of 12 people answered.'
    """
    told = text if _spoken[0] == "en" else _translated(text)
    if not values:
        return told
    return told.format(**{name: number(v) if isinstance(v, float) else v for name, v in values.items()})


def _translated(text: str) -> str:
    found = catalogue(_spoken[0]).get(text)
    if found is None and text.strip() and os.environ.get("ICSAT_WORDS") == "strict":
        raise KeyError(f"{_spoken[0]}.po has no translation of {text!r}")
    return text if found is None else found


def number(value: float) -> str:
    """Two significant digits as people read them, a true minus sign.

    Examples
    --------
    >>> number(4.132), number(-0.0512), number(0.0), number(1234.5)
    ('4.1', '−0.051', '0', '1,234')
    """
    digits = 0 if abs(value) >= 10 or value == 0 or not math.isfinite(value) else 1 - math.floor(math.log10(abs(value)))
    return fixed(value, digits)


def fixed(value: float, digits: int) -> str:
    """A number with at most so many decimals, in the language's way, a true minus sign.

    Examples
    --------
    >>> fixed(0.12345, 3), fixed(2.0, 2)
    ('0.123', '2')
    """
    if not math.isfinite(value):
        return "–"
    from babel.numbers import format_decimal

    rounded = round(value, digits) + 0.0  # no negative zero
    text = str(format_decimal(rounded, format="#,##0." + "#" * max(digits, 0), locale=_spoken[0]))
    return text.replace("-", "−")
