"""Liked targets and the others, by hand, and the floor of a ranking by popularity."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fabricated import keep

from seqattn.data import load_dataset
from seqattn.presets import get_preset
from seqattn.runs.fitting import run_spec
from seqattn.runs.store import Store
from seqattn.stats.crossed import crossed_interval
from seqattn.stats.metrics import metric
from seqattn.studies import beyond_lambda
from seqattn.studies.plan import DataFacts, Group

SEEDS, SMOKE = (1, 2, 3), get_preset("smoke")


@pytest.fixture
def group(tmp_path, synthetic):
    """Runs with made-up ranks: the variant puts liked targets first, and no other."""
    store, liked_U = Store(tmp_path), beyond_lambda.liked(synthetic)
    specs = {}
    for model in ("sasrec", "ia-add"):
        specs[model] = [run_spec(synthetic, model, seed, SMOKE) for seed in SEEDS]
        for spec in specs[model]:
            ranks_U = np.random.default_rng([spec.seed, len(model)]).integers(1, 30, len(liked_U))
            keep(tmp_path, spec, np.where(liked_U & (model == "ia-add"), 1, ranks_U))
    runs = {model: tuple(map(store.get, mine)) for model, mine in specs.items()}
    facts = DataFacts("synthetic", synthetic.fingerprint, synthetic.n_targets, synthetic.n_users)
    return Group(facts, "real", "ia-add", runs=runs["ia-add"], base=runs["sasrec"])


def study(**more):
    given = {"datasets": ("synthetic",), "seeds": SEEDS, "logs": {}}
    return SimpleNamespace(**given, kept=lambda *_: pd.DataFrame({"dataset": []}), **more)


def test_ratings_are_liked_from_four_stars_and_other_intensities_from_their_median(synthetic):
    minutes_U = synthetic.sequences.intensity[synthetic.split.rows("test")]
    assert beyond_lambda.liked(synthetic).mean() == pytest.approx(0.5, abs=0.02)
    assert (minutes_U[beyond_lambda.liked(synthetic)] > np.median(minutes_U)).all()
    stars = load_dataset("ml-100k") if pytest.importorskip("recbole") else None
    stars_U = stars.sequences.intensity[stars.split.rows("test")]
    assert np.array_equal(beyond_lambda.liked(stars), np.isin(stars_U, (4, 5)))


def test_each_group_is_compared_on_its_own_targets_over_users_and_seeds(group, synthetic):
    (row,) = beyond_lambda.by_liking(study(), [group]).to_dict("records")
    of = beyond_lambda.liked(synthetic)
    base, own = (
        np.stack([metric(run.ranks(), "NDCG", 10) for run in runs])
        for runs in (group.base, group.runs)
    )
    for name, chosen in (("liked", of), ("others", ~of)):
        percent = 100 / base[:, chosen].mean()
        told = crossed_interval((own - base)[:, chosen])
        assert row[f"change_{name}"] == pytest.approx(told.difference * percent)
        ends = [row[f"low_{name}"], row[f"high_{name}"]]
        assert ends == pytest.approx([end * percent for end in told.ci])
    assert row["low_liked"] > 0
    hits = np.stack([metric(run.ranks(), "Recall", 10) for run in group.runs])
    assert row["gap"] == pytest.approx(1 - hits[:, ~of].mean())
    assert abs(row["base_gap"]) < 0.1 < row["gap"]


def test_the_floor_is_that_of_the_most_popular_items(group, synthetic):
    counts = pd.Series(synthetic.split.train.items).value_counts()
    counts = counts.reindex(range(1, synthetic.n_items + 1), fill_value=0)
    targets_U = synthetic.split.targets("test")
    above_U = (counts.to_numpy()[None] > counts.loc[targets_U].to_numpy()[:, None]).sum(axis=1)
    equal_U = (counts.to_numpy()[None] == counts.loc[targets_U].to_numpy()[:, None]).sum(axis=1)
    hits_U = metric(above_U + 1 + (equal_U - 1) // 2, "Recall", 10)  # a tie has the middle place
    of = beyond_lambda.liked(synthetic)
    expected = hits_U[of].mean() - hits_U[~of].mean()
    assert beyond_lambda.by_liking(study(), [group])["popular_gap"].item() == pytest.approx(
        expected
    )


def test_a_log_that_is_not_at_hand_keeps_its_rows_and_few_seeds_have_none(group):
    gone = study()
    gone.datasets, gone.logs = ("gone",), {}
    gone.kept = lambda *_: pd.DataFrame([{"dataset": "gone", "model": "x"}])
    there = Group(DataFacts("gone", "", 1, 1), "real", "ia-add", runs=group.runs, base=group.base)
    assert beyond_lambda.by_liking(gone, [there])["model"].tolist() == ["x"]
    few = Group(group.dataset, "real", "ia-add", runs=group.runs[:2], base=group.base[:2])
    assert beyond_lambda.by_liking(study(), [few]).empty
