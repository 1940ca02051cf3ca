"""What is to be forgotten: pure data, no knowledge of models."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import compress
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

Id = int | str
Pair = tuple[Id, Id]
_SHOWN = 10  # values in a message


class UnknownIds(KeyError):
    """A request names what the data does not hold: it never did, or it is forgotten already."""

    def __str__(self) -> str:
        # KeyError prints the repr of its argument, which turns a message of several lines into one escaped line.
        return str(self.args[0]) if self.args else ""


def _order(value: object) -> tuple[str, object]:
    """Sort key that puts integers and strings of one collection into one total order."""
    if isinstance(value, tuple):
        return ("pair", tuple(_order(part) for part in value))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return (type(value).__name__, value)


def _plain(value: object) -> object:
    """NumPy scalars and tensors of one number become Python ones: equal ids are equal whatever array they came from."""
    item = getattr(value, "item", None)
    return item() if callable(item) and not getattr(value, "ndim", 0) else value


def _is_id(value: object) -> bool:
    # A bool is an int to Python: a mask over all records would pass for records 0 and 1.
    return isinstance(value, int | str) and not isinstance(value, bool)


def _pair(value: object) -> object:
    # A string is iterable too, but never meant as the pair of its letters; what is no pair is reported later.
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value
    return tuple(_plain(part) for part in cast("Iterable[object]", value))


def _is_collection(values: object) -> bool:
    # The letters of a text would pass for ids, and so would the numbers that bytes are.
    return isinstance(values, Iterable) and not isinstance(values, str | bytes)


@dataclass(frozen=True, slots=True, repr=False, init=False)
class ForgetSet:
    """Users, items, interactions (user, item), ties (user, user) and records to forget.

    Ids are the caller's own; `records` are indices, for models whose units have no ids. Any collection will do, of
    NumPy, pandas and torch too; every field is brought into canonical order without duplicates, so equal requests are
    equal, hash alike and share a digest. Forgetting a user means all its interactions and ties, its row and everything
    derived from it.

    Raises:
        ValueError: an id is neither an int nor a str, a pair has not two members, a record is negative.
    """

    users: tuple[Id, ...] = ()
    items: tuple[Id, ...] = ()
    interactions: tuple[Pair, ...] = ()
    ties: tuple[Pair, ...] = ()
    records: tuple[int, ...] = ()

    def __init__(
        self,
        users: Iterable[Id] = (),
        items: Iterable[Id] = (),
        interactions: Iterable[Pair] = (),
        ties: Iterable[Pair] = (),
        records: Iterable[int] = (),
    ) -> None:
        given: dict[str, Any] = {
            "users": users,
            "items": items,
            "interactions": interactions,
            "ties": ties,
            "records": records,
        }
        if alone := {name: value for name, value in given.items() if not _is_collection(value)}:
            lines = (f"`{k}` must be a collection for `ForgetSet` (got {type(v).__name__})" for k, v in alone.items())
            raise ValueError("\n".join(lines))
        plain: dict[str, list[Any]] = {
            name: [(_pair if name in ("interactions", "ties") else _plain)(value) for value in values]
            for name, values in given.items()
        }
        problems = [
            f"`{name}` must hold ints or strs (got {type(value).__name__} {value!r})"
            for name in ("users", "items")
            for value in plain[name]
            if not _is_id(value)
        ]
        problems += [
            f"`{name}` must hold pairs of ints or strs (got {pair!r})"
            for name in ("interactions", "ties")
            for pair in plain[name]
            if not isinstance(pair, tuple) or len(pair) != 2 or not all(_is_id(part) for part in pair)
        ]
        problems += [
            f"`records` must hold indices of at least 0 (got {record!r})"
            for record in plain["records"]
            if not _is_id(record) or isinstance(record, str) or record < 0
        ]
        if problems:
            raise ValueError("This forget set cannot be read:\n  " + "\n  ".join(dict.fromkeys(problems)))
        for name, values in plain.items():
            object.__setattr__(self, name, tuple(sorted(set(values), key=_order)))

    def __or__(self, other: ForgetSet) -> ForgetSet:
        return ForgetSet(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(ForgetSet)})

    def __bool__(self) -> bool:
        return any(self.counts().values())

    def __repr__(self) -> str:
        """Counts only: a forget set must be safe to log."""
        return "ForgetSet(" + ", ".join(f"{n} {name}" for name, n in self.counts().items() if n) + ")"

    def counts(self) -> dict[str, int]:
        return {f.name: len(getattr(self, f.name)) for f in fields(self)}

    def known(self, holds: str, unknown: Literal["raise", "skip"], **there: NDArray[np.bool_]) -> ForgetSet:
        """What of it is there, by a mask for each kind of data that there can be; `holds` says in words which.

        Raises:
            UnknownIds: listing everything that is not there, under "raise".
        """
        masks = {name: there.get(name, np.zeros(count, dtype=np.bool_)) for name, count in self.counts().items()}
        if all(mask.all() for mask in masks.values()):
            return self  # to bring many pairs into canonical order once more costs more than to delete them
        if unknown == "raise":
            lines = ["a forget set must name only what the data holds; unknown or already forgotten here:"]
            for name, mask in masks.items():
                if missing := list(compress(getattr(self, name), ~mask)):
                    why = "" if name in there else f" ({holds} only)"
                    lines.append(f"  - {len(missing)} of {len(mask)} {name}: {few(missing)}{why}")
            remedy = 'Correct it, or pass unknown="skip" (`--unknown skip` of a command) to forget the rest.'
            raise UnknownIds("\n".join([*lines, remedy]))
        kept: dict[str, Any] = {name: compress(getattr(self, name), mask) for name, mask in masks.items()}
        return ForgetSet(**kept)

    def digest(self, key: bytes) -> str:
        """Keyed digest (HMAC-SHA256, hex): names the request in logs without revealing whom it is about.

        Raises:
            ValueError: the key is empty.
        """
        if not key:
            raise ValueError("`key` must not be empty for `ForgetSet.digest`: an unkeyed hash of an id can be reversed")
        text = json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=True)
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def few(values: Sequence[object]) -> str:
    """The first values for a message, with dots where there are more."""
    return ", ".join(repr(_plain(value)) for value in values[:_SHOWN]) + (", ..." if len(values) > _SHOWN else "")
