"""A metric by kind of target, with ties reversed; what a model's lists expose."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from seqattn.cli import main
from seqattn.config import ModelConfig, TrainConfig
from seqattn.data import CATALOGUE, Dataset, Interactions, load_dataset, synthetic_log
from seqattn.data.splits import Splitting
from seqattn.presets import Preset, get_preset
from seqattn.runs.evaluation import evaluation, reversed_ties, target_groups
from seqattn.runs.fitting import fit_run, run_spec
from seqattn.runs.store import RecBoleSpec, Result, Store
from seqattn.stats.metrics import metric

SMALL = Preset(
    ModelConfig(max_length=8, hidden_size=8, inner_size=8),
    TrainConfig(batch_targets=64, epochs=2, stride=5),
    TrainConfig(batch_targets=64, epochs=2, stride=5),
)


def dataset_of(rows) -> Dataset:
    """Prepare rows of user, item, intensity, timestamp without any filter."""
    frame = pd.DataFrame(rows, columns=["user", "item", "intensity", "timestamp"])
    entry = load_dataset("synthetic").entry
    entry = replace(entry, raw=None, core=None, preparation=replace(entry.preparation, core=1))
    return Dataset.from_interactions(Interactions.from_frame(frame), entry)


@pytest.fixture(scope="module")
def tied():
    """User 1's last two share a moment, user 2's last three, user 3's none."""
    return dataset_of(
        [
            *((1, item, 1.0, time) for item, time in zip("abcd", (1, 2, 3, 3), strict=True)),
            *((2, item, 2.0, time) for item, time in zip("badc", (1, 2, 2, 2), strict=True)),
            *((3, item, 3.0, time) for item, time in zip("bcad", (1, 1, 2, 3), strict=True)),
        ]
    )


def items(dataset, codes):
    return "".join(dataset.sequences.item_ids[codes - 1])


def test_reversed_ties_ask_for_the_other_held_out_item_and_leave_training_alone(tied):
    other = reversed_ties(tied)
    assert items(tied, tied.split.targets("test")) == "dcd"
    assert items(other, other.split.targets("test")) == "cdd"
    assert items(other, other.split.targets("valid")) == "dca"
    assert items(other, other.split.train.items) == items(tied, tied.split.train.items) == "abbabc"


def test_intensity_moves_with_its_item():
    log = [(1, item, float(n), min(n, 3)) for n, item in enumerate("abcde")]
    other = reversed_ties(dataset_of(log))
    assert other.sequences.intensity.tolist() == [0, 1, 2, 4, 3]


def test_a_log_without_ties_stays_as_it_is(synthetic):
    np.testing.assert_array_equal(
        reversed_ties(synthetic).sequences.items, synthetic.sequences.items
    )


def test_targets_are_of_a_kind_by_their_item_and_by_their_users_own_intensity():
    histories = {1: ("abcx", (1, 2, 3, 2)), 2: ("bdca", (4, 4, 4, 4)), 3: ("bdac", (1, 1, 9, 8))}
    dataset = dataset_of(
        (user, item, w, time)
        for user, (own, given) in histories.items()
        for time, (item, w) in enumerate(zip(own, given, strict=True))
    )
    groups = target_groups(dataset)
    # Training is ab, bd and bd: x and c were never there.
    assert items(dataset, dataset.split.targets("test")) == "xac"
    assert groups["without cold"].tolist() == [False, True, False]
    # Upper quartiles of what came before: 2.5 for (1, 2, 3), 4, and 5 for (1, 1, 9).
    assert groups["high intensity"].tolist() == [False, True, True]


def test_cold_users_are_those_whom_training_does_not_have(synthetic):
    assert "cold users" not in target_groups(synthetic)  # leave-one-out trains on everybody
    entry = replace(CATALOGUE["synthetic"], splitting=Splitting(time="quantile 0.5"))
    frame = synthetic_log().frame
    steps = frame.sort_values("timestamp").groupby("user").cumcount()
    frame = frame.assign(timestamp=steps + 9.0 * (frame["user"].astype(int) % 2))
    dataset = Dataset.from_interactions(Interactions.from_frame(frame), entry)
    trained = set(np.unique(dataset.split.train.user_of_row))
    expected = [user not in trained for user in dataset.split.users("test")]
    assert target_groups(dataset)["cold users"].tolist() == expected
    assert 0 < sum(expected) < len(expected)


@pytest.fixture(scope="module")
def runs(synthetic, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    specs = [run_spec(synthetic, m, s, SMALL) for m in ("sasrec", "ia-val") for s in (1, 2)]
    return [fit_run(store, synthetic, spec) for spec in specs]


def test_the_table_averages_runs_and_its_bands_average_to_the_whole(runs, synthetic):
    table = evaluation(runs, synthetic)
    for model in ("sasrec", "ia-val"):
        own = [metric(r.ranks(), "NDCG", 10).mean() for r in runs if r.model == model]
        assert table.loc[model, "all"] == pytest.approx(np.mean(own))
        assert table.loc[model, "ties reversed"] == pytest.approx(np.mean(own))  # it has no ties
    groups = target_groups(synthetic)
    sizes = np.array([groups[band].sum() for band in ("head", "torso", "tail")])
    bands = table[["head", "torso", "tail"]].fillna(0).to_numpy() @ sizes
    assert bands / groups["without cold"].sum() == pytest.approx(table["without cold"].to_numpy())
    assert table[["coverage", "Gini"]].stack().between(0, 1).all()


def test_lists_of_all_items_cover_all_and_show_all_alike(runs, synthetic):
    table = evaluation(runs[:1], synthetic, k=synthetic.n_items)
    assert table["coverage"].item() == 1
    assert table["Gini"].item() == pytest.approx(0)


def test_a_run_without_weights_has_no_lists(runs, synthetic, tmp_path):
    table = evaluation([Store(tmp_path).adopt(runs[0])], synthetic)
    assert table[["all", "head"]].notna().all(axis=None)
    assert table[["ties reversed", "coverage", "Gini", "novelty"]].isna().all(axis=None)


def test_the_command_prints_a_column_a_model(synthetic, tmp_path, capsys):
    for model in ("sasrec", "ia-add"):
        fit_run(Store(tmp_path), synthetic, run_spec(synthetic, model, 1, get_preset("smoke")))
    command = "metrics -d synthetic -m sasrec ia-add -s 1 --preset smoke --metric HR@5"
    assert main([*command.split(), "--results-dir", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.split()[:3] == ["model", "sasrec", "ia-add"] and "novelty" in printed


def test_a_model_made_elsewhere_stands_beside_ours(synthetic, tmp_path, capsys, one_process):
    """Lists as the popularity of RecBole would give them, against the metric of its run."""
    store, asked = ["--results-dir", str(tmp_path / "store")], ["-d", "synthetic"]
    items = np.repeat(synthetic.sequences.item_ids[None], synthetic.n_users, axis=0)
    counts = np.bincount(synthetic.split.train.items - 1, minlength=synthetic.n_items)
    np.savez(
        tmp_path / "s.npz",
        users=synthetic.sequences.user_ids,
        items=items[0],
        scores=np.repeat(counts[None], synthetic.n_users, axis=0),
    )
    made = ["evaluate", *asked, "--scores", str(tmp_path / "s.npz"), "--name", "counts", *store]
    assert main(made) == 0
    capsys.readouterr()
    told = ["metrics", *asked, "-m", "counts", "pop", "--metric", "HR@5", "--json", *store]
    assert main(told) == 0
    table = json.loads(capsys.readouterr().out)
    assert [*table] == ["counts", "pop"]
    assert table["counts"]["coverage"] is None
    for column in ("all", "head", "tail"):
        assert table["counts"][column] == pytest.approx(table["pop"][column])


def test_a_metric_beyond_the_end_of_lists_is_refused(synthetic, tmp_path, capsys):
    rows = [(u, i, n) for u in synthetic.sequences.user_ids for n, i in enumerate((1, 2, 3), 1)]
    frame = pd.DataFrame(rows, columns=["user", "item", "rank"])
    frame["item"] = synthetic.sequences.item_ids[frame["item"] - 1]
    frame.to_csv(tmp_path / "l.csv", index=False)
    store, asked = ["--results-dir", str(tmp_path / "store")], ["-d", "synthetic"]
    made = ["evaluate", *asked, "--lists", str(tmp_path / "l.csv"), "--name", "short", *store]
    assert main(made) == 0
    capsys.readouterr()
    assert main(["metrics", *asked, "-m", "short", "--metric", "HR@5", *store]) == 2
    assert "holds 3 items, so HR@5 is not known; take k = 3" in capsys.readouterr().err
    assert main(["metrics", *asked, "-m", "short", "--metric", "HR@3", *store]) == 0


def test_a_users_targets_are_averaged_before_users_are_in_every_group(several, tmp_path):
    users = several.split.users("test")
    ranks = np.where(users == users[0], 1, 50)  # the first user's are all found
    own = {f"{s}_{k}": ranks for s in ("valid", "test") for k in ("unfiltered", "filtered")}
    spec = RecBoleSpec(several.name, several.fingerprint, "pop", 2020, {"grid": {}})
    result = Result({"history": []}, own, owners={"test": users})
    table = evaluation([Store(tmp_path).compute(spec, lambda: result)], several, name="Recall")
    n_users = len(np.unique(users))
    assert (users == users[0]).mean() != 1 / n_users
    assert table.loc["pop", "all"] == pytest.approx(1 / n_users)
