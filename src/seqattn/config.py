"""Every setting of a run, its defaults and limits; unknown keys and wrong types are refused."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from seqattn.errors import SeqattnError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

NORMALISATIONS = ("log1p_minmax", "minmax", "zscore", "none")
SCOPES = ("causal", "prefix")
# Those that are added to the input, where an interaction's vector depends on the window it is read
# in, and those that read distances alone.
INPUT_POSITIONS = ("absolute", "reversed")
SHIFT_INVARIANT = ("none", "relative", "t5", "alibi", "rope", "shaw", "transformer-xl")
TWO_SIDED = ("transformer-xl",)  # of these, what a model that looks both ways can read as well
PLACEBO_POSITIONS = ("shuffled",)  # the weights of a scheme without what they tell
POOLINGS = ("current", "all", "mean")
QUERY_SCOPES = ("current", "own")
LOSSES = ("ce", "sampled-softmax", "gbce", "bce", "bpr")
NEGATIVES = ("uniform", "popularity", "batch")
EXCLUDED = ("target", "history")
MASKED_ONLY = ("mask_probability", "last_item_samples")  # fields that other objectives ignore
PLACEBOS = ("constant", "within", "across")
BY_ITEM = "items"  # no placebo: it tells the item, and not the person

T = TypeVar("T", bound="DataclassInstance")


def _words(*known: str) -> Any:
    """Return a field that is one of a few words, of which the first is usual."""
    return dataclasses.field(default=known[0], metadata={"words": known})


@dataclass(frozen=True)
class ModelConfig:
    """The backbone and, for the intensity-aware models, how intensity is normalised.

    Defaults are the sizes of RecBole's SASRec, on which [IA] is built, with less dropout.

    Parameters
    ----------
    max_length : int
        Interactions that the model reads (L).
    hidden_size, inner_size : int
        Widths of the model and of its feed-forward layers, in features.
    n_layers, n_heads : int
        Numbers of blocks and of heads in each.
    hidden_dropout, attention_dropout : float
        Probabilities.
    normalisation, scope : str
        Of intensity: one of `NORMALISATIONS`, over the positions that one of `SCOPES` says.
    positions : str
        A scheme of `seqattn.models.positions.SCHEMES`.
    sliding_window : int
        Interactions that a query sees, its own among them, of which the layers together reach
        `reach`; 0: all that are read.
    memory_slots : int
        Zeros that Transformer-XL's positions let a query look at before its history.
    kernel : str
        What `seqattn.models.kernels.PositionalKernel` filters.
    n_queries : int
        Queries that a position asks with, see `seqattn.models.queries.SeveralQueries`.
    query_pooling, query_scope : str
        How these are pooled and what each sees, see there.
    head : str
        ``tied`` scores items by their embeddings as they are; ``transform`` puts BERT4Rec's own
        output layer behind the blocks, see `seqattn.models.heads.TransformHead`.
    local_window : int
        w: how many interactions far the local heads of ``local-ae`` and ``local-ar`` look; -1: as
        far as any.
    locality : str
        ``mixed`` makes the first head of those local and leaves the others as they are, ``pure``
        makes all of them local.
    user_share : float
        Share of the width that a user's vector has in ``sse-pt-ar`` and ``sse-pt-ae``; 0: none.
    sse_user, sse_item : float
        Probabilities with which these replace a user and an item in training; the usual ones are
        those published for ML-1M.
    sse_evaluation : bool
        Whether they do so in evaluation as well, see `seqattn.models.users`.
    """

    max_length: int = 50
    hidden_size: int = 64
    inner_size: int = 256
    n_layers: int = 2
    n_heads: int = 2
    hidden_dropout: float = 0.2
    attention_dropout: float = 0.2
    normalisation: str = _words(*NORMALISATIONS)
    scope: str = _words(*SCOPES)
    positions: str = _words(*INPUT_POSITIONS, *SHIFT_INVARIANT, *PLACEBO_POSITIONS)
    sliding_window: int = 0
    memory_slots: int = 0
    kernel: str = _words("none", "keys", "values", "both")
    n_queries: int = 1
    query_pooling: str = _words(*POOLINGS)
    query_scope: str = _words(*QUERY_SCOPES)
    head: str = _words("tied", "transform")
    local_window: int = 2
    locality: str = _words("mixed", "pure")
    user_share: float = 0.5
    sse_user: float = 0.92
    sse_item: float = 0.1
    sse_evaluation: bool = False

    @property
    def reach(self) -> int:
        """How many interactions an output depends on, its own among them, however many are read."""
        if not self.sliding_window:
            return self.max_length
        steps = self.n_layers * (1 if self.kernel == "none" else 2)  # a filter looks back as well
        return steps * (self.sliding_window - 1) + 1

    @property
    def changed_attention(self) -> list[str]:
        """The fields that make attention another than SASRec's."""
        return _changed(self, ATTENTION)

    def __post_init__(self) -> None:
        _require_types_and_words(self)
        require, window = functools.partial(_require, self), self.sliding_window
        for name in ("max_length", "hidden_size", "inner_size", "n_layers", "n_heads", "n_queries"):
            require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("hidden_dropout", "attention_dropout", "user_share"):
            require(name, 0 <= getattr(self, name) < 1, "in [0, 1)")
        for name in ("sse_user", "sse_item"):
            require(name, 0 <= getattr(self, name) <= 1, "in [0, 1]")
        told = f"less, so that items have one of the {self.hidden_size} features"
        require("user_share", round(self.user_share * self.hidden_size) < self.hidden_size, told)
        whole = self.hidden_size % self.n_heads == 0
        require("hidden_size", whole, f"a multiple of n_heads = {self.n_heads}")
        usual = (self.query_pooling, self.query_scope) == (POOLINGS[0], QUERY_SCOPES[0])
        told = "at least 2 where query_pooling or query_scope is set"
        require("n_queries", self.n_queries > 1 or usual, told)
        require("local_window", self.local_window >= -1, "at least 0, or -1 for all")
        require("n_queries", not window or self.n_queries == 1, "1 under a sliding_window")
        require("sliding_window", window >= 0, "at least 1, or 0 for none")
        told = f"one of {', '.join(SHIFT_INVARIANT)} under a sliding_window"
        require("positions", not window or self.positions in SHIFT_INVARIANT, told)
        slots, told = self.memory_slots, "at least 0, and 0 under a sliding_window"
        require("memory_slots", slots >= 0 and not (slots and window), told)
        told = "transformer-xl with memory_slots"
        require("positions", not slots or self.positions == "transformer-xl", told)
        require("scope", not window or self.scope == "causal", "causal under sliding_window")


@dataclass(frozen=True)
class TrainConfig:
    """How a model is fitted.

    A field that the chosen loss does not read is refused where it is changed.

    Parameters
    ----------
    learning_rate : float
        Of Adam.
    batch_targets : int
        Targets of a step, not rows; of masked items those that may be hidden, of which a step hides
        a share of `mask_probability`.
    epochs, patience : int
        The most epochs, and after how many without progress on validation a fit ends.
    windows : str
        ``packed`` scores every target of a history once an epoch: a history of up to `max_length`
        items is one window, and a longer one is cut. ``prefix`` gives every target its own row, as
        RecBole does, and is the slow reference. ``whole`` reads each history once, in one piece,
        which needs a model with a `sliding_window`. A model that looks both ways and predicts next
        items takes a row for every target, whatever this says: in any other kind of row it would
        read its targets.
    stride : int
        How far ``packed`` windows advance: the smaller, the nearer a window's end late targets are
        scored, where evaluation reads them, and the more windows there are (1: each late target has
        its own; page "Performance").
    mask_probability : float
        Share of items that are hidden; of the masked-item objective only.
    last_item_samples : float
        The chance that an epoch gives a history, beside its windows with random masks, one row
        more, in which the last item alone is hidden: what a masked-item model is asked to do when
        it predicts. BERT4Rec's own samples are ten duplicates of each history with random masks and
        one with its last item hidden: 0.1, one sample in eleven. With 1 it is one in two for a
        history of one window, as RecBole's default has it. Each such row has one target, and a row
        with random masks has many, so their share of the loss is smaller: 1 target in
        1 + 10 n p at 0.1, for n items and a `mask_probability` of p. The default, 0, is what runs
        had that were kept before there was a choice; presets set 0.1, but for ``smoke`` and
        ``fixed-relative``.
    pretrain_epochs : int
        How long a model of next items is first trained on masked items, with the same settings
        (`seqattn.training.pretraining`).
    loss : str
        ``ce`` is the cross-entropy over all items; the others draw negatives, see
        `seqattn.training.negatives`.
    n_negatives : int
        Items that those draw for each target.
    negatives : str
        How they are drawn: ``uniform``; ``popularity``, in proportion to an item's count among the
        training interactions to the power 0.75; or ``batch``, from the targets of the same step, of
        those that are computed together (a large step goes in parts of similar length).
    exclude : str
        What is never a negative of a target: the ``target`` itself, or all of the user's training
        ``history``.
    calibration : float
        t, of gBCE alone, which takes uniform negatives.
    score_offset : str
        ``prior`` lets the binary losses start where a guess would stand, see
        `seqattn.training.negatives.prior_log_odds`.
    intensity : str
        Which intensities a model reads, in training and evaluation: the ``real`` ones, a placebo of
        `seqattn.data.intensities`, or ``planted`` ones, see `seqattn.data.planted`.
    planted_p : float
        What planted ones tell of the items to come (0 nothing, 1 everything).
    planted_tail : float
        The standard deviation of their logarithm.
    planted_popularity : float
        How they follow an item's popularity, from -1 to 1.
    planted_next : bool
        Whether they tell of the very next item alone.
    kept_intensity : float
        The probability with which each intensity keeps its place under the placebo ``across``.
    lambda_start : float
        Where the lambda of every layer starts.
    lambda_rate : float
        Its learning rate, that of the rest = 1; 0 holds it where it starts.
    lambda_decay : float
        Each step takes it towards 0 by the share learning rate x this of itself.
    confidence : float
        alpha: a target is weighed by ``1 + alpha r``, r its raw intensity, over the mean of all.
        This and the next three use intensity in the loss alone, with any model of next items
        (`seqattn.training.targets`); histories stay whole, and validation and test ask for all
        targets as before.
    least_target, least_quantile : float
        Only targets of at least that intensity, or at or above that quantile of the training log's
        intensities, are scored.
    contrast : float
        Weight of a second loss beside one of these two: a target against the weaker items of its
        user alone.
    """

    learning_rate: float = 1e-3
    batch_targets: int = 2048
    epochs: int = 50
    patience: int = 5
    windows: str = _words("packed", "prefix", "whole")
    stride: int = 10
    mask_probability: float = 0.2
    last_item_samples: float = 0.0
    pretrain_epochs: int = 0
    loss: str = _words(*LOSSES)
    n_negatives: int = 256
    negatives: str = _words(*NEGATIVES)
    exclude: str = _words(*EXCLUDED)
    calibration: float = 0.75
    score_offset: str = _words("none", "prior")
    intensity: str = _words("real", *PLACEBOS, BY_ITEM, "planted")
    planted_p: float = 1.0
    planted_tail: float = 2.0
    planted_popularity: float = 0.0
    planted_next: bool = False
    kept_intensity: float = 0.0
    lambda_start: float = 1.0
    lambda_rate: float = 1.0
    lambda_decay: float = 0.0
    confidence: float = 0.0
    least_target: float = 0.0
    least_quantile: float = 0.0
    contrast: float = 0.0

    @property
    def changed_targets(self) -> list[str]:
        """The fields that make targets count by their intensity."""
        return _changed(self, TARGETS)

    @property
    def changed_lambda(self) -> list[str]:
        """The fields that make lambda train another way than the published variants'."""
        return _changed(self, LAMBDA)

    def __post_init__(self) -> None:
        _require_types_and_words(self)
        require, kept = functools.partial(_require, self), self.kept_intensity
        require("learning_rate", self.learning_rate > 0, "positive")
        for name in ("batch_targets", "epochs", "patience", "stride", "n_negatives"):
            require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("last_item_samples", "calibration"):
            require(name, 0 <= getattr(self, name) <= 1, "in [0, 1]")
        require("mask_probability", 0 < self.mask_probability < 1, "in (0, 1)")
        require("pretrain_epochs", self.pretrain_epochs >= 0, "at least 0")
        told = "0 under windows 'whole': a masked item is read from both sides"
        require("pretrain_epochs", not self.pretrain_epochs or self.windows != "whole", told)
        self._check_planted()
        require("kept_intensity", 0 <= kept < 1, "in [0, 1)")
        told = "left out without intensity 'across'"
        require("kept_intensity", not kept or self.intensity == "across", told)
        require("lambda_start", abs(self.lambda_start) <= 100, "in [-100, 100]")
        for name in ("lambda_rate", "lambda_decay"):
            require(name, 0 <= getattr(self, name) < 1e6, "in [0, 1e6)")
        self._check_target_fields()
        unread = {"ce": tuple(LOSS)[1:], "gbce": (), "bce": ("calibration",)}.get(
            self.loss, ("calibration", "score_offset")
        )
        told = f"left out with loss {self.loss!r}, which does not read it"
        for name in unread:
            require(name, getattr(self, name) == LOSS[name], told)
        told = "uniform with loss 'gbce', whose calibration assumes it"
        require("negatives", self.loss != "gbce" or self.negatives == "uniform", told)

    def _check_target_fields(self) -> None:
        require, changed = functools.partial(_require, self), self.changed_targets
        for name in ("confidence", "least_target", "contrast"):
            require(name, getattr(self, name) >= 0, "at least 0")
        require("least_quantile", 0 <= self.least_quantile < 1, "in [0, 1)")
        for name in changed:
            require(name, not self.pretrain_epochs, "left out with pretrain_epochs")
            if name in ("confidence", "contrast"):
                require(name, self.loss == "ce", f"left out with loss {self.loss!r}")
            if name != "confidence":
                told = "left out with windows 'whole', which score all targets"
                require(name, self.windows != "whole", told)
        least = {"least_target", "least_quantile"} & set(changed)
        require("least_quantile", len(least) < 2, "left out with least_target")
        needs = "left out without least_target or least_quantile, which say what a weak item is"
        require("contrast", bool(least) or not self.contrast, needs)
        told = "left out with confidence"
        require("contrast", not (self.contrast and self.confidence), told)

    def _check_planted(self) -> None:
        require, planted = functools.partial(_require, self), self.intensity == "planted"
        require("planted_p", 0 <= self.planted_p <= 1, "in [0, 1]")
        require("planted_tail", 0 < self.planted_tail <= 10, "in (0, 10]")  # float32 holds it
        require("planted_popularity", -1 <= self.planted_popularity <= 1, "in [-1, 1]")
        for name, usual in PLANTED.items():
            told = "left out without intensity 'planted'"
            require(name, planted or getattr(self, name) == usual, told)


def _usual(config: type[DataclassInstance], first: str, last: str) -> dict[str, Any]:
    """Return the usual values of fields that stand together."""
    values = {field.name: field.default for field in dataclasses.fields(config)}
    names = list(values)
    return {name: values[name] for name in names[names.index(first) : names.index(last) + 1]}


# What makes attention another than SASRec's, and what only some models read, or what stands behind
# the last layer, with the usual value of each.
ATTENTION = _usual(ModelConfig, "positions", "query_scope")
OWN = _usual(ModelConfig, "head", "sse_evaluation")
# What makes the loss another than the full cross-entropy; what is planted; how lambda is trained,
# with what it is for the published variants (from 1, at the rate of all other parameters, without
# decay); and what a loss makes of the intensity of its targets: nothing.
LOSS = _usual(TrainConfig, "loss", "score_offset")
PLANTED = _usual(TrainConfig, "planted_p", "planted_next")
LAMBDA = _usual(TrainConfig, "lambda_start", "lambda_decay")
TARGETS = _usual(TrainConfig, "confidence", "contrast")
# Fields that came after runs had been kept, with the value that those runs have: left out of
# records and keys where they have it, so that what is kept is found: a usual value that changed
# would lose it. The last two are of a search.
LATER = ATTENTION | OWN | _usual(TrainConfig, "last_item_samples", "contrast")
LATER |= {"prune_from": 0, "prune_keep": 4}


def strict(cls: type[T], values: Mapping[str, Any]) -> T:
    """Build a config dataclass from a mapping, rejecting unknown keys and wrong types.

    Parameters
    ----------
    cls : type
        A dataclass such as `ModelConfig`.
    values : Mapping
        Field values; missing fields take their defaults.

    Raises
    ------
    SeqattnError
        If a key is unknown or a value has the wrong type; the message names the key.

    Examples
    --------
    >>> strict(ModelConfig, {"n_heads": 4}).n_heads
    4
    >>> strict(ModelConfig, {"n_head": 4})
    Traceback (most recent call last):
    seqattn.errors.SeqattnError: unknown ModelConfig key 'n_head' (did you mean 'n_heads'?); ...
    """
    types = _types(cls)
    for key, value in values.items():
        if key not in types:
            near = difflib.get_close_matches(str(key).lower(), types, n=1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            raise SeqattnError(
                f"unknown {cls.__name__} key {key!r}{meant}; known keys: {', '.join(sorted(types))}"
            )
        _require_type(cls, key, value, types[key])
    return cls(**{k: float(v) if types[k] is float else v for k, v in values.items()})


def replace(config: T, **changes: Any) -> T:
    """Return a copy of a config with some fields changed, checked like `strict`."""
    return strict(type(config), {**dataclasses.asdict(config), **changes})


def record(config: DataclassInstance) -> dict[str, Any]:
    """Return a config, or what holds configs, as it is kept in records and hashed into keys.

    Examples
    --------
    >>> "positions" in record(ModelConfig()), record(ModelConfig(positions="rope"))["positions"]
    (False, 'rope')
    """

    def kept(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {key: value for key, value in pairs if (key, value) not in LATER.items()}

    return dataclasses.asdict(config, dict_factory=kept)


def require_seed(seed: int) -> None:
    """Refuse what is no seed of PyTorch and numpy both.

    Raises
    ------
    SeqattnError
        If it is no whole number, is negative, or has more than 63 bits.
    """
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise SeqattnError(f"a seed must be a whole number, not {seed!r}")
    if not 0 <= seed < 2**63:
        raise SeqattnError(f"a seed must be at least 0 and less than 2**63, not {seed}")


def _changed(config: Any, usual: Mapping[str, Any]) -> list[str]:
    return [name for name, value in usual.items() if getattr(config, name) != value]


# Reading annotations anew takes a millisecond, and a study makes thousands of configs.
_types = functools.cache(get_type_hints)


def _require_types_and_words(config: DataclassInstance) -> None:
    """Refuse a constructor's values of wrong types, and unknown words; make floats of integers."""
    types = _types(type(config))
    for field in dataclasses.fields(config):
        key, expected, words = field.name, types[field.name], field.metadata.get("words")
        value = getattr(config, key)
        _require_type(type(config), key, value, expected)
        if expected is float:  # 0 and 0.0 are two texts, so two keys
            object.__setattr__(config, key, float(value))
        if words:
            _require(config, key, value in words, f"one of {', '.join(words)}")


def _require_type(cls: type, key: str, value: object, expected: type) -> None:
    others = [kind for kind in get_args(expected) if kind is not type(None)]
    if len(others) == 1 and value is not None:  # of such as `int | None`
        (expected,) = others
    accepted = (int, float) if expected is float else (expected,)
    if isinstance(value, bool) != (expected is bool) or not isinstance(value, accepted):
        raise SeqattnError(
            f"{cls.__name__} key {key!r} must be {getattr(expected, '__name__', expected)}, "
            f"not {type(value).__name__} {value!r}{_hint_of_type(value, expected)}"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise SeqattnError(f"{cls.__name__} key {key!r} must be a finite number, not {value!r}")


def _hint_of_type(value: object, expected: type) -> str:
    """Return what a value of a YAML file of another type suggests, as the end of a message."""
    text = value.strip() if isinstance(value, str) else ""
    if expected is bool and text.lower() in ("true", "false", "yes", "no"):
        return f"; write it without quotes, as {text}"
    number = {int: r"[-+]?[0-9]+", float: r"[-+]?[0-9]+(\.[0-9]*)?"}.get(expected)
    if number and re.fullmatch(number, text):
        return f"; write it without quotes, as {text}"
    if expected is float:
        return " (YAML reads 1e-3 as text: write 1.0e-3)"
    if expected is str and isinstance(value, bool):
        return "; put it in quotes: YAML reads yes, no, on and off as true or false"
    if expected is str and isinstance(value, int | float):
        return f'; put it in quotes, as "{value}"'
    return ""


def _require(config: Any, key: str, holds: bool, expected: str) -> None:
    if not holds:
        raise SeqattnError(f"config key {key!r} must be {expected}, not {getattr(config, key)!r}")


DESIGNS = ("own_search", "shared_backbone")
# Arms of studies that differ in the backbones of their models, as tables and figures name them.
BACKBONES = {
    "own_search": "own search",
    "variant_backbone": "variant's backbone",
    "shared_backbone": "SASRec's backbone",
}
BASELINE = "sasrec"
VARIANTS = ("ia-add", "ia-mul", "ia-val")
AE_VS_AR = (BASELINE, "local-ae", "bert4rec")
SEARCHED = (BASELINE, *VARIANTS)
# Of equivalence. A difference below it would not be worth a parameter; chosen before any campaign
# was looked at.
MARGIN_PERCENT = 5.0
SEEDS = (2020, 2021, 2022, 2023, 2024)
