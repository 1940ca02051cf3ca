"""What the views ask of the kind of model beyond a panel; a package of models implements it by structure alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from unlearn.problem import Fitted


class Surroundings(Protocol):
    """Where things lie around one request. Rows stay the same for every model; groups are named, never their ids."""

    def rings(self) -> Mapping[str, Tensor]:
        """Rows of remaining users by their distance from what is forgotten, nearest first; no ring is empty."""
        ...

    def item_groups(self) -> Mapping[str, Tensor]:
        """Rows of remaining items by popularity, the least popular first; together they are all of them."""
        ...

    def node_groups(self) -> Mapping[str, Tensor]:
        """Rows of the embedding tables that remain, by what they stand for; disjoint."""
        ...

    def tables(self, model: Fitted) -> Mapping[str, Tensor]:
        """Embeddings [rows, d] of a model by layer, the first layer first; empty where it has none."""
        ...
