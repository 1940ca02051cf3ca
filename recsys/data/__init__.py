"""Interactions, their vocabularies, readers, writers, splits and the synthetic generator."""

from __future__ import annotations

from recsys.data.interactions import Interactions
from recsys.data.readers import (
    Columns,
    from_edge_index,
    from_hetero,
    from_parquet,
    read,
    read_features,
    read_split,
)
from recsys.data.splits import Split, everything, given, leave_last_out, ratio, temporal, temporal_user
from recsys.data.synthetic import synthetic
from recsys.data.writers import to_inter, to_parquet
from unlearn.vocabulary import Vocabulary

__all__ = [
    "Columns",
    "Interactions",
    "Split",
    "Vocabulary",
    "everything",
    "from_edge_index",
    "from_hetero",
    "from_parquet",
    "given",
    "leave_last_out",
    "ratio",
    "read",
    "read_features",
    "read_split",
    "synthetic",
    "temporal",
    "temporal_user",
    "to_inter",
    "to_parquet",
]
