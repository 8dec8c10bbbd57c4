"""What people say: themes in their comments, each language apart, never a word that could be a name.

Of a comment only words are ever shown, and of those only what at least three people write in lower case (and not
more people with a capital letter within a sentence): names, shouted or not, are no such words. German nouns have a
capital too; one is kept if it stands after an article or the like, is written by enough people in three or more
units, and at most half of them write about one provider, as a colleague's name would not. The same is asked of
scripts without capitals, but for the article. Whatever holds a digit, an @ or an inner dot is no word.
"""

from __future__ import annotations

import html
import re
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.optimize import linear_sum_assignment

from icsat_helpers.scores import scale_scores
from icsat_helpers.study import Study
from icsat_helpers.words import say

WORDS = Path(__file__).parent / "resources" / "stopwords.toml"
FEWEST_PEOPLE = 3  # who use a word that is shown
FEWEST_UNITS = 3  # in which a word is used that could be a name
FEWEST_COMMENTS = 30  # of a language: themes of ten comments need some of them
SHOWN = 10  # comments behind a figure
MOST_THEMES, MOST_WORDS, LABEL = 8, 1000, 4
LONGEST = 30  # letters of a word
NEAR = 0.02  # of the best similarity: as good as it
REDRAWS, REDRAWN, ENOUGH = 10, 0.8, 2000  # subsamples, of which share of the people, of at most so many
RAISED = 1 / 3  # of what a comment says is enough to raise a theme, if one of the theme's words is in it
MARKED = 0.2  # of the weight of a theme's first word: a word of the theme
_MARKUP, _END = re.compile(r"<[^<>]*>"), re.compile(r"[.!?…:;]\W*$")
_CODE, _WORD = re.compile(r"[@\d]|://|\w\.\w"), re.compile(r"[^\W\d_]+")

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Themes:
    """Themes of the comments in one language.

    Attributes
    ----------
    language : str
    comments : DataFrame
        As `comments` gives them, those of the language.
    labels : tuple of str
        The words that mark each theme, k in all; none where there are too few comments, and `reason` says so.
    raised : ndarray of bool, n x k
        Which comment raises which theme.
    stability : dict
        Mean similarity of themes found again in subsamples of people, by number of themes.
    """

    language: str
    comments: pd.DataFrame
    labels: tuple[str, ...]
    raised: Flags
    stability: dict[int, float]
    reason: str = ""


@cache
def _lists() -> dict[str, frozenset[str]]:
    """Words by list: the stop words of a language, `nouns` (what stands before one) and `titles`."""
    read = tomllib.loads(WORDS.read_text(encoding="utf-8"))
    return {name: frozenset(text.lower().split()) for name, text in read.items()}


def comments(study: Study) -> pd.DataFrame:
    """Comments that hold something, with their language: the rating's, else the person's, else the study's.

    Returns
    -------
    DataFrame
        unit, provider, person, linked, t, language, text, score (the sheet's `internal`); never for display.
    """
    table = study.table("service_ratings")
    sheets = scale_scores(study, "internal").rename(columns={"internal": "score"})
    frame = sheets.reindex(columns=["unit", "provider", "person", "linked", "t", "score"])
    spoken = study.table("people").reindex(columns=["person_id", "language"]).set_index("person_id")["language"]
    language = table.reindex(columns=["language"])["language"].astype(object)
    language = language.fillna(frame["person"].map(spoken)).fillna(study.settings.language)
    text = table.reindex(columns=["comment"])["comment"].astype(object)
    frame = frame.assign(language=language.astype(str).str.casefold().str.split("[-_]").str[0].str.strip(), text=text)
    frame = frame[frame["text"].fillna("").astype(str).str.strip() != ""]
    return frame.sort_values(["language", "t", "unit", "provider", "person", "text"], ignore_index=True)


def words(texts: pd.Series) -> pd.DataFrame:
    """Words of comments, one row each: what holds a digit, an @ or an inner dot, and what follows a title, is none.

    Returns
    -------
    DataFrame
        comment (position), word (in lower case), and whether it was written in lower case (`lower`), with a capital
        within a sentence (`capital`), in a script without capitals (`plain`), after an article (`noun`).
    """
    rows = [(i, *word) for i, text in enumerate(texts) for word in _words(str(text))]
    return pd.DataFrame(rows, columns=["comment", "word", "lower", "capital", "plain", "noun"])


def _words(text: str) -> Iterator[tuple[str, bool, bool, bool, bool]]:
    lists = _lists()
    text = _MARKUP.sub(" ", html.unescape(text))
    shouted = not any(letter.islower() for letter in text)
    first, article, title = True, False, False  # of a sentence; seen before this word, an adjective apart; just before
    for chunk in text.split():
        for word in [] if _CODE.search(chunk) else _WORD.findall(chunk):
            small, plain = word.lower(), word.lower() == word.upper()
            if not title and (2 if plain else 3) <= len(word) <= LONGEST:
                yield small, word.islower(), not (plain or word.islower() or first or shouted), plain, article
            article = small in lists["nouns"] or (article and word.islower())
            first, title = False, small in lists["titles"]
        first = bool(_END.search(chunk))


def vocabulary(frame: pd.DataFrame, found: pd.DataFrame, language: str, minimum: int) -> dict[str, str]:
    """Words that may be shown (see the head of this module), and as what: nouns of German with their capital.

    Parameters
    ----------
    frame : DataFrame
        Comments, as `comments` gives them.
    found : DataFrame
        Their `words`.
    """
    if found.empty:
        return {}
    rows = found.join(frame[["unit", "provider", "person"]].reset_index(drop=True), on="comment")

    def people(which: pd.Series) -> pd.Series:
        return rows[which].groupby("word")["person"].nunique()

    every = rows.groupby("word")["person"].nunique()
    count = pd.DataFrame({name: people(rows[name]) for name in ("lower", "capital", "plain", "noun")})
    count = count.reindex(every.index).fillna(0)
    usual = (count["lower"] >= FEWEST_PEOPLE) & (count["lower"] >= count["capital"])
    nouns = (count["noun"] >= FEWEST_PEOPLE) & (language == "de")
    most = rows.groupby(["word", "provider"])["person"].nunique().groupby("word").max()
    spread = (every >= minimum) & (2 * most <= every) & (rows.groupby("word")["unit"].nunique() >= FEWEST_UNITS)
    kept = every[usual | ((nouns | (count["plain"] > 0)) & spread & (every >= FEWEST_PEOPLE))]
    ids = {
        part.lower() for person in frame.loc[frame["linked"], "person"].unique() for part in _WORD.findall(str(person))
    }
    kept = kept[~kept.index.isin(_lists().get(language, frozenset()) | ids)]
    kept = kept.sort_index().sort_values(ascending=False, kind="stable").iloc[:MOST_WORDS]
    return {word: word if usual[word] else word.capitalize() for word in sorted(kept.index)}


def themes(study: Study) -> list[Themes]:
    """Themes of all comments up to the reported period, one `Themes` a language, the most used first.

    Languages that fewer than the minimum group of people write are not even named.
    """
    frame, minimum = comments(study), study.settings.minimum_group
    people = frame.groupby("language")["person"].nunique()
    order = frame["language"].value_counts().sort_index().sort_values(ascending=False, kind="stable").index
    named = [language for language in order if people[language] >= max(minimum, FEWEST_PEOPLE)]
    parts = [(language, frame[frame["language"] == language].reset_index(drop=True)) for language in named]
    return [themes_of(part, language, minimum) for language, part in parts]


def themes_of(frame: pd.DataFrame, language: str, minimum: int) -> Themes:
    """Themes of the comments in one language; their number is the one that subsamples of people find again.

    Term frequency, inverse document frequency, and non-negative factors of the two (Lee & Seung 1999); the number by
    stability (Greene, O'Callaghan & Cunningham 2014): that of which the factors found in subsamples are most like
    those of all comments, and of several as good the largest.
    """

    def nothing(reason: str) -> Themes:
        return Themes(language, frame, (), np.zeros((len(frame), 0), dtype=bool), {}, reason)

    if len(frame) < FEWEST_COMMENTS:
        return nothing(say("{n} comments; at least {needed} are needed", n=len(frame), needed=FEWEST_COMMENTS))
    found = words(frame["text"])
    shown = vocabulary(frame, found, language, minimum)
    terms, rows = _weights(found, list(shown), len(frame))
    if len(rows) < FEWEST_COMMENTS or len(shown) < 2 * LABEL:
        return nothing(say("too few words are used by several people"))
    most = min(MOST_THEMES, len(rows) // SHOWN, len(shown) // 2)
    stability = _stability(terms, frame["person"].to_numpy()[rows], range(2, most + 1))
    k = max(number for number, value in stability.items() if value >= max(stability.values()) - NEAR)
    weight, factors = _factors(terms, k)
    part = weight * factors.sum(axis=1)
    said = part >= RAISED * np.maximum(part.sum(axis=1, keepdims=True), 1e-12)
    marks = factors >= MARKED * factors.max(axis=1, keepdims=True)
    said &= (terms @ marks.T) > 0  # what is left of a comment that fits nowhere must not count as a theme
    order = np.argsort(-said.sum(axis=0), kind="stable")
    raised = np.zeros((len(frame), k), dtype=bool)
    raised[rows] = said[:, order]
    labels = tuple(_label(factors[j], list(shown.values())) for j in order)
    return Themes(language, frame, labels, raised, stability)


def _weights(found: pd.DataFrame, shown: list[str], n: int) -> tuple[sparse.csr_matrix, npt.NDArray[np.int64]]:
    """TF-IDF of the comments that hold a shown word, and which they are."""
    from sklearn.feature_extraction.text import TfidfTransformer

    place = pd.Index(shown).get_indexer(found["word"])
    kept = place >= 0
    counts = sparse.csr_matrix(
        (np.ones(kept.sum()), (found["comment"].to_numpy()[kept], place[kept])), shape=(n, len(shown))
    )
    rows = np.flatnonzero(np.asarray(counts.sum(axis=1)).ravel() > 0)
    if not len(rows):
        return counts, rows
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts[rows]), rows


def _factors(terms: sparse.csr_matrix, k: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Comments x k and k x words."""
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    model = NMF(k, init="nndsvda", random_state=0, max_iter=400, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fit that is nearly there is good enough for themes
        weight = model.fit_transform(terms)
    return weight, model.components_


def _stability(terms: sparse.csr_matrix, person: np.ndarray, numbers: range) -> dict[int, float]:
    """Mean cosine of the factors of subsamples of people and the whole's matched to them, by number of factors."""
    rng = np.random.default_rng(20260930)
    names = np.unique(person)
    size = int(REDRAWN * min(len(names), ENOUGH))
    subsamples = [np.isin(person, rng.choice(names, size, replace=False)) for _ in range(REDRAWS)]
    result = {}
    for k in numbers:
        whole = _unit(_factors(terms, k)[1])
        like = [whole @ _unit(_factors(terms[some], k)[1]).T for some in subsamples]
        result[k] = float(np.mean([one[linear_sum_assignment(-one)].mean() for one in like]))
    return result


def _unit(factors: np.ndarray) -> np.ndarray:
    return factors / np.maximum(np.linalg.norm(factors, axis=1, keepdims=True), 1e-12)


def _label(factor: np.ndarray, shown: list[str]) -> str:
    """The words that weigh most in a theme."""
    order = np.argsort(-factor, kind="stable")[:LABEL]
    return ", ".join(shown[i] for i in order if factor[i] >= MARKED * factor[order[0]])
