"""What a reader takes away: recommendations, a model that loads anywhere, ranks per user."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seqattn
from seqattn.cli import main
from seqattn.config import ModelConfig, TrainConfig
from seqattn.errors import SeqattnError
from seqattn.presets import Preset
from seqattn.runs.export import export_model, per_user
from seqattn.runs.fitting import fit_run, run_spec
from seqattn.runs.store import Store
from seqattn.stats.metrics import metric

SMALL = Preset(
    ModelConfig(max_length=8, hidden_size=8, inner_size=8),
    TrainConfig(batch_targets=64, epochs=2, stride=5),
    TrainConfig(batch_targets=64, epochs=2, stride=5),
)


@pytest.fixture(scope="module")
def runs(synthetic, tmp_path_factory):
    """One run of each kind of model."""
    store = Store(tmp_path_factory.mktemp("store"))
    specs = {m: run_spec(synthetic, m, 2020, SMALL) for m in ("sasrec", "ia-val", "bert4rec")}
    return {model: fit_run(store, synthetic, spec) for model, spec in specs.items()}


@pytest.fixture(scope="module")
def another_seed(synthetic, tmp_path_factory):
    """A run of SASRec with another seed."""
    spec = run_spec(synthetic, "sasrec", 2021, SMALL)
    return fit_run(Store(tmp_path_factory.mktemp("store")), synthetic, spec)


@pytest.mark.parametrize("model", ["sasrec", "ia-val", "bert4rec"])
@pytest.mark.parametrize("kind", ["unfiltered", "filtered"])
def test_recommendations_put_each_target_where_the_run_ranked_it(runs, synthetic, model, kind):
    recommender = seqattn.load(runs[model])
    k, seen = synthetic.n_items, kind == "filtered"
    contexts = synthetic.split.context("test")
    told = recommender.recommend_all(contexts, k, exclude_seen=seen)
    targets = contexts.item_ids[synthetic.split.targets("test") - 1]
    told = told.merge(pd.DataFrame({"user": contexts.user_ids, "item": targets}))
    ranks = pd.Series(runs[model].ranks("test", kind), contexts.user_ids)
    # A target that the user has seen before is ranked by the run, and no recommendation.
    assert len(told) > 40
    np.testing.assert_array_equal(told["rank"], ranks[told["user"]])


@settings(max_examples=20)
@given(st.data())
def test_a_history_alone_is_answered_like_one_among_many(runs, synthetic, data):
    model = seqattn.load(runs["ia-val"])
    user = data.draw(st.integers(0, synthetic.n_users - 1))
    k = data.draw(st.integers(1, synthetic.n_items))
    rows = slice(*synthetic.sequences.offsets[[user, user + 1]])
    history = model.item_ids[synthetic.sequences.items[rows] - 1]
    alone = model.recommend(history, synthetic.sequences.intensity[rows], k)
    among = model.recommend_all(synthetic.sequences, k)
    among = among[among["user"] == synthetic.sequences.user_ids[user]]
    assert alone["item"].tolist() == among["item"].tolist()
    assert alone["rank"].tolist() == list(range(1, k + 1))
    np.testing.assert_allclose(alone["score"], among["score"], rtol=1e-5, atol=1e-6)
    assert (np.diff(alone["score"]) <= 0).all()


def test_items_of_the_history_are_left_out_if_asked(runs):
    model = seqattn.load(runs["sasrec"])
    history = model.item_ids[:5].tolist()
    told = model.recommend(history, k=10**6, exclude_seen=True)
    assert set(told["item"]) == set(model.item_ids[5:].tolist())


def test_intensity_counts_for_a_model_that_reads_it_and_for_no_other(runs):
    history = seqattn.load(runs["sasrec"]).item_ids[:6]
    for name, counts in (("ia-val", True), ("sasrec", False)):
        model = seqattn.load(runs[name])
        scores = [model.recommend(history, w, 50)["score"] for w in ([1] * 6, [1, 9, 1, 9, 1, 9])]
        assert (not np.array_equal(*scores)) == counts


@pytest.mark.parametrize(
    ("history", "intensity", "k", "message"),
    [
        ([], None, 5, "an empty history"),
        (["nowhere"], [1], 5, "item 'nowhere' is not among the .* items of the data"),
        ([1], None, 5, "no intensity, and ia-val reads it"),
        ([1, 2], [1], 5, "a history of 2 items, and an intensity of 1 number"),
        ([1], [-1], 5, "-1 is negative"),
        ([1], ["five"], 5, "'five' is not a number"),
        ([1], [1], 0, "k = 0 recommendations"),
    ],
)
def test_a_history_that_cannot_be_read_is_one_line(runs, history, intensity, k, message):
    model = seqattn.load(runs["ia-val"])
    ids = [model.item_ids[one] if isinstance(one, int) else one for one in history]
    with pytest.raises(SeqattnError, match=message):
        model.recommend(ids, intensity, k)


@pytest.mark.parametrize("model", ["sasrec", "ia-val", "bert4rec"])
def test_an_exported_model_gives_the_same_scores_without_store_and_data(
    runs, synthetic, tmp_path, model
):
    folder = export_model(runs[model], tmp_path / "out", synthetic)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["README.md", "config.json", "items.json", "model.safetensors"]
    here, there = seqattn.load(runs[model]), seqattn.load(folder)
    assert there.about["fingerprint"] == synthetic.fingerprint
    told = [m.recommend_all(synthetic.sequences, 20) for m in (here, there)]
    pd.testing.assert_frame_equal(*told)
    card = (folder / "README.md").read_text()
    assert synthetic.fingerprint in card and "unfiltered | NDCG@10 | " in card


def test_an_export_replaces_one_of_the_same_model_and_nothing_else(
    runs, another_seed, synthetic, tmp_path
):
    export_model(runs["sasrec"], tmp_path / "out", synthetic)
    export_model(another_seed, tmp_path / "out", synthetic)
    assert seqattn.load(tmp_path / "out").about["seed"] == 2021
    with pytest.raises(SeqattnError, match="out holds sasrec on synthetic; name a new or an empty"):
        export_model(runs["ia-val"], tmp_path / "out", synthetic)
    assert seqattn.load(tmp_path / "out").about["model"] == "sasrec"
    (tmp_path / "empty").mkdir()
    export_model(runs["sasrec"], tmp_path / "empty", synthetic)
    export_model(runs["sasrec"], tmp_path / "not" / "there" / "yet", synthetic)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, r"holds 'thesis\.txt'; name a new or an empty folder"),
        ({"library": "seqattn"}, r"holds 'thesis\.txt'"),
        ({"model_type": "bert"}, r"holds 'thesis\.txt'"),
    ],
)
def test_an_export_touches_no_folder_with_anything_else_in_it(
    runs, synthetic, tmp_path, monkeypatch, config, message
):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    if config is not None:
        (mine / "config.json").write_text(json.dumps(config))
    monkeypatch.chdir(mine)
    for folder in (mine, mine.relative_to(mine)):  # by name, and as "."
        with pytest.raises(SeqattnError, match=message):
            export_model(runs["sasrec"], folder, synthetic)
    (mine / "thesis.txt").rename(tmp_path / "thesis.txt")
    if config != {"library": "seqattn"}:
        (mine / "config.json").write_text(json.dumps(config or {}))
        with pytest.raises(SeqattnError, match="is no exported model"):
            export_model(runs["sasrec"], mine, synthetic)
        assert (mine / "config.json").exists()


def test_a_link_to_an_export_stays_a_link(runs, another_seed, synthetic, tmp_path):
    export_model(runs["sasrec"], tmp_path / "v1", synthetic)
    (tmp_path / "latest").symlink_to(tmp_path / "v1")
    export_model(another_seed, tmp_path / "latest", synthetic)
    assert (tmp_path / "latest").is_symlink()
    assert seqattn.load(tmp_path / "v1").about["seed"] == 2021


def test_an_edited_model_card_is_never_lost(runs, another_seed, synthetic, tmp_path):
    folder = export_model(runs["sasrec"], tmp_path / "out", synthetic)
    (folder / "README.md").write_text("my words")
    export_model(runs["sasrec"], folder, synthetic)
    assert (folder / "README.md").read_text() == "my words"
    assert seqattn.load(folder).about["model"] == "sasrec"
    with pytest.raises(SeqattnError, match=r"out holds another run, whose README\.md you edited"):
        export_model(another_seed, folder, synthetic)
    assert (folder / "README.md").read_text() == "my words"


@pytest.mark.parametrize("name", ["model.safetensors", "items.json", "config.json"])
def test_a_damaged_export_is_one_line(runs, synthetic, tmp_path, name):
    folder = export_model(runs["sasrec"], tmp_path / "out", synthetic)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(SeqattnError, match=r"not as they were exported; export the model again"):
        seqattn.load(folder)


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("items.json", lambda ids: ids[::-1]),
        ("items.json", lambda ids: ids[:-1]),
        ("items.json", lambda ids: [ids[0], *ids[:-1]]),
        ("config.json", lambda config: config | {"model": "ia-mul"}),
        ("config.json", lambda config: config | {"model_config": "none"}),
        ("config.json", lambda config: [config]),
        ("config.json", lambda config: None),
    ],
)
def test_an_edited_export_is_refused(runs, synthetic, tmp_path, name, edit):
    folder = export_model(runs["ia-val"], tmp_path / "out", synthetic)
    (folder / "README.md").write_text("a card of my own")  # the card is the user's
    seqattn.load(folder)
    (folder / name).write_text(json.dumps(edit(json.loads((folder / name).read_text()))))
    with pytest.raises(SeqattnError, match="not as they were exported"):
        seqattn.load(folder)


def test_words_of_a_log_are_no_markup_of_its_card(runs, synthetic, tmp_path):
    entry = dataclasses.replace(synthetic.entry, intensity="<img src=x onerror=alert(1)> $x$")
    folder = export_model(runs["ia-val"], tmp_path, dataclasses.replace(synthetic, entry=entry))
    card = (folder / "README.md").read_text()
    assert (
        "<img" not in card
        and "\u2039img" in card
        and r"\$x\$" in card
        and "(split: leave-one-out)" in card
    )


def test_a_run_in_another_runs_place_is_refused(runs, tmp_path):
    place = tmp_path / runs["sasrec"].folder.name.replace("2020", "2021")
    shutil.copytree(runs["sasrec"].folder, place)
    with pytest.raises(SeqattnError, match=f"holds the run {runs['sasrec'].folder.name}"):
        seqattn.load(place)


def test_a_run_on_ones_own_log_says_in_both_languages_how_to_name_it(runs):
    run = runs["sasrec"]
    mine = dataclasses.replace(
        run, facts={**run.facts, "spec": {**run.facts["spec"], "dataset": "mine"}}
    )
    with pytest.raises(SeqattnError, match=r"log 'mine'.*by `-d`, .*load\(folder, 'log.yaml'\)"):
        seqattn.load(mine)


def test_ranks_per_user_carry_ids_and_average_to_the_runs_metrics(runs, synthetic):
    table = per_user(runs["ia-val"], synthetic, k=10)
    assert table["user"].tolist() == synthetic.sequences.user_ids.tolist()
    for kind in ("unfiltered", "filtered"):
        assert table[f"rank_{kind}"].tolist() == runs["ia-val"].ranks("test", kind).tolist()
        for name in ("NDCG", "Recall", "MRR"):
            values = metric(runs["ia-val"].ranks("test", kind), name, 10)
            assert table[f"{name}@10_{kind}"].mean() == pytest.approx(values.mean())
    last = synthetic.sequences.offsets[1:] - 1
    items = synthetic.sequences.item_ids[synthetic.sequences.items[last] - 1]
    assert table["target"].tolist() == items.tolist()


def test_the_commands_recommend_and_export(runs, synthetic, tmp_path, capsys):
    run = runs["ia-val"]
    asked = ["export", str(run.folder), "--per-user", str(tmp_path / "u.csv")]
    assert main([*asked, "--model", str(tmp_path / "out")]) == 0
    assert len(pd.read_csv(tmp_path / "u.csv")) == synthetic.n_users
    capsys.readouterr()
    model = seqattn.load(tmp_path / "out")
    items = [str(i) for i in model.item_ids[[3, 1]]]
    asked = ["recommend", "-m", str(tmp_path / "out"), "-k", "3", "--json"]
    own = ["--history", ",".join(items), "--intensity", "1,5"]
    assert main([*asked, *own]) == 0
    expected = model.recommend(items, [1, 5], 3)
    told = pd.DataFrame(json.loads(capsys.readouterr().out))
    assert told["item"].tolist() == expected["item"].tolist()
    (tmp_path / "h.csv").write_text(f"user,item,intensity\nme,{items[0]},1\nme , {items[1]},5\n")
    assert main([*asked, "--file", str(tmp_path / "h.csv")]) == 0
    assert [row["item"] for row in json.loads(capsys.readouterr().out)] == told["item"].tolist()
    user = str(synthetic.sequences.user_ids[4])
    assert main([*asked, "--user", user]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [str(row["user"]) for row in rows] == [user] * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "sasrec", "--user", "1"], "name the dataset, by -d"),
        (["-m", "nowhere", "--user", "1"], "'nowhere' is neither a model nor a folder"),
        (["-m", "OUT", "--user", "nobody"], "user 'nobody' is not among the 60 users"),
        (
            ["-m", "OUT", "--history", "1", "--intensity", "1,2"],
            "a history of 1 items, and an intensity of 2",
        ),
        (["-m", "OUT", "--user", "1", "--intensity", "1"], "--intensity goes with --history"),
        (["-m", "OUT", "-d", "ml-100k", "--user", "1"], "the model was not fitted on"),
    ],
)
def test_a_wrong_command_is_one_line(runs, synthetic, tmp_path, capsys, arguments, message):
    export_model(runs["sasrec"], tmp_path / "out", synthetic)
    arguments = [str(tmp_path / "out") if a == "OUT" else a for a in arguments]
    assert main(["recommend", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1


@pytest.mark.parametrize("name", ["sasrec", "ia-val", "bert4rec"])
def test_attention_is_that_of_the_model_and_each_querys_weights_add_up_to_one(
    runs, synthetic, name
):
    model = seqattn.load(runs[name])
    user = int(np.argmax(synthetic.sequences.lengths))
    history = synthetic.sequences.of_users([synthetic.sequences.user_ids[user]])
    weights = model.attention(history)
    n = min(len(history), SMALL.model.max_length)
    sums = weights.groupby(["layer", "head", "query"])["weight"].sum()
    assert len(sums) == 2 * 2 * n
    np.testing.assert_allclose(sums, 1, rtol=1e-5)
    ahead = weights[weights["key"] > weights["query"]]["weight"]
    assert (ahead.abs().max() == 0) == (name != "bert4rec")
    first = weights[weights["query"] == 1]["query_item"].iloc[0]
    assert first == history.item_ids[history.items[-n] - 1]


def test_the_command_shows_attention_as_numbers_and_as_a_picture(runs, synthetic, tmp_path, capsys):
    folder = str(export_model(runs["ia-val"], tmp_path / "out", synthetic))
    user = str(synthetic.sequences.user_ids[2])
    asked = ["attention", "-m", folder, "--user", user]
    assert main([*asked, "--csv"]) == 0
    frame = pd.read_csv(io.StringIO(capsys.readouterr().out))
    expected = seqattn.load(folder).attention(synthetic.sequences.of_users([user]))
    np.testing.assert_allclose(frame["weight"], expected["weight"], atol=1e-6)
    assert main(asked) == 0
    assert "weights of the last interaction" in capsys.readouterr().out
    assert main([*asked, "-o", str(tmp_path / "maps.svg")]) == 0
    assert "layer 2, head 2" in (tmp_path / "maps.svg").read_text()
    assert main([*asked, "-o", str(tmp_path / "maps.nothing")]) == 2
    assert "maps.nothing: " in capsys.readouterr().err
