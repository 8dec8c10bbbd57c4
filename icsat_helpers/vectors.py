"""Matplotlib's SVG with half of its elements: a page is smaller so, and quicker to draw on paper."""

from __future__ import annotations

import re

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
