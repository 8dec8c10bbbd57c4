"""The messages that a reader may meet, and the catalogues that translate them.

    python -m tests.catalogues

adds what is new to `icsat_helpers/locale/*.po` (untranslated), drops what nobody says any more, keeps the rest.
Messages are the first arguments of `say` and `message`, the markdown cells of the notebooks and the registered claims.
"""

from __future__ import annotations

import ast
import re
import string
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from icsat_helpers.plans import ROOT
from icsat_helpers.words import CATALOGUES, LANGUAGES

MARKERS = {"say", "message"}
HEADER = 'msgid ""\nmsgstr ""\n"Language: {language}\\n"\n"Content-Type: text/plain; charset=utf-8\\n"\n\n'  # no dates
TOLD_OF_A_CLAIM = ("claim", "null", "estimand", "why", "unit")


def messages() -> dict[str, str]:
    """Every message, and the file it comes from."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "icsat_helpers").glob("*.py")):
        found |= dict.fromkeys(_marked(path.read_text(encoding="utf-8")), path.name)
    for path in sorted((ROOT / "icsat_helpers" / "templates").glob("*.j2")):
        found |= dict.fromkeys(re.findall(r"""say\("([^"]+)\"""", path.read_text(encoding="utf-8")), path.name)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            found |= dict.fromkeys(_marked(cell.source) if cell.cell_type == "code" else [cell.source], path.name)
    claims = tomllib.loads((ROOT / "notebooks" / "hypotheses.toml").read_text(encoding="utf-8"))
    found |= dict.fromkeys(_claims(claims), "hypotheses.toml")
    return {text: where for text, where in found.items() if text.strip()}


def _marked(source: str) -> Iterator[str]:
    """Literal texts that are said; a text put together from variables has no place in a catalogue."""
    for each in ast.walk(ast.parse(source)):
        if isinstance(each, ast.Call) and each.args:
            name = each.func.attr if isinstance(each.func, ast.Attribute) else getattr(each.func, "id", "")
            if name in MARKERS and isinstance(each.args[0], ast.Constant) and isinstance(each.args[0].value, str):
                yield each.args[0].value


def _claims(block: dict[str, Any]) -> Iterator[str]:
    for name, value in block.items():
        if isinstance(value, dict):
            yield from _claims(value)
        elif name in TOLD_OF_A_CLAIM:
            yield value


def read(language: str) -> Catalog:
    """A catalogue as it stands; an empty one where there is none yet."""
    path = CATALOGUES / f"{language}.po"
    if not path.is_file():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def placeholders(text: str) -> list[str]:
    """Names in braces, sorted."""
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


def update(folder: Path = CATALOGUES) -> None:
    """Bring the catalogues up to what is said now."""
    for language in LANGUAGES[1:]:
        known = read(language)
        fresh = Catalog(locale=language, fuzzy=False, charset="utf-8")
        for text, where in sorted(messages().items(), key=lambda each: (each[1], each[0])):
            old = known.get(text)
            fresh.add(text, old.string if old else "", auto_comments=[where])
        with (folder / f"{language}.po").open("wb") as file:
            file.write(HEADER.format(language=language).encode())
            write_po(file, fresh, width=0, omit_header=True, no_location=True)


if __name__ == "__main__":
    update()
