"""Which model is trained on which units: pure data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unlearn.streams import integers, permutation, uniforms
from unlearn.units import Unit

Keys = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Plan:
    """Models by the units that each is trained on, and by the seed of its training.

    Draws are keyed by unit: with `keys` (`Problem.units(unit).keys`) a unit's lot is its own, whoever else is there and
    whatever its number; without, the number is the key.

    Raises:
        ValueError: listing what does not fit together.
    """

    member: Tensor  # bool [models, units]: the model is trained on the unit
    unit: Unit
    seeds: tuple[int, ...]
    blocks: tuple[int, ...] = ()
    """Models of one number are no independent draws (one subset, two seeds; its complement); by default all are."""

    def __post_init__(self) -> None:
        problems: list[str] = []
        if self.member.dim() != 2 or self.member.dtype != torch.bool:
            problems.append(
                f"`member` must be bool [models, units] for `Plan` (got {self.member.dtype} {list(self.member.shape)})"
            )
        if len(self.seeds) != len(self.member):
            problems.append(f"`seeds` must be one for each of {len(self.member)} models (got {len(self.seeds)})")
        if self.blocks and len(self.blocks) != len(self.member):
            problems.append(f"`blocks` must be one for each of {len(self.member)} models (got {len(self.blocks)})")
        _raise(problems)
        if not self.blocks:
            object.__setattr__(self, "blocks", tuple(range(len(self.member))))

    def __len__(self) -> int:
        return len(self.member)

    @classmethod
    def halves(
        cls,
        n_units: int,
        models: int,
        seed: int,
        *,
        unit: Unit = "record",
        share: float = 0.5,
        always: Iterable[int] = (),
        keys: Keys | None = None,
    ) -> Plan:
        """Random subsets, balanced: every unit is in the same number of models, round(share * models).

        At a share of one half models 2k and 2k + 1 are complements of each other. The units `always` are in all.

        Raises:
            ValueError: listing every argument that is out of range.
        """
        inside = round(share * models)
        problems = [] if 0 < inside < models else [_out_of_range("share", "leave each unit out of a model", share)]
        if share == 0.5 and models % 2:
            problems.append(_out_of_range("models", "be even for complementary halves", models))
        _raise(problems)
        key, rows = _keys(n_units, keys), np.arange(models)[:, None]
        blocks: tuple[int, ...] = ()
        if share == 0.5:
            blocks = tuple(j // 2 for j in range(models))
            first = uniforms(seed, "pool/halves", key, rows[::2]) < 0.5
            member = np.stack([first, ~first], axis=1).reshape(models, n_units)
        else:
            rank = uniforms(seed, "pool/halves", key, rows).argsort(axis=0).argsort(axis=0)
            member = rank < inside
        member[:, list(always)] = True
        return cls(torch.from_numpy(member), unit, _seeds(seed, models), blocks)

    @classmethod
    def folds(cls, n_units: int, k: int, seed: int, *, unit: Unit = "record", keys: Keys | None = None) -> Plan:
        """`k` models, each trained without one of k random folds whose sizes differ by at most one.

        At k = n_units every model leaves one unit out: fold j is then that of unit j.

        Raises:
            ValueError: `k` is out of range.
        """
        if not 2 <= k <= n_units:
            raise ValueError(_out_of_range("k", f"be at least 2 and at most the {n_units} units", k))
        order = np.arange(n_units)
        if k < n_units:
            order = permutation(seed, "pool/folds", _keys(n_units, keys))
        fold = np.empty(n_units, dtype=np.int64)
        fold[order] = np.arange(n_units) % k
        return cls(torch.from_numpy(fold[None, :] != np.arange(k)[:, None]), unit, _seeds(seed, k))

    @classmethod
    def around(cls, forget: Iterable[int], n_units: int, models: int, seed: int, *, unit: Unit = "record") -> Plan:
        """Models on all units (even numbers) and as many without the units `forget` (odd), each of a seed of its own.

        Raises:
            ValueError: `models` is odd.
        """
        if models % 2:
            raise ValueError(_out_of_range("models", "be even, half of them without the forgotten", models))
        member = torch.ones(models, n_units, dtype=torch.bool)
        member[1::2, list(forget)] = False
        return cls(member, unit, _seeds(seed, models))

    def repeated(self, times: int) -> Plan:
        """Every model `times` times in a row, the first by its own seed and the others by further ones.

        Raises:
            ValueError: `times` is not positive.
        """
        if times < 1:
            raise ValueError(_out_of_range("times", "be a positive integer", times))
        seeds = ((seed, *_seeds(seed, times - 1, "pool/repeated")) for seed in self.seeds)
        return Plan(
            self.member.repeat_interleave(times, 0),
            self.unit,
            tuple(seed for row in seeds for seed in row),
            tuple(block for block in self.blocks for _ in range(times)),
        )


def _keys(n_units: int, keys: Keys | None) -> NDArray[Any]:
    if keys is not None and keys.shape != (n_units,):
        raise ValueError(_out_of_range("keys", f"be one for each of {n_units} units", list(keys.shape)))
    return np.arange(n_units) if keys is None else keys


def _seeds(seed: int, models: int, purpose: str = "pool/seeds") -> tuple[int, ...]:
    return tuple(integers(seed, purpose, 2**31, np.arange(models)).tolist())


def _out_of_range(name: str, rule: str, came: object) -> str:
    return f"`{name}` must {rule} for a `Plan` (got {came})"


def _raise(problems: list[str]) -> None:
    if problems:
        raise ValueError("\n".join(problems))
