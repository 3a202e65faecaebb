"""The book's look: one style file, one colour and one name for each model."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from seqattn.errors import SeqattnError
from seqattn.files import write_bytes
from seqattn.models import MODELS, RECBOLE_MODELS

# Trainings of SASRec that figures show beside models, by the names that a study gives them.
RIVALS = {"confidence": "Loss weight", "positives": "Strong targets", "contrast": "Contrast"}
LABELS = {name: model.label for name, model in MODELS.items()} | RECBOLE_MODELS | RIVALS
COLOURS = {name: model.colour for name, model in MODELS.items()}
# Okabe and Ito's palette: told apart by readers with any common colour blindness.
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"
ORANGE, PURPLE, SKY, GREY = "#E69F00", "#CC79A7", "#56B4E9", "#666666"
OTHERS = ("#000000", BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)  # of what is no model
Draw = TypeVar("Draw", bound=Callable[..., Figure])


def name_of(model: str) -> str:
    """Return a model's name as figures and tables show it."""
    return LABELS.get(model, model)


def as_text(text: str) -> str:
    """Return a user's text for a label: a dollar sign in it begins no formula."""
    return text.replace("$", r"\$")


def use_style() -> None:
    """Apply the book's style and, inside a notebook, draw figures as SVG."""
    plt.style.use(Path(__file__).parents[1] / "style.mplstyle")
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if get_ipython() is not None:
        # No date in the file, so that a re-run gives the same bytes.
        set_matplotlib_formats("svg", metadata={"Date": None})


def panels_of(n_columns: int, height: float = 2.6, n_rows: int = 1) -> tuple[Figure, np.ndarray]:
    """Return a figure with a grid of square panels without ticks, for images."""
    size = (2.3 * n_columns, height * n_rows)
    figure, panels = plt.subplots(n_rows, n_columns, figsize=size, squeeze=False)
    for axes in panels.flat:
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
    return figure, panels


def by_panel(
    frame: pd.DataFrame,
    column: str,
    width: float,
    height: float,
    *,
    least: float = 0,
    sharey: bool = False,
) -> tuple[Figure, list[tuple[Any, Axes, pd.DataFrame]]]:
    """Return a figure with a row of panels, one per value of a column: value, axes and rows.

    A panel is `width` wide, and the figure at least `least`.
    """
    names = list(dict.fromkeys(frame[column]))
    size = (max(width * len(names), least), height)
    figure, (panels,) = plt.subplots(1, len(names), figsize=size, sharey=sharey, squeeze=False)
    parts = zip(names, panels, strict=True)
    return figure, [(name, axes, frame[frame[column] == name]) for name, axes in parts]


def save(figure: Figure, path: Path) -> Path:
    """Write a figure, in the format that the file's name ends with, and return the path.

    Raises
    ------
    SeqattnError
        The format is unknown, or the file cannot be written.
    """
    if not path.suffix:  # matplotlib would add one, and the path returned would not exist
        raise SeqattnError(f"{path}: a name without a format; write .svg, .png or .pdf")
    picture, metadata = io.BytesIO(), {"Date": None} if path.suffix == ".svg" else None
    try:
        figure.savefig(picture, format=path.suffix[1:].lower(), metadata=metadata)
    except ValueError as error:
        raise SeqattnError(f"{path}: {error}; write .svg, .png or .pdf") from error
    return write_bytes(path, picture.getvalue())


def with_ends(axes: Axes, x: ArrayLike, frame: pd.DataFrame, value: str, **look: Any) -> None:
    """Draw a column of values, each with the interval of the columns ``low`` and ``high``."""
    around = np.abs(frame[["low", "high"]].sub(frame[value], axis=0)).to_numpy().T
    axes.errorbar(np.asarray(x), frame[value], around, **look)


def not_run() -> Figure:
    """Return a figure that says so, for results that are not there."""
    figure, axes = plt.subplots(figsize=(3, 0.6))
    axes.text(0.5, 0.5, "not run", ha="center", va="center", color=GREY)
    axes.axis("off")
    return figure


def or_not_run(draw: Draw) -> Draw:
    """Leave out what is empty of a figure's first argument; it reads "not run" if all is."""

    @wraps(draw)
    def drawn(first: Any, *args: Any, **options: Any) -> Figure:
        if isinstance(first, Mapping):
            first = {name: part for name, part in first.items() if len(part)}
        return draw(first, *args, **options) if len(first) else not_run()

    return cast(Draw, drawn)
