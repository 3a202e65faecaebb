"""Losses over drawn negatives against the full losses they stand for, and the draw itself."""

from __future__ import annotations

import dataclasses
from functools import partial
from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from seqattn.config import NEGATIVES, TrainConfig, replace
from seqattn.data import Sequences
from seqattn.models import build_model
from seqattn.presets import get_preset
from seqattn.stats.metrics import metric
from seqattn.training.fit import backward, batch_loss, cross_entropy, fit, loss_of, training_batches
from seqattn.training.negatives import (
    SampledLoss,
    bce,
    bpr,
    gbce,
    grouped,
    prior_log_odds,
    sampled_softmax,
)
from seqattn.training.ranking import rank_targets

SMOKE = get_preset("smoke")
LOSSES = {
    "sampled-softmax": {"loss": "sampled-softmax", "n_negatives": 16},
    "sampled-softmax, popularity": {
        "loss": "sampled-softmax",
        "n_negatives": 16,
        "negatives": "popularity",
    },
    "sampled-softmax, batch": {
        "loss": "sampled-softmax",
        "n_negatives": 16,
        "negatives": "batch",
    },
    "gbce": {"loss": "gbce", "n_negatives": 2},
    "gbce, prior": {"loss": "gbce", "n_negatives": 2, "score_offset": "prior"},
    "bce": {"loss": "bce", "n_negatives": 1},
    "bpr": {"loss": "bpr", "n_negatives": 1, "exclude": "history"},
}
N_ITEMS, D = 12, 4
# Item 12 is in the catalogue and in no training history.
HISTORIES = [[1, 2, 3, 1, 1, 4], [5, 6, 2, 7], [8, 9, 10, 11, 1, 2, 3]]


@pytest.fixture
def train() -> Sequences:
    items = np.concatenate(HISTORIES)
    offsets = np.append(0, np.cumsum([len(one) for one in HISTORIES]))
    ids = np.arange(1, N_ITEMS + 1)
    return Sequences(items, None, np.arange(len(items)), offsets, np.arange(len(HISTORIES)), ids)


def slots(train: Sequences, repeats: int = 1) -> tuple[torch.Tensor, ...]:
    """Return states, embeddings, targets and places: each training interaction is a target."""
    generator = torch.Generator().manual_seed(0)
    places = torch.arange(len(train)).repeat(repeats)
    targets = torch.tensor(train.items, dtype=torch.long)[places]
    hidden = torch.randn(len(places), D, dtype=torch.float64, generator=generator)
    weight = torch.randn(N_ITEMS + 1, D, dtype=torch.float64, generator=generator)
    return hidden.requires_grad_(), weight.requires_grad_(), targets, places


def owner(place: int) -> list[int]:
    """Return the history that an interaction is in."""
    ends = np.cumsum([len(one) for one in HISTORIES])
    return HISTORIES[int(np.argmax(ends > place))]


def full_loss(hidden, weight, targets, places, config):
    """Cross-entropy over the target and the items that can be its negative."""
    logits = hidden @ weight.T
    out = torch.ones_like(logits, dtype=torch.bool)
    out[:, 1:] = False
    if config.negatives != "uniform":
        out[:, N_ITEMS] = True
    for n, place in enumerate(places.tolist()):
        if config.exclude == "history":
            out[n, owner(place)] = True
        out[n, targets[n]] = False
    return F.cross_entropy(logits.masked_fill(out, -torch.inf), targets)


@pytest.mark.parametrize("exclude", ["target", "history"])
@pytest.mark.parametrize("negatives", NEGATIVES)
def test_sampled_softmax_tends_to_the_full_loss_and_gradient(negatives, exclude, train):
    inputs = slots(train)
    kinds = {"loss": "sampled-softmax", "negatives": negatives, "exclude": exclude}
    wanted = full_loss(*inputs, TrainConfig(**kinds))
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(wanted, inputs[:2])])
    gaps = []
    torch.manual_seed(0)
    for k in (20, 60_000):
        found = SampledLoss(train, TrainConfig(n_negatives=k, **kinds))(*inputs)
        of_found = torch.cat([g.flatten() for g in torch.autograd.grad(found, inputs[:2])])
        gaps.append(((of_found - gradient).norm() / gradient.norm()).item())
    assert found.item() == pytest.approx(wanted.item(), rel=5e-3)
    assert gaps[1] < 0.02 < gaps[0]


def test_without_the_correction_popular_items_are_pushed_down_more(train):
    """The same draws with every item's chance taken as equal miss the full gradient."""
    inputs = slots(train)
    config = TrainConfig(loss="sampled-softmax", negatives="popularity", n_negatives=60_000)
    loss, wanted = SampledLoss(train, config), full_loss(*inputs, config)
    loss.log_expected = torch.full((N_ITEMS,), float(np.log(60_000 / N_ITEMS)))
    gradient, found = (torch.autograd.grad(x, inputs[1])[0] for x in (wanted, loss(*inputs)))
    assert (found - gradient).norm() > 0.05 * gradient.norm()


def test_with_all_other_items_once_sampled_softmax_is_the_cross_entropy(train):
    hidden, weight, targets, _ = slots(train)
    logits = hidden @ weight[1:].T
    others = torch.tensor([[v for v in range(N_ITEMS) if v != t - 1] for t in targets.tolist()])
    positive, negative = logits.gather(1, targets[:, None] - 1)[:, 0], logits.gather(1, others)
    found = sampled_softmax(positive, negative, torch.zeros_like(negative))
    torch.testing.assert_close(found, F.cross_entropy(logits, targets - 1))


def test_gbce_is_the_logit_transform_of_its_paper():
    """The target's score becomes log(1 / (sigmoid(s)^-beta - 1)), as gSASRec computes it."""
    generator = torch.Generator().manual_seed(1)
    positive = 3 * torch.randn(50, dtype=torch.float64, generator=generator)
    negative = 3 * torch.randn(50, 7, dtype=torch.float64, generator=generator)
    t, n_items = 0.75, 101
    alpha = 7 / (n_items - 1)
    beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha)
    transformed = (1 / (torch.sigmoid(positive) ** -beta - 1)).log()
    logits = torch.cat([transformed[:, None], negative], dim=1)
    truth = torch.zeros_like(logits)
    truth[:, 0] = 1
    expected = F.binary_cross_entropy_with_logits(logits, truth)
    torch.testing.assert_close(gbce(positive, negative, t, n_items), expected)


def test_gbce_stays_finite_where_scores_are_extreme():
    positive = torch.tensor([-300.0, 300.0], requires_grad=True)
    loss = gbce(positive, torch.tensor([[200.0], [-200.0]]), 0.75, 100)
    loss.backward()
    assert loss.isfinite() and positive.grad.isfinite().all()


def test_gbce_without_calibration_is_bce():
    positive, negative = torch.randn(5), torch.randn(5, 3)
    assert torch.equal(gbce(positive, negative, 0.0, 50), bce(positive, negative))
    assert not torch.equal(gbce(positive, negative, 0.5, 50), bce(positive, negative))


@pytest.mark.parametrize("t", [0.0, 0.75, 1.0])
def test_the_optimum_of_gbce_is_as_probable_as_derived(t):
    """One score an item; the loss averaged over every target and every set of K negatives."""
    chance = torch.tensor([0.4, 0.3, 0.15, 0.1, 0.05], dtype=torch.float64)
    v, k = len(chance), 2
    score = torch.zeros(v, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [score],
        max_iter=200,
        tolerance_grad=1e-12,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimiser.zero_grad()
        losses = []
        for item in range(v):
            sets = list(combinations([other for other in range(v) if other != item], k))
            loss = gbce(score[item].expand(len(sets)), score[torch.tensor(sets)], t, v)
            losses.append(chance[item] * loss)
        total = torch.stack(losses).sum()
        total.backward()
        return total

    optimiser.step(closure)
    alpha = k / (v - 1)
    beta = 1 - t * (1 - alpha)
    optimum = beta * chance / (beta * chance + alpha * (1 - chance))
    torch.testing.assert_close(torch.sigmoid(score).detach(), optimum, rtol=1e-5, atol=1e-6)
    if t == 1:
        torch.testing.assert_close(optimum, chance)


@pytest.mark.parametrize(("k", "t"), [(1, 0.0), (1, 0.75), (4, 0.0), (4, 0.75), (9, 1.0)])
def test_the_prior_is_the_best_score_of_items_that_are_all_as_likely(k, t):
    """Found by minimising the loss over one score that all ten items share."""
    v = 10
    score = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([score], max_iter=100, tolerance_grad=1e-12, tolerance_change=0.0)

    def closure():
        optimiser.zero_grad()
        loss = gbce(score.expand(1), score.expand(1, k), t, v)
        loss.backward()
        return loss

    optimiser.step(closure)
    assert prior_log_odds(k, v, t) == pytest.approx(score.item(), abs=1e-5)


@pytest.mark.parametrize("name", ["gbce", "bce"])
def test_a_loss_that_starts_at_its_prior_is_the_loss_of_shifted_scores(name, train):
    """By a last feature of every state and a last one of every item, whose product is the shift."""
    hidden, weight, targets, places = slots(train)
    config = TrainConfig(loss=name, n_negatives=5)
    plain, prior = (
        SampledLoss(train, config),
        SampledLoss(train, replace(config, score_offset="prior")),
    )
    shift = prior_log_odds(5, N_ITEMS, 0.75 if name == "gbce" else 0.0)
    shifted = (
        F.pad(hidden, (0, 1), value=1.0),
        F.pad(weight, (0, 1), value=shift),
        targets,
        places,
    )

    def drawn(loss, *arguments):
        torch.manual_seed(0)
        return loss(*arguments)

    found = drawn(prior, hidden, weight, targets, places)
    torch.testing.assert_close(found, drawn(plain, *shifted))
    assert abs(drawn(plain, hidden, weight, targets, places) - found) > 1e-3


def test_a_new_model_at_the_prior_pushes_all_items_nowhere(train):
    """Scores of 0 everywhere: from 0, gBCE's step moves the states' shared direction; not here."""
    hidden, weight, targets, places = slots(train, repeats=2_000)
    config = TrainConfig(loss="gbce", n_negatives=8)
    pushed = []
    for offset in ("none", "prior"):
        torch.manual_seed(0)
        loss = SampledLoss(train, replace(config, score_offset=offset))
        score = torch.zeros((), dtype=torch.float64, requires_grad=True)
        states = torch.ones_like(hidden[:, :1]) * score  # one feature, every item's is 1
        loss(states, torch.ones_like(weight[:, :1]), targets, places).backward()
        pushed.append(abs(score.grad.item()))
    assert pushed[1] < 0.02 * pushed[0]


def test_the_gradient_of_bpr_is_that_on_paper():
    positive = torch.tensor([0.3, -1.0], dtype=torch.float64, requires_grad=True)
    negative = torch.tensor([[0.1, 2.0], [0.0, -3.0]], dtype=torch.float64, requires_grad=True)
    bpr(positive, negative).backward()
    share = torch.sigmoid(negative - positive[:, None]).detach() / 4  # 2 targets, 2 negatives each
    torch.testing.assert_close(negative.grad, share)
    torch.testing.assert_close(positive.grad, -share.sum(dim=1))


def test_bpr_reads_differences_of_scores_alone_and_bce_does_not():
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    positive, negative, shift = draw(6), draw(6, 3), draw(6)
    moved = positive + shift, negative + shift[:, None]
    torch.testing.assert_close(bpr(*moved), bpr(positive, negative))
    assert abs(bce(*moved) - bce(positive, negative)) > 1e-3


def test_with_two_items_bpr_is_the_cross_entropy():
    scores = torch.randn(8, 2, dtype=torch.float64)
    expected = F.cross_entropy(scores, torch.zeros(8, dtype=torch.long))
    torch.testing.assert_close(bpr(scores[:, 0], scores[:, 1:]), expected)


# The draw ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_items_are_drawn_as_often_as_they_should_be(negatives, train):
    config = TrainConfig(loss="bce", n_negatives=40, negatives=negatives)
    torch.manual_seed(0)
    targets = torch.tensor(train.items, dtype=torch.long)
    drawn = SampledLoss(train, config).draw(500, targets).numpy()
    assert drawn.shape == (500, 40) and drawn.min() >= 1 and drawn.max() <= N_ITEMS
    count = np.bincount(train.items, minlength=N_ITEMS + 1)[1:]
    weight = count ** {"uniform": 0.0, "popularity": 0.75, "batch": 1.0}[negatives]
    weight[N_ITEMS - 1] = negatives == "uniform"  # without a training interaction
    found = np.bincount(drawn.ravel(), minlength=N_ITEMS + 1)[1:]
    never = weight == 0
    assert never.any() == (negatives != "uniform") and not found[never].any()
    expected = weight / weight.sum() * drawn.size
    assert stats.chisquare(found[~never], expected[~never]).pvalue > 1e-3


def test_draws_follow_from_pytorchs_seed(train):
    loss = SampledLoss(train, TrainConfig(loss="bce"))
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(loss.draw(3, torch.ones(1, dtype=torch.long)))
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize(("n", "k", "shape"), [(10, 1, (10, 1)), (10, 4, (3, 4)), (3, 8, (1, 8))])
def test_targets_share_negatives_in_groups_no_larger_than_their_number(n, k, shape, train):
    drawn = []
    loss = SampledLoss(train, TrainConfig(loss="bce", n_negatives=k))
    draw = loss.draw
    loss.draw = lambda *step: drawn.append(draw(*step)) or drawn[-1]
    loss(*(x[:n] if i != 1 else x for i, x in enumerate(slots(train))))
    assert drawn[0].shape == shape
    assert grouped(torch.arange(n), shape[0]).shape[1] <= k


@pytest.mark.parametrize("k", [1, 3, 5, 40])
@pytest.mark.parametrize("name", ["sampled-softmax", "gbce", "bce", "bpr"])
def test_a_loss_in_groups_is_that_of_its_targets_one_by_one(name, k, train):
    hidden, weight, targets, places = slots(train)
    loss = SampledLoss(train, TrainConfig(loss=name, n_negatives=k, exclude="history"))
    n_groups = -(-len(targets) // k)
    size = -(-len(targets) // n_groups)
    codes = loss.draw(n_groups, targets)
    loss.draw = lambda *step: codes
    each = []
    for n, place in enumerate(places.tolist()):
        mine = codes[n // size]
        positive = hidden[n] @ weight[targets[n]]
        negative = (weight[mine] @ hidden[n]).clone()
        negative[torch.tensor(np.isin(mine, owner(place)))] = -torch.inf
        scores = positive[None], negative[None]
        each.append(
            {
                "sampled-softmax": lambda *s, codes=mine: sampled_softmax(
                    *s, torch.full_like(s[1], float(np.log(k / N_ITEMS)))
                ),
                "gbce": lambda *s: gbce(*s, 0.75, N_ITEMS),
                "bce": bce,
                "bpr": bpr,
            }[name](*scores)
        )
    wanted = torch.stack(each).mean()
    found = loss(hidden, weight, targets, places)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        torch.autograd.grad(found, (hidden, weight)),
        torch.autograd.grad(wanted, (hidden, weight)),
        rtol=1e-6,
        atol=1e-6,
    )


@pytest.mark.parametrize("name", ["sampled-softmax", "gbce", "bce", "bpr"])
@pytest.mark.parametrize("exclude", ["target", "history"])
def test_what_is_excluded_is_never_a_negative(exclude, name, train):
    """One target at a time: the gradient of every embedding that it may not push down is 0."""
    hidden, weight, targets, places = slots(train)
    loss = SampledLoss(train, TrainConfig(loss=name, exclude=exclude, n_negatives=200))
    torch.manual_seed(0)
    for n in range(len(targets)):
        one = slice(n, n + 1)
        found = loss(hidden[one], weight, targets[one], places[one])
        (gradient,) = torch.autograd.grad(found, weight)
        pushed = set(gradient.abs().sum(dim=1).nonzero().flatten().tolist())
        target = int(targets[n])
        spared = set(owner(n)) if exclude == "history" else {target}
        assert pushed == set(range(1, N_ITEMS + 1)) - spared | {target}  # 0, padding, never


def test_a_target_without_any_negative_left_teaches_nothing_wrong(train):
    hidden, weight, targets, places = slots(train)
    for name in ("sampled-softmax", "gbce", "bce", "bpr"):
        loss = SampledLoss(train, TrainConfig(loss=name, n_negatives=2))
        loss.draw = lambda n_groups, _: targets[:1].expand(n_groups, 2)
        found = loss(hidden[:1], weight, targets[:1], places[:1])
        gradients = torch.autograd.grad(found, (hidden, weight))
        assert all(gradient.isfinite().all() for gradient in gradients)


WINDOWS = {
    "packed": ("sasrec", SMOKE.model, {}),
    "prefix": ("sasrec", SMOKE.model, {"windows": "prefix"}),
    "whole": (
        "sasrec",
        replace(SMOKE.model, positions="relative", sliding_window=5, max_length=9),
        {"windows": "whole"},
    ),
    "masked items": ("bert4rec", SMOKE.model, {}),
}


@pytest.mark.parametrize("kind", WINDOWS)
def test_every_kind_of_batch_knows_whose_history_a_target_is_in(kind, synthetic):
    name, model_config, windows = WINDOWS[kind]
    train = replace(SMOKE.train, loss="bpr", exclude="history", **windows)
    model = build_model(name, synthetic.n_items, **dataclasses.asdict(model_config))
    sequences, loss = synthetic.split.train, loss_of(synthetic, train, "cpu")
    codes = torch.arange(1, synthetic.n_items + 1)[None]
    seen = 0
    batches = training_batches(model, synthetic, train, "cpu")(np.random.default_rng(0))
    for part in (part for parts in batches for part in parts):
        assert sequences.items[part.places].tolist() == part.targets.tolist()
        excluded = loss.excluded(codes, part.targets[None], part.places)[0]
        for place, row in zip(part.places.tolist(), excluded.tolist(), strict=True):
            user = sequences.user_of_row[place]
            history = sequences.items[sequences.offsets[user] : sequences.offsets[user + 1]]
            assert {code for code, out in enumerate(row, 1) if out} == set(history.tolist())
        seen += len(part.targets)
        if kind in ("packed", "prefix"):  # what a row reads is in its user's history
            read = part.items_BT[part.rows].clamp(min=1) - 1
            assert excluded.gather(1, read)[part.items_BT[part.rows] > 0].all()
    assert seen > 0


# Whole fits -------------------------------------------------------------------------------------


class Stopped(Exception):
    pass


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", ["sasrec", "bert4rec"])
def test_a_fit_with_each_loss_is_deterministic(name, loss, synthetic):
    config = replace(SMOKE.train, **LOSSES[loss])
    first, second = (fit(synthetic, name, 1, SMOKE.model, config) for _ in range(2))
    assert [e.loss for e in first.history] == [e.loss for e in second.history]
    assert np.array_equal(first.ranks["test_unfiltered"], second.ranks["test_unfiltered"])


@pytest.mark.parametrize("loss", LOSSES)
def test_a_fit_with_each_loss_learns(loss, synthetic):
    more = {"epochs": 18, "patience": 18, "learning_rate": 1e-2, "batch_targets": 64}
    torch.manual_seed(1)
    untrained = build_model("sasrec", synthetic.n_items, **dataclasses.asdict(SMOKE.model)).eval()
    before = rank_targets(untrained, synthetic.split, "valid")["unfiltered"]

    def on_epoch(epoch):  # that it has learned is enough: the epochs left would show no more
        if epoch.valid_ndcg > 2 * metric(before, "NDCG", 10).mean():
            raise Stopped

    with pytest.raises(Stopped):
        train = replace(SMOKE.train, **more, **LOSSES[loss])
        fit(synthetic, "sasrec", 1, SMOKE.model, train, on_epoch=on_epoch)


@pytest.mark.parametrize("exclude", ["target", "history"])
@pytest.mark.parametrize("loss", ["sampled-softmax", "gbce", "bce", "bpr"])
@pytest.mark.parametrize("name", ["sasrec", "bert4rec", "causal-masked", "local-ae", "local-ar"])
def test_each_loss_falls_on_one_batch_of_ae_as_of_ar(name, loss, exclude, synthetic):
    """With one rule for negatives: an item that a target may not have is never pushed down."""
    config = replace(SMOKE.train, loss=loss, n_negatives=4, exclude=exclude)
    torch.manual_seed(0)
    model = build_model(name, synthetic.n_items, **dataclasses.asdict(SMOKE.model)).eval()
    sampled = loss_of(synthetic, config, "cpu")
    parts = next(training_batches(model, synthetic, config, "cpu")(np.random.default_rng(0)))
    optimiser, losses = torch.optim.Adam(model.parameters(), 1e-2), []
    for _ in range(20):
        optimiser.zero_grad()
        total, n = backward(model, parts, sampled)
        optimiser.step()
        losses.append(float(total) / n)
    assert np.mean(losses[-5:]) < np.mean(losses[:2])


class Memory:
    """Keeps a fit's last state, and stops the fit after an epoch."""

    def __init__(self, stop_after: int) -> None:
        self.state, self.saved, self.stop_after = None, 0, stop_after

    def load(self):
        return self.state

    def save(self, capture):
        self.state, self.saved = capture(), self.saved + 1
        if self.saved == self.stop_after:
            raise Stopped


@pytest.mark.parametrize("loss", ["sampled-softmax, popularity", "bpr"])
def test_a_stopped_fit_goes_on_to_the_same_bits(loss, synthetic):
    config = replace(SMOKE.train, epochs=3, **LOSSES[loss])
    whole = fit(synthetic, "sasrec", 1, SMOKE.model, config)
    memory = Memory(stop_after=1)
    with pytest.raises(Stopped):
        fit(synthetic, "sasrec", 1, SMOKE.model, config, keeper=memory)
    resumed = fit(synthetic, "sasrec", 1, SMOKE.model, config, keeper=memory)
    assert [e.loss for e in resumed.history] == [e.loss for e in whole.history]
    for key, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[key], value)


def test_the_full_loss_is_left_as_it_was(synthetic):
    assert loss_of(synthetic, SMOKE.train, "cpu") is cross_entropy
    model = build_model("sasrec", synthetic.n_items, **dataclasses.asdict(SMOKE.model)).eval()
    parts = next(training_batches(model, synthetic, SMOKE.train, "cpu")(np.random.default_rng(0)))
    logits = [model.logits(part.hidden(model)) for part in parts]
    expected = sum(
        F.cross_entropy(scores, part.targets, reduction="sum")
        for scores, part in zip(logits, parts, strict=True)
    )
    torch.testing.assert_close(backward(model, parts)[0], expected.detach())


def test_a_batchs_loss_is_the_sampled_one_where_there_is_one(synthetic):
    model = build_model("sasrec", synthetic.n_items, **dataclasses.asdict(SMOKE.model)).eval()
    (part, *_) = next(
        training_batches(model, synthetic, SMOKE.train, "cpu")(np.random.default_rng(0))
    )
    sampled = loss_of(synthetic, replace(SMOKE.train, loss="bpr"), "cpu")
    torch.manual_seed(0)
    found = batch_loss(model, part, sampled)
    torch.manual_seed(0)
    arguments = model.item_embedding.weight, part.targets, part.places
    assert torch.equal(found, sampled(part.hidden(model), *arguments))
