"""Is a kept cell of the model as it is written now? An edited formula must not return old results.

A cell's key has the model's name, not its code. So a cell remembers a fingerprint of the classes
that make the model what it is, and is refused once they were edited.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import lru_cache

from seqattn.errors import SeqattnError
from seqattn.files import checksum
from seqattn.models import build_model
from seqattn.models.backbone import Backbone
from seqattn.models.injection import Injection
from seqattn.store import Cell


@lru_cache
def code_of(model_name: str) -> str:
    """Return a fingerprint of a model's own classes, comments and docstrings left out.

    Parameters
    ----------
    model_name : str
        A name in `seqattn.models.MODELS`.
    """
    model = build_model(model_name, 1)
    parts = ((type(model), Backbone), (type(model.blocks[0].attention.injection), Injection))
    classes = [cls for own, base in parts for cls in own.__mro__ if cls not in base.__mro__]
    return checksum({"code": [_bare(cls) for cls in classes]})[:12]


def _bare(cls: type) -> str:
    """Return a class's source without comments, docstrings and layout."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError):  # written in a session that keeps no source
        return cls.__qualname__
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.ClassDef, ast.FunctionDef))
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def require_same_code(cell: Cell) -> None:
    """Refuse a cell that was fitted with other code of its model.

    Raises
    ------
    SeqattnError
        Cells that remember no code, those of earlier versions, pass.
    """
    kept = cell.facts.get("code")
    if kept is not None and kept != code_of(cell.model):
        raise SeqattnError(
            f"{cell.folder} was fitted with other code of {cell.model!r} than there is now: remove "
            "it to fit it again, choose another results folder, or give the new code a name of its "
            "own in seqattn.models.MODELS"
        )
