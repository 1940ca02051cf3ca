"""What an evaluation asks of the kind of model it evaluates; a package of models implements it by structure alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from unlearn.forget import ForgetSet
from unlearn.history import Monitor
from unlearn.problem import Fitted
from unlearn.units import Unit


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

    def answers(self, model: Fitted) -> Any:
        """All scores of a model in a form of the panel's own, taken once; they stay what they are."""
        ...

    def distance(self, left: Any, right: Any, rows: Tensor) -> float:
        """|S_left - S_right|_F of two models' answers over the user rows [q] and items left; NaN if it is no number."""
        ...

    def norm(self, answers: Any, rows: Tensor) -> float:
        """|S|_F of a model's answers over the user rows [q] and the items left; NaN if it is no number."""
        ...

    def utility(self, model: Fitted) -> Mapping[str, float]:
        """Ranking metrics of the remaining users on held-out data; `recall_at_20` and `ndcg_at_20` among them."""
        ...

    def forget_scores(self, model: Fitted) -> tuple[Tensor, Tensor]:
        """Scores of deleted interactions [p] and of held-out positives [q] of the same users."""
        ...

    def lists(self, model: Fitted) -> Tensor:
        """Top-20 item rows [affected, 20] that are not remaining training data; -1 marks an empty place."""
        ...


class Examples(Protocol):
    """What attacks ask every model about: the same examples, in groups."""

    @property
    def groups(self) -> Mapping[str, slice]:
        """Which examples are `forget` (named by the request), `retain` (of what stays), `held_out`, and `unknown`."""
        ...

    @property
    def units(self) -> Tensor:
        """The unit [examples] that an example belongs to, as the model's `units` number them; -1 for held-out ones."""
        ...

    @property
    def unit(self) -> Unit:
        """What a unit is."""
        ...

    def signal(self, model: Fitted) -> Tensor:
        """How strongly the model speaks for each example [examples], a log-probability; more where it trained on it."""
        ...


class Scorer(Protocol):
    """Knows the held-out data and how this kind of model is trained."""

    def panel(self, model: Fitted, forget: ForgetSet, *, seed: int) -> Panel:
        """The questions of one request on `model`."""
        ...

    def examples(
        self, model: Fitted, forget: ForgetSet, *, seed: int, most: int, unknown: ForgetSet | None = None
    ) -> Examples:
        """What attacks ask about one request, at most `most` examples of each group but of what is held out.

        `unknown` is the part of a corruption that the request does not name.
        """
        ...

    def polish(self, model: Fitted, *, seed: int | None = None, watch: Monitor | None = None) -> Fitted:
        """Train to where references end: on from the present parameters, or from a fresh start by `seed`.

        `watch` looks on where there is something to see: parameters on their way.
        """
        ...

    def continued(self, model: Fitted) -> Fitted:
        """The model after more of its own training than a reference gets; itself where training has an end."""
        ...

    def placebo(self, model: Fitted, forget: ForgetSet, *, seed: int) -> ForgetSet:
        """A random deletion of equal size, disjoint from `forget`."""
        ...

    def digests(self, model: Fitted) -> Mapping[str, str]:
        """Digests of training and held-out data; they reveal no id."""
        ...
