"""Tables of attention maps, on small fits; [AE]'s printed ones; its filter on its datasets."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from seqattn.analysis.attention import attention_maps, bounds, l1_l2, load_model, maps_of_seeds
from seqattn.data import Dataset, Interactions, load_dataset, load_log
from seqattn.errors import SeqattnError
from seqattn.presets import get_preset
from seqattn.runs.fitting import fit_run, run_spec
from seqattn.runs.store import Store
from seqattn.studies import maps
from seqattn.studies.plan import DataFacts, Group
from seqattn.studies.study import read_study

STUDY = SimpleNamespace(stores=[], kept=lambda name: pd.DataFrame(), seeds=(3,))
MODELS = ("sasrec", "local-ae", "bert4rec")
TABLES = ("maps_by_head", "near", "ranks_by_head", "spectra_by_head", "mean_maps")


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """One seed of each model on the synthetic log."""
    store, data = Store(tmp_path_factory.mktemp("store")), load_dataset("synthetic")
    facts = DataFacts(data.name, data.fingerprint, data.n_targets, data.n_users)
    preset = get_preset("smoke")
    runs = [fit_run(store, data, run_spec(data, model, 3, preset)) for model in MODELS]
    return [Group(facts, "smoke", run.model, (run.spec,), runs=(run,)) for run in runs]


@pytest.fixture(scope="module")
def table(groups):
    return maps.maps_by_head(STUDY, groups)


def test_a_row_is_a_mean_over_all_users_of_that_length(groups, table):
    data, n = load_dataset("synthetic"), table["n"].max()
    for group in groups:
        stack = attention_maps(load_model(group.runs[0], data), data, n, data.n_users)
        own = table[(table["model"] == group.model) & (table["n"] == n)]
        row = own[(own["kind"] == "trained") & (own["layer"] == 2) & (own["head"] == 1)].iloc[0]
        assert row["whole"] == pytest.approx(l1_l2(stack[:, 1, 0]).mean(), abs=1e-7)
        assert row["users"] == len(stack) == (data.split.train.lengths >= n).sum()


def test_values_lie_within_reach_and_a_mask_alone_has_no_layer(table):
    for n, rows in table.groupby("n"):
        for column, axis in (("row", "row"), ("whole", None)):
            least, most = bounds(n, axis)
            assert rows[column].between(least - 1e-8, most + 1e-8).all()
    assert ((table["layer"] == 0) == (table["kind"] != "trained")).all()
    even = table[(table["kind"] == "uniform") & (table["model"] == "bert4rec")]
    assert even["whole"].to_numpy() == pytest.approx(1 / even["n"], abs=1e-7)
    random = table[table["kind"] == "dirichlet"].set_index(["model", "n", "head"])["row"]
    uniform = table[table["kind"] == "uniform"].set_index(["model", "n", "head"])["row"]
    assert (random < uniform).all()  # of all rows over the same keys the even one is least sparse


def test_maps_of_seeds_have_a_seeds_layers_behind_those_of_the_seed_before(groups):
    """Here two models stand for two seeds of one."""
    data = load_dataset("synthetic")
    models = [load_model(group.runs[0], data) for group in (groups[0], groups[2])]
    first, second = (attention_maps(model, data, 4) for model in models)
    both = maps_of_seeds(models, data, 4)
    assert np.array_equal(both[:, :2], first) and np.array_equal(both[:, 2:], second)


def test_the_share_nearby_is_a_mean_over_users_layers_and_heads(groups, table):
    found = maps.near(STUDY, groups)
    assert found["model"].tolist() == [*MODELS] and found["near"].between(0, 1).all()
    own = table[(table["kind"] == "trained") & (table["n"] == found["n"].iloc[0])]
    means = own.groupby("model")["near"].mean()  # heads have the same users
    assert found["near"].to_numpy() == pytest.approx(means[found["model"]].to_numpy(), abs=1e-6)


@pytest.mark.parametrize("name", TABLES)
def test_no_table_depends_on_the_order_of_the_users(groups, name, monkeypatch):
    data, make = load_dataset("synthetic"), getattr(maps, name)
    before = make(STUDY, groups)
    log = load_log("synthetic")
    frame = log.frame.assign(user=log.frame["user"].max() - log.frame["user"])
    other = Dataset.from_interactions(
        Interactions.from_frame(frame, source="other"), dataclasses.replace(data.entry, raw=None)
    )
    first = [d.sequences.items[: d.sequences.lengths[0]].tolist() for d in (data, other)]
    assert first[0] != first[1]
    monkeypatch.setattr(maps, "data_of", lambda run, log: other)
    pd.testing.assert_frame_equal(make(STUDY, groups), before, atol=1e-6)


def test_runs_without_weights_keep_the_rows_there_were(groups, table, tmp_path):
    bare = [dataclasses.replace(g, runs=(Store(tmp_path).adopt(g.runs[0]),)) for g in groups]
    kept = SimpleNamespace(stores=[], kept=lambda name: table, seeds=(3,))
    pd.testing.assert_frame_equal(maps.maps_by_head(kept, bare), table)


def test_mean_maps_are_of_the_first_seed_and_their_rows_sum_to_one(groups):
    shown = maps.mean_maps(STUDY, groups)
    sums = shown.groupby(["model", "layer", "head", "query"])["weight"].sum()
    assert sums.to_numpy() == pytest.approx(np.ones(len(sums)), abs=2e-3)
    other = SimpleNamespace(stores=[], kept=STUDY.kept, seeds=(4, 3))
    assert maps.mean_maps(other, groups).empty


def test_printed_tables_are_under_our_names():
    sizes = maps.printed(1).set_index("dataset")
    assert sizes.loc["ml-1m", ["users", "items"]].tolist() == [6040, 3416]
    for number in (2, 3):
        found = maps.printed(number)
        assert set(found.index) == set(MODELS) and set(found.columns) == set(maps.PRINTED)
    # The mean of the row as printed.
    assert maps.printed(2).loc["sasrec"].mean() == pytest.approx(0.016, abs=5e-4)
    assert maps.printed(4)["dataset"].notna().all()
    with pytest.raises(SeqattnError, match="no Table 9 of"):
        maps.printed(9)


def test_the_kept_filters_say_what_one_pass_leaves():
    kept = read_study("datasets").table("filters").set_index(["dataset", "filter"])
    for name in maps.PRINTED:
        raw, once, core = (kept.loc[name, f] for f in ("unfiltered", "one pass", "5-core"))
        assert (raw >= once).all() and (once >= core).all()
    assert kept.loc[("video", "unfiltered"), "users"] == 31_013  # as printed: filtered before
    assert kept.loc[("ml-1m", "one pass"), "items"] == 3_416  # as printed: one pass is enough


def test_a_dataset_that_is_not_at_hand_keeps_its_rows(monkeypatch):
    def absent(name):
        raise SeqattnError("not at hand")

    rows = pd.DataFrame({"dataset": ["yelp"], "filter": ["one pass"], "users": [1]})
    monkeypatch.setattr(maps, "load_log", absent)
    for kept in (rows, rows.head(0)):
        study = SimpleNamespace(kept=lambda name, columns, kept=kept: kept, logs={})
        found = maps.filters(study, [])
        assert found.to_dict("records") == kept.to_dict("records")


def measured(trained: dict[str, list[float]], uniform: tuple, dirichlet: tuple) -> pd.DataFrame:
    """A table of one measure: two heads a model, 0.1 above and below the value that is given."""
    rows = []
    for at, (model, values) in enumerate(trained.items()):
        for seed, value in enumerate(values):
            kinds = {"trained": value, "uniform": uniform[at], "dirichlet": dirichlet[at]}
            rows += [("d", 9, model, k, seed, v + o) for k, v in kinds.items() for o in (-0.1, 0.1)]
    return pd.DataFrame(rows, columns=["dataset", "n", "model", "kind", "seed", "row"])


@pytest.mark.parametrize(
    ("ae", "ar", "uniform", "one_sign", "of_training"),
    [
        ([3.0, 3.2], [1.0, 1.1], (2.0, 1.0), True, True),
        ([3.0, 3.2], [1.0, 1.1], (4.0, 1.0), True, False),  # the masks alone differ by more
        ([3.0, 0.9], [1.0, 1.1], (1.0, 1.0), False, False),
        ([1.0, 1.1], [3.0, 3.2], (4.0, 1.0), True, True),  # against what the masks do
    ],
)
def test_a_gap_is_of_training_where_it_exceeds_that_of_the_masks(
    ae, ar, uniform, one_sign, of_training
):
    table = measured({"bert4rec": ae, "sasrec": ar}, uniform, (0.5, 0.5))
    row = maps.gaps(table, ["row"], "bert4rec").loc[("d", 9, "row")]
    apart = np.subtract(ae, ar)
    assert row["gap"] == pytest.approx(apart.mean())
    assert row["learned"] == pytest.approx(apart.mean() - (uniform[0] - uniform[1]))
    ends = stats.t.interval(0.95, 1, apart.mean(), stats.sem(apart))
    assert (row["low"], row["high"]) == pytest.approx(ends)
    assert (row["one_sign"], row["of_training"], row["seeds"]) == (one_sign, of_training, 2)


def test_what_is_reachable_is_counted_by_row_and_as_a_whole():
    values = pd.DataFrame({"a": [1 / 16, 1 / 4], "b": [1 / 2, 0.6]})
    found = maps.reachable(values, [4, 1]).loc[4]  # rows 1/4 to 1/2, maps 1/8 to 1/4
    assert found["row, printed"] == 2 and found["whole, printed"] == 1
    assert (found["row, from"], found["whole, to"]) == (1 / 4, 1 / 4)


def test_an_order_is_told_from_the_least():
    assert maps.order(pd.Series({"sasrec": 2.0, "local-ae": 1.0})) == "Local-AE < SASRec"


def test_levels_are_means_over_layers_heads_and_seeds(groups):
    table = maps.ranks_by_head(STUDY, groups)
    wide = maps.at_levels(table, "published", ["bert4rec", "sasrec"])
    assert [m for m, _ in wide.index] == ["bert4rec"] * 3 + ["sasrec"] * 3
    own = table[(table["model"] == "sasrec") & (table["kind"] == "trained")]
    sigma = own["sigma"].iloc[0]
    expected = own[own["sigma"] == sigma]["published"].mean()
    assert wide.loc[("sasrec", "trained"), sigma] == pytest.approx(expected)
