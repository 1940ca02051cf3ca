"""Suppression: serving holds back what must not be shown. The parameters still hold the data; nothing is unlearned."""

from recsys.retrieval.evidence import Evidence, Retrieved
from recsys.retrieval.generators import Generator, ProfileSimilarity, PromptGenerator, UnreadableAnswer
from recsys.retrieval.ranker import RetrievalRanker
from recsys.retrieval.strategies import ByAttention, ByDiversity, ByPreference, Strategy
from recsys.retrieval.suppression import SuppressedRanker, SuppressionList

__all__ = [
    "SuppressionList",
    "SuppressedRanker",
    "RetrievalRanker",
    "ByPreference",
    "ByDiversity",
    "ByAttention",
    "Strategy",
    "ProfileSimilarity",
    "PromptGenerator",
    "UnreadableAnswer",
    "Generator",
    "Evidence",
    "Retrieved",
]
