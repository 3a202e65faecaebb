"""A finished search, as it is kept and read again; and the settings that a design takes from it.

Everything lies in one results folder, beside the runs (see `seqattn.runs.store`)::

    <results>/studies.sqlite3                             Optuna's trials, as they finish
    <results>/searches/<dataset>/published/<model>.json   a finished search: what it tried and found
                               .../matched/<model>.json   the same, of ``shared_backbone``
    <results>/<dataset>/<model>/seed-<seed>-<hash>/       runs, of whatever configuration

A design says how a configuration was chosen. In ``own_search`` each model has its own search, so
variant and baseline also differ in backbone. In ``shared_backbone`` all share the baseline's best
configuration, and only the normalisation of a variant is searched. A control, the baseline fitted
with what a variant's own search found, tells what of a published change is the backbone's.

References
----------
[IA] section 4.2; "shared_backbone" is the book's own, see the page "Deviations".
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from seqattn.config import (
    ATTENTION,
    BASELINE,
    DESIGNS,
    OWN,
    ModelConfig,
    TrainConfig,
    record,
    replace,
    require_seed,
    strict,
)
from seqattn.data import CATALOGUE
from seqattn.data.dataset import Described
from seqattn.data.own import is_yaml
from seqattn.errors import SeqattnError
from seqattn.files import checksum, write_text
from seqattn.models import RECBOLE_MODELS, is_masked
from seqattn.presets import PRESETS, Preset, get_preset, read_settings
from seqattn.runs.fitting import recbole_spec, run_spec
from seqattn.runs.store import Fittable, RunSpec

_FORMAT = 1
# What folders and files call the designs; the words are inside checksums, so they stay.
ON_DISK = {"own_search": "published", "shared_backbone": "matched"}
_OF_DISK = {word: design for design, word in ON_DISK.items()}


@dataclass(frozen=True)
class SearchConfig:
    """How long to search: trials, epochs a trial, the seed of sampler and fits, pruning.

    ``prune`` stops poor trials early by asynchronous successive halving ([AE] does); the published
    protocol of [IA] does not. A trial is looked at after ``prune_from`` epochs, then each time it
    has done ``prune_keep`` times as many, and goes on if it is in the best 1 / ``prune_keep`` of
    those that have come as far. 0 leaves the first look to Optuna. [AE]'s rungs, 25, 50, 100 and
    200 epochs, are 25, 2 and ``epochs`` 200.
    """

    trials: int = 25
    epochs: int = 10
    seed: int = 2020
    prune: bool = False
    prune_from: int = 0
    prune_keep: int = 4

    def __post_init__(self) -> None:
        if self.prune_from < 0 or self.prune_keep < 2:
            raise SeqattnError(
                f"prune_from = {self.prune_from} must be at least 0, and prune_keep = "
                f"{self.prune_keep} at least 2"
            )
        if not self.prune and (self.prune_from, self.prune_keep) != (0, 4):
            raise SeqattnError("prune_from and prune_keep are for a search with prune alone")
        for name in ("trials", "epochs"):
            if getattr(self, name) < 1:
                raise SeqattnError(f"{name} must be at least 1, not {getattr(self, name)}")
        require_seed(self.seed)


@dataclass(frozen=True)
class Search:
    """A finished search, as it is kept.

    ``trials`` holds one record a finished trial, in order: number, state, value (validation
    NDCG@10), params, seconds, and the sampler's draw, which older records lack. ``value`` is the
    best one's.
    """

    dataset: str
    fingerprint: str
    model: str
    design: str
    budget: SearchConfig
    model_config: ModelConfig
    train_config: TrainConfig
    value: float
    trials: list[dict[str, Any]]
    environment: dict[str, str]

    @property
    def n_complete(self) -> int:
        """Number of trials that ran to their end."""
        return sum(trial["state"] == "COMPLETE" for trial in self.trials)

    @property
    def fixed(self) -> dict[str, object]:
        """The settings that no search draws; models are comparable where these are the same."""
        train = asdict(self.train_config)
        del train["learning_rate"]
        if is_masked(self.model):
            del train["mask_probability"]
        reading = ("max_length", *ATTENTION, *OWN)
        return {key: getattr(self.model_config, key) for key in reading} | train

    @property
    def kind(self) -> tuple[dict[str, object], str, SearchConfig]:
        """What two searches share of which one may take over the other's trials."""
        return self.fixed, self.fingerprint, dataclasses.replace(self.budget, trials=1)

    def rests_on(self, baseline: Search) -> bool:
        """Whether it is a search of the normalisation alone, on what this one of SASRec found."""
        bare = replace(self.model_config, normalisation=baseline.model_config.normalisation)
        found = baseline.model_config, baseline.train_config, baseline.fingerprint
        return (bare, self.train_config, self.fingerprint) == found

    @property
    def preset(self) -> Preset:
        """The configuration it found."""
        return Preset(self.model_config, self.train_config)

    def spec(self, seed: int) -> RunSpec:
        """Return the run that fits the found configuration with one seed."""
        names = self.dataset, self.fingerprint, self.model, seed
        return RunSpec(*names, self.model_config, self.train_config)

    def write(self, results_dir: str | Path) -> Path:
        """Keep the search; a later one of the same dataset, design and model replaces it.

        Raises
        ------
        SeqattnError
            If the file cannot be written.
        """
        values = {"format": _FORMAT, **record(self), "design": ON_DISK[self.design]}
        values["checksum"] = checksum(values)
        path = search_path(results_dir, self.dataset, self.model, self.design)
        return write_text(path, json.dumps(values, indent=1) + "\n")


def search_path(results_dir: str | Path, dataset: str, model: str, design: str) -> Path:
    """Return where a search is kept; the baseline's serves both designs."""
    folder = ON_DISK["own_search" if model == BASELINE else design]
    return Path(results_dir) / "searches" / dataset / folder / f"{model}.json"


def read_search(
    results_dir: str | Path, dataset: str, model: str, design: str, *, reference: str = ""
) -> Search | None:
    """Return a finished search, or None.

    `reference` is how a command names the dataset, where its name is not enough.

    Raises
    ------
    SeqattnError
        If its file was edited or cut short.
    """
    path = search_path(results_dir, dataset, model, design)
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text())
        intact = values.pop("checksum") == checksum(values) and values.pop("format") == _FORMAT
        if intact:
            values["budget"] = strict(SearchConfig, values["budget"])
            values["model_config"] = strict(ModelConfig, values["model_config"])
            values["train_config"] = strict(TrainConfig, values["train_config"])
            found = Search(**{**values, "design": _OF_DISK[values["design"]]})
            if search_path(results_dir, found.dataset, found.model, found.design) == path:
                return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    own = dataset not in CATALOGUE and not is_yaml(reference)
    hint = f"; for -d give the YAML file of {dataset}" if own else ""
    raise SeqattnError(
        f"{path} is damaged or of another version; remove it and run "
        f"`{_command(reference or dataset, model, design, results_dir)}`, which keeps the trials "
        f"already made{hint}"
    )


def searches(results_dir: str | Path) -> Iterator[Search]:
    """Yield every search of a results folder, sorted by path."""
    for path in sorted((Path(results_dir) / "searches").glob("*/*/*.json")):
        design = _OF_DISK.get(path.parts[-2])  # another folder is none of ours
        found = design and read_search(results_dir, path.parts[-3], path.stem, design)
        if found:
            yield found


def chosen(
    results_dir: str | Path, dataset: str, model: str, design: str, *, reference: str = ""
) -> Search:
    """Return the search whose outcome a design fits.

    `reference` is how a command names the dataset, where its name is not enough.

    Raises
    ------
    SeqattnError
        If it is missing, rests on a baseline that was searched again since, or was made with other
        settings than the baseline's, such as the stride of windows.
    """
    found = read_search(results_dir, dataset, model, design, reference=reference)
    what = f"search of {model!r} on {dataset!r} for {design}"
    own = "own_search" if model == BASELINE else design  # the baseline has no other search
    run = f"run `{_command(reference or dataset, model, own, results_dir)}`"
    if found is None:
        raise SeqattnError(f"no {what}: {run}")
    if model == BASELINE:
        return found
    if design == "shared_backbone":
        if not found.rests_on(chosen(results_dir, dataset, BASELINE, design, reference=reference)):
            raise SeqattnError(
                f"the {what} rests on another configuration of {BASELINE!r} than its search found "
                f"last: {run}"
            )
        return found
    baseline = read_search(results_dir, dataset, BASELINE, design, reference=reference)
    if baseline is None:
        return found
    differing = [key for key, value in found.fixed.items() if value != baseline.fixed[key]]
    if differing:
        raise SeqattnError(
            f"the {what} was made with another {' and '.join(differing)} than that of "
            f"{BASELINE!r}: {run[:-1]}{_base_of(baseline)}`"
        )
    return found


def _command(dataset: str, model: str, design: str, results_dir: str | Path) -> str:
    """Return the command that makes a search; `dataset` is a name or one's own YAML file."""
    words = ["-d", dataset, "-m", model, "--design", design, "--results-dir", str(results_dir)]
    return f"seqattn tune {shlex.join(words)}"


def _base_of(search: Search) -> str:
    """Return the option for `tune` that searches with the same fixed settings as another search."""
    for name, preset in PRESETS.items():
        alike = (
            dataclasses.replace(search, model_config=preset.model, train_config=preset.train).fixed
            == search.fixed
        )
        if alike:
            return f" --base {name}"
    return ", with the same --base"


def settings(results_dir: str | Path, dataset: Described, model: str, name: str) -> Preset:
    """Return a model's settings by name: of a preset, a design or a YAML file like one of them.

    A masked-item model takes what its own search found, for `own_search`. Without one, as in a
    campaign, and for other designs it takes the model configuration and learning rate that SASRec's
    search found, and the rest of its training from the paper preset: what is compared with SASRec
    is then the mask and the objective.

    Raises
    ------
    SeqattnError
        If there is no such name, or the design's search is missing or was of other data.
    """
    if is_yaml(name):
        own_file = read_settings(name)
        return own_file.changed(settings(results_dir, dataset, model, own_file.like))
    if name not in DESIGNS:
        return get_preset(name).for_log(dataset.n_targets)
    masked, names = is_masked(model), {"reference": dataset.reference}
    own = None
    if masked and name == "own_search":
        own = read_search(results_dir, dataset.name, model, name, **names)
    searched = BASELINE if masked else model
    found = own or chosen(results_dir, dataset.name, searched, name, **names)
    if found.fingerprint != dataset.fingerprint:
        raise SeqattnError(
            f"the search of {found.model!r} on {dataset.name!r} was of another version of the data "
            f"(fingerprint {found.fingerprint[:8]}, now {dataset.fingerprint[:8]}): search again, "
            f"`{_command(dataset.reference, found.model, found.design, results_dir)}`"
        )
    if own:
        return Preset(own.model_config, own.train_config, own.train_config)
    if not masked:
        return found.preset
    rate, paper = found.train_config.learning_rate, get_preset("paper").train_ae
    stride = min(paper.stride, found.model_config.max_length)
    train_ae = replace(paper, learning_rate=rate, stride=stride)
    return Preset(found.model_config, found.train_config, train_ae)


def wanted_specs(
    results_dir: str | Path,
    dataset: Described,
    wanted: Iterable[tuple[str, int]],
    name: str,
    *,
    backbone_of: str | None = None,
) -> list[Fittable]:
    """Return the specs of (model, seed) pairs under a preset or a design, by its name.

    With `backbone_of`, all take the settings of that model; by default each has its own. RecBole's
    models always search a grid of their own, and those without chance are wanted once.

    Raises
    ------
    SeqattnError
        If there is no such name, or the design's search is missing or was of other data.
    """

    @lru_cache
    def preset_of(model: str) -> Preset:
        return settings(results_dir, dataset, model, name)

    return list(
        dict.fromkeys(
            recbole_spec(dataset, model, seed)
            if model in RECBOLE_MODELS
            else run_spec(dataset, model, seed, preset_of(backbone_of or model))
            for model, seed in wanted
        )
    )
