"""Evidence: how close an unlearned model is to one that never saw the data, and at what price."""

from __future__ import annotations

from unlearn.audit.comparison import Comparison
from unlearn.audit.contract import Panel, Scorer
from unlearn.audit.log import record
from unlearn.audit.runner import compare
from unlearn.audit.stream import RetrainRule, Step, Stream, stream

__all__ = ["Comparison", "Panel", "RetrainRule", "Scorer", "Step", "Stream", "compare", "record", "stream"]
