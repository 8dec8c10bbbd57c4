"""What was asked for, checked: every reason to refuse is found before a kernel starts."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icsat_helpers import clean, origins, parameters, results
from icsat_helpers.parameters import Notebook, RequestError
from icsat_helpers.settings import LANGUAGES

ROOT = Path(__file__).resolve().parents[1]
"""The project's folder: kernels start here, and relative paths are tried from here."""

SUMMARY = "00-executive-summary"
"""Runs last, for it reads what the others found."""


@dataclass(frozen=True, slots=True)
class Request:
    """What `icsat run` was asked for; the fields are its options, the defaults are those of the command.

    `notebooks` and `sites` mean all where empty; `timeout` is in seconds for each notebook; `collection` is
    the folder of the notebooks. Every run is a full one for now, so `force` changes nothing.
    """

    period: str = ""
    study: str = "data/example"
    output: str = "outputs"
    notebooks: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    jobs: int = 2
    timeout: float = math.inf
    by_site: bool = False
    scheduler: str = ""
    force: bool = False
    collection: Path = ROOT / "notebooks"


@dataclass(frozen=True, slots=True)
class Plan:
    """One study, period and site, everything about it checked.

    Attributes
    ----------
    identity : dict of str to str
        Period, study and site: what every notebook must say it used, and every result file names.
    folder, cache : Path
        Where the results go; where the lock and half-written files live.
    notebooks, chosen : tuple
        The whole collection, in order; the names of those to run.
    values : dict
        Parameters and their values, each passed to the notebooks that declare it.
    shown : dict of str to str
        Machine paths to the words that stand for them in results.
    data : dict of str to str
        SHA-256 of each file.
    tables : dict of str to str
        Hash of each table as it stood at the end of the period.
    changes : DataFrame
        What cleaning changed.
    """

    request: Request
    identity: dict[str, str]
    language: str
    folder: Path
    cache: Path
    notebooks: tuple[Notebook, ...]
    chosen: tuple[str, ...]
    values: dict[str, Any]
    shown: dict[str, str]
    data: dict[str, str]
    tables: dict[str, str]
    changes: Any

    def values_for(self, notebook: Notebook) -> dict[str, Any]:
        """Return the parameters that this notebook declares."""
        return {name: value for name, value in self.values.items() if name in notebook.declared}


def prepare(request: Request, site: str = "") -> Plan:
    """Check everything that can be wrong with a request before a kernel starts.

    Raises
    ------
    RequestError
        In words, naming the culprit.
    StudyError
        With every problem of the study.
    """
    _refuse_options(request)
    paths = sorted(request.collection.glob("[0-9][0-9]-*.ipynb"))
    if not paths:
        raise RequestError(f"There are no notebooks in {request.collection}.")
    chosen = parameters.choose([path.stem for path in paths], request.notebooks)
    notebooks = tuple(parameters.read(path) for path in paths)
    values = parameters.values(request.parameters, [each for each in notebooks if each.name in chosen])
    if values.get("language", "en") not in LANGUAGES:
        raise RequestError(f"--parameter language: {values['language']!r} is not {', '.join(LANGUAGES)}.")

    study = clean.load(request.study, request.period, site)
    identity = {"period": study.period, "study": study.settings.name, "site": study.site}
    source, output = study.folder.resolve(), Path(request.output).resolve()
    folder = results.folder(output, study.period, study.site)
    _refuse_others(folder, identity)
    # A path as notebooks get it (kernels start in the root), and what stands for it in results.
    given = {p: p.relative_to(ROOT).as_posix() if p.is_relative_to(ROOT) else str(p) for p in (source, output)}
    shown = {str(p): word if p.is_relative_to(ROOT) else p.name for p, word in given.items()}
    shown |= {str(ROOT): ".", sys.prefix: "python", str(Path.home()): "~"}
    return Plan(
        request,
        identity,
        values.get("language") or study.settings.language,
        folder,
        output / ".cache" / folder.relative_to(output),
        notebooks,
        chosen,
        {"period": study.period, "study": given[source], "site": study.site, "output": given[output]} | values,
        {path: word for path, word in shown.items() if len(Path(path).parts) > 1},
        study.sha256,
        origins.fingerprints(study),
        study.changes,
    )


def _refuse_options(request: Request) -> None:
    wrong = {
        "--by-site is not built yet; name the sites: --site NAME --site NAME.": request.by_site,
        "--scheduler is not built yet; --jobs uses the cores of this machine.": bool(request.scheduler),
        f"--jobs {request.jobs}: at least 1 is needed.": request.jobs < 1,
        f"--timeout {request.timeout}: a number of seconds above 0 is needed.": not request.timeout > 0,
    }
    if any(wrong.values()):
        raise RequestError(*(problem for problem, holds in wrong.items() if holds))


def _refuse_others(folder: Path, identity: dict[str, str]) -> None:
    """Refuse a folder whose results are of another study, period or site."""
    for file in ("findings.json", "manifest.json"):
        there = results.read_json(folder / file)
        for key, value in identity.items():
            if there.get(key, value) != value:
                raise RequestError(
                    f"{folder} holds the results of the {key} {there[key]!r}, not {value!r}; choose another --output."
                )
