"""A referee's claims: each is judged or says why not, and the kept table is of today's numbers."""

from __future__ import annotations

import math
import sys

import pandas as pd
import pytest

from seqattn.files import ROOT
from seqattn.studies import referee
from seqattn.studies.study import read_study

sys.path.insert(0, str(ROOT / "tools"))

import recomputed
import referee_claims

CLAIM = {"id": "x", "section": "1", "statement": "s", "value": 0.37, "low": -0.02, "high": 0.77}
CLAIM |= {"tolerance": 0.03, "not_run": "", "reason": "another method"}


@pytest.fixture(scope="module")
def kept():
    return read_study("referee").table("claims")


def test_every_claim_has_a_number_of_ours_or_says_why_not():
    claims = referee_claims.read_claims()
    assert claims["id"].is_unique
    computed = claims["id"].isin(list(referee_claims.OURS))
    assert (claims["not_run"].ne("") | computed).all()
    assert set(referee_claims.OURS) <= set(claims["id"])
    assert claims.loc[computed, ["value", "low"]].notna().any(axis=1).all()
    assert claims.loc[computed, "tolerance"].ge(0).all()


@pytest.mark.parametrize(
    ("ours", "agrees"),
    [
        (recomputed.Number(0.38, -0.02, 0.79), "yes"),
        (recomputed.Number(0.41, -0.02, 0.77), "no"),
        (recomputed.Number(0.37, -0.02, 0.81), "no"),
        (recomputed.Number(0.37), "no"),  # an end that ours lacks is no agreement
        (None, "not run"),
    ],
)
def test_a_claim_agrees_if_every_part_is_near(ours, agrees):
    row = referee_claims.judged(CLAIM, ours)
    assert row["agrees"] == agrees
    assert row["reason"] == ("another method" if agrees == "no" else "")


def test_parts_that_the_claim_lacks_are_not_compared():
    claim = CLAIM | {"low": math.nan, "high": math.nan}
    assert referee_claims.judged(claim, recomputed.Number(0.37, -5, 5))["agrees"] == "yes"


def test_the_kept_table_has_the_claims_as_they_are_now(kept):
    claims = referee_claims.read_claims()
    assert list(kept["id"]) == list(claims["id"])
    for name, column in (("value", "theirs"), ("low", "theirs_low"), ("tolerance", "tolerance")):
        pd.testing.assert_series_equal(kept[column], claims[name], check_names=False)
    told = kept["agrees"] == "no"  # the others have none, or why they were not run
    assert kept.loc[told, "reason"].tolist() == claims.loc[told, "reason"].tolist()


def test_a_disagreement_has_a_reason(kept):
    told = kept[kept["agrees"] != "yes"]
    assert told["reason"].notna().all()


# Of the committed tables alone: neither data nor runs are read.
@pytest.mark.parametrize(
    "name",
    [
        *("steam_steps", "length_cells", "paper_length", "herec_lambda", "lastfm_val_valid"),
        *("retest_shared", "width_ml100k", "pool_shared", "units_shared", "ties_herec"),
        *("pop_steam", "tost_own", "both_herec_mul", "users_ml100k_add_own", "movielens_p"),
        *("six_points", "crop_sports", "luck_expected", "coin_ml100k", "without_steam_filtered"),
        *("steam_power", "paper_length_p", "constant_p", "sparsity_row_25", "rank_quick"),
        *("printed_sports", "coins", "cost_herec", "ml1m_error", "quick_spike", "epoch_reach"),
        *("pool_without_val_tau", "office_hours", "trials", "false_lastfm_val", "sampled"),
    ],
)
def test_the_kept_number_is_what_the_tables_give(kept, name):
    ours = referee_claims.OURS[name](recomputed.Facts(()))
    row = kept.set_index("id").loc[name]
    told = [row["ours"], row["ours_low"], row["ours_high"]]
    assert [ours.value, ours.low, ours.high] == pytest.approx(told, nan_ok=True, rel=1e-9)


def test_text_has_the_digits_of_the_claim():
    rows = [
        referee_claims.judged(CLAIM, recomputed.Number(0.384, -0.0225, 0.791)),
        referee_claims.judged(CLAIM | {"value": math.nan, "low": 3, "high": 12}, None),
        referee_claims.judged(
            CLAIM | {"value": 352698, "low": math.nan, "high": math.nan}, recomputed.Number(352698)
        ),
    ]
    told = referee.claims_table(pd.DataFrame(rows))
    assert list(told["theirs"]) == ["0.37 [-0.02, 0.77]", "3 to 12", "352,698"]
    assert list(told["ours"]) == ["0.38 [-0.02, 0.79]", "not run", "352,698"]


def test_each_claim_is_counted_once(kept):
    counts = referee.by_part(kept)
    assert counts.to_numpy().sum() == len(kept)
