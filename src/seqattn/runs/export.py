"""What a reader takes away from a run: a model that loads without the store, ranks per user.

::

    folder/
      model.safetensors   the best weights
      items.json          the items' ids by code
      config.json         model, its configuration, what it was trained on, and checksums
      README.md           the model card, for you to edit

The names are those that the Hugging Face Hub expects.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from seqattn.config import ModelConfig, strict
from seqattn.data import CATALOGUE, Dataset, load_dataset
from seqattn.data.intensities import with_intensities
from seqattn.errors import SeqattnError
from seqattn.files import as_markdown, make_folder, read_record, write_record
from seqattn.models import build_model
from seqattn.runs.checkpoint import packed
from seqattn.runs.code import require_same_code
from seqattn.runs.recommender import Recommender
from seqattn.runs.store import Run, read_run, whole
from seqattn.stats.metrics import KINDS, METRICS

_FILES = _WEIGHTS, _CONFIG, _ITEMS, _CARD = (
    *("model.safetensors", "config.json", "items.json", "README.md"),
)
_ABOUT = ("model", "dataset", "fingerprint", "seed")


def load(source: str | Path | Run, dataset: str | Dataset | None = None) -> Recommender:
    """Return a fitted model that recommends.

    Parameters
    ----------
    source : path or Run
        A run, its folder in a store, or a folder that `export_model` wrote.
    dataset : str or Dataset, optional
        What the run was fitted on, for the ids of its items; by default the dataset of the
        catalogue that the run names. An exported folder needs none.

    Raises
    ------
    SeqattnError
        There is no model there, it was kept without weights, or the dataset is another.

    Examples
    --------
    >>> from seqattn import load
    >>> model = load("exported/ml-100k-ia-add")  # doctest: +SKIP
    >>> model.recommend([50, 172, 181], intensity=[5, 4, 5], k=3)  # doctest: +SKIP
    """
    if isinstance(source, (str, Path)):
        folder = Path(source)
        if (folder / _CONFIG).exists():
            return _load_exported(folder)
        source = read_run(folder)
    elif not isinstance(source, Run):
        raise SeqattnError(
            f"a model of type {type(source).__name__}; give a run, its folder, or the folder of an "
            "exported model"
        )
    weights = source.weights()  # refuses RecBole's models and other libraries' output, first
    require_same_code(source)
    data = dataset_of(source, dataset)
    config = asdict(source.spec.model_config)
    about = {name: source.facts["spec"][name] for name in _ABOUT}
    return _recommender(weights, data.sequences.item_ids, config, about)


def dataset_of(run: Run, dataset: str | Dataset | None = None) -> Dataset:
    """Return the data that a run was fitted on, with the intensities it was told to read.

    Raises
    ------
    SeqattnError
        The dataset is unknown or another.
    """
    if dataset is None and run.dataset not in CATALOGUE:
        raise SeqattnError(
            f"{run.folder} was fitted on your own log {run.dataset!r}; name its YAML file, by "
            "`-d`, or in Python load(folder, 'log.yaml')"
        )
    data = dataset if isinstance(dataset, Dataset) else load_dataset(dataset or run.dataset)
    if data.fingerprint != run.fingerprint:
        raise SeqattnError(
            f"{run.folder} was fitted on {run.dataset} with fingerprint {run.fingerprint[:12]}; "
            f"{data.name} has {data.fingerprint[:12]}: another log, or prepared in another way"
        )
    config = getattr(run.spec, "train_config", None)  # RecBole's models have none
    return with_intensities(data, config, run.seed) if config else data


def _recommender(
    weights: Mapping[str, Tensor],
    item_ids: np.ndarray,
    config: Mapping[str, Any],
    about: Mapping[str, Any],
) -> Recommender:
    model = build_model(about["model"], len(item_ids), **config)
    model.load_state_dict(dict(weights))
    return Recommender(model.eval(), item_ids, about)


def _load_exported(folder: Path) -> Recommender:
    about = read_record(folder, _CONFIG)
    if about is None:
        raise SeqattnError(
            f"{folder}: a file is missing, or {', '.join(_FILES[:3])} are not as they were "
            "exported; export the model again"
        )
    try:
        ids = json.loads((folder / _ITEMS).read_text(encoding="utf-8"))
        weights = load_file(folder / _WEIGHTS)
        config = strict(ModelConfig, about.pop("model_config"))
        text = any(isinstance(item, str) for item in ids)
        item_ids = np.array(ids, dtype=object if text else np.int64)
        about = {name: about[name] for name in _ABOUT}
        return _recommender(weights, item_ids, asdict(config), about)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())  # PyTorch's own spans lines
        raise SeqattnError(
            f"{folder}: {', '.join(_FILES[:3])} do not hold one model ({reason}); export it again"
        ) from error


def export_model(run: Run, folder: Path, dataset: str | Dataset | None = None) -> Path:
    """Write a run's model into a folder of its own and return the folder.

    An empty folder is filled, and one that holds an older export of the same model on the same
    dataset is replaced. A model card that was edited stays, if the run is the same.

    Raises
    ------
    SeqattnError
        The folder holds something else or the edited card of another run, cannot be written, or
        the run is without weights.
    """
    data, weights = dataset_of(run, dataset), run.weights()
    folder = folder.resolve()
    facts = run.facts["spec"]
    about = {name: facts[name] for name in _ABOUT}
    before = _replaceable(folder, about)
    make_folder(folder.parent)
    card = _card(run, data)
    config = {"library": "seqattn", **about, "n_items": data.n_items}
    config["card_sha256"] = _digest(card.encode())  # as it is written now, see `_edited_card`
    config["model_config"] = facts["model_config"]
    with whole(folder) as partial:
        (partial / _WEIGHTS).write_bytes(packed(weights))
        ids = data.sequences.item_ids.tolist()
        (partial / _ITEMS).write_text(json.dumps(ids) + "\n", encoding="utf-8")
        write_record(partial, _CONFIG, config)
        # Not in the record: it is for its reader to edit.
        kept = _edited_card(folder, before) or card.encode()
        (partial / _CARD).write_bytes(kept)
    return folder


def _replaceable(folder: Path, about: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what an exported folder says of itself, nothing of a new one; refuse any other."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return {}
    others = sorted({path.name for path in folder.glob("*")} - {*_FILES})
    try:
        found = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        ours = found["library"] == "seqattn"
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if others or not ours:
        what = f"holds {others[0]!r}" if others else "is no exported model"
    elif any(found.get(name) != about[name] for name in ("model", "dataset")):
        what = f"holds {found.get('model')} on {found.get('dataset')}"
    elif found != {**found, **about} and _edited_card(folder, found):
        what = f"holds another run, whose {_CARD} you edited"
    else:
        return found
    raise SeqattnError(f"{folder} {what}; name a new or an empty folder")


def _edited_card(folder: Path, before: Mapping[str, Any]) -> bytes | None:
    """Return the model card of a folder that was exported before, if it was edited since."""
    path = folder / _CARD
    if not path.is_file():
        return None
    card = path.read_bytes()
    return None if _digest(card) == before.get("card_sha256") else card


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _card(run: Run, data: Dataset) -> str:
    """Return the model card: what it is, what it was trained on, how good, what it is for."""
    rows = [
        f"| {kind} | {name} | {value:.4f} |"
        for kind in KINDS
        for name, value in run.facts["metrics"][f"test_{kind}"].items()
        if name.endswith("@10")
    ]
    reads = f"{data.entry.intensity} ({data.entry.unit})" if data.has_intensity else "none"
    one = run.owners() is None
    asked = "Each user's test target" if one else "Each user's test targets, averaged within a user"
    return _CARD_TEXT.format(
        model=run.model,
        seed=run.seed,
        dataset=data.name,
        fingerprint=run.fingerprint,
        users=data.n_users,
        items=data.n_items,
        interactions=len(data.sequences),
        intensity=as_markdown(reads),  # a user's own words
        targets=f"{asked} (split: {data.entry.splitting.words})",
        rows="\n".join(rows),
    )


_CARD_TEXT = """---
library_name: seqattn
tags: [recommendation, sequential-recommendation, self-attention]
---
# {model} on {dataset}

A model of the next item of a history, fitted with seed {seed} by `seqattn`.

## Data

`{dataset}`: {interactions:,} interactions of {users:,} users with {items:,} items after
preparation. Intensity: {intensity}. Fingerprint of the prepared data:
`{fingerprint}`.

## Accuracy

{targets}, ranked among all items (*unfiltered*) or those the user does not have
yet (*filtered*), averaged over users.

| kind | metric | value |
|---|---|---:|
{rows}

## Intended use

Research on sequential recommendation. It knows the items of `items.json` only, and one seed's
value says nothing about how much another seed's would differ.

```python
import seqattn
model = seqattn.load("this folder")
model.recommend(history=[...], intensity=[...], k=10)
```
"""


def per_user(run: Run, dataset: str | Dataset | None = None, k: int = 10) -> pd.DataFrame:
    """Return one row for each user that the test asks: id, target, ranks and metrics at `k`.

    Returns
    -------
    DataFrame
        Columns user, seed, target, and for each kind that the run has ``rank_{kind}`` and
        ``{metric}@{k}_{kind}``. Where the split asks for several targets of a user, ``targets``,
        their number, stands for target and ranks, and metrics are their averages.

    Raises
    ------
    SeqattnError
        The dataset is unknown or another.
    """
    data = dataset_of(run, dataset)
    sequences, owners = data.sequences, run.owners()
    users, counts = np.unique(data.split.users("test"), return_counts=True)
    columns = {"user": sequences.user_ids[users], "seed": np.full(len(users), run.seed)}
    if owners is None:
        columns["target"] = sequences.item_ids[data.split.targets("test") - 1]
    else:
        columns["targets"] = counts
    for kind in KINDS:
        if f"test_{kind}" not in run.facts["metrics"]:
            continue  # lists of another library are of one kind
        if owners is None:
            columns[f"rank_{kind}"] = run.ranks("test", kind)
        columns |= {f"{name}@{k}_{kind}": run.values(name, k, kind=kind) for name in METRICS}
    return pd.DataFrame(columns)
