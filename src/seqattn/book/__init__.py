"""What a notebook calls: its parameters checked, its runs, numbers and tables for its page."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype
from pandas.io.formats.style import Styler

from seqattn.config import AE_VS_AR, BASELINE, DESIGNS, MARGIN_PERCENT
from seqattn.data import Dataset, load_dataset
from seqattn.errors import SeqattnError
from seqattn.files import ROOT, results_folder
from seqattn.models import MODELS
from seqattn.presets import Preset, require_settings
from seqattn.runs.fitting import fit_runs
from seqattn.runs.results import on_common_seeds
from seqattn.runs.store import Fittable, Run, Store
from seqattn.search.record import Search, searches, settings, wanted_specs
from seqattn.studies.ia.published import title
from seqattn.studies.texts import yes_no

NOTEBOOKS = (
    "01_data",
    "02_models",
    "03_training",
    "04_significance",
    "05_lambda",
    "06_ae_vs_ar",
)

# What they show is intensity; a dataset without one is reported on without them.
ABOUT_LAMBDA = "05_lambda"
ABOUT_INTENSITY = ("02_models", "04_significance", ABOUT_LAMBDA)

PARAMETERS: dict[str, type] = {
    "dataset": str,
    "preset": str,
    "seeds": list,
    "models": list,
    "results_dir": str,
    "device": str,
}


# papermill's -p reads a list as text, and one number as a number.
_HINTS = {
    "seeds": "; with papermill: -y '{seeds: [2020, 2021]}'",
    "models": "; with papermill: -y '{models: [sasrec, ia-add]}'",
}


def check_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters if each is known and of its type.

    Raises
    ------
    SeqattnError
        Naming the first offending parameter.
    """
    for name, value in values.items():
        if name not in PARAMETERS:
            raise SeqattnError(
                f"unknown notebook parameter {name!r}; known: {', '.join(PARAMETERS)}"
            )
        if not isinstance(value, PARAMETERS[name]):
            raise SeqattnError(
                f"notebook parameter {name!r} must be {PARAMETERS[name].__name__}, "
                f"not {type(value).__name__} {value!r}{_HINTS.get(name, '')}"
            )
    missing = [name for name in PARAMETERS if name not in values]
    if missing:
        raise SeqattnError(f"notebook parameter {missing[0]!r} is missing")
    _check_list("seeds", values["seeds"], int)
    _check_list("models", values["models"], str)
    for model in values["models"]:
        if model not in MODELS:
            raise SeqattnError(
                f"notebook parameter 'models' names {model!r}; choose from {', '.join(MODELS)}"
            )
    require_settings(values["preset"])
    return dict(values)


def _check_list(name: str, values: list, kind: type) -> None:
    if not values:
        raise SeqattnError(f"notebook parameter {name!r} is empty; give at least one")
    for value in values:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise SeqattnError(
                f"notebook parameter {name!r} must hold {kind.__name__} values, not {value!r}"
            )
    if len(set(values)) < len(values):
        raise SeqattnError(f"notebook parameter {name!r} holds a value twice: {values}")


def injected_names() -> list[str]:
    """Return the names that papermill has put into the running notebook; none outside of one.

    Papermill writes them as assignments into a cell of their own, which starts with the comment
    "# Parameters"; the kernel has run it before the cell that asks.
    """
    try:
        from IPython import get_ipython
    except ImportError:
        return []
    shell = get_ipython()
    sources = [] if shell is None else shell.user_ns.get("In", [])
    injected = [source for source in sources if source.lstrip().startswith("# Parameters")]
    return re.findall(r"(?m)^(\w+) =", "\n".join(injected))


@dataclass(frozen=True)
class Chapter:
    """A notebook's checked parameters, and the runs they name."""

    dataset: Dataset
    preset: str
    seeds: list[int]
    models: list[str]
    results_dir: Path
    device: str

    def runs(
        self, models: Sequence[str] | None = None, seeds: Sequence[int] | None = None
    ) -> list[Run]:
        """Return the runs of `models` and `seeds` (by default all), fitting missing ones."""
        return self._fitted(product(models or self.models, seeds or self.seeds))

    def settings(self, model: str = BASELINE) -> Preset:
        """Return a model's configuration: the preset's, or what its design's search found."""
        return settings(self.results_dir, self.dataset, model, self.preset)

    def searches(self) -> list[Search]:
        """Return the published searches on this dataset: the store's, else the committed ones."""
        folders = (self.results_dir, ROOT / "results" / "campaign")
        found = [
            [s for s in searches(folder) if s.dataset == self.dataset.name] for folder in folders
        ]
        return [s for s in found[0] or found[1] if s.design == DESIGNS[0]]

    def ae_vs_ar_runs(self) -> list[Run]:
        """Return one SASRec, one Local-AE and one BERT4Rec run, of the first seed."""
        return self.runs(AE_VS_AR, self.seeds[:1])

    def kept_runs(self, models: Sequence[str]) -> dict[str, list[Run]]:
        """Return by model the kept runs of the seeds that all of `models` have with weights.

        Nothing is fitted: the seeds are as many as the store has.
        """
        store = Store(self.results_dir)
        found = {
            model: [run for run in map(store.get, self._specs(product([model], self.seeds))) if run]
            for model in models
        }
        return on_common_seeds({m: [r for r in runs if r.has_weights] for m, runs in found.items()})

    def all_runs(self) -> list[Run]:
        """Return every run the notebooks read, fitting missing ones side by side."""
        ae = product(AE_VS_AR, self.seeds[:1])
        return self._fitted(dict.fromkeys([*product(self.models, self.seeds), *ae]))

    def _fitted(self, wanted: Iterable[tuple[str, int]]) -> list[Run]:
        return fit_runs(
            Store(self.results_dir), self.dataset, self._specs(wanted), device=self.device
        )

    def _specs(self, wanted: Iterable[tuple[str, int]]) -> list[Fittable]:
        return wanted_specs(self.results_dir, self.dataset, wanted, self.preset)


def start(
    *,
    dataset: str,
    preset: str,
    seeds: list[int],
    models: list[str],
    results_dir: str,
    device: str,
) -> Chapter:
    """Check a notebook's parameters and open its dataset; every notebook calls this first.

    Parameters
    ----------
    dataset : str
        A name that ``seqattn datasets`` lists, or the YAML file of one's own data.
    preset : str
        A preset of `seqattn.presets`, a design whose searches are done, or the YAML file of one's
        own settings.
    seeds, models : list
        What is fitted: every model with every seed.
    results_dir : str
        Where fits are kept; empty means ``.seqattn/results``.
    device : str
        ``cpu`` or ``cuda``.

    Raises
    ------
    SeqattnError
        If a parameter is of the wrong type or names something unknown, or papermill has injected
        one that no notebook has: papermill itself only warns.
    """
    from seqattn.plots import use_style

    values = {
        "dataset": dataset,
        "preset": preset,
        "seeds": seeds,
        "models": models,
        "results_dir": results_dir,
        "device": device,
    }
    checked = check_parameters({**dict.fromkeys(injected_names()), **values})
    use_style()
    return open_chapter(checked)


def open_chapter(values: Mapping[str, Any]) -> Chapter:
    """Return the chapter that checked parameters describe, with its dataset loaded."""
    return Chapter(
        load_dataset(values["dataset"]),
        values["preset"],
        values["seeds"],
        values["models"],
        results_folder(values["results_dir"]),
        values["device"],
    )


def glue(**values: object) -> None:
    """Keep values for the page's prose, which shows one by the MyST role ``glue:text``.

    The role's text is a name and a format, such as ``share:.1%``. Scalars of numpy are kept as
    plain numbers, since the page formats what their ``repr`` says.

    Raises
    ------
    SeqattnError
        A value is neither a number nor text, which the page could not format.
    """
    from myst_nb import glue as keep

    for name, value in values.items():
        if not isinstance(value, (str, int, float, np.generic)):
            raise SeqattnError(
                f"glue: {name} is a {type(value).__name__}, and prose shows numbers and text: "
                "choose one value (such as one row by dataset, arm and model)"
            )
        keep(name, value.item() if isinstance(value, np.generic) else value, display=False)


def table(
    frame: pd.DataFrame,
    formats: str | Mapping[str, str] | None = None,
    *,
    missing: str = "–",
    index: bool = True,
) -> Styler:
    """Return a frame as a table in the book's look, columns formatted like ``{"p": "{:.3f}"}``.

    What is missing reads `missing`; text is shown as it is, whatever HTML it looks like, and as
    code between backticks. What is called ``dataset`` is shown by its title.
    """
    styler = frame.style.format(formats, na_rep=missing, escape="html")
    formatted = frame.columns if isinstance(formats, str) else list(formats or ())
    texts = [name for name in frame if infer_dtype(frame[name]) == "string"]
    if plain := [name for name in texts if name not in formatted]:
        styler = styler.format(_as_html, subset=plain, na_rep=missing)
    if "dataset" in frame:
        styler = styler.format(_titled, subset="dataset", na_rep=missing)
    for axis, labels in (("index", frame.index), ("columns", frame.columns)):
        styler = styler.format_index(_as_html, axis=axis)
        if "dataset" in labels.names:
            styler = styler.format_index(_titled, axis=axis, level="dataset")
    styler = styler if index else styler.hide(axis="index")
    return styler.set_table_attributes('class="dataframe"')


def _as_html(text: object) -> str:
    """Return HTML that shows a text; code only once nothing in it is HTML any more."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(str(text)))


def _titled(dataset: object) -> str:
    return html.escape(title(str(dataset)))


def with_interval(
    frame: pd.DataFrame,
    value: str = "mean",
    ends: tuple[str, str] = ("low", "high"),
    form: str = ".4f",
) -> pd.Series:
    """Return "value [low, high]" of each row as text; NaN where there is no value."""
    told = [
        f"{row[value]:{form}} [{row[ends[0]]:{form}}, {row[ends[1]]:{form}}]"
        if pd.notna(row[value])
        else np.nan
        for row in frame.to_dict("records")
    ]
    return pd.Series(told, index=frame.index, dtype=object)


def changes_table(rows: pd.DataFrame, base: str, n_seeds: int) -> Styler:
    """Return changes with their intervals as a table; verdicts only of arms with all seeds.

    Parameters
    ----------
    rows : DataFrame
        As of `seqattn.studies.judge.ndcg_by_arm`; with a column `against`, that is shown as well.
    base : str
        What the column with the level of the other side is called.
    n_seeds : int
        How many seeds an arm has once it is run whole.
    """
    shown = rows.set_index(["title", "arm"])
    shown["change, %"] = with_interval(shown, "change", form="+z.1f")
    names = {"n_seeds": "seeds", "n_users": "users", "base": base}
    verdicts = {"robust_clustered": "robust", "equivalent": f"within {MARGIN_PERCENT:g} %"}
    for verdict in verdicts:
        shown[verdict] = shown[verdict].map(yes_no).where(shown["n_seeds"] == n_seeds, "–")
    shown = shown.rename(columns=names | verdicts)
    against = ["against"] if "against" in rows else []
    columns = [*names.values(), *against, *verdicts.values(), "change, %"]
    return table(shown[columns], {"users": "{:,.0f}", base: "{:.4f}"})
