"""What recommenders in closed form share, and their registry by name."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, NoReturn, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.fitted import FittedRecommender
from recsys.graph import csr
from unlearn.forget import ForgetSet
from unlearn.history import History
from unlearn.params import Params
from unlearn.problem import SelfUnlearning
from unlearn.registry import Registry


class _Unfitted(dict[str, Tensor]):
    """No parameters: whoever asks for one, or for all, is told why."""

    def __missing__(self, name: str) -> NoReturn:
        raise ValueError(f"this recommender has not been fitted and has no `{name}`; call `fit` first")

    def items(self) -> NoReturn:
        raise ValueError("this recommender has not been fitted and has no parameters; call `fit` first")


@dataclass(frozen=True, eq=False, kw_only=True)
class ClosedForm(FittedRecommender, SelfUnlearning):
    """A recommender that linear algebra solves from the data, and updates when data leave.

    A subclass adds its arguments as fields and implements `_fitted` and `_updated`. Weights of interactions are not
    used: every interaction counts 1.
    """

    name: ClassVar[str]
    data: Interactions
    params: Params = field(default_factory=_Unfitted)
    history: History = field(default_factory=History)
    dtype: torch.dtype = torch.float32

    def arguments(self) -> dict[str, Any]:
        """The hyper-parameters by name: what builds the same model on other data."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("data", "params", "history")}

    def with_seed(self, seed: int) -> Self:
        """The same by another seed, where it draws anything: another start may end in another optimum."""
        return replace(self, **({"seed": seed} if "seed" in self.arguments() else {}))

    def to(self, device: torch.device | str) -> Self:
        """Itself: a closed form is solved in main memory.

        Raises:
            ValueError: another device than the CPU is asked for.
        """
        if torch.device(device).type != "cpu":
            raise ValueError(f"`device` must be cpu for `{self.name}`, which is solved in main memory (got {device})")
        return self

    def fit(self, init: Params | None = None, *, options: None = None) -> Self:
        """The model solved on its own data; an iteration starts from `init`, else from the seed.

        Raises:
            ValueError: `options` are given; the arguments of a closed form are its fields.
        """
        if options is not None:  # pyright: ignore[reportUnnecessaryComparison]
            raise ValueError(
                f"`options` must be None for `{self.name}` (got {type(options).__name__}); "
                "its arguments are its fields: use dataclasses.replace"
            )
        return replace(self, params=self._fitted(init), history=replace(self.history, removed=0))

    def without(self, forget: ForgetSet) -> Self:
        return replace(self, data=self.data.without(forget))

    def forget(self, forget: ForgetSet) -> Self:
        removed = len(self.data.positions(forget))
        remaining = self.without(forget)
        params, exact = remaining._updated(self.data, forget)
        history = replace(self.history, removed=self.history.removed + (0 if exact else removed))
        return replace(remaining, params=params, history=history)

    @abstractmethod
    def _fitted(self, init: Params | None) -> Params:
        """The solution on this model's data."""

    @abstractmethod
    def _updated(self, before: Interactions, forget: ForgetSet) -> tuple[Params, bool]:
        """The solution on this model's data, from its parameters on the data `before` the request; whether exact."""


class LinearFilter(ClosedForm):
    """A model whose scores are linear in the user's item row: a user is the interactions, and nothing else."""

    def scores(self, users: NDArray[np.int64]) -> Tensor:
        return self.fold_in(self.data.csr()[users])


def sparse_tensor(matrix: csr_array, dtype: torch.dtype) -> Tensor:
    """The same matrix as a torch CSR tensor."""
    crow, col = (torch.from_numpy(part.astype(np.int64)) for part in (matrix.indptr, matrix.indices))
    return csr(crow, col, torch.from_numpy(matrix.data).to(dtype), cast("tuple[int, int]", matrix.shape))


_CLOSED_FORMS = Registry(ClosedForm, "closed form")
register, registered = _CLOSED_FORMS.register, _CLOSED_FORMS.kinds


def closed_form(name: str, data: Interactions, **arguments: Any) -> ClosedForm:
    """The recommender of that name, not yet fitted; call `fit` on it.

    Raises:
        ValueError: there is no such recommender, and the message lists those there are; or an argument is out of range.
    """
    return _CLOSED_FORMS.make(name, data=data, **arguments)
