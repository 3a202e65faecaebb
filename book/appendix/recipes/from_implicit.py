"""Fit ALS of the library implicit on a split that seqattn wrote, and save its lists.

seqattn prepare ml-100k --split split.csv
python from_implicit.py split.csv lists.csv
seqattn evaluate -d ml-100k --lists lists.csv --kind filtered --name implicit-als
"""

import sys

import numpy as np
import pandas as pd
from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

split, output = sys.argv[1:]
log = pd.read_csv(split, dtype=str, keep_default_na=False)
users, user_ids = pd.factorize(log["user"])
items, item_ids = pd.factorize(log["item"])


def matrix(rows):
    """Return a matrix of users by items from chosen rows."""
    shape = len(user_ids), len(item_ids)
    return csr_matrix((np.ones(rows.sum()), (users[rows], items[rows])), shape=shape)


k = min(100, len(item_ids))
model = AlternatingLeastSquares(factors=64, random_state=2020)
model.fit(matrix(log["part"] == "train"), show_progress=False)
best, scores = model.recommend(
    np.arange(len(user_ids)),
    matrix(log["part"] != "test"),  # what a user already has, validation item included
    N=k,
    filter_already_liked_items=True,
    recalculate_user=True,
)
lists = pd.DataFrame({"user": np.repeat(user_ids, k), "item": item_ids[best.ravel()]})
lists["rank"] = np.tile(np.arange(1, k + 1), len(user_ids))
lists[scores.ravel() > -1e30].to_csv(output, index=False)  # places that no item is left for
