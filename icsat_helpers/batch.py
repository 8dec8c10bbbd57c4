"""A run: every notebook of the collection on one study and period, for all or site by site, and the files it leaves.

What has run is kept as soon as it ends. Results are put in place together at the end, each file whole or not at
all; `manifest.json` comes last, so a folder without one holds an unfinished run.
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from icsat_helpers import cache, fingerprints, paper, plans, records, release, results, words, workers
from icsat_helpers.execution import without_paths
from icsat_helpers.parameters import Notebook, RequestError
from icsat_helpers.plans import SUMMARY, Plan, Request
from icsat_helpers.project import ROOT
from icsat_helpers.records import Record

_FEW = 10  # hidden groups that a refusal names

Task = tuple[Notebook, str]
"""A notebook to run, and the hash of what it is made from."""

Steps = Generator[list[Task] | Future[paper.Paper], Any, int]
"""A plan being carried out: yields what is to run next and is sent the records of it, yields the document that is
being drawn and is sent its `Paper`, returns the exit code."""

Draw = Callable[[str], Future[paper.Paper]]
"""Starts to draw a document."""

Pending = dict[Future[Any], "tuple[_UnderWay, Task | None]"]
"""What is under way: of which plan, and which notebook; none where it is the plan's document."""


def run(request: Request) -> int:
    """Run what is asked for, tell of it in words, and return the exit code.

    Returns
    -------
    int
        0 every notebook ended well; 1 some failed, or the results could not be written; 2 refused before
        anything ran.
    """
    # jsonschema, which nbformat imports, would take a second and a half for a grammar of addresses that nobody needs.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    with contextlib.ExitStack() as stack:
        try:
            asked = plans.collect(request)
            imported = [name for notebook in plans.in_turn(asked.notebooks) for name in notebook.imports]
            here = workers.open_workers(request.scheduler, request.jobs, imported)
            stack.callback(here.close)
            study = plans.Source(request.study, request.period, here.start)
            checked = plans.check(request, study)
            made, told = plans.plan(request, asked, checked, study.folder)
            for plan in made:
                stack.enter_context(_alone(plan))
        except RequestError as refused:
            return _say(2, str(refused))
        except KeyboardInterrupt:
            return _say(1, "Stopped before anything ran.")
        for line in told:
            print(line)
        try:
            plans.remember(request, checked)
            return _carry_out(made, here, study)
        except OSError as error:
            return _say(1, f"The results could not be written to {request.output}: {error.strerror or error}.")
        except KeyboardInterrupt:
            return _say(1, "Stopped; the results are not complete. The next run makes what is missing.")


def _say(code: int, why: str) -> int:
    print(why, file=sys.stderr)
    return code


@contextlib.contextmanager
def _alone(plan: Plan) -> Generator[None]:
    """Open a plan's folder for this run alone."""
    import filelock

    try:
        results.open_cache(plan.cache)
        plan.folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(plan.cache / "running", timeout=0).acquire()
    except filelock.Timeout:
        raise RequestError(f"Another run is writing to {plan.folder} at this moment; this one is refused.") from None
    except OSError as error:
        raise RequestError(f"The output folder {plan.folder} cannot be written to: {error.strerror}.") from None
    with lock:
        yield


def _carry_out(made: Sequence[Plan], here: Any, study: plans.Source) -> int:
    """Carry out every plan: a site's notebooks side by side, the next site's as soon as there is room."""
    from tqdm import tqdm

    # A bar where somebody looks on, plain lines elsewhere (`disable=None` asks whether stderr is a terminal).
    bar = tqdm(total=sum(len(plan.chosen) for plan in made), unit="notebook", leave=False, disable=None)

    def tell(line: str, steps: int = 0) -> None:
        bar.write(line, file=sys.stdout)
        sys.stdout.flush()
        bar.update(steps)

    pending: Pending = {}
    waiting = list(reversed(made))
    with bar, contextlib.ExitStack() as stack:
        under_way = []
        while waiting or pending:
            while waiting and len(pending) < 2 * here.room:  # so that no core waits for a plan to be begun
                under_way.append(_UnderWay(waiting.pop(), study, tell, here))
                stack.callback(under_way[-1].close)
                pending |= under_way[-1].submit({})
            done = wait(pending, return_when=FIRST_COMPLETED).done if pending else ()
            for future in [each for each in pending if each in done]:
                mine, task = pending.pop(future)
                if task is None:
                    pending |= mine.submit(future.result())
                    continue
                notebook, made_from = task
                outcome = workers.outcome(future, notebook.name)
                tell(mine.place + _line(outcome.name, outcome.ended, outcome.seconds, outcome.error), 1)
                known = records.record(mine.plan, notebook, made_from, outcome)
                if outcome.ended == "ok":
                    records.keep(mine.plan, known)
                pending |= mine.take(known)
    return max(each.code for each in under_way)


class _UnderWay:
    """A plan between its start and its exit code."""

    def __init__(self, plan: Plan, study: plans.Source, tell: Callable[..., None], here: Any) -> None:
        self.plan, self.code, self._here = plan, 0, here
        self.place = f"{plan.identity['site']}: " if plan.request.by_site or len(plan.request.sites) > 1 else ""
        self._steps = _steps(plan, study, lambda line, *steps: tell(self.place + line, *steps), self._draw)
        self._press: paper.Press | None = None
        self._left: set[str] = set()
        self._made: dict[str, Record] = {}
        next(self._steps)

    def submit(self, made: Any) -> Pending:
        """Go on with what was made, to where notebooks must run or the document is drawn."""
        try:
            tasks = self._steps.send(made)
        except StopIteration as end:
            self.code = end.value
            self._made.clear()  # so that a run of many sites does not keep them all
            self.close()
            return {}
        if isinstance(tasks, Future):
            return {tasks: (self, None)}
        self._left, self._made = {notebook.name for notebook, _ in tasks}, {}
        begun: Pending = {self._here.submit(task[0], self.plan): (self, task) for task in tasks}
        self._prepare()
        return begun

    def take(self, known: Record) -> Pending:
        """Take the record of one notebook; go on when it was the last of them."""
        self._made[known["name"]] = known
        self._prepare()
        return self.submit(self._made) if self._made.keys() == self._left else {}

    def _prepare(self) -> None:
        """Import what publishing needs as soon as the notebooks that are left leave a core to do it."""
        if self._press is None and self._here.spare(len(self._left) - len(self._made)):
            self._here.call(importlib.import_module, "scipy.optimize")
            self._press = paper.Press()

    def _draw(self, document: str) -> Future[paper.Paper]:
        self._press = self._press or paper.Press()
        return self._here.call(self._press.draw, document, self.plan.request.timeout)

    def close(self) -> None:
        """End the process that draws, if it still does."""
        press, self._press = self._press, None
        if press:
            press.close()


def _steps(plan: Plan, study: plans.Source, tell: Callable[..., None], draw: Draw) -> Steps:
    """Run what has changed, then the summary if anything it reads has, and publish."""
    yield []  # to be started by the first `send`
    results.remove(plan.cache.glob("part-*"))  # what a killed run left half written
    earlier = records.standing(plan)
    tasks = {each.name: (each, records.inputs(plan, each)) for each in plan.notebooks if each.name != SUMMARY}
    known = {name: earlier[name] for name, (_, now) in tasks.items() if records.unchanged(plan, earlier.get(name), now)}
    again = [name for name in tasks if name in plan.chosen and (plan.request.force or name not in known)]
    for name in sorted(earlier.keys() - {*known, *again, SUMMARY}):
        tell(f"{name}: its earlier results are dropped, for what they were made from has changed.")
    for name in sorted({*plan.chosen} & known.keys() - {*again}):
        tell(f"{name:<28} unchanged", 1)
    if again:
        _hold(plan, study)
        known |= yield [tasks[each.name] for each in plans.in_turn(plan.notebooks) if each.name in again]

    summary = next((each for each in plan.notebooks if each.name == SUMMARY), None)
    if summary and (SUMMARY in plan.chosen or SUMMARY in earlier):
        found = records.merged(known.values())
        before = results.folder(
            plan.folder.parents[bool(plan.identity["site"])], plan.study.before, plan.identity["site"]
        )
        now = records.inputs(plan, summary, found, fingerprints.of_file(before / "findings.json"))
        if records.unchanged(plan, earlier.get(SUMMARY), now) and not (again or plan.request.force):
            known[SUMMARY] = earlier[SUMMARY]
            tell(f"{SUMMARY:<28} unchanged", 1)
        else:
            _hold(plan, study)
            _begin(plan, earlier | known)  # a summary that was there is still to be followed up by the next run
            _put_json(plan, "findings.json", plan.identity | found)
            known |= yield [(summary, now)]
            again.append(SUMMARY)
    try:
        manifest, drawn = _publish(plan, study, known, bool(again), draw)
    except _Exposed as exposed:
        tell(str(exposed))
        return 1
    if drawn is None and not (manifest.get("pdf", {}).get("made") and (plan.folder / "index.pdf").is_file()):
        drawn = draw((plan.folder / "index.html").read_text(encoding="utf-8", errors="replace"))
    if drawn:
        _put_paper(plan, manifest, (yield drawn), tell)
    failed = sorted(name for name in again if known[name]["ended"] != "ok")
    tell(f"{plan.folder / 'index.html'} {'(without ' + ', '.join(failed) + ')' if failed else ''}".rstrip())
    return 1 if failed else 0


def _line(name: str, ended: str, seconds: float, error: Mapping[str, Any] | None) -> str:
    line = f"{name:<28} {ended:<9} {seconds:6.1f} s"
    if error is None:
        return line
    where = f" in cell {error['cell']}" if error["cell"] else ""
    return f"{line}  {error['type']}{where}: {error['message']}"


def _hold(plan: Plan, study: plans.Source) -> None:
    """See to it that the cleaned study is held for this plan's kernels."""
    key = plan.study.key
    if not key or results.read_json(plan.held / "study.json").get("key") != key:
        cache.hold(study.load(plan.identity["site"]), plan.held, key)


def _begin(plan: Plan, known: Mapping[str, Record]) -> None:
    """Begin to publish: from here until the manifest is written the folder is unfinished, and nothing is lost."""
    for each in known.values():
        if each["ended"] == "ok" and "notebook" not in each:
            records.keep(plan, each)
    results.remove([plan.folder / "manifest.json"])


def _publish(
    plan: Plan, study: plans.Source, known: dict[str, Record], ran: bool, draw: Draw
) -> tuple[dict[str, Any], Future[paper.Paper] | None]:
    """Put the files of a run in place, unless nothing `ran` and they are there and would be the same.

    Returns the manifest, the one that is there or one that is yet to be written, and the document being drawn if it is.
    """
    state = records.state(plan, known)
    manifest = results.read_json(plan.folder / "manifest.json")
    good = [name for name in sorted(known) if known[name]["ended"] == "ok"]
    files = [
        "index.html",
        "findings.json",
        "data-changes.csv",
        *(f"{n}.{kind}" for n in good for kind in ("html", "ipynb")),
    ]
    if not ran and manifest.get("state") == state and all((plan.folder / name).is_file() for name in files):
        return manifest, None
    _hold(plan, study)
    _begin(plan, known)
    _put_json(plan, "findings.json", plan.identity | records.merged(known.values()))
    facts = results.read_json(plan.held / "study.json")
    changes = facts["changes"]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(results.quoted, [changes["columns"], *changes["data"]]))
    _put(plan, "data-changes.csv", text.getvalue())
    drawn = _put_pages(plan, known, good, draw)
    return _manifest(plan, [known[name] for name in sorted(known)], facts["rows"], state), drawn


def _put_paper(plan: Plan, manifest: dict[str, Any], made: paper.Paper, tell: Callable[..., None]) -> None:
    """Put the document on paper in place, or say why there is none, and finish the run with its manifest."""
    if made.content:
        results.write(plan.cache, plan.folder / "index.pdf", made.content)
    else:
        results.remove([plan.folder / "index.pdf"])
        tell(f"index.pdf was not made. {made.why}")
    said = {"made": True} if made.content else {"made": False, "why": made.why}
    if manifest.get("pdf") != said:
        _put_json(plan, "manifest.json", manifest | {"pdf": said})
    records.forget(plan)


def _put_pages(plan: Plan, known: Mapping[str, Record], good: Sequence[str], draw: Draw) -> Future[paper.Paper]:
    """Write each notebook executed and rendered, and the document of all, which is being drawn; remove what is over."""
    import nbformat

    from icsat_helpers import publish

    nodes = {name: records.node(plan, known[name]) for name in good}
    # In the order of their names the summary, number 00, is the first to be read.
    pages = [
        publish.render(name, nodes[name], plan.language) if name in nodes else publish.missing(name, plan.language)
        for name in sorted(known)
    ]
    with words.speaking(plan.language):
        period = words.period(plan.identity["period"])
    study, place = plan.identity["study"], " · ".join(filter(None, [period, plan.identity["site"]]))
    whole = publish.document(pages, title=study, subtitle=place, language=plan.language)
    drawn = draw(whole)
    _audit(plan, nodes.values())
    for page in (page for page in pages if page.name in nodes):
        _put(plan, f"{page.name}.ipynb", nbformat.writes(nodes[page.name]) + "\n")
        alone = publish.document([page], title=page.title, subtitle=f"{study} · {place}", language=plan.language)
        _put(plan, f"{page.name}.html", alone)
    _put(plan, "index.html", whole)
    made = [path for kind in ("html", "ipynb") for path in plan.folder.glob(f"[0-9][0-9]-*.{kind}")]
    results.remove(path for path in made if path.stem not in nodes)
    return drawn


def _audit(plan: Plan, nodes: Iterable[Any]) -> None:
    """See to it that nothing hidden can be worked out from these pages and those that are published already."""
    said = [each for node in nodes for each in release.of_notebook(node)]
    output = plan.folder.parents[bool(plan.identity["site"])]
    known = release.earlier(output, plan.folder, plan.identity["period"]) if said else []
    found = release.exposed(said, known, plan.study.minimum_group)
    if found:
        unsafe = ("index.html", "index.pdf", "findings.json", "data-changes.csv")
        results.remove(plan.folder / name for name in unsafe)
        raise _Exposed(found)


class _Exposed(Exception):
    """Hidden groups that the pages of a run would give away."""

    def __init__(self, groups: Sequence[str]) -> None:
        more = f" and {len(groups) - _FEW} more" if len(groups) > _FEW else ""
        super().__init__(
            f"Not published: what is hidden of {'; '.join(groups[:_FEW])}{more} could be worked out from what these "
            "pages and the earlier ones in the output folder show."
        )


def _put(plan: Plan, name: str, text: str) -> None:
    results.write(plan.cache, plan.folder / name, text)


def _put_json(plan: Plan, name: str, content: Mapping[str, Any]) -> None:
    _put(plan, name, json.dumps({"contract": 1, **content}, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _manifest(plan: Plan, known: list[Record], tables: dict[str, str], state: str) -> dict[str, Any]:
    git = ["git", "rev-parse", "HEAD"]
    try:
        commit = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = None
    return {
        **plan.identity,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "parameters": without_paths(plan.values, plan.shown),
        "data": plan.study.sha256,
        "tables": tables,
        "notebooks": [records.published(each) for each in known],
        "git_commit": commit,
        "python": sys.version.split()[0],
        "packages": fingerprints.packages(),
        "state": state,
    }
