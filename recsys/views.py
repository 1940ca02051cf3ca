"""What the views of an audit ask of a recommender: rings of users, popularity of items, embeddings by layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.evaluate import terciles
from recsys.fitted import FittedRecommender
from recsys.membership import PairExamples
from recsys.models.base import LinearRecommender
from recsys.problem import RecommenderProblem
from unlearn.forget import ForgetSet
from unlearn.problem import Fitted

_HOPS = 6
_ACTIVITY = ("low", "middle", "high")
_POPULARITY = ("tail", "middle", "head")


@dataclass(frozen=True, eq=False)
class RankingSurroundings:
    """Where things lie around one request on `original`; see `unlearn.audit.views.contract.Surroundings`."""

    original: FittedRecommender
    forget: ForgetSet  # resolved on `original`
    left: Interactions  # remaining training data

    def rings(self) -> dict[str, Tensor]:
        """Remaining users by hops in the graph of all interactions; those beyond six or out of reach come last."""
        layers = FittedRecommender.touched(self.original, self.forget, hops=_HOPS)["users"]
        alive = torch.from_numpy(self.left.users.alive.copy())
        far = alive.clone()
        far[torch.cat(layers)] = False
        found = {f"{hop}": rows[alive[rows]] for hop, rows in enumerate(layers)}
        found["farther"] = torch.nonzero(far).flatten()
        return {label: rows for label, rows in found.items() if len(rows)}

    def item_groups(self) -> dict[str, Tensor]:
        """Terciles of the remaining items by remaining interactions; those with none count to the tail."""
        strata = np.maximum(terciles(self.left.degrees()[1]), 0)
        strata[~self.left.items.alive] = -1
        return {name: torch.from_numpy(np.flatnonzero(strata == level)) for level, name in enumerate(_POPULARITY)}

    def node_groups(self) -> dict[str, Tensor]:
        """Remaining users within two hops of what is forgotten, the other users, and items; rows of all nodes."""
        near = torch.cat(FittedRecommender.touched(self.original, self.forget, hops=2)["users"])
        alive = torch.from_numpy(self.left.users.alive.copy())
        affected = torch.zeros_like(alive)
        affected[near] = True
        items = np.flatnonzero(self.left.items.alive & (self.left.degrees()[1] > 0))
        found = {
            "affected users": torch.nonzero(alive & affected).flatten(),
            "other users": torch.nonzero(alive & ~affected).flatten(),
            "items": torch.from_numpy(items) + self.left.n_users,
        }
        return {name: rows for name, rows in found.items() if len(rows)}

    def tables(self, model: Fitted) -> dict[str, Tensor]:
        """Layer 0, what each propagation makes of it where the model is a linear one, and the final embeddings."""
        if not isinstance(model, FittedRecommender) or (factors := model.factors()) is None:
            return {}
        found: dict[str, Tensor] = {}
        if isinstance(model, RecommenderProblem):
            layer = model.params["table"]
            found["layer 0"] = layer
            depth = len(model.model.polynomial()) - 1 if isinstance(model.model, LinearRecommender) else 0
            for number in range(1, depth + 1):
                layer = model.graph.propagate(layer)
                found[f"layer {number}"] = layer
        found["final"] = torch.cat(factors)
        return {name: table.detach() for name, table in found.items()}


def record_groups(examples: PairExamples, data: Interactions) -> dict[str, dict[str, list[str]]]:
    """A level for each example of what the request names: its user's activity, and its items' mean popularity."""
    users, items = examples.pairs
    forget = range(len(examples.units))[examples.groups["forget"]]
    of_users, of_items = data.degrees()
    count = np.maximum(np.bincount(examples.owner, minlength=len(examples.units)), 1)
    found: dict[str, dict[str, list[str]]] = {}
    for name, levels, degrees in (
        ("activity", _ACTIVITY, of_users[users]),
        ("popularity", _POPULARITY, of_items[items]),
    ):
        mean = np.bincount(examples.owner, weights=degrees, minlength=len(count)) / count
        of = [levels[max(level, 0)] for level in terciles(mean[forget])]
        found[name] = {"levels": list(levels), "of": of}
    return found
