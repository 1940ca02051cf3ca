"""What an evaluation asks of the kind of model it evaluates; a package of models implements it by structure alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from torch import Tensor

from unlearn.audit.measures import Factors
from unlearn.forget import ForgetSet
from unlearn.problem import Params, Problem

Watch = Callable[[int, float, Callable[[], Params]], bool | None]
"""Called as (iteration, seconds, parameters on demand) while training; its own time is not counted; True stops."""


class Panel(Protocol):
    """One request's questions, fixed before any answer is known; every model is asked the same."""

    @property
    def affected(self) -> Tensor:
        """Rows [q] of remaining users within two hops of what is forgotten, at most 2,000, drawn once by seed."""
        ...

    @property
    def remaining(self) -> Tensor:
        """Rows [r] of all remaining users."""
        ...

    def factors(self, problem: Problem) -> Factors:
        """Final embeddings (users [n, d], items [m, d]) whose dot products are the scores."""
        ...

    def utility(self, problem: Problem) -> Mapping[str, float]:
        """Ranking metrics of the remaining users on held-out data; `recall_at_20` and `ndcg_at_20` among them."""
        ...

    def forget_scores(self, problem: Problem) -> tuple[Tensor, Tensor]:
        """Scores of deleted interactions [p] and of held-out positives [q] of the same users."""
        ...

    def lists(self, problem: Problem) -> Tensor:
        """Top-20 item rows [affected, 20] that are not remaining training data; -1 marks an empty place."""
        ...


class Scorer(Protocol):
    """Knows the held-out data and how this kind of model is trained."""

    def panel(self, problem: Problem, forget: ForgetSet, *, seed: int) -> Panel:
        """The questions of one request on the model `problem`."""
        ...

    def polish(self, problem: Problem, *, seed: int | None = None, watch: Watch | None = None) -> Problem:
        """Train to where arithmetic ends: on from the present parameters, or from a fresh start by `seed`."""
        ...

    def placebo(self, problem: Problem, forget: ForgetSet, *, seed: int) -> ForgetSet:
        """A random deletion of equal size, disjoint from `forget`."""
        ...

    def digests(self, problem: Problem) -> Mapping[str, str]:
        """Digests of training and held-out data; they reveal no id."""
        ...
