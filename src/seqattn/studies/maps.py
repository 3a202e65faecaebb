"""Attention maps of trained models by layer and head, beside what their masks alone give.

The tables hold means over users, never a user's map. What [AE] printed stands in
``results/published``.

References
----------
[AE] SAR-Check, Tables 1 to 5 and figures 1 to 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from seqattn.analysis import by_head
from seqattn.analysis.attention import (
    Axis,
    attention_maps,
    bounds,
    dirichlet_maps,
    load_model,
    map_sizes,
    near_share,
    uniform_maps,
)
from seqattn.analysis.lambdas import t_interval
from seqattn.config import BASELINE, ModelConfig
from seqattn.data import CATALOGUE, Dataset, Interactions, k_core, load_log
from seqattn.data.repeats import merge_repeats
from seqattn.errors import SeqattnError
from seqattn.models.backbone import Backbone
from seqattn.plots.style import name_of
from seqattn.runs.store import Run
from seqattn.studies.ia.published import FOLDER
from seqattn.studies.judge import interval_columns
from seqattn.studies.learning import data_of, of_logs, of_weights
from seqattn.studies.plan import Group
from seqattn.studies.study import Study

PRINTED = {"beauty": "Beauty", "sports": "Sports", "video": "Video", "yelp": "Yelp"}
PRINTED |= {"ml-1m": "ML-1M"}  # our names of the datasets of [AE], and its own
KINDS = ("trained", "uniform", "dirichlet")
DRAWS = 100  # of random maps
_SIZES = ("users", "items", "interactions")

MEASURES = ("whole", "row", "near", "median_rank", "missed")  # of the page's last table


def maps_by_head(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return sparsity, locality and the ranks that need no noise level, at fixed lengths.

    A row a run, number of interactions n, kind, layer and head: dataset, arm, model, seed, key, n,
    kind, users, and the columns of `seqattn.analysis.by_head.measures`. The kinds are ``trained``,
    all users with n training interactions or more; ``uniform``, a map under the model's mask that
    has learned nothing else; and ``dirichlet``, random ones. The last two belong to no layer: 0.
    Runs without weights as `seqattn.studies.learning.of_weights` says.
    """
    return _of_maps("maps_by_head", study, groups, by_head.measures)


def near(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return how much of its attention each model gives to its neighbourhood.

    A row a run: dataset, arm, model, seed, key, n (interactions, the middle size), users and near,
    the share of weight at most 2 positions away, the mean over users, layers and heads. Runs
    without weights as `seqattn.studies.learning.of_weights` says.
    """

    def rows(run: Run, log: str) -> pd.DataFrame:
        n, maps = _middle(run, log)
        share = round(float(near_share(maps).mean()), 8)
        return pd.DataFrame([{"n": n, "users": len(maps), "near": share}])

    return of_weights("near", study, groups, rows, _has_maps)


def ranks_by_head(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return ranks in noise, and whether the bound (11) holds, at each noise level.

    A row as in `maps_by_head` and sigma, with the columns of `seqattn.analysis.by_head.ranks`; of
    the largest n.
    """
    return _of_maps("ranks_by_head", study, groups, by_head.ranks, largest=True)


def spectra_by_head(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return mean singular values: a row as in `ranks_by_head` and index (from 1), value."""
    return _of_maps("spectra_by_head", study, groups, by_head.spectra, largest=True)


def mean_maps(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return the users' mean maps of one seed: layer, head, query, at (the key), weight and rank_5.

    Of the last layer, of the first seed, because heads of different seeds do not correspond, and of
    the middle n.
    """

    def rows(run: Run, log: str) -> pd.DataFrame:
        if run.seed != study.seeds[0]:
            return pd.DataFrame()
        n, maps = _middle(run, log)
        found = by_head.mean_maps(maps[:, -1:]).assign(layer=maps.shape[1])
        return found.assign(n=n, users=len(maps)).round(4)

    return of_weights("mean_maps", study, groups, rows, _has_maps)


def _of_maps(
    table: str,
    study: Study,
    groups: Sequence[Group],
    make: Callable[[np.ndarray], pd.DataFrame],
    *,
    largest: bool = False,
) -> pd.DataFrame:
    def rows(run: Run, log: str) -> pd.DataFrame:
        dataset, sizes = _sized(run, log)
        model = load_model(run, dataset)
        frames = []
        for n in sizes[-1:] if largest else sizes:
            for kind in KINDS:
                maps = _maps(kind, model, dataset, n, run.seed)
                found = make(maps).round(8)
                if kind != "trained":  # which is one of no layer
                    found["layer"] = 0
                frames.append(found.assign(n=n, kind=kind, users=len(maps)))
        whole = pd.concat(frames, ignore_index=True)
        first = ["n", "kind", "users"]
        return whole[[*first, *whole.columns.drop(first)]]

    return of_weights(table, study, groups, rows, _has_maps)


def _maps(kind: str, model: Backbone, dataset: Dataset, n: int, seed: int) -> np.ndarray:
    """Return maps of a kind, (U, L, H, n, n); those of a mask alone have one layer."""
    if kind == "trained":
        return attention_maps(model, dataset, n, dataset.n_users)
    if kind == "uniform":
        return uniform_maps(model, n)[None, None]
    return dirichlet_maps(model, n, DRAWS, np.random.default_rng(seed))[:, None]


def _has_maps(config: ModelConfig) -> bool:
    """Whether a model's weights are one map a head: a position that asks once."""
    return config.n_queries == 1


def _sized(run: Run, log: str) -> tuple[Dataset, list[int]]:
    """Return a run's data, and the lengths at which maps of it are compared."""
    dataset = data_of(run, log)
    return dataset, map_sizes(dataset, run.spec.model_config.max_length)


def _middle(run: Run, log: str) -> tuple[int, np.ndarray]:
    """Return the middle one of these lengths, and the maps of all users who have it."""
    dataset, sizes = _sized(run, log)
    n = sizes[len(sizes) // 2]
    return n, attention_maps(load_model(run, dataset), dataset, n, dataset.n_users)


def filters(study: Study, groups: Sequence[Group]) -> pd.DataFrame:
    """Return the sizes of [AE]'s datasets without a filter, after one pass of it, and as a 5-core.

    A row a dataset and filter: dataset, filter, users, items, interactions. A dataset whose file is
    not at hand keeps the rows that were kept of it.
    """
    return of_logs("filters", study, PRINTED, load_log, _filtered)


def _filtered(name: str, raw: Interactions) -> pd.DataFrame:
    how = CATALOGUE[name].preparation
    log = merge_repeats(raw, how.exact, how.pairs)
    once, core = (k_core(log, how.core, iterative) for iterative in (False, True))
    logs = {"unfiltered": log, "one pass": once, "5-core": core}
    return pd.DataFrame(
        {"dataset": name, "filter": kind} | {key: getattr(kept.steps[-1], key) for key in _SIZES}
        for kind, kept in logs.items()
    )


def printed(table: int) -> pd.DataFrame:
    """Return one of [AE]'s Tables 1 to 6 as printed, its datasets under our names.

    Raises
    ------
    SeqattnError
        If there is no file of that table, or it cannot be read.
    """
    paths = sorted(FOLDER.glob(f"ae_ar_table{table}_*.csv"))
    if not paths:
        raise SeqattnError(f"{FOLDER}: no Table {table} of [AE]; restore it from git")
    frame = pd.read_csv(paths[0])
    ours = {name: key for key, name in PRINTED.items()}
    if "dataset" in frame:
        return frame.assign(dataset=frame["dataset"].map(ours))
    frame["model"] = frame["model"].map(
        {"Vanilla-AE": "bert4rec", "Local-AE": "local-ae", "Vanilla-AR": "sasrec"}
    )
    return frame.set_index("model").rename(columns=ours)


def by_model(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return means over layers and heads, by dataset, n, model, kind and seed, of some columns."""
    keys = ["dataset", "n", "model", "kind", "seed"]
    return table.groupby(keys, sort=False)[list(columns)].mean()


def gaps(table: pd.DataFrame, columns: Sequence[str], both_ways: str) -> pd.DataFrame:
    """Return how far a model and SASRec differ in each measure, and how far their masks alone do.

    Parameters
    ----------
    table : DataFrame
        That of `maps_by_head`, or of `ranks_by_head` at one sigma.
    columns : sequence of str
        Measures, columns of it.
    both_ways : str
        The model; differences are its measure minus SASRec's.

    Returns
    -------
    DataFrame
        A row a (dataset, n, measure): gap, the mean over seeds, with low and high, its 95 % t
        interval; uniform and dirichlet, the gap of maps that have learned nothing but the mask;
        learned, with learned_low and learned_high, the gap beyond that of uniform maps; seeds;
        one_sign, whether the gap has one sign for all seeds; of_training, whether it then exceeds
        both of the masks' in that direction for every seed.
    """
    means = by_model(table, columns).unstack("model").swaplevel(axis=1)
    apart = (means[both_ways] - means[BASELINE]).stack().unstack("kind").dropna()
    apart.index.names = [*apart.index.names[:-1], "measure"]
    keys = ["dataset", "n", "measure"]
    rows = {key: _gap(part) for key, part in apart.groupby(level=keys, sort=False)}
    return pd.DataFrame(rows.values(), index=pd.MultiIndex.from_tuples(rows, names=keys))


def gaps_of_largest(study: Study) -> pd.DataFrame:
    """Return `gaps` of BERT4Rec and SASRec on a study's first dataset, of its largest maps."""
    table = study.table("maps_by_head")
    table = table[table["dataset"] == study.datasets[0]]
    return gaps(table, MEASURES, "bert4rec").loc[(study.datasets[0], table["n"].max())]


def _gap(of_seeds: pd.DataFrame) -> dict[str, object]:
    gap_S = of_seeds["trained"].to_numpy()
    masks = of_seeds[["uniform", "dirichlet"]]
    learned_S = gap_S - masks["uniform"].to_numpy()
    sign = np.sign(gap_S.mean())
    beyond = (sign * gap_S > (sign * masks).max(axis=1).to_numpy()).all()
    one_sign = bool((np.sign(gap_S) == sign).all())
    return {
        **interval_columns("gap", "", float(gap_S.mean()), t_interval(gap_S)),
        **masks.mean().to_dict(),
        **interval_columns("learned", "learned_", float(learned_S.mean()), t_interval(learned_S)),
        **{"seeds": len(gap_S), "one_sign": one_sign, "of_training": one_sign and bool(beyond)},
    }


def reachable(printed_values: pd.DataFrame, sizes: Sequence[int]) -> pd.DataFrame:
    """Return what sparsity maps of each size can have, and how many printed values lie there.

    A row a number of interactions; for rows and whole maps the columns from, to and printed.
    """
    found, axes = {}, dict[str, Axis](row="row", whole=None)
    values = printed_values.to_numpy()
    for n in sizes:
        row: dict[str, float] = {}
        for name, axis in axes.items():
            least, most = bounds(n, axis)
            within = int(((values >= least) & (values <= most)).sum())
            row |= {f"{name}, from": least, f"{name}, to": most, f"{name}, printed": within}
        found[n] = row
    return pd.DataFrame(found).T.rename_axis("interactions")


def order(values: pd.Series) -> str:
    """Return models from the least value to the greatest, as text: ``SASRec < Local-AE``."""
    return " < ".join(map(name_of, values.sort_values().index))


def at_levels(table: pd.DataFrame, column: str, models: Sequence[str]) -> pd.DataFrame:
    """Return means of a column of `ranks_by_head`: a row a (model, kind), a column a sigma."""
    wide = table.groupby(["model", "kind", "sigma"])[column].mean().unstack()
    there = [(m, k) for m in models for k in KINDS if (m, k) in wide.index]
    return wide.loc[there]
