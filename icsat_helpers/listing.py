"""Small tables and paragraphs for a page; whatever they hold is escaped."""

from __future__ import annotations

import base64
import math
import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from icsat_helpers.release import Statements, travelling
from icsat_helpers.words import fixed, known, places, say

WORDY = 3  # columns of words that fit beside each other on a phone


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of HTML with the same in plain text."""

    html: str
    text: str
    said: tuple[Statements, ...] = ()  # of groups of people, for the release audit

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"text/html": self.html, "text/plain": self.text, **travelling(self.said)}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A cell with a picture under its words; `alt` says what it shows."""

    words: str
    svg: str
    alt: str


def listing(rows: Iterable[Sequence[Any]], head: Sequence[str]) -> Page:
    """Table of rows under a head; numbers to three places, missing values as a dash.

    Examples
    --------
    >>> print(listing([("<b>", 0.12345)], ("name", "share")).text)
    name | share
    <b> | 0.123
    """
    given = [list(row) for row in rows]
    cells = [[_text(cell) for cell in row] for row in given]
    kinds = [" class='number'" if all(_is_number(row[k]) for row in given) else "" for k in range(len(head))]
    opened = [f"<td{kind} data-label='{escape(name)}'>" for kind, name in zip(kinds, head, strict=True)]
    lines = ["".join(f"{td}{_html(cell)}</td>" for td, cell in zip(opened, row, strict=True)) for row in given]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    top = "".join(f"<th scope='col'{kind}>{escape(name)}</th>" for kind, name in zip(kinds, head, strict=True))
    wide = " class='wide'" if kinds.count("") > WORDY else ""
    html = f"<table{wide}><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return Page(html, "\n".join(" | ".join(row) for row in [list(head), *cells]))


def of_frame(frame: pd.DataFrame) -> Page:
    """Table of a frame, its columns as head."""
    return listing(frame.itertuples(index=False), [known(str(name).replace("_", " ")) for name in frame.columns])


def paragraphs(*texts: str) -> Page:
    """Paragraphs; one that is empty is left out."""
    kept = [text for text in texts if text]
    return Page("".join(f"<p>{escape(text)}</p>" for text in kept), "\n\n".join(kept))


def steps(texts: Sequence[str]) -> Page:
    """A numbered list."""
    html = "<ol>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ol>"
    return Page(html, "\n".join(f"{i}. {text}" for i, text in enumerate(texts, 1)))


def span(value: float, low: float, high: float, digits: int = 2, sign: str = "") -> str:
    """Write a value with its interval.

    Examples
    --------
    >>> span(-0.123, -0.25, 0.004, sign="+"), span(61.2, float("nan"), float("nan"), 0)
    ('−0.12 (−0.25 to +0.00)', '61')
    """
    one, two, three = (places(number, digits, sign) for number in (value, low, high))
    whole = math.isfinite(value) and math.isfinite(low)
    return say("{value} ({low} to {high})", value=one, low=two, high=three) if whole else one


def together(*pages: Page) -> Page:
    """Several pieces under each other."""
    said = tuple(one for page in pages for one in page.said)
    return Page("".join(page.html for page in pages), "\n\n".join(page.text for page in pages if page.text), said)


def _is_number(cell: Any) -> bool:
    return cell is None or (isinstance(cell, numbers.Real) and not isinstance(cell, bool))


def _html(cell: Any) -> str:
    if not isinstance(cell, Drawn):
        return escape(_text(cell))
    data = base64.b64encode(cell.svg.encode()).decode()
    return f"{escape(cell.words)}<img alt='{escape(cell.alt)}' src='data:image/svg+xml;base64,{data}'>"


def _text(cell: Any) -> str:
    if isinstance(cell, Drawn):
        return f"{cell.words} ({cell.alt})"
    if isinstance(cell, bool):
        return say("yes") if cell else say("no")
    if isinstance(cell, numbers.Integral):
        return fixed(int(cell), 0)
    if isinstance(cell, float):
        return fixed(cell, 3)
    return "–" if cell is None or cell == "" else str(cell)
