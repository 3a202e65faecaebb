"""The same comparisons under several rules of decision: who is called an effect, and by which."""

from __future__ import annotations

import pandas as pd

from seqattn.config import BASELINE, DESIGNS
from seqattn.plots.style import name_of
from seqattn.stats.criterion import CRITERIA
from seqattn.studies.ia import published
from seqattn.studies.judge import ALPHA
from seqattn.studies.texts import ARMS, cell_name, is_true, percent, span, yes_no

RULES = {rule: CRITERIA[rule] for rule in ("t", "robust", "robust_clustered", "bh", "holm")}


def whole(cells: pd.DataFrame, arm: str, k: int | None = None) -> pd.DataFrame:
    """Return the whole comparisons of one arm, which may decide."""
    mine = of_arm(cells, arm, k)
    return mine if mine.empty else mine[mine["whole"]]


def of_arm(cells: pd.DataFrame, arm: str, k: int | None = None) -> pd.DataFrame:
    """Return what was run in one arm, whole or in part, on the paper's datasets and others."""
    if cells.empty:
        return cells
    mine = cells["arm"] == arm
    return cells[mine & (cells["k"] == k)] if k else cells[mine]


def holds(cells: pd.DataFrame, rule: str) -> pd.Series:
    """Return which comparisons a rule of `RULES` calls an effect."""
    if rule == "t":
        return cells["t_p_value"] < ALPHA
    if rule in ("holm", "bh"):
        return cells[f"robust_{rule}"].eq(True)
    return cells[rule]


def counts(cells: pd.DataFrame) -> pd.DataFrame:
    """Return losses and gains: one row per rule; empty without comparisons."""
    rows = []
    for rule, name in RULES.items() if len(cells) else ():
        directions = cells.loc[holds(cells, rule), "direction"]
        rows.append((name, int((directions < 0).sum()), int((directions > 0).sum())))
    return pd.DataFrame(rows, columns=["rule", "losses", "gains"])


def counts_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Return ``losses / gains`` of each rule, and how many comparisons there are.

    One row per rule, one column per arm and set of cut-offs (at 10, all).
    """
    columns = {}
    for arm in DESIGNS:
        for told, k in (("@10", 10), ("all cut-offs", None)):
            mine = whole(cells, arm, k)
            column = {"comparisons run": len(mine)}
            column["run in part, not counted"] = len(of_arm(cells, arm, k)) - len(mine)
            found = counts(mine).itertuples(index=False)
            column |= {name: f"{losses} / {gains}" for name, losses, gains in found}
            if len(mine):
                column["equivalent"] = int(mine["equivalent"].eq(True).sum())
            columns[f"{ARMS[arm]}, {told}"] = column
    return pd.DataFrame(columns).rename_axis("rule")


def disagreements(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the comparisons at 10 on whose verdict the rules of `RULES` disagree."""
    rows = []
    for arm in DESIGNS:
        mine = whole(cells, arm, 10)
        if mine.empty:
            continue
        told = pd.DataFrame({name: holds(mine, rule) for rule, name in RULES.items()})
        mine = published.with_titles(mine[told.nunique(axis=1) > 1])
        for row in mine.itertuples():
            said = {name: yes_no(value) for name, value in told.loc[row.Index].items()}
            change = percent(row.change)
            rows.append((row.title, ARMS[arm], cell_name(row), change, *said.values()))
    columns = ["dataset", "design", "comparison", "change, %", *RULES.values()]
    return pd.DataFrame(rows, columns=columns).set_index(columns[:3])


def ndcg_whole(cells: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Return an arm's whole comparisons in NDCG@10, with ``title``, for a forest."""
    mine = whole(cells, arm, 10)
    if mine.empty:
        return mine
    mine = mine[mine["metric"] == "NDCG"]
    return published.with_titles(mine)


def equivalence_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Return TOST of every whole NDCG@10 comparison, and the smallest margin it would pass.

    Both over users and seeds, see `seqattn.studies.judge.change`.
    """
    rows = [
        {
            "dataset": row.title,
            "design": ARMS[row.arm],
            "comparison": cell_name(row),
            "change, %": percent(row.change),
            "90 % interval": span(row.tost_low, row.tost_high),
            "equivalent": yes_no(is_true(row.equivalent)),
            "smallest margin, %": f"{row.margin:.2f}",
        }
        for arm in DESIGNS
        for row in ndcg_whole(cells, arm).itertuples()
    ]
    keys = ["dataset", "design", "comparison"]
    return pd.DataFrame(rows).set_index(keys) if rows else pd.DataFrame()


# Of `listing`: column, its head, its format; None for yes or no.
_LISTED = (
    ("title", "dataset", "{}"),
    ("arm", "design", "{}"),
    ("model", "variant", "{}"),
    ("metric", "metric", "{}"),
    ("k", "k", "{}"),
    ("change", "change, %", "{:+z.2f}"),
    ("low", "95 % low", "{:+z.2f}"),
    ("high", "95 % high", "{:+z.2f}"),
    ("published_change", "published, %", "{:+z.1f}"),
    ("margin", "smallest margin, %", "{:.2f}"),
    ("t_p_value", "p, t-test", "{:.2g}"),
    ("pooled_p_value", "p, pooled", "{:.2g}"),
    ("clustered_p_value", "p, clustered", "{:.2g}"),
    ("p_bh", "BH", "{:.2g}"),
    ("p_holm", "Holm", "{:.2g}"),
    ("robust", "robust, pooled", None),
    ("robust_clustered", "robust, clustered", None),
    ("equivalent", "equivalent", None),
    ("n_seeds", "seeds", "{:.0f}"),
    ("trials", "trials", "{}"),
)


def listing(cells: pd.DataFrame, searches: pd.DataFrame) -> pd.DataFrame:
    """Return one row per comparison in both designs, as text.

    ``trials`` are those of SASRec's search and the variant's, done / asked. What a comparison does
    not have, such as a published change at a deeper cut-off, is empty.
    """
    if cells.empty:
        return pd.DataFrame(columns=[head for _, head, _ in _LISTED])
    rows = cells[cells["arm"].isin(list(ARMS))]
    keys = ["dataset", "model", "metric", "k"]
    printed = published.table3().rename(columns={"change": "published_change"})
    rows = rows.merge(printed[[*keys, "published_change"]], on=keys, how="left")
    rows["order"] = rows["arm"].map(list(ARMS).index)
    rows = published.with_titles(rows).sort_values("order", kind="stable")
    rows["trials"] = _trials(rows, searches)
    rows["arm"], rows["model"] = rows["arm"].map(ARMS), rows["model"].map(name_of)
    return pd.DataFrame({head: _text(rows[name], form) for name, head, form in _LISTED})


def _text(values: pd.Series, form: str | None) -> list[str]:
    if form is None:
        return [yes_no(value) for value in values]
    return ["" if pd.isna(value) else form.format(value) for value in values]


def _trials(rows: pd.DataFrame, searches: pd.DataFrame) -> list[str]:
    done = {
        (s.dataset, s.arm, s.model): f"{s.trials}/{s.trials_asked}" for s in searches.itertuples()
    }
    return [
        " + ".join(done.get((row.dataset, row.arm, m), "–") for m in (BASELINE, row.model))
        for row in rows.itertuples()
    ]
