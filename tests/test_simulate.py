"""The simulated organisation is what it says."""

import tomllib

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

import icsat_helpers as ic
from icsat_helpers import organisation as world
from icsat_helpers import simulate
from icsat_helpers.inference import slope


@pytest.fixture(scope="module")
def made():
    return simulate.organisation(seed=1)


def test_the_example_is_the_default_organisation_byte_for_byte(made, tmp_path):
    simulate.write(made, tmp_path)
    for path in sorted(tmp_path.iterdir()):
        assert path.read_bytes() == (ROOT / "data" / "example" / path.name).read_bytes(), path.name
    assert sum(p.stat().st_size for p in (ROOT / "data" / "example").iterdir()) <= 5_000_000


def test_another_seed_is_another_organisation(made):
    other = simulate.organisation(seed=2)
    assert not made.tables["external_ratings"].equals(other.tables["external_ratings"])


def test_it_looks_like_an_organisation(made):
    tables = made.tables
    assert tables["units"]["kind"].value_counts().to_dict() == {
        "internal": 30,
        "supplier": 4,
        "contractor": 3,
        "distributor": 2,
    }
    people = tables["people"]
    leaving = people["left_on"].notna().sum() / 11 / 1100
    assert 0.02 < leaving < 0.04
    rated = tables["service_ratings"].groupby(["period", "person_id"])["provider_unit"].nunique()
    assert rated.between(1, 6).all()
    assert 0.55 < len(rated) / 12 / 1100 < 0.75
    assert tables["external_ratings"].groupby(["period", "unit_id"]).size().between(20, 200).all()
    assert tables["programmes"]["programme"].nunique() == 4
    assert set(tables["service_ratings"]["language"]) == {"en", "fr", "de"}
    again = tables["service_ratings"].duplicated(["period", "person_id", "customer_unit", "provider_unit"])
    assert 0.01 < again.mean() < 0.03


def test_ids_start_with_a_letter_and_have_five_characters(made):
    ids = [*made.tables["units"]["unit_id"], *made.tables["people"]["person_id"]]
    assert all(name[0].isalpha() and len(name) >= 5 for name in ids)


def test_the_files_are_plain(made, tmp_path):
    simulate.write(made, tmp_path)
    settings = tomllib.loads((tmp_path / "study.toml").read_text())
    assert not {"tables", "database"} & set(settings)
    assert not (tmp_path / "unit_scores.csv").exists()
    truth = tomllib.loads((tmp_path / "truth.toml").read_text())
    assert truth["effects"] == pytest.approx(simulate.EFFECTS)
    assert set(truth["estimands"]) >= {"H1", "H2", "H3", "H3.performance", "H4", "H5", "H6", "H7"}


def test_estimands_follow_from_effects():
    found = simulate.estimands(simulate.EFFECTS, 12)
    assert found["H2"] == pytest.approx(0.5)
    assert found["H3"] == pytest.approx(-1.0 - 0.35 * 0.5)
    assert found["H5"] == pytest.approx(0.5 * 3.0)
    # internal_to_external, and what goes through the morale of the period before because satisfaction carries over
    assert 4.0 < found["H1"] < 4.0 + 0.5 * 3.0
    nothing = simulate.estimands(dict.fromkeys(simulate.EFFECTS, 0.0), 12)
    assert all(value == pytest.approx(0, abs=1e-9) for value in nothing.values())


def test_one_point_is_one_point_as_recorded(made):
    """The mean recorded answer of a unit moves as its common score does: slope 1 within 4 SE and .1."""
    from icsat_helpers import organisation as world

    units = world.draw_units(np.random.default_rng(1), 39, 12, simulate.EFFECTS)
    t = np.tile(range(12), 39)
    truth = pd.DataFrame({"unit": np.repeat(units.ids, 12), "t": t, "common": units.common[:, 2:].ravel()})
    study = ic.load(ROOT / "data" / "example")
    recorded = ic.scores.unit_scores(study, "internal")
    recorded["t"] -= recorded["t"].min()
    found = slope(recorded.merge(truth, on=["unit", "t"]), "value", "common", weights="n").estimate
    assert abs(found.value - 1) < min(4 * found.se, 0.1)


@pytest.mark.parametrize(
    ("changes", "words"), [({"units": 1}, "at least 2 units"), ({"effects": {"luck": 1.0}}, "luck")]
)
def test_what_makes_no_organisation_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        simulate.organisation(**changes)


@pytest.mark.parametrize(("units", "people", "periods"), [(2, 4, 1), (4, 40, 2), (6, 60, 3), (80, 900, 4)])
def test_other_sizes_load(tmp_path, units, people, periods):
    simulate.write(simulate.organisation(units=units, people=people, periods=periods, seed=7), tmp_path)
    assert len(ic.load(tmp_path).table("units")) == units


def test_the_variance_shares_are_those_of_the_world():
    """3,900 units: what is drawn has the variances that the shares are made of, within some three standard errors."""
    effects = {**simulate.EFFECTS, "programme_recognition": 0.5}
    what = world.draw_units(np.random.default_rng(1), 3900, 12, effects)
    shares = simulate._shares(what, effects)
    customer = (what.served - what.provider[what.users])[..., -1]
    pair = customer - customer.mean(axis=1, keepdims=True)
    drawn = {
        "provider": what.provider[:, -1].var(),
        "customer": customer.mean(axis=1).var() - pair.var() / 9,
        "relationship": pair.var() * 10 / 9,
    }
    for name, value in drawn.items():
        assert shares[name] / shares["relationship"] == pytest.approx(value / drawn["relationship"], rel=0.08)
