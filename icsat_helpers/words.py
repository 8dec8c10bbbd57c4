"""What a reader is told: messages with their places filled, numbers as people read them."""

from __future__ import annotations

import math
from typing import Any


def say(text: str, /, **values: Any) -> str:
    """Fill the places of a message; a number with a fraction gets two significant digits.

    Examples
    --------
    >>> say("{share} of {n} people answered.", share=0.5, n=12)
    '0.5 of 12 people answered.'
    """
    return text.format(**{name: number(v) if isinstance(v, float) else v for name, v in values.items()})


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
    return ("0" if text == "-0" else text).replace("-", "−")
