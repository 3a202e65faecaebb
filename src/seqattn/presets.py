"""Presets: named settings of models and training, chosen once and used by name."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from seqattn.config import DESIGNS, MASKED_ONLY, ModelConfig, TrainConfig, replace, strict
from seqattn.data.own import is_yaml
from seqattn.data.yaml_files import load_yaml, section
from seqattn.errors import SeqattnError


@dataclass(frozen=True)
class Preset:
    """A named pair of configurations, with the masked-item models' own training settings."""

    model: ModelConfig
    train: TrainConfig
    # An epoch of the masked-item objective supervises a fifth of the positions an epoch of
    # next-item prediction does, so it is given its own number of epochs.
    train_ae: TrainConfig = field(default_factory=TrainConfig)
    # A log with fewer training targets than this takes batches of `small_batch` targets: with
    # larger ones an epoch would be a handful of optimiser steps.
    small_log: int = 0
    small_batch: int = 256

    def for_log(self, n_targets: int) -> Preset:
        """Return the preset as it is for a log with this many training targets."""
        if n_targets >= self.small_log:
            return self
        return dataclasses.replace(
            self,
            train=replace(self.train, batch_targets=self.small_batch),
            train_ae=replace(self.train_ae, batch_targets=self.small_batch),
        )

    def train_for(self, *, masked: bool) -> TrainConfig:
        """Return the training settings of an objective, masked items or next items."""
        return self.train_ae if masked else self.train


# Written down before any of its runs was looked at (no search chose it). What differs for masked
# items was set when three of their runs had been seen, and what hides the last item alone when all
# pairs on two logs had been, see book/appendix/rules_and_runs.md.
_FIXED = TrainConfig(epochs=200, patience=10)
# One history in ten also gives a row in which the last item alone is hidden: what a model of masked
# items is asked when it predicts.
_LAST = 0.1
_PAPER_MASKED = TrainConfig(
    learning_rate=3e-3, epochs=100, patience=10, stride=50, last_item_samples=_LAST
)
# What is hidden lies anywhere in a window; of windows that overlap, only late items would be.
_FIXED_MASKED = dataclasses.replace(_FIXED, stride=50, last_item_samples=_LAST)
# The same backbone reading whole histories in one pass: two layers of 50 reach 99 interactions.
_FIXED_RELATIVE = ModelConfig(positions="relative", sliding_window=50, max_length=99)
# Windows as long as most histories, the setting in which others publish levels on ML-1M.
_FIXED_LONG = TrainConfig(epochs=200, patience=10, stride=200)

PRESETS: dict[str, Preset] = {
    # The book's default: every notebook on ML-100K within minutes on two cores.
    "quick": Preset(
        ModelConfig(inner_size=64),
        TrainConfig(learning_rate=3e-3, epochs=8),
        # Masked-item training starts with a plateau; less patience would stop on it. It hides items
        # anywhere in a window, so windows need not overlap for late positions to be read.
        replace(_PAPER_MASKED, epochs=60),
    ),
    # The published protocol's final fits; what it searches for is not to be read from here.
    "paper": Preset(
        ModelConfig(),
        TrainConfig(),
        _PAPER_MASKED,
    ),
    # The same with a window of its own for each late target, as RecBole reads it; slower.
    "paper-exact": Preset(
        ModelConfig(),
        TrainConfig(stride=1),
        _PAPER_MASKED,
    ),
    "fixed": Preset(ModelConfig(), _FIXED, _FIXED_MASKED, small_log=100_000),
    # Its models of masked items, which look both ways, are refused.
    "fixed-relative": Preset(
        _FIXED_RELATIVE, dataclasses.replace(_FIXED, windows="whole"), _FIXED, small_log=100_000
    ),
    "fixed-long": Preset(
        ModelConfig(max_length=200),
        _FIXED_LONG,
        dataclasses.replace(_FIXED_LONG, last_item_samples=_LAST),
        small_log=100_000,
    ),
    # Seconds, on synthetic data: proves that the notebooks run, says nothing about quality.
    "smoke": Preset(
        ModelConfig(max_length=10, hidden_size=8, inner_size=8),
        TrainConfig(batch_targets=256, epochs=2, stride=5),
        TrainConfig(batch_targets=256, epochs=2, stride=5),
    ),
}


def get_preset(name: str) -> Preset:
    """Return a preset by name, or the one that a YAML file describes, see `read_settings`.

    Raises
    ------
    SeqattnError
        If there is no preset of that name, or the file describes none.
    """
    if is_yaml(name):
        own = read_settings(name)
        return own.changed(get_preset(own.like))
    if name not in PRESETS:
        told = f"choose one of {', '.join(PRESETS)}, or give a YAML file of your own settings"
        raise SeqattnError(f"unknown preset {name!r}; {told}")
    return PRESETS[name]


@dataclass(frozen=True)
class Settings:
    """Settings `like` those of a preset or a design, with some values changed."""

    like: str
    model: dict = field(default_factory=dict)
    train: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = PRESETS.get(self.like, PRESETS["paper"])
        for config, changes in ((known.model, self.model), (known.train, self.train)):
            strict(type(config), {**dataclasses.asdict(config), **changes})  # a key may be no text

    def changed(self, preset: Preset) -> Preset:
        """Return a preset with these values in it.

        What only the masked-item objective reads is set for that alone, so that a model of next
        items has the same run with and without.
        """
        of_next = {key: value for key, value in self.train.items() if key not in MASKED_ONLY}
        return dataclasses.replace(
            preset,
            model=replace(preset.model, **self.model),
            train=replace(preset.train, **of_next),
            train_ae=replace(preset.train_ae, **self.train),
        )


def read_settings(path: str | Path) -> Settings:
    """Read settings of one's own: a YAML file with ``like``, ``model`` and ``train``.

    Raises
    ------
    SeqattnError
        The file is absent or no YAML, or a key or value is not one of settings.
    """
    own, known = section(Settings, load_yaml(Path(path)), str(path)), [*PRESETS, *DESIGNS]
    if own.like not in known:
        raise SeqattnError(f"{path}: like is {own.like!r}; choose one of {', '.join(known)}")
    return own


def require_settings(name: str) -> None:
    """Refuse what is no name of a preset or a design, nor a YAML file of settings."""
    if is_yaml(name):
        read_settings(name)
    elif name not in DESIGNS:
        get_preset(name)
