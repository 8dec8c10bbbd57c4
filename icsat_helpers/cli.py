"""The command `icsat`: argparse, which starts in milliseconds; what a command needs is imported when it runs."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icsat_helpers.study import Study

_SIZES = ("units", "people", "periods", "seed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code, as the contract numbers it.

    Examples
    --------
    >>> main(["simulate", "somewhere", "--effect", "internal_to_moral=1"])
    2
    """
    given = vars(_parser().parse_args(arguments))
    try:
        code: int = given.pop("does")(**given)
    except KeyboardInterrupt:
        return _say(1, "Stopped.")
    return code


def _parser() -> argparse.ArgumentParser:
    about = "Does internal customer satisfaction pay? Tested each period."
    parser = argparse.ArgumentParser(prog="icsat", description=about, allow_abbrev=False)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_check(commands)
    _add_new(commands)
    simulate = commands.add_parser("simulate", help="an organisation whose truth is known", allow_abbrev=False)
    simulate.add_argument("folder", metavar="FOLDER", help="where to write the study")
    for name in _SIZES:
        simulate.add_argument(f"--{name}", type=int, metavar="N", default=argparse.SUPPRESS)
    simulate.add_argument(
        "--effect", action="append", dest="effects", default=[], metavar="NAME=VALUE",
        help="set an effect; all=VALUE sets every one",
    )  # fmt: skip
    simulate.set_defaults(does=_simulate)
    return parser


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    check = commands.add_parser(
        "check", help="every problem in a study, or the questions it can answer", allow_abbrev=False
    )
    check.add_argument("study", metavar="STUDY", help="the study's folder")
    check.add_argument(
        "--codebook", nargs="?", const="", metavar="FILE",
        help="also write what each table and column holds; default codebook.html in the study's folder",
    )  # fmt: skip
    _add_outside(check)
    check.set_defaults(does=_check)


def _add_new(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    new = commands.add_parser("new", help="a study to fill in: settings, questionnaire, empty tables")
    new.add_argument("folder", metavar="FOLDER", help="where to write it")
    new.set_defaults(does=_new)


def _add_outside(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--allow-outside", action=_Outside, nargs=0, default=argparse.SUPPRESS,
        help="let study.toml name files outside the study's folder",
    )  # fmt: skip


class _Outside(argparse.Action):
    """Notes it in the environment, for notebooks read the study in processes of their own."""

    def __call__(self, *_: object, **__: object) -> None:
        os.environ["ICSAT_ALLOW_OUTSIDE"] = "1"


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    # What is not given is left out, so that the defaults are those of `plans.Request`.
    run = commands.add_parser(
        "run", help="run the notebooks on a study and publish the results", allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )  # fmt: skip
    run.add_argument("period", nargs="?", default="", metavar="PERIOD", help="such as 2026Q3; the latest by default")
    run.add_argument("--study", metavar="FOLDER", help="default data/example")
    run.add_argument("--output", metavar="FOLDER", help="default outputs")
    for option, metavar, what in (
        ("notebook", "NAME", "only this notebook"), ("site", "SITE", "only this site"),
        ("parameter", "NAME=VALUE", "a notebook's parameter"),
    ):  # fmt: skip
        more = f"{what}; may be repeated"
        run.add_argument(f"--{option}", action="append", dest=f"{option}s", metavar=metavar, help=more)
    run.add_argument("--by-site", action="store_true", help="each site of `units` by itself; small ones are left out")
    run.add_argument("--jobs", type=int, metavar="N", help="notebooks at a time; default 2")
    run.add_argument("--timeout", type=float, metavar="SECONDS", help="stop a notebook that takes longer")
    run.add_argument("--scheduler", metavar="ADDRESS", help="run the notebooks on a dask.distributed cluster")
    run.add_argument("--force", action="store_true", help="run again what is up to date")
    _add_outside(run)
    run.set_defaults(does=_run)


def _run(**given: object) -> int:
    from icsat_helpers import batch

    asked = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return batch.run(batch.Request(**asked))  # type: ignore[arg-type]


def _check(study: str, codebook: str | None = None) -> int:
    from icsat_helpers import advice, claims, clean
    from icsat_helpers.project import find
    from icsat_helpers.study import StudyError

    try:
        checked = clean.load(study)
    except StudyError as refused:
        print(refused)
        lines = advice.lines_to_add(find(study), refused.problems)
        print("\nIf these columns are meant, this belongs into study.toml:", *lines, sep="\n") if lines else None
        return 1
    print(f"ready: {checked.settings.name}, {checked.period}")
    questions = claims.questions(checked)
    for question in questions:
        answer = "can be answered" if question.answerable else f"cannot be answered: {question.reason}"
        print(f"{question.id:<16} {question.notebook:<28} {answer}")
    for opening in advice.openings(checked, questions):
        print(f"add {opening}")
    return 0 if codebook is None else _codebook(checked, codebook)


def _codebook(checked: Study, file: str) -> int:
    from icsat_helpers import codebook

    place = Path(file) if file else checked.folder / "codebook.html"
    try:
        place.write_text(codebook.page(checked), encoding="utf-8", newline="\n")
    except OSError as error:
        return _say(1, f"{place} could not be written: {error.strerror or error}.")
    print(f"{place}: what each table and column holds")
    return 0


def _new(folder: str) -> int:
    from icsat_helpers import template

    place = Path(folder)
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        return _say(2, f"{folder} is there already and not empty; choose another folder.")
    try:
        template.write(place)
    except OSError as error:
        return _say(1, f"{folder} could not be written: {error.strerror or error}.")
    print(f"{folder}: a study to fill in; start with study.toml, then: icsat check {folder}")
    return 0


def _simulate(folder: str, effects: Sequence[str], **sizes: int) -> int:
    from icsat_helpers import simulate

    place = Path(folder)
    if (place / "study.toml").exists() and not (place / "truth.toml").exists():
        return _say(2, f"{folder} holds a study that was not simulated; choose another folder.")
    try:
        made = simulate.organisation(**sizes, effects=_effects(effects, simulate.EFFECTS))
    except ValueError as error:
        return _say(2, str(error))
    try:
        simulate.write(made, place)
    except OSError as error:
        return _say(1, f"{folder} could not be written: {error.strerror or error}.")
    print(f"{folder}: a study, and truth.toml with what is true in it")
    return 0


def _effects(asked: Sequence[str], defaults: dict[str, float]) -> dict[str, float]:
    """Return the effects with each NAME=VALUE set, in order; ValueError names every one that cannot be."""
    from icsat_helpers.settings import nearest

    effects, problems = dict(defaults), []
    for text in asked:
        name, _, value = text.partition("=")
        try:
            amount = float(value)
        except ValueError:
            amount = math.nan
        if name != "all" and name not in effects:
            problems.append(f"--effect {text}: there is no effect {name!r}{nearest(name, effects)}")
        elif not math.isfinite(amount):
            problems.append(f"--effect {text}: write it as NAME=VALUE, the value a number.")
        else:
            effects |= dict.fromkeys(effects, amount) if name == "all" else {name: amount}
    if problems:
        raise ValueError("\n".join(problems))
    return effects


def _say(code: int, why: str) -> int:
    print(why, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
