"""Evidence: how close an unlearned model is to one that never saw the data, and at what price."""

from __future__ import annotations

from unlearn.audit.comparison import Comparison
from unlearn.audit.contract import Panel, Scorer
from unlearn.audit.log import record, record_streams
from unlearn.audit.retrain_rule import RetrainRule
from unlearn.audit.runner import compare
from unlearn.audit.stream import Step, Stream, Streams, Yardstick, stream, streams

__all__ = [
    "Comparison",
    "Panel",
    "RetrainRule",
    "Scorer",
    "Step",
    "Stream",
    "Streams",
    "Yardstick",
    "compare",
    "record",
    "record_streams",
    "stream",
    "streams",
]
