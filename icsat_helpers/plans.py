"""What was asked for, checked: every reason to refuse is found before a kernel starts."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icsat_helpers import clean, parameters, results
from icsat_helpers.parameters import Notebook, RequestError
from icsat_helpers.settings import LANGUAGES

ROOT = Path(__file__).resolve().parents[1]
"""The project's folder: kernels start here, and relative paths are tried from here."""

SUMMARY = "00-executive-summary"
"""Runs last, for it reads what the others found."""


@dataclass(frozen=True, slots=True)
class Request:
    """What `icsat run` was asked for; the defaults are those of the command.

    Attributes
    ----------
    period : str
        Empty for the study's latest.
    study, output : str
        Folders.
    notebooks : tuple of str
        Stems; all of them where empty.
    sites : tuple of str
        One run each; the whole organisation where empty.
    parameters : tuple of str
        Each ``NAME=VALUE``.
    jobs : int
        Notebooks at a time.
    timeout : float or None
        Seconds for each notebook.
    by_site, scheduler
        Not built yet; refused in words.
    force : bool
        Run again what is up to date; every run does so for now.
    collection : Path
        The folder of the notebooks.
    """

    period: str = ""
    study: str = "data/example"
    output: str = "outputs"
    notebooks: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    jobs: int = 2
    timeout: float | None = None
    by_site: bool = False
    scheduler: str = ""
    force: bool = False
    collection: Path = ROOT / "notebooks"


@dataclass(frozen=True, slots=True)
class Plan:
    """One study, period and site, everything about it checked.

    Attributes
    ----------
    study, period, site, language : str
        As the study says.
    folder : Path
        Where the results go.
    cache : Path
        Where the lock and half-written files live.
    notebooks : tuple of Notebook
        The whole collection, in order.
    chosen : tuple of str
        Those to run.
    values : dict
        Parameters and their values, each passed to the notebooks that declare it.
    shown : dict of str to str
        Machine paths to the words that stand for them in results.
    data : dict of str to str
        SHA-256 of each of the study's files.
    changes : DataFrame
        What cleaning changed.
    jobs, timeout
        As asked.
    """

    study: str
    period: str
    site: str
    language: str
    folder: Path
    cache: Path
    notebooks: tuple[Notebook, ...]
    chosen: tuple[str, ...]
    values: dict[str, Any]
    shown: dict[str, str]
    data: dict[str, str]
    changes: Any
    jobs: int
    timeout: float | None

    @property
    def identity(self) -> dict[str, str]:
        """What every notebook must say it used, and every result file names."""
        return {"period": self.period, "study": self.study, "site": self.site}

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
    _refuse_unbuilt(request)
    notebooks, chosen = _collection(request)
    values = parameters.values(request.parameters, [each for each in notebooks if each.name in chosen])
    if values.get("language", "en") not in LANGUAGES:
        raise RequestError(f"--parameter language: {values['language']!r} is not {', '.join(LANGUAGES)}.")
    study = clean.load(request.study, request.period, site)
    output = Path(request.output).resolve()
    folder = results.folder(output, study.period, study.site)
    results.refuse_others(folder, {"study": study.settings.name, "period": study.period, "site": study.site})
    source = study.folder.resolve()
    common = {
        "period": study.period,
        "study": _from_root(source),
        "site": study.site,
        "output": _from_root(output),
    }
    shown = {
        str(source): _shown(source),
        str(output): _shown(output),
        str(ROOT): ".",
        sys.prefix: "python",
        str(Path.home()): "~",
    }
    return Plan(
        study.settings.name,
        study.period,
        study.site,
        values.get("language") or study.settings.language,
        folder,
        output / ".cache" / folder.relative_to(output),
        notebooks,
        chosen,
        common | values,
        {path: word for path, word in shown.items() if len(Path(path).parts) > 1},
        study.sha256,
        study.changes,
        request.jobs,
        request.timeout,
    )


def _collection(request: Request) -> tuple[tuple[Notebook, ...], tuple[str, ...]]:
    """Return every notebook, each with its `parameters` cell in order, and the names of those to run."""
    paths = sorted(request.collection.glob("[0-9][0-9]-*.ipynb"))
    if not paths:
        raise RequestError(f"There are no notebooks in {request.collection}.")
    chosen = parameters.choose([path.stem for path in paths], request.notebooks)
    return tuple(parameters.read(path) for path in paths), tuple(chosen)


def _refuse_unbuilt(request: Request) -> None:
    problems = []
    if request.by_site:
        problems.append("--by-site is not built yet; name the sites: --site NAME --site NAME.")
    if request.scheduler:
        problems.append("--scheduler is not built yet; --jobs uses the cores of this machine.")
    if request.jobs < 1:
        problems.append(f"--jobs {request.jobs}: at least 1 is needed.")
    if request.timeout is not None and not request.timeout > 0:
        problems.append(f"--timeout {request.timeout:g}: a number of seconds above 0 is needed.")
    if problems:
        raise RequestError(*problems)


def _from_root(path: Path) -> str:
    """Return a path as notebooks get it: kernels start in the project's root."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def _shown(path: Path) -> str:
    """Return what stands for a path in results: nothing of the machine but a folder's own name."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
