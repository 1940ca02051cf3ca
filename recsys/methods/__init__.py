"""Unlearning methods that know what a recommender is; importing this registers them by name."""

from recsys.methods.gnn_delete import GNNDelete
from recsys.methods.ifru import IFRU
from recsys.methods.scif import SCIF
from recsys.methods.sharding import Sharding
from recsys.methods.unlearnrec import UnlearnRec

__all__ = ["SCIF", "IFRU", "GNNDelete", "Sharding", "UnlearnRec"]
