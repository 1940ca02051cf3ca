"""Many models over subsets of the same data, trained once and kept: what attacks, memorisation and LDS are made of."""

from __future__ import annotations

from unlearn.audit.pool.plan import Plan
from unlearn.audit.pool.pool import Estimate, ModelPool

__all__ = ["Estimate", "ModelPool", "Plan"]
