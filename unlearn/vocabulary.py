"""External ids <-> integer rows, with tombstones for ids that were forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from hashlib import blake2b
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unlearn.forget import Id, UnknownIds, few
from unlearn.invalid import InvalidInput

_FEW = 16  # lookups after which hashing all ids pays
INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")  # as an int is written: 007 is not 7


def id_array(ids: Iterable[Id]) -> NDArray[Any]:
    """Ids as int64 [n], or as an object array of str [n].

    Raises:
        InvalidInput: an id is neither int nor str, or both kinds occur.
    """
    if isinstance(ids, np.ndarray) and ids.ndim == 1 and ids.dtype.kind == "i":
        return np.array(ids, dtype=np.int64)
    listed: list[Any] = list(ids)
    kinds = {_kind(kind) for kind in set(map(type, listed))}
    if kinds <= {"int"}:
        try:
            return np.array(listed, dtype=np.int64)
        except OverflowError:
            raise InvalidInput("ids must fit in 64 signed bits; pass larger ones as str") from None
    if kinds == {"str"}:
        array = np.empty(len(listed), dtype=object)
        array[:] = [str(value) for value in listed]  # numpy's own str type becomes Python's
        return array
    raise InvalidInput(
        f"ids of one vocabulary must be all int or all str (got {', '.join(sorted(kinds))}); convert them to str first"
    )


class Vocabulary:
    """Immutable map between external ids and rows 0..n-1; forgotten rows are tombstones: the id is gone, the row stays.

    `ids` is int64 [n] (0 at a tombstone) or object [n] of str (None at a tombstone); `alive` is bool [n].
    """

    ids: NDArray[Any]
    alive: NDArray[np.bool_]
    _looked_up: int = 0

    def __init__(self, ids: Iterable[Id]) -> None:
        array = id_array(ids)
        index = pd.Index(array)
        if not index.is_unique:
            twice = index[index.duplicated()].unique().tolist()
            raise InvalidInput(
                f"ids of a vocabulary must be unique ({len(twice)} occur more than once: {few(twice)}); "
                "pass each id once"
            )
        self._set(array, np.ones(len(array), dtype=np.bool_))

    @classmethod
    def restore(cls, ids: Iterable[Id | None], kind: Literal["int", "str"]) -> Vocabulary:
        """A vocabulary from what `take` gave for all its rows: None stands for a tombstone.

        Raises:
            InvalidInput: an id is not of `kind`, or occurs twice.
        """
        listed = list(ids)
        alive = np.array([value is not None for value in listed], dtype=np.bool_)
        live = cls([value for value in listed if value is not None])
        if len(live) and live.kind != kind:
            raise InvalidInput(f"ids must be of kind {kind} (got {live.kind})")
        array = np.zeros(len(listed), dtype=np.int64) if kind == "int" else np.full(len(listed), None, dtype=object)
        array[alive] = live.ids
        live._set(array, alive)
        return live

    def _set(self, ids: NDArray[Any], alive: NDArray[np.bool_]) -> None:
        ids.setflags(write=False)
        alive.setflags(write=False)
        self.ids = ids
        self.alive = alive

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, (int, np.integer, str)) and bool(self.rows([value], unknown="mark")[0] >= 0)  # pyright: ignore[reportArgumentType]

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Vocabulary) or self.kind != other.kind:
            return False
        return np.array_equal(self.alive, other.alive) and np.array_equal(self.ids, other.ids)

    def remains_of(self, other: Vocabulary) -> bool:
        """Whether it is the other one, or what is left of it when some ids are forgotten."""
        if self.kind != other.kind or len(self) != len(other) or (self.alive & ~other.alive).any():
            return False
        return np.array_equal(self.ids[self.alive], other.ids[self.alive])

    def agrees_with(self, other: Vocabulary) -> bool:
        """Whether both have the same number of rows, and the same id in each that is alive in both."""
        if len(self) != len(other):
            return False
        both = self.alive & other.alive
        return np.array_equal(self.ids[both], other.ids[both])

    def __hash__(self) -> int:
        return hash((self.kind, self.keys.tobytes()))

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} rows of {self.kind} ids, {int((~self.alive).sum())} forgotten)"

    @property
    def kind(self) -> Literal["int", "str"]:
        """Type of the ids."""
        return "int" if self.ids.dtype == np.int64 else "str"

    def to_json(self) -> dict[str, Any]:
        """The kind and the ids by row, None at a tombstone, as JSON can hold them."""
        return {"kind": self.kind, "ids": self.take(np.arange(len(self)))}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Vocabulary:
        """What `to_json` gave."""
        return cls.restore(stored["ids"], stored["kind"])

    @cached_property
    def _live(self) -> NDArray[np.int64]:
        return np.flatnonzero(self.alive)

    @cached_property
    def _index(self) -> pd.Index[Any]:
        return pd.Index(self.ids[self._live])

    def _rows_of(self, ids: NDArray[Any]) -> NDArray[np.int64]:
        self._looked_up += len(ids)
        if self._looked_up <= _FEW and "_index" not in self.__dict__:
            # Most vocabularies that a deletion leaves are asked for the next one only.
            # By arrays of one: a str itself would become numpy's own, which drops a NUL at its end.
            hits = ((self.ids == ids[k : k + 1]) & self.alive for k in range(len(ids)))
            return np.fromiter((hit.argmax() if hit.any() else -1 for hit in hits), np.int64, len(ids))
        found = np.asarray(self._index.get_indexer(pd.Index(ids)), dtype=np.int64)
        known = found >= 0
        found[known] = self._live[found[known]]
        return found

    def rows(self, ids: Iterable[Id], *, unknown: Literal["raise", "mark"] = "raise") -> NDArray[np.int64]:
        """Rows [k] of the ids, in their order; -1 for an unknown id under `unknown="mark"`.

        Raises:
            UnknownIds: naming up to ten unknown ids and their count, under `unknown="raise"`.
            InvalidInput: a text in place of a collection.
        """
        if isinstance(ids, str | bytes):  # its letters would pass for ids
            raise InvalidInput(f"ids must come as a collection (got the {type(ids).__name__} {ids!r}); pass a list")
        if isinstance(ids, np.ndarray) and ids.dtype.kind == "i" and self.kind == "int":
            listed: list[Any] | NDArray[Any] = ids
            found = self._rows_of(ids)
        else:
            plain: list[Any] = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
            listed = plain
            found = self._mixed_rows(plain)
        if unknown == "raise" and bool((found < 0).any()):
            missing = [listed[k] for k in np.flatnonzero(found < 0).tolist()]
            raise UnknownIds(
                f"ids must be in the vocabulary ({len(missing)} of {len(listed)} are unknown or forgotten: "
                f'{few(missing)}); remove them, or pass unknown="mark" to get -1 in their place'
            )
        return found

    def _mixed_rows(self, listed: Sequence[Any]) -> NDArray[np.int64]:
        """Rows of Python values of any type; -1 for the unknown."""
        # An id of another kind (True is an int to Python, not to us) is unknown, not an error of type.
        if not listed:
            return np.empty(0, dtype=np.int64)
        types = set(map(type, listed))
        kinds = {kind for kind in types if _kind(kind) == self.kind}
        if kinds == types:
            with suppress(InvalidInput):  # an integer of more than 64 bits, which is unknown like any other
                return self._rows_of(id_array(listed))
        ours = np.fromiter((type(value) in kinds and _fits(value) for value in listed), np.bool_, len(listed))
        found = np.full(len(listed), -1, dtype=np.int64)
        if ours.any():
            ids_of_ours = listed if ours.all() else [listed[k] for k in np.flatnonzero(ours).tolist()]
            found[ours] = self._rows_of(id_array(ids_of_ours))
        return found

    def parse(self, texts: Iterable[str]) -> list[Id]:
        """Ids from text, as typed on a command line: an int where the ids are and the text is how one is written."""
        return [int(text) if self.kind == "int" and INTEGER.fullmatch(text) else text for text in texts]

    def take(self, rows: Iterable[int] | NDArray[np.integer[Any]]) -> list[Any]:
        """External ids of the rows, as plain int or str; None for a tombstone."""
        chosen = np.asarray(rows if isinstance(rows, np.ndarray) else list(rows), dtype=np.int64)
        ids = self.ids[chosen].tolist()
        if self.alive.all():
            return ids
        return [value if alive else None for value, alive in zip(ids, self.alive[chosen], strict=True)]

    def without(self, rows: Iterable[int] | NDArray[np.integer[Any]]) -> Vocabulary:
        """The same rows, with `rows` as tombstones: their ids are physically gone, no other row number changes."""
        gone = np.asarray(rows if isinstance(rows, np.ndarray) else list(rows), dtype=np.int64)
        if not len(gone):
            return self
        ids, alive = self.ids.copy(), self.alive.copy()
        ids[gone] = 0 if self.kind == "int" else None
        alive[gone] = False
        remaining = Vocabulary.__new__(Vocabulary)
        remaining._set(ids, alive)
        if "keys" in self.__dict__:
            keys = self.keys.copy()
            keys[gone] = 0
            keys.setflags(write=False)
            remaining.__dict__["keys"] = keys
        return remaining

    def restored(self, rows: NDArray[np.integer[Any]], ids: Sequence[Id]) -> Vocabulary:
        """The same rows, with `ids` back where `without` left tombstones."""
        live: list[Any] = self.take(np.arange(len(self)))
        for row, name in zip(rows.tolist(), ids, strict=True):
            live[row] = name
        return Vocabulary.restore(live, self.kind)

    @cached_property
    def keys(self) -> NDArray[np.uint64]:
        """Stable 64-bit hash [n] of each external id (blake2b over a type tag and its repr); 0 for a tombstone.

        Randomness keyed by it belongs to the id, not to the row, and so survives re-indexing.
        """
        tag = self.kind[0]
        live: list[Any] = self.ids[self._live].tolist()
        digests = b"".join(blake2b(f"{tag}{value!r}".encode(), digest_size=8).digest() for value in live)
        keys = np.zeros(len(self), dtype=np.uint64)
        keys[self._live] = np.frombuffer(digests, dtype="<u8")
        keys.setflags(write=False)
        return keys


def _kind(kind: type) -> str:
    """The kind of id that a type stands for, or the name of a type that is no id."""
    if issubclass(kind, str):
        return "str"
    if issubclass(kind, (int, np.integer)) and not issubclass(kind, bool):
        return "int"
    return kind.__name__


def _fits(value: Any) -> bool:
    return isinstance(value, str) or -(2**63) <= int(value) < 2**63
