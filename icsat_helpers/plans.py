"""What was asked for, checked: every reason to refuse is found before a kernel starts."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icsat_helpers import fingerprints, parameters, results
from icsat_helpers.parameters import Notebook, RequestError
from icsat_helpers.project import ROOT, find

if TYPE_CHECKING:
    import pandas as pd

    from icsat_helpers.draft import Draft
    from icsat_helpers.study import Study

SUMMARY = "00-executive-summary"
"""Runs last, for it reads what the others found."""

BEGUN_FIRST = ("03-service-map", "01-data-health", "02-measurement", "10-drivers", "12-voices", "06-retention")
"""Notebooks that take long, those that need few libraries first."""


@dataclass(frozen=True, slots=True)
class Request:
    """What `icsat run` was asked for; the fields are its options, the defaults are those of the command.

    `notebooks` and `sites` mean all where empty; `timeout` is in seconds for each notebook; `collection` is
    the folder of the notebooks.
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


def in_turn(notebooks: Iterable[Notebook]) -> list[Notebook]:
    """Return notebooks in the order to begin them: those that take long first, so that no core waits for one alone."""
    turn = {name: number for number, name in enumerate(BEGUN_FIRST)}
    return sorted(notebooks, key=lambda each: turn.get(each.name, len(turn)))


class Source:
    """A study's folder, read at most once in this process, after calling `reading`; `period` is the one asked for."""

    def __init__(self, folder: str, period: str, reading: Callable[[], None]) -> None:
        self._asked, self._reading = (folder, period), reading
        self.folder = find(folder).resolve()
        self._draft: Draft | None = None
        self._last: Study | None = None

    def load(self, site: str = "") -> Study:
        """Return the clean study of a site, as `clean.load` does."""
        self._reading()
        from icsat_helpers import clean, tables

        folder, period = self._asked
        if self._last is None or self._last.site != site:
            self._draft = self._draft or tables.read(find(folder))
            self._last = clean.load(folder, period, site, draft=self._draft)
        return self._last


@dataclass(frozen=True, slots=True)
class Collection:
    """The notebooks there are, in order, the names of those to run, and the values of their own parameters."""

    notebooks: tuple[Notebook, ...]
    chosen: tuple[str, ...]
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Checked:
    """What a run needs to know of a study that was read and found good.

    Attributes
    ----------
    key : str
        Fingerprint of what it was read from.
    period, before : str
        The reporting period, and the one before it.
    sites : dict of str to int
        People of each site, as `people_of_sites` counts them.
    sha256 : dict of str to str
        Of ``study.toml`` and each table.
    """

    key: str
    name: str
    language: str
    minimum_group: int
    period: str
    before: str
    sites: dict[str, int | None]
    sha256: dict[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """One study, period and site, everything about it checked.

    Attributes
    ----------
    identity : dict of str to str
        Period, study and site: what every notebook must say it used, and every result file names.
    folder, cache : Path
        Where the results go; where the lock, half-written files and what is held for the kernels live.
    notebooks, chosen : tuple
        The whole collection, in order; the names of those to run.
    values : dict
        Parameters and their values, each passed to the notebooks that declare it.
    shown : dict of str to str
        Machine paths to the words that stand for them in results.
    """

    request: Request
    study: Checked
    identity: dict[str, str]
    language: str
    folder: Path
    cache: Path
    notebooks: tuple[Notebook, ...]
    chosen: tuple[str, ...]
    values: dict[str, Any]
    shown: dict[str, str]

    def values_for(self, notebook: Notebook) -> dict[str, Any]:
        """Return the parameters that this notebook declares."""
        return {name: value for name, value in self.values.items() if name in notebook.declared}

    @property
    def held(self) -> Path:
        """Where the cleaned study is held for the kernels."""
        return self.cache / "study"


def collect(request: Request) -> Collection:
    """Check the options and the notebooks.

    Raises
    ------
    RequestError
        In words, naming the culprit.
    """
    _refuse_options(request)
    paths = sorted(request.collection.glob("[0-9][0-9]-*.ipynb"))
    if not paths:
        raise RequestError(f"There are no notebooks in {request.collection}.")
    chosen = parameters.choose([path.stem for path in paths], request.notebooks)
    notebooks = tuple(parameters.read(path) for path in paths)
    values = parameters.values(request.parameters, [each for each in notebooks if each.name in chosen])
    parameters.refuse_language(values.get("language", ""))
    return Collection(notebooks, chosen, values)


def check(request: Request, study: Source) -> Checked:
    """Return what a run needs to know of a study; as it is remembered where nothing has changed, else read.

    Raises
    ------
    RequestError
        With every problem of the study.
    """
    output = Path(request.output).resolve()
    known = results.read_json(_memory(request))
    key = fingerprints.of_study(study.folder, output)
    if key and known.get("key") == key and {*request.sites} <= {*known["sites"]}:
        return Checked(**known)
    from icsat_helpers.study import StudyError

    try:
        whole = study.load()
        sites = people_of_sites(whole)
        for site in {*request.sites} - {*sites}:
            study.load(site)  # refused, with the sites that there are
    except StudyError as refused:
        raise RequestError(*map(str, refused.problems)) from None
    if key != fingerprints.of_study(study.folder, output):
        key = ""  # it was changed while it was read: not to be remembered
    settings = whole.settings
    return Checked(
        key, settings.name, settings.language, settings.minimum_group, whole.period, whole.label(whole.t - 1), sites,
        whole.sha256,
    )  # fmt: skip


def _memory(request: Request) -> Path:
    return Path(request.output) / ".cache" / f"checked-{results.slug(request.period or 'latest')}.json"


def remember(request: Request, checked: Checked) -> None:
    """Write down what is known of a study, for the next run on the same files."""
    import filelock

    path = _memory(request)
    if checked.key and results.read_json(path).get("key") != checked.key:
        with filelock.FileLock(path.parent / "remembering"):  # runs of other periods and sites write here too
            results.remove(path.parent.glob("part-*"))
            results.write(path.parent, path, json.dumps(asdict(checked)))


def people_of_sites(study: Study) -> dict[str, int | None]:
    """Return how many people each site's results describe; None where the study does not say.

    Those who answered for its units; where nobody did, the ``n`` of its units' scores, and without any its `people`.
    """
    import pandas as pd

    units = study.table("units").set_index("unit_id")
    site_of = units["site"].dropna() if "site" in units else pd.Series(dtype=object)
    asked = [
        (study.table(table), unit) for table, unit in (("service_ratings", "customer_unit"), ("morale", "unit_id"))
    ]
    answered = pd.concat([_persons(table, table[unit].map(site_of)) for table, unit in asked]).drop_duplicates()
    scores = study.table("unit_scores").reindex(columns=["unit_id", "n"])
    delivered = scores.groupby("unit_id")["n"].max().groupby(site_of).sum(min_count=1)
    people = study.table("people")
    known = _persons(people, people["unit_id"].map(site_of)).drop_duplicates()["site"].value_counts().to_dict()
    found = delivered.astype(object).where(delivered.notna(), None).to_dict()
    found |= answered["site"].value_counts().to_dict()
    return {site: found.get(site, known.get(site, 0)) for site in sorted(site_of.unique())}


def too_small(sites: Mapping[str, int | None], minimum: int) -> tuple[list[str], list[str]]:
    """Return the sites of too few people, and those that must not be reported beside the whole for their sake.

    Examples
    --------
    >>> too_small({"A": 3, "B": 9, "C": 30, "D": None}, 5), too_small({"A": 5, "B": 9}, 5)
    ((['A'], ['B']), ([], []))
    """
    few = sorted(name for name, n in sites.items() if n is not None and n < minimum)
    hidden, more = sum(sites[name] or 0 for name in few), []
    for n, name in sorted((n, name) for name, n in sites.items() if n is not None and n >= minimum):
        if 0 < hidden < minimum:
            more.append(name)
            hidden += n
    return few, more


def _persons(table: pd.DataFrame, site: pd.Series) -> pd.DataFrame:
    return table[["person_id"]].assign(site=site)


def plan(request: Request, chosen: Collection, checked: Checked, folder: Path) -> tuple[list[Plan], list[str]]:
    """Return a plan for each site asked for, or the one for all; and what was left out, in words.

    Raises
    ------
    RequestError
        If no site may be reported, two share a folder, or a folder holds other results.
    """
    sites, told = request.sites or ("",), list[str]()
    if request.by_site:
        few, more = too_small(checked.sites, checked.minimum_group)
        sites = tuple(name for name in checked.sites if name not in {*few, *more})
        told += [f"Left out, for fewer than {checked.minimum_group} people answered: {', '.join(few)}."] * bool(few)
        told += [f"Left out, for the whole less the others would tell of those few: {', '.join(more)}."] * bool(more)
        if not sites:
            raise RequestError("No site of `units` can be reported.", *told)
    plans = [_plan(request, chosen, checked, folder, site) for site in sites]
    if len({each.folder for each in plans}) < len(plans):
        raise RequestError("Two of the sites would share one folder; run them with an --output each.")
    return plans, told


def _plan(request: Request, chosen: Collection, checked: Checked, source: Path, site: str) -> Plan:
    identity = {"period": checked.period, "study": checked.name, "site": site}
    output = Path(request.output).resolve()
    folder = results.folder(output, checked.period, site)
    _refuse_others(folder, identity)
    # A path as notebooks get it (kernels start in the root), and what stands for it in results.
    given = {p: p.relative_to(ROOT).as_posix() if p.is_relative_to(ROOT) else str(p) for p in (source, output)}
    shown = {str(p): word if p.is_relative_to(ROOT) else p.name for p, word in given.items()}
    shown |= {str(ROOT): ".", sys.prefix: "python", str(Path.home()): "~"}
    values = {"period": checked.period, "study": given[source], "site": site, "output": given[output]}
    return Plan(
        request,
        checked,
        identity,
        chosen.values.get("language") or checked.language,
        folder,
        output / ".cache" / folder.relative_to(output),
        chosen.notebooks,
        chosen.chosen,
        values | chosen.values,
        {path: word for path, word in shown.items() if len(Path(path).parts) > 1},
    )


def _refuse_options(request: Request) -> None:
    wrong = {
        "--by-site runs every site; leave out --site.": request.by_site and bool(request.sites),
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
