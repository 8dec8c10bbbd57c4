"""The document on paper: A4, numbered, nothing cut, nothing from elsewhere, and a run that does not hang on it."""

from __future__ import annotations

import base64
import html
import os
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from collection import inflated, until

from icsat_helpers import paper, publish

try:
    import weasyprint
except OSError:
    weasyprint = None
PANGO = pytest.mark.skipif(weasyprint is None, reason="Pango is not on this machine")
A4 = (210 / 25.4 * 96, 297 / 25.4 * 96)  # in CSS pixels
TITLES = ["What we know", "Service map, & more"]


def figure(width: int, height: int, name: str) -> str:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}pt" height="{height}pt"><path d="M0 0H9V9Z"/></svg>'
    image = f'<img alt="{name}" src="data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}">'
    return f"<figure>{image}<figcaption>Caption of {name} {'phrase ' * 60} end of {name}</figcaption></figure>"


def document(body: str = figure(527, 300, "one"), extra: str = "") -> str:
    folded = "<details class='numbers'><summary>The numbers</summary><p>folded words</p></details>"
    pages = [
        publish.Page("00-a", TITLES[0], body + folded, "<p>folded words</p><details>and code</details>"),
        publish.Page("01-b", TITLES[1], f"<h2>Question</h2><p>Which?</p>{extra}"),
    ]
    return publish.document(pages, title="Study <b>", subtitle="2026Q3", language="fr")


def long() -> str:
    """Figures, rows and headings enough for some to meet the end of a page."""
    rows = "".join(f"<tr><td>row {number}</td><td>{'words ' * 130}</td></tr>" for number in range(25))
    return "".join(
        [
            *(figure(527, 200 + 11 * number, str(number)) for number in range(10)),
            figure(300, 3000, "tower"),
            figure(3000, 300, "wide"),
            f"<table><thead><tr><th>name</th><th>said</th></tr></thead><tbody>{rows}</tbody></table>",
            *(f"<h2>Heading {number}.</h2><p>Under {number}.</p>" for number in range(90)),
        ]
    )


@pytest.fixture(scope="module")
def laid_out() -> list[Any]:
    """The pages of the document, each a tree of boxes."""
    return [page._page_box for page in weasyprint.HTML(string=paper.unfolded(document(long()))).render().pages]


@pytest.fixture(scope="module")
def drawn() -> bytes:
    made = paper.Press().draw(document(), 100)
    assert made.why == ""
    return made.content


def said(box: Any) -> str:
    return " ".join(each.text for each in box.descendants() if hasattr(each, "text"))


def names(pdf: bytes) -> set[str]:
    """Titles of a PDF and of its parts."""
    plain = re.findall(rb"/Title \(((?:\\.|[^\\)])*)\)", inflated(pdf))
    coded = re.findall(rb"/Title <feff([0-9a-f]*)>", inflated(pdf))
    return {re.sub(r"\\(.)", r"\1", each.decode("ascii")) for each in plain} | {
        bytes.fromhex(each.decode()).decode("utf-16-be") for each in coded
    }


@PANGO
def test_it_is_a4_tagged_and_knows_its_title_its_language_and_its_parts(drawn: bytes) -> None:
    found = inflated(drawn)
    boxes = re.findall(rb"/MediaBox\s*\[([^\]]*)\]", found)
    assert boxes
    assert {tuple(round(float(n)) for n in box.split()) for box in boxes} == {(0, 0, 595, 842)}
    assert re.search(rb"/Lang\s*\(fr\)", found)
    assert b"/Marked true" in found
    assert found.count(b"/Alt") == 1
    assert names(drawn) == {"Study <b> · 2026Q3", *TITLES}


@PANGO
def test_the_same_document_gives_the_same_bytes(drawn: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    assert paper.Press().draw(document(), 100).content == drawn


@PANGO
def test_every_page_is_numbered_and_names_the_report(laid_out: list[Any]) -> None:
    assert len(laid_out) > 4
    for number, page in enumerate(laid_out, 1):
        margins = " ".join(said(box) for box in page.children[1:])
        assert f"{number} / {len(laid_out)}" in margins
        assert "Study <b> · 2026Q3" in margins


@PANGO
def test_the_contents_say_on_which_page(laid_out: list[Any]) -> None:
    last = next(number for number, page in enumerate(laid_out, 1) if "Which?" in said(page))
    assert f"{TITLES[1]} · {last}" in re.sub(r"\s+", " ", said(laid_out[0]))


@PANGO
def test_no_figure_is_cut_or_parted_from_its_caption(laid_out: list[Any]) -> None:
    seen = []
    for page in laid_out:
        left, top = page.content_box_x(), page.content_box_y()
        for box in page.descendants():
            if box.element_tag == "img":
                assert top <= box.position_y
                assert box.position_y + box.height <= top + page.height + 0.1
                assert box.position_x + box.width <= left + page.width + 0.1
                name = box.element.get("alt")
                assert f"Caption of {name} " in said(page)
                assert f"end of {name}" in said(page)
                seen.append(name)
    assert seen == [*map(str, range(10)), "tower", "wide"]


@PANGO
def test_rows_are_whole_and_each_page_has_the_tables_head(laid_out: list[Any]) -> None:
    pages = [said(page) for page in laid_out]
    holding = [text for text in pages if "row " in text]
    assert len(holding) > 3
    assert all("name said" in text for text in holding)
    assert all(text.count("words") == 130 * len(re.findall(r"row \d+", text)) for text in holding)


@PANGO
def test_a_heading_is_not_left_alone_at_the_end_of_a_page(laid_out: list[Any]) -> None:
    for page in map(said, laid_out):
        assert re.findall(r"Heading (\d+)\.", page) == re.findall(r"Under (\d+)\.", page)


@PANGO
def test_what_unfolds_is_left_out_and_said_to_be(laid_out: list[Any]) -> None:
    whole = re.sub(r"\s+", " ", " ".join(map(said, laid_out)))
    assert "folded words" not in whole
    assert "La version courte, pour le papier." in whole  # what it says of what unfolds, in the language of the report


@PANGO
@pytest.mark.parametrize(
    "extra",
    [
        '<img alt="x" src="http://127.0.0.1:{port}/x.png">',
        '<p style="background: url(http://127.0.0.1:{port}/x.png)">x</p>',
        '<link rel="stylesheet" href="http://127.0.0.1:{port}/x.css">',
        '<img alt="x" src="file:///etc/hostname">',
    ],
)
def test_nothing_from_elsewhere_is_asked_for(extra: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        made = paper.Press().draw(document(extra=extra.format(port=server.getsockname()[1])), 100)
        assert made == paper.Paper(why="WeasyPrint stopped with FatalURLFetchingError.")
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()


WHYS = {
    "raise OSError('cannot load library libpango at /srv/secret')": "the Pango library that it needs, is not installed",
    "raise ImportError('no such thing')": "the Pango library that it needs, is not installed",
    "raise ValueError('/srv/secret')": "WeasyPrint stopped with ValueError.",
    "import os; os._exit(0)": "WeasyPrint stopped with exit code 0.",
    "import os; os.kill(os.getpid(), 9)": "WeasyPrint stopped with exit code -9.",
    "import time; time.sleep(60)": "stopped after 2 seconds",
}


@pytest.mark.parametrize("code", WHYS)
def test_why_there_is_none_is_said_and_gives_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    (tmp_path / "weasyprint.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    made = paper.Press().draw("<p>" * 100_000, 2)
    assert made.content == b""
    assert WHYS[code] in made.why
    assert "secret" not in made.why


def test_a_press_that_is_closed_ends_before_and_while_it_draws() -> None:
    idle, busy = paper.Press(), paper.Press()
    with ThreadPoolExecutor() as executor:
        drawn = executor.submit(busy.draw, document(), 100)
        until(busy._taken.locked)
        busy.close()
        idle.close()
        assert drawn.result(2).content == b""
    assert idle._process.poll() is not None
    assert idle.draw(document(), 100).content == b""  # it was to draw, and was closed before its turn came


@PANGO
def test_the_example_is_on_paper_in_full(published: Path) -> None:
    titles = re.findall(r'<h2 class="page-title"[^>]*>(.*?)</h2>', (published / "index.html").read_text("utf-8"))
    assert len(titles) == 13
    assert {*map(html.unescape, titles)} < names((published / "index.pdf").read_bytes())
