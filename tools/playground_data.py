"""Write what the pages' playgrounds show of our results, as scripts that a page loads.

A page that was opened from a disk may load a script and not a JSON file, so each file sets
``window.playgroundData.NAME``.

    python tools/playground_data.py
"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

from seqattn.analysis import lambdas
from seqattn.config import BACKBONES, BASELINE, SEEDS
from seqattn.data import CATALOGUE
from seqattn.files import write_text
from seqattn.plots.style import name_of
from seqattn.runs.store import Store
from seqattn.studies.ia import published
from seqattn.studies.plan import read_study

ROOT = Path(__file__).resolve().parents[1]
CAMPAIGN, RECORDS = ROOT / "results" / "campaign", ROOT / "results" / "datasets"
FOLDER = ROOT / "_build" / "static" / "playgrounds"
NUMBERS = {"change": "relative_change_percent", "low": "low", "high": "high"}
NUMBERS |= {"seeds": "n_seeds", "users": "n_users"}
STUDIES = ("replication", "dropout", "split_in_time", "positions", "several_queries", "kernels")


def forest() -> list[dict[str, object]]:
    """Return each comparison of NDCG@10 that has all seeds, of every study."""
    rows = []
    for name in STUDIES:
        study = read_study(name)
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


PLAYGROUNDS = {"forest": forest, "luck": luck, "travel": travel}


def main() -> None:
    """Write a script a playground."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, make in PLAYGROUNDS.items():
        text = json.dumps(make(), separators=(",", ":"), allow_nan=False)
        write_text(
            FOLDER / f"{name}.data.js",
            f"(window.playgroundData ||= {{}}).{name} = {text};\n",
        )


if __name__ == "__main__":
    main()
