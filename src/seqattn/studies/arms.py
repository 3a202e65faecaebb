"""One variant in several arms: NDCG@10 side by side, without ties, and SASRec against itself."""

from __future__ import annotations

from typing import Any

import pandas as pd

from seqattn.config import BACKBONES, BASELINE, DESIGNS, SEEDS
from seqattn.plots.style import name_of
from seqattn.studies.ia import published
from seqattn.studies.judge import ndcg_at_10, widened, with_columns
from seqattn.studies.texts import change, is_true, share

_KEY = ["dataset", "model"]
_SHOWN = ["change", "low", "high", "robust", "base", "level"]


def side_by_side(cells: pd.DataFrame) -> pd.DataFrame:
    """Return NDCG@10 of each dataset and variant that both designs have with all their seeds.

    Parameters
    ----------
    cells : DataFrame
        A study's table ``comparisons``, with the arms of `seqattn.config.BACKBONES`.

    Returns
    -------
    DataFrame
        dataset, model, part, title, and change, low, high (percent of SASRec), robust, base
        (SASRec's mean) and level (the variant's), with the arm behind, as in
        ``change_own_search``; NaN where an arm was not run with all of the protocol's seeds.
    """
    if cells.empty:
        return cells
    cells = with_columns(published.with_titles(cells), ["base", "difference"])
    both = cells.loc[cells["arm"] == DESIGNS[0], [*_KEY, "part", "title"]].drop_duplicates()
    cells = ndcg_at_10(cells[cells["n_seeds"] >= len(SEEDS)])
    cells["level"] = cells["base"] + cells["difference"]
    for arm in BACKBONES:
        side = cells[cells["arm"] == arm].set_index(_KEY)[_SHOWN].add_suffix(f"_{arm}")
        both = both.join(side, on=_KEY, how="inner" if arm in DESIGNS else "left")
    return both.reset_index(drop=True)


def robust_counts(both: pd.DataFrame) -> pd.DataFrame:
    """Return how many changes of `side_by_side` are robust: one row per kind of backbone."""
    rows = {
        name: share(both[f"robust_{arm}"]) if len(both) else share([])
        for arm, name in BACKBONES.items()
    }
    return pd.DataFrame({"robust": rows}).rename_axis("backbone")


def changes_table(both: pd.DataFrame, *, levels: bool = True) -> pd.DataFrame:
    """Return the changes of `side_by_side` as text, one column per kind of backbone.

    With `levels`, SASRec's NDCG@10 → the variant's stands in a second line.
    """
    rows = [
        {"dataset": row["title"], "variant": name_of(row["model"])}
        | {name: _side(row, arm, levels) for arm, name in BACKBONES.items()}
        for row in both.to_dict("records")
    ]
    keys = ["dataset", "variant"]
    return pd.DataFrame(rows, columns=[*keys, *BACKBONES.values()]).set_index(keys)


def _side(row: dict[str, Any], arm: str, levels: bool) -> str:
    told = {name: row[f"{name}_{arm}"] for name in _SHOWN}
    if pd.isna(told["base"]) or not levels:
        return change(told)
    return f"{change(told)}\n{told['base']:.4f} → {told['level']:.4f}"


def robust_somewhere(both: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `side_by_side` that are robust on at least one kind of backbone."""
    if both.empty:
        return both
    return both[both[[f"robust_{arm}" for arm in BACKBONES]].eq(True).any(axis=1)]


def beside_paper(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows (column dataset) of datasets that the paper does not have."""
    return frame if frame.empty else frame[~published.of_paper(frame)]


def ties_table(both: pd.DataFrame, ties: pd.DataFrame) -> pd.DataFrame:
    """Return comparisons that are robust on all users or on those whose target no tie decides.

    Parameters
    ----------
    both : DataFrame
        Of `side_by_side`.
    ties : DataFrame
        A study's table ``ties``.
    """
    columns = ["dataset", "variant", "backbone", "all users", "without a tie", "of all"]
    rows = []
    for row in both.merge(ties, on=_KEY).to_dict("records") if len(both) and len(ties) else ():
        everyone = {key: row[f"{key}_{row['arm']}"] for key in _SHOWN[:4]}
        if not pd.isna(everyone["change"]) and (is_true(everyone["robust"]) or row["robust"]):
            names = (row["title"], name_of(row["model"]), BACKBONES[row["arm"]])
            rows.append((*names, change(everyone), change(row), f"{row['share']:.0%}"))
    return pd.DataFrame(rows, columns=columns).set_index(columns[:3])


def other_searches(luck: pd.DataFrame) -> pd.DataFrame:
    """Return SASRec's rows with a configuration that its own search did not find, titled.

    `luck` is a study's table of that name.
    """
    return luck if luck.empty else published.with_titles(luck[~luck["same"].astype(bool)])


def best_by_another(luck: pd.DataFrame) -> pd.Series:
    """Return, by dataset, whether another model's search found SASRec's best validation NDCG@10."""
    best = luck.loc[luck.groupby("dataset", sort=False)["valid"].idxmax()]
    return best.set_index("dataset")["model"] != BASELINE


def expected_by_another(luck: pd.DataFrame) -> float:
    """Return on how many datasets another search would find the best if searches were alike.

    Each distinct configuration then has the same chance to be the best.
    """
    distinct = luck.groupby("dataset")["same"].apply(lambda same: 1 + int((~same).sum()))
    return float((1 - 1 / distinct).sum())


def luck_table(luck: pd.DataFrame) -> pd.DataFrame:
    """Return SASRec's validation / test NDCG@10 by search, and the change on test, as text.

    One row per dataset, one column per search; two searches that found one configuration are
    "the same".
    """
    rows = [
        (row["title"], f"{name_of(row['model'])}'s search", _luck(row))
        for row in published.with_titles(luck).to_dict("records")
    ]
    told = pd.DataFrame(rows, columns=["dataset", "search", "told"])
    return widened(told, ["dataset"], "search", "told").rename_axis(columns=None)


def _luck(row: dict[str, Any]) -> str:
    levels = f"{row['valid']:.4f} / {row['test']:.4f}"
    if row["model"] == BASELINE:
        return levels
    return f"{levels}\n{'the same' if row['same'] else change(row)}"
