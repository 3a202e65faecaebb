"""Several seeds at once against `fit`, one by one."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
import pytest
import torch

from seqattn.config import PLACEBO_POSITIONS, replace
from seqattn.errors import SeqattnError
from seqattn.models import MODELS, PLUGINS, Model, SASRec, is_stackable
from seqattn.models.positions import SCHEMES
from seqattn.presets import Preset, get_preset
from seqattn.runs import fitting
from seqattn.runs.fitting import fit_runs_stacked, run_spec
from seqattn.runs.store import Store
from seqattn.training.batches import Gatherer
from seqattn.training.fit import fit, seeded_model, training_plans
from seqattn.training.stacked import Stack, fit_stacked, why_one_by_one

OURS = [name for name in MODELS if name not in PLUGINS]

SMOKE = get_preset("smoke")
STACKABLE = [name for name in OURS if is_stackable(name)]
PLAIN = replace(SMOKE.model, hidden_dropout=0.0, attention_dropout=0.0)
SEEDS = [3, 1, 4]


@pytest.fixture
def float64():
    """New models in float64, where seeds can be followed for many steps."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(autouse=True)
def no_slow_vmap():
    """An operation without a batching rule would loop over seeds: an error here."""
    torch._C._functorch._set_vmap_fallback_enabled(False)
    yield
    torch._C._functorch._set_vmap_fallback_enabled(True)


def _assert_same(stacked, alone):
    assert [e.valid_ndcg for e in stacked.history] == [e.valid_ndcg for e in alone.history]
    assert [e.loss for e in stacked.history] == pytest.approx([e.loss for e in alone.history])
    assert stacked.best_epoch == alone.best_epoch
    assert not stacked.model.training
    for kind, ranks in alone.ranks.items():
        assert np.array_equal(stacked.ranks[kind], ranks)
    # Intensities are float32 whatever the weights are.
    torch.testing.assert_close(
        stacked.model.state_dict(), alone.model.state_dict(), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("name", STACKABLE)
def test_without_dropout_each_seed_learns_what_it_learns_alone(name, synthetic, float64):
    config = replace(SMOKE.train, epochs=2, learning_rate=1e-2)
    stacked = fit_stacked(synthetic, name, SEEDS, PLAIN, config, device="cpu")
    assert list(stacked) == SEEDS
    for seed, fitted in stacked.items():
        _assert_same(fitted, fit(synthetic, name, seed, PLAIN, config))


@pytest.mark.parametrize("windows", [{"stride": 1}, {"windows": "prefix"}])
def test_rows_that_score_only_their_end_are_stacked_too(windows, synthetic, float64):
    config = replace(SMOKE.train, **windows)
    for seed, fitted in fit_stacked(
        synthetic, "sasrec", SEEDS, PLAIN, config, device="cpu"
    ).items():
        _assert_same(fitted, fit(synthetic, "sasrec", seed, PLAIN, config))


@pytest.mark.parametrize("scheme", sorted({*SCHEMES} - {"absolute", *PLACEBO_POSITIONS}))
def test_seeds_are_stacked_under_every_scheme_of_positions(scheme, synthetic, float64):
    model = replace(PLAIN, positions=scheme)
    config = replace(SMOKE.train, epochs=1)
    stacked = fit_stacked(synthetic, "sasrec", SEEDS[:2], model, config, device="cpu")
    for seed, fitted in stacked.items():
        _assert_same(fitted, fit(synthetic, "sasrec", seed, model, config))


def test_the_placebo_of_positions_is_stacked_with_an_order_for_each_seed(synthetic):
    model = replace(PLAIN, positions="shuffled")
    models = [seeded_model(synthetic, "sasrec", 1, model, "cpu") for _ in range(2)]
    for one in models:
        for block in one.blocks:
            block.attention.positions.bias_HN.data.normal_(generator=torch.manual_seed(0))
    assert len(set(_first_losses(models, synthetic))) == 2


def test_seeds_stop_each_at_its_own_time_and_stay_as_they_were(synthetic, float64):
    config = replace(SMOKE.train, epochs=25, patience=2, learning_rate=2e-2)
    stacked = fit_stacked(synthetic, "sasrec", SEEDS, PLAIN, config, device="cpu")
    assert len({len(fitted.history) for fitted in stacked.values()}) > 1
    for seed, fitted in stacked.items():
        _assert_same(fitted, fit(synthetic, "sasrec", seed, PLAIN, config))


def test_each_seed_draws_its_own_dropout(synthetic):
    models = [seeded_model(synthetic, "sasrec", 1, SMOKE.model, "cpu") for _ in range(2)]
    first, second = _first_losses(models, synthetic)
    assert first != second
    models[1].load_state_dict(models[0].state_dict())  # the step has moved them apart
    first, second = _first_losses(models, synthetic, training=False)
    assert first == pytest.approx(second)


def _first_losses(models, dataset, *, training=True):
    stack = Stack(models, Gatherer(dataset.split.train), 1e-3)
    plans = next(training_plans(models[0], dataset, SMOKE.train, "cpu")(np.random.default_rng(1)))
    n_S = np.full(2, sum(len(plan.targets) for plan in plans))
    batches = [stack.batch(i, pair, n_S) for i, pair in enumerate(zip_longest(plans, plans))]
    stack.template.train(training)
    return stack.step(batches).tolist()


def test_a_stacked_fit_leaves_the_callers_random_numbers_alone(synthetic):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    fit_stacked(synthetic, "sasrec", SEEDS, SMOKE.model, SMOKE.train, device="cpu")
    assert torch.equal(torch.rand(2), expected)


def test_on_epoch_sees_every_epoch_of_every_seed(synthetic):
    seen: dict[int, list] = {seed: [] for seed in SEEDS}
    fits = fit_stacked(
        *(synthetic, "ia-add", SEEDS, SMOKE.model, SMOKE.train),
        device="cpu",
        on_epoch=lambda seed, epoch: seen[seed].append(epoch),
    )
    assert seen == {seed: fitted.history for seed, fitted in fits.items()}


def test_a_seed_given_twice_is_refused(synthetic):
    with pytest.raises(SeqattnError, match="must be different"):
        fit_stacked(synthetic, "sasrec", [1, 1], PLAIN, SMOKE.train, device="cpu")


@pytest.mark.parametrize("name", [name for name in OURS if name not in STACKABLE])
def test_models_that_cannot_be_stacked_are_fitted_one_by_one(name, synthetic, tmp_path):
    with pytest.raises(SeqattnError, match=f"'{name}' cannot be stacked"):
        fit_stacked(synthetic, name, SEEDS, PLAIN, SMOKE.train, device="cpu")
    specs = [run_spec(synthetic, name, s, SMOKE) for s in SEEDS[:2]]
    runs = fitting._fit_on_gpu(Store(tmp_path), synthetic, specs, "cpu", print)
    assert [run.seed for run in runs] == SEEDS[:2]


def test_batches_smaller_than_a_window_are_refused(synthetic):
    config = replace(SMOKE.train, batch_targets=PLAIN.max_length - 1)
    with pytest.raises(SeqattnError, match="batch_targets = 9 is below max_length = 10"):
        fit_stacked(synthetic, "sasrec", SEEDS, PLAIN, config, device="cpu")


def test_whole_histories_are_fitted_one_by_one(synthetic, tmp_path):
    config = replace(PLAIN, positions="relative", sliding_window=5, max_length=9)
    train = replace(SMOKE.train, windows="whole")
    with pytest.raises(SeqattnError, match="whole histories differ in shape"):
        fit_stacked(synthetic, "sasrec", SEEDS, config, train, device="cpu")
    specs = [run_spec(synthetic, "sasrec", s, Preset(config, train)) for s in SEEDS]
    runs = fitting._fit_on_gpu(Store(tmp_path), synthetic, specs, "cpu", print)
    assert [run.seed for run in runs] == SEEDS


def test_samples_of_the_last_item_that_seeds_draw_are_fitted_one_by_one(synthetic):
    for share, refused in ((0.0, False), (0.5, True), (1.0, False)):
        train = replace(SMOKE.train, last_item_samples=share)
        assert bool(why_one_by_one(PLAIN, train)) == refused
    with pytest.raises(SeqattnError, match="draws how many last items it hides"):
        train = replace(SMOKE.train, last_item_samples=0.5)
        fit_stacked(synthetic, "bert4rec", SEEDS, PLAIN, train, device="cpu")


def test_losses_that_draw_negatives_are_fitted_one_by_one(synthetic, tmp_path):
    train = replace(SMOKE.train, loss="bpr", n_negatives=1)
    with pytest.raises(SeqattnError, match="loss 'bpr' draws negatives seed by seed"):
        fit_stacked(synthetic, "sasrec", SEEDS, PLAIN, train, device="cpu")
    specs = [run_spec(synthetic, "sasrec", s, Preset(PLAIN, train)) for s in SEEDS]
    runs = fitting._fit_on_gpu(Store(tmp_path), synthetic, specs, "cpu", print)
    assert [run.seed for run in runs] == SEEDS


def test_cells_of_a_stacked_fit_say_so(synthetic, tmp_path):
    specs = [run_spec(synthetic, "ia-val", seed, SMOKE) for seed in SEEDS]
    cells = fit_runs_stacked(Store(tmp_path), synthetic, specs, device="cpu")
    assert [cell.seed for cell in cells] == SEEDS
    assert all(cell.facts["stacked_seeds"] == SEEDS for cell in cells)
    assert all(len(cell.ranks()) == synthetic.n_users for cell in cells)
    weights = [cell.weights()["item_embedding.weight"] for cell in cells]
    assert not torch.equal(weights[0], weights[1])


def test_a_seed_is_kept_as_soon_as_it_has_stopped(synthetic, tmp_path):
    train = replace(SMOKE.train, epochs=40, patience=1, learning_rate=3e-2)
    specs = [run_spec(synthetic, "sasrec", s, Preset(SMOKE.model, train)) for s in range(5)]
    epochs: list[str] = []

    def interrupted(line: str) -> None:
        epochs.append(line)
        if any(Store(tmp_path).get(spec) for spec in specs):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_runs_stacked(Store(tmp_path), synthetic, specs, device="cpu", report=interrupted)
    kept = [run for spec in specs if (run := Store(tmp_path).get(spec))]
    assert 0 < len(kept) < len(specs)
    assert all(len(run.facts["history"]) < 40 for run in kept)


cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@cuda
@pytest.mark.parametrize("name", STACKABLE)
def test_on_cuda_each_seed_learns_what_it_learns_alone_on_the_cpu(name, synthetic):
    config = replace(SMOKE.train, epochs=3)
    stacked = fit_stacked(synthetic, name, SEEDS, PLAIN, config, device="cuda")
    for seed, fitted in stacked.items():
        losses = [epoch.loss for epoch in fitted.history]
        alone = [epoch.loss for epoch in fit(synthetic, name, seed, PLAIN, config).history]
        # Masked batches are drawn bucket by bucket, and a GPU has fewer buckets.
        tolerance = 0.05 if name in ("bert4rec", "local-ae") else 1e-3
        assert losses == pytest.approx(alone, rel=tolerance)


@cuda
def test_on_cuda_seeds_learn_with_dropout_and_differ(synthetic):
    config = replace(SMOKE.train, epochs=8, patience=8, learning_rate=1e-2)
    fits = fit_stacked(synthetic, "ia-mul", SEEDS, SMOKE.model, config, device="cuda").values()
    assert all(f.history[-1].loss < f.history[0].loss for f in fits)
    assert len({f.history[-1].loss for f in fits}) == len(SEEDS)


def test_a_network_without_a_rule_for_stacks_says_what_to_do(synthetic, tmp_path, monkeypatch):
    class Own(SASRec):
        def __init__(self, n_items, config):
            super().__init__(n_items, config)
            self.network = torch.nn.GRU(config.hidden_size, config.hidden_size, batch_first=True)

        def read(self, x_BTD, sight, read_from=0):
            return self.network(x_BTD)[0][:, read_from:]

    monkeypatch.setitem(MODELS, "own", Model(Own, "Own", "#000000"))
    specs = [run_spec(synthetic, "own", seed, SMOKE) for seed in (1, 2)]
    with pytest.raises(
        SeqattnError, match=r"'own' cannot be fitted as one model.*stackable = False"
    ):
        fitting._fit_on_gpu(Store(tmp_path), synthetic, specs, "cpu", print)
