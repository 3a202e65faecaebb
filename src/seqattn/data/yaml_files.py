"""YAML files read strictly: no key twice, none unknown, no value of another type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

import yaml

from seqattn.config import strict
from seqattn.errors import SeqattnError
from seqattn.files import require_file

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
_LARGEST_YAML = 2**20  # bytes
_MOST_REFERENCES = 20
_OTHERS = {str: "a word or ", list: "a list or "}  # than a section, where it may be one of them


class _EachKeyOnce(yaml.SafeLoader):
    """Plain YAML, but dates are text, and a key given twice is an error; PyYAML takes the last.

    Only some references to other parts (``*name``) are read: many of them, each to a part that has
    others, stand for gigabytes.
    """

    references = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next part of the file, or refuse it if it is one reference too many."""
        self.references += self.check_event(yaml.AliasEvent)
        if self.references > _MOST_REFERENCES:
            told = "too many references such as *name; write the values out"
            raise yaml.composer.ComposerError(
                problem=told, problem_mark=self.peek_event().start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Build a mapping, or name the first key that comes a second time."""
        keys = [key.value for key, _ in node.value]
        for number, (key, _) in enumerate(node.value):
            if key.value in keys[:number]:
                told = f"key {key.value!r} is given twice"
                raise yaml.constructor.ConstructorError(problem=told, problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


yaml.add_constructor(
    "tag:yaml.org,2002:timestamp", lambda loader, node: node.value, Loader=_EachKeyOnce
)


def load_yaml(path: Path) -> Any:
    """Return what a YAML file holds; a key given twice is refused.

    Raises
    ------
    SeqattnError
        The file is absent, may not be read, is too large or no YAML.
    """
    require_file(path, "give the path of one that is there")  # a pipe would be waited for
    try:
        if path.stat().st_size > _LARGEST_YAML:
            raise SeqattnError(f"{path}: over a megabyte, so none of our YAML files")
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_EachKeyOnce)
    except RecursionError:
        raise SeqattnError(f"{path}: nested too deeply") from None
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        told = " ".join(str(error).split()).replace(' in "<unicode string>"', "")
        raise SeqattnError(f"{path}: cannot be read as YAML ({told})") from error


def section(cls: type[T], values: Any, name: str, other: str = "") -> T:
    """Build a section of a YAML file as a dataclass, and the dataclasses among its fields.

    `other` is what a message says may stand there instead, such as "a word or ". What a class calls
    `instead` ends the message of a section that is none.

    Raises
    ------
    SeqattnError
        A key is unknown, missing or of the wrong type; the message names `name` and the key. A
        section inside the whole, whose name starts with "the", is called by its key alone.
    """
    if not isinstance(values, Mapping):
        told = f"{name} must be {other}a mapping of keys to values, not {values!r}"
        raise SeqattnError(told + getattr(cls, "instead", ""))
    inside, hints = "" if name.startswith("the ") else f"{name}: ", get_type_hints(cls)
    built = dict(values)
    for key, value in values.items():
        hint = hints.get(key)
        kinds = [kind for kind in get_args(hint) or (hint,) if isinstance(kind, type)]
        inner = next(filter(is_dataclass, kinds), None)
        if inner and not isinstance(value, tuple(kind for kind in kinds if kind is not inner)):
            words = "".join(word for kind, word in _OTHERS.items() if kind in kinds)
            built[key] = section(inner, value, f"{inside}{key}", words)
    try:
        return strict(cls, built)
    except TypeError:
        needed = [n for n, p in signature(cls).parameters.items() if p.default is p.empty]
        missing = next(key for key in needed if key not in values)
        raise SeqattnError(f"{name}: key {missing!r} is missing; add it") from None
    except SeqattnError as error:
        raise SeqattnError(f"{name}: {str(error).replace(cls.__name__ + ' ', '', 1)}") from None
