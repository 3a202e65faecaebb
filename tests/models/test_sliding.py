"""Whole histories in blocks: against each history as one dense row, gradients included."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention.flex_attention import flex_attention

from seqattn.config import NORMALISATIONS, SHIFT_INVARIANT, TrainConfig, replace
from seqattn.data import Sequences
from seqattn.errors import SeqattnError
from seqattn.models import build_model
from seqattn.models.reference import intensity_matrix
from seqattn.models.sliding import sliding_mask, sliding_signal
from seqattn.presets import get_preset
from seqattn.training.batches import Gatherer
from seqattn.training.fit import batch_loss, training_batches
from seqattn.training.whole import whole_batch, whole_windows

SMALL = {"hidden_size": 8, "inner_size": 8, "n_layers": 2, "n_heads": 2, "sliding_window": 4}
N_ITEMS = 20
SMOKE = get_preset("smoke")
BEYOND = ("ia-add-per-head", "ia-gate", "ia-add-learned", "ia-side-keys", "ia-nova", "ia-dif-sr")
NAMES = ("sasrec", "ia-add", "ia-mul", "ia-val", *BEYOND)


def model_of(name, scheme="relative", **config):
    torch.manual_seed(0)
    settings_ = {**SMALL, "max_length": 7, "positions": scheme, **config}
    model = build_model(name, N_ITEMS, **settings_).double().eval()
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, dtype=torch.double)
    if model.needs_intensity:
        model.tell(torch.arange(1.0, 6.0))
    return model


def histories(lengths, seed=0):
    rng = np.random.default_rng(seed)
    n = sum(lengths)
    return Sequences(
        rng.integers(1, N_ITEMS + 1, n).astype(np.int32),
        rng.integers(1, 6, n).astype(np.float64),
        np.arange(n, dtype=np.float64),
        np.append(0, np.cumsum(lengths)),
        np.arange(len(lengths)),
        np.arange(N_ITEMS),
    )


def tensors(own, row=slice(None)):
    """Return items and intensities of one history, (1, T), in double precision."""
    return torch.tensor(own.items[row])[None], torch.tensor(own.intensity[row])[None].double()


def dense(model, own):
    """Return the outputs of all positions that predict something, one row a history."""
    found = []
    for first, end in zip(own.offsets[:-1], own.offsets[1:], strict=True):
        if end - first > 1:
            row = slice(first, end - 1)
            found.append(model(*tensors(own, row))[0])
    return torch.cat(found)


def in_blocks(model, own):
    gatherer, windows = Gatherer(own), whole_windows(own.offsets)
    gatherer.intensity = gatherer.intensity.double()
    chosen = np.arange(len(windows.start))
    return whole_batch(gatherer, windows, chosen, model.config.sliding_window)


@pytest.mark.parametrize("scheme", SHIFT_INVARIANT)
@pytest.mark.parametrize("name", NAMES)
def test_blocks_are_dense_rows_gradients_too(name, scheme):
    refused = {"shaw": ("ia-val", "ia-side-keys"), "rope": ("ia-nova", "ia-side-keys")}
    if name in refused.get(scheme, ()):
        pytest.skip("refused: both change the same vectors")
    own = histories([1, 9, 2, 14, 4, 5])
    model = model_of(name, scheme)
    batch = in_blocks(model, own)
    hidden = batch.hidden(model)
    torch.testing.assert_close(hidden, dense(model, own), rtol=0, atol=1e-10)

    def gradients(states):
        logits = model.logits(states)
        loss = torch.nn.functional.cross_entropy(logits, batch.targets)
        return torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)

    for ours, theirs in zip(gradients(hidden), gradients(dense(model, own)), strict=True):
        if ours is None:  # absolute positions' table is gone, and nothing else is left out
            assert theirs is None
        else:
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    torch.testing.assert_close(
        batch_loss(model, batch),
        torch.nn.functional.cross_entropy(model.logits(hidden), batch.targets),
    )


@pytest.mark.parametrize("kernel", ["keys", "values", "both"])
def test_blocks_with_a_kernel_are_dense_rows(kernel):
    own, model = histories([3, 12, 1, 7]), model_of("ia-mul", "rope", kernel=kernel, max_length=13)
    torch.testing.assert_close(in_blocks(model, own).hidden(model), dense(model, own))
    items, stars = tensors(histories([20]))
    assert model.config.reach == 13
    ends = [model.next_item_hidden(items[:, -n:], stars[:, -n:]) for n in (20, 13, 12)]
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=1e-12)
    assert (ends[0] - ends[2]).abs().max() > 1e-6


@given(
    lengths=st.lists(st.integers(0, 13), min_size=1, max_size=6).filter(lambda n: max(n) > 1),
    window=st.integers(1, 6),
    name=st.sampled_from(NAMES),
    mode=st.sampled_from(NORMALISATIONS),
)
@settings(max_examples=60, deadline=None)
def test_blocks_are_dense_rows_whatever_the_lengths(lengths, window, name, mode):
    model = model_of(name, sliding_window=window, max_length=99, normalisation=mode)
    own = histories(lengths)
    batch = in_blocks(model, own)
    torch.testing.assert_close(batch.hidden(model), dense(model, own), rtol=0, atol=1e-9)
    followers = [own.items[a + 1 : b] for a, b in zip(own.offsets, own.offsets[1:], strict=False)]
    assert batch.targets.tolist() == np.concatenate(followers).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_no_more_than_the_reach_is_read_and_no_less(name):
    model = model_of(name)  # two layers of 4: 7 interactions
    own = histories([15])
    items, stars = tensors(own)

    def end(n):
        return model.next_item_hidden(items[:, -n:], stars[:, -n:])

    assert model.config.reach == 7
    torch.testing.assert_close(end(7), end(15), rtol=0, atol=1e-12)
    assert (end(6) - end(15)).abs().max() > 1e-4


@given(
    raw=st.lists(st.integers(0, 5), min_size=1, max_size=12),
    window=st.integers(1, 6),
    mode=st.sampled_from(NORMALISATIONS),
)
@settings(max_examples=80, deadline=None)
def test_a_querys_statistics_are_those_of_what_it_sees(raw, window, mode):
    raw_T = torch.tensor(raw, dtype=torch.double)
    w, a, b = sliding_signal(raw_T[None], torch.ones(1, len(raw), dtype=torch.bool), mode, window)
    ours = a[0, :, None] * w[0] + b[0, :, None]
    for q in range(len(raw)):
        seen = slice(max(0, q - window + 1), q + 1)
        expected = intensity_matrix(raw_T[seen], mode)[-1]
        torch.testing.assert_close(ours[q, seen], expected, rtol=0, atol=1e-9)


def test_the_mask_lets_a_query_see_itself_and_what_stands_before():
    assert sliding_mask(4, 4, 2).int().tolist() == [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [0, 1, 1, 0],
        [0, 0, 1, 1],
    ]


def test_an_epoch_of_whole_histories_scores_every_target_once(synthetic):
    config = replace(SMOKE.model, positions="relative", sliding_window=5, max_length=9)
    model = build_model("ia-add", synthetic.n_items, **dataclasses.asdict(config))
    train = replace(SMOKE.train, windows="whole", batch_targets=100)
    epoch = training_batches(model, synthetic, train, "cpu")(np.random.default_rng(0))
    targets = torch.cat([part.targets for parts in epoch for part in parts])
    own = synthetic.split.train
    firsts = own.offsets[:-1][np.diff(own.offsets) > 0]
    expected = np.delete(own.items, firsts)
    assert sorted(targets.tolist()) == sorted(expected.tolist())
    assert len(targets) == synthetic.n_targets


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({}, "windows 'whole' reads a history in one piece, which needs positions that read"),
        (
            {"positions": "rope", "sliding_window": 5},
            "max_length = 8 cuts off what .* raise it to 9, which the layers reach together",
        ),
    ],
)
def test_what_cannot_read_whole_histories_is_refused(model, message, synthetic):
    config = replace(SMOKE.model, max_length=8, **model)
    built = build_model("sasrec", synthetic.n_items, **dataclasses.asdict(config))
    with pytest.raises(SeqattnError, match=message):
        training_batches(built, synthetic, replace(SMOKE.train, windows="whole"), "cpu")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sliding_window": -1}, "'sliding_window' must be at least 1, or 0 for none, not -1"),
        ({"sliding_window": 5}, "'positions' must be one of none, .* under a sliding_window"),
        (
            {"sliding_window": 5, "positions": "rope", "scope": "prefix"},
            "'scope' must be causal under sliding_window",
        ),
    ],
)
def test_a_window_that_cannot_slide_is_refused(values, message):
    with pytest.raises(SeqattnError, match=message):
        replace(SMOKE.model, **values)


def test_windows_are_named_in_the_configuration():
    with pytest.raises(SeqattnError, match="'windows' must be one of packed, prefix, whole"):
        TrainConfig(windows="sliding")


def test_flex_attention_still_has_no_backward_pass_on_a_cpu():
    q = torch.randn(1, 1, 16, 8, requires_grad=True)
    with pytest.raises(NotImplementedError, match="does not support backward on CPU"):
        flex_attention(q, q, q)
