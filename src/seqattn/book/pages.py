"""The studies' pages: their notebooks, run on the tables that are kept."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from seqattn.book.execution import execute, side_by_side, write_notebook
from seqattn.errors import SeqattnError
from seqattn.files import ROOT, checksum, write_text
from seqattn.studies import plan
from seqattn.studies import study as yamls
from seqattn.studies.placebo import placebos_of
from seqattn.studies.study import Study, names, read_study
from seqattn.studies.tables import TABLES

if TYPE_CHECKING:
    from jupyter_client import AsyncKernelManager

STUDIES = ROOT / "book" / "studies"


def make_study(
    study: Study, *, missing: bool = True, device: str = "cpu", workers: int | None = None
) -> list[Path]:
    """Fit what a study lacks, write its tables, run its notebook; return what was written.

    Parameters
    ----------
    study : Study
        See `seqattn.studies.study.read_study`.
    missing : bool
        Whether to fit what is missing; tables hold what there is.
    device : str
        ``cpu`` or ``cuda``.
    workers : int, optional
        Fits side by side, see `seqattn.runs.fitting.fit_runs`.

    Raises
    ------
    SeqattnError
        As `require_makeable`; or if a model can't be fitted, a table would lose rows that are kept,
        or nothing can be written. Finished runs stay in the store.
    """
    require_makeable(study)
    if not study.notebook.exists():
        raise SeqattnError(f"study {study.name}: {study.notebook} is missing; write its notebook")
    groups = plan.read(plan.wanted(study), *study.stores)
    if missing and plan.fit_missing(study, groups, device=device, workers=workers):
        groups = plan.read(groups, *study.stores)
    tables = {name: TABLES[name](study, groups) for name in study.tables}
    for name, table in tables.items():
        _require_no_loss(study, name, len(table))
    written = [
        write_text(study.path(name), table.to_csv(index=False)) for name, table in tables.items()
    ]
    return [*written, study_page(study)]


def require_makeable(study: Study) -> None:
    """Refuse, before anything is fitted, a study that could not be finished.

    Raises
    ------
    SeqattnError
        If it asks for a table that nothing makes, or an arm is no placebo of what its name says.
    """
    if strange := sorted(set(study.tables) - set(TABLES)):
        raise SeqattnError(
            f"study {study.name}: no table {strange[0]!r}; there are: {', '.join(TABLES)}"
        )
    if "over_placebo" in study.tables:
        placebos_of(study)


def _require_no_loss(study: Study, name: str, n_rows: int) -> None:
    kept = len(study.kept(name))
    if n_rows < kept:
        raise SeqattnError(
            f"{study.path(name)} has {kept} rows, and the runs in {study.results} give {n_rows}: "
            f"`seqattn study {study.name} --plan` says which are missing. Bring them there "
            "(`seqattn collect`); or remove the file, if the study asks for less than it did"
        )


def study_page(study: Study) -> Path:
    """Run a study's notebook from the tables that are kept, into ``book/studies``.

    Code that shows nothing, such as imports and what glues numbers, is folded on the page.

    Raises
    ------
    SeqattnError
        If a cell raises, or nothing can be written.
    """
    return _study_page(study, _made_from(study, _read_by_pages()))


def _study_page(study: Study, made_from: str, kernel: AsyncKernelManager | None = None) -> Path:
    output = STUDIES / study.notebook.name
    notebook = execute(study.notebook, output, {}, kernel)
    for cell in notebook.cells:
        if cell.cell_type == "code":  # who reads what came out may unfold it
            cell.metadata.setdefault("tags", []).append("hide-input")
    notebook.metadata["seqattn"] = {"made_from": made_from}
    write_notebook(notebook, output)
    return output


def study_pages() -> list[Path]:
    """Run the notebooks of all studies whose tables are kept, with one kernel a core.

    A page stays as it is where nothing that it may show has changed, see `_read_by_pages`.

    Raises
    ------
    SeqattnError
        If one of them stops, or nothing can be written.
    """
    studies = [read_study(name) for name in names()]
    ready = [s for s in studies if all(s.path(t).exists() for t in s.tables)]
    files = _read_by_pages()
    wanted = [(study, _made_from(study, files)) for study in ready]
    old = [pair for pair in wanted if _made_page_from(pair[0]) != pair[1]]
    side_by_side(lambda pair, kernel: _study_page(*pair, kernel), old)
    return [STUDIES / study.notebook.name for study in ready]


def _made_from(study: Study, files: str) -> str:
    return checksum({"template": study.notebook.read_text(encoding="utf-8"), "files": files})


def _made_page_from(study: Study) -> str:
    try:
        page = json.loads((STUDIES / study.notebook.name).read_text(encoding="utf-8"))
        return page["metadata"]["seqattn"]["made_from"]
    except (OSError, ValueError, KeyError, TypeError):
        return "nothing that is known"


def _read_by_pages() -> str:
    """Return a checksum of all that any study's page may read beside its own notebook.

    That is the studies' YAML files, everything under ``results`` but the ranks of runs (whose
    records hold the checksums of theirs), benchmarks' results, this package, the pinned versions
    and Python's.
    """
    read = {
        yamls.FOLDER: ["*.yaml"],
        ROOT / "results": ["**/*.csv", "**/*.json"],
        ROOT / "benchmarks" / "results": ["*.json"],
        Path(__file__).parents[1]: ["**/*.py", "**/*.yaml", "**/*.mplstyle"],
        ROOT: ["constraints.txt"],
    }
    paths = {p for folder, patterns in read.items() for each in patterns for p in folder.glob(each)}
    files = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    return checksum(files | {"python": sys.version})
