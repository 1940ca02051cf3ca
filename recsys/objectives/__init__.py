"""Training objectives: sums over interactions and pairs, deterministic ones first."""

from recsys.objectives.base import Objective, SampledObjective, objective
from recsys.objectives.bpr import BPR
from recsys.objectives.multinomial import Multinomial
from recsys.objectives.sampled_softmax import SampledSoftmax
from recsys.objectives.whole_data import WholeData

__all__ = ["BPR", "Multinomial", "Objective", "SampledObjective", "SampledSoftmax", "WholeData", "objective"]
