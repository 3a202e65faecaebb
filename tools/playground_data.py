"""Write what the pages' playgrounds show of our results, as scripts that a page loads.

A page that was opened from a disk may load a script and not a JSON file, so each file sets
``window.playgroundData.NAME``.

    python tools/playground_data.py
"""

from __future__ import annotations

import json
from pathlib import Path

from seqattn.config import BACKBONES, BASELINE, SEEDS
from seqattn.data import CATALOGUE
from seqattn.files import write_text
from seqattn.plots.style import name_of
from seqattn.studies.plan import read_study

ROOT = Path(__file__).resolve().parents[1]
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
    for path in sorted((ROOT / "results" / "campaign" / "searches").glob("*/published/*.json")):
        record = json.loads(path.read_text())
        values = [t["value"] for t in record["trials"] if t["state"] == "COMPLETE"]
        name = f"{CATALOGUE[record['dataset']].title}, {name_of(record['model'])}"
        found.append({"name": name, "values": values})
    return found


PLAYGROUNDS = {"forest": forest, "luck": luck}


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
