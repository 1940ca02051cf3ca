"""Training objectives: sums over interactions and pairs, deterministic ones first."""

from recsys.objectives.base import Objective, SampledObjective, objective, registered
from recsys.objectives.bpr import BPR
from recsys.objectives.multinomial import Multinomial
from recsys.objectives.nbpo import NBPO
from recsys.objectives.rel_mf import RelMF
from recsys.objectives.sampled_softmax import SampledSoftmax
from recsys.objectives.whole_data import WholeData

__all__ = [
    "BPR",
    "Multinomial",
    "NBPO",
    "Objective",
    "RelMF",
    "SampledObjective",
    "SampledSoftmax",
    "WholeData",
    "objective",
    "registered",
]
