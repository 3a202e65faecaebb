"""RecBole's baselines see our split, and what they score is ranked as our models are."""

from __future__ import annotations

import pytest

pytest.importorskip("recbole.config")

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from recbole.data import create_dataset
from recbole_logs import recbole_config
from wanted import fit_wanted

from seqattn.cli import main
from seqattn.errors import SeqattnError
from seqattn.files import ROOT
from seqattn.models import RECBOLE_MODELS
from seqattn.recbole import baselines, subjects
from seqattn.recbole.subjects import SRGNN, GRU4Rec, ItemKNN, Log, Pop, build
from seqattn.runs.fitting import fit_runs, recbole_spec
from seqattn.runs.store import Store
from seqattn.stats.metrics import metric
from seqattn.training.ranking import Ranker

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:recbole")


SEQUENTIAL = pytest.mark.parametrize(("name", "kind"), [("gru4rec", GRU4Rec), ("srgnn", SRGNN)])


def _pairs(sequences) -> list[tuple[int, int]]:
    """User numbers and item codes of every interaction, by an explicit loop."""
    return [
        (user, int(item))
        for user in range(sequences.n_users)
        for item in sequences.items[sequences.offsets[user] : sequences.offsets[user + 1]]
    ]


def _dense(dataset) -> np.ndarray:
    """Who has what in training, (U, V + 1)."""
    seen = np.zeros((dataset.n_users, dataset.n_items + 1))
    for user, item in _pairs(dataset.split.train):
        seen[user, item] = 1
    return seen


def _spy(monkeypatch, model: type, method: str) -> list[dict[str, torch.Tensor]]:
    """Keep what each call of a model's method is given."""
    calls, original = [], getattr(model, method)

    def spied(self, rows):
        calls.append({key: value.clone() for key, value in rows.interaction.items()})
        return original(self, rows)

    monkeypatch.setattr(model, method, spied)
    return calls


def _epoch(subject, seed: int = 0) -> float:
    subject.model.train()
    optimiser = torch.optim.SGD(subject.model.parameters(), lr=0.1)
    return subject.epoch(optimiser, np.random.default_rng(seed))


@pytest.mark.parametrize("stage", ["valid", "test"])
def test_pops_ranks_are_those_of_counts_made_by_hand(stage, synthetic):
    count = dict.fromkeys(range(1, synthetic.n_items + 1), 0)
    for _, item in _pairs(synthetic.split.train):
        count[item] += 1
    context, targets = synthetic.split.context(stage), synthetic.split.targets(stage)
    seen = [set() for _ in range(synthetic.n_users)]
    for user, item in _pairs(context):
        seen[user].add(item)
    ranks = baselines.fit("pop", synthetic, 0, {}).ranks
    for user, target in enumerate(targets.tolist()):
        for kind, hidden in (("unfiltered", set()), ("filtered", seen[user] - {target})):
            others = [n for item, n in count.items() if item != target and item not in hidden]
            ties = sum(n == count[target] for n in others)
            higher = sum(n > count[target] for n in others)
            assert ranks[f"{stage}_{kind}"][user] == 1 + higher + ties // 2


def test_recboles_pop_counts_an_item_once_a_batch(synthetic):
    # Why `subjects` feeds it a user at a time: in one batch every count would be 1.
    model = build("pop", synthetic, {}).model
    fresh = Pop(recbole_config(Pop), Log(synthetic.split.train))
    fresh.calculate_loss({"item_id": torch.as_tensor(synthetic.split.train.items.astype(int))})
    assert fresh.item_cnt.max() == 1
    assert model.item_cnt.sum() == len(synthetic.split.train)


@pytest.mark.parametrize("shrink", [0.0, 10.0])
@pytest.mark.parametrize("k", [3, 10, 100])
def test_itemknns_scores_are_cosines_of_the_nearest_items(k, shrink, synthetic):
    subject = build("itemknn", synthetic, {"k": k, "shrink": shrink})
    seen_UV = _dense(synthetic)
    norm = np.sqrt((seen_UV**2).sum(axis=0))
    cosine = seen_UV.T @ seen_UV / (np.outer(norm, norm) + shrink + 1e-6)
    np.fill_diagonal(cosine, 0)
    kept = subject.model.w.toarray()
    # Which of several equal neighbours is kept is open; how near the kept ones are is not.
    nearest = np.sort(cosine, axis=0)[-min(k, len(cosine)) :]
    np.testing.assert_allclose(np.sort(kept, axis=0)[-len(nearest) :], nearest, atol=1e-6)
    np.testing.assert_allclose(kept[kept > 0], cosine[kept > 0], atol=1e-6)
    users = np.arange(synthetic.n_users)
    on_valid, on_test = (subject.scores(stage)(users) for stage in ("valid", "test"))
    np.testing.assert_allclose(on_valid, seen_UV @ kept, atol=1e-5)
    # By then a user has one item more to ask with; what was learned stays.
    seen_UV[users, synthetic.split.targets("valid")] += 1
    np.testing.assert_allclose(on_test, seen_UV @ kept, atol=1e-5)
    if k == 100:
        np.testing.assert_allclose(on_test, seen_UV @ cosine, atol=1e-5)


def test_recboles_own_pipeline_gives_itemknn_the_same_scores(tmp_path, synthetic):
    split, folder = synthetic.split, tmp_path / "log"
    folder.mkdir()
    users = np.arange(synthetic.n_users)
    parts = {
        "train": np.array(_pairs(split.train)),
        "valid": np.column_stack([users, split.targets("valid")]),
        "test": np.column_stack([users, split.targets("test")]),
    }
    for part, pairs in parts.items():
        frame = pd.DataFrame(pairs, columns=["user_id:token", "item_id:token"])
        frame.to_csv(folder / f"log.{part}.inter", sep="\t", index=False)
    config = recbole_config(
        *(ItemKNN, "log"),
        data_path=str(tmp_path),
        benchmark_filename=list(parts),
        load_col={"inter": ["user_id", "item_id"]},
        k=100,
    )
    training = create_dataset(config).build()[0]
    theirs = ItemKNN(config, training).pred_mat.toarray()
    rows = [training.token2id("user_id", str(user)) for user in users]
    columns = [training.token2id("item_id", str(i)) for i in range(1, synthetic.n_items + 1)]
    ours = build("itemknn", synthetic, {"k": 100}).scores("valid")(users)
    np.testing.assert_allclose(ours[:, 1:], theirs[np.ix_(rows, columns)], rtol=1e-5)


def test_every_model_sees_the_training_interactions_and_nothing_else(synthetic, monkeypatch):
    expected = sorted(_pairs(synthetic.split.train))
    calls = _spy(monkeypatch, Pop, "calculate_loss")
    build("pop", synthetic, {})
    assert [(u, i) for u, row in enumerate(calls) for i in row["item_id"].tolist()] == _pairs(
        synthetic.split.train
    )
    matrix = build("itemknn", synthetic, {}).model.interaction_matrix.tocoo()
    assert sorted(zip(matrix.row - 1, matrix.col, strict=True)) == expected
    assert (matrix.data == 1).all()
    subject = build("bpr", synthetic, {})
    calls = _spy(monkeypatch, type(subject.model), "calculate_loss")
    _epoch(subject)
    seen = [zip((r["user_id"] - 1).tolist(), r["item_id"].tolist(), strict=True) for r in calls]
    assert sorted(pair for rows in seen for pair in rows) == expected


def test_bprs_negatives_are_all_items_but_those_in_the_training_history(synthetic):
    log = Log(synthetic.split.train)
    users = np.repeat(np.arange(1, synthetic.n_users + 1), 400)
    drawn = log.negatives(users, np.random.default_rng(0))
    for user in range(synthetic.n_users):
        own = {item for u, item in _pairs(synthetic.split.train) if u == user}
        assert set(drawn[users == user + 1]) == set(range(1, synthetic.n_items + 1)) - own


@SEQUENTIAL
def test_a_sequential_model_trains_on_every_prefix_of_the_training_histories(
    name, kind, synthetic, monkeypatch
):
    monkeypatch.setattr(subjects, "MAX_LENGTH", 6)
    monkeypatch.setattr(subjects, "ROWS_AT_ONCE", 7)
    calls = _spy(monkeypatch, kind, "calculate_loss")
    _epoch(build(name, synthetic, {}))
    found = [
        (*items[:length].tolist(), int(target))
        for rows in calls
        for items, length, target in zip(
            rows["item_id_list"], rows["item_length"], rows["item_id"], strict=True
        )
    ]
    train = synthetic.split.train
    whole = [h.tolist() for h in np.split(train.items, train.offsets[1:-1])]
    expected = [tuple(h[max(end - 6, 0) : end + 1]) for h in whole for end in range(1, len(h))]
    assert sorted(found) == sorted(expected)


@SEQUENTIAL
@pytest.mark.parametrize("stage", ["valid", "test"])
def test_a_sequential_model_reads_the_validation_item_on_test_and_not_on_validation(
    stage, name, kind, synthetic, monkeypatch
):
    monkeypatch.setattr(subjects, "MAX_LENGTH", 6)
    monkeypatch.setattr(subjects, "ROWS_AT_ONCE", 7)
    calls = _spy(monkeypatch, kind, "full_sort_predict")
    subject = build(name, synthetic, {})
    Ranker(synthetic.split, stage).rank(subject.scores(stage))
    found = [
        items[:length].tolist()
        for rows in calls
        for items, length in zip(rows["item_id_list"], rows["item_length"], strict=True)
    ]
    full = synthetic.sequences
    held_out = 1 if stage == "test" else 2
    histories = np.split(full.items, full.offsets[1:-1])
    assert found == [h.tolist()[:-held_out][-6:] for h in histories]


def test_the_gradient_of_a_step_does_not_depend_on_its_parts(synthetic, monkeypatch):
    options = {"dropout_prob": 0.0, "hidden_size": 16}
    weights = []
    for rows_at_once in (7, 10_000):
        monkeypatch.setattr(subjects, "ROWS_AT_ONCE", rows_at_once)
        torch.manual_seed(0)
        subject = build("gru4rec", synthetic, options)
        weights.append((_epoch(subject), dict(subject.model.named_parameters())))
    assert weights[0][0] == pytest.approx(weights[1][0], rel=1e-6)
    for name, value in weights[0][1].items():
        torch.testing.assert_close(value, weights[1][1][name], rtol=1e-5, atol=1e-7)


@SEQUENTIAL
def test_its_scores_are_recboles_own_of_rows_as_recbole_pads_them(name, kind, synthetic):
    subject = build(name, synthetic, {})
    model, context = subject.model.eval(), synthetic.split.context("test")
    histories = np.split(context.items, context.offsets[1:-1])
    rows = torch.tensor([[*h[-50:].tolist(), *[0] * (50 - len(h))] for h in histories])
    with torch.no_grad():
        hidden = model(rows, (rows > 0).sum(dim=1))
        scores = subject.scores("test")(np.arange(len(rows)))
    torch.testing.assert_close(scores, hidden @ model.item_embedding.weight.T)


def test_gru4recs_rows_sum_to_the_cross_entropy_over_all_steps(synthetic, monkeypatch):
    """[MIQ]'s GRU4Rec_F: cumulative cross-entropy is one row per prefix, since a GRU is causal."""
    subject = build("gru4rec", synthetic, {"dropout_prob": 0.0})
    model = subject.model
    step = torch.optim.SGD(model.parameters(), lr=0.0)
    mean = subject.epoch(step, np.random.default_rng(0))
    train, total, n = synthetic.split.train, 0.0, 0
    assert train.lengths.max() <= 51  # no row is cut
    with torch.no_grad():
        for history in np.split(train.items.astype(int), train.offsets[1:-1]):
            items = torch.as_tensor(history)[None]
            states = model.dense(model.gru_layers(model.item_embedding(items[:, :-1]))[0])[0]
            logits = states @ model.item_embedding.weight.T
            total += torch.nn.functional.cross_entropy(logits, items[0, 1:], reduction="sum").item()
            n += len(history) - 1
    assert mean == pytest.approx(total / n, rel=1e-5)


def test_srgnns_graph_of_a_row_is_empty_when_its_padding_is_on_the_left():
    rows = torch.tensor([[7, 8, 9, 0, 0], [4, 5, 4, 6, 0]])
    edges = []
    for padded in (rows, torch.stack([row.roll(int((row == 0).sum())) for row in rows])):
        adjacency = SRGNN._get_slice(SimpleNamespace(device="cpu"), padded)[1]
        edges.append((adjacency[:, :, :5] > 0).sum(dim=(1, 2)).tolist())
    # One zero in front still leaves its own edge, from the padding to the first item, and the rest.
    assert edges == [[2, 3], [0, 4]]


@SEQUENTIAL
def test_padding_beyond_a_batchs_longest_row_changes_no_score(name, kind, synthetic):
    subject = build(name, synthetic, {})
    subject.model.eval()
    items = torch.tensor([[3, 1, 4], [1, 5, 0]])
    length = torch.tensor([3, 2])
    wide = torch.nn.functional.pad(items, (0, 47))
    with torch.no_grad():
        scores = [
            subject.model.full_sort_predict({"item_id_list": i, "item_length": length})
            for i in (items, wide)
        ]
    torch.testing.assert_close(*scores)


@pytest.mark.parametrize("name", ["bpr", "gru4rec", "srgnn"])
def test_the_best_epoch_on_validation_is_the_one_that_is_tested(name, synthetic, monkeypatch):
    monkeypatch.setattr(baselines, "MAX_EPOCHS", 8)
    monkeypatch.setattr(baselines, "PATIENCE", 2)
    options = {"learning_rate": 0.03, "embedding_size": 8}
    if name == "gru4rec":
        options["hidden_size"] = 8
    fitted = baselines.fit(name, synthetic, 1, options)
    curve = [epoch["valid_ndcg"] for epoch in fitted.history]
    assert fitted.valid_ndcg(baselines.CHOSEN_BY[name]) == max(curve)
    assert curve.index(max(curve)) + 1 == fitted.best_epoch
    assert len(curve) == min(8, fitted.best_epoch + 2)
    again = baselines.fit(name, synthetic, 1, options)
    for kind, ranks in fitted.ranks.items():
        assert np.array_equal(ranks, again.ranks[kind])
        assert ranks.shape == (synthetic.n_users,)
    other = baselines.fit(name, synthetic, 2, options)
    assert not np.array_equal(other.ranks["test_filtered"], fitted.ranks["test_filtered"])


def test_the_callers_random_numbers_are_left_alone(synthetic, monkeypatch):
    monkeypatch.setattr(baselines, "MAX_EPOCHS", 1)
    before = torch.get_rng_state()
    baselines.fit("bpr", synthetic, 1, {"learning_rate": 0.01})
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.is_anomaly_enabled()


@pytest.fixture
def small(monkeypatch) -> None:
    monkeypatch.setattr(baselines, "MAX_EPOCHS", 2)
    monkeypatch.setitem(baselines.GRIDS, "itemknn", {"k": (2, 30)})
    monkeypatch.setitem(baselines.GRIDS, "bpr", {"learning_rate": (1e-5, 0.03)})


def test_the_command_keeps_what_the_grid_chose_for_every_seed(
    tmp_path, small, one_process, monkeypatch, capsys
):
    # In one process: another would have the usual grid.
    command = ["fit", "-d", "synthetic", "-m", "itemknn", "bpr", "-s", "1", "2"]
    command += ["--results-dir", str(tmp_path)]
    assert main(command) == 0
    found = {(run.model, run.seed): run for run in Store(tmp_path).runs("synthetic")}
    # ItemKNN has no randomness; BPR's grid is searched with one seed.
    assert set(found) == {("itemknn", 2020), ("bpr", 2020), ("bpr", 1), ("bpr", 2)}
    for (model, _), run in found.items():
        tried = run.facts["grid"]
        best = max(tried, key=lambda member: member["valid_filtered"])
        assert run.facts["hyperparameters"] == best["hyperparameters"]
        assert len(tried) == 2 and tried == found[model, 2020].facts["grid"]
    stored = found["bpr", 2020]
    assert metric(stored.ranks("valid", "filtered"), "NDCG", 10).mean() == max(
        member["valid_filtered"] for member in stored.facts["grid"]
    )
    assert {"recbole", "torch", "commit"} <= set(stored.facts["environment"])
    told = capsys.readouterr().out
    assert "bpr seed 2: test NDCG@10 0." in told and told.count("itemknn seed 2020") == 1

    def never(*_):
        raise AssertionError("a finished baseline was fitted again")

    monkeypatch.setattr(baselines, "fit", never)
    assert main(command) == 0


def test_baselines_and_our_models_are_fitted_side_by_side(tmp_path, synthetic):
    wanted = [("pop", 1), ("sasrec", 1), ("pop", 2)]
    runs = fit_wanted(tmp_path, synthetic, wanted, "smoke", workers=1, progress=False)
    assert [(run.engine, run.model, run.seed) for run in runs] == [
        ("recbole", "pop", 2020),
        ("seqattn", "sasrec", 1),
    ]
    assert np.array_equal(
        runs[0].ranks(), baselines.fit("pop", synthetic, 1, {}).ranks["test_unfiltered"]
    )


def test_the_names_that_the_command_knows_are_those_that_are_fitted():
    assert set(RECBOLE_MODELS) == set(baselines.GRIDS) == set(baselines.CHOSEN_BY)


def test_committed_baselines_are_of_the_settings_there_are_now():
    for run in Store(ROOT / "results" / "baselines").runs():
        assert run.spec.settings == baselines.settings_of(run.model), run.folder


def test_an_unknown_baseline_is_named(synthetic):
    with pytest.raises(SeqattnError, match="'sasrec' is unknown; choose one of pop"):
        recbole_spec(synthetic, "sasrec", 2020)


def test_a_baseline_of_other_settings_is_not_fitted_with_todays(synthetic, tmp_path):
    spec = replace(recbole_spec(synthetic, "pop", 2020), settings={"recbole": "0"})
    with pytest.raises(SeqattnError, match="wanted with other settings"):
        fit_runs(Store(tmp_path), synthetic, [spec], progress=False)
    assert list(Store(tmp_path).runs()) == []
