"""Rewinding: back to an early checkpoint, then the rest of training on what remains."""

from __future__ import annotations

from dataclasses import dataclass, replace

from unlearn.forget import ForgetSet
from unlearn.history import Checkpoint, History
from unlearn.invalid import require
from unlearn.methods.base import State, Unlearner, register
from unlearn.params import Params
from unlearn.problem import Fitted, Problem


@register
@dataclass(frozen=True, kw_only=True)
class Rewind(Unlearner):
    """Replays the end of training, from a checkpoint that had seen little of the forgotten.

    Mu and Klabjan, "Rewind-to-Delete: certified machine unlearning for nonconvex functions", 2024, arXiv 2409.09778.

        x <- A_(e..E)(x_e; remaining),     x_e the checkpoint of epoch e, A_(e..E) epochs e + 1 to E of its training

    The earlier the checkpoint, the nearer to a retrain and the dearer; what the checkpoint itself learned from the
    forgotten stays, in the optimiser's moments too. The replayed epochs have their own draws again, as in a coupled
    retrain. Needs the checkpoints in the problem's history; those up to the one that was gone back to, the rows of the
    forgotten cleared, and the replay's own take their place, so that another request can follow. Memory: all
    checkpoints, three times the parameters each.

    Args:
        share: of the training that is kept: the last checkpoint that is not after it, or the first there is.

    Raises:
        ValueError: `share` is out of range.

    **Differences from the paper:** training of any kind instead of full-batch gradient descent, by its own optimiser;
    no noise is added and nothing is certified.
    """

    share: float = 0.5

    name = "rewind"
    requires = frozenset({"history.checkpoints"})

    def __post_init__(self) -> None:
        require(self, share=("between 0 and 1, 1 excluded", 0 <= self.share < 1))

    def obstacle(self, problem: Fitted) -> str | None:
        if isinstance(problem, Problem) and not (problem.stochastic or problem.history.checkpoints):
            return f"`{self.name}` needs history.checkpoints, which only training by samples keeps (use `reconverge`)."
        return super().obstacle(problem)

    def _obstacle(self, problem: Problem) -> str | None:
        epochs, first = problem.options.epochs, problem.history.checkpoints[0].epoch
        if first >= epochs:
            return (
                f"`{self.name}` needs a checkpoint before the end of training (got the first after epoch {first} of "
                f"{epochs}). Train again with more."
            )
        return None

    def _forget(
        self, problem: Problem, remaining: Problem, forget: ForgetSet, state: State | None
    ) -> tuple[Problem, State | None]:
        checkpoints = problem.history.checkpoints
        seen = sum(one.epoch <= self.share * problem.options.epochs + 1e-9 for one in checkpoints)
        kept = tuple(_settled(remaining, one, forget) for one in checkpoints[: max(1, seen)])
        replayed = remaining.resume(kept[-1])
        history = replace(replayed.history, checkpoints=kept + replayed.history.checkpoints)
        return replayed.with_params(replayed.settled(forget), history=history), state

    def _history(self, before: Problem, after: Problem, removed: int, residual: float | None) -> History:
        return replace(super()._history(before, after, removed, residual), checkpoints=after.history.checkpoints)


def _settled(remaining: Problem, checkpoint: Checkpoint, forget: ForgetSet) -> Checkpoint:
    """Without the rows of the forgotten, in the parameters and in what the optimiser remembers."""

    def settled(params: Params) -> Params:
        return remaining.with_params(params).settled(forget)

    state = checkpoint.optimizer
    state = state and replace(state, mean=settled(state.mean), square=settled(state.square))
    return replace(checkpoint, params=settled(checkpoint.params), optimizer=state)
