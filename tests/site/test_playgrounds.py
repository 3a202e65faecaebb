"""Playgrounds in Chromium, from a file: address without a network, against numbers from Python."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch

from seqattn.analysis.attention import l1_l2
from seqattn.config import NORMALISATIONS, ModelConfig, replace
from seqattn.models import build_model
from seqattn.models.attention import attend
from seqattn.models.injection import Add, Injection, Mul, Val
from seqattn.models.intensity import normalise
from seqattn.stats.criterion import dual_criterion
from seqattn.stats.metrics import metric
from seqattn.studies.study import read_study
from seqattn.training.ranking import _ranks
from tools import playground_data, playground_stills

pytestmark = pytest.mark.site
STATIC = Path(__file__).resolve().parents[2] / "book" / "_static"
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Playground</title>
<link rel="stylesheet" href="css/playground.css">
<script src="js/playgrounds/playground.js"></script></head>
<body><div class="playground" data-playground="{name}" {data}></div></body></html>"""
QUICK = replace(playground_data.LONGER, epochs=2, patience=2)
CUT = """() => [...document.querySelectorAll(".playground-table")]
  .filter(frame => frame.scrollWidth > frame.clientWidth).map(frame => frame.textContent)"""
SMALLEST = """() => {
  const svg = document.querySelector("svg"), scale = svg.clientWidth / svg.viewBox.baseVal.width;
  const size = text => parseFloat(getComputedStyle(text).fontSize);
  return Math.min(...[...svg.querySelectorAll("text")].map(size)) * scale;
}"""
LUCK = [{"name": "A", "values": [0.01, 0.02, 0.05, 0.03]}, {"name": "B", "values": [0.2, 0.1]}]
TRAVEL = {
    "paper": [{"name": "P", "dataset": "D", "lambda": 0.6}],
    "runs": [
        {"dataset": d, "model": "Add", "lambda": lam, "steps": n, "rate": rate}
        for d, lam, n, rate in [
            ("D", 0.9, 100, 1e-3),
            ("D", 0.5, 1000, 1e-3),
            ("E", -2, 1000, 1e-2),
        ]
    ],
}
FOREST = [
    {"study": s, "dataset": d, "arm": a, "name": f"{d}: {a}", "change": c, "low": c - 2,
     "high": c + 2, "seeds": 5, "users": 10, "robust": abs(c) > 3}
    for s, d, a, c in [
        (["S"], "D", "x", 4.0),
        (["S", "T"], "E", "x", -39.0),
        (["T"], "D", "y", 1.0),
    ]
]  # fmt: skip


@pytest.fixture
def play(browser, tmp_path):
    """Open a playground with a width; what a script reports as an error fails the test."""
    shutil.copytree(STATIC, tmp_path / "static")
    errors: list[str] = []

    def opened(name, data=None, width=1280):
        if data is not None:
            script = tmp_path / "static" / "js" / "playgrounds" / f"{name}.data.js"
            script.write_text(f"(window.playgroundData ||= {{}}).{name} = {json.dumps(data)};")
        path = tmp_path / "static" / f"{name}.html"
        path.write_text(PAGE.format(name=name, data='data-data="yes"' if data is not None else ""))
        page = browser.new_page(viewport={"width": width, "height": 800}, offline=True)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_selector(".playground[data-ready]")
        return page

    yield opened
    assert not errors


@pytest.fixture(scope="module")
def synthetic_models():
    """Three small models, untrained but far from their start, and two users."""
    torch.manual_seed(1)
    config = ModelConfig(max_length=20, hidden_size=16, inner_size=32)
    models = {}
    for label, name in (("Add", "ia-add"), ("Mul", "ia-mul"), ("Val", "ia-val")):
        model = build_model(name, 30, **vars(config)).eval()
        for parameter in model.parameters():
            parameter.data += 0.3 * torch.randn(parameter.shape)
        model.trained = model.lambdas
        models[label] = model
    users = [
        {
            "name": n,
            "next": 3,
            "items": list(range(1 + n, 12)),
            "intensity": [2.0, 90, 1, 7][:] * 2 + [5.0] * (3 - n),
        }
        for n in (0, 1)
    ]
    return {
        "users": users,
        "models": {
            n: playground_data.exported(m) | {"inside": 2, "leave": 1} for n, m in models.items()
        },
    }, models


def numbers(page, table=0):
    """Return the numbers of a table, to the last bit: {head of the row: [values]}."""
    found = page.query_selector_all("table.playground-values")[table]
    return {
        row.query_selector("th, td").inner_text(): [
            float(cell.get_attribute("data-value"))
            for cell in row.query_selector_all("td[data-value]")
        ]
        for row in found.query_selector_all("tbody tr")
    }


def put(page, control, value):
    page.eval_on_selector(
        f"[data-control={control}]",
        "(input, value) => { input.value = value; input.dispatchEvent(new Event("
        "input.tagName == 'SELECT' ? 'change' : 'input')); }",
        str(value),
    )


def by_python(lam, hours, mode):
    """Return weights and context of the hand example, by the package's own classes."""
    q = torch.tensor([[[[2.0, 0, 1, 0]]]]).double() / 2
    k = torch.tensor([[[[1.0, 0, 0, 1], [0, 1, 1, 0], [-1, 1, 0, 0]]]]).double()
    v = torch.tensor([[[[1.0, 0], [0, 1], [1, 1]]]]).double()
    signal = normalise(torch.tensor([hours]).double(), torch.ones(1, 3, dtype=torch.bool), mode)
    signal = signal._replace(a_BT=signal.a_BT[:, -1:], b_BT=signal.b_BT[:, -1:])
    found = {}
    for name, cls in (("SASRec", Injection), ("Add", Add), ("Mul", Mul), ("Val", Val)):
        injection = cls().double()
        if name != "SASRec":
            injection.lam.data.fill_(lam)

        def read(values, injection=injection):
            mask = torch.ones(1, 3, dtype=torch.bool)
            context = attend(*injection.before(q, k, values, signal), mask, 0.0)
            return injection.after(context, signal)[0, 0, 0].detach().numpy()

        weights = read(torch.eye(3).double()[None, None])
        found[name] = [*weights, weights.sum(), *read(v)]
    return found


def same(page, expected, tolerance=1e-5):
    shown = numbers(page)
    assert shown.keys() == expected.keys()
    for name, values in expected.items():
        assert shown[name] == pytest.approx(list(values), abs=tolerance), name


def test_the_hand_example_starts_with_the_pages_numbers(play):
    shown = numbers(play("injection"))
    assert np.round(shown["SASRec"], 3).tolist() == [0.574, 0.348, 0.078, 1, 0.652, 0.426]
    assert np.round(shown["Add"], 3).tolist() == [0.498, 0.422, 0.080, 1, 0.578, 0.502]
    assert np.round(shown["Mul"], 3).tolist() == [0.483, 0.409, 0.108, 1, 0.591, 0.517]
    assert np.round(shown["Val"], 3).tolist() == [0.383, 0.348, 0.065, 0.796, 0.447, 0.413]


@pytest.mark.parametrize("mode", NORMALISATIONS)
def test_the_hand_example_is_the_packages_attention(play, mode):
    page = play("injection")
    put(page, "mode", mode)
    for lam, hours in ((0.5, [1.0, 7, 3]), (-1.0, [0.0, 20, 5.5]), (3.0, [4.0, 4, 4])):
        put(page, "lambda", lam)
        for i, w in enumerate(hours):
            put(page, f"w{i + 1}", w)
        same(page, by_python(lam, hours, mode))


def test_a_weight_that_moves_by_less_than_its_digits_hardly_changes(play):
    page = play("injection")
    told = page.locator("[role=status]").inner_text
    assert "Add hardly changes, Mul raises, Val lowers the weight of game 3" in told()
    put(page, "lambda", 3)
    assert "Add lowers, Mul raises, Val lowers" in told()


def test_a_slider_moves_by_keyboard_and_by_mouse_and_reset_brings_all_back(play):
    page = play("injection")
    start = numbers(page)
    slider = page.locator("[data-control=lambda]")
    slider.focus()
    page.keyboard.press("ArrowRight")
    same(page, by_python(0.55, [1, 7, 3], "log1p_minmax"))
    box = page.locator("[data-control=w3]").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    hours = float(page.locator("[data-control=w3]").input_value())
    assert hours > 15
    same(page, by_python(0.55, [1, 7, hours], "log1p_minmax"))
    page.locator(".playground-reset").focus()
    page.keyboard.press("Enter")
    assert numbers(page) == start


@pytest.mark.parametrize("kind", ["causal", "bidirectional"])
@pytest.mark.parametrize(("n", "window"), [(2, 1), (12, 24), (12, 3), (24, 5)])
def test_a_masks_sparsity_and_rank_are_pythons(play, kind, n, window):
    page = play("masks")
    for control, value in (("n", n), ("w", window), ("kind", kind)):
        put(page, control, value)
    distance = np.arange(n)[:, None] - np.arange(n)
    seen = (distance < window) & (distance >= 0 if kind == "causal" else distance > -window)
    uniform = seen / seen.sum(axis=1, keepdims=True)
    singular = np.linalg.svd(uniform, compute_uv=False)
    rank = (singular > 1e-9 * singular[0]).sum()
    same(page, {str(n): [min(window, n), rank, float(l1_l2(uniform)), *singular[:2]]}, 1e-9)


def test_a_masks_window_ends_at_the_length_and_starts_there(play):
    page = play("masks")
    assert page.locator("[data-control=kind]").input_value() == "bidirectional"
    window = page.locator("[data-control=w]")
    window.focus()
    assert window.input_value() == window.get_attribute("max") == "12"
    page.keyboard.press("ArrowLeft")
    assert numbers(page)["12"][:2] == [11, 3]
    for n, w in ((5, "5"), (24, "11")):  # what a reader chose comes back
        put(page, "n", n)
        assert (window.input_value(), window.get_attribute("max")) == (w, str(n))
    page.locator(".playground-reset").click()
    put(page, "n", 20)
    assert window.input_value() == window.get_attribute("aria-valuetext") == "20"


def test_a_trained_map_is_cut_and_scaled(play):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 24, 24))
    below = np.tril(np.ones((24, 24)))
    data = {
        kind: [
            (np.exp(x) * seen / (np.exp(x) * seen).sum(1, keepdims=True)).tolist() for x in logits
        ]
        for kind, seen in (("causal", below), ("bidirectional", np.ones((24, 24))))
    }
    page = play("masks", data)
    for control, value in (("n", 10), ("w", 4), ("kind", "bidirectional"), ("weights", "1")):
        put(page, control, value)
    distance = np.abs(np.arange(10)[:, None] - np.arange(10))
    cut = np.array(data["bidirectional"][1])[:10, :10] * (distance < 4)
    cut /= cut.sum(axis=1, keepdims=True)
    singular = np.linalg.svd(cut, compute_uv=False)
    same(page, {"10": [4, 10, float(l1_l2(cut)), *singular[:2]]}, 1e-9)
    assert page.locator("[role=status]").inner_text().startswith("After training")


def test_the_lucky_search_is_a_best_of_so_many_draws(play):
    page = play("luck", LUCK)
    page.locator("[data-control=once]").click()
    assert "1 search of 5 trials: it found 0.0" in page.locator("[role=status]").inner_text()
    put(page, "trials", 1)
    for _ in range(4):
        page.locator("[data-control=many]").click()
    mean, *shown = numbers(page)["1"]
    assert shown == pytest.approx([0.01, 0.01, 0.05, 0.05])
    # Four standard errors of a mean of 2,000 draws.
    values = np.array(LUCK[0]["values"])
    assert mean == pytest.approx(values.mean(), abs=4 * values.std() / np.sqrt(2000))
    put(page, "search", 1)
    put(page, "trials", 50)
    page.locator("[data-control=many]").click()
    assert numbers(page)["50"] == pytest.approx([0.2] * 5)


def test_a_search_of_more_trials_is_drawn_over_the_one_of_fewer(play):
    page = play("luck", LUCK)
    page.locator("[data-control=many]").click()
    for trials in (9, 17, 25):  # as a slider passes them
        put(page, "trials", trials)
    page.locator("[data-control=many]").click()
    of_five, of_many = (numbers(page)[n][0] for n in ("5", "25"))
    told = page.locator("[role=status]").inner_text()
    assert f"From 5 trials to 25 (outline: 5), the mean grows by {told_gain(told)} %" in told
    assert told_gain(told) == f"{100 * (of_many / of_five - 1):.1f}"
    assert "None can exceed 0.0500, the best of the 4 trials that were run" in told
    # By the distribution of a best of n: P(best <= x) = F(x) ** n.
    values = np.sort(LUCK[0]["values"])
    for n, mean in ((5, of_five), (25, of_many)):
        shares = np.diff((np.arange(5) / 4) ** n)
        assert mean == pytest.approx((values * shares).sum(), abs=2e-3)


def told_gain(text):
    return text.partition("grows by ")[2].partition(" %")[0]


def test_a_screen_that_is_turned_keeps_what_was_drawn(play):
    page = play("samples", width=360)
    put(page, "effect", 1)
    page.locator("[data-control=both]").click()
    drawn = numbers(page)
    page.set_viewport_size({"width": 800, "height": 360})
    assert numbers(page) == drawn and len(drawn["both"]) == 4  # one of them before


def intervals(page, stroke):
    """Return the ends of drawn intervals, in units of the picture; a pair each."""
    return page.eval_on_selector_all(
        f"svg line[stroke-width='{stroke}']",
        "lines => lines.map(l => [l.x1.baseVal.value, l.x2.baseVal.value])",
    )


def test_seeds_and_users_start_with_their_three_intervals(play):
    page = play("samples")
    start = numbers(page)
    assert list(start) == ["users", "seeds", "both"] and len(intervals(page, 4)) == 3
    page.locator("[data-control=seeds]").click()
    times = page.locator("table.playground-values td:nth-child(2)").all_inner_texts()
    assert times == ["200", "400", "200"]
    assert {**numbers(page), "seeds": 0} == {**start, "seeds": 0}


def test_seeds_that_differ_more_widen_their_interval_before_the_readers_eyes(play):
    page = play("samples")
    start, drawn = numbers(page), intervals(page, 4)
    for spread in (0.8, 1.1, 1.5):  # as a slider passes them
        put(page, "seed_sd", spread)
    width = {way: values[-1] / start[way][-1] for way, values in numbers(page).items()}
    assert width["users"] == pytest.approx(1) and width["both"] > 1.5 and width["seeds"] > 2
    assert intervals(page, 3) == drawn
    text = page.locator("[role=status]").inner_text()
    assert f"{width['seeds']:.1f} times as wide as before" in text
    drawn = intervals(page, 4)
    put(page, "user_sd", 0)
    assert intervals(page, 3) == drawn


def test_the_widest_intervals_of_seeds_and_users_stay_in_the_picture(play):
    page = play("samples")
    for control, value in {"effect": 2, "user_sd": 3, "seed_sd": 2}.items():
        put(page, control, value)
    for world in (1, 23, 34, 48):
        put(page, "world", world)
        for way in ("users", "seeds", "both"):
            page.locator(f"[data-control={way}]").click()
        ends = np.array(intervals(page, 4) + intervals(page, 3))
        assert len(ends) == 6 and ends.min() > 0 and ends.max() < 640


def test_a_figure_whose_numbers_are_missing_says_so(browser, tmp_path):
    shutil.copytree(STATIC, tmp_path / "static")
    path = tmp_path / "static" / "forest.html"
    path.write_text(PAGE.format(name="forest", data='data-data="yes"'))
    (tmp_path / "static" / "js" / "playgrounds" / "forest.data.js").unlink(missing_ok=True)
    page = browser.new_page(offline=True)
    page.goto(path.as_uri())
    page.wait_for_function("document.querySelector('.playground').textContent")
    told = page.locator(".playground").inner_text()
    assert told == "This figure could not be loaded: forest.data.js is missing."


def test_seeds_that_agree_leave_users_as_the_only_doubt(play):
    page = play("samples")
    put(page, "seed_sd", 0)
    put(page, "user_sd", 3)
    for way in ("users", "seeds", "both"):
        for _ in range(5):
            page.locator(f"[data-control={way}]").click()
    width = {way: values[-1] for way, values in numbers(page).items()}
    assert width["seeds"] < 0.5 * width["users"] < width["both"]
    # The standard error of a mean over 40 users of spread 3, up to what a sample shows of it.
    assert width["users"] == pytest.approx(2 * 1.96 * 3 / np.sqrt(40), rel=0.4)


@pytest.mark.parametrize("seeds", [2, 5, 10])
def test_a_t_test_finds_an_effect_as_often_as_theory_says(play, seeds):
    page = play("power")
    settings = {"seeds": seeds, "users": 1000, "user_sd": 0, "seed_sd": 0.05, "effect": 0.06}
    for control, value in settings.items():
        put(page, control, value)
    at, without = numbers(page)["t-test alone"]
    sd = np.hypot(0.05, 1 / np.sqrt(1000))
    critical = scipy.stats.t.ppf(0.975, seeds - 1)
    away = scipy.stats.nct(seeds - 1, 0.06 * np.sqrt(seeds) / sd)
    expected = 100 * (away.sf(critical) + away.cdf(-critical))
    # Four standard errors of a share of 400 studies.
    for shown, truth in ((at, expected), (without, 5.0)):
        assert shown == pytest.approx(truth, abs=4 * np.sqrt(truth * (100 - truth) / 400))


def test_pooled_users_are_fooled_where_seeds_agree_and_the_rules_are_not(play):
    page = play("power")
    for control, value in (("effect", 0), ("user_sd", 2), ("seed_sd", 0), ("seeds", 10)):
        put(page, control, value)
    # The true variance is (1 + 9 rho) times what pooling takes it for, rho = 4 / 5.
    inflated = 1.96 / np.sqrt(1 + 9 * 0.8)
    expected = 200 * scipy.stats.norm.sf(inflated)
    shown = {rule: values[1] for rule, values in numbers(page).items()}
    assert shown["pooled users alone"] == pytest.approx(expected, abs=10)
    assert shown["published rule"] <= 10 and shown["clustered rule"] <= 10


def test_the_rules_are_the_packages(play):
    """400 studies of 5 seeds and 100 users by `dual_criterion`, against the normal intervals."""
    page = play("power")
    settings = {"seeds": 5, "users": 100, "user_sd": 0.5, "seed_sd": 0.05, "effect": 0.2}
    for control, value in settings.items():
        put(page, control, value)
    rng, verdicts = np.random.default_rng(0), []
    for number in range(150):
        users, chance = 0.5 * rng.normal(size=100), rng.normal(size=(5, 100))
        d = 0.2 + users + 0.05 * rng.normal(size=(5, 1)) + chance
        record = dual_criterion(np.zeros_like(d), d, n_resamples=400, seed=number)
        verdicts.append((record.robust, record.robust_clustered))
    for rule, share in zip(("published", "clustered"), np.mean(verdicts, axis=0), strict=True):
        error = np.sqrt(share * (1 - share) * (1 / 150 + 1 / 400))
        assert numbers(page)[f"{rule} rule"][0] / 100 == pytest.approx(share, abs=4 * error)


@pytest.mark.parametrize("counts", [[5, 10, 25, 35, 25], [20] * 5, [0, 0, 3, 0, 97]])
def test_bits_of_a_rating_are_scipys(play, counts):
    page = play("entropy")
    for star, count in enumerate(counts, 1):
        put(page, f"stars_{star}", count)
    shown = numbers(page)
    shares = np.array(counts) / sum(counts)
    assert shown["all"] == pytest.approx([1, scipy.stats.entropy(shares, base=2)])
    assert [shown[str(star)][0] for star in range(1, 6)] == pytest.approx(shares)


@pytest.mark.parametrize(
    ("above", "seen", "tied", "k"), [(11, 5, 0, 10), (0, 3, 0, 1), (30, 9, 7, 25), (49, 0, 20, 50)]
)
def test_metrics_of_a_moved_target_are_the_packages(play, above, seen, tied, k):
    """Ranks from scores with so many items above and beside the target, as a fit ranks them."""
    page = play("ranks")
    for control, value in (("above", above), ("seen", seen), ("tied", tied), ("k", k)):
        put(page, control, value)
    shown, seen = numbers(page), min(seen, above)
    for kind, hidden in (("unfiltered", 0), ("filtered", seen)):
        scores = torch.tensor([[1.0] + [2.0] * (above - hidden) + [1.0] * tied + [0.0] * 3])
        rank = _ranks(scores, torch.tensor([[0]])).numpy()
        values = [float(metric(rank, name, k)[0]) for name in ("Recall", "NDCG", "MRR")]
        assert shown[kind] == pytest.approx([rank[0], *values])


def test_no_more_items_are_seen_than_stand_above(play):
    page = play("ranks")
    seen = page.locator("[data-control=seen]")
    for above, left in ((5, "2"), (1, "1"), (0, "0"), (30, "2")):
        put(page, "above", above)
        assert (seen.input_value(), seen.get_attribute("max")) == (left, str(above))
    seen.focus()
    page.keyboard.press("End")
    assert numbers(page)["filtered"][0] == 1


@pytest.mark.parametrize("factor", [1.0, 0.0, -0.55, 2.5])
def test_a_model_in_the_browser_scores_as_in_python(play, synthetic_models, factor):
    data, models = synthetic_models
    page = play("history", data)
    put(page, "factor", factor)
    for name, model in models.items():
        put(page, "variant", name)
        for lam, of_trained in zip(model.lambda_parameters, model.trained, strict=True):
            lam.data.fill_(factor * of_trained)
        for number, user in enumerate(data["users"][:2]):
            put(page, "user", number)
            items, minutes = torch.tensor([user["items"]]), torch.tensor([user["intensity"]])
            hidden = model.next_item_hidden(items, minutes)
            scores = model.logits(hidden)[0, 1:]
            expected = scores.topk(10).values.tolist()
            shown = [values[0] for values in numbers(page).values()]
            assert shown == pytest.approx(expected, abs=1e-5)
            best = page.locator("table.playground-values tbody tr td").first.inner_text()
            assert int(best.split()[0]) == int(scores.argmax()) + 1


def test_a_models_map_in_the_browser_is_pythons(play, synthetic_models):
    data, models = synthetic_models
    page, model, user = play("history", data), models["Add"], data["users"][0]
    for lam, of_trained in zip(model.lambda_parameters, model.trained, strict=True):
        lam.data.fill_(of_trained)
    rows = (torch.tensor([user[name]]) for name in ("items", "intensity"))
    map_nn = model.attention_maps(*rows)[1, 0, 0]  # second layer, the one user, first head
    put(page, "part", "1,0")
    told = [title.text_content() for title in page.query_selector_all("svg rect title")]
    weights = [float(text.rpartition(" ")[2]) for text in told if " reads item " in text]
    seen = torch.ones(map_nn.shape).tril().bool()
    assert weights == pytest.approx(map_nn[seen].tolist(), abs=6e-4)
    last = [values[0] for values in numbers(page, table=1).values()]
    assert last == pytest.approx(map_nn[-1].tolist(), abs=1e-5)
    put(page, "query", 3)
    read = [values[0] for values in numbers(page, table=1).values()]
    assert read == pytest.approx(map_nn[3, :4].tolist(), abs=1e-5)


def test_lambda_goes_as_far_as_learning_rate_times_steps(play):
    page = play("travel", TRAVEL)
    put(page, "power", -3)
    put(page, "steps", 500)
    text = page.locator("[role=status]").inner_text()
    assert "from 1 to between 0.50 and 1.50" in text
    assert "1 of 3 runs had no more; 1 could not go half a unit" in text
    assert "No mean λ went further than its run's rate times steps" in text
    assert numbers(page, table=1)["E, Add"] == pytest.approx([10.0, -2.0, 0.3])
    assert numbers(page) == {"all": pytest.approx([1.0, 0.5])}
    put(page, "dataset", "E")
    assert numbers(page) == {"E": pytest.approx([10.0, 0.3])}
    put(page, "power", -4)
    put(page, "steps", 10)
    told = "about 0.0010 at most: from 1 to between 0.9990 and 1.0010"
    assert told in page.locator("[role=status]").inner_text()


def test_runs_that_went_further_than_rate_times_steps_are_counted(play):
    beyond = {"dataset": "D", "model": "Mul", "lambda": 0.89, "steps": 100, "rate": 1e-3}
    page = play("travel", TRAVEL | {"runs": [*TRAVEL["runs"], beyond]})
    told = "1 mean λ went further than their runs' rate times steps, by up to 10.0 %"
    assert told in page.locator("[role=status]").inner_text()


def test_the_forest_shows_what_its_filters_leave(play):
    page = play("forest", FOREST)
    assert len(numbers(page)) == 3 == page.locator(".forest-line").count()
    assert page.locator(".clipped").count() == 1  # the one that goes on to -41 %
    put(page, "study", "T")
    assert list(numbers(page)) == ["D: y (T)", "E: x (S, T)"]
    put(page, "study", "all")
    put(page, "dataset", "D")
    assert list(numbers(page)) == ["D: x (S)", "D: y (T)"]
    put(page, "only", "not robust")
    assert numbers(page) == {"D: y (T)": [1.0, -1.0, 3.0]}
    put(page, "only", "all")
    put(page, "order", "name")
    fills = page.eval_on_selector_all("svg circle", "all => all.map(c => getComputedStyle(c).fill)")
    assert fills[0] == "rgb(0, 158, 115)" and fills[1] == "rgb(255, 255, 255)"  # a ring: not robust
    assert (
        "2 of 3 comparisons; 1 robust, 1 of them gains"
        in page.locator("[role=status]").inner_text()
    )


def test_a_study_that_a_name_ends_with_is_not_said_twice(play):
    page = play("forest", [FOREST[1] | {"name": "E: x (S)"}])
    assert list(numbers(page)) == ["E: x (S, T)"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("entropy", None),
        ("injection", None),
        ("masks", None),
        ("power", None),
        ("ranks", None),
        ("samples", None),
        ("luck", LUCK),
        ("forest", FOREST),
        ("travel", TRAVEL),
    ],
)
def test_a_phone_shows_a_playground_without_scrolling_sideways(play, name, data):
    page = play(name, data, width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate(CUT) == []
    assert page.evaluate(SMALLEST) >= 9
    assert page.locator("svg").get_attribute("aria-label")
    for control in page.query_selector_all(".playground [data-control]"):
        named = control.evaluate("e => (e.labels && e.labels.length) || e.textContent.length")
        assert named


def test_a_phone_shows_long_and_wide_tables_whole(play, synthetic_models):
    page = play("luck", LUCK, width=390)
    page.locator("[data-control=many]").click()
    assert page.evaluate(CUT) == []
    page = play("history", synthetic_models[0], width=390)
    assert page.evaluate(CUT) == []
    assert page.evaluate(SMALLEST) >= 9


@pytest.fixture
def styled(browser, tmp_path):
    """Return a page with what a body holds, by all rules of the book's style sheets."""
    shutil.copytree(STATIC, tmp_path / "static")

    def opened(body, width=720):
        path = tmp_path / "static" / "styled.html"
        head = [f'<link rel="stylesheet" href="css/{n}.css">' for n in ("playground", "tables")]
        scripts = ("playgrounds/playground", "scrollable")
        head += [f'<script src="js/{name}.js"></script>' for name in scripts]
        path.write_text(f'<!doctype html>{"".join(head)}<div class="bd-article">{body}</div>')
        page = browser.new_page(viewport={"width": width, "height": 800}, offline=True)
        page.goto(path.as_uri(), wait_until="load")
        return page

    return opened


def test_a_playground_is_not_torn_between_two_sheets(styled):
    pypdf = pytest.importorskip("pypdf")
    for lines in range(18, 36, 4):
        figure = '<div class="playground" data-playground="samples"></div>'
        page = styled("<p>line</p>" * lines + figure)
        page.wait_for_selector(".playground[data-ready]")
        reader = pypdf.PdfReader(io.BytesIO(page.pdf(format="A4")))
        texts = [sheet.extract_text() for sheet in reader.pages]
        (whole,) = (text for text in texts if "Seeds and users" in text)
        assert "users; blue is a gain" in whole and "95 % intervals" in whole, lines


def test_paper_has_no_bars_that_unfold_code(styled):
    page = styled(
        '<details class="hide above-input"><summary>Show code</summary>1</details>'
        '<details class="hide above-input" open><summary>Hide code</summary>2</details>'
    )
    page.emulate_media(media="print")
    assert page.inner_text("body").split() == ["2"]


def test_paper_has_what_is_folded_but_for_solutions(styled):
    folded = (
        '<div class="admonition dropdown toggle-hidden"><p class="admonition-title">{}</p>{}</div>'
    )
    css = ".toggle-hidden .admonition-title ~ * { height: 0; visibility: hidden; opacity: 0 }"
    bodies = [folded.format(title, f"<p>{title} told</p>") for title in ("Solution 1", "More")]
    page = styled(f"<style>{css}</style>" + "".join(bodies))
    shown = "p => p.checkVisibility({visibilityProperty: true})"
    seen = f"[...document.querySelectorAll('.admonition > p ~ p')].map({shown})"
    assert page.evaluate(seen) == [False, False]
    page.emulate_media(media="print")
    assert page.evaluate(seen) == [False, True]


@pytest.mark.parametrize(
    "body",
    [
        '<figure><a class="image-reference" href="x.svg">{}</a><figcaption>c</figcaption></figure>',
        '<div class="cell_output">{}</div>',
        "<p>{}</p>",
    ],
)
def test_a_phone_scrolls_a_wide_drawing_in_a_frame(styled, body):
    svg = "%3Csvg xmlns='http://www.w3.org/2000/svg' width='960' height='300'/%3E"
    picture = f'<img style="width: 100%" alt="x" src="data:image/svg+xml,{svg}">'
    page = styled(body.format(picture), width=390)
    width, frame, seen = page.eval_on_selector(
        "img", "i => [i.clientWidth, i.parentElement.scrollWidth, i.parentElement.clientWidth]"
    )
    assert 640 <= width <= frame and seen < 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    hint = "getComputedStyle(document.querySelector('img').parentElement, '::before').content"
    assert "scroll sideways" in page.evaluate(hint)
    page.set_viewport_size({"width": 1280, "height": 800})
    assert page.evaluate(hint) == "none"


def test_scripts_are_small():
    sizes = [path.stat().st_size for path in (STATIC / "js" / "playgrounds").glob("*.js")]
    assert sum(sizes) < 64_000


def test_the_pictures_for_readers_without_scripts_are_the_playgrounds_as_they_start(
    browser, tmp_path
):
    for name, text in playground_stills.stills(browser, tmp_path).items():
        kept = STATIC / "js" / "playgrounds" / f"{name}.svg"
        assert kept.read_text() == text, "draw them anew: python tools/playground_stills.py"


def test_playgrounds_of_results_are_drawn_from_their_data(browser, tmp_path, synthetic_models):
    told = {"forest": FOREST, "travel": TRAVEL, "luck": LUCK, "history": synthetic_models[0]}
    assert set(told) == set(playground_stills.WITH_DATA)
    for name, data in told.items():
        script = f"(window.playgroundData ||= {{}}).{name} = {json.dumps(data)};"
        (tmp_path / f"{name}.data.js").write_text(script)
    drawn = playground_stills.stills(browser, tmp_path, tmp_path)
    assert all("<svg" in text and "<line" in drawn["luck"] for text in drawn.values())
    assert "D: x" in drawn["forest"] and "what item" in drawn["history"]


def test_without_chromium_a_picture_of_results_says_so(tmp_path, monkeypatch):
    def none(data):
        raise SystemExit("no Chromium")

    monkeypatch.setattr(playground_stills, "drawn", none)
    monkeypatch.setattr(playground_stills, "DATA", tmp_path)
    playground_stills.main(["data"])
    assert all("without Chromium" in path.read_text() for path in tmp_path.glob("*.svg"))
    assert len(list(tmp_path.glob("*.svg"))) == len(playground_stills.WITH_DATA)


@pytest.fixture(scope="module")
def history():
    return json.loads(json.dumps(playground_data.history()))


def test_lambda_moves_a_next_item_out_of_the_ten_and_other_items_in(play, history):
    """What the page asks a reader to find is there, for two users of each model."""
    page = play("history", history)
    for number, name in enumerate(("Add", "Mul", "Val")):
        model, counted = history["models"][name], page.locator("[role=status]")
        assert model["inside"] > model["leave"] > model["inside"] // 10
        put(page, "variant", name)
        for user in (2 * number, 2 * number + 1):
            put(page, "user", user)
            ranks, new = [], []
            for factor in np.arange(-1, 3.01, 0.5):
                put(page, "factor", factor)
                words = counted.inner_text()
                ranks.append(int(words.partition("is at rank ")[2].split()[0].strip(",")))
                new.append(int(words.partition("); ")[2].split()[0]))
                trained = int(words.partition("(as trained: ")[2].partition(")")[0])
            assert trained <= 10 < max(ranks) and max(new) >= 3, (name, user)


def test_users_whose_next_item_a_model_lists_are_offered_for_it(play, history):
    page = play("history", history)
    told, user_select = (
        page.locator("[role=status]").inner_text,
        page.locator("[data-control=user]"),
    )
    for name in history["models"]:
        put(page, "variant", name)
        users = user_select.evaluate("select => [...select.options].map(o => o.value)")
        assert 2 <= len(users) < 6
        for user in users:
            put(page, "user", user)
            assert "outside the first ten" not in told()
    for name in ("Mul", "Val"):  # the last one that was chosen comes back
        put(page, "variant", name)
    assert user_select.input_value() == users[-1]


def test_the_ranks_that_choose_the_users_are_the_fits():
    dataset = playground_data.telling()
    fitted = playground_data.fit(dataset, "ia-add", 2020, playground_data.SMALL, QUICK)
    context, targets = dataset.split.context("test"), dataset.split.targets("test")
    rows = (x.reshape(len(targets), -1) for x in (context.items, context.intensity))
    ranks = playground_data.ranks_by_factor(fitted.model, *rows, targets)
    trained = list(playground_data.FACTORS).index(1)
    assert ranks[trained].tolist() == fitted.ranks["test_unfiltered"].tolist()


def test_the_data_of_the_trained_models_are_light(history):
    assert len(json.dumps(history, separators=(",", ":"))) < 300_000


def test_comparisons_have_their_studys_seeds_both_intervals_and_no_doubles():
    rows = playground_data.forest()
    assert len({row["name"] for row in rows}) == len(rows)
    told = {study for row in rows for study in row["study"]}
    assert told >= {"Positive control", "Dropout or injection", "Is lambda identified?"}
    assert not any("_" in row["name"] for row in rows)
    assert all(len(set(row["study"])) == len(row["study"]) for row in rows)
    shared = [
        row for row in rows if {"Replication", "Placebo in searched settings"} <= {*row["study"]}
    ]
    assert len(shared) > 20
    cells = read_study("placebo").table("over_placebo").query("metric == 'NDCG' and k == 10")
    cell = cells.query("dataset == 'ml-1m' or dataset == 'amazon-office'").iloc[0]
    title = playground_data.CATALOGUE[cell["dataset"]].title
    name = f"{title}: {playground_data.name_of(cell['model'])}, real over shuffled within"
    (over,) = (row for row in rows if row["name"].startswith(name) and "Placebo" in row["study"])
    for name in ("change", "low"):
        assert over[name] == pytest.approx(cell[name], rel=1e-5)


def test_the_data_of_playgrounds_are_the_results_and_light(tmp_path, monkeypatch):
    monkeypatch.setattr(playground_data, "FOLDER", tmp_path)
    names = ("forest", "luck", "travel", "masks")
    playground_data.main(names)
    for name in names:
        text = (tmp_path / f"{name}.data.js").read_text()
        assert len(text) < 300_000
        json.loads(text.partition(" = ")[2].removesuffix(";\n"))
    rows = playground_data.forest()
    sliding = "Amazon-Office: learned distances, sliding window"
    office = next(row for row in rows if row["name"] == sliding)
    cells = read_study("positions").table("comparisons").query("arm == 'sliding' and k == 10")
    cell = cells[(cells["metric"] == "NDCG") & (cells["dataset"] == "amazon-office")].iloc[0]
    assert office["change"] == pytest.approx(cell["change"], rel=1e-5)
    assert office["high"] == pytest.approx(cell["high"], rel=1e-5)
    assert office["study"] == ["Positions"]
