"""A model that was edited is noticed; a comment is not."""

import ast
import importlib.util
import json
import shutil
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from wanted import fit_wanted

import seqattn
from seqattn.analysis.attention import load_model
from seqattn.data import load_dataset
from seqattn.errors import SeqattnError
from seqattn.files import ROOT
from seqattn.models import MODELS, PLUGINS, Model, SASRec
from seqattn.models.injection import Add
from seqattn.presets import get_preset
from seqattn.runs.code import _code_of, code_of, require_same_code, written
from seqattn.runs.export import load
from seqattn.runs.fitting import fit_run, run_spec
from seqattn.runs.store import Store
from seqattn.studies import plan

INJECTION = '''
from seqattn.models.injection import IntensityInjection

class Key(IntensityInjection):
    """{doc}"""

    def before(self, q, k, v, signal):  # {comment}
        return q, k * (1 + {factor} * self.lam * signal.w_BT[:, None, :, None]).to(k.dtype), v
'''


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write the injection "ia-key" anew, as an editor would between two sessions."""

    def write(factor, doc="Scale keys.", comment="why"):
        path = tmp_path / f"mine{len(list(tmp_path.glob('mine*.py')))}.py"
        path.write_text(INJECTION.format(factor=factor, doc=doc, comment=comment))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, path.stem, module)
        spec.loader.exec_module(module)
        known = Model(partial(SASRec, injection=module.Key), "Key", "#56B4E9")
        monkeypatch.setitem(MODELS, "ia-key", known)
        _code_of.cache_clear()

    yield write
    _code_of.cache_clear()


def test_every_model_has_code_of_its_own():
    assert len({code_of(name) for name in OURS}) == len(OURS)


def test_a_number_that_a_model_is_registered_with_is_its_code(monkeypatch):
    class Power(Add):
        def __init__(self, by):
            super().__init__()
            self.by = by

    found = set()
    for by in (1.0, 9.0, torch.ones(2), np.zeros(2), {1, 2}):
        build = partial(SASRec, injection=partial(Power, by))
        monkeypatch.setitem(MODELS, "ia-power", Model(build, "Power", "#56B4E9"))
        _code_of.cache_clear()
        found.add(code_of("ia-power"))
    _code_of.cache_clear()
    assert len(found) == 5


def test_comments_and_docstrings_are_no_code(write):
    write(1)
    before = code_of("ia-key")
    write(1, doc="Another line.", comment="because")
    assert code_of("ia-key") == before
    write(2)
    assert code_of("ia-key") != before


VARIANTS = {"ia-add", "ia-mul", "ia-val"}
EDITS = [
    ("models/injection.py", "1 + lam * (", "1 + 3 * lam * (", {"ia-mul", "ia-val"}),
    ("models/injection.py", "self.lam * _column", "2 * self.lam * _column", {"ia-add"}),
    ("models/injection.py", "torch.ones(())", "torch.zeros(())", VARIANTS),
    ("models/injection.py", '"""Double the features of values."""', '"""?"""', set()),
    ("models/intensity.py", "FLOOR = 0.1", "FLOOR = 0.2", VARIANTS),
    ("models/intensity.py", "torch.log1p(raw_BT)", "torch.log(raw_BT)", VARIANTS),
    ("models/positions.py", "self.key_NF.T, k_BHTF", "2 * self.key_NF.T, k_BHTF", {"shaw"}),
    ("models/kernels.py", "identity_HN[:, 0] = 1", "identity_HN[:, 0] = 2", {"kernel"}),
    ("models/queries.py", "return len(self.before_first) + 1", "return 2", {"queries"}),
    ("models/heads.py", "value=1.0", "value=2.0", {"head"}),
]
# One process for all: its functions stay what they were, but their source is read anew.
PROGRAM = """
import inspect, json, linecache, pathlib, sys
from seqattn.runs.code import _code_of, code_of
from seqattn.config import ModelConfig
PARTS = {
    "shaw": {"positions": "shaw"}, "kernel": {"kernel": "both"}, "queries": {"n_queries": 2},
    "head": {"head": "transform"},
}
def codes():
    linecache.clearcache(), _code_of.cache_clear()
    names = ("sasrec", "ia-add", "ia-mul", "ia-val", "bert4rec")
    parts = {name: code_of("sasrec", ModelConfig(**changed)) for name, changed in PARTS.items()}
    return parts | {name: code_of(name) for name in names}
before, changed = codes(), []
for path, old, new in json.loads(sys.argv[1]):
    text = pathlib.Path(path).read_text()
    assert old in text, old
    pathlib.Path(path).write_text(text.replace(old, new))
    changed.append([name for name, code in codes().items() if code != before[name]])
    pathlib.Path(path).write_text(text)
print(json.dumps(changed))
"""

OURS = [name for name in MODELS if name not in PLUGINS]


def test_a_formula_outside_a_models_class_is_its_code(tmp_path, warm):
    copy = tmp_path / "seqattn"
    shutil.copytree(Path(seqattn.__file__).parent, copy)
    edits = json.dumps([(str(copy / file), old, new) for file, old, new, _ in EDITS])
    done = warm.run(PROGRAM, edits, folder=tmp_path, path=[tmp_path])
    done.check_returncode()
    told = done.stdout
    assert [set(names) for names in json.loads(told)] == [changed for *_, changed in EDITS]


@pytest.mark.parametrize("constant", ["({},)", "[{}]", "{{'a': {}}}", "{}"])
def test_a_constant_of_the_module_is_a_models_code(constant, write):
    def change(value):
        write("SCALE")
        module = sys.modules[MODELS["ia-key"].build.keywords["injection"].__module__]
        module.SCALE = eval(constant.format(value))
        _code_of.cache_clear()
        return code_of("ia-key")

    assert change(1) == change(1) != change(2)


def test_a_cell_of_an_edited_injection_is_refused_not_returned(write, tmp_path):
    write(1)
    store, dataset = Store(tmp_path / "store"), load_dataset("synthetic")
    spec = run_spec(dataset, "ia-key", 1, get_preset("smoke"))
    run = fit_run(store, dataset, spec)
    ask = (tmp_path / "store", dataset, [("ia-key", 1)], "smoke")
    assert fit_wanted(*ask, progress=False)[0].folder == run.folder
    write(2)
    with pytest.raises(SeqattnError, match=r"was fitted with other code of 'ia-key'.* remove it"):
        fit_wanted(*ask, progress=False)
    assert store.get(spec) is not None  # nothing is lost


def test_a_cell_of_an_earlier_version_remembers_no_code_and_passes(write, tmp_path):
    dataset = load_dataset("synthetic")
    run = fit_run(Store(tmp_path), dataset, run_spec(dataset, "sasrec", 1, get_preset("smoke")))
    assert run.facts["code"] == code_of("sasrec")
    facts = {name: value for name, value in run.facts.items() if name != "code"}
    require_same_code(type(run)(run.folder, facts))
    require_same_code(type(run)(run.folder, facts | {"code": "0123456789ab"}))


def test_a_run_of_other_code_is_refused_wherever_it_is_read(write, tmp_path):
    dataset, preset = load_dataset("synthetic"), get_preset("smoke")
    spec = run_spec(dataset, "sasrec", 1, preset)
    run = fit_run(Store(tmp_path), dataset, spec)
    old = type(run)(run.folder, run.facts | {"code": code_of("ia-add")})
    store = SimpleNamespace(get=lambda wanted: old)
    group = plan.Group(plan.DataFacts("synthetic", "", 1, 1), "usual", "sasrec", (spec,))
    for read in (
        lambda: load_model(old, dataset),
        lambda: load(old, dataset),
        lambda: plan.read([group], store),
    ):
        with pytest.raises(SeqattnError, match="was fitted with other code of 'sasrec'"):
            read()


def test_the_code_of_a_model_is_read_without_a_draw_of_the_callers():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    _code_of.__wrapped__("ia-add", None, None)
    assert torch.equal(torch.rand(2), expected)


def test_a_new_injection_has_a_search_of_its_own_in_either_design(write, tmp_path):
    write(1)
    for design in ("own_search", "shared_backbone"):
        with pytest.raises(SeqattnError, match=f"no search of 'ia-key' .* for {design}:"):
            fit_wanted(tmp_path, load_dataset("synthetic"), [("ia-key", 1)], design, progress=False)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("f'{a!r} and {\", \".join(b)}'", "f\"{a!r} and {', '.join(b)}\""),
        ("f'{x:.{n}f} {{y}}'", "f'{x:.{n}f} {{y}}'"),
        ("f'a\\n{b}'", "f'a\\n{b}'"),
        ("f'{ {1: 2}[k] }'", "f'{ {1: 2}[k]}'"),
        ("f'{(1 if a else 2)}'", "f'{(1 if a else 2)}'"),
    ],
)
def test_f_strings_are_written_alike_on_every_python(code, expected):
    assert written(ast.parse(code)) == expected


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="later Pythons choose other quotes")
def test_f_strings_are_written_as_python_3_11_does():
    for path in (ROOT / "src").glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                assert written(node) == ast.unparse(node)


def test_committed_runs_are_of_the_models_as_they_are_now():
    """On every Python, whichever it was that fitted them."""
    runs = [run for name in ("fixed", "campaign") for run in Store(ROOT / "results" / name).runs()]
    assert {"sasrec", "ia-add", "ia-mul", "ia-val", "bert4rec"} <= {run.model for run in runs}
    for run in runs:
        require_same_code(run)
