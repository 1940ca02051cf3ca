"""Interactions, their vocabularies, readers, writers, splits and the synthetic generator."""

from __future__ import annotations

from recsys.data.interactions import Interactions
from recsys.data.vocabulary import Vocabulary

__all__ = ["Interactions", "Vocabulary"]
