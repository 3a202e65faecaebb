"""Runs: fits that are kept. Asks the store first, computes what is missing, several at a time.

On a CPU each fit runs on one thread and the runs run side by side, one process a core: the bits
of a fit then do not depend on how many cores the machine has. On a GPU the seeds of a model are
fitted together, as one stacked model, or on demand side by side as well. RecBole's models, which
only `seqattn.recbole` knows how to fit, run on the CPU.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from math import prod
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.queues import Queue
from types import ModuleType

import torch
from tqdm import tqdm

from seqattn.data import Dataset, load_dataset
from seqattn.data.dataset import Described
from seqattn.errors import SeqattnError
from seqattn.models import is_importable, is_masked, is_stackable
from seqattn.presets import Preset
from seqattn.runs.checkpoint import Checkpoint
from seqattn.runs.code import code_of, require_same_code
from seqattn.runs.store import Fittable, RecBoleSpec, Result, Run, RunSpec, Store
from seqattn.training.course import Epoch, Fit
from seqattn.training.device import cores, environment, one_thread, require_device
from seqattn.training.fit import fit, require_trainable
from seqattn.training.stacked import fit_stacked, why_one_by_one

Report = Callable[[str], None]


def run_spec(dataset: Described, model: str, seed: int, preset: Preset) -> RunSpec:
    """Return the spec of one (dataset, model, seed) run under a preset."""
    train = preset.train_for(masked=is_masked(model))
    return RunSpec(dataset.name, dataset.fingerprint, model, seed, preset.model, train)


def recbole_spec(dataset: Described, model: str, seed: int) -> RecBoleSpec:
    """Return the spec of one of RecBole's models; one that draws no random number has one seed.

    Raises
    ------
    SeqattnError
        If RecBole is not installed, or the model is unknown.
    """
    baselines = _recbole()
    settings, seed = baselines.settings_of(model), baselines.seed_of(model, seed)
    return RecBoleSpec(dataset.name, dataset.fingerprint, model, seed, settings)


def _recbole() -> ModuleType:
    try:
        from seqattn.recbole import baselines
    except ModuleNotFoundError as error:
        raise SeqattnError(str(error)) from error
    return baselines


def fit_run(
    store: Store,
    dataset: Dataset,
    spec: Fittable,
    *,
    device: str = "cpu",
    report: Report | None = None,
) -> Run:
    """Return one run, fitting it only if the store lacks it.

    Raises
    ------
    SeqattnError
        If the model can't be fitted on the dataset, or it is another than the spec says.
    """
    if isinstance(spec, RecBoleSpec):
        return store.compute(spec, lambda: _fit_recbole(store, dataset, spec, report))
    _require_data(dataset, spec)
    checkpoint = Checkpoint(store.checkpoint(spec), _made_by(spec, device))
    run = store.compute(spec, lambda: _fit_ours(dataset, spec, device, report, checkpoint))
    checkpoint.remove()
    return run


def _require_data(dataset: Dataset, spec: RunSpec) -> None:
    """Refuse to keep a run of one log, or of another preparation of it, under the name of another.

    A spec may come from a record whose data this machine does not have.
    """
    if spec.fingerprint != dataset.fingerprint:
        raise SeqattnError(
            f"the run wanted is of {spec.dataset} with fingerprint {spec.fingerprint[:12]}, and "
            f"{dataset.name} here has {dataset.fingerprint[:12]}: another file, or prepared in "
            "another way; get the file that the record was made of, or write a record of this one "
            f"by `seqattn prepare {dataset.name} -o FOLDER`"
        )


def _made_by(spec: RunSpec, device: str) -> dict[str, str]:
    """Return what must be the same for a fit's rest to have the bits of a whole one."""
    about = environment(device) | {"code": code_of(spec.model, spec.model_config)}
    del about["commit"]
    return about


def _fit_ours(
    dataset: Dataset,
    spec: RunSpec,
    device: str,
    report: Report | None,
    checkpoint: Checkpoint,
) -> Result:
    tell = report or (lambda line: None)
    with one_thread(device):
        fitted = fit(
            *(dataset, spec.model, spec.seed, spec.model_config, spec.train_config),
            device=device,
            on_epoch=lambda epoch: tell(_line(spec, epoch)),
            on_pretraining=lambda epoch: tell(
                f"{spec.model} seed {spec.seed} pre-training epoch {epoch['epoch']}: loss "
                f"{epoch['loss']:.3f}"
            ),
            keeper=checkpoint,
        )
    return _result(fitted, spec, device)


def _fit_recbole(
    store: Store, dataset: Dataset, spec: RecBoleSpec, report: Report | None
) -> Result:
    if spec != recbole_spec(dataset, spec.model, spec.seed):
        raise SeqattnError(
            f"{spec.model!r} is wanted with other settings, or another version of RecBole or of "
            "the data, than there are here"
        )
    searched, search_seed = None, spec.settings.get("search_seed", spec.seed)
    if spec.seed != search_seed:  # the grid is searched once, by the run of that seed
        searched = fit_run(store, dataset, replace(spec, seed=search_seed), report=report).facts
    with one_thread("cpu"):
        facts, ranks = _recbole().fit_baseline(dataset, spec.model, spec.seed, searched, report)
    return Result(facts, ranks, owners=dataset.split.owners())


def _result(fitted: Fit, spec: RunSpec, device: str, **more: object) -> Result:
    about = {"code": code_of(spec.model, spec.model_config), "environment": environment(device)}
    facts = {**fitted.facts(), **more, **about}
    weights = {name: value.cpu() for name, value in fitted.model.state_dict().items()}
    return Result(facts, fitted.ranks, weights, fitted.owners)


def fit_runs_stacked(
    store: Store,
    dataset: Dataset,
    specs: Sequence[RunSpec],
    *,
    device: str = "cuda",
    report: Report | None = None,
) -> list[Run]:
    """Fit several seeds of one configuration at once, and keep each as a run.

    Each run's facts name the seeds it was fitted with, under ``stacked_seeds``: with dropout, its
    bits are not those of a fit by itself. A seed is kept as soon as it has stopped, so those that
    are through outlive a process that is killed. Two processes may compute the same seeds; the
    first to finish is kept.

    Raises
    ------
    SeqattnError
        If the model can't be fitted on the dataset, see `seqattn.training.stacked.fit_stacked`, or
        it is another than the specs say.
    """
    by_seed = {spec.seed: spec for spec in specs}
    first = specs[0]
    for spec in specs:
        _require_data(dataset, spec)
    runs: dict[int, Run] = {}

    def keep(seed: int, fitted: Fit) -> None:
        spec = by_seed[seed]
        result = partial(_result, fitted, spec, device, stacked_seeds=list(by_seed))
        runs[seed] = store.compute(spec, result)
        Checkpoint(store.checkpoint(spec), {}).remove()  # of a fit alone that was interrupted

    with one_thread(device):
        fit_stacked(
            *(dataset, first.model, list(by_seed), first.model_config, first.train_config),
            device=device,
            on_epoch=lambda seed, epoch: report(_line(by_seed[seed], epoch)) if report else None,
            on_fit=keep,
        )
    return [runs[seed] for seed in by_seed]


def fit_runs(
    store: Store,
    dataset: Dataset,
    specs: Sequence[Fittable],
    *,
    device: str = "cpu",
    workers: int | None = None,
    progress: bool = True,
) -> list[Run]:
    """Return the runs of some specs of one dataset, fitting those the store lacks.

    A folder is read once: a run that was there when it is looked for, another when it is kept.

    Parameters
    ----------
    dataset : Dataset
        Must be one `load_dataset` can load again by its reference, in another process.
    specs : sequence of RunSpec or RecBoleSpec
        `seqattn.search.record.wanted_specs` names it by preset or design.
    device : str
        ``cpu`` or ``cuda``, for our models.
    workers : int, optional
        Fits side by side, each in a process of its own; by default one a core of the CPU. On a GPU
        the default is one stacked model of all seeds of a configuration that are missing, one
        configuration after another. RecBole's models count among them and stay on the CPU.
    progress : bool
        Whether to show a progress bar with loss, validation NDCG@10 and lambda.

    Raises
    ------
    SeqattnError
        If a model can't be fitted on the dataset, a run was fitted with other code of its model,
        there is no such device, or fewer than one worker. Finished runs stay in the store.
    """
    require_device(device)
    if workers is not None and workers < 1:
        raise SeqattnError(f"workers must be at least 1, not {workers}")
    kept = {spec: store.get(spec) for spec in specs}
    runs = {spec: run for spec, run in kept.items() if run}
    for run in runs.values():
        require_same_code(run)
    # The longest fits go first, so that no core is left with one at the end.
    missing = sorted((spec for spec in kept if spec not in runs), key=_epochs, reverse=True)
    _require_trainable(dataset, missing, device)
    with tqdm(total=len(missing), desc="fitting", unit="run", disable=not progress) as bar:
        if torch.device(device).type != "cpu" and workers is None:
            ours = [spec for spec in missing if isinstance(spec, RunSpec)]
            runs |= _fit_by_configuration(store, dataset, ours, device, bar)
            missing = [spec for spec in missing if not isinstance(spec, RunSpec)]
        workers = min(workers or cores(), len(missing))
        if not all(is_importable(spec.model) for spec in missing if isinstance(spec, RunSpec)):
            workers = 1  # other processes lack what this one named
        if workers > 1:
            runs |= _fit_in_processes(store, dataset, missing, device, workers, bar)
        else:
            for spec in missing:
                report = bar.set_postfix_str
                runs[spec] = fit_run(store, dataset, spec, device=device, report=report)
                bar.update()
    return [runs[spec] for spec in specs]


def _require_trainable(dataset: Dataset, specs: Iterable[Fittable], device: str) -> None:
    """Refuse a model before hours go into the fits of those before it."""
    on_cpu = torch.device(device).type == "cpu"  # a model for another device may not know this one
    ours = (spec for spec in specs if on_cpu and isinstance(spec, RunSpec))
    for spec in {replace(spec, seed=0): spec for spec in ours}.values():
        _require_data(dataset, spec)
        require_trainable(dataset, spec.model, spec.model_config, spec.train_config)


def _fit_by_configuration(
    store: Store, dataset: Dataset, specs: Sequence[RunSpec], device: str, bar: tqdm
) -> dict[Fittable, Run]:
    """Fit one configuration after another, the seeds of each at once."""
    runs: dict[Fittable, Run] = {}
    for config in dict.fromkeys(replace(spec, seed=0) for spec in specs):
        together = [spec for spec in specs if replace(spec, seed=0) == config]
        fits = _fit_on_gpu(store, dataset, together, device, bar.set_postfix_str)
        runs |= zip(together, fits, strict=True)
        bar.update(len(together))
    return runs


def _fit_on_gpu(
    store: Store, dataset: Dataset, specs: Sequence[RunSpec], device: str, report: Report
) -> list[Run]:
    """Fit the seeds of one configuration, together where they can be stacked."""
    first = specs[0]
    reason = why_one_by_one(first.model_config, first.train_config)
    if not reason and is_stackable(first.model):
        try:
            return fit_runs_stacked(store, dataset, specs, device=device, report=report)
        except RuntimeError as error:
            if "not have been used in the graph" in str(error):
                raise SeqattnError(
                    f"model {first.model!r}: no gradient reaches some of its parameters; fit it on "
                    "the CPU, which names them, and use them or leave them out"
                ) from error
            if "Batching rule" not in str(error):
                raise
            raise SeqattnError(
                f"seeds of {first.model!r} cannot be fitted as one model ({error}); say "
                "`stackable = False` in its class"
            ) from error
    return [fit_run(store, dataset, spec, device=device, report=report) for spec in specs]


def _epochs(spec: Fittable) -> int:
    """Return how many epochs a run may take, a search of RecBole's with all of its grid."""
    if isinstance(spec, RunSpec):
        return spec.train_config.epochs + spec.train_config.pretrain_epochs
    searching = spec.settings.get("search_seed") == spec.seed
    members = prod(map(len, spec.settings["grid"].values())) if searching else 1
    return members * spec.settings.get("max_epochs", 1)


def _fit_in_processes(
    store: Store,
    dataset: Dataset,
    specs: Iterable[Fittable],
    device: str,
    workers: int,
    bar: tqdm,
) -> dict[Fittable, Run]:
    # Spawn, not fork: forking a process whose OpenMP threads have run can hang.
    context = get_context("spawn")
    lines = context.Queue()
    # A worker that is ended while it writes a line keeps the queue's lock: nothing here may wait
    # for the queue without end, neither for the thread that reads it nor when this process ends.
    lines.cancel_join_thread()
    listener = threading.Thread(target=_listen, args=(lines, bar), daemon=True)
    listener.start()
    others = set(active_children())
    pool = ProcessPoolExecutor(workers, context, _start_worker, (lines,))
    try:
        with _interrupts_ignored():
            jobs = {
                pool.submit(_fit_in_worker, str(store.path), dataset.reference, spec, device): spec
                for spec in specs
            }
        runs = {}
        for job in as_completed(jobs):
            runs[jobs[job]] = job.result()
            bar.update()
        return runs
    except BaseException as error:
        # Whatever went wrong, Ctrl-C above all: nobody waits for fits that are under way.
        for worker in set(active_children()) - others:
            worker.terminate()
        if isinstance(error, BrokenProcessPool):
            raise SeqattnError(
                "a process that fitted a model was ended from outside, perhaps because memory ran "
                "out: fit fewer side by side, by `seqattn study --workers` or, on Linux, with "
                "`taskset` before any command. Finished runs are kept"
            ) from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        lines.put(None)
        listener.join(timeout=5)


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


_lines: Queue  # in a worker: where its progress goes


def _start_worker(lines: Queue) -> None:
    global _lines
    _lines = lines
    torch.set_num_threads(1)  # on a GPU as well: its neighbours need the other cores
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A killed parent cannot tell its workers, which would wait for more work for ever.
    if parent := parent_process():
        parent.join()
    os._exit(1)


def _fit_in_worker(results_dir: str, dataset: str, spec: Fittable, device: str) -> Run:
    return fit_run(Store(results_dir), _data(dataset), spec, device=device, report=_lines.put)


@lru_cache(maxsize=1)  # all fits of a worker are of one log
def _data(dataset: str) -> Dataset:
    return load_dataset(dataset)


def _listen(lines: Queue, bar: tqdm) -> None:
    for line in iter(lines.get, None):
        bar.set_postfix_str(line)


def _line(spec: RunSpec, epoch: Epoch) -> str:
    lambdas = ", ".join(f"{value:.2f}" for value in epoch.lambdas)
    return (
        f"{spec.model} seed {spec.seed} epoch {epoch.epoch}: loss {epoch.loss:.3f}, "
        f"NDCG@10 {epoch.valid_ndcg:.4f}" + (f", lambda {lambdas}" if lambdas else "")
    )
