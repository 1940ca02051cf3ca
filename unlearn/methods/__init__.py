"""Unlearning methods; importing this registers them by name."""

from __future__ import annotations

from unlearn.methods.base import (
    MissingRequirement,
    State,
    Unlearner,
    UnlearnResult,
    VerificationFailed,
    method,
    methods,
    register,
)
from unlearn.methods.fine_tune import FineTune
from unlearn.methods.graph_drop import GraphDrop
from unlearn.methods.iau import IAU
from unlearn.methods.no_op import NoOp
from unlearn.methods.reconverge import Reconverge
from unlearn.methods.retrain import Retrain
from unlearn.methods.row_drop import RowDrop

__all__ = [
    "IAU",
    "FineTune",
    "GraphDrop",
    "MissingRequirement",
    "NoOp",
    "Reconverge",
    "Retrain",
    "RowDrop",
    "State",
    "UnlearnResult",
    "Unlearner",
    "VerificationFailed",
    "method",
    "methods",
    "register",
]
