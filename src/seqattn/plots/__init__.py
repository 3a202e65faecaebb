"""Drawing, apart from computing: each function takes arrays or frames and returns a figure."""

# ruff: noqa: F401  (names are handed on)

from seqattn.plots.attention import (
    attention_rows,
    boxes,
    by_distance,
    by_length,
    curves,
    maps_grid,
    masks,
)
from seqattn.plots.audit import (
    audit_lights,
    gap_distribution,
    histogram,
    history,
    intensity_by_popularity,
    intensity_panels,
    normalisations,
    popularity,
)
from seqattn.plots.lambdas import (
    lambda_against_change,
    lambda_gradients,
    lambda_sweep,
    lambda_trajectories,
)
from seqattn.plots.style import COLOURS, LABELS, name_of, save, use_style
from seqattn.plots.training import (
    forest,
    learning_curves,
    metric_by_seed,
    search_history,
    search_importances,
)
