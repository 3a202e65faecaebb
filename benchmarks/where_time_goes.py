"""Where the time of a training step goes, by kind of work.

torch.profiler over some steps of the configuration of `benchmarks.training`, in windows with the
default stride and under a sliding window. Every operation counts with its own time, without that
of the operations it calls, so the shares add up. The profiler itself slows small operations down,
hence shares and not seconds; the time of a step is measured without it.

    python -m benchmarks.where_time_goes
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from statistics import median
from unittest.mock import patch

from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks import steps
from benchmarks.common import finish, interleave
from benchmarks.training import MODEL, SLIDING, TRAIN, WHOLE, all_of_ml_100k
from seqattn.config import ModelConfig, TrainConfig
from seqattn.models import attention

STEPS = 20
DENSE, WHOLE_WAY = "stride 10", "sliding window"
WAYS = {DENSE: (MODEL, TRAIN), WHOLE_WAY: (SLIDING, WHOLE)}
BATCH, DROPOUT, STEP = "cutting batches", "dropout", "the step"
REST = "autograd, dispatch, Python"
PRODUCTS = "matrix products"
# What counts wherever it is called from, then what counts with all it calls, then the rest by the
# innermost operation that has a name here.
BY_ITSELF = {
    PRODUCTS: r"aten::(mm|addmm|addmm_)$",
    "attention: products and softmax": r"aten::(bmm|baddbmm|_softmax|_softmax_backward_data)$",
}
WITH_ALL_IT_CALLS = {
    BATCH: rf"{BATCH}$",
    DROPOUT: rf"({DROPOUT}|.*evaluate_function: MulBackward0)$",
    "optimiser": r"Optimizer\.",
    "loss, element by element": r"TiedCrossEntropy",
}
INNERMOST = {
    "LayerNorm": r"aten::native_layer_norm",
    "GELU": r"aten::gelu",
    "embeddings and indexing": r"aten::(embedding|index|_index_put|index_put|nonzero)",
    "copies and fills": r"aten::(copy_|cat|clone|fill_|zero_|masked_fill)",
    "sums and residuals": r"aten::(add|add_|sum|div|div_|mul|mul_)$",
}


def kind(event: FunctionEvent) -> str:
    """Return what kind of work an operation is."""
    chain = [event.name]
    while event.cpu_parent is not None:
        event = event.cpu_parent
        chain.append(event.name)
    for names, kinds in ((chain[:1], BY_ITSELF), (chain, WITH_ALL_IT_CALLS), (chain, INNERMOST)):
        for called in names:
            for name, pattern in kinds.items():
                if re.match(pattern, called):
                    return name
    return REST


def labelled(epoch: Callable) -> Iterator:
    """Yield endless batches, the cutting of each under a label."""
    source = _endless(epoch)
    while True:
        with record_function(BATCH):
            parts = next(source)
        yield parts


def labelled_dropout(*arguments: object) -> object:
    """Drop out under a label."""
    with record_function(DROPOUT):
        return _dropout(*arguments)


_dropout, _endless = attention.dropout, steps.endless


def shares(work: Callable[[], float]) -> Counter[str]:
    """Return each kind's share of the time of `work`."""
    with (
        patch.object(attention, "dropout", labelled_dropout),
        profile(activities=[ProfilerActivity.CPU]) as profiler,
        record_function(STEP),
    ):
        work()
    total: Counter[str] = Counter()
    for event in profiler.events():
        total[kind(event)] += event.self_cpu_time_total
    whole = total.total()
    return Counter({name: time / whole for name, time in total.items()})


def main() -> None:
    """Measure and report."""
    dataset = all_of_ml_100k()

    def counted(model: ModelConfig, train: TrainConfig) -> Callable[[], float]:
        work = steps.training_steps(dataset, STEPS, model=model, train=train)
        return lambda: STEPS * (work() > 0)

    rates = interleave({name: counted(*mode) for name, mode in WAYS.items()}, rounds=3)
    step_ms = {name: 1000 / median(values) for name, values in rates.items()}
    found = {}
    for name, (model, train) in WAYS.items():
        with patch.object(steps, "endless", labelled):
            work = steps.training_steps(dataset, STEPS, model=model, train=train)
        work()  # the first call also cuts the epoch's windows
        found[name] = shares(work)
    usual, sliding = found.values()
    rows = [
        {
            "work": kind,
            "share": share,
            "ms/step": share * step_ms[DENSE],
            f"share, {WHOLE_WAY}": sliding[kind],
            f"ms/step, {WHOLE_WAY}": sliding[kind] * step_ms[WHOLE_WAY],
        }
        for kind, share in usual.most_common()
    ]
    summary = {"step_ms": step_ms[DENSE], "matrix_products_share": usual[PRODUCTS]}
    summary |= {"sliding_step_ms": step_ms[WHOLE_WAY]}
    summary |= {"sliding_matrix_products_share": sliding[PRODUCTS]}
    finish("where_time_goes", rows, summary)


if __name__ == "__main__":
    main()
