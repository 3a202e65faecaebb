"""All cells as one searchable table: HTML without a request to anywhere, and the same as CSV."""

from __future__ import annotations

import html as escape
from collections.abc import Sequence

import pandas as pd

from seqattn.config import BASELINE, DESIGNS
from seqattn.pages.writing import DESIGN_NAMES, NOT_RUN
from seqattn.plots import name_of
from seqattn.studies.ia import published
from seqattn.studies.ia.agreement import agreement
from seqattn.studies.judge import grid, with_columns
from seqattn.studies.tables import Campaign

# Column of the frame, head of the HTML column, format.
_COLUMNS = (
    ("title", "dataset", "{}"),
    ("design", "design", "{}"),
    ("variant", "variant", "{}"),
    ("metric", "metric", "{}"),
    ("k", "k", "{:d}"),
    ("relative_change_percent", "change, %", "{:+.2f}"),
    ("low", "95 % low", "{:+.2f}"),
    ("high", "95 % high", "{:+.2f}"),
    ("published_change", "published, %", "{:+.1f}"),
    ("t_p_value", "p, t-test", "{:.4f}"),
    ("pooled_p_value", "p, pooled", "{:.4f}"),
    ("clustered_p_value", "p, clustered", "{:.4f}"),
    ("p_bh", "BH", "{:.4f}"),
    ("p_holm", "Holm", "{:.4f}"),
    ("robust", "robust, pooled", "{}"),
    ("robust_clustered", "robust, clustered", "{}"),
    ("equivalent", "equivalent", "{}"),
    ("n_seeds", "seeds", "{:.0f}"),
    ("trials", "trials", "{}"),
)
_EXTRA_COLUMNS = (
    *("dataset", "set", "base", "difference", "t_statistic", "d_z", "p", "tost_p", "family"),
    *("seeds_positive", "seeds_negative", "robust_bh", "robust_holm", "n_users"),
)


def frame(found: Campaign, extras: Sequence[str] = ()) -> pd.DataFrame:
    """Return a row a (dataset, design, variant, metric, cut-off), run or not.

    The paper's 252 cells stand first, in each design; then what was run of `extras`, with "extra"
    in the column ``set``. ``status`` says "run" or "not run".
    """
    parts = []
    for design in DESIGNS:
        printed = agreement(found.cells, design)
        printed = printed[["dataset", "model", "metric", "k", "published_change"]]
        rows = grid(found.cells, design).merge(
            printed, on=["dataset", "model", "metric", "k"], how="left"
        )
        parts.append(rows.assign(design=design, set="paper"))
    if not found.cells.empty:
        beside = found.cells[found.cells["dataset"].isin(list(extras))]
        parts.append(beside.assign(run=True, set="extra"))
    rows = pd.concat([part for part in parts if len(part)], ignore_index=True)
    rows["title"] = [
        published.title(row.dataset, part=row.part is True) for row in rows.itertuples()
    ]
    rows["variant"] = rows["model"].map(name_of)
    rows["status"] = rows["run"].map({True: "run", False: NOT_RUN})
    rows["trials"] = _trials(rows, found.runs)
    rows["design"] = rows["design"].map(DESIGN_NAMES)
    names = [name for name, _, _ in _COLUMNS]
    return with_columns(rows, [*names, *_EXTRA_COLUMNS])[[*names, "status", *_EXTRA_COLUMNS]]


def html(found: Campaign) -> str:
    """Return the paper's cells as a table with a search field and sortable columns."""
    head = "".join(
        '<th scope="col" aria-sort="none"><button type="button">'
        f"{escape.escape(name)}</button></th>"
        for _, name, _ in _COLUMNS
    )
    body = "\n".join(_row(row) for row in frame(found).to_dict("records"))
    return _PAGE.replace("HEAD", head).replace("BODY", body)


def _row(row: dict) -> str:
    cells = []
    for name, _, pattern in _COLUMNS:
        value = row[name]
        if name == "relative_change_percent" and row["status"] == NOT_RUN:
            text = NOT_RUN
        elif pd.isna(value):
            text = ""
        elif value is True or value is False:
            text = "yes" if value else "no"
        else:
            text = pattern.format(value)
        cells.append(f"<td>{escape.escape(text)}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _trials(rows: pd.DataFrame, runs: pd.DataFrame) -> list[str]:
    """Return "SASRec's + the variant's" numbers of trials; empty where not run."""
    if runs.empty:
        return [""] * len(rows)
    keys = zip(runs["dataset"], runs["design"], runs["model"], strict=True)
    told = {
        key: f"{have}/{asked}"
        for key, have, asked in zip(keys, runs["trials"], runs["trials_asked"], strict=True)
    }
    return [
        " + ".join(told.get((row.dataset, row.design, m), "–") for m in (BASELINE, row.model))
        if row.run
        else ""
        for row in rows.itertuples()
    ]


_PAGE = """<div class="cells-table">
<style>
.cells-table .frame { max-height: 32rem; overflow: auto; border: 1px solid #ccc; }
.cells-table table { font-size: .75rem; margin: 0; white-space: nowrap; width: auto; }
.cells-table td, .cells-table th { padding: .15rem .45rem; text-align: right; }
.cells-table td:nth-child(-n+4), .cells-table th:nth-child(-n+4) { text-align: left; }
.cells-table th { position: sticky; top: 0; background: var(--pst-color-surface, #f4f4f4); }
.cells-table th button { all: unset; cursor: pointer; font-weight: bold; }
.cells-table th button:focus-visible { outline: 2px solid currentColor; }
.cells-table th[aria-sort=ascending] button::after { content: " \\25B2"; }
.cells-table th[aria-sort=descending] button::after { content: " \\25BC"; }
.cells-table input { margin: 0 .6rem .6rem 0; padding: .2rem .4rem; min-width: 16rem; }
</style>
<label>Search <input type="search" placeholder="for example: ml-1m val ndcg matched"></label>
<span role="status" class="count"></span>
<div class="frame" tabindex="0" role="region" aria-label="All cells">
<table><thead><tr>HEAD</tr></thead><tbody>
BODY
</tbody></table></div>
<script>
(() => {
  const root = document.currentScript.closest(".cells-table");
  const body = root.querySelector("tbody"), rows = [...body.rows];
  const texts = rows.map(row => [...row.cells].map(c => c.textContent).join(" ").toLowerCase());
  const field = root.querySelector("input"), count = root.querySelector(".count");
  const filter = () => {
    const words = field.value.toLowerCase().split(/\\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => {
      row.hidden = !words.every(word => texts[i].includes(word));
      shown += !row.hidden;
    });
    count.textContent = `${shown} of ${rows.length} cells`;
  };
  const key = (row, column) => {
    const text = row.cells[column].textContent;
    return text === "" || isNaN(text) ? text : Number(text);
  };
  // Numbers first, then words; what is empty or "not run" stays last either way.
  const rank = value => typeof value === "number" ? 0 : value && value !== "not run" ? 1 : 2;
  root.querySelectorAll("th").forEach((head, column) => head.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    root.querySelectorAll("th").forEach(other => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    body.append(...[...rows].sort((a, b) => {
      const x = key(a, column), y = key(b, column);
      return rank(x) - rank(y) || (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1);
    }));
  }));
  field.addEventListener("input", filter);
  filter();
})();
</script>
</div>
"""
