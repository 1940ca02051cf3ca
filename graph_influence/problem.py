"""A surrogate that learned from a social graph, as the problem that unlearning methods work on."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graph_influence.diffusion import Model
from graph_influence.graph import SocialGraph
from graph_influence.labels import LabelledGraph, Labels
from graph_influence.surrogate import Surrogate
from unlearn.forget import ForgetSet
from unlearn.hooks import AttachedOptions, AttachedProblem, attach
from unlearn.params import Params
from unlearn.problem import Touched
from unlearn.units import Unit


@dataclass(frozen=True, eq=False, repr=False)
class SurrogateProblem(AttachedProblem):
    """Parameters of a surrogate, fitted to simulated activation on one graph.

        objective = sum over seed sets S and nodes v of (x_v(S) - y_v(S))^2 + (penalty / 2) |params|^2

    with x the surrogate's answers and y the share of simulated cascades from S that reach v. Both are functions of the
    graph, so whoever leaves it changes what the surrogate reads, what it was taught and how; `without` rebuilds all of
    it (`LabelledGraph`), and the same cascades decide, so that only labels change that the deletion changes. Arc
    probabilities that remain are frozen.

    `weighted` counts records on their loss; users on the losses of their node, as seeds and on their arcs; ties on
    their arcs; and a seed set, with all its losses, as far as any of its seeds does, 1 - prod of (1 - weight). It
    **holds labels fixed**: what a weight between 0 and 1 does to a simulation has no derivative here. A weight of 0 is
    therefore `without` in all but the labels.
    """

    data: LabelledGraph  # pyright: ignore[reportIncompatibleVariableOverride]

    @classmethod
    def build(
        cls,
        surrogate: Surrogate,
        graph: SocialGraph,
        sets: Sequence[NDArray[np.int64]],
        *,
        runs: int = 10_000,
        penalty: float = 0.01,
        options: AttachedOptions | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> Self:
        """An untrained problem, its labels simulated by `runs` cascades from each seed set (rows); call `fit` on it.

        Raises:
            ValueError: the surrogate has nothing to learn, or an argument is out of range.
        """
        model: Model = "lt" if surrogate.model == "lt" else "ic"
        labels = Labels.drawn(graph, sets, runs=runs, seed=seed, model=model, progress=progress)
        return cls.on(
            LabelledGraph(graph, labels, device=surrogate.device), surrogate, penalty=penalty, options=options
        )

    @classmethod
    def on(
        cls,
        data: LabelledGraph,
        surrogate: Surrogate,
        *,
        penalty: float = 0.01,
        options: AttachedOptions | None = None,
    ) -> Self:
        """The same on labels that are there already."""
        attached = attach(
            surrogate,
            _losses,
            data,
            penalty=penalty,
            outputs=_outputs,
            predictions=_predictions,
            options=options or AttachedOptions(solver="adam", epochs=500, lr=0.02, decay=0.995),
        )
        return cls(**vars(attached))

    @property
    def surrogate(self) -> Surrogate:
        """The surrogate with these parameters, to estimate and to choose by."""
        module = copy.deepcopy(self.functional.call.module)
        module.load_state_dict({name: value.clone() for name, value in self.params.items()}, strict=False, assign=True)
        assert isinstance(module, Surrogate)
        return module

    def fit(self, init: Params | None = None, *, options: AttachedOptions | None = None) -> Self:
        """See `Fitted.fit`; from the seed, parameters begin as a new surrogate's of that seed."""
        options = options or self.options
        return super().fit(self._initial(options.seed) if init is None else init, options=options)

    def _initial(self, seed: int) -> Params:
        kind = self.functional.call.module
        assert isinstance(kind, Surrogate)
        arguments: dict[str, Any] = kind.arguments() | {"seed": seed}
        new = dict(type(kind)(**arguments).named_parameters())
        return {name: new[name].detach().to(value) for name, value in self.params.items()}

    def touched(self, forget: ForgetSet, *, hops: int = 1) -> Touched:
        """Every row of every parameter, at hop 0: all nodes are answered by the same parameters."""
        return {name: [torch.arange(len(value))] for name, value in self.params.items()}

    def ties(self, forget: ForgetSet) -> Tensor:
        """None: what a user or a tie does to labels has no weight (`weighted`), and so no first-order effect is known.

        Raises:
            ValueError: the forget set names any.
        """
        if forget:
            raise ValueError("`of` must be records for a surrogate, whose labels change with any group; take `Removal`")
        return super().ties(forget)

    def weighted(self, unit: Unit, weights: Tensor, *, degrees: bool = True) -> AttachedProblem:
        if unit == "record":
            return super().weighted(unit, weights, degrees=degrees)
        faded = replace(self, data=self.data.weighted(unit, weights))
        if unit != "user":
            return faded
        owners = torch.from_numpy(self.data.units("user").owners)
        return AttachedProblem.weighted(faded, "record", weights[owners.to(weights.device)])


def _answers(surrogate: nn.Module, data: LabelledGraph) -> Tensor:
    return surrogate(*data.inputs())


def _predictions(surrogate: nn.Module, data: LabelledGraph) -> Tensor:
    return data.of_records(_answers(surrogate, data))


def _losses(surrogate: nn.Module, data: LabelledGraph) -> Tensor:
    losses = (_predictions(surrogate, data) - data.targets).square()
    return losses if (standing := data.standing()) is None else losses * standing


def _outputs(surrogate: nn.Module, data: LabelledGraph, queries: Tensor) -> Tensor:
    """For queries [q, 2]: the number of a seed set among those that are left, and a row of the graph."""
    return _answers(surrogate, data)[queries[:, 0], queries[:, 1]]
