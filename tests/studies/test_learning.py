"""Learning curves and reading at other lengths, on small fits."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial import distance

from seqattn.analysis.attention import load_model
from seqattn.config import TrainConfig, replace
from seqattn.data import load_dataset
from seqattn.data.intensities import with_intensities
from seqattn.presets import Preset, get_preset
from seqattn.runs.fitting import fit_run, run_spec
from seqattn.runs.store import Run, Store
from seqattn.stats.metrics import metric
from seqattn.studies import learning
from seqattn.studies.plan import DataFacts, Group

SMOKE = get_preset("smoke")
STUDY = SimpleNamespace(stores=[], kept=lambda name: pd.DataFrame())
SLIDING = Preset(
    replace(SMOKE.model, positions="relative", sliding_window=5, max_length=9),
    replace(SMOKE.train, windows="whole", learning_rate=0.03, epochs=6),
)


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """One seed of absolute positions, and one of the sliding window, on the synthetic log."""
    store, data = Store(tmp_path_factory.mktemp("store")), load_dataset("synthetic")
    facts = DataFacts(data.name, data.fingerprint, data.n_targets, data.n_users)
    runs = {
        arm: fit_run(store, data, run_spec(data, "sasrec", 3, preset))
        for arm, preset in (("absolute", SMOKE), ("sliding", SLIDING))
    }
    return [Group(facts, arm, "sasrec", (run.spec,), runs=(run,)) for arm, run in runs.items()]


def test_curves_hold_every_epoch_of_every_run(groups):
    table = learning.curves(None, groups)
    for group in groups:
        own = table[table["arm"] == group.arm]
        history = group.runs[0].facts["history"]
        assert own["valid_ndcg"].tolist() == [epoch["valid_ndcg"] for epoch in history]


def test_the_cosine_of_items_is_the_mean_over_all_pairs(groups):
    table = learning.item_cosines(STUDY, groups)
    assert table["arm"].tolist() == ["absolute", "sliding"]
    weight_Vd = groups[0].runs[0].weights()["item_embedding.weight"][1:].numpy()
    pairs = [
        1 - distance.cosine(weight_Vd[i], weight_Vd[j])
        for i in range(len(weight_Vd))
        for j in range(i)
    ]
    assert table["cosine"][0] == pytest.approx(np.mean(pairs), abs=1e-6)


def test_a_model_reads_as_much_as_it_is_told_and_its_own_reach_gives_its_own_ranks(
    groups, monkeypatch
):
    monkeypatch.setattr(learning, "READ", (2, 9, 40))
    table = learning.reach(STUDY, groups)
    assert set(table["arm"]) == {"sliding"}  # absolute positions end where training did
    run, by_read = groups[1].runs[0], table.set_index("read")
    for stage in ("valid", "test"):
        own = metric(run.ranks(stage), "NDCG", 10).mean()
        assert by_read.loc[9, stage] == by_read.loc[40, stage] == pytest.approx(own, abs=1e-12)
    assert not np.isclose(by_read.loc[2, "test"], by_read.loc[9, "test"])


def test_what_was_learned_for_each_distance_is_the_models_own_weights(groups):
    table = learning.by_distance(STUDY, groups)
    assert set(table["arm"]) == {"sliding"} and set(table["term"]) == {"bias"}
    weights = groups[1].runs[0].weights()["blocks.1.attention.positions.bias_HN"]
    layer = table[table["layer"] == 2].pivot(index="head", columns="distance", values="weight")
    assert np.allclose(layer.to_numpy(), weights.numpy(), rtol=0, atol=0)
    assert np.abs(weights.numpy()).max() > 0
    again = [*groups, dataclasses.replace(groups[1], arm="the same runs")]
    assert learning.by_distance(STUDY, again).equals(table)


def test_levels_are_told_apart_by_whether_a_tie_decides_the_target(groups, monkeypatch):
    data = load_dataset("synthetic")
    moments, last = data.sequences.timestamp.copy(), data.sequences.offsets[1:] - 1
    moments[last[:20] - 1] = moments[last[:20]]
    sequences = dataclasses.replace(data.sequences, timestamp=moments)
    tied = dataclasses.replace(data, sequences=sequences)
    monkeypatch.setattr(learning, "data_of", lambda run, log: tied)
    table = learning.by_tie(STUDY, groups[:1]).set_index("kind")
    run, n = groups[0].runs[0], data.n_users
    for kind in ("unfiltered", "filtered"):
        own = metric(run.ranks("test", kind), "NDCG", 10)
        row = table.loc[kind]
        assert row["share"] == 20 / n
        assert row["tied"] == pytest.approx(own[:20].mean())
        assert row["untied"] == pytest.approx(own[20:].mean())
    # By hand, for the first user: the last interaction comes before, the one before is asked for.
    fitted = load_model(run, data)
    rest = []
    for user in range(20):
        items = data.sequences.items[data.sequences.offsets[user] : last[user] + 1]
        asked = np.append(items[:-2], items[-1])[-SMOKE.model.max_length :]
        with torch.inference_mode():
            hidden = fitted.next_item_hidden(torch.tensor(asked)[None], None)
            scores = fitted.logits(hidden)[0, 1:]
        rank = int((scores > scores[items[-2] - 1]).sum()) + 1
        rest.append(1 / np.log2(rank + 1) if rank <= 10 else 0.0)
    own = metric(run.ranks("test"), "NDCG", 10)
    expected = (np.sum(rest) + own[20:].sum()) / n
    assert table.loc["unfiltered", "reversed"] == pytest.approx(expected)


def test_without_ties_nothing_turns(groups):
    table = learning.by_tie(STUDY, groups).set_index("kind")
    assert (table["share"] == 0).all() and table["tied"].isna().all()
    assert table["reversed"].to_numpy() == pytest.approx(table["untied"].to_numpy())


def test_runs_without_weights_have_the_rows_that_were_kept_of_them(groups, tmp_path):
    copy = Store(tmp_path).adopt(groups[1].runs[0])
    assert not copy.has_weights
    bare = [dataclasses.replace(groups[1], runs=(copy,))]
    assert learning.reach(STUDY, bare).empty
    beside = SimpleNamespace(stores=[Store(groups[1].runs[0].folder.parents[2])], kept=STUDY.kept)
    table = learning.reach(beside, bare)
    assert len(table) == len(learning.READ)
    # In two arms, a run has its rows once for each, however often they are written.
    twice = [*bare, dataclasses.replace(bare[0], arm="again")]
    rows = table
    for _ in range(3):
        kept = SimpleNamespace(stores=[], kept=lambda name, rows=rows: rows)
        rows = learning.reach(kept, twice)
        assert rows["arm"].value_counts().to_dict() == dict.fromkeys(
            ("sliding", "again"), len(learning.READ)
        )
    # Rows that are kept outlive the weights, those of this run.
    rows = pd.concat([table, table.assign(key="other")])
    kept = SimpleNamespace(stores=[], kept=lambda name: rows)
    pd.testing.assert_frame_equal(learning.reach(kept, bare), table)


@pytest.mark.parametrize("intensity", ["real", "within"])
def test_a_table_of_weights_reads_the_intensities_that_the_run_did(synthetic, intensity):
    spec = {"dataset": "synthetic", "fingerprint": synthetic.fingerprint, "model": "ia-add"}
    spec |= {"seed": 3, "model_config": {}, "train_config": {"intensity": intensity}}
    config = TrainConfig(intensity=intensity)
    told = learning.data_of(Run(None, {"spec": spec}), "synthetic").sequences.intensity
    assert (told == with_intensities(synthetic, config, 3).sequences.intensity).all()
    assert (told == synthetic.sequences.intensity).all() == (intensity == "real")
