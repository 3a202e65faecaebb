from __future__ import annotations

from dataclasses import fields
from itertools import product

import numpy as np
import pytest
from wanted import fit_wanted

from seqattn.analysis import lambdas
from seqattn.analysis.attention import attention_maps, load_model
from seqattn.errors import SeqattnError
from seqattn.runs import results
from seqattn.stats import DualCriterion, dual_criterion
from seqattn.stats.metrics import metric
from seqattn.training.ranking import rank_targets

MODELS, SEEDS = ["sasrec", "ia-add"], [1, 2, 3]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, synthetic):
    folder = tmp_path_factory.mktemp("store")
    return fit_wanted(folder, synthetic, product(MODELS, SEEDS), "smoke", workers=1, progress=False)


def test_verdicts_pair_by_seed_and_user_whatever_the_order_of_runs(runs):
    base, variant = (
        np.stack([metric(c.ranks(), "NDCG", 10) for c in runs if c.model == m]) for m in MODELS
    )
    expected = dual_criterion(base, variant)
    for order in (runs, runs[::-1]):
        records = results.verdicts(order).records
        assert records["ia-add", "NDCG", 10] == expected
    assert len(records) == len(results.METRICS) * len(results.CUTOFFS)


def test_verdicts_refuse_unpaired_runs(runs):
    with pytest.raises(SeqattnError, match="needs the same seeds"):
        results.verdicts(runs[1:])
    with pytest.raises(SeqattnError, match="no 'sasrec' runs"):
        results.verdicts([c for c in runs if c.model != "sasrec"])


def test_summary_averages_over_seeds(runs):
    table = results.summary(runs).set_index(["model", "kind", "metric"])
    means = [metric(c.ranks(kind="filtered"), "MRR", 10).mean() for c in runs[:3]]
    row = table.loc["sasrec", "filtered", "MRR@10"]
    assert row["mean"] == pytest.approx(np.mean(means))
    assert row["std"] == pytest.approx(np.std(means, ddof=1))


def test_one_seed_has_no_standard_deviation(runs):
    assert results.summary(runs[:1])["std"].isna().all()


def test_summary_table_shows_deviations_only_where_there_are_several_seeds(runs):
    table = results.summary_table([*runs[3:], runs[0]])
    assert table.index.tolist() == [("ia-add", 3), ("sasrec", 1)]  # as given
    mean = metric(runs[0].ranks(), "NDCG", 10).mean()
    assert table.loc[("sasrec", 1), ("unfiltered", "NDCG@10")] == f"{mean:.4f}"
    several = [metric(c.ranks("test", "filtered"), "MRR", 10).mean() for c in runs[3:]]
    shown = f"{np.mean(several):.4f} ± {np.std(several, ddof=1):.4f}"
    assert table.loc[("ia-add", 3), ("filtered", "MRR@10")] == shown


def test_lambda_table_covers_layers_and_seeds(runs):
    learned = [lam for c in runs if c.model == "ia-add" for lam in c.facts["lambdas"]]
    row = lambdas.table(runs).loc["ia-add"]
    assert row["mean"] == pytest.approx(np.mean(learned))
    assert row["std"] == pytest.approx(np.std(learned, ddof=1))
    assert row["values"] == len(SEEDS) * 2
    assert "sasrec" not in lambdas.table(runs).index


def test_lambda_trajectories_start_at_one(runs):
    frame = lambdas.trajectories(runs)
    assert (frame.loc[frame["epoch"] == 0, "lam"] == 1).all()
    assert frame["epoch"].max() == 2


def test_lambda_sweep_passes_through_the_trained_model_and_restores_it(runs, synthetic):
    run = next(c for c in runs if c.model == "ia-add")
    model = load_model(run, synthetic)
    for block in model.blocks:  # one value in all layers, so that the grid can meet it
        block.attention.injection.lam.data.fill_(0.75)
    ranks = rank_targets(model, synthetic.split, "valid")["unfiltered"]
    values = lambdas.sweep(model, synthetic, [0.0, 0.75, 1.5])
    assert values[1] == metric(ranks, "NDCG", 10).mean()
    assert model.lambdas == [0.75, 0.75]


def test_change_is_relative_to_sasrec_of_the_same_seed(runs):
    frame = lambdas.against_change(runs).set_index("seed")
    base, variant = runs[1], runs[4]
    expected = 100 * (
        metric(variant.ranks(), "NDCG", 10).mean() / metric(base.ranks(), "NDCG", 10).mean() - 1
    )
    assert frame.loc[2, "change"] == pytest.approx(expected)


def test_a_loaded_model_gives_the_stored_ranks(runs, synthetic):
    model = load_model(runs[0], synthetic)
    ranks = rank_targets(model, synthetic.split, "test")
    assert np.array_equal(ranks["filtered"], runs[0].ranks(kind="filtered"))


def test_attention_maps_hold_n_fixed_and_rows_sum_to_one(runs, synthetic):
    maps = attention_maps(load_model(runs[0], synthetic), synthetic, 6, max_users=4)
    assert maps.shape == (4, 2, 2, 6, 6)
    np.testing.assert_allclose(maps.sum(-1), 1, rtol=1e-5)


def test_attention_maps_of_too_long_histories_are_refused(runs, synthetic):
    with pytest.raises(SeqattnError, match="lower n"):
        attention_maps(load_model(runs[0], synthetic), synthetic, 10_000)


def test_gradients_have_a_row_per_layer_of_each_fit_with_a_lambda(runs, synthetic):
    frame = lambdas.loss_gradients(runs, synthetic, max_users=5)
    assert set(frame["model"]) == {"ia-add"} and len(frame) == len(SEEDS) * 2
    run = next(c for c in runs if c.model == "ia-add" and c.seed == 2)
    model = load_model(run, synthetic)
    expected = lambdas.loss_gradient(model, synthetic, run.spec.train_config, 5)
    found = frame[frame["seed"] == 2].sort_values("layer")["gradient"]
    assert found.to_numpy() == pytest.approx(expected)


def record(direction, pooled, clustered, robust=False, robust_clustered=False):
    """Return a record of a comparison with these intervals and verdicts."""
    values = dict.fromkeys((f.name for f in fields(DualCriterion)), 0.0)
    values |= {"direction": direction, "pooled_ci": pooled, "clustered_ci": clustered}
    return DualCriterion(**values | {"robust": robust, "robust_clustered": robust_clustered})


def test_counts_are_of_robust_verdicts_by_rule_and_direction():
    intervals = ((0.0, 1.0), (0.0, 1.0))
    records = {
        ("a", "NDCG", 10): record(1, *intervals, robust=True, robust_clustered=True),
        ("a", "NDCG", 20): record(1, *intervals, robust=True),
        ("b", "NDCG", 10): record(-1, *intervals, robust=True),
        ("b", "NDCG", 20): record(-1, *intervals),
    }
    assert results.Verdicts(records).counts().to_dict("index") == {
        "published rule": {"improvements": 2, "degradations": 1},
        "clustered rule": {"improvements": 1, "degradations": 0},
    }


def test_width_ratios_are_missing_where_no_user_differs():
    records = {
        ("a", "NDCG", 10): record(1, (0.0, 2.0), (-1.0, 2.0)),
        ("b", "NDCG", 10): record(0, (0.0, 0.0), (0.0, 0.0)),
    }
    ratios = results.Verdicts(records).width_ratios()
    assert ratios["a", "NDCG", 10] == 1.5 and np.isnan(ratios["b", "NDCG", 10])
    assert ratios.median() == 1.5
