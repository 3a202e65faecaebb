"""Results of several machines in one folder: searches first, then the runs they ask for.

A run is of use where a search or a study wants its settings. So what is collected is decided search
by search, and a run that neither a search of the target nor a study asks for is left where it is. A
run of RecBole's models holds its own search, so it is collected without one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from pathlib import Path

from seqattn.config import BASELINE
from seqattn.errors import SeqattnError
from seqattn.runs.store import Fittable, RunSpec, Store
from seqattn.search.record import Search, read_search, search_path, searches


def asked(results_dir: str | Path) -> set[RunSpec]:
    """Return what the searches of a folder want fitted, each with seed 0.

    Among them are the controls, the baseline with what a variant's own search found.
    """
    return {
        dataclasses.replace(found.spec(0), model=model)
        for found in searches(results_dir)
        for model in ((found.model, BASELINE) if found.design == "own_search" else (found.model,))
    }


def collect(
    source: str | Path,
    target: str | Path,
    *,
    studied: Collection[Fittable] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Copy finished searches, and the runs they ask for, into another folder; return what is new.

    Of two searches the one with more complete trials is kept; of two matched ones, the one that
    rests on the search of SASRec that is kept. A run that the target already has stays: equal
    keys mean equal settings and data.

    `studied` are runs that are wanted without a search, see `seqattn.studies.plan.wanted_in`. Ranks
    are enough for every table, so models' weights are not copied. `tell` is called
    with a line for each search that is not taken, since the target has found otherwise, for each
    run that is damaged or at another's place, and for runs that nothing asks for.

    Raises
    ------
    SeqattnError
        If the source is no results folder, its searches were made with other settings or data
        than the target's, or the target cannot be written. Nothing was copied in the first two.
    """
    if not Path(source).is_dir():
        raise SeqattnError(f"{source} is no folder; name the results folder of a campaign")
    # SASRec's first: what is matched rests on them.
    offered = sorted(searches(source), key=lambda found: found.model != BASELINE)
    for found in offered:
        names = found.dataset, found.model, found.design
        have = read_search(target, *names)
        if have and have.kind != found.kind:
            raise SeqattnError(
                f"{search_path(source, *names)} and {search_path(target, *names)} were made with "
                "different settings or data; remove the one that is not wanted, or collect into "
                "another folder"
            )
    new = [found.write(target) for found in offered if _is_wanted(found, target)]
    store, wanted = Store(target), asked(target)
    runs = list(Store(source).runs())
    for line in Store(source).unusable(runs):
        tell(f"{line}; it is left out")
    of_use = [
        run
        for run in runs
        if run.engine != RunSpec.engine
        or run.spec in studied
        or dataclasses.replace(run.spec, seed=0) in wanted
    ]
    lacking = [run for run in of_use if store.get(run.spec) is None]
    new += [store.adopt(run).folder for run in lacking]
    if left := len(runs) - len(of_use):
        tell(f"{left} runs of {source} are left out: no search or study of {target} asks for them")
    for found in offered:
        have = read_search(target, found.dataset, found.model, found.design)
        if have is None or have.preset != found.preset:
            tell(
                f"{search_path(source, found.dataset, found.model, found.design)} is not taken, "
                f"nor the runs it asks for: {target} has a longer search, or one that rests on a "
                "longer one of sasrec; collect into another folder to keep both"
            )
    return new


def _is_wanted(found: Search, target: str | Path) -> bool:
    """Whether a search shall take the place of the target's of the same name, if it has one."""
    have = read_search(target, found.dataset, found.model, found.design)
    if found.design == "shared_backbone":
        baseline = read_search(target, found.dataset, BASELINE, found.design)
        if baseline and not found.rests_on(baseline):
            return False
        if baseline and have and not have.rests_on(baseline):
            return True
    return have is None or have.n_complete < found.n_complete
