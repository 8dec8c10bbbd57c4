"""A reader who knows the staff list, and that who stays answers as before, learns nothing of the one who left.

Everything that two runs leave in the output folder is read; only the kernels are left out, for speed.
"""

from __future__ import annotations

import ast
import json
import re
from html import unescape

import nbformat
import numpy as np
import pytest
from nbformat import v4

from icsat_helpers import cli, disclosure, execution, margins, progress, release, workers

UNITS = {"legal": 6, "sales": 9, "plant": 11, "labs": 8, "depot": 12, "books": 7, "press": 10}
LEAVER = "legal-0"
QUARTERS = ("2026Q1", "2026Q2", "2026Q3")
NAMES = {"legal": "<script>alert(1)</script>", "sales": "=1+1 & Co", "labs": "<img src=x onerror=alert(2)>"}
NOTEBOOKS = ("00-executive-summary", "01-data-health", "03-service-map", "09-associates", "12-voices")
TOML = """contract = 1
[study]
name = "Seven units"
minimum_group = 5
[items.quick]
table = "service_ratings"
scale = "speed"
[items.good]
table = "service_ratings"
scale = "quality"
[items.glad]
table = "morale"
scale = "engagement"
"""


def answers():
    """What everybody answers in every quarter: person, unit, provider, quick, good; the one who leaves is content."""
    rng = np.random.default_rng(7)
    rows = []
    for unit, size in UNITS.items():
        for i in range(size):
            person = f"{unit}-{i}"
            for provider in [name for name in UNITS if name != unit][: 3 + len(unit) % 3]:
                given = (5, 5) if person == LEAVER else rng.integers(1, 5, 2)
                rows.append((person, unit, provider, *map(int, given)))
    return rows


@pytest.fixture(scope="module")
def organisation(tmp_path_factory):
    """A study of three quarters: one person of a department of six leaves before the last, nothing else moves."""
    folder = tmp_path_factory.mktemp("seven")
    (folder / "study.toml").write_text(TOML)
    units = [f"{unit},{NAMES.get(unit, unit)},internal" for unit in UNITS]
    (folder / "units.csv").write_text("\n".join(["unit_id,unit_name,kind", *units]) + "\n")
    people = [
        f"{unit}-{i},{unit},{('employee', 'contractor')[i % 3 == 0]},2020-01-01,"
        + "2026-08-01" * (f"{unit}-{i}" == LEAVER)
        for unit, size in UNITS.items()
        for i in range(size)
    ]
    people.append("never-answers,press,employee,2020-01-01,")
    (folder / "people.csv").write_text("\n".join(["person_id,unit_id,associate_type,hired_on,left_on", *people]) + "\n")
    ratings, morale = (
        ["period,customer_unit,provider_unit,person_id,quick,good,comment"],
        ["period,unit_id,person_id,glad"],
    )
    for quarter in QUARTERS:
        here = [row for row in answers() if not (row[0] == LEAVER and quarter == QUARTERS[-1])]
        said = "<b>slow</b> <script>alert(3)</script> invoices"
        ratings += [f"{quarter},{unit},{by},{who},{a},{b},{said}" for who, unit, by, a, b in here]
        morale += [f"{quarter},{unit},{who},{a}" for (who, unit), a in {row[:2]: row[3] for row in here}.items()]
    (folder / "service_ratings.csv").write_text("\n".join(ratings) + "\n")
    (folder / "morale.csv").write_text("\n".join(morale) + "\n")
    return folder


def in_this_process(notebook, plan, *_):
    """Run a notebook's cells here, and return what a kernel would have given."""
    node, space = v4.new_notebook(metadata={"language_info": {"name": "python"}}), {}
    for cell in json.loads(notebook.source)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            node.cells.append(v4.new_markdown_cell(source, metadata=cell["metadata"]))
            continue
        outputs = []

        def display(*shown, outputs=outputs):
            for each in shown:
                if each is not None:
                    outputs.append(v4.new_output("display_data", data=each._repr_mimebundle_()))

        space["display"] = display
        space["print"] = lambda *words, outputs=outputs: outputs.append(
            v4.new_output("stream", name="stdout", text=" ".join(map(str, words)) + "\n")
        )
        body = ast.parse(source).body
        last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), "cell", "exec"), space)
        if "parameters" in cell["metadata"].get("tags", ()):
            space.update(plan.values_for(notebook))
        if last is not None:
            shown = eval(compile(ast.Expression(last.value), "cell", "eval"), space)
            display(shown if hasattr(shown, "_repr_mimebundle_") else None)
        made = v4.new_code_cell(source, metadata=cell["metadata"], outputs=outputs)
        node.cells.append(made)
    found = execution.gather(node, notebook.name, plan.identity)
    return execution.Outcome(notebook.name, "ok", 0.1, execution.scrubbed(node, plan.values_for(notebook), plan.shown),
                             None, *found, None)  # fmt: skip


def report(patch, folder, output, notebooks=NOTEBOOKS):
    patch.setattr(workers, "execute", in_this_process)
    patch.setattr(workers.Machine, "start", lambda machine: None)
    words = [word for name in notebooks for word in ("--notebook", name)]
    return [
        cli.main(["run", quarter, "--study", str(folder), "--output", str(output), "--jobs", "1", *words])
        for quarter in QUARTERS[1:]
    ]


@pytest.fixture(scope="module")
def guarded(organisation, tmp_path_factory):
    output = tmp_path_factory.mktemp("guarded")
    with pytest.MonkeyPatch.context() as patch:
        assert report(patch, organisation, output) == [0, 0]
    return output


def switch_off(patch):
    """Take away the gate between two reports."""
    for gate in (disclosure, margins):
        patch.setattr(gate, "few_moved", lambda now, before, keys, minimum: 0 * now.groupby(keys).size())
        patch.setattr(gate, "NARROWEST", 0.0)
    patch.setattr(progress, "publishable_change", lambda rows, minimum: rows)


@pytest.fixture(scope="module")
def unguarded(organisation, tmp_path_factory):
    output = tmp_path_factory.mktemp("unguarded")
    with pytest.MonkeyPatch.context() as patch:
        switch_off(patch)
        patch.setattr(release, "exposed", lambda *_: [])
        assert report(patch, organisation, output) == [0, 0]
    return output


# ---------------------------------------------------------------- the attacker


def facts(folder):
    """Everything a report says with a number of people: name to (people, mean, width of the scale)."""
    found = {}
    for metric in json.loads((folder / "findings.json").read_text())["metrics"]:
        if metric["name"] in ("mean", "favourable_share", "response_rate") and metric["n"]:
            width = 4.0 if metric["name"] == "mean" else 1.0
            found[metric["name"], metric["of"]] = (metric["n"], metric["value"], width)
    for path in folder.glob("*.ipynb"):
        node = nbformat.read(path, 4)
        for said in release.of_notebook(node):
            width = said["scale"][1] - said["scale"][0]
            for name, (n, mean, _) in said["groups"].items():
                if n is not None and mean is not None:
                    found["said" if width == 4 else "rate", name.partition(": ")[2]] = (n, mean, width)
        for row in rows(node):
            if len(row) > 2 and re.fullmatch(r"\d+", row[1]) and re.fullmatch(r"\d\.\d+", row[2]):
                found["table", path.stem, row[0]] = (int(row[1]), float(row[2]), 4.0)
    return found


def rows(node):
    """The cells of every table of a notebook."""
    for cell in node["cells"]:
        for output in cell.get("outputs", ()):
            for line in re.findall(r"<tr>(.*?)</tr>", output.get("data", {}).get("text/html", ""), re.S):
                yield [
                    unescape(re.sub("<[^>]+>", "", each))
                    for each in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", line, re.S)
                ]


def derived(output, rounded=True):
    """What one person fewer tells of the person: name to the interval of the answer, where it is narrow.

    The reader knows the rules of the gate: to which step a number was `rounded`.
    """
    before, now = (facts(output / quarter) for quarter in QUARTERS[1:])
    found = {}
    for name in before.keys() & now.keys():
        (n, mean, width), (m, later, _) = before[name], now[name]
        if n - m == 1 and mean is not None:
            half = 0.0006 + rounded * disclosure.grain(m, 1, width) / 2
            middle, reach = n * mean - m * later, n * 0.0006 + m * half
            if 2 * reach < width / 2:
                found[name] = (middle - reach, middle + reach)
    for node in (nbformat.read(path, 4) for path in (output / QUARTERS[-1]).glob("*.ipynb")):
        parts = [part for part in release.of_notebook(node) if any("who went" in name for name in part["groups"])]
        found |= {("went", str(i)): (0.0, 0.0) for i, part in enumerate(parts)}
    return found


def test_nothing_can_be_derived_of_the_person_who_left(guarded):
    assert derived(guarded) == {}
    before, now = (facts(guarded / quarter) for quarter in QUARTERS[1:])
    one_less = [name for name in before.keys() & now.keys() if before[name][0] - now[name][0] == 1]
    assert len(one_less) > 5, "not because nothing is shown"
    assert {("mean", "internal"), ("rate", "who answered in all")} <= {*one_less}
    for n, mean, width in map(now.get, one_less):
        steps = mean / disclosure.grain(n, 1, width)
        assert steps == pytest.approx(round(steps), abs=1e-6), "as coarse as the reader takes it to be"


def test_the_same_attack_succeeds_with_the_gate_switched_off(unguarded):
    found = derived(unguarded, rounded=False)
    assert {"mean", "favourable_share", "response_rate", "rate", "said", "table", "went"} <= {name[0] for name in found}
    for name, (low, high) in found.items():
        if name[0] in ("mean", "said", "table"):
            assert low - 0.01 <= 5.0 <= high + 0.01, name


def test_the_audit_refuses_what_the_gate_would_let_through(organisation, tmp_path, capsys):
    """Without the gate between reports, the split into who stayed and who went tells the one who went."""
    names = ("index.html", "index.pdf", "findings.json", "data-changes.csv")
    left = [tmp_path / QUARTERS[-1] / name for name in names]
    left[0].parent.mkdir()
    for path in left[:2]:
        path.write_text("of an earlier run")
    with pytest.MonkeyPatch.context() as patch:
        switch_off(patch)
        assert report(patch, organisation, tmp_path, ["03-service-map"]) == [0, 1]
    said = capsys.readouterr().out
    assert "Not published" in said and "who went" in said
    assert not any(path.exists() for path in left)
    assert not (tmp_path / QUARTERS[-1] / "03-service-map.ipynb").exists()


def test_markup_in_names_and_comments_shows_as_text(guarded):
    for path in guarded.glob("*/*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<(script|img src=x|b>slow)", text), path
    page = (guarded / QUARTERS[1] / "01-data-health.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
