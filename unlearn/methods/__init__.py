"""Unlearning methods; importing this registers them by name."""

from __future__ import annotations

from unlearn.methods.bad_teacher import BadTeacher
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
from unlearn.methods.delta_grad import DeltaGrad
from unlearn.methods.fine_tune import FineTune
from unlearn.methods.gif import GIF
from unlearn.methods.gradient_ascent import GradientAscent
from unlearn.methods.graph_drop import GraphDrop
from unlearn.methods.group_influence import GroupInfluence
from unlearn.methods.iau import IAU
from unlearn.methods.influence import Influence
from unlearn.methods.l1_sparse import L1Sparse
from unlearn.methods.native import Native
from unlearn.methods.neg_grad import NegGrad
from unlearn.methods.newton import Newton
from unlearn.methods.no_op import NoOp
from unlearn.methods.random_label import RandomLabel
from unlearn.methods.reconverge import Reconverge
from unlearn.methods.retrain import Retrain
from unlearn.methods.rewind import Rewind
from unlearn.methods.row_drop import RowDrop
from unlearn.methods.saliency import Masked
from unlearn.methods.scrub import Scrub
from unlearn.methods.ssd import SSD
from unlearn.methods.two_level import TwoLevel
from unlearn.methods.woodfisher import WoodFisher

__all__ = [
    "BadTeacher",
    "DeltaGrad",
    "FineTune",
    "GIF",
    "GradientAscent",
    "GraphDrop",
    "GroupInfluence",
    "IAU",
    "Influence",
    "L1Sparse",
    "Masked",
    "MissingRequirement",
    "Native",
    "NegGrad",
    "Newton",
    "NoOp",
    "RandomLabel",
    "Reconverge",
    "Retrain",
    "Rewind",
    "RowDrop",
    "SSD",
    "Scrub",
    "State",
    "TwoLevel",
    "UnlearnResult",
    "Unlearner",
    "VerificationFailed",
    "WoodFisher",
    "method",
    "methods",
    "register",
]
