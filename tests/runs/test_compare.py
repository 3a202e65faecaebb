"""Two systems compared by users' ids, from files of any library or from runs."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from seqattn.cli import main
from seqattn.errors import SeqattnError
from seqattn.files import ROOT
from seqattn.runs.compare import PerUser, compare, of_file
from seqattn.runs.store import Store
from seqattn.stats import dual_criterion, tost_paired
from seqattn.stats.crossed import crossed_interval, interval
from seqattn.stats.metrics import metric, parse_metric


def written(path, users, values, seed=None, column="ndcg"):
    frame = pd.DataFrame({"user": users, column: values})
    if seed is not None:
        frame["seed"] = seed
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def files(tmp_path):
    """Two systems, three seeds, users in different orders, two users not shared."""
    rng = np.random.default_rng(0)
    users = [f"u{n:03d}" for n in range(200)]
    base = rng.random((3, 200))
    variant = base + 0.05 + 0.1 * rng.standard_normal((3, 200))
    frames = []
    for name, values, own in (("a", base, "left"), ("b", variant, "right")):
        order = rng.permutation(200)
        parts = [
            pd.DataFrame(
                {
                    "user": [*np.array(users)[order], own],
                    "seed": s,
                    "ndcg": [*values[s][order], 9.0],
                }
            )
            for s in range(3)
        ]
        path = tmp_path / f"{name}.csv"
        pd.concat(parts).to_csv(path, index=False)
        frames.append(path)
    return *frames, base, variant


def answer(table, question):
    (row,) = table[table["question"].str.endswith(question)].to_dict("records")
    return row


def equivalence(table):
    return answer(table, "equivalence (90 %)")


def test_files_are_paired_by_user_whatever_their_order(files):
    a, b, base, variant = files
    result = compare(of_file(a), of_file(b))
    assert (result.only_base, result.only_variant) == (["left"], ["right"])
    table = result.table
    assert answer(table, "mean of the base")["estimate"] == pytest.approx(base.mean())
    percent = 100 / base.mean()
    difference = (variant - base).mean(axis=1)
    seeds = answer(table, "over seeds")
    t = scipy.stats.ttest_1samp(difference, 0)
    assert seeds["p"] == pytest.approx(t.pvalue)
    interval = np.array(t.confidence_interval()) * percent
    assert [seeds["low"], seeds["high"]] == pytest.approx(interval.tolist())
    assert seeds["estimate"] == pytest.approx(difference.mean() * percent)


def test_an_interval_over_seeds_and_users_is_as_wide_as_the_wider_of_both(files):
    a, b, base, variant = files
    table = compare(of_file(a), of_file(b)).table
    both = answer(table, "over seeds and users")
    of_users = scipy.stats.sem((variant - base).mean(axis=0)) * 1.96
    of_seeds = scipy.stats.sem((variant - base).mean(axis=1)) * 1.96
    assert both["high"] - both["low"] >= 2 * max(of_users, of_seeds) * 100 / base.mean()


def test_every_row_has_the_interval_and_p_value_that_it_names(files):
    a, b, base, variant = files
    table = compare(of_file(a), of_file(b)).table
    both, found = crossed_interval(variant - base), dual_criterion(base, variant)
    expected = {
        "over seeds and users": (both.ci, both.p_value),
        "over users": (found.clustered_ci, found.clustered_p_value),
        "as published": (found.pooled_ci, found.pooled_p_value),
    }
    assert found.clustered_ci != found.pooled_ci
    for question, ((low, high), p) in expected.items():
        row, percent = answer(table, question), 100 / base.mean()
        told = [row["low"], row["high"], row["p"]]
        assert told == pytest.approx([low * percent, high * percent, p])


@pytest.mark.parametrize(
    ("gain", "verdict"), [(0.05, "robust"), (0, "not robust"), (-0.05, "robust")]
)
def test_the_seeds_that_show_it_alone_and_the_verdict_are_told(gain, verdict):
    rng = np.random.default_rng(1)
    base = rng.random((3, 200))
    variant = base + gain + 0.1 * rng.standard_normal((3, 200))
    t = scipy.stats.ttest_1samp(variant - base, 0, axis=1)
    both = (PerUser(name, pd.DataFrame(v.T)) for name, v in (("a", base), ("b", variant)))
    row = answer(compare(*both).table, "seeds that show it alone")
    assert row["estimate"] == (t.pvalue < 0.05).sum()
    assert f"{verdict} as published, {verdict} clustered" in row["note"]


def test_one_seed_has_an_interval_over_users_only(files, tmp_path):
    rng = np.random.default_rng(2)
    base, variant = rng.random(300), rng.random(300)
    a = written(tmp_path / "one.csv", range(300), base)
    b = written(tmp_path / "two.csv", range(299, -1, -1), variant[::-1])
    table = compare(of_file(a), of_file(b)).table
    told, percent = answer(table, "over users"), 100 / base.mean()
    assert told["estimate"] == pytest.approx((variant - base).mean() * percent)
    other = scipy.stats.bootstrap(
        (variant - base,), np.mean, n_resamples=4000, method="percentile", rng=rng
    ).confidence_interval
    close = pytest.approx(
        [end * percent for end in other], abs=0.1 * (other.high - other.low) * percent
    )
    assert [told["low"], told["high"]] == close
    assert not table["question"].str.contains("over seeds").any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,ndcg\n1,0\n", "no column 'user' .* never by their place"),
        ("user,a,b\n1,0,0\n", "name the column of values, by --column: a, b"),
        ("user,a\n1,x\n2,0\n", "line 2, column 'a': 'x' is not a number"),
        ("user,a\n1,0\n1,1\n", "line 3: user 1 has a second value; name seeds"),
        ("user,seed,a\n1,1,0\n1,1,1\n", "line 3: user 1 has a second value for seed 1"),
        ("user,seed,a\n1,1,0\n2,1,1\n1,2,0\n", "seed 2 lacks user 2"),
        ("user,a\n1,inf\n", "is not a number"),
        ("user,a\n", "no row below the names of columns"),
        ("user,a\n,1\n2,0\n", "line 2: no user; values are paired"),
        ("user,a\n1,1\n  ,0\n", "line 3: no user; values are paired"),
        ("user,a\n1,1\n 1,0\n", "line 3: user 1 has a second value"),
        ("user,seed,a\n1,,0\n2,1,0\n", "line 2: seed 'nan' is no whole number"),
        ("user,seed,a\n1,1,0\n2,one,0\n", "line 3: seed 'one' is no whole number"),
        ("user,seed,a\n1,1.5,0\n2,1,0\n", "line 2: seed '1.5' is no whole number"),
    ],
)
def test_a_file_that_cannot_be_paired_is_one_line(tmp_path, text, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(SeqattnError, match=message):
        of_file(tmp_path / "x.csv")


def test_spaces_around_a_users_id_do_not_count_as_in_a_log(tmp_path):
    spaced, plain = tmp_path / "spaced.csv", tmp_path / "plain.csv"
    spaced.write_text("user,a\n x,1\ny ,2\n 7,3\n")
    plain.write_text("user,a\nx,1\ny,2\n7,3\n")
    assert of_file(spaced).values.equals(of_file(plain).values)
    assert not compare(of_file(spaced), of_file(plain)).only_base


def test_files_without_common_users_and_copies_of_a_seed_are_refused(tmp_path):
    a = of_file(written(tmp_path / "a.csv", ["x", "y"], [1, 2]))
    b = of_file(written(tmp_path / "b.csv", ["X", "Y"], [1, 2]))
    with pytest.raises(SeqattnError, match="0 users in common"):
        compare(a, b)
    c = written(tmp_path / "c.csv", [*"xy", *range(30)] * 2, [*range(32)] * 2, [1] * 32 + [2] * 32)
    with pytest.raises(SeqattnError, match=r"c.csv: seeds 1 and 2 have the same value for every"):
        compare(of_file(c), of_file(c))
    with pytest.raises(
        SeqattnError, match=r"a\.csv has the seeds 0 and c\.csv has 1, 2; seeds are"
    ):
        compare(of_file(written(tmp_path / "a.csv", ["x", "y"], [1, 2])), of_file(c))
    with pytest.raises(SeqattnError, match="a margin of -5 %; give a positive one"):
        compare(a, a, margin_percent=-5)


@settings(max_examples=20, deadline=None)
@given(st.permutations([1, 2, 9, 10]), st.permutations(range(30)))
def test_seeds_are_paired_by_their_numbers_and_users_by_their_ids(seeds, users):
    rng = np.random.default_rng(0)
    base, variant = (pd.DataFrame(rng.random((30, 4)), columns=[1, 2, 9, 10]) for _ in range(2))
    base.index = variant.index = pd.Index([f"u{n}" for n in range(30)], name="user")
    expected = compare(PerUser("a", base), PerUser("b", variant)).table
    with TemporaryDirectory() as folder:
        path = Path(folder) / "b.csv"
        told = variant.iloc[users][seeds].rename_axis(columns="seed").stack().rename("value")
        told.reset_index().to_csv(path, index=False, float_format="%.17g")
        found = compare(PerUser("a", base), of_file(path)).table
        pd.testing.assert_frame_equal(found[2:], expected[2:])  # the first rows name the two
        with pytest.raises(SeqattnError, match=r"b\.csv has no seed 3; there are: 1, 2, 9, 10"):
            of_file(path).of_seeds([1, 3])
        with pytest.raises(SeqattnError, match=r"has the seeds 1, 2, 9, 10 and b\.csv has 1, 9; "):
            compare(PerUser("a", base), of_file(path).of_seeds([9, 1]))


def test_a_change_has_the_direction_of_the_difference_whatever_the_sign_of_the_base(tmp_path):
    a = of_file(written(tmp_path / "a.csv", list("abcd"), [-1, -3, -5, -2]))
    b = of_file(written(tmp_path / "b.csv", list("abcd"), [-0.5, -3.2, -4, -1.5]))
    row = answer(compare(a, b).table, "over users")
    assert row["estimate"] == pytest.approx(100 * 0.45 / 2.75)
    assert row["low"] < row["estimate"] < row["high"]
    zero = of_file(written(tmp_path / "c.csv", list("abcd"), [0, 0, 0, 0]))
    table = compare(zero, b).table
    assert answer(table, "of the base")["note"] == "no change in percent of 0"
    assert "equal for every user" in answer(compare(b, b).table, "of the variant")["note"]


def values(array_SU):
    users = [f"u{n}" for n in range(array_SU.shape[1])]
    return pd.DataFrame(array_SU.T, index=users, columns=range(1, len(array_SU) + 1))


def test_equivalence_is_over_seeds_and_users_where_there_are_several_seeds():
    """Seeds that disagree by more than the margin: users alone would say equivalent."""
    rng = np.random.default_rng(0)
    base_SU = rng.random((3, 400)) + 1
    moved_SU = base_SU + np.array([[-0.1], [0.0], [0.1]]) + 0.01 * rng.standard_normal((3, 400))
    base, variant = PerUser("a", values(base_SU)), PerUser("b", values(moved_SU))
    row = equivalence(compare(base, variant).table)
    both = crossed_interval(moved_SU - base_SU)
    found = interval(both.difference, both.error, both.df, 0.1)
    percent = 100 / base_SU.mean()
    assert (row["low"], row["high"]) == pytest.approx([end * percent for end in found.ci])
    few = "; 3 seeds cover less than that"
    assert row["note"] == f"not shown within ±5 %, over seeds and users{few}"
    assert tost_paired(base_SU.mean(axis=0), moved_SU.mean(axis=0), 5 / percent).equivalent
    margin = (
        found.difference * percent + 1
    )  # the p-value is below 0.05 where the interval is within
    for width in (margin, 2 * max(abs(row["low"]), abs(row["high"]))):
        told = equivalence(compare(base, variant, margin_percent=width).table)
        inside = max(abs(row["low"]), abs(row["high"])) < width
        assert told["note"].startswith("equivalent") == inside == (told["p"] < 0.05)
    one = [PerUser(one.name, one.values[[1]]) for one in (base, variant)]
    assert equivalence(compare(*one).table)["note"].endswith(", over users")


def test_a_table_says_when_almost_nothing_differs():
    base_SU = np.random.default_rng(0).random((3, 50))
    other_SU = base_SU.copy()
    other_SU[0, 3] += 0.5
    table = compare(PerUser("a", values(base_SU)), PerUser("b", values(other_SU))).table
    assert answer(table, "users in common")["note"] == "the results of only 1 differ"


def test_parquet_and_another_name_for_users_are_read(tmp_path):
    frame = pd.DataFrame({"customer": ["x", "y", "z"], "ndcg": [0.1, 0.2, 0.4], "hr": [0, 1, 1]})
    frame.set_index("customer").to_parquet(tmp_path / "a.pq")
    frame.to_csv(tmp_path / "a.csv", index=False)
    asked = {"column": "ndcg", "by": "customer"}
    there, here = (of_file(tmp_path / name, **asked).values for name in ("a.pq", "a.csv"))
    pd.testing.assert_frame_equal(there, here)
    with pytest.raises(SeqattnError, match=r"no column 'user' .* name that column, by --by"):
        of_file(tmp_path / "a.pq")


@pytest.mark.parametrize("levels", [1, 2])
def test_an_index_without_a_name_is_no_column_of_values(tmp_path, levels):
    pytest.importorskip("pyarrow", exc_type=ImportError)
    frame = pd.DataFrame({"user": ["x", "y", "z"], "ndcg": [0.1, 0.2, 0.4]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.index = pd.MultiIndex.from_product([[7, 8, 9], [1]]) if levels == 2 else [7, 8, 9]
    frame.to_parquet(tmp_path / "a.parquet")
    there, here = (of_file(tmp_path / f"a.{kind}").values for kind in ("parquet", "csv"))
    pd.testing.assert_frame_equal(there, here)
    with pytest.raises(SeqattnError, match=r"no column 'hr'; there are: ndcg$"):
        of_file(tmp_path / "a.parquet", "hr")


def test_the_command_prints_what_was_asked_for_and_who_is_missing(files, capsys):
    a, b, *_ = files
    assert main(["compare", str(a), str(b), "--json"]) == 0
    told = capsys.readouterr()
    assert "left out 1 users that only" in told.err
    expected = compare(of_file(a), of_file(b)).table
    frame = pd.DataFrame(json.loads(told.out))
    np.testing.assert_allclose(frame["estimate"], expected["estimate"])
    assert main(["compare", str(a), str(b), "--latex"]) == 0
    assert "\\begin{tabular}" in capsys.readouterr().out
    assert main(["compare", str(a), str(b), "--csv"]) == 0
    assert capsys.readouterr().out.startswith("question,estimate,low,high,t,p,note")


def test_the_table_says_how_many_and_has_the_t_of_scipy(files, capsys):
    a, b, *_ = files
    base, variant = of_file(a), of_file(b)
    table = compare(base, variant).table
    common = base.values.index.intersection(variant.values.index)
    assert answer(table, "users in common")["estimate"] == len(common)
    assert table.set_index("question")["estimate"]["seeds"] == base.values.shape[1]
    means = (one.values.loc[common].mean() for one in (variant, base))
    expected = scipy.stats.ttest_rel(*means).statistic
    assert answer(table, "over seeds")["t"] == pytest.approx(expected)
    assert main(["compare", str(a), str(b)]) == 0
    assert "seeds and users" in capsys.readouterr().out


def test_differences_without_spread_are_said_to_be_a_limit():
    base = pd.DataFrame(
        np.random.default_rng(0).random((30, 3)), index=[f"u{n}" for n in range(30)]
    )
    table = compare(PerUser("a", base), PerUser("b", base + 0.125)).table
    told = table[table["note"].str.contains("no spread")]
    assert [*told["question"]] == [q for q in table["question"] if q.startswith("change")]
    # Each seed changes by the same amount, users by amounts of their own.
    moved = base + np.where(np.arange(30) % 2, 0.25, 0.0)[:, None]
    table = compare(PerUser("a", base), PerUser("b", moved)).table
    told = table[table["note"].str.contains("no spread, each seed")]
    assert [*told["question"]] == ["change, %: over seeds and users", "change, %: over seeds"]


def answers(table):
    """Return the rows without those that say what is compared."""
    return [row for row in table if row["question"] not in ("base", "variant", "metric", "dataset")]


def test_models_of_a_dataset_are_compared_as_their_exported_files_are(
    tmp_path, capsys, one_process
):
    common = ["-d", "synthetic", "--preset", "smoke", "--results-dir", str(tmp_path / "store")]
    asked = ["compare", "sasrec", "ia-add", *common, "-s", "1", "2", "--metric", "HR@10", "--json"]
    assert main(asked) == 0
    of_models = json.loads(capsys.readouterr().out)
    frames = {}
    for folder in sorted((tmp_path / "store").glob("*/*/seed-*")):
        path = tmp_path / "one.csv"
        assert main(["export", str(folder), "--per-user", str(path)]) == 0
        seed = folder.name.split("-")[1]
        frames.setdefault(folder.parent.name, []).append(pd.read_csv(path).assign(seed=seed))
    for name, parts in frames.items():
        columns = ["user", "seed", "Recall@10_unfiltered"]
        pd.concat(parts)[columns].to_csv(tmp_path / f"{name}.csv", index=False)
    capsys.readouterr()
    names = [str(tmp_path / f"{name}.csv") for name in ("sasrec", "ia-add")]
    assert main(["compare", *names, "--json"]) == 0
    of_files = json.loads(capsys.readouterr().out)
    assert answers(of_files) == answers(of_models)
    told = {row["question"]: row["note"] for row in of_models}
    assert told["base"] == "sasrec, preset smoke" and told["dataset"] == "synthetic"
    assert told["metric"] == "Recall@10, unfiltered"


def test_a_file_a_run_and_a_model_under_any_preset_are_compared(tmp_path, capsys, one_process):
    store = ["--results-dir", str(tmp_path / "store")]
    asked = ["-d", "synthetic", "-m", "sasrec", "-s", "3", "--preset", "smoke", *store]
    assert main(["fit", *asked]) == 0
    (folder,) = (tmp_path / "store").glob("*/sasrec/seed-3-*")
    assert main(["export", str(folder), "--per-user", str(tmp_path / "u.csv")]) == 0
    capsys.readouterr()
    frame = pd.read_csv(tmp_path / "u.csv", dtype=str)[["user", "NDCG@10_unfiltered"]]
    frame.assign(seed=3).to_csv(tmp_path / "u.csv", index=False)
    told = []
    for base in ("sasrec:smoke", str(folder), str(tmp_path / "u.csv")):
        asked = [base, "ia-val:smoke", "-d", "synthetic", "-s", "3", "--json", *store]
        assert main(["compare", *asked]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert answers(told[0]) == answers(told[1]) == answers(told[2])
    assert main(["compare", str(folder), str(folder)]) == 0  # a run says which data it is of
    assert "equal for every user" in capsys.readouterr().out


def test_counts_are_printed_whole(tmp_path, capsys):
    users = [f"u{n}" for n in range(12_345)]
    values = np.random.default_rng(0).random((2, len(users)))
    names = [str(written(tmp_path / f"{n}.csv", users, v)) for n, v in enumerate(values)]
    assert main(["compare", *names]) == 0
    assert " 12345 " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--metric", "HR@10"], "--metric goes with a model or a run, and none is compared"),
        (["--kind", "filtered"], "--kind goes with a model or a run"),
        (["-s", "7"], "a.csv has no seed 7; there are: 0, 1, 2"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(files, capsys, option, message):
    assert main(["compare", *map(str, files[:2]), *option]) == 2
    assert message in capsys.readouterr().err


def test_metrics_have_the_fields_names(tmp_path):
    ranks = np.array([1, 3, 11])
    assert metric(ranks, "HR", 10).tolist() == metric(ranks, "Recall", 10).tolist()
    assert metric(ranks, "Precision", 10).tolist() == [0.1, 0.1, 0]
    assert parse_metric("HR@20") == ("HR", 20)
    for wrong in ("NDCG", "NDCG@ten", "AUC@10", "NDCG@0"):
        with pytest.raises(SeqattnError):
            parse_metric(wrong)


def test_a_model_is_fitted_with_the_seeds_of_a_file(tmp_path, synthetic, capsys, one_process):
    users = synthetic.sequences.user_ids
    rows = [(u, seed, 0.01 * (n + seed)) for seed in (3, 5) for n, u in enumerate(users)]
    path = tmp_path / "theirs.csv"
    pd.DataFrame(rows, columns=["user", "seed", "value"]).to_csv(path, index=False)
    store = ["--results-dir", str(tmp_path / "store")]
    asked = ["compare", "sasrec", str(path), "-d", "synthetic", "--preset", "smoke", *store]
    assert main(asked) == 0, capsys.readouterr().err
    assert sorted(run.seed for run in Store(tmp_path / "store").runs()) == [3, 5]


@pytest.fixture(scope="module")
def of_a_run(tmp_path_factory):
    """A run's folder, and what `export --per-user` writes of it, as text."""
    folder = tmp_path_factory.mktemp("run")
    asked = ["-d", "synthetic", "-m", "sasrec", "-s", "1", "--preset", "smoke"]
    assert main(["fit", *asked, "--results-dir", str(folder / "store")]) == 0
    (run,) = (folder / "store").glob("*/sasrec/seed-1-*")
    assert main(["export", str(run), "--per-user", str(folder / "u.csv")]) == 0
    return run, pd.read_csv(folder / "u.csv", dtype=str)


VALUE = ["--column", "NDCG@10_unfiltered"]


def test_runs_of_two_datasets_are_refused_with_both_names(of_a_run, capsys):
    """Both number their users: without a word they would be paired by numbers that mean nothing."""
    other = ROOT / "results/fixed/synthetic-held/sasrec/seed-2020-4903132ff357"
    assert main(["compare", str(of_a_run[0]), str(other)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "compare systems on one dataset" in told
    assert all(f"is of {name} (fingerprint " in told for name in ("synthetic", "synthetic-held"))


def test_two_splits_of_one_log_are_refused_by_their_fingerprints():
    frame = values(np.arange(4.0)[None])
    one, other = (PerUser(name, frame, "mine", name * 20) for name in "ab")
    with pytest.raises(SeqattnError, match=r"a is of mine .*a{12}\) and b is of mine .*b{12}\)"):
        compare(one, other.of_seeds([1]))
    compare(one, PerUser("a file", frame))
    compare(one, one)


def test_a_file_of_other_targets_is_refused_beside_a_run_and_beside_a_file(
    of_a_run, tmp_path, capsys
):
    run, frame = of_a_run
    paths = [tmp_path / name for name in ("same.csv", "moved.csv", "plain.csv")]
    same, moved, plain = map(str, paths)
    frame.to_csv(same, index=False)
    frame.drop(columns="target").to_csv(plain, index=False)
    user, target = frame.loc[7, ["user", "target"]]
    frame.assign(target=frame["target"].where(frame.index != 7, "elsewhere")).to_csv(
        moved, index=False
    )
    for pair in ((str(run), same), (same, plain), (plain, moved), (str(run), plain)):
        assert main(["compare", *pair, *VALUE]) == 0, capsys.readouterr().err
    capsys.readouterr()
    for pair in ((str(run), moved), (same, moved)):
        assert main(["compare", *pair, *VALUE]) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert f"user {user} has target {target} in " in told
        assert "target elsewhere in moved.csv" in told


def test_one_target_and_several_of_a_user_are_refused(of_a_run, tmp_path, capsys):
    run, frame = of_a_run
    several = frame.rename(columns={"target": "targets"}).assign(targets="2")
    several.to_csv(tmp_path / "several.csv", index=False)
    several.assign(targets=["3", *several["targets"][1:]]).to_csv(tmp_path / "3.csv", index=False)
    assert main(["compare", str(run), str(tmp_path / "several.csv"), *VALUE]) == 2
    told = capsys.readouterr().err
    assert "several.csv asks for several targets of a user" in told and told.count("\n") == 1
    assert main(["compare", *(str(tmp_path / n) for n in ("several.csv", "3.csv")), *VALUE]) == 2
    assert f"user {frame['user'][0]} has 2 targets in several.csv and 3 targets in 3.csv" in (
        capsys.readouterr().err
    )


def test_targets_that_went_through_pandas_are_the_same_and_blank_ones_unknown(tmp_path):
    paths = [tmp_path / name for name in ("whole.csv", "point.csv", "blank.csv")]
    for path, told in zip(paths, ("4 5", "4.0 5.0", "4 "), strict=True):
        rows = [f"u{n},{t},{n}" for n, t in enumerate(told.split(" "))]
        path.write_text("\n".join(["user,target,v", *rows, ""]))
    whole, *others = (of_file(path, "v") for path in paths)
    for other in others:
        assert answer(compare(whole, other).table, "users in common")["estimate"] == 2


def test_a_user_with_one_target_a_seed_is_refused_where_they_differ(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("user,seed,target,v\nx,1,4,0\ny,1,5,0\nx,2,4,1\ny,2,6,1\n")
    with pytest.raises(SeqattnError, match=r"a\.csv: line 5: user y has target 6, and 5 in ano"):
        of_file(path, "v")


def test_targets_can_be_the_values_themselves(tmp_path):
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for n, path in enumerate(paths):
        path.write_text(f"user,target\nx,{n}\ny,{n + 1}\n")
    compare(*map(of_file, paths))


def test_differences_in_the_last_bit_are_none(tmp_path):
    base_SU = np.random.default_rng(0).random((3, 50))
    base_SU[:, :5] = 0
    rounded = np.nextafter(base_SU, base_SU + 1, where=base_SU > 0, out=np.zeros_like(base_SU))
    assert (rounded > base_SU).any()
    for seeds in (slice(None), slice(1)):
        pair = PerUser("a", values(base_SU[seeds])), PerUser("b", values(rounded[seeds]))
        table = compare(*pair).table
        assert "equal for every user" in answer(table, "of the variant")["note"]
        changes = table[table["question"].str.startswith("change, %: over")]
        assert set(changes["estimate"]) == {0} and (changes["p"] == 1).all()
    moved = base_SU + np.where(np.arange(50) == 7, 1e-9, 0)
    table = compare(PerUser("a", values(base_SU)), PerUser("b", values(moved))).table
    assert answer(table, "users in common")["note"] == "the results of only 1 differ"


def test_a_column_says_its_metric_and_another_is_refused(tmp_path, capsys, one_process):
    store = ["-d", "synthetic", "--results-dir", str(tmp_path / "store")]
    assert main(["fit", *store, "-m", "sasrec", "-s", "3", "--preset", "smoke"]) == 0
    (folder,) = (tmp_path / "store").glob("*/sasrec/seed-3-*")
    users, one = tmp_path / "u.csv", ["sasrec:smoke", "-s", "3", *store]
    assert main(["export", str(folder), "--per-user", str(users)]) == 0
    capsys.readouterr()
    recall = ["--column", "Recall@10_filtered"]
    # The model gives what the column says.
    assert main(["compare", *one, str(users), *recall, "--json"]) == 0
    rows = {row["question"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["metric"]["note"] == "Recall@10, filtered"
    assert rows["variant"]["note"] == f"{users}, column Recall@10_filtered"
    assert rows["mean of the variant"]["note"].startswith("equal for every user")
    for more, told in (
        (
            [*recall, "--metric", "NDCG@10"],
            "sasrec:smoke holds NDCG@10_filtered and u.csv Recall@10_filtered: compare",
        ),
        (["--column", "rank_unfiltered"], f"{users}, column rank_unfiltered: a value is "),
    ):
        assert main(["compare", *one, str(users), *more]) == 2
        assert told in (err := capsys.readouterr().err) and err.count("\n") == 1
    frame = pd.read_csv(users).drop(columns="seed", errors="ignore")
    frame.to_csv(users, index=False)  # it does not say its seed, so -s is about the model alone
    assert main(["compare", *one, str(users), *recall]) == 0


def test_degrees_of_freedom_and_few_users_are_said():
    rng = np.random.default_rng(0)
    base_SU = rng.random((5, 300))
    alike = compare(
        PerUser("a", values(base_SU)),
        PerUser("b", values(base_SU + 0.02 + 0.3 * rng.standard_normal((5, 300)))),
    ).table
    note = answer(alike, "over seeds and users")["note"]
    assert note.startswith("crossed, ") and " df" in note and "cover less" not in note
    users = base_SU + 0.05 * rng.standard_normal(300)  # as much in each seed: users alone
    note = answer(
        compare(PerUser("a", values(base_SU)), PerUser("b", values(users))).table,
        "over seeds and users",
    )["note"]
    assert note.startswith("crossed, 299 df (of users alone)")
    few = base_SU.copy()
    few[:, 0] += 0.1 * rng.random(5)
    table = compare(PerUser("a", values(base_SU)), PerUser("b", values(few))).table
    told = [answer(table, q)["note"] for q in ("that show it alone", "equivalence (90 %)")]
    assert all("not judged: the results of only 1 differ" in note for note in told)


def test_a_foreign_name_of_users_stands_beside_ones_own(tmp_path, capsys):
    users, rng = [f"u{n}" for n in range(30)], np.random.default_rng(0)
    paths = [tmp_path / name for name in ("own.csv", "foreign.csv")]
    for path, by in zip(paths, ("user", "kunde"), strict=True):
        pd.DataFrame({by: users, "v": rng.random(30)}).to_csv(path, index=False)
    assert main(["compare", *map(str, paths), "--by", "kunde"]) == 0
    assert main(["compare", *map(str, paths), "--by", "client"]) == 2
    assert "own.csv: no column 'client'" in capsys.readouterr().err
    for path in paths:  # a word that neither has is a typing error, whatever else is there
        pd.read_csv(path).rename(columns={"kunde": "user"}).to_csv(path, index=False)
    assert main(["compare", *map(str, paths), "--by", "custmer"]) == 2
    assert main(["compare", *map(str, paths), "-s", "77"]) == 2
    assert "-s chooses seeds, and neither file names any" in capsys.readouterr().err
