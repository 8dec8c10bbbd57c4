"""What notebooks declare in their `parameters` cell, and whether what is asked of them fits.

Papermill only warns of a parameter it does not find, and runs the default; here that is refused.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icsat_helpers.words import LANGUAGES

COMMON = ("period", "study", "site", "output", "language")
"""What every notebook declares, each a plain ``str``."""

OPTIONS = {"period": "PERIOD", "study": "--study", "site": "--site", "output": "--output"}
"""Parameters that have an option of their own."""

_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false"}


class RequestError(ValueError):
    """What was asked for cannot be run; one line for each reason."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook as it stands on disk.

    Attributes
    ----------
    name, source, sha256 : str
        The file's stem, text, and the hash of its bytes.
    declared : dict of str to str
        Parameter to the type it is annotated with.
    cell : int
        Index of its ``parameters`` cell.
    imports : tuple of str
        What its cells import, as ``module`` or ``module:name``.
    """

    name: str
    source: str
    sha256: str
    declared: dict[str, str]
    cell: int
    imports: tuple[str, ...] = ()


def read(path: Path) -> Notebook:
    """Read a notebook and what its ``parameters`` cell declares.

    Raises
    ------
    RequestError
        If it is no notebook, or has not exactly one ``parameters`` cell with the common parameters in it.
    """
    raw = path.read_bytes()
    try:
        cells = json.loads(raw)["cells"]
        tagged = [n for n, cell in enumerate(cells) if "parameters" in cell["metadata"].get("tags", [])]
    except (ValueError, KeyError, TypeError):
        raise RequestError(f"{path.name} is not a notebook.") from None
    if len(tagged) != 1:
        raise RequestError(f"{path.name} has {len(tagged)} cells tagged `parameters`; it needs exactly one.")
    declared = declarations("".join(cells[tagged[0]]["source"]), path.name)
    missing = [name for name in COMMON if declared.get(name) != "str"]
    if missing:
        raise RequestError(f"{path.name} does not declare {', '.join(missing)} as str in its `parameters` cell.")
    return Notebook(path.stem, raw.decode(), hashlib.sha256(raw).hexdigest(), declared, tagged[0], imports(cells))


def imports(cells: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    r"""Return what code cells import, and what they take from it: some libraries load a part when it is first used.

    Examples
    --------
    >>> imports([{"cell_type": "code", "source": "import pyfixest as pf\nfit = pf.feols(formula, rows)"}])
    ('pyfixest', 'pyfixest:feols')
    """
    found: set[str] = set()
    known: dict[str, str] = {}
    for cell in cells:
        with contextlib.suppress(SyntaxError):  # the notebook itself will say so
            tree = ast.parse("".join(cell["source"]) if cell["cell_type"] == "code" else "")
            for node in ast.walk(tree):
                if isinstance(node, ast.Import):
                    found |= {alias.name for alias in node.names}
                    known |= {alias.asname: alias.name for alias in node.names if alias.asname}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    found |= {f"{node.module}:{alias.name}" for alias in node.names}
                elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
                    found.add(f"{known[node.value.id]}:{node.attr}")
    return tuple(sorted(found))


def declarations(source: str, where: str = "the cell") -> dict[str, str]:
    """Name and annotated type of each parameter in a ``parameters`` cell.

    Examples
    --------
    >>> declarations('period: str = ""  # reporting period')
    {'period': 'str'}
    """
    found = {}
    try:
        for line in ast.parse(source).body:
            if not (isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value):
                raise ValueError
            ast.literal_eval(line.value)
            found[line.target.id] = ast.unparse(line.annotation)
    except (ValueError, SyntaxError):
        message = f'{where}: the `parameters` cell may hold only lines such as `name: str = "value"`.'
        raise RequestError(message) from None
    return found


def choose(names: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the wanted of ``names`` in their own order; all of them where none is named."""
    unknown = [f"There is no notebook {name!r}{_near(name, names)}" for name in wanted if name not in names]
    if unknown:
        raise RequestError(*unknown)
    return tuple(name for name in names if not wanted or name in wanted)


def values(asked: Iterable[str], notebooks: Sequence[Notebook]) -> dict[str, Any]:
    """Turn each ``NAME=VALUE`` into a value of the type that the notebooks declare for it.

    Raises
    ------
    RequestError
        Naming every parameter that no notebook declares, or whose value is not of the declared type.

    Examples
    --------
    >>> values(["draws=200"], [Notebook("04-x", "", "", {"draws": "int"}, 0)])
    {'draws': 200}
    """
    known = sorted({name for notebook in notebooks for name in notebook.declared})
    found: dict[str, Any] = {}
    problems = []
    for text in asked:
        name, equals, value = text.partition("=")
        kinds = sorted({notebook.declared[name] for notebook in notebooks if name in notebook.declared})
        if not equals:
            problems.append(f"--parameter {text}: write it as NAME=VALUE.")
        elif name in OPTIONS:
            problems.append(f"--parameter {name}: use {OPTIONS[name]} for it.")
        elif not kinds:
            problems.append(f"No notebook that runs has a parameter {name!r}{_near(name, known)}")
        elif len(kinds) > 1:
            problems.append(f"--parameter {name}: the notebooks declare it as {' and as '.join(kinds)}.")
        else:
            try:
                found[name] = _typed(value, kinds[0])
            except (ValueError, SyntaxError):
                problems.append(f"--parameter {name}: {value!r} is not {_KINDS.get(kinds[0], kinds[0])}.")
    if problems:
        raise RequestError(*problems)
    return found


def refuse_language(language: str) -> None:
    """Raise `RequestError` for a language of the report that there is not."""
    if language and language not in LANGUAGES:
        raise RequestError(f"--parameter language: {language!r} is not {', '.join(LANGUAGES)}.")


def _near(name: str, known: Iterable[str]) -> str:
    from icsat_helpers.settings import nearest  # which brings pandas with it: only to refuse

    return nearest(name, known)


def _typed(text: str, kind: str) -> Any:
    if kind == "str":
        return text
    value = ast.literal_eval(text.title() if kind == "bool" else text)
    if kind == "float" and type(value) is int:
        return float(value)
    if type(value).__name__ != kind.partition("[")[0]:
        raise ValueError
    return value
