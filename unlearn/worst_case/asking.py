"""How a model is asked about units that it has forgotten, or has half forgotten."""

from __future__ import annotations

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
class Asking:
    """The records that units are asked about, and how.

    A record is asked with its own message edge cut, as a held-out one would be. Single records are all asked about. A
    user or item that was forgotten is nothing but its records, so half of them, drawn at random, stay in the message
    graph and say who is asked about the other half: what a service sees of someone who comes back (`forget_auc` of an
    audit asks the same way). Their losses are then those of a fold-in. In a matrix factorisation, where a forgotten row
    says nothing whatever is folded in, all forgotten users are alike.
    """

    problem: Problem
    room: Room
    asked: Tensor  # bool [n records]

    @classmethod
    def of(cls, problem: Problem, room: Room, *, seed: int) -> Asking:
        who = room.units.owners
        asked = torch.ones(len(who), dtype=torch.bool)
        if room.unit != problem.record_unit and len(who):
            order = np.lexsort((uniforms(seed, "worst_case/asked", np.arange(len(who))), who))
            place = np.empty(len(who), dtype=np.int64)
            place[order] = np.arange(len(who)) - np.searchsorted(who[order], who[order])
            asked = torch.from_numpy(place % 2 == 0)  # the first of each unit is always asked
        return cls(problem, room, asked)

    def losses(self, params: Params, rows: Tensor) -> Tensor:
        """Mean losses, float64 [len(rows)], of the units at these places of the room, with all of them forgotten."""
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
        """Mean losses, float64 [k], of the same records in the data and graph that the model was trained on."""
        chosen = self.asked.nonzero().flatten()
        with torch.no_grad():
            return self.room.means(self.problem.record_losses(params, chosen).cpu().double(), chosen)

    def relaxed(self, params: Params, weights: Tensor, *, degrees: bool) -> Tensor:
        """Mean losses [k] of all units, each asked as far as its weight [k] says that it is forgotten.

        A record's message edge counts 1 - (1 - 2^-10) w, so that a weight of 1 is nearly `losses`, and a weight of 0
        the loss in training. Differentiable in both.
        """
        chosen = self.asked.nonzero().flatten()
        left = 1.0 - (1.0 - _FAINTEST) * weights[self.room.place[chosen]].to(_dtype(params))
        of_edges = left.new_ones(len(self.asked)).index_put((chosen,), left)
        faded = self.problem.weighted(self.problem.record_unit, of_edges, degrees=degrees)
        return self.room.means(faded.record_losses(params, chosen).cpu() / left, chosen)


def training_weights(room: Room, weights: Tensor, params: Params) -> Tensor:
    """The weights [size] of `Problem.weighted` with which a model forgets as far as `weights` [k] say."""
    return 1.0 - (1.0 - _FAINTEST) * room.whole(weights).to(_dtype(params))


def _dtype(params: Params) -> torch.dtype:
    return next(iter(params.values())).dtype
