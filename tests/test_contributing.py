"""What CONTRIBUTING.md tells a newcomer to write and to type works as it stands there."""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path

import pytest
import torch

from seqattn import build_model
from seqattn.cli import parser
from seqattn.config import NORMALISATIONS, ModelConfig, TrainConfig
from seqattn.models import MODELS, Model, SASRec, injection
from seqattn.models.attention import attend
from seqattn.models.intensity import normalise
from seqattn.models.reference import attention, intensity_matrix
from seqattn.training.fit import fit

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
RECIPE = TEXT.partition("## Add an injection")[2].partition("\n## ")[0]
SMALL = {"max_length": 8, "hidden_size": 8, "inner_size": 8, "n_layers": 2, "n_heads": 2}


@pytest.fixture
def query(monkeypatch) -> type[injection.IntensityInjection]:
    """The example's class as its module would hold it, under the name that the commands use."""
    (source,) = re.findall(r"```python\n(.*?)```", RECIPE, flags=re.DOTALL)
    module = dict(vars(injection))
    exec(source, module)
    known = Model(partial(SASRec, injection=module["Query"]), "Query", "#56B4E9")
    monkeypatch.setitem(MODELS, "ia-query", known)
    return module["Query"]


@pytest.mark.parametrize("mode", NORMALISATIONS)
def test_the_example_injection_computes_its_equation(query, mode):
    q, k, v, raw = (torch.rand(6, n, dtype=torch.float64) for n in (3, 3, 3, 1))
    example = query()
    example.lam.data.fill_(0.7)
    signal = normalise(raw.T, raw.T > -1, mode)
    fused = attend(q[None, None] / math.sqrt(3), k[None, None], v[None, None], None, 0.0)
    own = intensity_matrix(raw[:, 0], mode).diagonal()
    expected = attention(q, k, v) * (1 + 0.7 * (own - 1))[:, None]
    torch.testing.assert_close(example.after(fused, signal)[0, 0], expected)


@pytest.mark.parametrize("read_from", [3, 7])
def test_the_example_injection_computes_the_same_for_however_few_queries(query, read_from):
    torch.manual_seed(0)
    model = build_model("ia-query", 20, **SMALL).eval()
    items, intensity = torch.randint(1, 21, (3, 8)), 9 * torch.rand(3, 8)
    whole = model(items, intensity)
    assert not torch.allclose(whole, model(items, intensity.flip(1)))
    torch.testing.assert_close(model(items, intensity, read_from), whole[:, read_from:])


def test_the_example_injection_can_be_fitted(query, synthetic):
    assert synthetic.split.train.lengths.max() > SMALL["max_length"]  # some windows are read late
    train = TrainConfig(batch_targets=64, epochs=2, stride=2)
    fitted = fit(synthetic, "ia-query", 2020, ModelConfig(**SMALL), train)
    assert [epoch.epoch for epoch in fitted.history] == [1, 2]
    assert fitted.history[1].loss < fitted.history[0].loss
    assert all(lam != 1 for lam in fitted.history[1].lambdas)


def test_the_commands_fit_judge_and_report_the_same_cells(query):
    (block,) = re.findall(r"```bash\n(.*?)```", RECIPE, flags=re.DOTALL)
    asked = [parser().parse_args(line.split()[1:]) for line in block.splitlines()]
    assert [line.split()[1] for line in block.splitlines()] == ["fit", "significance", "report"]
    assert {(o.dataset, *o.model, *o.seed, o.preset) for o in asked} == {
        ("ml-100k", "sasrec", "ia-query", 2020, 2021, "quick")
    }


def test_the_fields_the_recipe_lists_have_the_shapes_it_says():
    fields = re.findall(r"^\| (`.*?) \| \((B, [TS])\) \|", RECIPE, flags=re.MULTILINE)
    said = {name: shape for names, shape in fields for name in re.findall(r"`(\w+)`", names)}
    assert said == {"w_BT": "B, T", "a_BT": "B, S", "b_BT": "B, S", "w_BS": "B, S"}
    raw = torch.rand(2, 5)
    w, a, b = normalise(raw, raw > -1, "minmax")
    signal = type(normalise(raw, raw > -1, "minmax"))(w, a[:, 3:], b[:, 3:])
    for name, shape in said.items():
        assert getattr(signal, name).shape == (2, {"B, T": 5, "B, S": 2}[shape])
    assert torch.equal(signal.w_BS, w[:, 3:])
