"""Random labels: what is forgotten is learned again, wrong."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unlearn.forget import ForgetSet
from unlearn.invalid import require
from unlearn.methods.base import register
from unlearn.methods.distillation import PredictionMethod, drawn, of_classes_left
from unlearn.methods.gradient import Forgotten, Update, descend
from unlearn.params import Params, differentiate, flatten
from unlearn.problem import Problem
from unlearn.streams import integers


@register
@dataclass(frozen=True, kw_only=True)
class RandomLabel(PredictionMethod):
    """Trains the forgotten records towards labels drawn at random, the others as ever.

    Graves, Nagisetty and Ganesh, "Amnesiac machine learning", 2021, arXiv 2010.10981; within a saliency mask
    (`masked:inner=random_label`) it is SalUn (Fan et al. 2024, arXiv 2310.12508), whose loss this is:

        minimise  mean_F CE(softmax(predictions), y') + alpha L_R / n_R,     y' uniform over all classes, once a record

    with L_R the remaining objective. Of a recommender the classes are the items that are left, the prediction is the
    distribution over them that the record's user gets, and y' any of them: on small data under `whole_data`, whose
    scores make a nearly flat distribution, the drawn items rose and the forgotten ones hardly fell.

    Memory: six vectors of the parameters' size, and `sample` predictions a step.

    Args:
        sample: at most so many forgotten records at a step, drawn anew each time.
        seed: of the labels.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.

    **Differences from the papers:** full-batch steps; L_R has the objective's background and penalty; forgotten records
    are asked on the remaining graph; y' may by chance be the true label, which a `Problem` does not tell.
    """

    alpha: float = 1.0
    steps: int = 10
    lr: float = 1e-2
    update: Update = "adam"
    sample: int = 1024
    seed: int = 0

    name = "random_label"

    def __post_init__(self) -> None:
        require(
            self,
            alpha=("at least 0", self.alpha >= 0),
            steps=("a positive integer", self.steps >= 1),
            lr=("positive", self.lr > 0),
            sample=("a positive integer", self.sample >= 1),
        )

    def _obstacle(self, problem: Problem) -> str | None:
        if (found := super()._obstacle(problem)) is not None:
            return found
        with torch.no_grad():
            shape = problem.predictions(problem.params, torch.arange(0)).shape
        return f"`{self.name}` needs classes to draw from (got predictions that are values)" if len(shape) < 2 else None

    def moved(self, problem: Problem, remaining: Problem, forget: ForgetSet, mask: Tensor | None) -> Params:
        seen, weight = Forgotten.of(problem, forget), self.alpha / max(remaining.n_records, 1)

        def against(k: int, params: Params) -> Tensor:
            chosen = seen.records[drawn("random_label/sample", k, seen.records, self.sample)]

            def wrong(leaves: Params) -> Tensor:
                chances = torch.log_softmax(of_classes_left(remaining, seen.problem.predictions(leaves, chosen)), 1)
                classes = torch.arange(chances.shape[1], device=chances.device)
                labels = integers(self.seed, "random_label", max(len(classes), 1), chosen.cpu().numpy())
                return -chances[torch.from_numpy(labels).to(classes)[:, None] == classes].sum()

            task = flatten(remaining.value_and_gradient(params)[1]).mul_(weight)
            return task.add_(differentiate(wrong, params)[1], alpha=1.0 / max(chosen.numel(), 1))

        return descend(remaining.settled(forget), against, steps=self.steps, lr=self.lr, update=self.update, mask=mask)
