"""Recommender models: torch modules that embed users and items."""

from recsys.models.base import LinearRecommender, Recommender, build
from recsys.models.lightgcn import LightGCN
from recsys.models.mf import MF

__all__ = ["MF", "LightGCN", "LinearRecommender", "Recommender", "build"]
