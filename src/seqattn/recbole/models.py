"""SASRec with intensity injected, as RecBole sequential recommenders.

RecBole makes one row per training prefix; intensity is normalised over each row by itself
(``scope="prefix"``), which is what [IA] describes. The network is seqattn's own `SASRec`, under
``model.network``, and its lambdas are ``model.network.lambdas``.

Pass the class itself to RecBole, which finds only its own models by name::

    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.trainer import Trainer
    from recbole.utils import init_seed
    from seqattn.recbole import IASASRecAdd

    config = Config(
        model=IASASRecAdd,
        dataset="my-log",  # reads dataset/my-log/my-log.inter
        config_dict={
            "load_col": {"inter": ["user_id", "item_id", "hours", "timestamp"]},
            "intensity_field": "hours",
            "train_neg_sample_args": None,  # cross-entropy over the whole catalogue
            "normalize_all": False,  # leave intensities raw
            "normalize_field": ["timestamp"],  # see below
        },
    )
    init_seed(config["seed"], config["reproducibility"])
    train, valid, test = data_preparation(config, create_dataset(config))
    model = IASASRecAdd(config, train.dataset).to(config["device"])
    trainer = Trainer(config, model)
    trainer.fit(train, valid)
    checkpoint = torch.load(trainer.saved_model_file, weights_only=False)  # best on validation
    model.load_state_dict(checkpoint["state_dict"])
    print(trainer.evaluate(test, load_best_model=False))

Two RecBole habits matter. It keeps timestamps in float32, where Unix seconds of today are
64 to 128 s apart: without ``normalize_field: [timestamp]`` it sorts much of a history wrongly.
And its own ``evaluate(load_best_model=True)`` fails from PyTorch 2.6 on, hence the explicit load
above; do that only with files you wrote yourself, because a RecBole checkpoint is a pickle.

References
----------
[IA] Shyrallyiev and Pyshnograiev (2026), equations (2)-(4) and section 3.4; RecBole's SASRec
(Zhao et al., 2021), whose config keys and defaults these models take.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from recbole.config import Config
from recbole.data.dataset import SequentialDataset
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import FeatureType, InputType
from torch import Tensor

from seqattn.config import ModelConfig, strict
from seqattn.errors import SeqattnError
from seqattn.models.backbone import SASRec
from seqattn.models.injection import Add, IntensityInjection, Mul, Val

# RecBole's key, our field of ModelConfig, and the default: that of RecBole's SASRec.yaml.
KEYS: dict[str, tuple[str, Any]] = {
    "MAX_ITEM_LIST_LENGTH": ("max_length", 50),
    "n_layers": ("n_layers", 2),
    "n_heads": ("n_heads", 2),
    "hidden_size": ("hidden_size", 64),
    "inner_size": ("inner_size", 256),
    "hidden_dropout_prob": ("hidden_dropout", 0.5),
    "attn_dropout_prob": ("attention_dropout", 0.5),
    "intensity_norm": ("normalisation", "log1p_minmax"),
}
# RecBole's SASRec has these as options; seqattn has one value of each.
FIXED: dict[str, Any] = {
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "initializer_range": 0.02,
    "loss_type": "CE",
}


class IntensityAwareSASRec(SequentialRecommender):
    """Base of the three models; a subclass names its injection.

    Parameters
    ----------
    config : recbole.config.Config
        RecBole's SASRec keys (``n_layers``, ``n_heads``, ``hidden_size``, ``inner_size``,
        ``hidden_dropout_prob``, ``attn_dropout_prob``, ``MAX_ITEM_LIST_LENGTH``), and
        ``intensity_field``, a float column of raw non-negative intensities (default ``rating``),
        and ``intensity_norm`` (default ``log1p_minmax``).
    dataset : recbole.data.dataset.SequentialDataset
        The training data, ``train_data.dataset``.

    Raises
    ------
    SeqattnError
        If a value is not one seqattn knows, the intensity column is absent or altered, or RecBole
        is set to draw negatives; the message names the key.
    """

    input_type = InputType.POINTWISE
    injection: type[IntensityInjection]

    def __init__(self, config: Config, dataset: SequentialDataset) -> None:
        super().__init__(config, dataset)
        _check_fixed(config)
        self.intensity_field = _intensity_field(config, dataset)
        self.intensity_list_field = self.intensity_field + config["LIST_SUFFIX"]
        # RecBole counts the padding item, seqattn does not.
        self.network = SASRec(self.n_items - 1, model_config(config), self.injection)

    def forward(self, interaction: Interaction) -> Tensor:
        """Return the state, (B, D), that predicts what follows each row's history."""
        return self.network.next_item_hidden(
            interaction[self.ITEM_SEQ], interaction[self.intensity_list_field]
        )

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """Return the mean cross-entropy, in nats, of the rows' next items."""
        logits_BV = self.network.logits(self(interaction))
        return F.cross_entropy(logits_BV, interaction[self.POS_ITEM_ID])

    def predict(self, interaction: Interaction) -> Tensor:
        """Return the score of each row's own item, (B,)."""
        item_BD = self.network.item_embedding(interaction[self.ITEM_ID])
        return (self(interaction) * item_BD).sum(dim=1)

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Return the scores of all items, (B, V + 1); column 0 is padding."""
        return self.network.logits(self(interaction))


class IASASRecAdd(IntensityAwareSASRec):
    """Intensity added to the attention logits, [IA] equation (2)."""

    injection = Add


class IASASRecMul(IntensityAwareSASRec):
    """Intensity scaling the attention logits, [IA] equation (3)."""

    injection = Mul


class IASASRecVal(IntensityAwareSASRec):
    """Intensity scaling the attention weights, [IA] equation (4)."""

    injection = Val


def model_config(config: Config) -> ModelConfig:
    """Translate RecBole's configuration; absent keys take the defaults of RecBole's SASRec.

    Raises
    ------
    SeqattnError
        If a value has the wrong type or is out of range; the message names RecBole's key.
    """
    values = {
        field: default if config[key] is None else config[key]
        for key, (field, default) in KEYS.items()
    }
    try:
        return strict(ModelConfig, {**values, "scope": "prefix"})
    except SeqattnError as error:
        message = str(error)
        for key, (field, _) in KEYS.items():
            message = message.replace(repr(field), repr(key))
        raise SeqattnError(f"RecBole config: {message}") from None


def _check_fixed(config: Config) -> None:
    for key, value in FIXED.items():
        if config[key] not in (None, value):
            raise SeqattnError(
                f"RecBole config key {key!r} must be {value!r}, the only value seqattn implements, "
                f"not {config[key]!r}; leave it out"
            )
    if config["train_neg_sample_args"]["distribution"] != "none":
        # RecBole would mix the negatives into the batch as if they were next items.
        raise SeqattnError(
            "RecBole config key 'train_neg_sample_args' asks for negatives, and the loss is over "
            "the whole catalogue; set it to None (YAML: ~)"
        )


def _intensity_field(config: Config, dataset: SequentialDataset) -> str:
    """Return the name of the intensity column, after checking that it arrives raw."""
    field = config["intensity_field"] or "rating"
    if dataset.field2type.get(field) != FeatureType.FLOAT:
        raise SeqattnError(
            f"RecBole config key 'intensity_field': {field!r} is not a float column of the "
            f"dataset; name it '{field}:float' in the .inter file and list it under load_col"
        )
    if config["normalize_all"] or field in (config["normalize_field"] or ()):
        raise SeqattnError(
            f"RecBole would rescale {field!r} before the model sees it; set 'normalize_all' to "
            "False and 'normalize_field' to ['timestamp']"
        )
    if field in (config["numerical_features"] or ()):
        raise SeqattnError(
            f"RecBole config key 'numerical_features' must not list the intensity column {field!r}"
        )
    if float(dataset.inter_feat[field].min()) < 0:
        raise SeqattnError(f"intensity column {field!r} has negative values; correct the data")
    return field
