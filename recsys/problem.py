"""A recommender with its data and objective, as the problem that unlearning methods work on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from recsys.curvature import linearized, whole_data_product
from recsys.data.interactions import Interactions
from recsys.data.ties import joined
from recsys.fitted import FittedRecommender
from recsys.foldin import folded_items, folded_users
from recsys.graph import BipartiteGraph
from recsys.joint_graph import JointGraph
from recsys.likeness import likeness
from recsys.linear.landscape import WholeDataLandscape
from recsys.linear.locality import locality, unmoved
from recsys.linear.optimality import bound
from recsys.linear.survey import Survey, survey
from recsys.linear.width import too_narrow
from recsys.models.base import Recommender, build
from recsys.objectives import Objective, SampledObjective
from recsys.objectives import objective as named_objective
from recsys.objectives.model_loss import ModelLoss, WholeDataLoss, model_loss
from recsys.train import TrainingOptions, resume, train
from unlearn.digests import digest
from unlearn.forget import ForgetSet
from unlearn.history import Checkpoint, History, Monitor
from unlearn.params import Params, arranged
from unlearn.problem import Bound, Locality, Problem, Touched
from unlearn.solvers.landscape import FunctionLandscape, Landscape
from unlearn.units import Unit, Units


@dataclass(frozen=True, eq=False)
class RecommenderProblem(FittedRecommender, Problem):
    """An embedding model with data, objective and parameters: see both contracts that it fulfils."""

    data: Interactions
    model: Recommender
    objective_function: Objective
    graph: BipartiteGraph
    params: Params
    record_unit = "interaction"
    options: TrainingOptions = field(default_factory=TrainingOptions)
    history: History = field(default_factory=History)

    def __repr__(self) -> str:
        return f"RecommenderProblem({self.model!r}, {self.objective_function!r}, {self.data!r})"

    @classmethod
    def build(
        cls,
        data: Interactions,
        *,
        model: str | Recommender = "lightgcn",
        objective: str | Objective = "whole_data",
        options: TrainingOptions | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        **model_arguments: Any,
    ) -> RecommenderProblem:
        """An untrained problem with its initial parameters; call `fit` on it.

        Args:
            model_arguments: of a model that is named.

        Raises:
            ValueError: there is no model or objective of that name, and the message lists those there are; or the
                model does not say how its parameters begin.
            TypeError: arguments for a model that is made already, or such as it has not.
        """
        if isinstance(model, str):
            model = build(model, data.n_users, data.n_items, **model_arguments)
        elif model_arguments:
            given = ", ".join(f"`{name}`" for name in model_arguments)
            raise TypeError(f"`model` must be a name to be given {given} (got {model!r})")
        if isinstance(objective, str):
            objective = named_objective(objective)
        graph = model.message_graph(data, dtype=dtype, device=device)
        options = options or TrainingOptions()
        params = model_loss(model, objective, graph).initial(options.seed, std=options.init_std)
        return cls(data, model.to(device).eval(), objective, graph, params, options)

    def to(self, device: torch.device | str) -> RecommenderProblem:
        """The same problem with graph, parameters and history on that device; the data stay in main memory.

        What follows from it (`fit`, `without`, every method's result) is on that device, too.
        """
        return replace(
            self,
            model=copy.deepcopy(self.model).to(device),
            graph=self.graph.to(device),
            params={name: value.to(device) for name, value in self.params.items()},
            history=self.history.to(device),
        )

    # ---- Fitted ------------------------------------------------------------------------------------------------------

    def fit(
        self,
        init: Params | None = None,
        *,
        options: TrainingOptions | None = None,
        monitor: Monitor | None = None,
    ) -> RecommenderProblem:
        problem = self.with_options(options or self.options)
        if init is None:  # a row that nothing moves would end as what rounding leaves of its random start
            init = problem.loss.initial(problem.options.seed, std=problem.options.init_std)
            init = problem.with_params(init).settled(ForgetSet())
        return train(problem, problem.loss, arranged(init, self.params), monitor)

    @property
    def caveat(self) -> str | None:
        penalty, remedy = 2.0 * self.objective_function.l2, "train longer (`max_iterations`)"
        left = None if self.stochastic else self.history.unfinished(self.params, penalty, remedy=remedy)
        return "; ".join(filter(None, (too_narrow(self.loss, self.params), left, self.history.caveat))) or None

    def without(self, forget: ForgetSet) -> RecommenderProblem:
        data = self.data.without(forget)
        values = self.graph.values
        graph = self.model.message_graph(data, dtype=values.dtype, device=values.device)
        if any(weights is not None for weights in self.graph.weighting):
            graph = self.graph.carried(graph, self.records(forget))
        return replace(self, data=data, graph=graph)

    def outputs(self, queries: Tensor) -> Tensor:
        users, items = self.readout()
        return (users[queries[:, 0]] * items[queries[:, 1]]).sum(1)

    def touched(self, forget: ForgetSet, *, hops: int = 1) -> Touched:
        layers = [torch.from_numpy(layer) for layer in self._reached(forget, hops)]
        return {name: layers for name in self.params if name in self.row_parameters}

    # ---- FittedRecommender -------------------------------------------------------------------------------------------

    def scores(self, users: NDArray[np.int64]) -> Tensor:
        of_users, of_items = self.readout()
        return of_users[torch.from_numpy(users).to(of_users.device)] @ of_items.T

    def fold_in(self, histories: csr_array) -> Tensor:
        return folded_users(self.loss, self.params, self.data, histories)

    def fold_in_items(self, histories: csr_array) -> Tensor:
        return folded_items(self.loss, self.params, self.data, histories)

    def factors(self) -> tuple[Tensor, Tensor]:
        return self.readout()

    def tied_users(self, data: Interactions) -> NDArray[np.int64]:
        return joined(data.ties) if self.model.uses_ties else super().tied_users(data)

    # ---- Problem -----------------------------------------------------------------------------------------------------

    def with_params(self, params: Params, *, history: History | None = None) -> RecommenderProblem:
        return replace(self, params=params, history=history or self.history)

    def with_options(self, options: TrainingOptions) -> RecommenderProblem:
        by = options.seed - self.options.seed
        model, function = self.model.reseeded(by), self.objective_function.reseeded(by)
        return replace(self, options=options, model=model, objective_function=function)

    def configuration(self) -> dict[str, Any]:
        """Model, objective and options, as JSON has them: what builds the same problem on other data."""
        model, function = self.model, self.objective_function
        return {
            "model": {"name": model.name, "arguments": model.arguments()},
            "objective": {"name": function.name, "arguments": function.arguments()},
            "options": vars(self.options) | {"keep": sorted(self.options.keep)},
        }

    def digest(self) -> str:
        graph = self.graph
        return digest(self.data, self.configuration(), graph.values.dtype, *graph.weighting, self.history.hooks)

    def units(self, unit: Unit) -> Units:
        self._check_unit(unit)
        return self.data.units(unit)

    @property
    def n_ties(self) -> int:
        return self.graph.sizes.get("tie", 0)

    def ties(self, forget: ForgetSet) -> Tensor:
        graph = self.graph
        if not isinstance(graph, JointGraph):
            return super().ties(forget)
        return torch.from_numpy(self._cut(forget, graph.ends.cpu().numpy())).nonzero().flatten().to(graph.rows.device)

    def tie_losses(self, params: Params, ties: Tensor) -> Tensor:
        """See `Problem.tie_losses`: 1 less the cosine of the two users' scores of all items."""
        self._check_unit("tie")
        assert isinstance(self.graph, JointGraph)
        users, items = self.embed(params)
        return 1.0 - likeness(users, items, self.graph.ends[ties])

    @property
    def predicts(self) -> bool:
        return True

    def predictions(self, params: Params, records: Tensor) -> Tensor:
        """Scores [r, n_items] of all items for the records' users."""
        users, items = self.embed(params)
        return users[self.graph.rows[records]] @ items.T

    def embed(self, params: Params) -> tuple[Tensor, Tensor]:
        """Final embeddings [n_users, d] and [n_items, d], differentiable in `params`."""
        return self.loss.embed(params)

    def readout(self) -> tuple[Tensor, Tensor]:
        """Final embeddings [n_users, d] and [n_items, d] whose dot products are the scores."""
        with torch.no_grad():
            return self.embed(self.params)

    @property
    def row_parameters(self) -> frozenset[str]:
        """Names of the parameters with one row a node, users first."""
        return self.loss.row_parameters

    @property
    def loss(self) -> ModelLoss:
        return model_loss(self.model, self.objective_function, self.graph)

    def record_losses(self, params: Params, records: Tensor | None = None) -> Tensor:
        return self.loss.record_losses(params, records)

    def background(self, params: Params) -> Tensor:
        return self.loss.background(params)

    def penalty(self, params: Params) -> Tensor:
        return self.objective_function.penalty(params)

    def objective(self, params: Params) -> Tensor:
        return self.loss.value(params)

    def value_and_gradient(self, params: Params) -> tuple[float, Params]:
        return self.loss.value_and_gradient(params)

    def hessian_product(self, params: Params, direction: Params) -> Params:
        if isinstance(loss := self.loss, WholeDataLoss):
            return {"table": whole_data_product(loss, params["table"], direction["table"])}
        return super().hessian_product(params, direction)

    def landscape(self) -> Landscape:
        if isinstance(loss := self.loss, WholeDataLoss):
            return WholeDataLandscape(loss, columns=loss.model.dim)
        return super().landscape()

    def records(self, forget: ForgetSet) -> Tensor:
        return torch.from_numpy(self.data.positions(forget)).to(self.graph.rows.device)

    def weighted(self, unit: Unit, weights: Tensor, *, degrees: bool = True) -> RecommenderProblem:
        """Interactions, users or items weighted, on loss and message edge, degrees included (floored at 1e-6).

        Weights that there are already are multiplied, and `without` leaves whoever remains with theirs.

        In a model with ties a user's weight counts for the user's ties, too, and ties can be weighted by themselves: on
        the message edge alone, for a tie has no loss.
        """
        self._check_unit(unit)
        graph = self.graph
        if weights.shape != (size := (graph.sizes[unit],)):
            raise ValueError(f"`weights` must have shape {size} for '{unit}' (got {tuple(weights.shape)})")
        return replace(self, graph=graph.weighted_by(unit, weights.to(graph.values), degrees=degrees))

    def _check_unit(self, unit: Unit) -> None:
        sizes = self.graph.sizes
        if unit not in sizes:
            why = "; ties count where the model uses them, see `social_lightgcn`" if unit == "tie" else ""
            raise ValueError(f"`unit` must be {', '.join(sizes)} for {self.model.name} (got {unit!r}){why}")

    def settled(self, forget: ForgetSet) -> Params:
        """Idle rows (`idle_nodes`) are zero, which is their optimum.

        Call it on the remaining problem. The moments an optimiser kept are not parameters and are dropped with the
        history (`aged`).
        """
        rows = self.idle_nodes(forget)
        by_row = self.row_parameters
        return {
            name: value.index_fill(0, rows, 0.0) if name in by_row else value for name, value in self.params.items()
        }

    def idle_nodes(self, forget: ForgetSet) -> Tensor:
        """Rows [k] that nothing remaining determines: `ModelLoss.idle_nodes`, and users whose every interaction went.

        An item without any keeps its row where it is still a negative of others: that is a method's to move.
        """
        idle = self.loss.idle_nodes
        if "user" in self.objective_function.at_rest or not forget.interactions:
            return idle
        rows = self.data.users.rows({user for user, _ in forget.interactions}, unknown="mark")
        emptied = torch.from_numpy(rows[rows >= 0]).to(idle.device)
        return torch.cat([idle, emptied[self.graph.degrees()[emptied] == 0]])

    def linearized(self, params: Params) -> Callable[[Params], Tensor]:
        """displacement -> the objective with scores linear in it: what Gauss-Newton products are made of."""
        return linearized(self.loss, params)

    def shortened(self, share: float, rate: float) -> TrainingOptions | None:
        options = self.options
        if not self.stochastic:
            return None
        epochs = max(1, round(share * options.epochs))
        return replace(options, epochs=epochs, lr=rate * options.lr, keep=frozenset())

    def resume(self, checkpoint: Checkpoint) -> RecommenderProblem:
        return resume(self, self.loss, checkpoint)

    def survey(self) -> Survey | None:
        return survey(self.loss, self.params)

    def locality(self, before: Problem, forget: ForgetSet, known: Survey | None, *, tail: float) -> Locality:
        assert isinstance(before, RecommenderProblem)
        loss = self.loss
        if unmoved(loss, self.params, before.graph):
            nowhere = FunctionLandscape(lambda x: (0.0, x)), self.graph.values.new_empty(0)
            return Locality(*nowhere, finish=lambda: (self.params, known), widened=lambda _: None)
        if known is None:
            return super().locality(before, forget, known, tail=tail)
        assert isinstance(loss, WholeDataLoss)  # which alone has surveys
        return locality(loss, self.params["table"], before.graph, before.records(forget), known, tail)

    def optimality(
        self, *, probability: float = 0.99, seed: int = 0, resolution: float = 0.015, max_iterations: int = 1500
    ) -> Bound | None:
        """See `Problem.optimality`; `resolution` and `max_iterations` as `recsys.linear.optimality.bound` has them."""
        if not isinstance(loss := self.loss, WholeDataLoss):
            return None
        return bound(
            loss,
            self.params,
            probability=probability,
            seed=seed,
            resolution=resolution,
            max_iterations=max_iterations,
        )

    @property
    def stochastic(self) -> bool:
        return isinstance(self.objective_function, SampledObjective)
