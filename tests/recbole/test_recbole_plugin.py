"""The intensity-aware models under RecBole's own Config, dataset and Trainer."""

from __future__ import annotations

import pytest

pytest.importorskip("recbole.config")

import math
from types import SimpleNamespace

import numpy as np
import torch
import yaml
from recbole.config import configurator
from recbole.data import create_dataset, data_preparation
from recbole.trainer import Trainer
from recbole_logs import padded_batch, recbole_config, recbole_sasrec, stub_dataset, write_log

from seqattn import build_model
from seqattn.config import NORMALISATIONS
from seqattn.data import Interactions, Sequences, leave_one_out, sort_by_time, synthetic_log
from seqattn.errors import SeqattnError
from seqattn.models.intensity import FLOOR
from seqattn.recbole import IASASRecAdd, IASASRecMul, IASASRecVal, from_recbole
from seqattn.recbole.models import FIXED, KEYS
from seqattn.stats.metrics import metric
from seqattn.training.ranking import rank_targets

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:recbole")
PLUGINS = {"ia-add": IASASRecAdd, "ia-mul": IASASRecMul, "ia-val": IASASRecVal}
N_ITEMS, WIDTH = 30, 8
SMALL = {"MAX_ITEM_LIST_LENGTH": WIDTH, "hidden_size": 16, "inner_size": 24, "n_layers": 2}
LAMBDAS = (0.7, -1.3)


def _pair(name: str, lambdas=LAMBDAS, **options):
    """A plug-in model and RecBole's SASRec with the same weights, in float64."""
    theirs = recbole_sasrec(N_ITEMS, 3, **SMALL).double().eval()
    plugin = PLUGINS[name](recbole_config(PLUGINS[name], **SMALL, **options), stub_dataset(N_ITEMS))
    state = dict(from_recbole(theirs).state_dict())
    for layer, lam in enumerate(lambdas):
        state[f"blocks.{layer}.attention.injection.lam"] = torch.tensor(lam, dtype=torch.float64)
    plugin.double().network.load_state_dict(state)
    return plugin.eval(), theirs


def _interaction(seed: int = 0) -> dict[str, torch.Tensor]:
    items, length, intensity = padded_batch(N_ITEMS, [1, WIDTH, 3, 5], WIDTH, seed)
    intensity[2] = torch.where(items[2] > 0, 4.0, 0.0)  # a constant history
    return {
        "item_id_list": items,
        "item_length": length,
        "rating_list": intensity.double(),
        "item_id": torch.tensor([1, 2, 3, 4]),
    }


def _normalised(raw: np.ndarray, mode: str) -> np.ndarray:
    """The published normalisation of one unpadded prefix."""
    if mode == "log1p_minmax":
        return np.log1p(raw) / np.log1p(raw).max()
    if mode == "minmax":
        spread = np.ptp(raw)
        return FLOOR + (1 - FLOOR) * (raw - raw.min()) / spread if spread else np.ones_like(raw)
    if mode == "zscore":
        return (raw - raw.mean()) / raw.std() if np.ptp(raw) else np.zeros_like(raw)
    return raw


def _inject(theirs, name: str, m_BT: torch.Tensor) -> None:
    """Hook equations (2)-(4) into RecBole's own attention; a row's M depends on the key only."""
    for block, lam in zip(theirs.trm_encoder.layer, LAMBDAS, strict=True):
        attention = block.multi_head_attention
        factor_BT1 = (1 + lam * (m_BT - 1))[..., None]
        if name == "ia-add":
            bias = lam * m_BT[:, None, None, :]
            attention.register_forward_pre_hook(lambda _, args, b=bias: (args[0], args[1] + b))
        else:
            scaled = attention.key if name == "ia-mul" else attention.value
            scaled.register_forward_hook(lambda _, args, out, f=factor_BT1: out * f)


@pytest.mark.parametrize("mode", NORMALISATIONS)
@pytest.mark.parametrize("name", PLUGINS)
def test_scores_are_those_of_recboles_sasrec_with_the_published_formula_hooked_in(name, mode):
    plugin, theirs = _pair(name, intensity_norm=mode)
    batch = _interaction()
    m_BT = torch.zeros(4, WIDTH, dtype=torch.float64)
    for row, length in enumerate(batch["item_length"]):
        m_BT[row, :length] = torch.from_numpy(
            _normalised(batch["rating_list"][row, :length].numpy(), mode)
        )
    plain = theirs.full_sort_predict(batch)
    _inject(theirs, name, m_BT)
    expected = theirs.full_sort_predict(batch)
    torch.testing.assert_close(plugin.full_sort_predict(batch), expected, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(expected, plain, rtol=1e-3), "the injection matters"


@pytest.mark.parametrize("name", PLUGINS)
def test_lambda_zero_gives_recboles_sasrec(name):
    plugin, theirs = _pair(name, lambdas=(0.0, 0.0))
    batch = _interaction()
    expected = theirs.full_sort_predict(batch)
    torch.testing.assert_close(plugin.full_sort_predict(batch), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(plugin.calculate_loss(batch), theirs.calculate_loss(batch))
    torch.testing.assert_close(plugin.predict(batch), theirs.predict(batch))


@pytest.mark.parametrize("name", PLUGINS)
def test_scores_are_those_of_the_core_model_with_prefix_scope(name):
    plugin, _ = _pair(name)
    sizes = {"hidden_size": 16, "inner_size": 24, "n_layers": 2, "max_length": WIDTH}
    core = build_model(name, N_ITEMS, **sizes, scope="prefix").double().eval()
    core.load_state_dict(plugin.network.state_dict())
    batch = _interaction(1)
    hidden = core.next_item_hidden(batch["item_id_list"], batch["rating_list"])
    assert torch.equal(plugin.full_sort_predict(batch), core.logits(hidden))


def test_one_seed_gives_the_three_variants_the_same_shared_weights():
    states = []
    for cls in PLUGINS.values():
        torch.manual_seed(0)
        states.append(cls(recbole_config(cls), stub_dataset(N_ITEMS)).state_dict())
    for name, value in states[0].items():
        assert all(torch.equal(value, state[name]) for state in states), name


def test_defaults_are_those_of_recboles_sasrec():
    folder = configurator.__file__.removesuffix("config/configurator.py")
    with open(f"{folder}/properties/model/SASRec.yaml") as file:
        theirs = yaml.safe_load(file)
    theirs["layer_norm_eps"] = float(theirs["layer_norm_eps"])  # YAML reads 1e-12 as text
    ours = {key: default for key, (_, default) in KEYS.items()} | FIXED
    assert {key: ours[key] for key in theirs} == theirs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss_type": "BPR"}, "'loss_type' must be 'CE'"),
        ({"layer_norm_eps": 1e-8}, "'layer_norm_eps' must be 1e-12"),
        ({"initializer_range": 0.1}, "'initializer_range'"),
        ({"hidden_act": "relu"}, "'hidden_act'"),
        ({"hidden_dropout_prob": 1.5}, r"'hidden_dropout_prob' must be in \[0, 1\)"),
        ({"n_layers": 1.5}, "'n_layers' must be int"),
        ({"hidden_size": 10, "n_heads": 4}, "'hidden_size' must be a multiple of n_heads"),
        ({"intensity_norm": "softmax"}, "'intensity_norm' must be one of log1p_minmax"),
        ({"intensity_field": "hours"}, "'intensity_field': 'hours' is not a float column"),
        ({"intensity_field": "user_id"}, "'user_id' is not a float column"),
        ({"normalize_all": True}, "RecBole would rescale 'rating'"),
        ({"normalize_field": ["rating"]}, "RecBole would rescale 'rating'"),
        ({"numerical_features": ["rating"]}, "'numerical_features'"),
        ({"train_neg_sample_args": {"distribution": "uniform"}}, "'train_neg_sample_args'"),
    ],
)
def test_an_unusable_option_is_refused_by_name(options, message):
    with pytest.raises(SeqattnError, match=message):
        IASASRecAdd(recbole_config(IASASRecAdd, **options), stub_dataset(N_ITEMS))


def test_negative_intensities_are_refused():
    dataset = SimpleNamespace(
        **{**vars(stub_dataset(3)), "inter_feat": {"rating": torch.tensor([1.0, -1.0])}}
    )
    with pytest.raises(SeqattnError, match="'rating' has negative values"):
        IASASRecVal(recbole_config(IASASRecVal), dataset)


def _log(path) -> Interactions:
    """A synthetic log with coarse times, so that users have ties, written for RecBole too."""
    frame = synthetic_log().frame.copy()
    frame["timestamp"] = frame["timestamp"].rank(method="dense") // 20
    write_log(path, "tiny", frame)
    return Interactions.from_frame(frame)


@pytest.mark.parametrize("cls", PLUGINS.values())
def test_trains_and_evaluates_under_recbole(cls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # RecBole writes TensorBoard logs to the working folder
    log = _log(tmp_path)
    cutoffs = [5, 10]
    config = recbole_config(
        cls,
        "tiny",
        data_path=str(tmp_path),
        checkpoint_dir=str(tmp_path / "saved"),
        load_col={"inter": ["user_id", "item_id", "hours", "timestamp"]},
        intensity_field="hours",
        metrics=["Recall", "NDCG", "MRR"],
        topk=cutoffs,
        metric_decimal_place=12,
        epochs=2,
        learning_rate=0.01,
        **SMALL,
    )
    torch.manual_seed(0)
    dataset = create_dataset(config)
    train, valid, test = data_preparation(config, dataset)
    model = cls(config, train.dataset).to(config["device"])
    trainer = Trainer(config, model)
    trainer.fit(train, valid)
    losses = list(trainer.train_loss_dict.values())
    assert len(losses) == 2 and all(math.isfinite(loss) for loss in losses)
    assert losses[1] < losses[0]
    assert all(lam != 1.0 for lam in model.network.lambdas), "lambda is trained"

    checkpoint = torch.load(trainer.saved_model_file, weights_only=False)
    model.load_state_dict(checkpoint["state_dict"])
    found = trainer.evaluate(test, load_best_model=False)

    # The same model, on the same log split by ourselves, in RecBole's item ids.
    frame = log.frame.assign(
        item=dataset.token2id("item_id", log.frame["item"].astype(str).to_numpy())
    )
    split = leave_one_out(Sequences.from_interactions(sort_by_time(Interactions.from_frame(frame))))
    ranks = rank_targets(model.network, split, "test")["unfiltered"]
    expected = {
        f"{name.lower()}@{k}": metric(ranks, name, k).mean()
        for name in ("Recall", "NDCG", "MRR")
        for k in cutoffs
    }
    assert dict(found) == pytest.approx(expected, abs=1e-9)
