"""Pages: self-contained, escaped, folded code, headings and ids in order."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from collection import node
from nbformat import v4

from icsat_helpers import publish
from icsat_helpers.results import MIME

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
IMAGE = f'<img src="data:image/png;base64,{PIXEL}" alt="only = 3 of 5">'
FIGURE = f"<figure>{IMAGE}<figcaption>A line</figcaption></figure>"


def output(data: dict[str, Any], metadata: dict[str, Any] | None = None) -> Any:
    return v4.new_output("display_data", data, metadata=metadata or {})


def page(*outputs: Any, name: str = "04-x", words: str = "") -> publish.Page:
    made = node("1 + 1", title="Four & more")
    made.cells[0].source += words
    made.cells[-1].outputs = list(outputs)
    return publish.render(name, made)


class Document(HTMLParser):
    """What a browser would see of a document."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, name: str) -> list[str]:
        return [value or "" for _, attrs in self.tags for key, value in attrs.items() if key == name]

    @property
    def headings(self) -> list[int]:
        return [int(tag[1]) for tag, _ in self.tags if re.fullmatch("h[1-6]", tag)]


@pytest.fixture(scope="module")
def document() -> str:
    """Two pages inline, each with all kinds of outputs."""
    outputs = [
        output({"text/html": FIGURE}),
        output({"text/html": '<table id="t"><tr><th id="a">x</th><td headers="a">1</td></tr></table>'}),
        output({"image/png": PIXEL}, {"alt": 'Up "again"'}),
        output(
            {"image/svg+xml": '<svg xmlns="http://www.w3.org/2000/svg" id="s"/>'},
            {"image/svg+xml": {"alt": "Down"}},
        ),
        output({"text/markdown": "### Inner\n\n[paper](https://example.org/p) ![x](https://example.org/i.png)"}),
        v4.new_output("stream", name="stdout", text="<script>alert(1)</script>"),
    ]
    pages = [page(*outputs, name="00-a"), page(*outputs, name="01-b")]
    return publish.document(pages, title="Study <b>", subtitle="2026Q3", language="fr")


def test_nothing_is_asked_of_a_network(document: str) -> None:
    seen = Document(document)
    leading = [value for name in ("src", "href", "srcset", "action", "data") for value in seen.all(name)]
    assert all(value.startswith(("data:image/", "#")) for value in leading)
    assert not re.search(r"url\(|@import|<script", document)
    assert not re.search(r"""(?:src|href|url\(|@import)\s*=?\s*["'(]?\s*(?:https?:)?//""", document)
    assert any("default-src 'none'" in value for value in seen.all("content"))


def test_links_stay_within_the_document(document: str) -> None:
    seen = Document(document)
    assert seen.all("href") == ["#00-a", "#01-b"]
    assert {"00-a", "01-b"} <= set(seen.all("id"))
    assert "paper (https://example.org/p)" in document


def test_ids_are_unique_and_still_meet(document: str) -> None:
    ids = Document(document).all("id")
    assert len(ids) == len(set(ids))
    assert set(Document(document).all("headers")) <= set(ids)


def test_headings_descend_by_one_from_one_h1(document: str) -> None:
    levels = Document(document).headings
    assert levels[0] == 1
    assert [level for level in levels if level < 3] == [1, 2, 2]  # the document, its two pages
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_every_figure_keeps_its_words(document: str) -> None:
    seen = Document(document)
    assert [attrs["alt"] for tag, attrs in seen.tags if tag == "img"][:3] == [
        "only = 3 of 5",
        'Up "again"',
        "Down",
    ]
    assert "<figcaption>A line</figcaption>" in document


def test_language_and_title(document: str) -> None:
    assert ("html", {"lang": "fr"}) in Document(document).tags
    assert "<title>Study &lt;b&gt; · 2026Q3</title>" in document


def test_it_reads_on_a_phone_in_the_dark_and_on_paper(document: str) -> None:
    assert 'name="viewport" content="width=device-width' in document
    assert "prefers-color-scheme: dark" in document
    assert "@media print" in document
    assert document.count("<table") == document.count('<div class="scroll" role="group"')


def test_text_is_shown_as_text() -> None:
    attack = "<script>alert(1)</script>"
    body = page(
        v4.new_output("stream", name="stdout", text=attack),
        output({"text/plain": attack}),
        output({"text/markdown": f"{attack} <img src=x onerror=alert(1)>"}),
        output({"text/markdown": "[one](javascript:alert(1)) ![two](javascript:alert(1))"}),
        output({"image/png": PIXEL}, {"alt": f'"{attack}'}),
        words="\n\n" + attack,
    ).body
    assert "<script" not in body
    assert body.count("&lt;script&gt;alert(1)") == 5
    assert "javascript" not in body
    assert [tag for tag, attrs in Document(body).tags if "onerror" in attrs] == []


@pytest.mark.parametrize(
    "unsafe",
    [
        "<script>alert(1)</script>",
        '<p onclick="alert(1)">x</p>',
        '<img src="https://example.org/x.png">',
        '<img src="//example.org/x.png">',
        '<a href="05-morale.html">next</a>',
        '<link rel="stylesheet" href="x.css">',
        '<p style="background: url(https://example.org/x)">x</p>',
        "<style>@import 'https://example.org/x.css';</style>",
        "<style>p { background: url(x.png) }</style>",
        '<svg><use xlink:href="https://example.org/x#y"/></svg>',
        "<iframe srcdoc='x'></iframe>",
    ],
)
def test_html_that_would_load_or_run_something_is_not_shown(unsafe: str) -> None:
    body = page(output({"text/html": f"<div>before {unsafe}</div>"})).body
    assert "An output is not shown" in body
    assert "before" not in body


def test_what_is_for_machines_or_for_nobody_is_not_shown() -> None:
    body = page(
        output({MIME: {"findings": []}, "text/plain": "Finding(...)"}),
        v4.new_output("stream", name="stderr", text="a warning"),
        v4.new_output("error", ename="ValueError", evalue="value 17", traceback=["value 17"]),
    ).body
    assert "Finding" not in body
    assert "warning" not in body
    assert "17" not in body


def test_html_beside_the_machine_form_is_shown() -> None:
    assert "<p>card</p>" in page(output({MIME: {}, "text/html": "<p>card</p>", "text/plain": "x"})).body


def test_code_is_there_but_folded_twice() -> None:
    single = page(output({"text/plain": "seen"}))
    assert re.search(r'<details class="code-cell">.*<pre class="code"[^>]*><code>.*1.*</pre>', single.method, re.S)
    assert "<pre>seen</pre>" in single.body
    assert "code" not in single.body
    text = publish.document([single], title="x")
    assert text.index("seen") < text.index('<details class="method">') < text.index('<details class="code-cell">')


def test_a_page_alone_has_its_own_title_and_no_contents() -> None:
    single = page()
    text = publish.document([single], title=single.title, subtitle="x", language="en")
    assert Document(text).headings == [1, 2]
    assert "<h1>Four &amp; more</h1>" in text
    assert "<nav" not in text


def test_a_notebook_that_failed_says_so() -> None:
    made = publish.missing("04-external-customers")
    assert made.title == "External customers"
    assert "could not be made" in made.body


def test_the_same_notebook_gives_the_same_bytes() -> None:
    assert publish.document([page()], title="x") == publish.document([page()], title="x")


def test_tagged_cells_are_seen_at_once_and_the_others_unfold() -> None:
    cells = [v4.new_markdown_cell(text) for text in ("# T", "## Question\n\nwhich", "## Checks\n\nrows")]
    cells += [v4.new_code_cell(source) for source in ("first", "second")]
    for cell in cells[3:]:
        cell.outputs = [output({"text/plain": f"answer of the {cell.source}"})]
    for cell in (cells[1], cells[4]):
        cell.metadata["tags"] = [publish.FRONT]
    made = publish.render("04-x", v4.new_notebook(cells=cells))
    assert ("which" in made.body, "answer of the second" in made.body) == (True, True)
    for behind in ("rows", "answer of the first", "Code"):
        assert (behind in made.body, behind in made.method) == (False, True)
    assert "answer of the second" not in made.method
