"""Cells: fits that are kept. Asks the store first, computes what is missing, several at a time.

On a CPU each fit runs on one thread and the cells run side by side, one process a core: the bits
of a fit then do not depend on how many cores the machine has. On a GPU the seeds of a model are
fitted together, as one stacked model.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.queues import Queue
from pathlib import Path

import torch
from tqdm import tqdm

from seqattn.config import Preset
from seqattn.data import Dataset, load_dataset
from seqattn.models import is_masked
from seqattn.runs.code import code_of, require_same_code
from seqattn.runs.store import Cell, CellSpec, Result, Store
from seqattn.search.record import settings
from seqattn.training.device import environment, one_thread, require_device
from seqattn.training.fit import Epoch, Fit, fit
from seqattn.training.stacked import fit_stacked

Report = Callable[[str], None]


def cell_spec(dataset: Dataset, model: str, seed: int, preset: Preset) -> CellSpec:
    """Return the spec of one (dataset, model, seed) cell under a preset."""
    return CellSpec(
        dataset.name,
        dataset.fingerprint,
        model,
        seed,
        preset.model,
        preset.train_for(masked=is_masked(model)),
    )


def fit_cell(
    store: Store,
    dataset: Dataset,
    spec: CellSpec,
    *,
    device: str = "cpu",
    report: Report | None = None,
) -> Cell:
    """Return one cell, fitting it only if the store lacks it.

    Raises
    ------
    SeqattnError
        If the model can't be fitted on the dataset.
    """

    def run() -> Result:
        with one_thread(device):
            fitted = fit(
                dataset,
                spec.model,
                spec.seed,
                spec.model_config,
                spec.train_config,
                device=device,
                on_epoch=lambda epoch: report(_line(spec, epoch)) if report else None,
            )
        return _result(fitted, spec, device)

    return store.compute(spec, run)


def _result(fitted: Fit, spec: CellSpec, device: str, **more: object) -> Result:
    about = {"code": code_of(spec.model), "environment": environment(device)}
    facts = {**fitted.facts(), **more, **about}
    weights = {name: value.cpu() for name, value in fitted.model.state_dict().items()}
    return Result(facts, fitted.ranks, weights)


def fit_cells_stacked(
    store: Store,
    dataset: Dataset,
    specs: Sequence[CellSpec],
    *,
    device: str = "cuda",
    report: Report | None = None,
) -> list[Cell]:
    """Fit several seeds of one configuration at once, and keep each as a cell.

    Each cell's facts name the seeds it was fitted with, under ``stacked_seeds``: with dropout, its
    bits are not those of a fit by itself. All are computed before the first is kept, so two
    processes may compute the same seeds; the first to finish is kept.

    Raises
    ------
    SeqattnError
        If the model can't be fitted on the dataset, see `seqattn.training.stacked.fit_stacked`.
    """
    by_seed = {spec.seed: spec for spec in specs}
    first = specs[0]
    fits = fit_stacked(
        *(dataset, first.model, list(by_seed), first.model_config, first.train_config),
        device=device,
        on_epoch=lambda seed, epoch: report(_line(by_seed[seed], epoch)) if report else None,
    )
    results = {
        seed: _result(fitted, by_seed[seed], device, stacked_seeds=list(by_seed))
        for seed, fitted in fits.items()
    }
    return [store.compute(spec, partial(results.get, spec.seed)) for spec in specs]


def fit_cells(
    results_dir: str | Path,
    dataset: Dataset,
    wanted: Iterable[tuple[str, int]],
    preset: str = "quick",
    *,
    backbone_of: str | None = None,
    device: str = "cpu",
    workers: int | None = None,
    progress: bool = True,
) -> list[Cell]:
    """Return the cells of (model, seed) pairs, fitting those the store lacks.

    Parameters
    ----------
    results_dir : str or Path
        The store's folder, and that of the searches if `preset` names a design.
    dataset : Dataset
        Must be one `load_dataset` can load again by its reference, in another process.
    wanted : iterable of (str, int)
        Model names and training seeds.
    preset : str
        Name of a preset, see `seqattn.config.PRESETS`, or of a design, see `seqattn.search.record`.
    backbone_of : str, optional
        Name of the model whose settings all are fitted with; by default each has its own.
    device : str
        ``cpu`` or ``cuda``.
    workers : int, optional
        Processes on the CPU; by default one a core. On a GPU the seeds of a model that are missing
        are fitted at once, one model after another.
    progress : bool
        Whether to show a progress bar with loss, validation NDCG@10 and lambda.

    Raises
    ------
    SeqattnError
        If a model can't be fitted on the dataset, its design lacks a search, a cell was fitted
        with other code of its model, or there is no such device. Finished cells stay in the store.
    """
    specs = [
        cell_spec(
            *(dataset, model, seed, settings(results_dir, dataset, backbone_of or model, preset))
        )
        for model, seed in wanted
    ]
    store = Store(results_dir)
    return fit_specs(store, dataset, specs, device=device, workers=workers, progress=progress)


def fit_specs(
    store: Store,
    dataset: Dataset,
    specs: Sequence[CellSpec],
    *,
    device: str = "cpu",
    workers: int | None = None,
    progress: bool = True,
) -> list[Cell]:
    """Return the cells of some specs of one dataset, fitting those the store lacks.

    The other parameters are those of `fit_cells`.

    Raises
    ------
    SeqattnError
        As `fit_cells`, but for searches, which are not asked.
    """
    require_device(device)
    kept = {spec: store.get(spec) for spec in specs}
    for cell in filter(None, kept.values()):
        require_same_code(cell)
    missing = [spec for spec, cell in kept.items() if cell is None]
    # The longest fits go first, so that no core is left with one at the end.
    missing.sort(key=lambda spec: -spec.train_config.epochs)
    workers = min(workers or os.cpu_count() or 1, len(missing))
    with tqdm(total=len(missing), desc="fitting", unit="cell", disable=not progress) as bar:
        if torch.device(device).type != "cpu":
            for model in dict.fromkeys(spec.model for spec in missing):
                together = [spec for spec in missing if spec.model == model]
                fit_cells_stacked(
                    store, dataset, together, device=device, report=bar.set_postfix_str
                )
                bar.update(len(together))
        elif workers > 1:
            _fit_in_processes(store, dataset, missing, workers, bar)
        else:
            for spec in missing:
                fit_cell(store, dataset, spec, device=device, report=bar.set_postfix_str)
                bar.update()
    return [store.compute(spec, _unreachable) for spec in specs]


def _fit_in_processes(
    store: Store, dataset: Dataset, specs: list[CellSpec], workers: int, bar: tqdm
) -> None:
    # Spawn, not fork: forking a process whose OpenMP threads have run can hang.
    context = get_context("spawn")
    lines = context.Queue()
    listener = threading.Thread(target=_listen, args=(lines, bar), daemon=True)
    listener.start()
    others = set(active_children())
    pool = ProcessPoolExecutor(workers, context, _start_worker, (lines,))
    try:
        with _interrupts_ignored():
            jobs = [
                pool.submit(_fit_in_worker, str(store.path), dataset.reference, spec)
                for spec in specs
            ]
        for job in as_completed(jobs):
            job.result()
            bar.update()
    except BaseException:
        # Whatever went wrong, Ctrl-C above all: nobody waits for fits that are under way.
        for worker in set(active_children()) - others:
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        lines.put(None)
        listener.join()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Start processes that leave Ctrl-C to this one, which then stops them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_lines: Queue | None = None  # in a worker: where its progress goes


def _start_worker(lines: Queue) -> None:
    global _lines
    _lines = lines
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A killed parent cannot tell its workers, which would wait for more work for ever.
    parent_process().join()
    os._exit(1)


def _fit_in_worker(results_dir: str, dataset: str, spec: CellSpec) -> None:
    fit_cell(Store(results_dir), load_dataset(dataset), spec, report=_lines.put)


def _listen(lines: Queue, bar: tqdm) -> None:
    for line in iter(lines.get, None):
        bar.set_postfix_str(line)


def _line(spec: CellSpec, epoch: Epoch) -> str:
    lambdas = ", ".join(f"{value:.2f}" for value in epoch.lambdas)
    return (
        f"{spec.model} seed {spec.seed} epoch {epoch.epoch}: loss {epoch.loss:.3f}, "
        f"NDCG@10 {epoch.valid_ndcg:.4f}" + (f", lambda {lambdas}" if lambdas else "")
    )


def _unreachable() -> Result:
    raise RuntimeError("a cell that was just computed is missing from the store")
