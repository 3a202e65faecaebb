"""All comparisons of the paper's datasets as one table of text, to search and to sort."""

from __future__ import annotations

import pandas as pd

from seqattn.config import BASELINE
from seqattn.plots.style import name_of
from seqattn.studies.ia import published
from seqattn.studies.texts import ARMS, yes_no

# Column, its head, its format.
_COLUMNS = (
    ("title", "dataset", "{}"),
    ("arm", "design", "{}"),
    ("model", "variant", "{}"),
    ("metric", "metric", "{}"),
    ("k", "k", "{}"),
    ("relative_change_percent", "change, %", "{:+.2f}"),
    ("low", "95 % low", "{:+.2f}"),
    ("high", "95 % high", "{:+.2f}"),
    ("change", "published, %", "{:+.1f}"),
    ("t_p_value", "p, t-test", "{:.4f}"),
    ("pooled_p_value", "p, pooled", "{:.4f}"),
    ("clustered_p_value", "p, clustered", "{:.4f}"),
    ("p_bh", "BH", "{:.4f}"),
    ("p_holm", "Holm", "{:.4f}"),
    ("robust", "robust, pooled", None),
    ("robust_clustered", "robust, clustered", None),
    ("equivalent", "equivalent", None),
    ("n_seeds", "seeds", "{:.0f}"),
    ("trials", "trials", "{}"),
)


def listing(cells: pd.DataFrame, searches: pd.DataFrame) -> pd.DataFrame:
    """Return one row per comparison of the paper's datasets, in both designs, as text.

    ``trials`` are those of SASRec's search and the variant's, done / asked. What a comparison does
    not have, such as a published change at a deeper cut-off, is empty.
    """
    if cells.empty:
        return pd.DataFrame(columns=[head for _, head, _ in _COLUMNS])
    rows = cells[cells["arm"].isin(list(ARMS)) & cells["dataset"].isin(list(published.DATASETS))]
    keys = ["dataset", "model", "metric", "k"]
    rows = rows.merge(published.table3()[[*keys, "change"]], on=keys, how="left")
    rows["order"] = rows["arm"].map(list(ARMS).index)
    rows = published.with_titles(rows).sort_values("order", kind="stable")
    rows["trials"] = _trials(rows, searches)
    rows["arm"], rows["model"] = rows["arm"].map(ARMS), rows["model"].map(name_of)
    return pd.DataFrame({head: _text(rows[name], form) for name, head, form in _COLUMNS})


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
