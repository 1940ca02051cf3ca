"""How a model is asked about units that it has forgotten, or has half forgotten."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unlearn.params import Params
from unlearn.problem import Problem
from unlearn.streams import uniforms
from unlearn.worst_case.budget import Room

_GONE = 2.0**-40  # message weight of what is forgotten: a power of two, so dividing by it again changes no digit
_FAINTEST = 2.0**-10  # the least weight in a derivative, where rounding is divided by it


@dataclass(frozen=True, eq=False)
class Asking(ABC):
    """What units are asked about, and how. A unit is asked with its own message edges cut, as one held out would be."""

    problem: Problem
    room: Room

    @staticmethod
    def of(problem: Problem, room: Room, *, seed: int) -> Asking:
        """For units of that kind."""
        return TieAsking(problem, room) if room.unit == "tie" else RecordAsking.drawn(problem, room, seed=seed)

    @abstractmethod
    def losses(self, params: Params, rows: Tensor) -> Tensor:
        """Losses, float64 [len(rows)], of the units at these places of the room, with all of them forgotten."""

    @abstractmethod
    def trained(self, params: Params) -> Tensor:
        """Losses, float64 [k], of all units, asked alike in the data and graph that the model was trained on."""

    @abstractmethod
    def relaxed(self, params: Params, weights: Tensor, *, degrees: bool) -> Tensor:
        """Losses [k] of all units, each asked as far as its weight [k] says that it is forgotten.

        Its message edges count 1 - (1 - 2^-10) w, so that a weight of 1 is nearly `losses`, and a weight of 0 the loss
        in training. Differentiable in both.
        """


@dataclass(frozen=True, eq=False)
class RecordAsking(Asking):
    """Records, users and items, by the mean loss of their records.

    Single records are all asked about. A user or item that was forgotten is nothing but its records, so half of them,
    drawn at random, stay in the message graph and say who is asked about the other half: what a service sees of someone
    who comes back (`forget_auc` of an audit asks the same way). Their losses are then those of a fold-in. In a matrix
    factorisation, where a forgotten row says nothing whatever is folded in, all forgotten users are alike.
    """

    asked: Tensor  # bool [n records]

    @classmethod
    def drawn(cls, problem: Problem, room: Room, *, seed: int) -> RecordAsking:
        who = room.units.owners
        asked = torch.ones(len(who), dtype=torch.bool)
        if room.unit != problem.record_unit and len(who):
            keys = problem.units(problem.record_unit).keys
            order = np.lexsort((uniforms(seed, "worst_case/asked", keys), who))
            place = np.empty(len(who), dtype=np.int64)
            place[order] = np.arange(len(who)) - np.searchsorted(who[order], who[order])
            asked = torch.from_numpy(place % 2 == 0)  # the first of each unit is always asked
        return cls(problem, room, asked)

    def losses(self, params: Params, rows: Tensor) -> Tensor:
        if not len(rows):
            return torch.zeros(0, dtype=torch.float64)
        gone = torch.zeros(len(self.room), dtype=torch.bool).index_fill_(0, rows, True)
        chosen = (self.asked & gone[self.room.place]).nonzero().flatten()
        weights = torch.ones(len(self.asked)).index_fill_(0, chosen, _GONE)
        with torch.no_grad():
            faded = self.problem.weighted(self.problem.record_unit, weights)
            losses = faded.record_losses(params, chosen).cpu().double() / _GONE
        return self.room.means(losses, chosen)[rows]

    def trained(self, params: Params) -> Tensor:
        chosen = self.asked.nonzero().flatten()
        with torch.no_grad():
            return self.room.means(self.problem.record_losses(params, chosen).cpu().double(), chosen)

    def relaxed(self, params: Params, weights: Tensor, *, degrees: bool) -> Tensor:
        chosen = self.asked.nonzero().flatten()
        left = _left(weights[self.room.place[chosen]], params)
        of_edges = left.new_ones(len(self.asked)).index_put((chosen,), left)
        faded = self.problem.weighted(self.problem.record_unit, of_edges, degrees=degrees)
        return self.room.means(faded.record_losses(params, chosen).cpu() / left, chosen)


@dataclass(frozen=True, eq=False)
class TieAsking(Asking):
    """Ties, by how unlike the model finds their two ends (`Problem.tie_losses`): alike, and it gives the tie away."""

    def losses(self, params: Params, rows: Tensor) -> Tensor:
        weights = torch.ones(len(self.room.units)).index_fill_(0, self.room.rows[rows], _GONE)
        with torch.no_grad():
            return self.problem.weighted("tie", weights).tie_losses(params, self.room.rows[rows]).cpu().double()

    def trained(self, params: Params) -> Tensor:
        with torch.no_grad():
            return self.problem.tie_losses(params, self.room.rows).cpu().double()

    def relaxed(self, params: Params, weights: Tensor, *, degrees: bool) -> Tensor:
        faded = self.problem.weighted("tie", training_weights(self.room, weights, params), degrees=degrees)
        return faded.tie_losses(params, self.room.rows).cpu()


def mean_losses(problem: Problem, room: Room) -> Tensor:
    """Mean loss, float64 [k], of all records of each unit as the model was trained; of a tie its own."""
    if room.unit == "tie":
        return TieAsking(problem, room).trained(problem.params)
    with torch.no_grad():
        losses = problem.record_losses(problem.params).cpu().double()
    return room.means(losses, torch.arange(len(losses)))


def training_weights(room: Room, weights: Tensor, params: Params) -> Tensor:
    """The weights [size] of `Problem.weighted` with which a model forgets as far as `weights` [k] say."""
    return _left(room.whole(weights), params)


def _left(weights: Tensor, params: Params) -> Tensor:
    """What stays of something that is forgotten as far as its weight says, in the parameters' precision."""
    return 1.0 - (1.0 - _FAINTEST) * weights.to(next(iter(params.values())).dtype)
