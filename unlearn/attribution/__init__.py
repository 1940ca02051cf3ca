"""Which records made the model say this: attribution of what it says to what it learned from.

Positive means that the record kept the queried value up: a recommended pair's score high, a record's loss low.
"""

from unlearn.attribution.base import Attribution, Attributor, Query, Scores, losses
from unlearn.attribution.building import build
from unlearn.attribution.features import gradient_features, query_features
from unlearn.attribution.influence import Influence
from unlearn.attribution.projection import CountSketch, Dense, Projection
from unlearn.attribution.removal import Removal
from unlearn.attribution.store import GradientStore
from unlearn.attribution.tracin import GradientDot, TracIn, traced

__all__ = [
    "Attribution",
    "Attributor",
    "CountSketch",
    "Dense",
    "GradientDot",
    "GradientStore",
    "Influence",
    "Projection",
    "Query",
    "Removal",
    "Scores",
    "TracIn",
    "build",
    "gradient_features",
    "losses",
    "query_features",
    "traced",
]
