"""What [IA] printed: its Tables 2, 3 and 4 as frames, under our names.

The CSV files in ``results/published`` hold the tables as printed. Bold type, which marks robust
cells in Table 3, did not survive in the text at hand; what that text says about cells in words
stands in `ROBUST` and `NOT_ROBUST`.

References
----------
[IA] Shyrallyiev & Pyshnograiev 2026, sections 4 to 6, Tables 2, 3 and 4.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from seqattn.data import CATALOGUE
from seqattn.errors import SeqattnError
from seqattn.files import ROOT

FOLDER = ROOT / "results" / "published"
DATASETS = {
    "ml-100k": "ML-100K",
    "ml-1m": "ML-1M",
    "amazon-music": "Amazon-Music",
    "amazon-office": "Amazon-Office",
    "steam-3k": "Steam-3k",
    "steam-8k": "Steam-8k",
    "steam-15k": "Steam-15k",
}
VARIANTS = {"ia-add": "Add", "ia-mul": "Mul", "ia-val": "Val"}

# Sections 1 and 5: "Steam-3k Mul is ... both robust", "six robust degradations" on Steam-15k,
# "Val on Amazon-Office degrades Recall@10 robustly".
ROBUST = frozenset(
    {
        ("steam-3k", "ia-mul", "NDCG"),
        ("steam-3k", "ia-mul", "MRR"),
        *(
            ("steam-15k", m, name)
            for m in ("ia-mul", "ia-val")
            for name in ("NDCG", "Recall", "MRR")
        ),
        ("amazon-office", "ia-val", "Recall"),
    }
)

# Section 5: the one positive cell with a star "does not survive". Cells without a star are not
# robust by the rule itself, which asks the t-test to reject.
NOT_ROBUST = frozenset({("amazon-office", "ia-add", "MRR")})


def of_paper(frame: pd.DataFrame) -> pd.Series:
    """Return which rows (column dataset) are of the paper's datasets."""
    return frame["dataset"].isin(list(DATASETS))


def table2() -> pd.DataFrame:
    """Return [IA] Table 2: dataset, users, items, interactions, density_percent, intensity.

    Raises
    ------
    SeqattnError
        If the file is missing or names a dataset that is not in `DATASETS`.
    """
    return _read("table2_datasets")


def table3() -> pd.DataFrame:
    """Return [IA] Table 3, one row a cell at k = 10.

    Returns
    -------
    DataFrame
        Columns dataset, model, metric, k, change (percent of SASRec, printed to one decimal),
        stars of the paired t-test (``*`` p < 0.05, ``**`` p < 0.01), robust (``yes``, ``no``, or
        ``unknown`` where the text at hand lost the bold type and does not say it in words).

    Raises
    ------
    SeqattnError
        If the file is missing or names what is not in `DATASETS` and `VARIANTS`.
    """
    frame = _read("table3_relative_change")
    frame[["metric", "k"]] = frame["metric"].str.split("@", expand=True)
    frame["k"] = frame["k"].astype(int)
    frame["stars"] = frame["stars"].fillna("")
    frame["robust"] = [
        _robust((row.dataset, row.model, row.metric), row.stars) for row in frame.itertuples()
    ]
    frame = frame.rename(columns={"relative_change_percent": "change"})
    return frame[["dataset", "model", "metric", "k", "change", "stars", "robust"]]


def table4() -> pd.DataFrame:
    """Return [IA] Table 4: dataset, model, lambda_mean, lambda_std over layers and seeds.

    Raises
    ------
    SeqattnError
        If the file is missing or names what is not in `DATASETS` and `VARIANTS`.
    """
    return _read("table4_lambda")


def is_part(dataset: str, n_users: int) -> bool:
    """Return whether results on so many users are of a part of the dataset, not of all of it.

    The only one is the mirror's Amazon-Music, where half of the rows have a time.
    """
    entry = CATALOGUE.get(dataset)
    if not (entry and entry.core and entry.mirror and entry.mirror.core):
        return False
    return n_users == entry.mirror.core.users < entry.core.users


def title(dataset: str, *, part: bool = False) -> str:
    """Return a dataset's name in tables: the paper's where it has one; a part is named as such."""
    entry = CATALOGUE.get(dataset)
    if part and entry and entry.mirror and entry.mirror.title:
        return entry.mirror.title
    return DATASETS.get(dataset) or (entry.title if entry else dataset)


def with_titles(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows (column dataset) in the paper's order, others last, with ``title``.

    A column part says which were run on a part of the dataset's users; without it, or where it is
    NaN, none was.
    """
    rank = {name: place for place, name in enumerate(DATASETS)}
    frame = frame.sort_values(
        "dataset", key=lambda names: names.map(lambda n: rank.get(n, len(rank))), kind="stable"
    )
    parts = frame["part"].eq(True) if "part" in frame else [False] * len(frame)
    pairs = zip(frame["dataset"], parts, strict=True)
    return frame.assign(title=[title(name, part=part) for name, part in pairs])


def _robust(cell: tuple[str, str, str], stars: str) -> str:
    if cell in ROBUST:
        return "yes"
    return "no" if cell in NOT_ROBUST or not stars else "unknown"


def _read(name: str) -> pd.DataFrame:
    path = FOLDER / f"ia_sasrec_{name}.csv"
    try:
        frame = pd.read_csv(path)
    except OSError as error:
        raise SeqattnError(f"cannot read {path}: {error.strerror}; restore it from git") from error
    frame["dataset"] = _ours(frame["dataset"], DATASETS, path)
    if "variant" in frame:
        frame["model"] = _ours(frame.pop("variant"), VARIANTS, path)
    return frame


def _ours(names: pd.Series, known: dict[str, str], path: Path) -> pd.Series:
    """Return our names for the paper's."""
    ours = {published: name for name, published in known.items()}
    strange = sorted(set(names) - set(ours))
    if strange:
        raise SeqattnError(f"{path} names {strange[0]!r}; known: {', '.join(ours)}")
    return names.map(ours)
