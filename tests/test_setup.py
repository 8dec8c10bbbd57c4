"""The set-up: one list of dependencies, a lock without addresses, a README that begins with two commands."""

from __future__ import annotations

import re
import tomllib

import pictures
import pytest
import yaml

from icsat_helpers.project import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
OTHER_NAMES = {"matplotlib-base": "matplotlib", "python-duckdb": "duckdb"}  # conda's name to ours


def declared() -> dict[str, str]:
    project = PROJECT["project"]
    lines = [
        *project["dependencies"],
        *[line for extra in project["optional-dependencies"].values() for line in extra],
        *PROJECT["dependency-groups"]["build"],
    ]
    return dict(re.fullmatch(r"([\w-]+)(?:\[\w+\])?(.*)", line).groups() for line in lines)


def test_conda_gets_the_same_bounds() -> None:
    *conda, pip = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    found = dict(re.fullmatch(r"([\w-]+)(.*)", line).groups() for line in [*conda, *pip["pip"]])
    assert found.pop("python") == PROJECT["project"]["requires-python"]
    assert found.pop("pip") == ""
    assert {OTHER_NAMES.get(name, name): bounds for name, bounds in found.items()} == declared()


def test_every_dependency_has_both_bounds() -> None:
    one_sided = [name for name, bounds in declared().items() if not re.fullmatch(r">=[\d.]+,<[\d.]+", bounds)]
    assert one_sided == []


def test_the_build_backend_is_the_locked_one() -> None:
    assert PROJECT["build-system"]["requires"] == PROJECT["dependency-groups"]["build"]


def test_the_lock_pins_everything_with_hashes_and_names_no_place() -> None:
    pins = re.split(r"\n(?=[\w-])", LOCK.strip())
    assert all(re.match(r"[\w.-]+==[\w.!+]+( ;.*)? \\\n    --hash=sha256:", pin) for pin in pins)
    assert not re.search(r"://|index|find-links|file:|^-", LOCK, re.M)
    locked = {pin.split("==")[0].lower() for pin in pins}
    assert set(declared()) <= locked


def test_the_lock_keeps_the_bounds() -> None:
    def number(version: str) -> tuple[int, ...]:
        return tuple(int(part) for part in re.findall(r"\d+", version)[:3])

    pins = re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.M)
    for name, version in pins:
        if name in declared():
            low, high = re.fullmatch(r">=([\d.]+),<([\d.]+)", declared()[name]).groups()
            assert number(low) <= number(version) < number(high), name


def test_the_readme_starts_with_the_two_commands() -> None:
    fenced = re.search(r"^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    assert fenced is not None
    assert fenced[1] == "make run\nmake test\n"


def test_the_readmes_pictures_are_small_told_in_words_and_made_by_one_command() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = {path: alt for alt, path in re.findall(r"!\[(.*?)\]\((docs/.+?)\)", text)}
    shown |= dict(re.findall(r'<img src="(docs/.+?)".*? alt="(.*?)"', text))
    assert {*shown} == {f"docs/{name}" for name in pictures.PICTURES}
    assert {*shown} == {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").iterdir()}
    assert all(len(alt.split()) > 5 for alt in shown.values())
    assert max((ROOT / path).stat().st_size for path in shown) < 200_000


@pytest.mark.parametrize("target", ["install", "run", "test", "lab", "check", "pictures", "lock"])
def test_the_makefile_has_its_targets(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)


def test_runs_leave_nothing_for_git() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert {"/outputs/*", "!/outputs/README.md", "/.venv/", "__pycache__/", ".ipynb_checkpoints/"} <= set(ignored)


def test_hooks_fetch_nothing() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [each["repo"] for each in hooks] == ["local"]
    assert {hook["language"] for hook in hooks[0]["hooks"]} == {"system"}


def test_the_readmes_tree_lists_every_module_and_imports_go_one_way() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = text.split("icsat_helpers/    what two notebooks", 1)[1].split("data/example/", 1)[0]
    listed = [name for line in tree.splitlines()[1:] for name in re.split(r"\s{2,}", line.strip())[0].split()]
    files = {path.stem for path in (ROOT / "icsat_helpers").glob("*.py")} - {"__init__"}
    assert set(listed) == files
    assert len(listed) == len(files)
    for name in listed:
        source = (ROOT / "icsat_helpers" / f"{name}.py").read_text(encoding="utf-8")
        found = set(re.findall(r"^(?:    )*from icsat_helpers\.(\w+) import", source, re.M))
        found |= {
            part for line in re.findall(r"from icsat_helpers import (.+)", source) for part in re.findall(r"\w+", line)
        }
        assert found & files <= set(listed[: listed.index(name)]), name
