"""SVG: matplotlib's with half of its elements, for smaller and quicker pages; and lines of a word's size."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

_EMPTY = re.compile(r"<g\b[^>]*/>\s*")
_GROUP = re.compile(r"(<g\b[^>]*>\s*|</g>\s*)")
_BARE = re.compile(r'<g(?: id="[^"]*")?>\s*')
_STYLE = re.compile(r' style="([^"]*)"')
_UNTURNED = re.compile(r' transform="rotate\(-?0 [^"]*\)"')
_EVERYTHING = re.compile(r'<style type="text/css">\*\{(.*?)\}</style>')
_NO_ATTRIBUTES = {"font"}  # properties that only a style can set


def slim(svg: str) -> str:
    """Return an SVG without groups that only have a name, with attributes instead of styles.

    Examples
    --------
    >>> slim('<svg><g id="a"><g clip-path="url(#b)"><path style="fill: none; stroke: #000"/></g></g></svg>')
    '<svg><g clip-path="url(#b)"><path fill="none" stroke="#000"/></g></svg>'
    """
    for_all = _EVERYTHING.search(svg)
    if for_all:
        svg = _EVERYTHING.sub("", svg).replace("<svg ", f'<svg style="{for_all[1]}" ', 1)
    return _STYLE.sub(_attributes, _UNTURNED.sub("", _ungrouped(svg)))


def _ungrouped(svg: str) -> str:
    kept, groups = [], []
    for number, part in enumerate(_GROUP.split(_EMPTY.sub("", svg))):
        if number % 2 == 0:  # every second part is what it was split at
            kept.append(part)
            continue
        if part.startswith("<g"):
            groups.append(not _BARE.fullmatch(part))
        if groups[-1]:
            kept.append(part)
        if part.startswith("</g"):
            groups.pop()
    return "".join(kept)


def _attributes(style: re.Match[str]) -> str:
    said = [tuple(each.split(":", 1)) for each in style[1].split(";") if ":" in each]
    if any(name.strip() in _NO_ATTRIBUTES for name, _ in said):
        return style[0]
    return "".join(f' {name.strip()}="{value.strip()}"' for name, value in said)


def sparkline(
    values: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike, width: int = 120, height: int = 24
) -> str:
    """Return values over time in an SVG, their intervals as a band; a gap where one is missing, a dot on the last.

    Examples
    --------
    >>> sparkline([1, 2, np.nan, 4], [0, 1, np.nan, 3], [2, 3, np.nan, 5]).count("<path")
    2
    """
    y, ends = np.asarray(values, dtype=float), np.array([low, high], dtype=float)
    least, most = np.nanmin([y, *ends]), np.nanmax([y, *ends])
    across = 3 + (width - 6) * np.arange(len(y)) / max(len(y) - 1, 1)
    down = lambda value: height - 3 - (height - 6) * (value - least) / ((most - least) or 1.0)  # noqa: E731
    drawn = []
    for run in np.split(np.arange(len(y)), np.flatnonzero(np.isnan(y))):
        run = run[np.isfinite(y[run])]
        known = run[np.isfinite(ends[:, run]).all(axis=0)]
        if len(known) > 1:
            drawn.append((0, f'<path fill="#cfdcea" d="M{_points(across[known], down(ends[1, known]))}L'
                          f'{_points(across[known][::-1], down(ends[0, known])[::-1])}Z"/>'))  # fmt: skip
        if len(run) > 1:
            line = _points(across[run], down(y[run]))
            drawn.append((1, f'<path fill="none" stroke="#0b5394" stroke-width="1.5" d="M{line}"/>'))
    last = np.flatnonzero(np.isfinite(y))[-1]
    dot = f'<circle fill="#0b5394" r="2.5" cx="{across[last]:.1f}" cy="{down(y[last]):.1f}"/>'
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(part for _, part in sorted(drawn))}{dot}</svg>'


def _points(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> str:
    return "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
