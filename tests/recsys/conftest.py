"""Small recommenders that every test of this folder may use."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from recsys.data import Interactions
from recsys.graph import BipartiteGraph


def tiny_interactions(n_users: int = 12, n_items: int = 15, *, density: float = 0.3, seed: int = 0) -> Interactions:
    """Random interactions; the last user and the last item have none, so that zero degrees are always there."""
    observed = np.random.default_rng(seed).random((n_users - 1, n_items - 1)) < density
    observed[:, 0] |= ~observed.any(1)
    observed[0] |= ~observed.any(0)
    users, items = np.nonzero(observed)
    frame = pd.DataFrame({"user": [f"u{u:02}" for u in users], "item": items + 100})
    from recsys.data import Vocabulary

    return Interactions.from_frame(
        frame,
        users=Vocabulary([f"u{u:02}" for u in range(n_users)]),
        items=Vocabulary(range(100, 100 + n_items)),
    )


@pytest.fixture
def data() -> Interactions:
    return tiny_interactions()


@pytest.fixture
def graph(data: Interactions) -> BipartiteGraph:
    return BipartiteGraph.from_interactions(data, dtype=torch.float64)
