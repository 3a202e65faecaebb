"""Notebooks executed by papermill: one template, or several beside each other."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from seqattn.errors import SeqattnError
from seqattn.files import make_folder, write_text
from seqattn.training.device import cores

if TYPE_CHECKING:
    import nbformat
    from jupyter_client import AsyncKernelManager


T = TypeVar("T")


def execute(
    template: Path,
    output: Path,
    parameters: Mapping[str, Any],
    kernel: AsyncKernelManager | None = None,
) -> nbformat.NotebookNode:
    """Run a notebook's template with papermill and return what came out; `output` is not written.

    A failed run leaves what it had beside the output, as ``<name>.failed.ipynb``, to look at. The
    `kernel` goes on after the notebook; by default there is one for this notebook alone.

    Raises
    ------
    SeqattnError
        If a cell raises, the text asks for a number that no cell glues, or nothing can be written.
    """
    import nbformat
    import papermill

    make_folder(output.parent)
    failed = output.with_suffix(".failed.ipynb")
    partial = output.with_suffix(f".{os.getpid()}.failed.ipynb")  # another process may run it, too
    try:
        papermill.execute_notebook(
            *(str(template), str(partial), dict(parameters)),
            # This environment's kernel, whatever kernel the notebook was last saved with.
            kernel_name="python3",
            language="python",
            cwd=str(template.parent),
            km=kernel,
        )
    except papermill.PapermillExecutionError as error:
        partial.replace(failed)
        raise SeqattnError(
            f"notebook {template.stem} stopped with {error.ename}: {error.evalue}. "
            f"{failed} shows where"
        ) from error
    notebook = nbformat.read(partial, as_version=4)
    wrong = [
        f"asks for {name!r}, which no cell glues; add it to a call of book.glue"
        for name in unglued(notebook)
    ]
    wrong += [f"may ask for {name!r}, which is glued twice; rename one" for name in twice(notebook)]
    if wrong:
        partial.replace(failed)
        raise SeqattnError(
            f"notebook {template.stem}: its text {wrong[0]}. {failed} shows what was glued"
        )
    for old in (partial, failed):
        old.unlink(missing_ok=True)
    return notebook


_GLUED = re.compile(r"\{glue:\w+\}`([^`:]+)(?::[^:`][^`]*)?`")


def unglued(notebook: nbformat.NotebookNode) -> list[str]:
    """Return the names that an executed notebook's text asks for and no cell has glued."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    asked = dict.fromkeys(name for text in texts for name in _GLUED.findall(text))
    return [name for name in asked if name not in _glued(notebook)]


def twice(notebook: nbformat.NotebookNode) -> list[str]:
    """Return the names that an executed notebook glues more than once: a text would get one."""
    return [name for name, times in Counter(_glued(notebook)).items() if times > 1]


def _glued(notebook: nbformat.NotebookNode) -> list[str]:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    kept = [output.get("metadata", {}).get("scrapbook") for output in outputs]
    return [one["name"] for one in kept if one]


def write_notebook(notebook: nbformat.NotebookNode, output: Path) -> None:
    """Write an executed notebook whole or not at all."""
    import nbformat

    write_text(output, nbformat.writes(notebook) + "\n")


def side_by_side(run: Callable[[T, AsyncKernelManager], object], jobs: Iterable[T]) -> None:
    """Run notebooks with one kernel a core, each in turn by the kernel that is free."""
    # A notebook runs in its own folder, and papermill takes this process along: what is named from
    # here must be found from there.
    for name in ("SEQATTN_DATA", "SEQATTN_CACHE", "SEQATTN_RESULTS"):
        if value := os.environ.get(name):
            os.environ[name] = str(Path(value).expanduser().resolve())
    waiting = iter(list(jobs))  # threads take from it one by one

    def work(_: int) -> None:
        with kernel_for_several() as kernel:
            for job in waiting:
                run(job, kernel)
                forget(kernel)

    n = cores()
    with ThreadPoolExecutor(n) as pool:
        list(pool.map(work, range(n)))


@contextmanager
def kernel_for_several() -> Iterator[AsyncKernelManager]:
    """Keep a kernel for notebooks that run one after another: starting one takes most of a page.

    It computes on one thread, unless ``OMP_NUM_THREADS`` says otherwise: with a kernel on every
    core, more threads wait for each other.
    """
    from jupyter_client import AsyncKernelManager
    from jupyter_core.utils import run_sync

    kernel = AsyncKernelManager(kernel_name="python3")  # starts with the first notebook
    if spec := kernel.kernel_spec:
        spec.env["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "1")
    try:
        yield kernel
    finally:
        if kernel.has_kernel:
            run_sync(kernel.shutdown_kernel)(now=True)


def forget(kernel: AsyncKernelManager) -> None:
    """Leave the next notebook no name, figure or setting of the last one."""
    if not kernel.has_kernel:
        return
    import nbclient
    import nbformat

    cell = nbformat.v4.new_code_cell(
        "import matplotlib.pyplot as plt, pandas as pd, torch\n"
        "plt.close('all'), plt.rcdefaults(), pd.reset_option('all', silent=True)\n"
        "torch.set_grad_enabled(True), torch.manual_seed(0)\n"
        "%reset -f\n"
        "get_ipython().execution_count = 1"
    )
    nbclient.NotebookClient(nbformat.v4.new_notebook(cells=[cell]), km=kernel).execute()
