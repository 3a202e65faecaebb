"""Fit a model of RecTools on a split that seqattn wrote, and save its lists.

    seqattn prepare ml-100k --split split.csv
    python from_rectools.py split.csv lists.csv
    seqattn evaluate -d ml-100k --lists lists.csv --kind filtered --name rectools-ease

Prints RecTools' own metrics of the test targets. Other models of RecTools take EASE's place in
one line.
"""

import json
import sys

import pandas as pd
from rectools import Columns
from rectools.dataset import Dataset, IdMap, Interactions
from rectools.metrics import MRR, NDCG, Recall, calc_metrics
from rectools.models import EASEModel

split, output = sys.argv[1:]
log = pd.read_csv(split, dtype=str, keep_default_na=False).rename(
    columns={"user": Columns.User, "item": Columns.Item}
)
log[Columns.Weight] = 1.0
log[Columns.Datetime] = pd.to_datetime(log.groupby(Columns.User).cumcount(), unit="s")
# One numbering of users and items for what is learned from and what is asked with.
ids = [IdMap.from_values(log[column].unique()) for column in (Columns.User, Columns.Item)]


def dataset(rows):
    """Return rows as RecTools takes them."""
    return Dataset(*ids, Interactions.from_raw(rows[Columns.Interactions], *ids))


model = EASEModel(regularization=100.0).fit(dataset(log[log["part"] == "train"]))
lists = model.recommend(
    users=log[Columns.User].unique(),
    dataset=dataset(log[log["part"] != "test"]),
    k=100,
    filter_viewed=True,
)
renamed = lists.rename(columns={Columns.User: "user", Columns.Item: "item", Columns.Rank: "rank"})
renamed[["user", "item", "rank"]].to_csv(output, index=False)

metrics = {"mrr@10": MRR(k=10), "recall@10": Recall(k=10)}
metrics["ndcg@10"] = NDCG(k=10, divide_by_achievable=True)  # of one target: the ideal is 1
print(json.dumps(calc_metrics(metrics, lists, log[log["part"] == "test"])))
