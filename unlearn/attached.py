"""An arbitrary torch module with a loss, seen as a `Problem`."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from unlearn.devices import elapsed
from unlearn.digests import digest
from unlearn.forget import ForgetSet, few
from unlearn.functional import FunctionalModule
from unlearn.history import History
from unlearn.invalid import require
from unlearn.params import Params, arranged, as_table, differentiate, flatten, unflatten, value_and_gradient
from unlearn.problem import Problem, Touched
from unlearn.records import NumberedRecords, Removable
from unlearn.solvers.adam import Adam
from unlearn.solvers.lbfgs import lbfgs
from unlearn.units import Unit, Units


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedOptions:
    """How an attached module is trained, always on the whole objective at once.

    Raises:
        ValueError: listing every option that is out of range.
    """

    solver: Literal["lbfgs", "adam"] = "lbfgs"
    tolerance: float = 1e-6  # lbfgs: stop at this gradient norm
    max_iterations: int = 2000  # lbfgs
    epochs: int = 200  # adam: full-batch steps
    lr: float = 1e-2  # adam
    decay: float = 1.0  # adam: factor on the rate after every step
    seed: int = 0  # of the initial parameters
    progress: bool = False  # adam: a bar, on a terminal only

    def __post_init__(self) -> None:
        require(
            self,
            tolerance=("at least 0", self.tolerance >= 0),
            max_iterations=("a positive integer", self.max_iterations >= 1),
            epochs=("a positive integer", self.epochs >= 1),
            lr=("positive", self.lr > 0),
            decay=("above 0 and at most 1", 0 < self.decay <= 1),
        )


@dataclass(frozen=True, eq=False)
class AttachedProblem(Problem):
    """objective = sum of losses(module, data) + background(module, data) + (penalty / 2) |params|^2. See `attach`."""

    params: Params
    data: Removable
    functional: FunctionalModule
    options: AttachedOptions
    history: History
    weights: Tensor | None = None  # [n records]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.functional.call.module!r}, {self.n_records} records)"

    @property
    def n_records(self) -> int:
        return len(self.data)

    @property
    def payload(self) -> Any:
        """The data as the module's functions see it."""
        return self.data.data if isinstance(self.data, NumberedRecords) else self.data

    @property
    def caveat(self) -> str | None:
        learned = [
            name or type(part).__name__
            for name, part in self.functional.call.module.named_modules()
            if isinstance(seen := getattr(part, "num_batches_tracked", None), Tensor) and seen > 0
        ]
        stays = (
            f"running statistics ({', '.join(learned)}) stay as they were learned, in retrains, too: what they hold of "
            "the forgotten is neither forgotten nor measured"
        )
        longer = "max_iterations" if self.options.solver == "lbfgs" else "epochs"
        remedy = f"train longer (`{longer}`), or, where layers normalise what the `penalty` shrinks, without it"
        left = (
            None if self.history.hooks else self.history.unfinished(self.params, self.functional.penalty, remedy=remedy)
        )
        return "; ".join(filter(None, (stays if learned else None, left, self.history.caveat))) or None

    def with_params(self, params: Params, *, history: History | None = None) -> Self:
        return replace(self, params=params, history=self.history if history is None else history)

    def digest(self) -> str:
        functional = self.functional
        records = (self.data.data, self.data.numbers) if isinstance(self.data, NumberedRecords) else self.data
        functions = (functional.losses, functional.background, self.history.hooks)
        return digest(records, self.weights, functional.call.module, functional.penalty, functions, self.options)

    # ---- the objective ----------------------------------------------------------------------------------------------

    def record_losses(self, params: Params, records: Tensor | None = None) -> Tensor:
        if not self.n_records:  # torch has no second derivative of some layers on no input
            return torch.cat([value.reshape(-1)[:0] for value in params.values()])
        losses = self.functional.run(params, self.functional.losses, self.payload)
        if len(losses) != self.n_records:
            raise ValueError(
                f"`losses` must return one loss for each of the {self.n_records} records that are there (got "
                f"{len(losses)}); `remove` must take out of the data just those that it is given"
            )
        if self.weights is not None:
            losses = losses * self.weights.to(losses)
        return losses if records is None else losses[records.to(losses.device)]

    def apart(self, forget: ForgetSet) -> tuple[AttachedProblem, Tensor | None]:
        """The forgotten by themselves, where that makes no difference to their losses; all records else."""
        records = self.records(forget)
        if isinstance(self.data, NumberedRecords):
            others = torch.ones(self.n_records, dtype=torch.bool)
            others[records] = False
            gone = others.nonzero().flatten()
            alone = self._left(self.data.cut(gone), gone)
            with torch.no_grad():
                together = self.record_losses(self.params, records)
                # By their own size: losses may be small, and the same to a millionth because of that.
                if (alone.record_losses(self.params) - together).norm() <= 1e-4 * together.norm():
                    return alone, None
        return self, records

    def background(self, params: Params) -> Tensor:
        if self.functional.background is None:
            return super().background(params)
        return self.functional.run(params, self.functional.background, self.payload)

    def penalty(self, params: Params) -> Tensor:
        return 0.5 * self.functional.penalty * torch.stack([value.square().sum() for value in params.values()]).sum()

    def outputs(self, queries: Tensor) -> Tensor:
        if self.functional.outputs is None:
            raise ValueError("`outputs` must be given to `attach` before a problem can answer queries (got None)")
        with torch.no_grad():
            return self.functional.run(self.params, self.functional.outputs, self.payload, queries)

    @property
    def predicts(self) -> bool:
        return self.functional.predictions is not None

    def predictions(self, params: Params, records: Tensor) -> Tensor:
        if self.functional.predictions is None:
            return super().predictions(params, records)
        found = self.functional.run(params, self.functional.predictions, self.payload)
        if len(found) != self.n_records:
            raise ValueError(
                f"`predictions` must return one row for each of the {self.n_records} records (got {len(found)})"
            )
        return found[records.to(found.device)]

    # ---- forgetting -------------------------------------------------------------------------------------------------

    def resolve(self, forget: ForgetSet, *, unknown: Literal["raise", "skip"] = "raise") -> ForgetSet:
        return self.data.resolve(forget, unknown=unknown)

    def records(self, forget: ForgetSet) -> Tensor:
        return torch.as_tensor(self.data.positions(forget), dtype=torch.int64)

    def without(self, forget: ForgetSet) -> Self:
        return self._left(self.data.without(forget), self.records(forget))

    def _left(self, data: Removable, gone: Tensor) -> Self:
        """This problem over data that the records at these positions have left."""
        weights = self.weights
        if weights is not None:
            kept = torch.ones(self.n_records, dtype=torch.bool)
            kept[gone] = False
            weights = weights[kept.to(weights.device)]
        return replace(self, data=data, weights=weights)

    def units(self, unit: Unit) -> Units:
        data: Any = self.data
        if not isinstance(data, NumberedRecords):
            return data.units(unit) if hasattr(data, "units") else super().units(unit)
        if unit != "record":
            return super().units(unit)
        numbers = data.numbers.numpy()
        keys = numbers.astype(np.uint64) + np.uint64(1)  # 0 stands for a forgotten one
        return Units(keys, np.arange(len(numbers)), lambda chosen: ForgetSet(records=tuple(numbers[chosen].tolist())))

    def touched(self, forget: ForgetSet, *, hops: int = 1) -> Touched:
        """Rows on which the forgotten records' losses depend, by their gradient at the current parameters.

        For a message-passing module these are all rows within its depth; what is further away is not known here, so
        there is one hop whatever `hops` asks for.
        """
        records = self.records(forget)
        _, gradient = value_and_gradient(lambda params: self.record_losses(params, records).sum(), self.params)
        return {name: [as_table(g.contiguous()).ne(0).any(1).nonzero().flatten()] for name, g in gradient.items()}

    def weighted(self, unit: Unit, weights: Tensor, *, degrees: bool = True) -> AttachedProblem:
        """Weights reach the losses alone: the message edges inside an attached module are its own affair."""
        problems: list[str] = []
        if unit != "record":
            problems.append(f'`unit` must be "record" for an attached module (got {unit!r})')
        if weights.shape != (self.n_records,):
            problems.append(f"`weights` must have shape ({self.n_records},), one a record (got {tuple(weights.shape)})")
        if problems:
            raise ValueError("\n".join(problems))
        return replace(self, weights=weights if self.weights is None else self.weights * weights)

    # ---- training ---------------------------------------------------------------------------------------------------

    def shortened(self, share: float, rate: float) -> AttachedOptions | None:
        options = self.options
        if options.solver != "adam":
            return None
        return replace(options, epochs=max(1, round(share * options.epochs)), lr=rate * options.lr)

    def fit(self, init: Params | None = None, *, options: AttachedOptions | None = None) -> Self:
        """See `Fitted.fit`.

        Raises:
            ValueError: the module does not draw its parameters, or the objective is no finite number where it begins.
        """
        started = time.perf_counter()
        options = self.options if options is None else options
        start = self.functional.initial(options.seed, self.params) if init is None else init
        x = flatten(arranged(start, self.params))
        self._require_finite(start)
        if options.solver == "lbfgs":
            landscape = self.training_landscape()
            x = lbfgs(landscape, x, tolerance=options.tolerance, max_iterations=options.max_iterations).x
        else:
            adam = Adam(x, lr=options.lr)
            shown = None if options.progress else True
            for _ in tqdm(range(options.epochs), desc="train", unit="epoch", leave=False, disable=shown):
                adam.step(x, differentiate(self.training_loss, unflatten(x, self.params))[1])
                adam.lr *= options.decay
        params = {name: value.clone() for name, value in unflatten(x, self.params).items()}
        fitted = replace(self, params=params, options=options)
        seconds = elapsed(started)
        history = History(residual=fitted.residual(), seconds=seconds, seed=options.seed, hooks=self.history.hooks)
        return fitted.with_params(params, history=history)

    def _require_finite(self, start: Params) -> None:
        """Nothing leads away from where the objective is no number: training would end at its start and look done."""
        with torch.no_grad():
            if self.objective(start).isfinite():
                return
            losses = self.record_losses(start)
        wrong = (~losses.isfinite()).nonzero().flatten().tolist()
        got = f"{len(wrong)} of {len(losses)} losses that are none, at {few(wrong)}" if wrong else "a sum that is none"
        raise ValueError(
            f"the objective must be a finite number where training begins (got {got}); correct the data, or pass "
            "`init` to `fit`"
        )
