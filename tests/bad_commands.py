"""What is brought to or asked of the other commands and cannot be used, as data.

Each case is tried on the command line by `test_bad_commands.py` in a folder that has the good log
of `bad_input` and two small runs: one line, exit code 2, and nothing is written.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml
from bad_input import GOOD, ROWS, TEXT

from seqattn.cli import main

USERS, ITEMS = (sorted({row[place] for row in ROWS}) for place in (0, 1))
Content = str | bytes | Callable[[Path], object]


@dataclass(frozen=True)
class Asked:
    """A command that cannot be carried out.

    Attributes
    ----------
    title : str
        What is wrong, in a few words.
    command : str
        The arguments, apart at blanks; ``{here}`` is the folder, ``{run}`` that of SASRec's run.
    says : tuple of str
        Parts of the message: the file, the row, the fix.
    files : dict
        What is brought: file names and contents, or what writes them, given their path.
    """

    title: str
    command: str
    says: tuple[str, ...]
    files: Mapping[str, Content] = field(default_factory=dict)

    def arguments(self, folder: Path) -> list[str]:
        """Write the files of the case into a folder of `prepared`; return the arguments."""
        for name, content in self.files.items():
            if callable(content):
                content(folder / name)
            else:
                (folder / name).write_bytes(
                    content.encode() if isinstance(content, str) else content
                )
        (run,) = (folder / "store").glob("*/sasrec/seed-1-*")
        return [word.format(here=folder, run=run) for word in self.command.split(" ")]


def prepared(folder: Path) -> None:
    """Write the good log, its YAML, and a store with a run of SASRec and one of Add."""
    (folder / "log.csv").write_text(TEXT)
    (folder / "mine.yaml").write_text(yaml.safe_dump(GOOD))
    for model in ("sasrec", "ia-add"):  # one by one: several would be fitted in other processes
        words = f"fit -d {folder}/mine.yaml -m {model} -s 1 --preset smoke".split()
        words += ["--results-dir", str(folder / "store")]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code = main(words)
        assert code == 0, f"exit code {code} of {words}"


def copied(folder: Path, new: Path) -> Path:
    """Return a copy of a folder of `prepared`."""
    shutil.copytree(folder, new)
    return new


def lists(*, header: str = "user,item,rank", k: int = 3, more: str = "") -> str:
    """Top lists of every user, and further lines; the first of them is line 20."""
    rows = [f"{u},{i},{r}\n" for u in USERS for r, i in enumerate(ITEMS[:k], start=1)]
    return f"{header}\n" + "".join(rows) + more


def scores(**changed: object) -> Callable[[Path], object]:
    """Return what writes all scores, with some arrays changed; None: left out."""
    good = {"users": USERS, "items": ITEMS, "scores": np.arange(36.0).reshape(6, 6)}
    told = {key: np.array(v) for key, v in {**good, **changed}.items() if v is not None}
    return lambda path: np.savez(path, **told)


def values(*rows: str, header: str = "user,value") -> str:
    """A file of per-user values."""
    return "".join(f"{row}\n" for row in (header, *rows))


def per_user(seeds: int = 1, step: float = 0.0, users: int = 6) -> str:
    """Values of some users and seeds, a column seed among them."""
    rows = [f"u{u},{s},{u / 10 + s / 7 + step}" for s in range(seeds) for u in range(users)]
    return values(*rows, header="user,seed,value")


_LISTS = "evaluate -d {here}/mine.yaml --name other --results-dir {here}/store --lists {here}/l.csv"
_SCORES = _LISTS.replace("--lists {here}/l.csv", "--scores {here}/s.npz")
_FILES = "compare {here}/a.csv {here}/b.csv"
_MODELS = "compare -d {here}/mine.yaml --preset smoke --results-dir {here}/store"
_RECOMMEND = "recommend -d {here}/mine.yaml --preset smoke -s 1 --results-dir {here}/store -m"
_ATTENTION = _RECOMMEND.replace("recommend", "attention", 1)


def _nan(path: Path) -> None:
    told = np.arange(36.0).reshape(6, 6)
    told[2, 3] = np.nan
    scores(scores=told)(path)


EVALUATE = [
    Asked(
        "A metric of a model that nobody evaluated",
        "metrics -d {here}/mine.yaml --preset smoke -m sasrec nobody -s 1 --results-dir "
        "{here}/store",
        ("'nobody'", "seqattn evaluate"),
    ),
    Asked("Lists that are not there", _LISTS, ("l.csv",)),
    Asked(
        "Lists without a column item",
        _LISTS,
        ("l.csv", "item"),
        {"l.csv": lists(header="user,film,rank")},
    ),
    Asked(
        "Lists with neither rank nor score",
        _LISTS,
        ("l.csv", "rank"),
        {"l.csv": lists(header="user,item,place")},
    ),
    Asked(
        "A list whose ranks start at 0",
        _LISTS,
        ("l.csv", "u0"),
        {"l.csv": lists().replace(",1\n", ",0\n").replace(",2\n", ",1\n").replace(",3\n", ",2\n")},
    ),
    Asked(
        "A list with one rank twice",
        _LISTS,
        ("l.csv", "u0"),
        {"l.csv": lists().replace("u0,i1,2", "u0,i1,1")},
    ),
    Asked(
        "A list with one item twice",
        _LISTS,
        ("l.csv", "u0"),
        {"l.csv": lists().replace("u0,i1,2", "u0,i0,2")},
    ),
    Asked(
        "An item that the dataset does not have",
        _LISTS,
        ("l.csv", "i99"),
        {"l.csv": lists().replace("u0,i1,2", "u0,i99,2")},
    ),
    Asked(
        "A user that the dataset does not have",
        _LISTS,
        ("l.csv", "u99"),
        {"l.csv": lists(more="u99,i1,1\n")},
    ),
    Asked(
        "Lists that lack a user",
        _LISTS,
        ("l.csv", "u5"),
        {
            "l.csv": "".join(
                line for line in lists().splitlines(keepends=True) if not line.startswith("u5")
            )
        },
    ),
    Asked(
        "A rank that is a word",
        _LISTS,
        ("l.csv",),
        {"l.csv": lists().replace("u0,i1,2", "u0,i1,second")},
    ),
    Asked("Lists without a row", _LISTS, ("l.csv",), {"l.csv": "user,item,rank\n"}),
    Asked("Scores that are no npz", _SCORES, ("s.npz",), {"s.npz": "user,item,score\n"}),
    Asked(
        "A kind said of scores, which have both",
        _SCORES + " --kind filtered",
        ("--kind goes with --lists",),
        {"s.npz": scores()},
    ),
    Asked(
        "Scores of a user that the dataset does not have",
        _SCORES,
        ("s.npz", "u99"),
        {"s.npz": scores(users=[*USERS, "u99"], scores=np.zeros((7, 6)))},
    ),
    Asked(
        "Lists with semicolons",
        _LISTS,
        ("l.csv", "';'", "with commas"),
        {"l.csv": lists().replace(",", ";")},
    ),
    Asked(
        "Lists without names of columns",
        _LISTS,
        ("l.csv", "first line should name"),
        {"l.csv": lists().partition("\n")[2]},
    ),
    Asked(
        "Lists in a spreadsheet",
        _LISTS.replace("l.csv", "l.xlsx"),
        ("l.xlsx", "is a spreadsheet", "save it as CSV"),
        {"l.xlsx": b"PK\x03\x04\x14\0\x06\0" + b"\x08\0" * 20},
    ),
    Asked("Scores without their items", _SCORES, ("s.npz", "items"), {"s.npz": scores(items=None)}),
    Asked(
        "Scores of another shape than users by items",
        _SCORES,
        ("s.npz", "scores"),
        {"s.npz": scores(scores=np.zeros((6, 5)))},
    ),
    Asked("A score that is no number", _SCORES, ("s.npz",), {"s.npz": _nan}),
    Asked(
        "Scores with an item twice",
        _SCORES,
        ("s.npz",),
        {"s.npz": scores(items=["i0", *ITEMS[:5]])},
    ),
    Asked(
        "Scores that lack a user",
        _SCORES,
        ("s.npz", "u5"),
        {"s.npz": scores(users=USERS[:5], scores=np.zeros((5, 6)))},
    ),
    Asked(
        "The name of a model that is ours",
        _LISTS.replace("other", "sasrec"),
        ("sasrec",),
        {"l.csv": lists()},
    ),
    Asked(
        "A name that would be a path",
        _LISTS.replace("other", "../other"),
        ("../other",),
        {"l.csv": lists()},
    ),
]

COMPARE = [
    Asked("A file that is not there", _FILES, ("a.csv",)),
    Asked(
        "Files without a column user",
        _FILES,
        ("a.csv", "user", "--by"),
        {"a.csv": values("u0,1", header="id,value"), "b.csv": per_user()},
    ),
    Asked(
        "Several columns of values, none named",
        _FILES,
        ("a.csv", "--column"),
        {"a.csv": values("u0,1,2", "u1,2,3", header="user,ndcg,recall"), "b.csv": per_user()},
    ),
    Asked(
        "A user twice in a file",
        _FILES,
        ("a.csv", "u0"),
        {"a.csv": values("u0,1", "u0,2", "u1,3"), "b.csv": values("u0,1", "u1,2")},
    ),
    Asked(
        "A value that is a word",
        _FILES,
        ("a.csv",),
        {"a.csv": values("u0,high", "u1,3"), "b.csv": values("u0,1", "u1,2")},
    ),
    Asked(
        "A value that is missing",
        _FILES,
        ("a.csv",),
        {"a.csv": values("u0,", "u1,3"), "b.csv": values("u0,1", "u1,2")},
    ),
    Asked(
        "No user in both files",
        _FILES,
        ("user",),
        {"a.csv": values("u0,1", "u1,2"), "b.csv": values("x0,1", "x1,2")},
    ),
    Asked("One user", _FILES, ("user",), {"a.csv": values("u0,1"), "b.csv": values("u0,2")}),
    Asked(
        "Seeds that no other file has",
        _FILES,
        ("seed",),
        {"a.csv": per_user(2), "b.csv": per_user(2).replace(",0,", ",8,").replace(",1,", ",9,")},
    ),
    Asked(
        "A seed with the values of another",
        _FILES,
        ("b.csv", "seeds 0 and 1", "copy"),
        {
            "a.csv": per_user(2, users=30),
            "b.csv": values(
                *(f"u{u},{s},{u / 9}" for s in (0, 1) for u in range(30)), header="user,seed,value"
            ),
        },
    ),
    Asked(
        "Values with tabs between them",
        _FILES,
        ("a.csv", "tabs", "with commas"),
        {"a.csv": per_user().replace(",", "\t"), "b.csv": per_user()},
    ),
    Asked(
        "A file without a row", _FILES, ("a.csv",), {"a.csv": "user,value\n", "b.csv": per_user()}
    ),
    Asked(
        "A seed given twice",
        _FILES + " -s 1 1",
        ("seed 1 is given twice",),
        {"a.csv": per_user(), "b.csv": per_user(step=0.1)},
    ),
    Asked(
        "A metric asked of files",
        _FILES + " --metric MRR@10",
        ("--metric",),
        {"a.csv": per_user(), "b.csv": per_user(step=0.1)},
    ),
    Asked(
        "Users who were asked for something else",
        _FILES + " --column value",
        ("user u0", "target i1 in", "target i2 in", "another split"),
        {
            "a.csv": values("u0,i1,1", "u1,i1,2", header="user,target,value"),
            "b.csv": values("u0,i2,1", "u1,i1,2", header="user,target,value"),
        },
    ),
    Asked(
        "One target of a user, and several",
        _FILES + " --column value",
        ("several targets of a user", "another split"),
        {
            "a.csv": values("u0,i1,1", "u1,i1,2", header="user,target,value"),
            "b.csv": values("u0,2,1", "u1,1,2", header="user,targets,value"),
        },
    ),
    Asked("Models without a dataset", "compare sasrec ia-add", ("-d",)),
    Asked("A metric that there is not", _MODELS + " sasrec ia-add -s 1 --metric AUC@10", ("AUC",)),
    Asked("A preset that there is not", _MODELS + " sasrec ia-add:best -s 1", ("best",)),
    Asked("A preset of RecBole's", _MODELS + " sasrec pop:smoke -s 1", ("pop:smoke", "no preset")),
    Asked("Another seed than a run's", _MODELS + " {run} sasrec -s 77", ("seed 1", "-s")),
]

TAKE = [
    Asked("An empty history", _RECOMMEND + " sasrec --history ", ("--history is empty",)),
    Asked(
        "A seed of a run",
        "recommend -m {run} -s 2 -d {here}/mine.yaml --history i1",
        ("--seed", "is one run", "leave it out"),
    ),
    Asked(
        "A preset of a run",
        "attention -m {run} --preset paper -d {here}/mine.yaml --history i1",
        ("--preset", "is one run", "leave it out"),
    ),
    Asked(
        "A blank intensity in a file of histories",
        _RECOMMEND + " ia-add --file {here}/h.csv",
        ("h.csv", "line 3", "'intensity'", "blank"),
        {"h.csv": "user,item,intensity\nu0,i1,3\nu0,i2,\n"},
    ),
    Asked(
        "A Parquet file that is none",
        _RECOMMEND + " sasrec --file {here}/h.parquet",
        ("h.parquet", "get it again"),
        {"h.parquet": "user,item\nu0,i1\n"},
    ),
    Asked(
        "A model that there is not",
        _RECOMMEND + " sasrek --user u0",
        ("'sasrek'", "ia-add", "seqattn fit"),
    ),
    Asked("A user that the dataset does not have", _RECOMMEND + " sasrec --user u99", ("u99",)),
    Asked(
        "An item that the dataset does not have", _RECOMMEND + " sasrec --history i1,i99", ("i99",)
    ),
    Asked(
        "Intensities of another number than items",
        _RECOMMEND + " ia-add --history i1,i2 --intensity 3",
        ("intensity",),
    ),
    Asked(
        "No intensity for a model that reads it",
        _RECOMMEND + " ia-add --history i1,i2",
        ("intensity", "ia-add"),
    ),
    Asked("A negative intensity", _RECOMMEND + " ia-add --history i1 --intensity=-3", ("-3",)),
    Asked(
        "An intensity that is a word",
        _RECOMMEND + " ia-add --history i1 --intensity much",
        ("much",),
    ),
    Asked(
        "A file of histories without a column item",
        _RECOMMEND + " sasrec --file {here}/h.csv",
        ("h.csv", "item"),
        {"h.csv": "user,film\nu0,i1\n"},
    ),
    Asked(
        "A file of histories with an unknown item",
        _RECOMMEND + " sasrec --file {here}/h.csv",
        ("h.csv", "i99"),
        {"h.csv": "user,item\nu0,i99\n"},
    ),
    Asked(
        "A file of histories without intensity",
        _RECOMMEND + " ia-add --file {here}/h.csv",
        ("h.csv", "intensity"),
        {"h.csv": "user,item\nu0,i1\n"},
    ),
    Asked("A folder that is no run", "export {here} --per-user {here}/out.csv", ("run",)),
    Asked(
        "Results in the place of the log",
        "export {run} -d {here}/mine.yaml --per-user {here}/log.csv",
        ("log.csv",),
    ),
    Asked(
        "Results in the place of a file of the run",
        "export {run} -d {here}/mine.yaml --per-user {run}/ranks.npz",
        ("ranks.npz",),
    ),
    Asked("Nothing to export", "export {run} -d {here}/mine.yaml", ("--per-user", "--model")),
    Asked(
        "A run of a log of one's own, without it", "export {run} --per-user {here}/out.csv", ("-d",)
    ),
    Asked(
        "A model into a folder that holds something else",
        "export {run} -d {here}/mine.yaml --model {here}",
        ("empty",),
    ),
    Asked(
        "Attention of a user that the dataset does not have",
        _ATTENTION + " sasrec --user u99",
        ("u99",),
    ),
    Asked(
        "Attention as a picture of no known kind",
        _ATTENTION + " sasrec --user u0 -o {here}/maps.doc",
        ("maps.doc", ".svg"),
    ),
]

# The same without a fault.
_BOTH = {"a.csv": per_user(), "b.csv": per_user(step=0.1)}
GOOD_COMMANDS = [
    Asked("lists", _LISTS, (), {"l.csv": lists()}),
    Asked("scores", _SCORES, (), {"s.npz": scores()}),
    Asked("values", _FILES, (), _BOTH),
    Asked("models", _MODELS + " sasrec ia-add -s 1", ()),
    Asked("user", _RECOMMEND + " sasrec --user u0", ()),
    Asked("history", _RECOMMEND + " ia-add --history i1,i2 --intensity 3,1", ()),
    Asked("file", _RECOMMEND + " sasrec --file {here}/h.csv", (), {"h.csv": "user,item\nu0,i1\n"}),
    Asked("export", "export {run} -d {here}/mine.yaml --per-user {here}/out.csv", ()),
    Asked("attention", _ATTENTION + " sasrec --user u0", ()),
]

SECTIONS = {
    "Scores and lists made elsewhere (`seqattn evaluate`)": EVALUATE,
    "Values to compare (`seqattn compare`)": COMPARE,
    "What is taken away (`seqattn recommend`, `export`, `attention`)": TAKE,
}
CASES = [case for cases in SECTIONS.values() for case in cases]
