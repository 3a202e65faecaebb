"""Fit a model of RecBole on a split that seqattn wrote, and save its scores.

    seqattn prepare ml-100k --split split.csv
    python from_recbole.py split.csv scores.npz BPR 50 --seed=2020 --learning_rate=0.005
    seqattn evaluate -d ml-100k --scores scores.npz --name recbole-bpr --seed 2020

After the model and the most epochs to train comes any setting of RecBole's, as ``--name=value``.
Training stops at the eleventh validation in a row without a better NDCG@10 (``--stopping_step``),
and the best epoch is what is scored.

Prints RecBole's own metrics of the test targets. It hides a user's history from its general
models, such as BPR: these metrics are seqattn's *filtered* ones. It does not from its sequential
models, such as SASRec: there they are the *unfiltered* ones. The scores that are saved hide
nothing, so seqattn gives both kinds.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed
from recbole.utils.case_study import full_sort_scores

import seqattn.recbole  # noqa: F401  RecBole needs it with NumPy 2; leave it out elsewhere

split, output, name, epochs = sys.argv[1:5]
output = Path(output).resolve()
log = pd.read_csv(split, dtype=str, keep_default_na=False)
from_end = log.groupby("user").cumcount(ascending=False)
expected = from_end.map({0: "test", 1: "valid"}).fillna("train")
if not log["part"].equals(expected):  # RecBole splits the log itself, see `eval_args`
    sys.exit(f"{split} is no leave-one-out split, which this recipe needs")
folder = Path(tempfile.mkdtemp())
os.chdir(folder)  # where RecBole leaves its logs
(folder / "log").mkdir()
columns = {"user_id:token": log["user"], "item_id:token": log["item"]}
# The place in the history is the time: no ties, so leave-one-out is the same split.
columns["timestamp:float"] = log.groupby("user").cumcount()
pd.DataFrame(columns).to_csv(folder / "log" / "log.inter", sep="\t", index=False)

settings = {
    "data_path": str(folder),
    "checkpoint_dir": str(folder),
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"},
    "metrics": ["NDCG", "Recall", "MRR"],
    "topk": [10, 20],
    "valid_metric": "NDCG@10",
    "metric_decimal_place": 9,
    "epochs": int(epochs),
    "show_progress": False,
}
try:
    config = Config(model=name, dataset="log", config_dict=settings)
except ValueError:  # it learns by cross-entropy, and RecBole asks to be told
    settings["train_neg_sample_args"] = None
    config = Config(model=name, dataset="log", config_dict=settings)
init_seed(config["seed"], reproducibility=True)
dataset = create_dataset(config)
train, valid, test = data_preparation(config, dataset)
model = get_model(name)(config, train._dataset).to(config["device"])
trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
trainer.fit(train, valid, verbose=False, show_progress=False)
os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # for the checkpoint that RecBole wrote
metrics = trainer.evaluate(test, load_best_model=True, show_progress=False)

if not test.is_sequential:  # else full_sort_scores gives what a user already has -inf, as it did
    test.uid2history_item.fill(torch.tensor([], dtype=torch.long))
numbers = np.arange(1, dataset.user_num)  # 0 is padding, of users and of items
scores = full_sort_scores(numbers, model, test, device=config["device"])
np.savez(
    output,
    users=dataset.id2token("user_id", numbers).astype(str),
    items=dataset.id2token("item_id", np.arange(1, dataset.item_num)).astype(str),
    scores=scores[:, 1:].cpu().numpy(),
)
print(json.dumps(metrics))
