from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from shutil import copy
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

import seqattn
from seqattn import book
from seqattn.book import execution, pages, reports
from seqattn.errors import SeqattnError
from seqattn.files import as_markdown
from seqattn.presets import get_preset
from seqattn.runs.fitting import fit_run, run_spec
from seqattn.runs.store import Store
from seqattn.studies import study

TEMPLATES = [book.ROOT / "notebooks" / f"{name}.ipynb" for name in book.NOTEBOOKS]

GOOD = {
    "dataset": "synthetic",
    "preset": "smoke",
    "seeds": [1, 2],
    "models": ["sasrec", "ia-add"],
    "results_dir": "",
    "device": "cpu",
}


def _cells(path):
    return json.loads(path.read_text())["cells"]


def test_good_parameters_pass():
    assert book.check_parameters(GOOD) == GOOD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sed": [1]}, "unknown notebook parameter 'sed'"),
        ({"seeds": 2020}, "'seeds' must be list, not int"),
        ({"seeds": ["2020"]}, "'seeds' must hold int values, not '2020'"),
        ({"seeds": []}, "'seeds' is empty"),
        ({"seeds": [1, 1]}, "'seeds' holds a value twice"),
        ({"models": ["sasrek"]}, "'models' names 'sasrek'"),
        ({"preset": "fast"}, "unknown preset 'fast'"),
        ({"device": None}, "'device' must be str"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(change, message):
    with pytest.raises(SeqattnError, match=message):
        book.check_parameters({**GOOD, **change})


def test_a_missing_parameter_is_refused_by_name():
    with pytest.raises(SeqattnError, match="'device' is missing"):
        book.check_parameters({k: v for k, v in GOOD.items() if k != "device"})


def _in_a_notebook(monkeypatch, *sources):
    ipython = pytest.importorskip("IPython")
    shell = SimpleNamespace(user_ns={"In": ["", *sources]})
    monkeypatch.setattr(ipython, "get_ipython", lambda: shell)
    monkeypatch.setattr("seqattn.plots.use_style", lambda: None)  # it asks a real shell


def test_an_unknown_parameter_injected_by_papermill_stops_the_notebook(monkeypatch):
    _in_a_notebook(monkeypatch, "dataset: str = 'x'", "# Parameters\nsedes = [3]\n")
    with pytest.raises(SeqattnError, match="unknown notebook parameter 'sedes'"):
        book.start(**GOOD)


def test_other_variables_of_a_notebook_are_no_parameters(monkeypatch):
    _in_a_notebook(monkeypatch, "frame = 1", "# Parameters\nseeds = [1, 2]\n")
    chapter = book.start(**GOOD)
    assert (chapter.dataset.name, chapter.seeds) == ("synthetic", [1, 2])


def test_a_chapter_starts_outside_of_a_notebook():
    assert book.start(**GOOD).models == GOOD["models"]


def test_a_wrong_parameter_stops_the_notebook():
    with pytest.raises(SeqattnError, match="'seeds' must be list, not int"):
        book.start(**{**GOOD, "seeds": 2020})


def test_glued_values_are_plain_so_that_a_page_can_format_them(monkeypatch):
    myst_nb = pytest.importorskip("myst_nb")
    kept = {}
    monkeypatch.setattr(myst_nb, "glue", lambda name, value, display: kept.update({name: value}))
    book.glue(share=np.float64(0.25), count=np.int64(3), word="smoke")
    assert [repr(value) for value in kept.values()] == ["0.25", "3", "'smoke'"]
    assert list(kept) == ["share", "count", "word"]


@pytest.mark.parametrize("levels", [[], ["dataset"], ["dataset", "arm"]])
def test_a_table_names_datasets_by_their_titles(levels):
    frame = pd.DataFrame(
        {"dataset": ["ml-100k", "ml-100k", "<mine>"], "arm": ["a", "b", "ml-100k"]}
    )
    shown = book.table(frame.set_index(levels) if levels else frame).to_html()
    assert shown.count("ML-100K") >= 1 and "&lt;mine&gt;" in shown
    assert shown.count("ml-100k") == 1  # an arm may be called so


def test_changes_have_verdicts_only_once_all_seeds_are_there():
    rows = pd.DataFrame(
        {
            "title": ["ML-100K", "ML-100K"],
            "arm": ["whole", "part"],
            "n_seeds": [5, 2],
            "n_users": [943, 943],
            "base": [0.05, 0.05],
            "change": [1.0, 30.0],
            "low": [-2.0, 20.0],
            "high": [4.0, 40.0],
            "robust_clustered": [False, True],
            "equivalent": [True, False],
        }
    )
    shown = book.changes_table(rows, "ce", 5).data
    assert shown["robust"].tolist() == ["no", "–"] and shown["within 5 %"].tolist() == ["yes", "–"]
    assert shown["change, %"].tolist() == ["+1.0 [-2.0, +4.0]", "+30.0 [+20.0, +40.0]"]


def test_a_table_shows_a_dash_for_what_is_missing_and_text_as_it_is():
    html = book.table(pd.DataFrame({"p": [0.25, np.nan]}, index=["a", "b"]), "{:.1%}").to_html()
    assert ">25.0%<" in html and ">–<" in html and "nan" not in html
    for frame in (
        pd.DataFrame({"note": ["<script>"]}),
        pd.DataFrame({"<script>": [1]}, index=["<script>"]),
        pd.DataFrame([[1]], pd.MultiIndex.from_tuples([("<script>", 1)], names=["<b>", "c"])),
    ):
        assert "<script>" not in book.table(frame).to_html()


def test_a_table_shows_text_between_backticks_as_code_and_no_html_of_it():
    frame = pd.DataFrame(
        {"advice": ["run `fit -m <b>`, it's fine", "a lone `", None], "p": [0.5, 0.25, 1]},
        index=["`ties`", "b", "c"],
    )
    html = book.table(frame, {"p": "{:.0%}"}).to_html()
    assert "run <code>fit -m &lt;b&gt;</code>, it&#x27;s fine<" in html and ">a lone `<" in html
    assert "><code>ties</code><" in html and ">50%<" in html and ">–<" in html
    assert "`" not in book.table(frame[["advice"]].head(1), None).to_html()
    assert ">run `fit" in book.table(frame[["advice"]], "{}").to_html()  # formats are kept


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": ["ia-add"]}, "compare with 'sasrec': name it among the models, too"),
        ({"seeds": [1]}, "test over seeds: give at least two"),
    ],
)
def test_a_report_that_could_compare_nothing_is_refused_before_a_fit(changes, message, tmp_path):
    pytest.importorskip("papermill")
    values = {**GOOD, "preset": "smoke", "results_dir": str(tmp_path / "store"), **changes}
    with pytest.raises(SeqattnError, match=message):
        reports.report("synthetic", values, tmp_path / "pages")
    assert list(tmp_path.iterdir()) == []


def test_a_report_into_a_file_is_refused(tmp_path):
    pytest.importorskip("papermill")
    (tmp_path / "file").touch()
    values = {**GOOD, "preset": "smoke", "seeds": [1, 2], "models": ["sasrec"]}
    with pytest.raises(SeqattnError, match="cannot make the folder"):
        reports.report("synthetic", values, tmp_path / "file")


def test_the_python_of_reproduce_works(monkeypatch, capsys):
    text = (book.ROOT / "book" / "appendix" / "reproduce.md").read_text()
    (code,) = (c for c in re.findall(r"```python\n(.*?)```", text, re.S) if '"synthetic"' in c)
    exec(code, {"seqattn": seqattn})
    assert capsys.readouterr().out


def test_the_defaults_that_reproduce_tells_of_a_campaign_are_the_workflows():
    text = (book.ROOT / "book" / "appendix" / "reproduce.md").read_text()
    told = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", text, re.M))
    settings = yaml.safe_load((book.ROOT / "workflow" / "config.yaml").read_text())
    assert told.keys() >= {"datasets", "models", "designs", "device", "results", "collect"}
    assert {key: settings[key] for key in told} == told


@pytest.mark.parametrize(
    ("preset", "ending"),
    [("quick", ": Synthetic log"), ("shared_backbone", ": Synthetic log, shared backbone")],
)
def test_a_page_is_titled_after_its_dataset_and_design(tmp_path, monkeypatch, preset, ending):
    papermill = pytest.importorskip("papermill")
    monkeypatch.setattr(
        papermill, "execute_notebook", lambda source, target, *_, **__: copy(source, target)
    )
    monkeypatch.setattr(execution, "unglued", lambda _: [])  # no cell was run, so none glued
    output = tmp_path / "out.ipynb"
    reports.run_notebook(TEMPLATES[0], output, {**GOOD, "preset": preset})
    lines = "".join(_cells(output)[0]["source"]).splitlines()
    assert lines[0].endswith(ending)
    assert lines[2] == reports.made_with({**GOOD, "preset": preset}) and not lines[1] + lines[3]


def test_a_page_says_what_made_it_and_that_a_trial_run_is_no_result():
    line = reports.made_with({**GOOD, "preset": "quick"})
    assert "dataset synthetic; preset `quick` (at most 8 epochs, models of masked items 60)" in line
    assert "; seeds 1, 2." in line and "trial run" not in line
    line = reports.made_with(GOOD)
    assert "preset `smoke` (at most 2 epochs)" in line
    assert line.endswith("**These are numbers of a trial run: models of 2 epochs; no result.**")
    line = reports.made_with({**GOOD, "preset": "own_search"})
    assert "; design `own_search`; " in line and "epochs" not in line


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_templates_share_one_documented_parameters_cell(path):
    tagged = [c for c in _cells(path) if "parameters" in c["metadata"].get("tags", [])]
    assert len(tagged) == 1
    source = "".join(tagged[0]["source"])
    assert source == "".join(
        next(c for c in _cells(TEMPLATES[0]) if "parameters" in c["metadata"].get("tags", []))[
            "source"
        ]
    )
    names = [node.target.id for node in ast.parse(source).body]
    assert names == list(book.PARAMETERS)
    assert all("#" in line for line in source.splitlines()), "each parameter has a help text"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_templates_tell_a_story_and_define_no_classes(path):
    cells = _cells(path)
    assert cells[0]["cell_type"] == "markdown"
    assert "".join(cells[0]["source"]).startswith("# ")
    prose = "".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    assert "## Summary" in prose
    assert "## Exercises" in prose
    code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    assert not any(line.startswith("class ") for source in code for line in source.splitlines())
    assert not any(c.get("outputs") for c in cells)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_code_of_a_template_is_short_and_visible(path):
    code = [cell for cell in _cells(path) if cell["cell_type"] == "code"]
    for cell in code:
        assert not {"hide-input", "remove-input", "remove-cell"} & set(
            cell["metadata"].get("tags", [])
        )
        story = re.sub(r"(?m)^(import|from) [^(\n]*(\([^)]*\))?\n*", "", "".join(cell["source"]))
        assert story.count("\n") < 16, story
    assert not any(re.search(r"book\.say|Markdown\(", "".join(cell["source"])) for cell in code)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_every_figure_has_alternative_text(path):
    for cell in _cells(path):
        last = "".join(cell["source"]).rstrip().splitlines()[-1:]
        if cell["cell_type"] == "code" and last and last[0].endswith(";"):
            assert cell["metadata"]["mystnb"]["image"]["alt"]


def test_parameter_files_agree_with_the_templates():
    for path in (book.ROOT / "notebooks" / "params").glob("*.yaml"):
        values = book.check_parameters(yaml.safe_load(path.read_text()))
        assert Path(values["dataset"]).stem == path.stem


def test_a_report_without_intensity_leaves_out_what_is_about_it(tmp_path, monkeypatch):
    rows = "".join(f"{u},{i},{1_600_000_000 + 7 * i + u}\n" for u in range(6) for i in range(6))
    (tmp_path / "log.csv").write_text("user,item,timestamp\n" + rows)
    columns = "columns: {user: user, item: item, timestamp: timestamp}\n"
    (tmp_path / "plain.yaml").write_text(f"name: plain\npath: log.csv\n{columns}")
    ran, fitted = [], []

    def run_notebook(template, output, values, names, kernel):
        ran.append((template.stem, values, names))
        output.write_text("{}")

    monkeypatch.setattr(reports, "run_notebook", run_notebook)
    monkeypatch.setattr(book.Chapter, "all_runs", lambda chapter: fitted.extend(chapter.models))
    reports.report(str(tmp_path / "plain.yaml"), {"preset": "smoke"}, tmp_path / "out")
    notebooks = ["01_data", "03_training", "06_ae_vs_ar"]
    assert sorted(name for name, *_ in ran) == notebooks
    assert fitted == ["sasrec"]
    assert all(values["models"] == ["sasrec"] for _, values, _ in ran)
    assert all(list(names) == notebooks for *_, names in ran)


def test_a_report_of_models_without_a_lambda_leaves_the_notebook_about_it_out(
    tmp_path, monkeypatch
):
    ran = []

    def run_notebook(template, output, values, names, kernel):
        ran.append(template.stem)
        output.write_text("{}")

    monkeypatch.setattr(reports, "run_notebook", run_notebook)
    monkeypatch.setattr(book.Chapter, "all_runs", lambda chapter: [])
    for models in (["sasrec", "ia-gate"], ["sasrec", "ia-gate", "ia-add"]):
        ran.clear()
        values = {"preset": "smoke", "seeds": [1, 2], "models": models}
        reports.report("synthetic", values, tmp_path / "out")
        left_out = set() if "ia-add" in models else {book.ABOUT_LAMBDA}
        assert set(book.NOTEBOOKS) - set(ran) == left_out


def relink(text, present):
    return reports.relink(text, present)


def test_links_to_notebooks_left_out_lead_to_the_next_one_there_is():
    present = ("01_data", "03_training", "06_ae_vs_ar")
    text = (
        "In [Models](02_models.ipynb) and [Training](03_training.ipynb), [x](../02_models.md).\n\n"
    )
    assert relink(text + "Next: [Models](02_models.ipynb).", present) == (
        "In Models and [Training](03_training.ipynb), [x](../02_models.md).\n\n"
        "Next: [Training](03_training.ipynb)."
    )
    assert relink("Next: [S](04_significance.ipynb).", present) == (
        "Next: [AE against AR](06_ae_vs_ar.ipynb)."
    )
    assert relink("Next: [S](04_significance.ipynb).", ["01_data"]) == (
        "Next: the [start](../../index.md)."
    )


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_report_without_intensity_has_no_link_to_what_was_left_out(path):
    present = [name for name in book.NOTEBOOKS if name not in book.ABOUT_INTENSITY]
    for cell in _cells(path):
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            assert relink(text, book.NOTEBOOKS) == text
            linked = relink(text, present)
            assert not any(f"({name}.ipynb)" in linked for name in book.ABOUT_INTENSITY)


def test_the_campaign_fits_the_models_of_the_last_chapter():
    """The Snakefile repeats them, since PyTorch takes seconds to load."""
    text = (book.ROOT / "workflow" / "Snakefile").read_text()
    told = re.search(r"^CHAPTER = .* in \((.*)\) if", text, re.MULTILINE)
    assert ["sasrec", *json.loads(f"[{told[1]}]")] == list(book.AE_VS_AR)


HOSTILE = [
    "{{ cycler.__init__.__globals__.os.popen('touch owned').read() }}",
    "<script>alert(1)</script>",
    "{download}`/etc/passwd`",
    "$\\frac{1}{2}$ and \\(x\\)",
    "[click](javascript:alert(1)) ![x](http://example.org/x.png)",
    "# heading * emphasis * _under_ `code`",
    "two\nlines\n```{raw} html\n<b>x</b>\n```",
]


@pytest.mark.parametrize("title", HOSTILE)
def test_a_title_of_a_users_is_shown_as_it_is_and_nothing_else(title):
    from docutils import nodes
    from myst_parser.config.main import MdParserConfig
    from myst_parser.mdit_to_docutils.base import DocutilsRenderer
    from myst_parser.parsers.mdit import create_md_parser

    extensions = {"amsmath", "dollarmath", "substitution", "deflist", "html_image", "linkify"}
    config = MdParserConfig(enable_extensions=extensions, sub_delimiters=("{", "}"))
    parser = create_md_parser(config, DocutilsRenderer)
    inline = parser.parse(f"# Data: {as_markdown(title)}\n\nText")[1]
    assert {token.type for token in inline.children} <= {"text", "text_special"}
    shown = " ".join(title.split()).replace("<", "\u2039").replace(">", "\u203a")
    assert "".join(t.content for t in inline.children) == f"Data: {shown}"
    assert nodes.Text(title)


def test_a_report_that_stops_leaves_the_older_one_as_it_was(tmp_path, monkeypatch):
    def run_notebook(template, output, values, names, kernel):
        if broken and template.stem == "03_training":
            raise SeqattnError("stopped")
        output.write_text(f"{len(broken)}")

    monkeypatch.setattr(reports, "run_notebook", run_notebook)
    monkeypatch.setattr(book.Chapter, "all_runs", lambda chapter: [])
    broken: list[int] = []
    values = {"preset": "smoke", "seeds": [1, 2]}
    old = reports.report("synthetic", values, tmp_path / "out")
    broken.append(1)
    with pytest.raises(SeqattnError, match="stopped"):
        reports.report("synthetic", values, tmp_path / "out")
    assert [path.read_text() for path in old] == ["0"] * len(book.NOTEBOOKS)


@pytest.mark.parametrize("value", [2020, "[2020,2021]"])
def test_a_list_that_papermill_read_as_something_else_is_told_how_to_write_it(value):
    with pytest.raises(SeqattnError, match=r"with papermill: -y '\{seeds: \[2020, 2021\]\}'"):
        book.check_parameters({**GOOD, "seeds": value})


def test_a_report_is_not_put_over_that_of_another_log_of_the_same_name(tmp_path):
    """Two logs of one name would take turns in one folder of pages."""
    page = tmp_path / "out" / f"{book.NOTEBOOKS[0]}.ipynb"
    page.parent.mkdir()
    told = {"metadata": {"papermill": {"parameters": {"dataset": "/elsewhere/mine.yaml"}}}}
    page.write_text(json.dumps(told))
    with pytest.raises(SeqattnError, match=r"holds the report of /elsewhere/mine\.yaml"):
        reports.report("synthetic", {"preset": "smoke"}, page.parent)
    assert json.loads(page.read_text()) == told


def test_a_number_that_the_text_asks_for_and_no_cell_glues_is_named():
    import nbformat.v4 as v4

    text = "{glue:text}`kept:.2f`, {glue:text}`lost:+d` and {glue:text}`other.ipynb::theirs`"
    kept = v4.new_output("display_data", metadata={"scrapbook": {"name": "kept"}})
    cells = [v4.new_markdown_cell(text), v4.new_code_cell("", outputs=[kept])]
    assert execution.unglued(v4.new_notebook(cells=cells)) == ["lost"]
    assert execution.twice(v4.new_notebook(cells=cells)) == []
    again = v4.new_code_cell("", outputs=[kept])  # the text would show one of two numbers
    assert execution.twice(v4.new_notebook(cells=[*cells, again])) == ["kept"]


def test_a_studys_page_folds_code(tmp_path, monkeypatch):
    import nbformat.v4 as v4

    shown = [v4.new_output("display_data", data={"image/png": ""})]
    cells = [v4.new_code_cell("import"), v4.new_code_cell("draw", outputs=shown)]
    cells = [*cells, v4.new_markdown_cell("read")]
    cells[0].metadata["tags"] = ["hide-output"]
    monkeypatch.setattr(pages, "STUDIES", tmp_path)
    monkeypatch.setattr(pages, "execute", lambda *_: v4.new_notebook(cells=cells))
    page = pages.study_page(study.read_study("levels"))
    found = [cell["metadata"].get("tags") for cell in _cells(page)]
    assert found == [["hide-output", "hide-input"], ["hide-input"], None]


def test_a_studys_page_is_made_again_only_where_something_it_may_read_has_changed(
    tmp_path, monkeypatch
):
    import nbformat.v4 as v4

    for folder in ("studies", "notebooks", "results/levels", "pages"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    monkeypatch.setattr(pages, "STUDIES", tmp_path / "pages")
    monkeypatch.setattr(study, "ROOT", tmp_path)
    monkeypatch.setattr(study, "FOLDER", tmp_path / "studies")
    for name in ("levels", "other"):
        text = "title: A\nquestion: B?\ndatasets: [ml-100k]\ntables: []\n"
        (tmp_path / "studies" / f"{name}.yaml").write_text(text)
        (tmp_path / "studies" / f"{name}.ipynb").write_text("a template")
    made = []

    def execute(template, *_):
        made.append(template.stem)
        return v4.new_notebook(cells=[v4.new_markdown_cell("# A page")])

    def again():
        made.clear()
        assert [path.stem for path in pages.study_pages()] == ["levels", "other"]
        return sorted(made)

    monkeypatch.setattr(pages, "execute", execute)
    assert again() == ["levels", "other"] and again() == []
    (tmp_path / "studies" / "other.ipynb").write_text("another template")
    assert again() == ["other"]
    (tmp_path / "results" / "levels" / "levels.csv").write_text("a,b\n")  # others may read it, too
    assert again() == ["levels", "other"] and again() == []
    (tmp_path / "pages" / "levels.ipynb").write_text("{")
    assert again() == ["levels"]


def test_kept_runs_are_of_the_seeds_that_all_models_have_and_nothing_is_fitted(tmp_path):
    chapter = book.start(**GOOD | {"seeds": [1, 2, 3], "results_dir": str(tmp_path)})
    models, store = ["sasrec", "bert4rec"], Store(tmp_path)
    assert chapter.kept_runs(models) == {"sasrec": [], "bert4rec": []}
    for name, seed in (("sasrec", 3), ("sasrec", 1), ("bert4rec", 3)):
        spec = run_spec(chapter.dataset, name, seed, get_preset("smoke"))
        fit_run(store, chapter.dataset, spec)
    kept = chapter.kept_runs(models)
    assert {name: [run.seed for run in runs] for name, runs in kept.items()} == {
        "sasrec": [3],
        "bert4rec": [3],
    }
