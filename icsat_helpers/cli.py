"""The command `icsat`.

Built on argparse: it starts in milliseconds and needs no library. What a command needs is imported when it
runs.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

_SIZES = ("units", "people", "periods", "seed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code, as the contract numbers it.

    Examples
    --------
    >>> main(["simulate", "somewhere", "--effect", "internal_to_moral=1"])
    2
    """
    given = _parser().parse_args(arguments)
    try:
        return int(given.does(given))
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="icsat",
        description="Does internal customer satisfaction pay? Tested each period.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_run(commands)
    check = commands.add_parser("check", help="every problem in a study, or the questions it can answer")
    check.add_argument("study", metavar="STUDY", help="the study's folder")
    check.set_defaults(does=_check)
    simulate = commands.add_parser("simulate", help="an organisation whose truth is known", allow_abbrev=False)
    simulate.add_argument("folder", metavar="FOLDER", help="where to write the study")
    for name in _SIZES:
        simulate.add_argument(f"--{name}", type=int, metavar="N")
    simulate.add_argument(
        "--effect",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set an effect; all=VALUE sets every one",
    )
    simulate.set_defaults(does=_simulate)
    return parser


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="run the notebooks on a study and publish the results", allow_abbrev=False)
    run.add_argument("period", nargs="?", default="", metavar="PERIOD", help="such as 2026Q3; the latest by default")
    run.add_argument("--study", default="data/example", metavar="FOLDER", help="default data/example")
    run.add_argument("--output", default="outputs", metavar="FOLDER", help="default outputs")
    run.add_argument("--notebook", action="append", default=[], metavar="NAME", help="only this one; may be repeated")
    run.add_argument("--site", action="append", default=[], metavar="SITE", help="only this site; may be repeated")
    run.add_argument("--by-site", action="store_true", help=argparse.SUPPRESS)
    run.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a notebook's parameter; may be repeated",
    )
    run.add_argument("--jobs", type=int, default=2, metavar="N", help="notebooks at a time; default 2")
    run.add_argument("--timeout", type=float, metavar="SECONDS", help="stop a notebook that takes longer")
    run.add_argument("--scheduler", default="", metavar="ADDRESS", help=argparse.SUPPRESS)
    run.add_argument("--force", action="store_true", help="run again what is up to date")
    run.set_defaults(does=_run)


def _run(given: argparse.Namespace) -> int:
    from icsat_helpers import batch

    return batch.run(
        batch.Request(
            period=given.period,
            study=given.study,
            output=given.output,
            notebooks=tuple(given.notebook),
            sites=tuple(given.site),
            parameters=tuple(given.parameter),
            jobs=given.jobs,
            timeout=given.timeout,
            by_site=given.by_site,
            scheduler=given.scheduler,
            force=given.force,
        )
    )


def _check(given: argparse.Namespace) -> int:
    from icsat_helpers import claims, clean
    from icsat_helpers.study import StudyError

    try:
        study = clean.load(given.study)
    except StudyError as problems:
        print(problems)
        return 1
    print(f"ready: {study.settings.name}, {study.period}")
    for question in claims.questions(study):
        answer = "can be answered" if question.answerable else f"cannot be answered: {question.reason}"
        print(f"{question.id:<16} {question.notebook:<28} {answer}")
    return 0


def _simulate(given: argparse.Namespace) -> int:
    from icsat_helpers import simulate
    from icsat_helpers.settings import nearest

    effects, problems = dict(simulate.EFFECTS), []
    for text in given.effect:
        name, _, value = text.partition("=")
        if name != "all" and name not in effects:
            problems.append(f"--effect {text}: there is no effect {name!r}{nearest(name, effects)}")
            continue
        try:
            amount = float(value)
        except ValueError:
            amount = math.nan
        if not math.isfinite(amount):
            problems.append(f"--effect {text}: write it as NAME=VALUE, the value a number.")
            continue
        effects |= dict.fromkeys(effects, amount) if name == "all" else {name: amount}
    return _refused(problems) if problems else _write_organisation(given, effects)


def _write_organisation(given: argparse.Namespace, effects: dict[str, float]) -> int:
    from icsat_helpers import simulate

    folder = Path(given.folder)
    if (folder / "study.toml").exists() and not (folder / "truth.toml").exists():
        return _refused([f"{given.folder} holds a study that was not simulated; choose another folder."])
    sizes = {name: value for name, value in vars(given).items() if name in _SIZES and value is not None}
    try:
        made = simulate.organisation(**sizes, effects=effects)
    except ValueError as error:
        return _refused([str(error)])
    try:
        simulate.write(made, folder)
    except OSError as error:
        print(f"{given.folder} could not be written: {error.strerror or error}.", file=sys.stderr)
        return 1
    print(f"{given.folder}: a study, and truth.toml with what is true in it")
    return 0


def _refused(problems: Sequence[str]) -> int:
    print(*problems, sep="\n", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
