"""The study of several searches: components by an oracle, pairs by the criterion, the rule."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from fabricated import keep

from seqattn.errors import SeqattnError
from seqattn.plots.training import changes_by_pair, winners
from seqattn.presets import get_preset
from seqattn.runs.fitting import run_spec
from seqattn.runs.store import Store
from seqattn.stats.variance import between_searches, sd_of_sum
from seqattn.studies import plan, search_luck
from seqattn.studies.study import read_study

STUDY = read_study("search_luck")
SEEDS = (1, 2, 3)


def simulated(rng, n_searches=5, n_seeds=5, n_users=60, search_sd=1.0, seed_sd=0.5):
    shape = n_searches, n_seeds, n_users
    return (
        rng.normal(0, search_sd, (n_searches, 1, 1))
        + rng.normal(0, seed_sd, shape[:2])[..., None]
        + rng.normal(0, 2, n_users)
        + rng.normal(0, 1, (n_searches, 1, n_users))
        + rng.normal(0, 1, shape)
    )


def test_the_search_component_is_unbiased_and_its_interval_covers():
    rng, found = np.random.default_rng(0), []
    for _ in range(400):
        found.append(between_searches(simulated(rng)))
    assert np.mean([each.seed_sd**2 for each in found]) == pytest.approx(0.25, rel=0.1)
    # Cutting negative estimates at 0 hardly matters at this size.
    assert np.mean([each.search_sd**2 for each in found]) == pytest.approx(1, rel=0.1)
    assert 0.93 <= np.mean([each.low <= 1 <= each.high for each in found]) <= 0.98


def test_where_seeds_make_no_difference_none_is_found_on_average():
    """Cut at 0 in each search by itself, the mean would be as large as the noise of one search."""
    rng, of_seeds = np.random.default_rng(1), []
    for _ in range(200):
        values_KSU = rng.normal(0, 1, (8, 1, 1)) + rng.normal(0, 1, (8, 5, 40))
        of_seeds.append(between_searches(values_KSU).seed_sd ** 2)
    alone = 1 / 40 * np.sqrt(2 / 4)  # standard error of one search's estimate
    assert np.mean(of_seeds) < 0.25 * alone  # a mean of eight, cut at 0: 0.4 / sqrt(8) of it


def test_the_components_are_those_of_statsmodels():
    """A balanced layout without a user's part: the nested random-effects model of statsmodels."""
    formula = pytest.importorskip("statsmodels.formula.api")
    rng = np.random.default_rng(3)
    of_searches, of_seeds = rng.normal(0, 1, (8, 1, 1)), rng.normal(0, 0.6, (8, 5, 1))
    values_KSU = of_searches + of_seeds + rng.normal(0, 1, (8, 5, 40))
    k, s, _ = np.indices(values_KSU.shape)
    frame = pd.DataFrame({"y": values_KSU.ravel(), "search": k.ravel(), "seed": s.ravel()})
    parts = {"seed": "0 + C(seed)"}
    model = formula.mixedlm("y ~ 1", frame, groups="search", re_formula="1", vc_formula=parts)
    fit, ours = model.fit(reml=True), between_searches(values_KSU)
    assert ours.search_sd**2 == pytest.approx(fit.cov_re.iloc[0, 0], rel=0.02)
    assert ours.seed_sd**2 == pytest.approx(fit.vcomp[0], rel=0.02)


def test_the_sd_of_two_searches_luck_is_the_formula_by_hand():
    # 9 + 16, less the root of 5 and 7 squared, plus that of 40 and 65 squared.
    sd, ends = sd_of_sum([3, 4], [2, 3], [7, 9])
    assert sd == 5
    assert ends == pytest.approx((np.sqrt(25 - np.sqrt(74)), np.sqrt(25 + np.sqrt(5825))))
    assert sd_of_sum([3], [2], [7])[1] == pytest.approx((2, 7))  # of one part, its own
    assert sd_of_sum([3, 4], [0, 0], [7, 9])[1][0] == 0
    with pytest.raises(SeqattnError, match="shapes"):
        sd_of_sum([3, 4], [0, 0], [7])


@pytest.mark.parametrize("search_sds", [(1, 1), (0.3, 0.3), (0, 1)])
def test_the_interval_of_two_searches_luck_covers_what_satterthwaites_does_not(search_sds):
    rng, true, n = np.random.default_rng(0), np.hypot(*search_sds), 400
    inside, by_chi_square = 0, 0
    for _ in range(n):
        found = [between_searches(simulated(rng, search_sd=sd)) for sd in search_sds]
        parts = np.array([[each.search_sd, each.low, each.high] for each in found])
        sd, (low, high) = sd_of_sum(*parts.T)
        inside += low <= true <= high
        df = 4 * sd**4 / (parts[:, 0] ** 4).sum() if sd else 1
        ends = sd * np.sqrt(df / scipy.stats.chi2.ppf([0.975, 0.025], df))
        by_chi_square += ends[0] <= true <= ends[1]
    assert 0.92 <= inside / n <= 0.98
    if search_sds == (0.3, 0.3):
        assert by_chi_square / n < 0.85


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((3, 4)), "shape"),
        (np.ones((1, 3, 4)), "2"),
        (np.ones((3, 1, 4)), "2"),
        (np.full((3, 3, 4), np.nan), "finite"),
    ],
)
def test_what_has_no_components_is_one_line(values, message):
    with pytest.raises(SeqattnError, match=message):
        between_searches(values)


def searched(tmp_path, synthetic, shift):
    """Groups of two searches, whose second variant is `shift` ranks better, with their runs."""
    rng, groups = np.random.default_rng(0), []
    ranks = rng.integers(5, 40, 600)
    facts = plan.DataFacts("synthetic", synthetic.fingerprint, 1, 600)
    for number, arm in enumerate(STUDY.arms[:2]):
        for model in arm.models:
            preset = get_preset("smoke")
            train = dataclasses.replace(preset.train, learning_rate=1e-3 * (1 + number))
            preset = dataclasses.replace(preset, train=train)
            specs = tuple(run_spec(synthetic, model, seed, preset) for seed in SEEDS)
            better = shift if (number, model) == (1, "ia-add") else 0
            for spec in specs:
                noisy = ranks + rng.integers(-1, 2, 600) - better
                keep(tmp_path, spec, np.maximum(noisy, 1), [])
            groups.append(plan.Group(facts, arm.name, model, specs))
    return plan.read(groups, Store(tmp_path))


def test_a_verdict_that_one_search_changes_depends_on_the_search(tmp_path, synthetic):
    study = dataclasses.replace(STUDY, arms=STUDY.arms[:2], datasets=("synthetic",), seeds=SEEDS)
    for shift, verdict in ((0, "agrees"), (6, "depends on the search")):
        groups = searched(tmp_path / str(shift), synthetic, shift)
        models, pairs = search_luck.by_model(study, groups), search_luck.by_pair(study, groups)
        assert len(pairs) == 4 and list(pairs) == search_luck.PAIR
        told = search_luck.verdicts(study, models, pairs).iloc[0]
        assert told["verdict"] == verdict
        assert told["gain"] == (2 if shift else 0)
        assert (pairs["change"].min(), pairs["change"].max()) == (told["lowest"], told["highest"])
        of = models.set_index("model")["search_sd"]
        expected = 100 * np.hypot(of["sasrec"], of["ia-add"]) / models.loc[0, "mean"]
        assert told["luck_sd"] == pytest.approx(expected)
        assert told["luck_low"] <= told["luck_sd"] <= told["luck_high"]
        changes_by_pair(pairs)
        winners(models.assign(title="Synthetic", arm="search 1", test=models["mean"]))


def test_a_search_that_lacks_a_seed_leaves_the_verdict_open(tmp_path, synthetic):
    study = dataclasses.replace(STUDY, arms=STUDY.arms[:2], datasets=("synthetic",), seeds=SEEDS)
    groups = searched(tmp_path, synthetic, 0)
    groups[0] = dataclasses.replace(groups[0], runs=groups[0].runs[1:])
    models, pairs = search_luck.by_model(study, groups), search_luck.by_pair(study, groups)
    assert models["model"].tolist() == ["ia-add"] and pairs.empty
    assert search_luck.verdicts(study, models, pairs)["verdict"].tolist() == ["not run"]


def test_an_arm_reads_the_searches_and_the_runs_of_its_own_folder():
    first, second, *_ = STUDY.arms
    assert STUDY.searches(first).name == "campaign" and STUDY.searches(second).name == "2021"
    assert [store.path.name for store in STUDY.stores[:3]] == ["fixed", "campaign", "2021"]
    group = next(g for g in plan.wanted(STUDY) if (g.arm, g.model) == (second.name, "ia-add"))
    assert group.lacking == "" or ("--results-dir" in group.lacking and "2021" in group.lacking)
