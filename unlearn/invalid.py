"""Input that cannot be used: every problem of it is collected before any is raised."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from math import isfinite
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from unlearn.registry import arguments

if TYPE_CHECKING:
    import pandas as pd  # which half of the commands have no other use for

_SHOWN = 5


class InvalidInput(ValueError):
    """The input cannot be used; `problems` lists everything that the message does, with rows where there are any."""

    reads_as: ClassVar[str] = "ids"

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class Problems:
    """Problems of one input, in the order found; `raise_any` raises them together, as an `error`."""

    def __init__(self, source: str, error: type[InvalidInput]) -> None:
        self.source = source
        self.error = error
        self.found: list[str] = []

    def add(self, text: str) -> None:
        """A problem of the whole input: what was required, what came, the remedy."""
        self.found.append(text)

    def rows(self, bad: NDArray[np.bool_], index: pd.Index[Any], required: str, remedy: str) -> None:
        """A problem of some rows (mask [n] over `index`, whose labels and name say where); nothing when none is bad."""
        if not bad.any():
            return
        labels: list[Any] = index[bad].tolist()
        unit = index.name if isinstance(index.name, str) else "row"
        where = ", ".join(str(label) for label in labels[:_SHOWN]) + (", ..." if len(labels) > _SHOWN else "")
        self.found.append(f"{required} ({len(labels)} bad, {unit} {where}); {remedy}")

    def raise_any(self) -> None:
        """Raises: `error` listing all problems, when there are any."""
        if self.found:
            self.fail()

    def fail(self) -> NoReturn:
        """Raises: `error` listing all problems so far."""
        message = "\n  - ".join([f"{self.source} cannot be read as {self.error.reads_as}:", *self.found])
        raise self.error(message, self.found)


Rules = dict[str, tuple[str, bool]]
"""For each attribute what it must be, and whether it is."""


def require(holder: object, **rules: tuple[str, bool]) -> None:
    """Refuse hyper-parameters and options that are out of range, all at once.

    Args:
        holder: what has them as attributes; its `name`, or else its class's, is in the message.
        rules: for each attribute what it must be, and whether it is. None is needed for the field of a
            dataclass to be of its kind, nor in another class for what its constructor takes with a default and has set
            already: one of the values of a `Literal`, an integer for `int`, finite for `float`, and True or False for
            `bool` alone. A class is held to none if one of its types was imported for type checkers alone.

    Raises:
        ValueError: listing every attribute that is not as required, in the order of fields or arguments.
    """
    kind = type(holder)
    places, choices, kinds = _declared(kind)
    there = places if is_dataclass(kind) else vars(holder)
    choices, kinds = ({name: of[name] for name in of if name in there} for of in (choices, kinds))
    rules = {name: (_either(known), getattr(holder, name) in known) for name, known in choices.items()} | rules
    for name, (what, of_kind) in kinds.items():
        if name not in rules or rules[name][1]:  # else the rule says more
            rules[name] = what, of_kind(getattr(holder, name))
    called = getattr(holder, "name", kind.__name__)
    problems = [
        f"`{name}` must be {what} for `{called}` (got {_plain(getattr(holder, name))!r})"
        for name, (what, fine) in sorted(rules.items(), key=lambda rule: places.get(rule[0], len(places)))
        if not fine
    ]
    if problems:
        raise ValueError("\n".join(problems))


@functools.cache
def _declared(kind: type) -> tuple[Mapping[str, int], Mapping[str, tuple[Any, ...]], Mapping[str, _OfKind]]:
    """The places of what a class is made with, the values of each that is a `Literal`, what each other must be."""
    hints: dict[str, Any] = dict.fromkeys(f.name for f in fields(kind)) if is_dataclass(kind) else {}
    with suppress(NameError):
        every = get_type_hints(kind) if hints else {name: one.annotation for name, one in arguments(kind).items()}
        hints = {name: every[name] for name in hints or every}
    places = {name: place for place, name in enumerate(hints)}
    choices = {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}
    return places, choices, {name: _KINDS[hint] for name, hint in hints.items() if hint in _KINDS}


def _truth(value: object) -> bool:
    return isinstance(value, bool | np.bool_)


def _integer(value: object) -> bool:
    return isinstance(value, Integral) and not _truth(value)


def _finite(value: object) -> bool:
    return isinstance(value, Real) and not _truth(value) and isfinite(value)


_OfKind = tuple[str, Callable[[object], bool]]
_KINDS: dict[Any, _OfKind] = {
    bool: ("True or False", _truth),
    int: ("an integer", _integer),
    int | None: ("an integer or None", lambda value: value is None or _integer(value)),
    float: ("a finite number", _finite),
    float | None: ("a finite number or None", lambda value: value is None or _finite(value)),
}


def _either(values: Sequence[Any]) -> str:
    *others, last = (f'"{value}"' for value in values)
    return f"{', '.join(others)} or {last}" if others else last


def _plain(value: object) -> object:
    """Sets as lists, in an order that does not change from run to run."""
    return sorted(cast("frozenset[str]", value)) if isinstance(value, frozenset) else value
