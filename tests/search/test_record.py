"""Designs, the searches they rest on, and results folders of several machines put together."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from fabricated import groups_of, runs_of

from seqattn.errors import SeqattnError
from seqattn.presets import get_preset
from seqattn.runs.store import RecBoleSpec, Result, Store
from seqattn.search.collect import collect
from seqattn.search.record import (
    Search,
    SearchConfig,
    chosen,
    read_search,
    search_path,
    searches,
    settings,
)

SMOKE = get_preset("smoke")


def search(model="sasrec", design="own_search", trials=1, fingerprint="f" * 64, **backbone):
    """A search as `seqattn tune` would keep it; `backbone` is what it found."""
    records = [
        {"number": n, "state": "COMPLETE", "value": 0.1, "params": {}} for n in range(trials)
    ]
    return Search(
        *("toy", fingerprint, model, design, SearchConfig(trials, 1)),
        *(replace(SMOKE.model, **backbone), SMOKE.train),
        *(0.1, records, {}),
    )


def result(seed):
    ranks = {"test_unfiltered": np.arange(1, 4) + seed}
    return Result({"lambdas": []}, ranks, {"w": torch.full((2,), float(seed))})


def never():
    raise AssertionError("a finished run was computed again")


def campaign(folder, seeds, trials=1):
    """A finished campaign of two models, with runs of some seeds."""
    store = Store(folder)
    for model in ("sasrec", "ia-add"):
        found = search(model, trials=trials)
        found.write(folder)
        for seed in seeds:
            store.compute(found.spec(seed), lambda seed=seed: result(seed))
    return folder


def finished_runs(folder, dataset, design, seeds=(1, 2)):
    return runs_of(folder, dataset, design, seeds=seeds, fingerprint="f" * 64)


def controls(folder, dataset, variant, seeds):
    _, groups = groups_of(folder, [dataset], seeds, "f" * 64)
    (found,) = (g for g in groups if (g.arm, g.model) == ("variant_backbone", variant))
    return list(found.base)


def contents(folder):
    """Everything that counts in a results folder: searches, and runs with their ranks."""
    store = Store(folder)
    runs = {(c.model, c.seed, c.spec.key): c.ranks().tolist() for c in store.runs()}
    trials = {
        m: len(read_search(folder, "toy", m, "own_search").trials) for m in ("sasrec", "ia-add")
    }
    return runs, trials


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


def test_a_search_round_trips(tmp_path):
    found = search("ia-add", n_layers=3)
    found.write(tmp_path)
    assert read_search(tmp_path, "toy", "ia-add", "own_search") == found
    (folder,) = {path.parent for path in (tmp_path / "searches").glob("*/*/*.json")}
    shutil.copytree(folder, folder.with_name("before"))  # somebody's copy is no design
    assert list(searches(tmp_path)) == [found]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace('"value": 0.1', '"value": 0.2', 1),
        lambda text: text.replace('"n_layers": 2', '"n_layers": 3'),
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "",
    ],
    ids=["value", "setting", "cut", "other JSON", "empty"],
)
def test_an_edited_or_cut_search_is_refused_with_the_way_out(tmp_path, damage):
    path = search().write(tmp_path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(SeqattnError, match=r"damaged .* remove it and run `seqattn tune"):
        chosen(tmp_path, "toy", "sasrec", "own_search")


def test_a_damaged_search_of_ones_own_log_names_its_yaml_and_design(tmp_path):
    found = search("ia-add", "shared_backbone")
    found.write(tmp_path).write_text("")
    run = "`seqattn tune -d {} -m ia-add --design shared_backbone --results-dir"
    with pytest.raises(SeqattnError) as error:
        read_search(tmp_path, "toy", "ia-add", "shared_backbone")
    assert run.format("toy") in str(error.value)
    assert str(error.value).endswith("; for -d give the YAML file of toy")
    with pytest.raises(SeqattnError) as error:
        chosen(tmp_path, "toy", "ia-add", "shared_backbone", reference="/logs/my toy.yaml")
    assert run.format("'/logs/my toy.yaml'") in str(error.value)
    assert "for -d" not in str(error.value)


def test_searches_of_two_presets_name_the_one_to_search_with(tmp_path):
    search().write(tmp_path)
    paper = get_preset("paper")
    other = replace(search("ia-add"), model_config=paper.model, train_config=paper.train)
    other.write(tmp_path)
    with pytest.raises(
        SeqattnError, match=r"than that of 'sasrec': run `seqattn .* --base smoke`$"
    ):
        chosen(tmp_path, "toy", "ia-add", "own_search")


def test_masked_models_take_windows_that_fit_into_what_sasrecs_search_found(tmp_path, synthetic):
    names = {"dataset": "synthetic", "fingerprint": synthetic.fingerprint}
    for length, stride in ((10, 10), (50, 50), (200, 50)):
        replace(search(max_length=length), **names).write(tmp_path)
        found = settings(tmp_path, synthetic, "bert4rec", "own_search")
        assert (found.model.max_length, found.train_ae.stride) == (length, stride)


def test_a_design_without_its_search_names_the_command(tmp_path):
    with pytest.raises(
        SeqattnError, match="run `seqattn tune -d toy -m ia-add --design shared_backbone"
    ):
        chosen(tmp_path, "toy", "ia-add", "shared_backbone")


def test_the_search_of_another_version_of_the_data_is_not_used(tmp_path, synthetic):
    found = replace(search(), dataset="synthetic")
    found.write(tmp_path)
    with pytest.raises(SeqattnError, match="of another version of the data"):
        settings(tmp_path, synthetic, "sasrec", "own_search")
    replace(found, fingerprint=synthetic.fingerprint).write(tmp_path)
    assert settings(tmp_path, synthetic, "sasrec", "own_search").model == found.model_config


def test_a_matched_search_is_refused_after_another_search_of_the_baseline(tmp_path):
    search().write(tmp_path)
    search("ia-add", "shared_backbone", normalisation="zscore").write(tmp_path)
    assert (
        chosen(tmp_path, "toy", "ia-add", "shared_backbone").model_config.normalisation == "zscore"
    )
    search(n_layers=1).write(tmp_path)
    with pytest.raises(SeqattnError, match="rests on another configuration of 'sasrec'"):
        chosen(tmp_path, "toy", "ia-add", "shared_backbone")


def test_a_matched_search_on_other_data_than_the_baselines_is_refused(tmp_path):
    search(fingerprint="e" * 64).write(tmp_path)
    search("ia-add", "shared_backbone").write(tmp_path)
    with pytest.raises(SeqattnError, match="rests on another configuration"):
        chosen(tmp_path, "toy", "ia-add", "shared_backbone")


def test_a_search_with_other_windows_than_the_baselines_is_refused(tmp_path):
    search().write(tmp_path)
    found = search("ia-add")
    replace(found, train_config=replace(found.train_config, stride=1)).write(tmp_path)
    with pytest.raises(SeqattnError, match=r"another stride than that of 'sasrec': run `seqattn"):
        chosen(tmp_path, "toy", "ia-add", "own_search")
    assert finished_runs(tmp_path, "toy", "own_search").keys() == {"sasrec"}


def test_the_cells_of_a_replaced_search_are_not_the_designs(tmp_path):
    campaign(tmp_path, seeds=[1, 2])
    done = finished_runs(tmp_path, "toy", "own_search", seeds=[1, 2, 3])
    assert {model: len(runs) for model, runs in done.items()} == {"sasrec": 2, "ia-add": 2}
    search(n_layers=3).write(tmp_path)
    assert finished_runs(tmp_path, "toy", "own_search", seeds=[1, 2])["sasrec"] == []
    search(fingerprint="e" * 64).write(tmp_path)
    assert "sasrec" not in finished_runs(tmp_path, "toy", "own_search", seeds=[1, 2])


def test_two_machines_results_merge_to_the_same_whatever_the_order(tmp_path):
    one = campaign(tmp_path / "one", seeds=[1, 2], trials=3)
    two = campaign(tmp_path / "two", seeds=[2, 3], trials=5)
    for target, sources in (("a", (one, two)), ("b", (two, one))):
        for source in sources:
            collect(source, tmp_path / target)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    runs, trials = contents(tmp_path / "a")
    assert runs == {**contents(one)[0], **contents(two)[0]}
    assert trials == {"sasrec": 5, "ia-add": 5}


def test_nothing_collected_is_computed_again(tmp_path):
    collect(campaign(tmp_path / "one", seeds=[1, 2]), tmp_path / "all")
    store = Store(tmp_path / "all")
    for model in ("sasrec", "ia-add"):
        found = chosen(tmp_path / "all", "toy", model, "own_search")
        assert [store.compute(found.spec(seed), never).seed for seed in (1, 2)] == [1, 2]


def test_collecting_again_adds_nothing(tmp_path):
    source = campaign(tmp_path / "one", seeds=[1, 2])
    assert len(collect(source, tmp_path / "all")) == 2 + 4
    before = files(tmp_path / "all")
    assert collect(source, tmp_path / "all") == []
    assert files(tmp_path / "all") == before


def test_a_control_is_the_baseline_with_what_a_variants_search_found(tmp_path):
    campaign(tmp_path, seeds=[1, 2])
    deep = search("ia-add", n_layers=3)
    deep.write(tmp_path)
    assert controls(tmp_path, "toy", "ia-add", seeds=[1, 2]) == []
    assert controls(tmp_path, "toy", "ia-mul", seeds=[1, 2]) == []  # never searched
    spec = replace(deep.spec(2), model="sasrec")
    Store(tmp_path).compute(spec, lambda: result(2))
    (run,) = controls(tmp_path, "toy", "ia-add", seeds=[1, 2])
    assert (run.model, run.seed, run.spec.model_config.n_layers) == ("sasrec", 2, 3)


def test_a_shorter_search_does_not_replace_a_longer_one(tmp_path):
    campaign(tmp_path / "all", seeds=[1], trials=5)
    assert collect(campaign(tmp_path / "short", seeds=[1], trials=3), tmp_path / "all") == []
    assert contents(tmp_path / "all")[1] == {"sasrec": 5, "ia-add": 5}


def test_searches_with_other_windows_are_not_mixed(tmp_path):
    source, target = campaign(tmp_path / "one", seeds=[1]), campaign(tmp_path / "all", seeds=[1])
    found = read_search(source, "toy", "ia-add", "own_search")
    other = replace(found.train_config, stride=7)
    path = replace(found, train_config=other).write(source)
    before = files(target)
    with pytest.raises(SeqattnError, match=f"{path} .* different settings"):
        collect(source, target)
    assert files(target) == before


def test_weights_stay_behind(tmp_path):
    source = campaign(tmp_path / "one", seeds=[1])
    collect(source, tmp_path / "light")
    assert not list((tmp_path / "light").rglob("*.safetensors"))
    light = next(iter(Store(tmp_path / "light").runs()))
    with pytest.raises(SeqattnError, match="kept without weights"):
        light.weights()


def test_a_run_of_recbole_is_collected_without_a_search_beside_it(tmp_path):
    source = campaign(tmp_path / "one", seeds=[1])
    spec = RecBoleSpec("toy", "f" * 16, "pop", 2020, {})
    kept = Store(source).compute(spec, lambda: Result({}, {"test_unfiltered": np.array([1, 2])}))
    new = collect(source, tmp_path / "all")
    copy = Store(tmp_path / "all").get(spec)
    assert copy.folder in new
    assert files(copy.folder) == files(kept.folder)


def test_a_damaged_cell_is_not_collected_and_is_replaced_by_an_intact_one(tmp_path):
    source, target = campaign(tmp_path / "one", seeds=[1]), tmp_path / "all"
    collect(source, target)
    damaged = next(iter(Store(target).runs()))
    (damaged.folder / "ranks.npz").write_bytes(b"")
    assert collect(target, tmp_path / "third")[2:] != []
    assert Store(tmp_path / "third").get(damaged.spec) is None
    assert collect(source, target) == [damaged.folder]
    assert Store(target).get(damaged.spec).ranks().tolist() == [2, 3, 4]


def test_a_folder_renamed_to_pass_for_another_cell_is_left_out_by_name(tmp_path):
    source, told = campaign(tmp_path / "one", seeds=[1]), []
    run = next(iter(Store(source).runs()))
    shutil.move(run.folder, run.folder.with_name("seed-7-0123456789ab"))
    collect(source, tmp_path / "all", tell=told.append)
    assert "seed-7-0123456789ab: damaged, not whole, or another run than its name says" in told[0]
    assert Store(tmp_path / "all").get(run.spec) is None


def test_collecting_from_nowhere_says_so(tmp_path):
    with pytest.raises(SeqattnError, match="is no folder"):
        collect(tmp_path / "typo", tmp_path / "all")


def test_a_record_of_another_format_is_refused(tmp_path):
    path = search().write(tmp_path)
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "format": 99}))
    with pytest.raises(SeqattnError, match="damaged or of another version"):
        read_search(tmp_path, "toy", "sasrec", "own_search")
    assert path == search_path(
        tmp_path, "toy", "sasrec", "shared_backbone"
    )  # it serves both designs


def both_designs(folder, trials, **backbone):
    """A campaign of SASRec, and of Add matched to it, with a run of each."""
    for found in (
        search(trials=trials, **backbone),
        search("ia-add", "shared_backbone", trials=4, normalisation="zscore", **backbone),
    ):
        found.write(folder)
        Store(folder).compute(found.spec(1), lambda: result(1))
    return folder


def test_a_longer_search_of_the_baseline_brings_the_matched_ones_that_rest_on_it(tmp_path):
    target = both_designs(tmp_path / "all", trials=13)
    collect(both_designs(tmp_path / "longer", trials=25, n_layers=3), target)
    done = finished_runs(target, "toy", "shared_backbone", seeds=[1])
    depths = {m: [c.spec.model_config.n_layers for c in runs] for m, runs in done.items()}
    assert depths == {"sasrec": [3], "ia-add": [3]}


def test_a_matched_search_that_rests_on_a_shorter_one_is_left_where_it_is(tmp_path):
    target = both_designs(tmp_path / "all", trials=25)
    before, told = files(target), []
    short = both_designs(tmp_path / "short", trials=5, n_layers=3)
    assert collect(short, target, tell=told.append) == []
    assert files(target) == before
    *runs, first, second = told
    assert all("is not taken" in line for line in (first, second))
    assert len(runs) == 1 and "are left out: no search or study of" in runs[0]


def test_cells_that_no_search_of_the_target_asks_for_are_not_copied(tmp_path):
    source = campaign(tmp_path / "one", seeds=[1])
    stray = replace(search().spec(1), model="bert4rec")
    Store(source).compute(stray, lambda: result(1))
    target = tmp_path / "all"
    collect(source, target)
    assert Store(target).get(stray) is None
    assert len(list(Store(target).runs())) == 2


def test_searches_of_another_length_of_trial_are_not_mixed(tmp_path):
    target = campaign(tmp_path / "all", seeds=[1], trials=5)
    longer = search(trials=25)
    replace(longer, budget=SearchConfig(25, epochs=2)).write(tmp_path / "one")
    with pytest.raises(SeqattnError, match="different settings"):
        collect(tmp_path / "one", target)


def test_a_search_that_lies_under_another_name_is_refused(tmp_path):
    path = search("ia-add").write(tmp_path)
    path.rename(path.with_name("ia-mul.json"))
    with pytest.raises(SeqattnError, match=r"ia-mul\.json is damaged"):
        read_search(tmp_path, "toy", "ia-mul", "own_search")


def test_masked_item_models_take_the_backbone_that_sasrecs_search_found(tmp_path, synthetic):
    found = replace(
        search(n_layers=3),
        dataset=synthetic.name,
        fingerprint=synthetic.fingerprint,
        train_config=replace(SMOKE.train, learning_rate=0.0042),
    )
    found.write(tmp_path)
    for design in ("own_search", "shared_backbone"):
        preset = settings(tmp_path, synthetic, "bert4rec", design)
        train = preset.train_for(masked=True)
        assert preset.model == found.model_config
        # Windows of 10 items, which overlap by none.
        assert train == replace(get_preset("paper").train_ae, learning_rate=0.0042, stride=10)
