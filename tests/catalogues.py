"""The messages that a reader may meet, and the catalogues that translate them.

    python -m tests.catalogues

adds what is new to `icsat_helpers/locale/*.po` (untranslated), drops what nobody says any more, keeps the rest.
Messages are what `say`, `say_each` and `message` are given, the notebooks' markdown cells, the registered claims, and
the names of scales, measures, programmes and checks that pages show.
"""

from __future__ import annotations

import ast
import re
import string
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import nbformat
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from icsat_helpers.associates import KINDS
from icsat_helpers.project import ROOT
from icsat_helpers.words import CATALOGUES, LANGUAGES

MARKERS = ("say", "say_each", "message")
NAMED = ("Check", "Metric")  # whose first argument is a name that is shown
TOLD_OF_A_CLAIM = ("claim", "null", "estimand", "why", "unit")
NAMES = (
    "internal", "morale", "external", "turnover", "intent to leave", "productivity", "first response", "rework",
    "communication", "feedback", "training", "recognition", "employee", "records productivity",
    "records first response", "records rework", "instrument, first step", "instrument, second step",
    "reliability of change, first step", "reliability of change, second step", "kind", "people", "mean", "low", "high",
    "shown", "item", "share", "share before", "table", "rule", "column", "rows", "what", "Executive summary",
    "Data health", "Measurement", "Service map", "External customers", "Morale", "Retention", "Productivity",
    "Service profit chain", "Associates", "Drivers", "Programmes", "Voices", "variance share.provider",
    "variance share.customer", "variance share.relationship", "variance share.person", "en", "fr", "de",
)  # fmt: skip


def messages() -> dict[str, str]:
    """Every message, and the file it comes from."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "icsat_helpers").glob("*.py")):
        found |= dict.fromkeys(marked(path.read_text(encoding="utf-8")), path.name)
    for path in sorted((ROOT / "icsat_helpers" / "templates").glob("*.j2")):
        found |= dict.fromkeys(re.findall(r"""say\("([^"]+)"\)""", path.read_text(encoding="utf-8")), path.name)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            said = marked(cell.source) if cell.cell_type == "code" else [cell.source]
            found |= {text: path.name for text in said if text not in found}
    found |= dict.fromkeys(_claims(_toml("notebooks/hypotheses.toml")), "hypotheses.toml")
    items = _toml("icsat_helpers/resources/questionnaire.toml")["items"].values()
    names = [*NAMES, *KINDS, *(item["scale"] for item in items)]
    found |= {name: "names" for name in names if name not in found}
    return {text: where for text, where in found.items() if text.strip()}


def _toml(path: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / path).read_text(encoding="utf-8"))


def marked(source: str) -> Iterator[str]:
    """Literal texts that are said; a text put together from variables has no place in a catalogue."""
    for each in ast.walk(ast.parse(source)):
        if not isinstance(each, ast.Call):
            continue
        name = each.func.attr if isinstance(each.func, ast.Attribute) else getattr(each.func, "id", "")
        texts = [a.value for a in each.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if name in MARKERS:
            yield from texts if name == "say_each" else texts[:1]
        elif name in NAMED and each.args and isinstance(each.args[0], ast.Constant):
            yield texts[0].replace("_", " ")


def _claims(block: dict[str, Any]) -> Iterator[str]:
    for name, value in block.items():
        if isinstance(value, dict):
            yield from _claims(value)
        elif name in TOLD_OF_A_CLAIM:
            yield value


def read(language: str) -> Catalog:
    """A catalogue as it stands."""
    with (CATALOGUES / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


def places(text: str) -> list[str]:
    """Names in braces, sorted."""
    return sorted({name for _, name, _, _ in string.Formatter().parse(text) if name})


def glossary(path: Path) -> str:
    """The comment at the top of a catalogue."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(lines[: next(n for n, line in enumerate(lines) if not line.startswith("#"))])


def update(languages: Iterable[str] = LANGUAGES[1:]) -> None:
    """Bring the catalogues up to what is said now."""
    said = sorted(messages().items(), key=lambda each: (each[1], each[0]))
    for language in languages:
        path, known = CATALOGUES / f"{language}.po", read(language)
        fresh = Catalog(locale=language, fuzzy=False, charset="utf-8")
        for text, where in said:
            old = known.get(text)
            fresh.add(text, old.string if old else "", auto_comments=[where])
        head = f'msgid ""\nmsgstr ""\n"Language: {language}\\n"\n"Content-Type: text/plain; charset=utf-8\\n"\n\n'
        head = glossary(path) + head  # no dates: the same catalogue is the same bytes
        with path.open("wb") as file:
            file.write(head.encode())
            write_po(file, fresh, width=0, omit_header=True, no_location=True)


if __name__ == "__main__":
    update()
