"""Recommender models: torch modules that embed users and items."""

from recsys.models.base import LinearRecommender, Recommender, build, register, registered
from recsys.models.contrastive import ContrastiveRecommender
from recsys.models.lightgcn import LightGCN
from recsys.models.mf import MF
from recsys.models.ngcf import NGCF
from recsys.models.sgl import SGL
from recsys.models.simgcl import SimGCL
from recsys.models.social_lightgcn import SocialLightGCN
from recsys.models.xsimgcl import XSimGCL

__all__ = [
    "MF",
    "NGCF",
    "SGL",
    "ContrastiveRecommender",
    "LightGCN",
    "LinearRecommender",
    "Recommender",
    "SimGCL",
    "SocialLightGCN",
    "XSimGCL",
    "build",
    "register",
    "registered",
]
