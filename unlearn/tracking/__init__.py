"""Where evaluations leave their story: the tracker contract, one for MLflow and one that keeps nothing."""

from __future__ import annotations

from unlearn.tracking.base import Purged, Run, Tracker, lineage
from unlearn.tracking.mlflow import MlflowTracker
from unlearn.tracking.null import NullTracker

__all__ = ["MlflowTracker", "NullTracker", "Purged", "Run", "Tracker", "lineage"]
