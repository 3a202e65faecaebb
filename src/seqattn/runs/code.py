"""Is a kept run of the model as it is written now? An edited formula must not return old results.

A run's key has the model's name, not its code. So a run remembers a fingerprint of the code that
makes the model what it is, and is refused once that was edited: the model's own classes, those of
its injection, the numbers it is registered with, how intensity is normalised, the parts that its
configuration puts in the place of the usual ones, and every function and constant of its module and
of `seqattn.models` that these name. What all models share, the attention block and the training
loop, is left out, or a mere tidying there would refuse every run; `seqattn.studies.check` finds out
whether a run still comes out as it did.
"""

from __future__ import annotations

import ast
import copy
import inspect
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache, partial
from types import FunctionType, NoneType
from typing import Any, cast

import numpy as np
import torch

from seqattn.config import ModelConfig
from seqattn.errors import SeqattnError
from seqattn.files import checksum
from seqattn.models import MODELS, build_model, intensity
from seqattn.models.attention import Attention
from seqattn.models.backbone import Backbone
from seqattn.models.injection import Injection
from seqattn.models.kernels import Kernel
from seqattn.models.positions import Positions
from seqattn.runs.store import Run, RunSpec

# Fingerprints of another scheme say nothing: raise it when what they cover changes.
_SCHEME = "3-"
_SCHEME_OF_PARTS = "4-"  # the same with parts of a configuration, which 3 left out
_CONSTANTS = (bool, int, float, str, tuple, list, dict, set, frozenset, np.ndarray, torch.Tensor)
_SHARED_MODULE, _SHARED = "seqattn.models.attention", (Backbone, Injection)
_USUAL_PARTS = (Attention, Positions, Kernel, NoneType)


def code_of(model_name: str, config: ModelConfig | None = None) -> str:
    """Return a fingerprint of a model's own code, comments and docstrings left out.

    `model_name` is one in `seqattn.models.MODELS`. Its class may depend on its configuration, by
    default the usual one.
    """
    build = MODELS[model_name].build if model_name in MODELS else None  # a cell may name it anew
    return _code_of(model_name, build, config)


@lru_cache
def _code_of(model_name: str, build: object, config: ModelConfig | None) -> str:
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn
        model = build_model(model_name, 1, **asdict(config or ModelConfig()))
    parts: list[tuple[type, type]] = [(type(model), Backbone)]
    chosen: list[type] = [type(model.head)]
    for block in list(model.blocks)[:1]:
        attention = cast(Any, block).attention
        parts.append((type(attention.injection), Injection))
        chosen += map(type, (attention, attention.positions, attention.kernel))
    chosen = [part for part in chosen if part not in _USUAL_PARTS]
    roots: list[Any] = [c for own, base in parts for c in own.__mro__ if c not in base.__mro__]
    code: dict[str, str] = {}
    if model.needs_intensity:
        code["normalisation"] = written(cast(ast.AST, _bare(intensity)))
    for root in (*roots, *chosen):
        _cover(root, code)
    if isinstance(build, FunctionType) and not build.__module__.startswith("seqattn.models"):
        _cover(build, code)  # one's own
    code |= dict(_arguments(MODELS[model_name].build))
    return (_SCHEME_OF_PARTS if chosen else _SCHEME) + checksum(code)[:12]


def _arguments(build: Any, where: str = "argument") -> Iterator[tuple[str, str]]:
    """Yield the numbers and texts that a registered model is made with, by where they stand.

    Classes among the arguments of a `partial` are found in the model itself, or by their names.
    """
    if not isinstance(build, partial):
        return
    for name, value in (*enumerate(build.args), *build.keywords.items()):
        if isinstance(value, partial):
            yield from _arguments(value, f"{where} {name}")
        elif not isinstance(value, (type, FunctionType)):
            yield f"{where} {name}", _text(value)


def _text(value: Any) -> str:
    """Return a value as text; of arrays and tensors all numbers, and sets in order."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return repr(value.tolist())
    return repr(sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value)


def _cover(found: Any, code: dict[str, str]) -> None:
    """Add the source of a class or function, and of all of the project's that it names."""
    name = found.__qualname__
    if name in code:
        return
    tree = _bare(found)
    code[name] = _of_methods(found) if tree is None else written(tree)
    for used, value in _named(found, tree):
        if isinstance(value, (type, FunctionType)):
            _cover(value, code)
        else:
            code[used] = _text(value)


def _of_methods(found: Any) -> str:
    """Return the code of a class in a notebook's cell, of which its methods alone have a source."""
    own = {}
    for name, value in sorted(vars(found).items()):
        method = getattr(value, "fget", None) or getattr(value, "__func__", None) or value
        if isinstance(method, FunctionType) and (tree := _bare(method)) is not None:
            own[name] = written(tree)
        elif isinstance(value, _CONSTANTS) and not name.startswith("__"):
            own[name] = _text(value)
    return f"{found.__qualname__} {own}" if own else found.__qualname__


def written(tree: ast.AST) -> str:
    """Return a tree as source, the same on every Python.

    `ast.unparse` chooses other quotes for f-strings from Python 3.12 on. Kept runs remember what
    3.11 chose, so that is written here.
    """
    return ast.unparse(_FStrings().visit(copy.deepcopy(tree)))


class _FStrings(ast.NodeTransformer):
    """Puts the text of each f-string in its place."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.Name:
        inside = self._inside(node)
        quote = next(q for q in ("'", '"', '"""', "'''") if q not in inside)
        return ast.Name(f"f{quote}{inside}{quote}")

    def _inside(self, node: ast.JoinedStr) -> str:
        return "".join(self._part(cast(Any, value)) for value in node.values)

    def _part(self, value: Any) -> str:
        if isinstance(value, ast.Constant):
            text = cast(str, value.value).replace("{", "{{").replace("}", "}}")
            plain = (c if c != "\\" and c.isprintable() else _escaped(c) for c in text)
            return "".join(plain)
        inner = ast.unparse(self.visit(value.value))
        if isinstance(value.value, (ast.IfExp, ast.Lambda)):
            inner = f"({inner})"
        conversion = f"!{chr(value.conversion)}" if value.conversion != -1 else ""
        form = f":{self._inside(value.format_spec)}" if value.format_spec else ""
        return f"{{{' ' * inner.startswith('{')}{inner}{conversion}{form}}}"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _named(found: Any, tree: ast.AST | None) -> Iterator[tuple[str, Any]]:
    """Yield the classes, functions and constants of the project that a piece of code names."""
    module = sys.modules.get(found.__module__)
    for node in ast.walk(tree) if tree else ():
        if not isinstance(node, ast.Name):
            continue
        value = getattr(module, node.id, None)
        if isinstance(value, (type, FunctionType)):
            home = value.__module__
            own = home.startswith(("seqattn.models", found.__module__))
            if own and home != _SHARED_MODULE and value not in _SHARED:
                yield node.id, value
        elif isinstance(value, _CONSTANTS) and value is not MODELS:  # its text holds addresses
            yield node.id, value


def _bare(found: Any) -> ast.AST | None:
    """Return the source of a class, function or module without comments, docstrings, layout."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(found)))
    except (OSError, TypeError, SyntaxError):  # written in a session that keeps no source
        return None
    if isinstance(found, type) and [getattr(n, "name", "") for n in tree.body] != [found.__name__]:
        return None  # from 3.13 on, lines of the program that runs the session
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def require_same_code(run: Run) -> None:
    """Refuse a run that was fitted with other code of its model.

    Raises
    ------
    SeqattnError
        Runs that remember no fingerprint of this scheme, those of earlier versions, pass.
    """
    if not isinstance(run.spec, RunSpec) or not (kept := run.facts.get("code")):
        return
    now = code_of(run.model, run.spec.model_config)
    if kept != now and kept.startswith(now[: len(_SCHEME)]):
        raise SeqattnError(
            f"{run.folder} was fitted with other code of {run.model!r} than there is now: remove "
            "it to fit it again, choose another results folder, or give the new code a name of its "
            "own in seqattn.models.MODELS"
        )
