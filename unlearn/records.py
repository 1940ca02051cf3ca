"""Data from which records can be removed: the part of an attached problem that knows nothing of modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self, cast, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from unlearn.forget import ForgetSet

Remove = Callable[[Any, Tensor], Any]
"""(data, positions of the records to remove, ascending) -> the remaining data, everything derived from it rebuilt."""


@runtime_checkable
class Removable(Protocol):
    """Data that removes by forget set itself; `positions` index its records as they lie now."""

    def __len__(self) -> int: ...
    def resolve(self, forget: ForgetSet, *, unknown: Literal["raise", "skip"] = "raise") -> ForgetSet: ...
    def positions(self, forget: ForgetSet) -> Any: ...
    def without(self, forget: ForgetSet) -> Self: ...


@dataclass(frozen=True, eq=False)
class NumberedRecords:
    """Any data whose records go by the number they had when it was attached; a number is never reused."""

    data: Any
    numbers: Tensor  # int64 [n], ascending: the original number of each record that is still here
    remove: Remove

    def __len__(self) -> int:
        return self.numbers.numel()

    def resolve(self, forget: ForgetSet, *, unknown: Literal["raise", "skip"] = "raise") -> ForgetSet:
        wanted = np.asarray(forget.records, dtype=np.int64)
        return forget.known(
            "an attached module has numbered records", unknown, records=np.isin(wanted, self.numbers.numpy())
        )

    def positions(self, forget: ForgetSet) -> Tensor:
        wanted = np.asarray(forget.records, dtype=np.int64)
        return torch.from_numpy(np.flatnonzero(np.isin(self.numbers.numpy(), wanted)))

    def without(self, forget: ForgetSet) -> NumberedRecords:
        return self.cut(self.positions(forget))

    def cut(self, gone: Tensor) -> NumberedRecords:
        """The records without those at these positions, ascending."""
        kept = torch.ones(len(self), dtype=torch.bool)
        kept[gone] = False
        return replace(self, data=self.remove(self.data, gone), numbers=self.numbers[kept])


def leaves(data: Any, name: str = "data") -> Iterator[tuple[str, Any]]:
    """Every leaf of nested tuples, lists and mappings with its name."""
    if isinstance(data, Mapping):
        for key, value in cast("Mapping[Any, Any]", data).items():
            yield from leaves(value, f"{name}[{key!r}]")
    elif isinstance(data, tuple | list):
        for i, value in enumerate(cast("list[Any]", data)):
            yield from leaves(value, f"{name}[{i}]")
    else:
        yield name, data


def remove_rows(data: Any, gone: Tensor) -> Any:
    """The default `Remove`: drops rows of a tensor, or of every tensor in nested tuples, lists and mappings."""
    if isinstance(data, Mapping):
        return {key: remove_rows(value, gone) for key, value in cast("Mapping[Any, Any]", data).items()}
    if isinstance(data, tuple | list):
        kind = cast("Any", type(data))
        parts = [remove_rows(value, gone) for value in cast("list[Any]", data)]
        return kind(*parts) if hasattr(kind, "_fields") else kind(parts)
    kept = torch.ones(len(data), dtype=torch.bool, device=data.device)
    kept[gone.to(data.device)] = False
    return data[kept]
