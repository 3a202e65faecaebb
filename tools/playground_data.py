"""Write what the pages' playgrounds show of our results, as scripts that a page loads.

A page that was opened from a disk may load a script and not a JSON file, so each file sets
``window.playgroundData.NAME``.

    python tools/playground_data.py [NAME ...]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqattn.analysis import lambdas
from seqattn.config import (
    BACKBONES,
    BASELINE,
    SEEDS,
    VARIANTS,
    ModelConfig,
    TrainConfig,
    replace,
)
from seqattn.data import CATALOGUE, load_dataset
from seqattn.files import write_text
from seqattn.models.backbone import Backbone
from seqattn.plots.style import name_of
from seqattn.runs.store import Store
from seqattn.studies.ia import published
from seqattn.studies.plan import names, read_study
from seqattn.training.fit import fit

ROOT = Path(__file__).resolve().parents[1]
CAMPAIGN, RECORDS = ROOT / "results" / "campaign", ROOT / "results" / "datasets"
FOLDER = ROOT / "book" / "appendix" / "generated" / "static" / "playgrounds"
NUMBERS = {"change": "relative_change_percent", "low": "low", "high": "high"}
NUMBERS |= {"seeds": "n_seeds", "users": "n_users"}
SMALL = ModelConfig(max_length=20, hidden_size=16, inner_size=32)
SHORT = TrainConfig(learning_rate=1e-2, batch_targets=128, epochs=30, patience=30)


def forest() -> list[dict[str, object]]:
    """Return each comparison of NDCG@10 that has all seeds, of every study."""
    rows = []
    studies = (study for study in map(read_study, names()) if "comparisons" in study.tables)
    for study in studies:
        cells = study.table("comparisons")
        if cells.empty:
            continue
        wanted = (cells["metric"] == "NDCG") & (cells["k"] == 10) & (cells["n_seeds"] == len(SEEDS))
        for cell in cells[wanted].to_dict("records"):
            title, arm = CATALOGUE[cell["dataset"]].title, BACKBONES.get(cell["arm"], cell["arm"])
            what = arm if cell["model"] == BASELINE else f"{name_of(cell['model'])}, {arm}"
            rows.append(
                {"study": study.title, "dataset": title, "arm": arm, "name": f"{title}: {what}"}
                | {key: float(cell[column]) for key, column in NUMBERS.items()}
                | {"robust": bool(cell["robust_clustered"])}
            )
    return rows


def luck() -> list[dict[str, object]]:
    """Return the validation NDCG@10 of the trials of each search that was run."""
    found = []
    for path in sorted((CAMPAIGN / "searches").glob("*/published/*.json")):
        record = json.loads(path.read_text())
        values = [t["value"] for t in record["trials"] if t["state"] == "COMPLETE"]
        name = f"{CATALOGUE[record['dataset']].title}, {name_of(record['model'])}"
        found.append({"name": name, "values": values})
    return found


def travel() -> dict[str, object]:
    """Return how far lambda went and could have gone, a point a run, and the paper's values.

    Possible travel is learning rate times steps until the kept weights. The paper tells neither,
    so its points have a lambda only.
    """
    runs = sorted(Store(CAMPAIGN).runs(), key=lambda run: run.dataset)
    points = []
    for dataset, group in groupby(runs, lambda run: run.dataset):
        last = json.loads((RECORDS / dataset / "dataset.json").read_text())["steps"][-1]
        # Leave-one-out keeps two of a history, and its first interaction is no target.
        pace = lambdas.pace(group, last["interactions"] - 3 * last["users"])
        steps = pace["steps"] * pace["epoch_kept"]
        for steps_of_run, row in zip(steps, pace.to_dict("records"), strict=True):
            points.append(
                {
                    "dataset": CATALOGUE[dataset].title,
                    "model": name_of(row["model"]),
                    "lambda": float(row["lam_kept"]),
                    "steps": int(steps_of_run),
                    "rate": float(row["learning_rate"]),
                }
            )
    table4 = published.table4()
    paper = [
        {"name": f"{published.DATASETS[row.dataset]}, {name_of(row.model)}", "lambda": lam}
        for row, lam in zip(table4.itertuples(), table4["lambda_mean"], strict=True)
    ]
    return {"runs": points, "paper": paper}


def history() -> dict[str, object]:
    """Return the three variants, trained on the synthetic log, and six of its users.

    Three whose next item Add ranks highest, and three whose it ranks lowest; seconds.
    """
    dataset = load_dataset("synthetic")
    fits = {name: fit(dataset, name, SEEDS[0], SMALL, SHORT) for name in VARIANTS}
    context, targets = dataset.split.context("test"), dataset.split.targets("test")
    users = np.flatnonzero((context.lengths >= 8) & (context.lengths <= SMALL.max_length))
    users = users[np.argsort(fits["ia-add"].ranks["test_unfiltered"][users], kind="stable")]
    told = []
    for user in [*users[:3], *users[-3:]]:
        own = slice(*context.offsets[user : user + 2])
        rows = {"items": context.items[own].tolist(), "intensity": context.intensity[own].tolist()}
        told.append({"name": int(user), "next": int(targets[user]), **rows})
    models = {name_of(name): exported(fitted.model) for name, fitted in fits.items()}
    return {"users": told, "models": models}


def masks() -> dict[str, object]:
    """Return the first head's map in each layer of a causal and a bidirectional trained model.

    One history of the synthetic log, its last 24 interactions; {mask: [layer][query][key]}.
    """
    dataset, n = load_dataset("synthetic"), 24
    context = dataset.split.context("test")
    last = context.offsets[1:][context.lengths >= n][0]
    items = torch.tensor(context.items[last - n : last])[None]
    config = replace(SMALL, max_length=n)
    maps = {}
    for mask, name in (("causal", BASELINE), ("bidirectional", "bert4rec")):
        model = fit(dataset, name, SEEDS[0], config, SHORT).model
        with torch.inference_mode():
            heads_LHNN = model.attention_maps(items)[:, 0]
        maps[mask] = _rounded(heads_LHNN[:, 0])
    return maps


def exported(model: Backbone) -> dict[str, object]:
    """Return a model's weights as nested lists, rounded to seven digits."""
    state = {name: _rounded(value) for name, value in model.state_dict().items()}

    def layer(name: str) -> dict[str, object]:
        return {part: state[f"{name}.{part}"] for part in ("weight", "bias")}

    blocks = [
        {
            "lambda": state[f"blocks.{i}.attention.injection.lam"],
            "qkv": layer(f"blocks.{i}.attention.qkv"),
            "output": layer(f"blocks.{i}.attention.output"),
            "attention_norm": layer(f"blocks.{i}.attention_norm"),
            "inner": layer(f"blocks.{i}.feed_forward.inner"),
            "outer": layer(f"blocks.{i}.feed_forward.output"),
            "norm": layer(f"blocks.{i}.feed_forward_norm"),
        }
        for i in range(model.config.n_layers)
    ]
    return {
        "heads": model.config.n_heads,
        "items": state["item_embedding.weight"],
        "positions": state["position_embedding.weight"],
        "norm": layer("norm"),
        "blocks": blocks,
    }


def _rounded(value: Tensor) -> Any:
    digits = np.vectorize(lambda x: float(f"{x:.7g}"))
    return digits(value.numpy()).tolist()


PLAYGROUNDS = {
    "forest": forest,
    "luck": luck,
    "travel": travel,
    "history": history,
    "masks": masks,
}


def main(chosen: Sequence[str] = ()) -> None:
    """Write a script a playground; all, if none is named."""
    torch.set_num_threads(1)  # the models are too small for two
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in chosen or PLAYGROUNDS:
        text = json.dumps(PLAYGROUNDS[name](), separators=(",", ":"), allow_nan=False)
        script = f"(window.playgroundData ||= {{}}).{name} = {text};\n"
        write_text(FOLDER / f"{name}.data.js", script)


if __name__ == "__main__":
    main(sys.argv[1:])
