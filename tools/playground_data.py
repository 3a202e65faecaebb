"""Write what the pages' playgrounds show of our results, as scripts that a page loads.

A page that was opened from a disk may load a script and not a JSON file, so each file sets
``window.playgroundData.NAME``.

    python tools/playground_data.py [NAME ...]
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
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
from seqattn.data import CATALOGUE, Dataset, load_dataset
from seqattn.data.interactions import Interactions
from seqattn.files import write_text
from seqattn.models.backbone import Backbone
from seqattn.plots.style import name_of
from seqattn.runs.store import Store
from seqattn.studies.ia import published
from seqattn.studies.study import Study, names, read_study
from seqattn.training.fit import fit

ROOT = Path(__file__).resolve().parents[1]
CAMPAIGN, RECORDS = ROOT / "results" / "campaign", ROOT / "results" / "datasets"
FOLDER = ROOT / "book" / "appendix" / "generated" / "static" / "playgrounds"
NUMBERS = {"change": "change", "low": "low", "high": "high", "seeds": "n_seeds", "users": "n_users"}
SAME = ("dataset", "model")  # of a comparison that two studies have, beside its numbers
# Tables of comparisons, and what each row is compared with.
AGAINST = {
    "comparisons": BASELINE,
    "over_placebo": "{model}, real over {arm}",
    "over_nothing": "{model}, {arm} over p = 0",
    "pairs": "{model} over {ae}, {arm}",
    "dial": "{model}, {arm} over heads that look as far as any",
}
KINDS = {"constant": "constant", "within": "shuffled within", "across": "shuffled"}
ARMS = {"real": "real intensities", "quick": "quick settings", "fixed": "fixed settings"}
ARMS |= {"sliding": "learned distances, sliding window", "relative": "learned distances"}
ARMS |= {"shuffled": "shuffled distances", "none": "no positions", "usual": "usual dropout"}
SMALL = ModelConfig(max_length=20, hidden_size=16, inner_size=32)
SHORT = TrainConfig(learning_rate=1e-2, batch_targets=128, epochs=30, patience=30)
# Lambda's own rate is three times as high: the training is short, and it has far to go.
LONGER = replace(SHORT, batch_targets=256, epochs=20, patience=20, lambda_rate=3.0)
FACTORS = np.arange(-20, 61) / 20  # on the trained lambda: the places of the page's slider


def forest() -> list[dict[str, object]]:
    """Return each comparison of NDCG@10 that has all seeds of its study, of every study.

    Against SASRec, and where a study has the table, of real intensities against a placebo, or of a
    pair of models. What two studies read from the same runs is one row with both their titles.
    Intervals are over users and seeds.
    """
    rows: defaultdict[tuple[object, ...], list[dict[str, Any]]] = defaultdict(list)
    # A study that reads another's searches comes after it, and adds to its rows.
    for study in sorted(map(read_study, names()), key=_borrows):
        for table, against in AGAINST.items():
            if table not in study.tables:
                continue
            for cell in _told(study, study.table(table)):
                row = _row(cell, against)
                row["name"] += _over(study, cell["arm"]) if against == BASELINE else ""
                base = f"{cell['base']:.10g}"  # two tables may part in the last bit
                key = (table, *(cell[name] for name in SAME), base, row["change"], row["low"])
                # Arms of one study may have the same runs, too, and stay apart.
                others = [other for other in rows[key] if study.title not in other["study"]]
                others.sort(key=lambda other, arm=row["arm"]: other["arm"] != arm)
                if others:
                    others[0]["study"].append(study.title)
                else:
                    rows[key].append(row | {"study": [study.title]})
    found = [row for same in rows.values() for row in same]
    named = Counter(row["name"] for row in found)
    for row in found:  # the same arm with other seeds, or on another backbone
        if named[row["name"]] > 1:
            row["name"] += f" ({row['study'][0]})"
    return found


def _over(study: Study, arm: str) -> str:
    """Return what an arm is compared with, where that is SASRec with settings of its own."""
    base = study.arm(study.arm(arm).against)
    changed = base.name != arm and (base.settings.model or base.settings.train)
    return f" over {arm_title(base.name)}" if changed else ""


def _borrows(study: Study) -> bool:
    return any(arm.settings.searches for arm in study.arms)


def _told(study: Study, cells: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table's whole comparisons of NDCG@10."""
    if cells.empty:
        return []
    seeds = cells["n_seeds"] == len(study.seeds)
    return cells[(cells["metric"] == "NDCG") & (cells["k"] == 10) & seeds].to_dict("records")


def _row(cell: Mapping[str, Any], against: str) -> dict[str, Any]:
    """Return a comparison as the figure shows it."""
    title, arm = CATALOGUE[cell["dataset"]].title, arm_title(cell["arm"])
    what = arm if cell["model"] == BASELINE else f"{name_of(cell['model'])}, {arm}"
    if against != BASELINE:
        told = {name: name_of(cell[name]) for name in ("model", "ae") if name in cell}
        what = against.format(**told, arm=arm)
    return (
        {"dataset": title, "arm": arm, "name": f"{title}: {what}"}
        | {key: float(f"{cell[column]:.6g}") for key, column in NUMBERS.items()}
        | {"robust": bool(cell["robust_clustered"])}
    )


def arm_title(arm: str) -> str:
    """Return what an arm of a study is called in words.

    >>> arm_title("variant_backbone across"), arm_title("p 0.5"), arm_title("alibi")
    ("variant's backbone, shuffled", 'dose p = 0.5', 'alibi')
    """
    stem, _, kind = arm.rpartition(" ")
    if kind in KINDS:
        return ", ".join(filter(None, [BACKBONES.get(stem, stem), KINDS[kind]]))
    if stem == "p":
        return f"dose p = {kind}"
    return BACKBONES.get(arm, ARMS.get(arm, arm))


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
        {
            "name": f"{published.DATASETS[row.dataset]}, {name_of(row.model)}",
            "dataset": published.DATASETS[row.dataset],
            "lambda": lam,
        }
        for row, lam in zip(table4.itertuples(), table4["lambda_mean"], strict=True)
    ]
    return {"runs": points, "paper": paper}


def history() -> dict[str, object]:
    """Return the three variants, trained on a log in which intensity tells, and six of its users.

    For each variant the two whose next item is among its first ten, and goes furthest while lambda
    moves as far as the page's slider lets it; and how many users' next items leave the ten.
    """
    dataset = telling()
    fits = {name: fit(dataset, name, SEEDS[0], SMALL, LONGER) for name in VARIANTS}
    context, targets = dataset.split.context("test"), dataset.split.targets("test")
    n = int(context.lengths[0])  # of every user
    items, minutes = context.items.reshape(-1, n), context.intensity.reshape(-1, n)
    chosen: list[int] = []
    models = {}
    for name, fitted in fits.items():
        ranks = ranks_by_factor(fitted.model, items, minutes, targets)
        furthest, inside = ranks.max(axis=0), fitted.ranks["test_unfiltered"] <= 10
        order = np.argsort(-np.where(inside, furthest, 0), kind="stable")
        chosen += [int(user) for user in order if user not in chosen][:2]
        counts = {"inside": int(inside.sum()), "leave": int((inside & (furthest > 10)).sum())}
        models[name_of(name)] = exported(fitted.model) | counts
    users = [
        {"name": user, "next": int(targets[user])}
        | {"items": items[user].tolist(), "intensity": minutes[user].tolist()}
        for user in chosen
    ]
    return {"users": users, "models": models}


def ranks_by_factor(
    model: Backbone, items: np.ndarray, minutes: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """Return the targets' ranks with each factor on the trained lambdas, (factors, users)."""
    trained = model.lambdas
    rows, intensity = torch.tensor(items), torch.tensor(minutes)
    wanted, found = torch.tensor(targets)[:, None], []
    with torch.inference_mode():
        for factor in FACTORS:
            for parameter, lam in zip(model.lambda_parameters, trained, strict=True):
                parameter.fill_(factor * lam)
            scores = model.logits(model.next_item_hidden(rows, intensity))[:, 1:]
            higher = scores > scores.gather(1, wanted - 1)
            found.append(1 + higher.sum(dim=1).numpy())
        for parameter, lam in zip(model.lambda_parameters, trained, strict=True):
            parameter.fill_(lam)
    return np.stack(found)


def telling(n_users: int = 300, n_items: int = 40, length: int = 12) -> Dataset:
    """Return a log whose intensity tells what comes: users go on from what took them longest.

    Items lie on a ring. Half of the time a user takes one of the next three from the item with the
    most minutes so far, or the first after it that is new; else any new one. Minutes are
    log-normal.
    """
    rng, rows = np.random.default_rng(0), []
    for user in range(n_users):
        items, minutes = [int(rng.integers(n_items))], [_minutes(rng)]
        while len(items) < length:
            start = items[int(np.argmax(minutes))] + rng.integers(1, 4)
            if rng.random() < 0.5:
                start = rng.integers(n_items)
            ring = ((start + step) % n_items for step in range(n_items))
            items.append(next(int(item) for item in ring if item not in items))
            minutes.append(_minutes(rng))
        rows += [(user, i, w, t) for t, (i, w) in enumerate(zip(items, minutes, strict=True))]
    frame = pd.DataFrame(rows, columns=["user", "item", "intensity", "timestamp"])
    log = Interactions.from_frame(frame, source="a log whose intensity tells")
    return Dataset.from_interactions(log, CATALOGUE["synthetic"])


def _minutes(rng: np.random.Generator) -> int:
    return max(1, round(float(np.exp(3 + 1.5 * rng.normal()))))


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
