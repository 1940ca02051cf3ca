"""What a row of a comparison says of a method."""

from __future__ import annotations

FIGURES = {
    "recall_at_20", "ndcg_at_20", "forget_auc", "retrain_auc", "retrain_gap", "gap_floor", "below_floor", "overlap",
    "overlap_floor", "residual_ratio", "effect", "score_bound", "rows_changed", "seconds", "prepare_seconds",
    "prepare_mb", "speedup_vs_retrain", "speedup_amortised_100", "fallback",
}  # fmt: skip
