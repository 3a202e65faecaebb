"""What models see: the future or not, padding never, and packed rows as one row per prefix.

Every model of the registry, and every setting of attention that a model of next items can have.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from seqattn.config import POOLINGS, QUERY_SCOPES, SHIFT_INVARIANT
from seqattn.errors import SeqattnError
from seqattn.models import MODELS, PLUGINS, build_model
from seqattn.models.positions import SCHEMES

SMALL = {"max_length": 10, "hidden_size": 8, "inner_size": 8, "n_layers": 2, "n_heads": 2}
N_ITEMS = 20
QUERIES = [
    {"n_queries": 3, "query_pooling": pooling, "query_scope": scope}
    for pooling, scope in product(POOLINGS, QUERY_SCOPES)
]
KERNELS = [{"kernel": kernel} for kernel in ("keys", "values", "both")]
SLIDING = [{"sliding_window": 4}, *({"sliding_window": 4, **kernel} for kernel in KERNELS)]
MEMORY = [{"positions": "transformer-xl", "memory_slots": 3}]


@cache
def model_of(name, **config):
    torch.manual_seed(0)
    model = build_model(name, N_ITEMS, **{**SMALL, **config}).double().eval()
    for parameter in model.parameters():  # far from 0, so that every term counts
        parameter.data += 0.3 * torch.randn(parameter.shape, dtype=torch.double)
    return model


def allowed(config):
    try:
        build_model("sasrec", N_ITEMS, **SMALL, **config)
    except SeqattnError:
        return False
    return True


SETTINGS = [
    *MEMORY,
    *(
        {"positions": scheme, **more}
        for more, scheme in product([{}, *QUERIES, *KERNELS, *SLIDING], SCHEMES)
        if allowed({"positions": scheme, **more})
    ),
]


def rows(seed, lengths):
    generator = torch.Generator().manual_seed(seed)
    items = torch.randint(1, N_ITEMS + 1, (len(lengths), max(lengths)), generator=generator)
    stars = torch.randint(1, 6, items.shape, generator=generator).double()
    padding = torch.arange(items.shape[1]) >= torch.tensor(lengths)[:, None]
    return items.masked_fill(padding, 0), stars.masked_fill(padding, 0)


def test_every_scheme_is_here_with_and_without_what_goes_with_it():
    def schemes(*keys):
        return {s["positions"] for s in SETTINGS if set(s) - {"positions"} == set(keys)}

    assert schemes() == set(SCHEMES) and schemes("sliding_window") == set(SHIFT_INVARIANT)
    assert {"absolute", "none", "alibi"} <= schemes(*QUERIES[0])
    assert {"absolute", "rope", "relative", "transformer-xl"} <= schemes("kernel")


def states(model, items, stars):
    return model(items, stars if model.needs_intensity else None)


@pytest.mark.parametrize("name", sorted(MODELS))
@given(seed=st.integers(0, 10_000), n=st.integers(2, 10), data=st.data())
@settings(max_examples=5, deadline=None)
@torch.no_grad()
def test_auto_encoders_see_the_future_and_auto_regressors_do_not(name, seed, n, data):
    """What comes after a place is changed, to the last item and its intensity."""
    if name in PLUGINS:
        pytest.importorskip("transformers", reason="the extra `hf` is not installed")
    model, place = model_of(name), data.draw(st.integers(0, n - 2))
    items, stars = rows(seed, [n])
    later, later_stars = items.clone(), stars.clone()
    later[:, place + 1 :] = items[:, place + 1 :] % N_ITEMS + 1
    later_stars[:, place + 1 :] += 3
    moved = (states(model, items, stars) - states(model, later, later_stars)).abs()[0].amax(dim=1)
    assert moved[place + 1 :].min() > 1e-8
    assert (moved[: place + 1] > 1e-8).all() == model.looks_both_ways
    assert model.looks_both_ways or moved[: place + 1].max() < 1e-10


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: "-".join(map(str, s.values())))
@given(
    name=st.sampled_from(["sasrec", "ia-add", "ia-mul"]),
    seed=st.integers(0, 10_000),
    lengths=st.lists(st.integers(1, 8), min_size=1, max_size=3),
    more=st.integers(0, 2),
)
@settings(max_examples=3, deadline=None)
@torch.no_grad()
def test_no_setting_leaks_and_padding_changes_nothing(setting, name, seed, lengths, more):
    if "memory_slots" in setting:
        name = "sasrec"  # an injection has no intensity for them
    model, (items, stars) = model_of(name, **setting), rows(seed, lengths)
    hidden = model(items, stars)
    wider = model(*(F.pad(x, (0, more)) for x in (items, stars)))
    later, later_stars = items.clone(), stars.clone()
    for row, n in enumerate(lengths):
        later[row, n - 1] = items[row, n - 1] % N_ITEMS + 1
        later_stars[row, n - 1] += 3
    changed = model(later, later_stars)
    for row, n in enumerate(lengths):
        alone = model(items[row : row + 1, :n], stars[row : row + 1, :n])[0]
        for other in (wider[row, :n], alone):  # among padding and other rows, or by itself
            torch.testing.assert_close(other, hidden[row, :n], rtol=0, atol=1e-10)
        unmoved = changed[row, : n - 1], hidden[row, : n - 1]
        torch.testing.assert_close(*unmoved, rtol=0, atol=1e-10)
        assert (changed[row, n - 1] - hidden[row, n - 1]).abs().max() > 1e-8


def gradients(model, loss):
    found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    used = zip(found, model.parameters(), strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in used])


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: "-".join(map(str, s.values())))
def test_a_packed_rows_gradients_are_those_of_one_row_per_prefix(setting):
    """But for reversed positions, which are counted from a row's end."""
    model, (items, _) = model_of("sasrec", **setting), rows(1, [7])
    targets = items[0, 1:]

    def loss(hidden_ND):
        return F.cross_entropy(model.logits(hidden_ND), targets, reduction="sum")

    packed = gradients(model, loss(model(items)[0, :-1]))
    ends = torch.cat([model.next_item_hidden(items[:, :n]) for n in range(1, 7)])
    by_prefix = gradients(model, loss(ends))
    if setting["positions"] == "reversed":
        assert (packed - by_prefix).abs().max() > 0.01
    else:
        torch.testing.assert_close(packed, by_prefix, rtol=0, atol=1e-9)
