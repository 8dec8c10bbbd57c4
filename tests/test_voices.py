"""Themes of comments: planted ones are found, no name is shown, and no comment breaks a page."""

from __future__ import annotations

import re
import time

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from conftest import ROOT

import icsat_helpers as ic
from icsat_helpers import cli, themes, voices

PLANTED = {
    "speed": "waiting slow delays queue response hours deadline urgent backlog chasing",
    "tools": "software laptop login password crashes update printer network screen license",
    "clarity": "unclear instructions announcement newsletter meeting informed rumours briefing wording notice",
    "people": "friendly helpful polite patient competent listened courteous supportive kind attentive",
    "money": "invoice budget cost charges expensive approval purchase refund payment voucher",
}
AROUND = ["team", "colleagues", "last", "week", "department", "process", "situation", "project", "office", "system"]


def corpus(n=400, seed=1, language="en", mixed=0.2):
    """Comments of two to four words of one planted theme among words that say nothing, a fifth with a second theme."""
    rng = np.random.default_rng(seed)
    names, rows = list(PLANTED), []
    for _ in range(n):
        theme = rng.integers(len(names))
        words = list(rng.choice(PLANTED[names[theme]].split(), rng.integers(2, 5), replace=False))
        if rng.random() < mixed:
            words += list(rng.choice(PLANTED[names[rng.integers(len(names))]].split(), 2))
        words += list(rng.choice(AROUND, rng.integers(2, 7)))
        rng.shuffle(words)
        who = f"u{rng.integers(20)}", f"v{rng.integers(15)}", f"p{rng.integers(n // 2)}", int(rng.integers(4))
        rows.append((*who, language, " ".join(words), 4.0 - (theme == 0) + rng.normal(0, 0.3), theme))
    columns = ["unit", "provider", "person", "t", "language", "text", "score", "truth"]
    return pd.DataFrame(rows, columns=columns).assign(linked=True)


def said(texts, language="en", people=None, providers=9, units=9, minimum=5):
    """The words that may be shown of some texts, each by a person of its own unless told."""
    n = len(texts)
    frame = pd.DataFrame(
        {
            "unit": [f"u{i % units}" for i in range(n)],
            "provider": [f"v{i % providers}" for i in range(n)],
            "person": people or [f"p{i}" for i in range(n)],
            "linked": True,
        }
    )
    return themes.vocabulary(frame, themes.words(pd.Series(texts)), language, minimum)


# ---------------------------------------------------------------- words


def test_a_word_needs_three_people():
    assert "slow" in said(["too slow"] * 3)
    assert "slow" not in said(["too slow"] * 2)
    assert "slow" not in said(["too slow"] * 6, people=["a", "b"] * 3)


def test_names_are_not_shown():
    texts = ["please ask Marigold about slow tickets", "Marigold is slow", "slow: Marigold Fernsby", "MARIGOLD IS SLOW"]
    shown = said(texts * 10)
    assert "slow" in shown
    assert not {"marigold", "fernsby"} & set(shown)


def test_a_name_that_some_write_small_is_not_shown_where_more_do_not():
    assert "marigold" not in said(["ask marigold"] * 4 + ["then ask Marigold again"] * 5)
    assert "ticket" in said(["my ticket"] * 5 + ["then my Ticket again"] * 4)


def test_german_nouns_are_shown_and_names_are_not():
    nouns = ["Die Formulare kosten Zeit", "Ich fülle das lange Formulare aus", "Bei uns hilft Fernsby immer gern"] * 5
    assert said(nouns, "de")["formulare"] == "Formulare"
    assert "fernsby" not in said(nouns, "de")
    assert "formulare" not in said(nouns, "en")
    article = ["Ich frage den Fernsby jeden Tag"] * 12
    assert "fernsby" in said(article, "de")  # what the next two lines guard against
    assert "fernsby" not in said(article, "de", providers=1)
    assert "fernsby" not in said(article, "de", units=2)
    assert "fernsby" not in said(["Ich frage den Herrn Fernsby jeden Tag"] * 12, "de")


def test_scripts_without_capitals_must_be_spread():
    texts = ["الخدمة بطيئة جدا"] * 12
    assert "بطيئة" in said(texts, "ar")
    assert said(texts, "ar", providers=1) == {}
    assert said(texts, "ar", people=[f"p{i % 4}" for i in range(12)]) == {}


@pytest.mark.parametrize(
    "text",
    [
        "write to mabel.fernsby@example.org today", "see https://intranet.example/fernsby now", "mabel.fernsby knows",
        "call +41 44 1234567 or room b12fernsby", "<b>fernsby2</b> <a href='fernsby'>here</a>",
        "mr fernsby knows", "madame fernsby knows",
    ],
)  # fmt: skip
def test_addresses_numbers_and_markup_are_no_words(text):
    assert not any("fernsby" in word or "mabel" in word for word in said([text] * 9))


def test_ids_of_people_are_no_words():
    people = ["fernsby", "mabel.x", "p3"] * 3
    assert said(["ask fernsby or mabel soon"] * 9, people=people) == {"ask": "ask", "soon": "soon"}


def test_who_gave_no_id_bans_no_word(tmp_path):
    folder = write(
        tmp_path / "s", corpus(60).assign(text="this service is slow", provider=[f"v{i}" for i in range(60)])
    )
    table = pd.read_csv(folder / "service_ratings.csv").drop(columns="person_id")
    table.to_csv(folder / "service_ratings.csv", index=False)
    frame = themes.comments(ic.load(folder))
    assert "service" in themes.vocabulary(frame, themes.words(frame["text"]), "en", 5)


def test_a_comment_of_any_length_is_read_quickly():
    started = time.perf_counter()
    for text in (
        "x" * 20_000,
        "a@" * 10_000,
        "<" * 20_000,
        "=cmd|' /C calc'!A0 " * 1000,
        "\u202eabc \U0001f600" * 3000,
    ):
        themes.words(pd.Series([text]))
    assert time.perf_counter() - started < 3


# ---------------------------------------------------------------- themes


@pytest.mark.parametrize("seed", [1, 2])
def test_planted_themes_are_recovered(seed):
    frame = corpus(seed=seed)
    found = themes.themes_of(frame, "en", 5)
    lists = [set(words.split()) for words in PLANTED.values()]
    own = [int(np.argmax([len(words & set(label.split(", "))) for words in lists])) for label in found.labels]
    assert sorted(own) == [0, 1, 2, 3, 4]
    right = found.raised[:, np.argsort(own)] & (frame["truth"].to_numpy()[:, None] == range(5))
    assert right.any(axis=1).mean() > 0.95
    assert right.sum() / found.raised.sum() > 0.8  # a fifth of the comments also raise a second theme
    assert max(found.stability.values()) - found.stability[5] <= themes.NEAR


def test_the_order_of_comments_does_not_matter(small):
    frame = themes.comments(small)
    table = small.table("service_ratings").sample(frac=1, random_state=1)
    other = ic.load(small.folder)
    other.tables["service_ratings"] = table
    pd.testing.assert_frame_equal(themes.comments(other), frame)


def test_few_comments_are_not_analysed():
    found = themes.themes_of(corpus(29), "en", 5)
    assert (found.labels, found.reason) == ((), "29 comments; at least 30 are needed")
    assert "too few words" in themes.themes_of(corpus(40).assign(text="ok"), "en", 5).reason


def test_languages_stand_apart_and_small_ones_are_not_named(tmp_path):
    frame = pd.concat([corpus(200), corpus(60, language="fr"), corpus(4, language="el")])
    study = ic.load(write(tmp_path / "s", frame))
    found = themes.themes(study)
    assert [one.language for one in found] == ["en", "fr"]
    assert "el" not in voices.overview(study, found).text.split()


def test_the_language_is_the_ratings_else_the_persons_else_the_studys(tmp_path):
    folder = write(tmp_path / "s", corpus(30))
    table = pd.read_csv(folder / "service_ratings.csv", dtype=str)
    table["language"] = ["de-CH"] * 10 + [None] * 20
    table["person_id"] = [f"p{i}" for i in range(30)]
    table.to_csv(folder / "service_ratings.csv", index=False)
    people = pd.DataFrame({"person_id": [f"p{i}" for i in range(20)], "unit_id": "u1", "language": "fr"})
    people.to_csv(folder / "people.csv", index=False)
    assert themes.comments(ic.load(folder))["language"].value_counts().to_dict() == {"de": 10, "fr": 10, "en": 10}


# ---------------------------------------------------------------- what is shown


def test_who_raises_a_theme_is_compared_within_a_period():
    frame = corpus(600)
    found = themes.themes_of(frame, "en", 5)
    slow = next(j for j, label in enumerate(found.labels) if "slow" in label or "queue" in label or "delays" in label)
    net = frame["score"] - frame.groupby("t")["score"].transform("mean")
    estimate = voices.difference(net.to_numpy(), found.raised[:, slow], frame["unit"].to_numpy())
    rows = frame.assign(raised=found.raised[:, slow].astype(float), net=net)
    fit = smf.ols("net ~ raised", rows).fit(cov_type="cluster", cov_kwds={"groups": pd.factorize(rows["unit"])[0]})
    assert estimate.value == pytest.approx(fit.params["raised"])
    assert estimate.se == pytest.approx(fit.bse["raised"], rel=0.15)  # the jackknife is a little wider than CRV1
    assert estimate.value < -0.6
    assert voices.difference(net.to_numpy(), found.raised[:, slow], np.repeat("u", 600)) is None


def test_what_rests_on_few_comments_or_people_is_hidden(tmp_path):
    frame = corpus(400).assign(t=lambda d: np.where(d.index < 355, 2, 3))
    study = ic.load(write(tmp_path / "s", frame))
    (found,) = themes.themes(study)
    shown = voices.summary(study, found)
    count = found.raised[(found.comments["t"] == study.t).to_numpy()].sum(axis=0)
    assert (count < 10).any()
    assert shown.loc[count < 10, ["comments", "people", "share", "change"]].isna().all(axis=None)
    assert shown.loc[shown["comments"].notna(), "comments"].ge(10).all()
    cells = voices.by_provider(study, found)
    assert len(cells)
    assert (cells["comments"] >= 10).all()


def test_few_people_who_write_much_are_hidden(tmp_path):
    frame = corpus(300, mixed=0).assign(t=3)
    loud = frame["truth"] == 0
    frame.loc[loud, "person"] = [f"loud{i % 4}" for i in range(loud.sum())]
    frame = frame.assign(provider=[f"v{i}" for i in range(300)])
    study = ic.load(write(tmp_path / "s", frame))
    (found,) = themes.themes(study)
    shown = voices.summary(study, found)
    few = [found.comments.loc[flag, "person"].nunique() < 5 for flag in found.raised.T]
    assert sum(few) == 1
    assert shown.loc[few, ["comments", "share", "gap"]].isna().all(axis=None)
    assert shown["gap"].notna().sum() == 4


def test_few_people_on_the_other_side_are_hidden():
    frame = pd.DataFrame({"comments": [50, 40, 70, 30], "people": [40, 30, 60, 25], "others": [30, 40, 3, 50]})
    hidden = voices._shown(frame, 5, [])
    assert hidden["comments"].isna().tolist() == [False, False, True, True]  # the last would give the third away


def test_what_fits_nowhere_raises_nothing(example):
    frame = themes.comments(example)
    found = themes.themes_of(frame[frame["language"] == "en"].reset_index(drop=True), "en", 5)
    single = [(label, flag) for label, flag in zip(found.labels, found.raised.T, strict=True) if "," not in label]
    assert single
    for label, flag in single:
        assert found.comments.loc[flag, "text"].str.casefold().str.contains(label).all()


# ---------------------------------------------------------------- the notebook


def write(folder, frame):
    """Write a study of ratings with these comments."""
    folder.mkdir(exist_ok=True)
    (folder / "study.toml").write_text(
        'contract = 1\n[study]\nname = "S"\n[items.fast]\ntable = "service_ratings"\nscale = "speed"\n'
    )
    table = pd.DataFrame(
        {
            "period": [f"2026Q{t + 1}" for t in frame["t"]],
            "customer_unit": frame["unit"],
            "provider_unit": frame["provider"],
            "person_id": frame["person"],
            "fast": frame["score"].round(1).clip(1, 5),
            "language": frame["language"],
            "comment": frame["text"],
        }
    )
    table.drop_duplicates(list(table)[:4]).to_csv(folder / "service_ratings.csv", index=False)
    return folder


def run(folder, output):
    assert cli.main(["run", "--study", str(folder), "--output", str(output), "--notebook", "12-voices"]) == 0
    return next(output.glob("*/12-voices.html")).read_text(encoding="utf-8")


def test_the_notebook_on_the_example(tmp_path):
    text = run(ROOT / "data" / "example", tmp_path)
    assert text.count("<figure>") == 3
    assert "Look first into" in text
    assert not re.search(r"\bP\d{5}\b", text)
    study = ic.load(ROOT / "data" / "example")
    visible = re.sub(r"<[^>]+>", " ", text)
    for comment in study.table("service_ratings")["comment"].dropna().unique():
        assert comment not in visible, "a quote"


def test_no_comment_breaks_a_page(tmp_path):
    hostile = [
        "<script>alert('fernsby')</script>", "=cmd|' /C calc'!A0", "</td></table><h1>fernsby",
        "\U0001f600\U0001f44d" * 50,
        "\u202eשירות איטי מאוד fernsby\u202c", "الخدمة بطيئة", "word " * 4000, "x" * 20_000, " ", "",
        "mabel@example.org +41 44 123 45 67", "$\\frac{1}{0}$ & <b>bold", "a\x0bb\u2028c", "サービスが遅い",
    ]  # fmt: skip
    frame = corpus(420)
    frame["text"] = [hostile[i % len(hostile)] if i % 2 else text for i, text in enumerate(frame["text"])]
    frame.loc[frame.index % 6 == 1, "language"] = "ja"
    text = run(write(tmp_path / "s", frame), tmp_path / "out")
    assert "fernsby" not in text
    assert "mabel" not in text
    assert "<script" not in text
    assert "calc" not in re.sub(r"<style.*?</style>|src=\"[^\"]*\"", "", text, flags=re.S).replace("calculat", "")
    assert text.count("<table") == text.count("</table>")
    assert "English" in text


def test_nothing_written_is_said(tmp_path):
    frame = corpus(12).assign(text="", unit="u1", provider="v1", t=0, score=3.0)
    text = run(write(tmp_path / "s", frame), tmp_path / "out")
    assert "There are no comments" in text
    assert "see above what is missing" in text
