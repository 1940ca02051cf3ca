"""A model that is no problem and forgets by itself: ridge regression in closed form, downdated by Woodbury."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from tests.unlearn.toys import RIDGE_PENALTY, regression
from unlearn.forget import ForgetSet
from unlearn.history import History
from unlearn.params import Params
from unlearn.problem import SelfUnlearning, Touched
from unlearn.records import NumberedRecords, remove_rows


@dataclass(frozen=True, eq=False)
class ClosedRidge(SelfUnlearning):
    data: NumberedRecords
    inverse: Tensor  # (X^T X + lambda I)^-1
    weight: Tensor
    history: History = field(default_factory=History)

    @classmethod
    def build(cls, dtype: torch.dtype = torch.float64) -> ClosedRidge:
        x, y = regression(dtype=dtype)
        data = NumberedRecords((x, y), torch.arange(len(x)), remove_rows)
        return cls(data, torch.eye(x.shape[1], dtype=dtype), torch.zeros(x.shape[1], dtype=dtype)).fit()

    @property
    def n_records(self) -> int:
        return len(self.data)

    def fit(self, init: Params | None = None, *, options: Any = None) -> ClosedRidge:
        x, y = self.data.data
        inverse = torch.linalg.inv(x.T @ x + RIDGE_PENALTY * torch.eye(x.shape[1], dtype=x.dtype))
        return replace(self, inverse=inverse, weight=inverse @ (x.T @ y), history=History())

    def resolve(self, forget: ForgetSet, *, unknown: Literal["raise", "skip"] = "raise") -> ForgetSet:
        return self.data.resolve(forget, unknown=unknown)

    def records(self, forget: ForgetSet) -> Tensor:
        return self.data.positions(forget)

    def without(self, forget: ForgetSet) -> ClosedRidge:
        return replace(self, data=self.data.without(forget))

    def outputs(self, queries: Tensor) -> Tensor:
        return queries.to(self.weight) @ self.weight

    def touched(self, forget: ForgetSet, *, hops: int = 1) -> Touched:
        return {"weight": [torch.arange(len(self.weight))]}

    def forget(self, forget: ForgetSet) -> ClosedRidge:
        gone = self.records(forget)
        x = self.data.data[0][gone]
        left = self.inverse @ x.T
        inverse = self.inverse + left @ torch.linalg.solve(torch.eye(len(x), dtype=x.dtype) - x @ left, left.T)
        remaining = self.without(forget)
        kept, y = remaining.data.data
        return replace(remaining, inverse=inverse, weight=inverse @ (kept.T @ y))
